# Completion of mqbench for bash. Generated from its options.

# What an option takes, in $takes: words, or @ and what they are; nothing for a flag.
_mqbench_takes() {
    takes= optional=
    case $1 in
        --shape) takes=$'p2p\nfan-in\nfan-out\nshared:' ;;
        --clients | --pubs | --subs | --rate | --rate-per-client | --seed | -t | --topic | --size | -m | --message | --connect-rate | --threads | --duration | --warmup | --drain | -C | --hosts | --hold | --ping-interval | --runs | --cool-down | --tolerance | --slo | --probe | --find-from | --find-limit | --shard | --job | --barrier-timeout | --start-at | --shards | --image | --target | --name | --label | --gate | --prometheus | -p | --port | -u | --username | -P | --pw | --pw-fd | -i | --id | -I | --id-prefix | -k | --keepalive | -x | -A | -M | --connect-timeout | --ws-path | --ws-header | --tls-alpn | --psk | --psk-identity | --ciphers | --tls-engine | --tls-engine-kpass-sha1 | --will-topic | --will-payload) takes=@text ;;
        --arrival) takes=$'fixed\npoisson\nburst:' ;;
        --behind) takes=$'queue\nskip' ;;
        -q | --qos | --will-qos) takes=$'0\n1\n2' ;;
        --payload) takes=$'zero\nrandom\ntext\ntemplate:' ;;
        --csv | -f | --file | --baseline | --out | --unix | --pw-file | --cafile | --cert | --key | --key-pw-file | --tls-keylog | -o) takes=@files ;;
        --window) takes=$'delivery\nack\nnone' ;;
        --pair) takes=$'same\ncross' ;;
        --reconnect) takes=@text optional=yes ;;
        --client) takes=$'mqbench\nrumqttc' ;;
        --broker-pid) takes=$'auto' ;;
        --barrier | --capath) takes=@folders ;;
        --control | -L | --url) takes=$'mqtt://\nmqtts://\nws://\nwss://\nunix:' ;;
        --engine) takes=$'slurm\nmpi\nkubernetes\nparallel' ;;
        -h | --host) takes=@hosts ;;
        -V | --protocol-version) takes=$'5\n311\n31' ;;
        --proxy) takes=$'socks5h://\nsocks5://\nhttp://\nenv' ;;
        --tls-version) takes=$'tlsv1.2\ntlsv1.3' ;;
        --tls-backend) takes=$'rustls\nopenssl' ;;
        --keyform) takes=$'pem\nengine' ;;
        -D | --property) takes=@property ;;
        --profile) takes=@profiles ;;
    esac
}

# Takes an option apart: its name, in $option, and what is attached to it, in $attached with = and in $value without.
_mqbench_split() {
    local letters=${1#-}
    option=${1%%=*}
    attached=${1#"$option"}
    if [[ $1 != --* ]]; then
        # Letters that take no value, and the first that takes one.
        while [[ $letters == [rcSd]?* ]]; do letters=${letters:1}; done
        option=-${letters:0:1}
        attached=${letters:1}
    fi
    value=${attached#=}
    _mqbench_takes "$option"
}

# Reads a word before the cursor. Then $left words of an option are missing, and $at are the verbs.
_mqbench_read() {
    if ((left > 0)) && [[ -z $optional || $1 != -* ]]; then
        left=$((left - 1))
        # The name of a property says how many words follow it.
        if [[ $takes == @property && $left == 1 && $1 == [Uu]ser-[Pp]roperty ]]; then left=2 takes=@text; fi
        return
    fi
    left=0
    if [[ -z $ended && $1 == -- ]]; then
        ended=yes
    elif [[ -z $ended && $1 == -?* ]]; then
        _mqbench_split "$1"
        case $takes in
            '') ;;
            @property) left=3 ;;
            *) left=1 ;;
        esac
        [[ -z $attached || $left == 0 ]] || left=$((left - 1))
    else
        case ${at:+$at }$1 in
            pub | sub | conn | echo | self | doctor | doctor\ pub | doctor\ sub | doctor\ conn | doctor\ echo | report | merge | compare | find | plan | plan\ pub | plan\ sub | plan\ conn | plan\ echo) at=${at:+$at }$1 ;;
        esac
    fi
}

# The names in the file of the profiles.
_mqbench_profiles() {
    local IFS=$' \t' line file=${XDG_CONFIG_HOME:-${HOME-}/.config}/mqtools/profiles.toml
    [[ -r $file ]] || return
    while read -r line; do
        [[ $line != \[[[:alnum:]_-]* ]] || { line=${line#\[} && echo "${line%%[!_[:alnum:]-]*}"; }
    done <"$file"
}

# Offers what begins with $value: words, or @ and what they are.
_mqbench_offer() {
    local word action=(-W "$1")
    case $1 in
        '' | @text | @property) return ;;
        @files) action=(-f) ;;
        @folders) action=(-d) ;;
        @commands) action=(-c) ;;
        @hosts) action=(-A hostname) ;;
        @profiles) action=(-W "$(_mqbench_profiles)") ;;
    esac
    # Not COMPREPLY=($(...)): it would expand * and ?. And macOS has a bash without mapfile.
    while read -r word; do COMPREPLY+=("$head$word"); done < <(compgen "${action[@]}" -- "$value")
    # compopt came with bash 4, and fails outside of a completion.
    case $1 in
        @files | @folders) compopt -o filenames 2>/dev/null ;;
        *) [[ ${COMPREPLY[0]-} != *[:/] ]] || compopt -o nospace 2>/dev/null ;;
    esac
}

_mqbench_offer_options() {
    local options=$'-q\n--qos\n--window\n--threads\n--drain\n--json\n--details\n--out\n--name\n--label\n--no-latency\n-u\n--username\n-P\n--pw\n--pw-file\n-i\n--id\n-I\n--id-prefix\n-k\n--keepalive\n-c\n--disable-clean-session\n-x\n-V\n--protocol-version\n-A\n-M\n--nodelay\n--connect-timeout\n--ws\n--ws-path\n--ws-header\n--proxy\n--tls\n--no-tls\n--cafile\n--capath\n--tls-use-os-certs\n--cert\n--key\n--key-pw-file\n--tls-version\n--tls-alpn\n--tls-keylog\n--insecure\n--psk\n--psk-identity\n--ciphers\n--tls-backend\n--will-topic\n--will-payload\n--will-qos\n--will-retain\n-D\n--property\n--quiet\n-o\n--profile\n--show-config\n--help\n--version'
    case $at in
        '' | doctor | report | merge | compare | find | plan) options+=$'\n--shape' ;;
    esac
    case $at in
        self) ;;
        *) options+=$'\n--clients\n--arrival\n--behind\n--seed\n--csv\n--connect-rate\n--busy-poll\n--embedded\n--hosts\n--client\n--sys\n--no-sys\n--gate\n--prometheus\n-h\n--host\n-p\n--port\n-L\n--url\n--unix' ;;
    esac
    case $at in
        '' | pub | doctor | doctor\ pub | report | merge | compare | find | plan | plan\ pub) options+=$'\n--pubs' ;;
    esac
    case $at in
        '' | sub | doctor | doctor\ sub | report | merge | compare | find | plan | plan\ sub) options+=$'\n--subs' ;;
    esac
    case $at in
        conn | self | doctor\ conn | find | plan\ conn) ;;
        *) options+=$'\n--flood\n--rate\n--rate-per-client\n--duration\n-C' ;;
    esac
    case $at in
        conn | self | doctor\ conn | plan\ conn) ;;
        *) options+=$'\n-t\n--topic\n--size\n--payload\n-m\n--message\n-f\n--file\n--warmup\n--reconnect' ;;
    esac
    case $at in
        conn | echo | self | doctor\ conn | doctor\ echo | plan\ conn | plan\ echo) ;;
        *) options+=$'\n-r\n--retain' ;;
    esac
    case $at in
        '' | self) options+=$'\n--full' ;;
    esac
    case $at in
        conn | self | doctor\ conn | report | merge | compare | plan\ conn) ;;
        *) options+=$'\n--pair' ;;
    esac
    case $at in
        '' | conn | doctor | doctor\ conn | plan | plan\ conn) options+=$'\n--hold\n--ping-interval' ;;
    esac
    case $at in
        self | plan | plan\ pub | plan\ sub | plan\ conn | plan\ echo) ;;
        *) options+=$'\n--broker-pid' ;;
    esac
    case $at in
        '' | pub | sub | conn | echo | plan | plan\ pub | plan\ sub | plan\ conn | plan\ echo) options+=$'\n--runs' ;;
    esac
    case $at in
        '' | pub | sub | conn | echo) options+=$'\n--cool-down\n--ab' ;;
    esac
    case $at in
        self | doctor | doctor\ pub | doctor\ sub | doctor\ conn | doctor\ echo | compare | find) ;;
        *) options+=$'\n--baseline' ;;
    esac
    case $at in
        '' | pub | sub | conn | echo | report | merge | compare) options+=$'\n--tolerance\n--any-plan' ;;
    esac
    case $at in
        '' | find) options+=$'\n--slo\n--probe\n--find-from\n--find-limit' ;;
    esac
    case $at in
        '' | pub | sub | conn | echo | doctor | doctor\ pub | doctor\ sub | doctor\ conn | doctor\ echo) options+=$'\n--shard\n--job' ;;
    esac
    case $at in
        self | report | merge | compare | find) ;;
        *) options+=$'\n--barrier\n--control\n--barrier-timeout\n--start-at' ;;
    esac
    case $at in
        '' | merge | plan | plan\ pub | plan\ sub | plan\ conn | plan\ echo) options+=$'\n--allow-partial' ;;
    esac
    case $at in
        '' | plan | plan\ pub | plan\ sub | plan\ conn | plan\ echo) options+=$'\n--engine\n--shards\n--image\n--target' ;;
    esac
    case $at in
        plan | plan\ pub | plan\ sub | plan\ conn | plan\ echo) ;;
        *) options+=$'\n--pw-fd\n--ask-pw' ;;
    esac
    _mqbench_offer "$options"
}

_mqbench() {
    local IFS=$'\n' cur=$2 line=${COMP_LINE:0:COMP_POINT} blank word i n=-1 words=()
    local at= ended= left=0 takes= optional= option= attached= value= head=
    COMPREPLY=()
    # bash splits words at = and : too. What no blank divides is one word.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        blank=${line%%[![:blank:]]*}
        line=${line#"$blank"}
        word=$line
        ((i == COMP_CWORD)) || word=${COMP_WORDS[i]}
        [[ -z $blank && $i != 0 ]] || n=$((n + 1))
        words[n]=${words[n]-}$word
        line=${line#"$word"}
    done
    for ((i = 1; i < n; i++)); do _mqbench_read "${words[i]}"; done
    word=${words[n]}
    value=$cur
    if ((left > 0)) && [[ -z $optional || $word != -* ]]; then
        # bash puts the candidate in the place of $cur, which begins behind a colon.
        [[ $word != *[:=]* || $word == "$cur" ]] || return
        _mqbench_offer "$takes"
    elif [[ -z $ended && $word == -* ]]; then
        _mqbench_split "$word"
        if [[ -z $attached ]]; then
            value=$cur
            _mqbench_offer_options
        elif [[ $cur == "$value" || $cur == "$word" ]]; then
            [[ $cur == "$value" ]] || head=${word%"$value"}
            _mqbench_offer "$takes"
        fi
    else
        case $at in
            '') _mqbench_offer $'pub\nsub\nconn\necho\nself\ndoctor\nreport\nmerge\ncompare\nfind\nplan'; return ;;
            doctor) _mqbench_offer $'pub\nsub\nconn\necho'; return ;;
            report | merge | compare | plan\ pub | plan\ sub | plan\ conn | plan\ echo) _mqbench_offer @files; return ;;
            plan) _mqbench_offer $'pub\nsub\nconn\necho'; _mqbench_offer @files; return ;;
        esac
        [[ -n $word$ended ]] || _mqbench_offer_options
    fi
}

complete -F _mqbench mqbench
