# Completion of mqbench for bash. Generated from its options.

_mqbench() {
    local cur=$2 option=$3 IFS=$'\n'
    COMPREPLY=()
    # bash splits --option=value and kind:value into three words.
    [[ $option != : && ${COMP_WORDS[COMP_CWORD]} != : ]] || return
    [[ $option != = ]] || option=${COMP_WORDS[COMP_CWORD - 2]}
    case $option in
        -h | --host) COMPREPLY=($(compgen -A hostname -- "$cur")); return ;;
        -q | --qos | --will-qos) COMPREPLY=($(compgen -W $'0\n1\n2' -- "$cur")); return ;;
        -V | --protocol-version) COMPREPLY=($(compgen -W $'5\n311\n31' -- "$cur")); return ;;
        --broker-pid) COMPREPLY=($(compgen -W $'auto' -- "$cur")); return ;;
        --window) COMPREPLY=($(compgen -W $'delivery\nack\nnone' -- "$cur")); return ;;
        --arrival) COMPREPLY=($(compgen -W $'fixed\npoisson\nburst:' -- "$cur")); [[ ${COMPREPLY[0]} != *: ]] || compopt -o nospace 2>/dev/null; return ;;
        --client) COMPREPLY=($(compgen -W $'mqbench\nrumqttc' -- "$cur")); return ;;
        --shape) COMPREPLY=($(compgen -W $'p2p\nfan-in\nfan-out\nshared:' -- "$cur")); [[ ${COMPREPLY[0]} != *: ]] || compopt -o nospace 2>/dev/null; return ;;
        --behind) COMPREPLY=($(compgen -W $'queue\nskip' -- "$cur")); return ;;
        --tls-backend) COMPREPLY=($(compgen -W $'rustls\nopenssl' -- "$cur")); return ;;
        --pair) COMPREPLY=($(compgen -W $'same\ncross' -- "$cur")); return ;;
        --engine) COMPREPLY=($(compgen -W $'slurm\nmpi\nkubernetes\nparallel' -- "$cur")); return ;;
        --tls-version) COMPREPLY=($(compgen -W $'tlsv1.2\ntlsv1.3' -- "$cur")); return ;;
        --payload) COMPREPLY=($(compgen -W $'zero\nrandom\ntext\ntemplate:' -- "$cur")); [[ ${COMPREPLY[0]} != *: ]] || compopt -o nospace 2>/dev/null; return ;;
        --barrier | --capath) COMPREPLY=($(compgen -d -- "$cur")); compopt -o filenames 2>/dev/null; return ;;
        --csv | -f | --file | --baseline | --out | --unix | --pw-file | --cafile | --cert | --key | --key-pw-file | --tls-keylog | -o) COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null; return ;;
        --reconnect) [[ $cur == -* ]] || return ;;
        --clients | --pubs | --subs | --rate | --rate-per-client | --seed | -t | --topic | --size | -m | --message | --connect-rate | --threads | --duration | --warmup | --drain | -C | --hosts | --hold | --ping-interval | --runs | --cool-down | --tolerance | --slo | --probe | --find-from | --find-limit | --shard | --job | --control | --barrier-timeout | --start-at | --shards | --image | --target | --name | --label | --gate | --prometheus | -p | --port | -L | --url | -u | --username | -P | --pw | --pw-fd | -i | --id | -I | --id-prefix | -k | --keepalive | -x | -A | -M | --connect-timeout | --ws-path | --ws-header | --proxy | --tls-alpn | --psk | --psk-identity | --ciphers | --will-topic | --will-payload | -D | --property | --profile) return ;;
    esac
    if [[ $cur != -* ]]; then
        if ((COMP_CWORD == 1)); then
            COMPREPLY=($(compgen -W $'pub\nsub\nconn\necho\nself\ndoctor\nreport\nmerge\ncompare\nfind\nplan' -- "$cur"))
            return
        fi
        case ${COMP_WORDS[1]} in
            report | merge | compare) COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null; return ;;
            doctor) COMPREPLY=($(compgen -W $'pub\nsub\nconn\necho\nself\ndoctor\nreport\nmerge\ncompare\nfind\nplan' -- "$cur")); return ;;
        esac
    fi
    COMPREPLY=($(compgen -W $'--shape\n--clients\n--pubs\n--subs\n--flood\n--rate\n--rate-per-client\n--arrival\n--behind\n--seed\n-t\n--topic\n-q\n--qos\n-r\n--retain\n--size\n--payload\n-m\n--message\n--csv\n-f\n--file\n--window\n--connect-rate\n--threads\n--busy-poll\n--embedded\n--full\n--duration\n--warmup\n--drain\n-C\n--hosts\n--pair\n--reconnect\n--client\n--hold\n--ping-interval\n--broker-pid\n--sys\n--no-sys\n--runs\n--cool-down\n--ab\n--baseline\n--tolerance\n--any-plan\n--slo\n--probe\n--find-from\n--find-limit\n--shard\n--job\n--barrier\n--control\n--barrier-timeout\n--start-at\n--allow-partial\n--engine\n--shards\n--image\n--target\n--json\n--details\n--out\n--name\n--label\n--gate\n--prometheus\n--no-latency\n-h\n--host\n-p\n--port\n-L\n--url\n--unix\n-u\n--username\n-P\n--pw\n--pw-file\n--pw-fd\n--ask-pw\n-i\n--id\n-I\n--id-prefix\n-k\n--keepalive\n-c\n--disable-clean-session\n-x\n-V\n--protocol-version\n-A\n-M\n--nodelay\n--connect-timeout\n--ws\n--ws-path\n--ws-header\n--proxy\n--tls\n--no-tls\n--cafile\n--capath\n--tls-use-os-certs\n--cert\n--key\n--key-pw-file\n--tls-version\n--tls-alpn\n--tls-keylog\n--insecure\n--psk\n--psk-identity\n--ciphers\n--tls-backend\n--will-topic\n--will-payload\n--will-qos\n--will-retain\n-D\n--property\n--quiet\n-o\n--profile\n--show-config\n--help\n--version' -- "$cur"))
}

complete -F _mqbench mqbench
