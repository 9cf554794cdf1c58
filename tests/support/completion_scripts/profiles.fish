
# The names in the file of the profiles.
function __{tool}_profiles
    set -l folder $HOME/.config
    test -n "$XDG_CONFIG_HOME"; and set folder $XDG_CONFIG_HOME
    test -r $folder/mqtools/profiles.toml
    and string replace -rf '^\s*\[([\w-]+).*' '$1' <$folder/mqtools/profiles.toml
end
