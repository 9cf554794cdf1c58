#compdef {tool}
# Generated from the options of {tool}.
{profiles}

{operands}

_{tool}() {
    local at ended takes word option attached
    local -a kept=("$words[1]") specs
    integer left=0
    # _arguments knows no option with three or four words, and no options that depend on a verb.
    for word in "${(@)words[2,CURRENT-1]}"; do
        if (( left > 0 )) && [[ $takes != optional || $word != -* ]]; then
            (( left-- ))
            # The name of a property says how many words follow it.
            if [[ $takes == property && $left == 1 && $word == (#i)user-property ]]; then
                left=2 takes=user-property
            fi
            [[ $takes == *property ]] || kept+=("$word")
            continue
        fi
        left=0 takes=
        if [[ -z $ended && $word == -- ]]; then
            ended=yes
        elif [[ -z $ended && $word == -?* ]]; then
            option=${word%%=*} attached=${(M)word%%=*}
            if [[ $word != --* ]]; then
                # Letters that take no value, and the first that takes one.
                attached=${${word#-}##[{flags}]#}
                option=-${attached[1]:-$word[-1]}
                attached=${attached[2,-1]}
            fi
            case $option in
{takes}
            esac
            [[ -z $attached || $left == 0 ]] || (( left-- ))
{after_option}
{places}
        fi
        [[ $takes == property ]] || kept+=("$word")
    done
    [[ $takes != *property || $left == 0 ]] || return 1
    words=("${(@)kept}" "${(@)words[CURRENT,-1]}")
    CURRENT=$(( $#kept + 1 ))
    specs=(
{options}
    )
{more_options}
    _arguments -s -S : "${(@)specs}"{operand_spec}
}

if [[ $funcstack[1] == _{tool} ]]; then
    _{tool} "$@"
else
    compdef _{tool} {tool}
fi
