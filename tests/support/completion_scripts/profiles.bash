
# The names in the file of the profiles.
_{tool}_profiles() {
    local IFS=$' \t' line file=${XDG_CONFIG_HOME:-${HOME-}/.config}/mqtools/profiles.toml
    [[ -r $file ]] || return
    while read -r line; do
        [[ $line != \[[[:alnum:]_-]* ]] || { line=${line#\[} && echo "${line%%[!_[:alnum:]-]*}"; }
    done <"$file"
}
