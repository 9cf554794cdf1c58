# Completion of mqbench for fish. Generated from its options.

# The names in the file of the profiles.
function __mqbench_profiles
    set -l folder $HOME/.config
    test -n "$XDG_CONFIG_HOME"; and set folder $XDG_CONFIG_HOME
    test -r $folder/mqtools/profiles.toml
    and string replace -rf '^\s*\[([\w-]+).*' '$1' <$folder/mqtools/profiles.toml
end

# Whether the verbs before the cursor are one of these; "" is none.
function __mqbench_at
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
            set -l parts (string match -r -- '^(--[^=]+)(.*)$' "$word"; or string match -r -- '^-[rcSd]*(.)(.*)$' "$word")
            set -l option (string replace -r -- '^([^-])' '-$1' "$parts[2]")
            switch $option
                case --reconnect
                    set takes optional
                    set left 1
                case -D --property
                    set takes property
                    set left 3
                case --shape --clients --pubs --subs --rate --rate-per-client --arrival --behind --seed -t --topic -q --qos --size --payload -m --message --csv -f --file --window --connect-rate --threads --duration --warmup --drain -C --hosts --pair --client --hold --ping-interval --broker-pid --runs --cool-down --baseline --tolerance --slo --probe --find-from --find-limit --shard --job --barrier --control --barrier-timeout --start-at --engine --shards --image --target --out --name --label --gate --prometheus -h --host -p --port -L --url --unix -u --username -P --pw --pw-file --pw-fd -i --id -I --id-prefix -k --keepalive -x -V --protocol-version -A -M --connect-timeout --ws-path --ws-header --proxy --cafile --capath --cert --key --key-pw-file --tls-version --tls-alpn --tls-keylog --psk --psk-identity --ciphers --tls-backend --keyform --tls-engine --tls-engine-kpass-sha1 --will-topic --will-payload --will-qos -o --profile
                    set takes value
                    set left 1
                case '*'
                    set takes ''
            end
            test -n "$parts[3]"; and test $left -gt 0; and set left (math $left - 1)
        else
            set -l longer (string trim -- "$at $word")
            switch $longer
                case 'pub' 'sub' 'conn' 'echo' 'self' 'doctor' 'doctor pub' 'doctor sub' 'doctor conn' 'doctor echo' 'report' 'merge' 'compare' 'find' 'plan' 'plan pub' 'plan sub' 'plan conn' 'plan echo'
                    set at $longer
            end
        end
    end
    # Behind -D nothing but its words.
    string match -q -- "*property" $takes; and test $left -gt 0; and set at -D
    contains -- "$at" $argv
end

complete -c mqbench -s q -l qos -d 'QoS of publishers and subscribers' -r -f -a '0 1 2'
complete -c mqbench -l window -d 'What frees a slot in the window (-M)' -r -f -a 'delivery\\t\'The message was delivered to the subscribers of this run and, at QoS 1 and 2, acknowledged\' ack\\t\'The message was acknowledged\' none\\t\'Nothing: there is no window\''
complete -c mqbench -l threads -d 'Number of threads [default: one per core, half as many if the broker is on this machine]' -r -f
complete -c mqbench -l drain -d 'Wait at most TIME for outstanding messages after each stage' -r -f
complete -c mqbench -l json -d 'Print the result as one JSON document (mqbench-result/1)'
complete -c mqbench -l details -d 'Print every figure of every stage, not only the verdict and the key figures'
complete -c mqbench -l out -d 'Write the result to FILE in the format of its suffix; may be repeated' -r -F
complete -c mqbench -l name -d 'Name of the run, for the result' -r -f
complete -c mqbench -l label -d 'Label of the run, for the result, as KEY=VALUE; may be repeated' -r -f
complete -c mqbench -l no-latency -d 'Do not record latency; takes less CPU time per message'
complete -c mqbench -s u -l username -d 'User name' -r -f
complete -c mqbench -s P -l pw -d 'Password; better --pw-file, --pw-fd, --ask-pw or MQTT_PASSWORD, which no process list shows' -r -f
complete -c mqbench -l pw-file -d 'Read the password from FILE; a trailing newline is ignored' -r -F
complete -c mqbench -s i -l id -d 'Client identifier' -r -f
complete -c mqbench -s I -l id-prefix -d 'Use PREFIX and the process ID as the client identifier (mqbench: PREFIX and the client number)' -r -f
complete -c mqbench -s k -l keepalive -d 'Keep Alive in seconds, 5 to 65535; 0 turns it off' -r -f
complete -c mqbench -s c -l disable-clean-session -d 'Keep the session and its queued messages when the connection ends; needs -i'
complete -c mqbench -s x -d 'Session Expiry Interval in seconds; -1 or ∞ means never. Implies -V 5' -r -f
complete -c mqbench -s V -l protocol-version -d 'MQTT version [default: 311]' -r -f -a '5\\t\'MQTT 5.0\' 311\\t\'MQTT 3.1.1\' 31\\t\'MQTT 3.1\''
complete -c mqbench -s A -d 'Local IP address to connect from; mqbench also takes several, as in A,B,10.0.0.0/28, and rotates them' -r -f
complete -c mqbench -s M -d 'Maximum number of QoS 1 and 2 messages in flight [default: 20, mqbench: 100]' -r -f
complete -c mqbench -l nodelay -d 'Send each packet immediately (TCP_NODELAY)'
complete -c mqbench -l connect-timeout -d 'Give up if there is no connection within TIME' -r -f
complete -c mqbench -l ws -d 'Use MQTT over WebSocket; the port stays 1883, or 8883 with TLS, unless -p or a URL sets it'
complete -c mqbench -l ws-path -d 'Path of the WebSocket endpoint [default: /mqtt]' -r -f
complete -c mqbench -l ws-header -d 'Add a header to the WebSocket request, as in \'Authorization: Bearer x\'; may be repeated' -r -f
complete -c mqbench -l proxy -d 'Connect through a proxy: socks5h://, socks5:// or http://[USER:PASSWORD@]HOST[:PORT], or "env"' -r -f -a 'socks5h:// socks5:// http:// env'
complete -c mqbench -l tls -d 'Use TLS; trusts the system\'s CA certificates unless others are given'
complete -c mqbench -l no-tls -d 'Do not use TLS, whatever the other TLS options are'
complete -c mqbench -l cafile -d 'Trust the CA certificates in FILE (PEM)' -r -F
complete -c mqbench -l capath -d 'Trust the CA certificates in the PEM files in FOLDER' -r -f -a '(__fish_complete_directories)'
complete -c mqbench -l tls-use-os-certs -d 'Trust the system\'s CA certificates as well'
complete -c mqbench -l cert -d 'Client certificate (PEM); needs --key' -r -F
complete -c mqbench -l key -d 'Private key of the client certificate (PEM); needs --cert' -r -F
complete -c mqbench -l key-pw-file -d 'Read the password of an encrypted private key from FILE' -r -F
complete -c mqbench -l tls-version -d 'TLS version to use [default: either]' -r -f -a 'tlsv1.2\\t\'TLS 1.2\' tlsv1.3\\t\'TLS 1.3\''
complete -c mqbench -l tls-alpn -d 'Application protocol (ALPN) to offer; may be repeated, in order of preference' -r -f
complete -c mqbench -l tls-keylog -d 'Append the TLS session keys to FILE, for Wireshark' -r -F
complete -c mqbench -l insecure -d 'Do not verify the server\'s certificate and host name'
complete -c mqbench -l psk -d 'Pre-shared key in hexadecimal, instead of certificates; needs --psk-identity and OpenSSL' -r -f
complete -c mqbench -l psk-identity -d 'Identity for --psk' -r -f
complete -c mqbench -l ciphers -d 'Cipher suites to offer, as in openssl-ciphers(1); names with TLS_ are for TLS 1.3. Needs OpenSSL' -r -f
complete -c mqbench -l tls-backend -d 'TLS library to use [default: openssl if an option needs it, else rustls]' -r -f -a 'rustls\\t\'rustls, which is part of every build\' openssl\\t\'The system\\\'s OpenSSL\''
complete -c mqbench -l will-topic -d 'Topic of the will, which the broker publishes if the connection is lost' -r -f
complete -c mqbench -l will-payload -d 'Payload of the will [default: empty]' -r -f
complete -c mqbench -l will-qos -d 'QoS of the will [default: 0]' -r -f -a '0 1 2'
complete -c mqbench -l will-retain -d 'Retain the will'
complete -c mqbench -s D -l property -d 'Add an MQTT 5 property to a packet, or a user-property KEY VALUE; may be repeated. Implies -V 5' -r -f
complete -c mqbench -l quiet -d 'Print no errors at run time; the exit status still reports failure'
complete -c mqbench -s o -d 'Read options from FILE, one per line, instead of the default options files' -r -F
complete -c mqbench -l profile -d 'Use the options of the profile NAME in ~/.config/mqtools/profiles.toml; may be repeated' -r -f -a '(__mqbench_profiles)'
complete -c mqbench -l show-config -d 'Print the options that are in effect and where each comes from, secrets masked, and exit'
complete -c mqbench -l help -d 'Print help'
complete -c mqbench -l version -d 'Print version'
complete -c mqbench -n '__mqbench_at "" doctor report merge compare find plan' -l shape -d 'Who receives what: p2p, fan-in, fan-out or shared:GROUPS [default: p2p]' -r -f -a 'p2p fan-in fan-out shared:'
complete -c mqbench -n 'not __mqbench_at self' -l clients -d 'Number of publishers and of subscribers [default: 10]' -r -f
complete -c mqbench -n 'not __mqbench_at self' -l arrival -d 'Schedule of an open loop: fixed, poisson or burst:N [default: fixed]' -r -f -a 'fixed poisson burst:'
complete -c mqbench -n 'not __mqbench_at self' -l behind -d 'What to do with messages of an open loop that are late [default: queue]' -r -f -a 'queue\\t\'Send them late, and measure from when they were due\' skip\\t\'Drop and count them when the next message of the publisher is due\''
complete -c mqbench -n 'not __mqbench_at self' -l seed -d 'Seed of all random choices, to repeat a run; the result reports it [default: random]' -r -f
complete -c mqbench -n 'not __mqbench_at self' -l csv -d 'Fill in %{csv:COLUMN} from the rows of FILE, in -m, --payload template, -t, -i, -u and -P' -r -F
complete -c mqbench -n 'not __mqbench_at self' -l connect-rate -d 'New connections per second [default: as many as the broker accepts]' -r -f
complete -c mqbench -n 'not __mqbench_at self' -l busy-poll -d 'Spin instead of sleeping until a message is due: precise to microseconds, a full core per thread'
complete -c mqbench -n 'not __mqbench_at self' -l embedded -d 'Run against a broker inside this process'
complete -c mqbench -n 'not __mqbench_at self' -l hosts -d 'Several brokers, HOST[:PORT] separated by commas; assigned to the clients in rotation' -r -f
complete -c mqbench -n 'not __mqbench_at self' -l client -d 'Client library to use: mqbench\'s own engine, or rumqttc for a second opinion [default: mqbench]' -r -f -a 'mqbench\\t\'The engine of mqbench\' rumqttc\\t\'The crate rumqttc\''
complete -c mqbench -n 'not __mqbench_at self' -l sys -d 'Record the broker\'s own figures: the numbers that it publishes under $SYS/'
complete -c mqbench -n 'not __mqbench_at self' -l no-sys -d 'Do not query the name and version of the broker'
complete -c mqbench -n 'not __mqbench_at self' -l gate -d 'Exit with status 3 unless EXPR holds, as in \'e2e.p99 <= 20ms && lost == 0\'; may be repeated' -r -f
complete -c mqbench -n 'not __mqbench_at self' -l prometheus -d 'Serve the running figures to Prometheus, at http://ADDR:PORT/metrics' -r -f
complete -c mqbench -n 'not __mqbench_at self' -s h -l host -d 'Host name or IP address of the broker [default: localhost]' -r -f -a '(__fish_print_hostnames)'
complete -c mqbench -n 'not __mqbench_at self' -s p -l port -d 'Port of the broker [default: 1883, or 8883 with TLS]; 8883 turns TLS on' -r -f
complete -c mqbench -n 'not __mqbench_at self' -s L -l url -d 'Broker, user and topic as a URL: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC], ws[s]://... or unix:PATH' -r -f -a 'mqtt:// mqtts:// ws:// wss:// unix:'
complete -c mqbench -n 'not __mqbench_at self' -l unix -d 'Connect to a Unix domain socket' -r -F
complete -c mqbench -n '__mqbench_at "" pub doctor "doctor pub" report merge compare find plan "plan pub"' -l pubs -d 'Number of publishers [default: --clients]; 0 only receives' -r -f
complete -c mqbench -n '__mqbench_at "" sub doctor "doctor sub" report merge compare find plan "plan sub"' -l subs -d 'Number of subscribers [default: --clients]; 0 only sends' -r -f
complete -c mqbench -n 'not __mqbench_at conn self "doctor conn" find "plan conn"' -l flood -d 'Only flood: send as fast as the window allows (closed loop)'
complete -c mqbench -n 'not __mqbench_at conn self "doctor conn" find "plan conn"' -l rate -d 'Only send RATE messages per second in total (open loop)' -r -f
complete -c mqbench -n 'not __mqbench_at conn self "doctor conn" find "plan conn"' -l rate-per-client -d 'Only send RATE messages per second from each publisher (open loop)' -r -f
complete -c mqbench -n 'not __mqbench_at conn self "doctor conn" find "plan conn"' -l duration -d 'Measured time of all stages together [default: 10s; with -C, until all messages are done]' -r -f
complete -c mqbench -n 'not __mqbench_at conn self "doctor conn" find "plan conn"' -s C -d 'Measure COUNT messages in total; with --duration, whichever ends first' -r -f
complete -c mqbench -n 'not __mqbench_at conn self "doctor conn" "plan conn"' -s t -l topic -d 'Topic template; may be repeated [default: a unique topic per run and publisher]' -r -f
complete -c mqbench -n 'not __mqbench_at conn self "doctor conn" "plan conn"' -l size -d 'Payload size in bytes, or A..B for a random size per message [default: 64]' -r -f
complete -c mqbench -n 'not __mqbench_at conn self "doctor conn" "plan conn"' -l payload -d 'Payload contents: zero, random, text or template:FILE [default: zero]' -r -f -a 'zero random text template:'
complete -c mqbench -n 'not __mqbench_at conn self "doctor conn" "plan conn"' -s m -l message -d 'Send TEXT; fills in placeholders such as %i and %s, as in --payload template' -r -f
complete -c mqbench -n 'not __mqbench_at conn self "doctor conn" "plan conn"' -s f -l file -d 'Send the contents of FILE unchanged; use --payload template to fill in placeholders' -r -F
complete -c mqbench -n 'not __mqbench_at conn self "doctor conn" "plan conn"' -l warmup -d 'Unmeasured load before each stage [default: 1s; none with -C]' -r -f
complete -c mqbench -n 'not __mqbench_at conn self "doctor conn" "plan conn"' -l reconnect -d 'Reconnect every TIME after a connection is lost, and measure the outage [default: 1s]' -r -f
complete -c mqbench -n 'not __mqbench_at conn echo self "doctor conn" "doctor echo" "plan conn" "plan echo"' -s r -l retain -d 'Publish with the retain flag; the retained messages are removed at the end'
complete -c mqbench -n '__mqbench_at "" self' -l full -d 'mqbench self: measure every QoS, size, connection count and thread count; takes some minutes'
complete -c mqbench -n 'not __mqbench_at conn self "doctor conn" report merge compare "plan conn"' -l pair -d 'With --hosts: a publisher and its subscribers on the same broker, or on two (cross) [default: same]' -r -f -a 'same\\t\'On the same broker\' cross\\t\'On the next broker\''
complete -c mqbench -n '__mqbench_at "" conn doctor "doctor conn" plan "plan conn"' -l hold -d 'mqbench conn: hold the connections for TIME [default: 10s]' -r -f
complete -c mqbench -n '__mqbench_at "" conn doctor "doctor conn" plan "plan conn"' -l ping-interval -d 'mqbench conn: time between the pings of a client [default: Keep Alive, with at least one ping]' -r -f
complete -c mqbench -n 'not __mqbench_at self plan "plan pub" "plan sub" "plan conn" "plan echo"' -l broker-pid -d 'Report CPU time and memory of the broker\'s process, by its PID, auto or none (Linux)' -r -f -a 'auto'
complete -c mqbench -n '__mqbench_at "" pub sub conn echo plan "plan pub" "plan sub" "plan conn" "plan echo"' -l runs -d 'Run COUNT times, and report medians with 95 % confidence intervals [default: 1; with --ab 5]' -r -f
complete -c mqbench -n '__mqbench_at "" pub sub conn echo' -l cool-down -d 'Wait TIME between two runs [default: 1s]' -r -f
complete -c mqbench -n '__mqbench_at "" pub sub conn echo' -l ab -d 'With --hosts A,B: measure A and B alternately, --runs each, and compare B with A'
complete -c mqbench -n 'not __mqbench_at self doctor "doctor pub" "doctor sub" "doctor conn" "doctor echo" compare find' -l baseline -d 'Compare with the result in FILE; in --gate, \'vs(e2e.p99) <= +10%\' is the change against it' -r -F
complete -c mqbench -n '__mqbench_at "" pub sub conn echo report merge compare' -l tolerance -d 'Treat changes of up to PERCENT as no difference [default: 5]' -r -f
complete -c mqbench -n '__mqbench_at "" pub sub conn echo report merge compare' -l any-plan -d 'Compare results of different plans too, for example QoS 1 with QoS 2'
complete -c mqbench -n '__mqbench_at "" find' -l slo -d 'mqbench find: what a rate must meet [default: \'e2e.p99 < 10ms && lost == 0\']' -r -f
complete -c mqbench -n '__mqbench_at "" find' -l probe -d 'mqbench find: measure each rate for TIME [default: 10s]; the answer is confirmed for three times as long' -r -f
complete -c mqbench -n '__mqbench_at "" find' -l find-from -d 'mqbench find: begin at RATE messages per second [default: a quarter of what a short flood delivers]' -r -f
complete -c mqbench -n '__mqbench_at "" find' -l find-limit -d 'mqbench find: stop after TIME, with what was found by then [default: 15m]' -r -f
complete -c mqbench -n '__mqbench_at "" pub sub conn echo doctor "doctor pub" "doctor sub" "doctor conn" "doctor echo"' -l shard -d 'Run only shard I of N, counted from 0; auto takes I and N from the variables of the engine' -r -f
complete -c mqbench -n '__mqbench_at "" pub sub conn echo doctor "doctor pub" "doctor sub" "doctor conn" "doctor echo"' -l job -d 'Name of the run, the same in all its shards and another one in each run [default: the engine\'s job]' -r -f
complete -c mqbench -n 'not __mqbench_at self report merge compare find' -l barrier -d 'How shards wait for each other before the load: broker, a folder that all share, or none [default: broker]' -r -f -a '(__fish_complete_directories)'
complete -c mqbench -n 'not __mqbench_at self report merge compare find' -l control -d 'Use the broker at URL for the barrier, not the one under test' -r -f -a 'mqtt:// mqtts:// ws:// wss:// unix:'
complete -c mqbench -n 'not __mqbench_at self report merge compare find' -l barrier-timeout -d 'Wait at most TIME for the other shards, then report which are missing [default: 2m]' -r -f
complete -c mqbench -n 'not __mqbench_at self report merge compare find' -l start-at -d 'Start the load at this moment of the machine\'s clock: RFC 3339, or seconds since 1970' -r -f
complete -c mqbench -n '__mqbench_at "" merge plan "plan pub" "plan sub" "plan conn" "plan echo"' -l allow-partial -d 'With merge: accept that shards are missing; the result is then partial'
complete -c mqbench -n '__mqbench_at "" plan "plan pub" "plan sub" "plan conn" "plan echo"' -l engine -d 'mqbench plan: print the job file that runs the plan in --shards parts: slurm, mpi, kubernetes or parallel' -r -f -a 'slurm\\t\'Slurm: a file for sbatch\' mpi\\t\'Open MPI, MPICH: a script that calls mpirun\' kubernetes\\t\'Kubernetes: an Indexed Job\' parallel\\t\'GNU parallel: a script, on this machine or over ssh\''
complete -c mqbench -n '__mqbench_at "" plan "plan pub" "plan sub" "plan conn" "plan echo"' -l shards -d 'mqbench plan: number of shards, each a process, best on its own machine' -r -f
complete -c mqbench -n '__mqbench_at "" plan "plan pub" "plan sub" "plan conn" "plan echo"' -l image -d 'mqbench plan: the container image in the job file for Kubernetes [default: mqtools:latest]' -r -f
complete -c mqbench -n '__mqbench_at "" plan "plan pub" "plan sub" "plan conn" "plan echo"' -l target -d 'mqbench plan: how many machines a load needs, as in \'1M clients, 500k/s\'' -r -f
complete -c mqbench -n 'not __mqbench_at plan "plan pub" "plan sub" "plan conn" "plan echo"' -l pw-fd -d 'Read the password from the open file descriptor NUMBER, as in --pw-fd 3 3<FILE' -r -f
complete -c mqbench -n 'not __mqbench_at plan "plan pub" "plan sub" "plan conn" "plan echo"' -l ask-pw -d 'Ask for the password on the terminal'
complete -c mqbench -n 'not __mqbench_at report merge compare plan "plan pub" "plan sub" "plan conn" "plan echo"' -f
complete -c mqbench -n '__mqbench_at ""' -a pub -d 'Publish only; measures acknowledgements'
complete -c mqbench -n '__mqbench_at ""' -a sub -d 'Subscribe only; counts what other clients publish for --duration'
complete -c mqbench -n '__mqbench_at ""' -a conn -d 'Open connections and hold them; measures connecting and pings'
complete -c mqbench -n '__mqbench_at ""' -a echo -d 'Send messages through a responder and back; measures round trips'
complete -c mqbench -n '__mqbench_at ""' -a self -d 'Measure the ceiling of mqbench on this machine, and save it for later results'
complete -c mqbench -n '__mqbench_at ""' -a doctor -d 'Check whether this machine can run the plan, and how to fix it; makes no connections'
complete -c mqbench -n '__mqbench_at ""' -a report -d 'Print saved results, or convert them with --out: report FILE...'
complete -c mqbench -n '__mqbench_at ""' -a merge -d 'Add the results of one plan that ran in several parts: merge FILE... --out FILE'
complete -c mqbench -n '__mqbench_at ""' -a compare -d 'Compare results: compare FILE FILE...'
complete -c mqbench -n '__mqbench_at ""' -a find -d 'Find the highest rate that meets --slo'
complete -c mqbench -n '__mqbench_at ""' -a plan -d 'Print the job file of a run on several machines (--engine), or how many machines a load needs (--target)'
complete -c mqbench -n '__mqbench_at doctor' -a pub -d 'Publish only; measures acknowledgements'
complete -c mqbench -n '__mqbench_at doctor' -a sub -d 'Subscribe only; counts what other clients publish for --duration'
complete -c mqbench -n '__mqbench_at doctor' -a conn -d 'Open connections and hold them; measures connecting and pings'
complete -c mqbench -n '__mqbench_at doctor' -a echo -d 'Send messages through a responder and back; measures round trips'
complete -c mqbench -n '__mqbench_at plan' -a pub -d 'Publish only; measures acknowledgements'
complete -c mqbench -n '__mqbench_at plan' -a sub -d 'Subscribe only; counts what other clients publish for --duration'
complete -c mqbench -n '__mqbench_at plan' -a conn -d 'Open connections and hold them; measures connecting and pings'
complete -c mqbench -n '__mqbench_at plan' -a echo -d 'Send messages through a responder and back; measures round trips'
