# Completion of mqrr for bash. Generated from its options.

_mqrr() {
    local cur=$2 option=$3 IFS=$'\n'
    COMPREPLY=()
    # bash splits --option=value and kind:value into three words.
    [[ $option != : && ${COMP_WORDS[COMP_CWORD]} != : ]] || return
    [[ $option != = ]] || option=${COMP_WORDS[COMP_CWORD - 2]}
    case $option in
        -h | --host) COMPREPLY=($(compgen -A hostname -- "$cur")); return ;;
        -q | --qos | --will-qos) COMPREPLY=($(compgen -W $'0\n1\n2' -- "$cur")); return ;;
        -V | --protocol-version) COMPREPLY=($(compgen -W $'5\n311\n31' -- "$cur")); return ;;
        --retain-handling) COMPREPLY=($(compgen -W $'always\nnew\nnever' -- "$cur")); return ;;
        --retry) COMPREPLY=($(compgen -W $'forever' -- "$cur")); return ;;
        --tls-backend) COMPREPLY=($(compgen -W $'rustls\nopenssl' -- "$cur")); return ;;
        --tls-version) COMPREPLY=($(compgen -W $'tlsv1.2\ntlsv1.3' -- "$cur")); return ;;
        --capath) COMPREPLY=($(compgen -d -- "$cur")); compopt -o filenames 2>/dev/null; return ;;
        -f | --file | --unix | --pw-file | --cafile | --cert | --key | --key-pw-file | --tls-keylog | -o) COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null; return ;;
        -t | --topic | -m | --message | --repeat | --repeat-delay | -e | --response-topic | -C | -W | -F | -p | --port | -L | --url | -u | --username | -P | --pw | --pw-fd | -i | --id | -I | --id-prefix | -k | --keepalive | -x | -A | -M | --connect-timeout | --ws-path | --ws-header | --proxy | --backoff | --wait | --tls-alpn | --psk | --psk-identity | --ciphers | --will-topic | --will-payload | -D | --property | --profile) return ;;
    esac
    COMPREPLY=($(compgen -W $'-t\n--topic\n-m\n--message\n-f\n--file\n-l\n--stdin-line\n-s\n--stdin-file\n-n\n--null-message\n-q\n--qos\n--repeat\n--repeat-delay\n-e\n--response-topic\n-C\n-W\n--no-correlation-check\n--latency\n-R\n--retain-as-published\n--retain-handling\n-v\n--verbose\n-N\n-F\n--json\n--json-payload\n--pretty\n-h\n--host\n-p\n--port\n-L\n--url\n--unix\n-u\n--username\n-P\n--pw\n--pw-file\n--pw-fd\n--ask-pw\n-i\n--id\n-I\n--id-prefix\n-k\n--keepalive\n-c\n--disable-clean-session\n-x\n-V\n--protocol-version\n-A\n-M\n--nodelay\n--connect-timeout\n--ws\n--ws-path\n--ws-header\n--proxy\n--retry\n--backoff\n--wait\n--tls\n--no-tls\n--cafile\n--capath\n--tls-use-os-certs\n--cert\n--key\n--key-pw-file\n--tls-version\n--tls-alpn\n--tls-keylog\n--insecure\n--psk\n--psk-identity\n--ciphers\n--tls-backend\n--will-topic\n--will-payload\n--will-qos\n--will-retain\n-D\n--property\n-d\n--debug\n--quiet\n-o\n--profile\n--show-config\n--help\n--version' -- "$cur"))
}

complete -F _mqrr mqrr
