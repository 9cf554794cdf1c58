
# Whether the verbs before the cursor are one of these; "" is none.
function __{tool}_at
    set -l words (commandline -opc)
    set -e words[1]
    set -l at ''
    set -l takes ''
    set -l ended ''
    set -l left 0
    for word in $words
        if test $left -gt 0; and not string match -q -- 'optional -*' "$takes $word"
            set left (math $left - 1)
            # The name of a property says how many words follow it.
            if test "$takes $left" = 'property 1'; and string match -qi -- user-property "$word"
                set takes user-property
                set left 2
            end
            continue
        end
        set left 0
        if test -z "$ended"; and test "$word" = --
            set ended yes
        else if test -z "$ended"; and string match -q -- '-?*' "$word"
            # Of a cluster the letters that take no value, and the first that takes one.
            set -l parts (string match -r -- '^(--[^=]+)(.*)$' "$word"; or string match -r -- '^-[{flags}]*(.)(.*)$' "$word")
            set -l option (string replace -r -- '^([^-])' '-$1' "$parts[2]")
            switch $option
{takes}
                case '*'
                    set takes ''
            end
            test -n "$parts[3]"; and test $left -gt 0; and set left (math $left - 1)
{after_option}
        else
            set -l longer (string trim -- "$at $word")
            switch $longer
{places}
            end
        end
    end
    # Behind -D nothing but its words.
    string match -q -- "*property" $takes; and test $left -gt 0; and set at -D
    contains -- "$at" $argv
end
