# Completion of mqbroker for bash. Generated from its options.

# What an option takes, in $takes: words, or @ and what they are; nothing for a flag.
_mqbroker_takes() {
    takes= optional=
    case $1 in
        -p | --port | --ws-port) takes=@text ;;
        -c | --config-file) takes=@files ;;
    esac
}

# Takes an option apart: its name, in $option, and what is attached to it, in $attached with = and in $value without.
_mqbroker_split() {
    local letters=${1#-}
    option=${1%%=*}
    attached=${1#"$option"}
    if [[ $1 != --* ]]; then
        # Letters that take no value, and the first that takes one.
        while [[ $letters == [vdh]?* ]]; do letters=${letters:1}; done
        option=-${letters:0:1}
        attached=${letters:1}
    fi
    value=${attached#=}
    _mqbroker_takes "$option"
}

# Reads a word before the cursor. Then $left words of an option are missing, and $at are the verbs.
_mqbroker_read() {
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
        _mqbroker_split "$1"
        case $takes in
            '') ;;
            @property) left=3 ;;
            *) left=1 ;;
        esac
        [[ -z $attached || $left == 0 ]] || left=$((left - 1))
        [[ -n $at ]] || at=-
    else
        case ${at:+$at }$1 in
            passwd) at=${at:+$at }$1 ;;
            passwd\ *) at='passwd FILE' ;;
        esac
    fi
}

# Offers what begins with $value: words, or @ and what they are.
_mqbroker_offer() {
    local word action=(-W "$1")
    case $1 in
        '' | @text | @property) return ;;
        @files) action=(-f) ;;
        @folders) action=(-d) ;;
        @commands) action=(-c) ;;
        @hosts) action=(-A hostname) ;;
        @profiles) action=(-W "$(_mqbroker_profiles)") ;;
    esac
    # Not COMPREPLY=($(...)): it would expand * and ?. And macOS has a bash without mapfile.
    while read -r word; do COMPREPLY+=("$head$word"); done < <(compgen "${action[@]}" -- "$value")
    # compopt came with bash 4, and fails outside of a completion.
    case $1 in
        @files | @folders) compopt -o filenames 2>/dev/null ;;
        *) [[ ${COMPREPLY[0]-} != *[:/] ]] || compopt -o nospace 2>/dev/null ;;
    esac
}

_mqbroker_offer_options() {
    local options=$''
    case $at in
        '' | -) options+=$'\n-p\n--port\n--ws-port\n-c\n--config-file\n-v\n--verbose\n-d\n--daemon\n--test-config\n--version' ;;
    esac
    case $at in
        passwd\ FILE) ;;
        *) options+=$'\n-h\n--help' ;;
    esac
    _mqbroker_offer "$options"
}

_mqbroker() {
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
    for ((i = 1; i < n; i++)); do _mqbroker_read "${words[i]}"; done
    word=${words[n]}
    value=$cur
    if ((left > 0)) && [[ -z $optional || $word != -* ]]; then
        # bash puts the candidate in the place of $cur, which begins behind a colon.
        [[ $word != *[:=]* || $word == "$cur" ]] || return
        _mqbroker_offer "$takes"
    elif [[ -z $ended && $word == -* ]]; then
        _mqbroker_split "$word"
        if [[ -z $attached ]]; then
            value=$cur
            _mqbroker_offer_options
        elif [[ $cur == "$value" || $cur == "$word" ]]; then
            [[ $cur == "$value" ]] || head=${word%"$value"}
            _mqbroker_offer "$takes"
        fi
    else
        case $at in
            '') _mqbroker_offer $'passwd'; return ;;
            passwd) _mqbroker_offer @files; return ;;
        esac
        [[ -n $word$ended ]] || _mqbroker_offer_options
    fi
}

complete -F _mqbroker mqbroker
