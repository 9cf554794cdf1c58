# Completion of mqsub for bash. Generated from its options.

_mqsub() {
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
        --check) COMPREPLY=($(compgen -W $'text\njson' -- "$cur")); [[ $cur == -* ]] || return ;;
        --tls-version) COMPREPLY=($(compgen -W $'tlsv1.2\ntlsv1.3' -- "$cur")); return ;;
        --to-dir-per) COMPREPLY=($(compgen -W $'topic\nmessage' -- "$cur")); return ;;
        --silent-exec | --run | --exec) COMPREPLY=($(compgen -c -- "$cur")); return ;;
        --to-dir | --capath) COMPREPLY=($(compgen -d -- "$cur")); compopt -o filenames 2>/dev/null; return ;;
        --from | --record | --ready-file | --unix | --pw-file | --cafile | --cert | --key | --key-pw-file | --tls-keylog | -o) COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null; return ;;
        --stats) [[ $cur == -* ]] || return ;;
        -t | --topic | --topic-qos | -U | --unsubscribe | -T | --filter-out | -C | -W | --random-filter | --filter | --until | --expect | --within | --count | --none-within | --silent-after | -F | --max-memory | --rotate | --jobs | --ready-fd | -p | --port | -L | --url | -u | --username | -P | --pw | --pw-fd | -i | --id | -I | --id-prefix | -k | --keepalive | -x | -A | -M | --connect-timeout | --ws-path | --ws-header | --proxy | --backoff | --wait | --tls-alpn | --psk | --psk-identity | --ciphers | --will-topic | --will-payload | -D | --property | --profile) return ;;
    esac
    COMPREPLY=($(compgen -W $'-t\n--topic\n--topic-qos\n-U\n--unsubscribe\n-T\n--filter-out\n-q\n--qos\n-C\n-W\n-E\n-R\n--retained-only\n--retained\n--once\n--no-marker\n--remove-retained\n--dry-run\n--retain-as-published\n--retain-handling\n--no-local\n--random-filter\n--filter\n--until\n--expect\n--within\n--count\n--none-within\n--silent-after\n--each-topic\n--silent-exec\n-v\n--verbose\n-N\n-F\n--json\n--json-payload\n--pretty\n-w\n--watch\n--message-rate\n--stats\n--tree\n--from\n--max-memory\n--allow-write\n--record\n--rotate\n--append\n--force\n--run\n--jobs\n--to-dir\n--to-dir-per\n--exec\n--ready-fd\n--ready-file\n-h\n--host\n-p\n--port\n-L\n--url\n--unix\n-u\n--username\n-P\n--pw\n--pw-file\n--pw-fd\n--ask-pw\n-i\n--id\n-I\n--id-prefix\n-k\n--keepalive\n-c\n--disable-clean-session\n-x\n-V\n--protocol-version\n-A\n-M\n--nodelay\n--connect-timeout\n--ws\n--ws-path\n--ws-header\n--proxy\n--retry\n--backoff\n--wait\n--tls\n--no-tls\n--cafile\n--capath\n--tls-use-os-certs\n--cert\n--key\n--key-pw-file\n--tls-version\n--tls-alpn\n--tls-keylog\n--insecure\n--psk\n--psk-identity\n--ciphers\n--tls-backend\n--will-topic\n--will-payload\n--will-qos\n--will-retain\n-D\n--property\n--check\n-d\n--debug\n--quiet\n-o\n--profile\n--show-config\n--help\n--version' -- "$cur"))
}

complete -F _mqsub mqsub
