# Completion of mqbroker for fish. Generated from its options.

# Whether the verbs before the cursor are one of these; "" is none.
function __mqbroker_at
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
            set -l parts (string match -r -- '^(--[^=]+)(.*)$' "$word"; or string match -r -- '^-[vdh]*(.)(.*)$' "$word")
            set -l option (string replace -r -- '^([^-])' '-$1' "$parts[2]")
            switch $option
                case -p --port --ws-port -c --config-file
                    set takes value
                    set left 1
                case '*'
                    set takes ''
            end
            test -n "$parts[3]"; and test $left -gt 0; and set left (math $left - 1)
            test -z "$at"; and set at -
        else
            set -l longer (string trim -- "$at $word")
            switch $longer
                case 'passwd'
                    set at $longer
                case 'passwd *'
                    set at 'passwd FILE'
            end
        end
    end
    # Behind -D nothing but its words.
    string match -q -- "*property" $takes; and test $left -gt 0; and set at -D
    contains -- "$at" $argv
end

complete -c mqbroker -n '__mqbroker_at "" -' -s p -l port -d 'Port to listen on [default: 1883]; 0 selects a free port and logs it. May be repeated' -r -f
complete -c mqbroker -n '__mqbroker_at "" -' -l ws-port -d 'Port for MQTT over WebSocket, path /mqtt [default: none]; 0 selects a free port and logs it' -r -f
complete -c mqbroker -n '__mqbroker_at "" -' -s c -l config-file -d 'Read the configuration from FILE, in the format of mosquitto.conf' -r -F
complete -c mqbroker -n '__mqbroker_at "" -' -s v -l verbose -d 'Log each packet, in mosquitto\'s format; -vv also logs each byte'
complete -c mqbroker -n '__mqbroker_at "" -' -s d -l daemon -d 'Run in the background'
complete -c mqbroker -n '__mqbroker_at "" -' -l test-config -d 'Check the configuration and the files it refers to, then exit'
complete -c mqbroker -n '__mqbroker_at "" -' -l version -d 'Print version'
complete -c mqbroker -n 'not __mqbroker_at "passwd FILE"' -s h -l help -d 'Print help'
complete -c mqbroker -n 'not __mqbroker_at passwd' -f
complete -c mqbroker -n '__mqbroker_at ""' -a passwd -d 'Set a user\'s password in a password file'
