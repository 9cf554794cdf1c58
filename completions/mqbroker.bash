# Completion of mqbroker for bash. Generated from its options.

_mqbroker() {
    local cur=$2 option=$3 IFS=$'\n'
    COMPREPLY=()
    # bash splits --option=value and kind:value into three words.
    [[ $option != : && ${COMP_WORDS[COMP_CWORD]} != : ]] || return
    [[ $option != = ]] || option=${COMP_WORDS[COMP_CWORD - 2]}
    case $option in
        -c | --config-file) COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null; return ;;
        -p | --port | --ws-port) return ;;
    esac
    if [[ $cur != -* ]]; then
        if ((COMP_CWORD == 1)); then
            COMPREPLY=($(compgen -W $'passwd' -- "$cur"))
            return
        fi
        case ${COMP_WORDS[1]} in
            passwd) COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null; return ;;
        esac
    fi
    COMPREPLY=($(compgen -W $'-p\n--port\n--ws-port\n-c\n--config-file\n-v\n--verbose\n-d\n--daemon\n--test-config\n-h\n--help\n--version' -- "$cur"))
}

complete -F _mqbroker mqbroker
