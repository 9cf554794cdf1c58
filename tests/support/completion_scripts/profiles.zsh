
# The names in the file of the profiles.
_{tool}_profiles() {
    local line file=${XDG_CONFIG_HOME:-$HOME/.config}/mqtools/profiles.toml
    local -aU names
    [[ -r $file ]] || return 1
    while read -r line; do
        [[ $line != \[[[:alnum:]_-]* ]] || names+=(${${line#\[}%%[^_[:alnum:]-]*})
    done <$file
    compadd "$@" -a names
}
