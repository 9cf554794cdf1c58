# Completion of mqrr for bash. Generated from its options.

# What an option takes, in $takes: words, or @ and what they are; nothing for a flag.
_mqrr_takes() {
    takes= optional=
    case $1 in
        -t | --topic | -m | --message | --repeat | --repeat-delay | -e | --response-topic | -C | -W | -F | -p | --port | -u | --username | -P | --pw | --pw-fd | -i | --id | -I | --id-prefix | -k | --keepalive | -x | -A | -M | --connect-timeout | --ws-path | --ws-header | --backoff | --wait | --tls-alpn | --psk | --psk-identity | --ciphers | --tls-engine | --tls-engine-kpass-sha1 | --will-topic | --will-payload) takes=@text ;;
        -f | --file | --unix | --pw-file | --cafile | --cert | --key | --key-pw-file | --tls-keylog | -o) takes=@files ;;
        -q | --qos | --will-qos) takes=$'0\n1\n2' ;;
        --retain-handling) takes=$'always\nnew\nnever' ;;
        -h | --host) takes=@hosts ;;
        -L | --url) takes=$'mqtt://\nmqtts://\nws://\nwss://\nunix:' ;;
        -V | --protocol-version) takes=$'5\n311\n31' ;;
        --proxy) takes=$'socks5h://\nsocks5://\nhttp://\nenv' ;;
        --retry) takes=$'forever' ;;
        --capath) takes=@folders ;;
        --tls-version) takes=$'tlsv1.2\ntlsv1.3' ;;
        --tls-backend) takes=$'rustls\nopenssl' ;;
        --keyform) takes=$'pem\nengine' ;;
        -D | --property) takes=@property ;;
        --profile) takes=@profiles ;;
    esac
}

# Takes an option apart: its name, in $option, and what is attached to it, in $attached with = and in $value without.
_mqrr_split() {
    local letters=${1#-}
    option=${1%%=*}
    attached=${1#"$option"}
    if [[ $1 != --* ]]; then
        # Letters that take no value, and the first that takes one.
        while [[ $letters == [lsnRvNcSd]?* ]]; do letters=${letters:1}; done
        option=-${letters:0:1}
        attached=${letters:1}
    fi
    value=${attached#=}
    _mqrr_takes "$option"
}

# Reads a word before the cursor. Then $left words of an option are missing, and $at are the verbs.
_mqrr_read() {
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
        _mqrr_split "$1"
        case $takes in
            '') ;;
            @property) left=3 ;;
            *) left=1 ;;
        esac
        [[ -z $attached || $left == 0 ]] || left=$((left - 1))
    fi
}

# The names in the file of the profiles.
_mqrr_profiles() {
    local IFS=$' \t' line file=${XDG_CONFIG_HOME:-${HOME-}/.config}/mqtools/profiles.toml
    [[ -r $file ]] || return
    while read -r line; do
        [[ $line != \[[[:alnum:]_-]* ]] || { line=${line#\[} && echo "${line%%[!_[:alnum:]-]*}"; }
    done <"$file"
}

# Offers what begins with $value: words, or @ and what they are.
_mqrr_offer() {
    local word action=(-W "$1")
    case $1 in
        '' | @text | @property) return ;;
        @files) action=(-f) ;;
        @folders) action=(-d) ;;
        @commands) action=(-c) ;;
        @hosts) action=(-A hostname) ;;
        @profiles) action=(-W "$(_mqrr_profiles)") ;;
    esac
    # Not COMPREPLY=($(...)): it would expand * and ?. And macOS has a bash without mapfile.
    while read -r word; do COMPREPLY+=("$head$word"); done < <(compgen "${action[@]}" -- "$value")
    # compopt came with bash 4, and fails outside of a completion.
    case $1 in
        @files | @folders) compopt -o filenames 2>/dev/null ;;
        *) [[ ${COMPREPLY[0]-} != *[:/] ]] || compopt -o nospace 2>/dev/null ;;
    esac
}

_mqrr_offer_options() {
    local options=$'-t\n--topic\n-m\n--message\n-f\n--file\n-l\n--stdin-line\n-s\n--stdin-file\n-n\n--null-message\n-q\n--qos\n--repeat\n--repeat-delay\n-e\n--response-topic\n-C\n-W\n--no-correlation-check\n--latency\n-R\n--retain-as-published\n--retain-handling\n-v\n--verbose\n-N\n-F\n--json\n--json-payload\n--pretty\n-h\n--host\n-p\n--port\n-L\n--url\n--unix\n-u\n--username\n-P\n--pw\n--pw-file\n--pw-fd\n--ask-pw\n-i\n--id\n-I\n--id-prefix\n-k\n--keepalive\n-c\n--disable-clean-session\n-x\n-V\n--protocol-version\n-A\n-M\n--nodelay\n--connect-timeout\n--ws\n--ws-path\n--ws-header\n--proxy\n--retry\n--backoff\n--wait\n--tls\n--no-tls\n--cafile\n--capath\n--tls-use-os-certs\n--cert\n--key\n--key-pw-file\n--tls-version\n--tls-alpn\n--tls-keylog\n--insecure\n--psk\n--psk-identity\n--ciphers\n--tls-backend\n--will-topic\n--will-payload\n--will-qos\n--will-retain\n-D\n--property\n-d\n--debug\n--quiet\n-o\n--profile\n--show-config\n--help\n--version'
    _mqrr_offer "$options"
}

_mqrr() {
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
    for ((i = 1; i < n; i++)); do _mqrr_read "${words[i]}"; done
    word=${words[n]}
    value=$cur
    if ((left > 0)) && [[ -z $optional || $word != -* ]]; then
        # bash puts the candidate in the place of $cur, which begins behind a colon.
        [[ $word != *[:=]* || $word == "$cur" ]] || return
        _mqrr_offer "$takes"
    elif [[ -z $ended && $word == -* ]]; then
        _mqrr_split "$word"
        if [[ -z $attached ]]; then
            value=$cur
            _mqrr_offer_options
        elif [[ $cur == "$value" || $cur == "$word" ]]; then
            [[ $cur == "$value" ]] || head=${word%"$value"}
            _mqrr_offer "$takes"
        fi
    else
        [[ -n $word$ended ]] || _mqrr_offer_options
    fi
}

complete -F _mqrr mqrr
