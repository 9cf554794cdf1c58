# Completion of mqsub for fish. Generated from its options.

# The names in the file of the profiles.
function __mqsub_profiles
    set -l folder $HOME/.config
    test -n "$XDG_CONFIG_HOME"; and set folder $XDG_CONFIG_HOME
    test -r $folder/mqtools/profiles.toml
    and string replace -rf '^\s*\[([\w-]+).*' '$1' <$folder/mqtools/profiles.toml
end

complete -c mqsub -s t -l topic -d 'Topic filter to subscribe to, \'#\' in quotes; may be repeated' -r -f
complete -c mqsub -l topic-qos -d 'Subscribe to FILTER at this QoS, as in \'a/#=1\'; may be repeated' -r -f
complete -c mqsub -s U -l unsubscribe -d 'Unsubscribe from FILTER, to end a subscription of a kept session; may be repeated' -r -f
complete -c mqsub -s T -l filter-out -d 'Ignore messages whose topic matches FILTER; they do not count for -C. May be repeated' -r -f
complete -c mqsub -s q -l qos -d 'QoS of the subscriptions of -t' -r -f -a '0 1 2'
complete -c mqsub -s C -d 'Exit after COUNT messages' -r -f
complete -c mqsub -s W -d 'Exit with status 27 after TIME, as in 5, 0.5 or 500ms' -r -f
complete -c mqsub -s E -d 'Exit as soon as the broker has acknowledged the subscriptions'
complete -c mqsub -s R -d 'Do not print retained messages'
complete -c mqsub -l retained-only -d 'Print retained messages, and exit at the first other message, or when no message comes for a second'
complete -c mqsub -l retained -d 'Ignore messages that are not retained; with --once, exit when all retained messages have come'
complete -c mqsub -l once -d 'With --retained: exit when all retained messages have come'
complete -c mqsub -l no-marker -d 'With --once: publish nothing, and end when no retained message has come for a second'
complete -c mqsub -l remove-retained -d 'Remove each retained message received from the broker'
complete -c mqsub -l dry-run -d 'With --remove-retained: remove nothing, and print what would be removed'
complete -c mqsub -l retain-as-published -d 'Ask the broker to pass on the retain flag as published; needs -V 5'
complete -c mqsub -l retain-handling -d 'When the broker sends retained messages; needs -V 5' -r -f -a 'always\\t\'At each subscription\' new\\t\'Only if the subscription does not exist yet\' never\\t\'Never\''
complete -c mqsub -l no-local -d 'Do not receive messages that this connection publishes; needs -V 5'
complete -c mqsub -l random-filter -d 'Print only PERCENT % of the messages, chosen at random' -r -f
complete -c mqsub -l filter -d 'Ignore messages that do not match EXPR; they do not count for -C. May be repeated' -r -f
complete -c mqsub -l until -d 'Exit after the first message that matches EXPR' -r -f
complete -c mqsub -l expect -d 'Exit with status 0 as soon as a message matches EXPR; may be repeated' -r -f
complete -c mqsub -l within -d 'Time limit of --expect, from the moment the subscriptions are acknowledged' -r -f
complete -c mqsub -l count -d 'Number of messages that must match --expect [default: 1]' -r -f
complete -c mqsub -l none-within -d 'Fail if a message matches --expect within TIME; with --within or --count, if one more does' -r -f
complete -c mqsub -l silent-after -d 'Exit with status 41 when no message has come for TIME' -r -f
complete -c mqsub -l each-topic -d 'Apply --silent-after to each topic'
complete -c mqsub -l silent-exec -d 'When nothing has come for the time of --silent-after, run COMMAND instead of exiting' -r -f -a '(__fish_complete_command)'
complete -c mqsub -s v -l verbose -d 'Print the topic before the payload'
complete -c mqsub -s N -d 'Do not print a newline after each message'
complete -c mqsub -s F -d 'Output format: %t topic, %p payload, %x hex, %q QoS, %r retain, %I time, %j JSON and more' -r -f
complete -c mqsub -l json -d 'Print each message as one line of JSON'
complete -c mqsub -l json-payload -d 'Like --json, but put a payload that is JSON under payload_json, unquoted'
complete -c mqsub -l pretty -d 'Indent the JSON of %j and %J'
complete -c mqsub -s w -l watch -d 'Show the last message of each topic, updated in place'
complete -c mqsub -l message-rate -d 'Print the number of messages per second instead of the messages'
complete -c mqsub -l stats -d 'Print count, rate, bytes and last payload of each topic, every INTERVAL [default: 1s], and totals at the end' -r -f
complete -c mqsub -l tree -d 'Explore the topics on the terminal: a tree with last values, rates and histories'
complete -c mqsub -l from -d 'With --tree: explore a recording of --record instead of a broker' -r -F
complete -c mqsub -l max-memory -d 'With --tree: memory for topics, payloads and histories [default: 256M]' -r -f
complete -c mqsub -l allow-write -d 'With --tree: allow to publish, and to remove retained messages'
complete -c mqsub -l record -d 'Record the messages to FILE, one JSON object per line, as --json prints them' -r -F
complete -c mqsub -l rotate -d 'Begin the next file after SIZE or TIME, as in 100M or 1h' -r -f
complete -c mqsub -l append -d 'Continue FILE if it exists'
complete -c mqsub -l force -d 'Replace FILE if it exists'
complete -c mqsub -l run -d 'Run COMMAND for each message, with the payload on its stdin' -r -f -a '(__fish_complete_command)'
complete -c mqsub -l jobs -d 'Run up to COUNT commands of --run at a time [default: 1]' -r -f
complete -c mqsub -l to-dir -d 'Write the last payload of each topic to a file in DIR' -r -f -a '(__fish_complete_directories)'
complete -c mqsub -l to-dir-per -d 'With --to-dir: a file per topic with the last payload, or a file per message [default: topic]' -r -f -a 'topic\\t\'Each topic\' message\\t\'Each message\''
complete -c mqsub -l exec -d 'Run COMMAND once subscribed; if it fails, mqsub exits with its status' -r -f -a '(__fish_complete_command)'
complete -c mqsub -l ready-fd -d 'Write a line to file descriptor N once subscribed, and close it' -r -f
complete -c mqsub -l ready-file -d 'Create FILE once subscribed, and remove it at the end' -r -F
complete -c mqsub -s h -l host -d 'Host name or IP address of the broker [default: localhost]' -r -f -a '(__fish_print_hostnames)'
complete -c mqsub -s p -l port -d 'Port of the broker [default: 1883, or 8883 with TLS]; 8883 turns TLS on' -r -f
complete -c mqsub -s L -l url -d 'Broker, user and topic as a URL: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC], ws[s]://... or unix:PATH' -r -f -a 'mqtt:// mqtts:// ws:// wss:// unix:'
complete -c mqsub -l unix -d 'Connect to a Unix domain socket' -r -F
complete -c mqsub -s u -l username -d 'User name' -r -f
complete -c mqsub -s P -l pw -d 'Password; better --pw-file, --pw-fd, --ask-pw or MQTT_PASSWORD, which no process list shows' -r -f
complete -c mqsub -l pw-file -d 'Read the password from FILE; a trailing newline is ignored' -r -F
complete -c mqsub -l pw-fd -d 'Read the password from the open file descriptor NUMBER, as in --pw-fd 3 3<FILE' -r -f
complete -c mqsub -l ask-pw -d 'Ask for the password on the terminal'
complete -c mqsub -s i -l id -d 'Client identifier' -r -f
complete -c mqsub -s I -l id-prefix -d 'Use PREFIX and the process ID as the client identifier (mqbench: PREFIX and the client number)' -r -f
complete -c mqsub -s k -l keepalive -d 'Keep Alive in seconds, 5 to 65535; 0 turns it off' -r -f
complete -c mqsub -s c -l disable-clean-session -d 'Keep the session and its queued messages when the connection ends; needs -i'
complete -c mqsub -s x -d 'Session Expiry Interval in seconds; -1 or ∞ means never. Implies -V 5' -r -f
complete -c mqsub -s V -l protocol-version -d 'MQTT version [default: 311]' -r -f -a '5\\t\'MQTT 5.0\' 311\\t\'MQTT 3.1.1\' 31\\t\'MQTT 3.1\''
complete -c mqsub -s A -d 'Local IP address to connect from; mqbench also takes several, as in A,B,10.0.0.0/28, and rotates them' -r -f
complete -c mqsub -s M -d 'Maximum number of QoS 1 and 2 messages in flight [default: 20, mqbench: 100]' -r -f
complete -c mqsub -l nodelay -d 'Send each packet immediately (TCP_NODELAY)'
complete -c mqsub -l connect-timeout -d 'Give up if there is no connection within TIME' -r -f
complete -c mqsub -l ws -d 'Use MQTT over WebSocket; the port stays 1883, or 8883 with TLS, unless -p or a URL sets it'
complete -c mqsub -l ws-path -d 'Path of the WebSocket endpoint [default: /mqtt]' -r -f
complete -c mqsub -l ws-header -d 'Add a header to the WebSocket request, as in \'Authorization: Bearer x\'; may be repeated' -r -f
complete -c mqsub -l proxy -d 'Connect through a proxy: socks5h://, socks5:// or http://[USER:PASSWORD@]HOST[:PORT], or "env"' -r -f -a 'socks5h:// socks5:// http:// env'
complete -c mqsub -l retry -d 'Retry a failed connection up to COUNT times in a row, or "forever"' -r -f -a 'forever'
complete -c mqsub -l backoff -d 'Wait TIME before each retry [default: 1s]; 1s..30s doubles the wait each time, up to 30 s' -r -f
complete -c mqsub -l wait -d 'Keep trying until a broker answers, for at most TIME in total' -r -f
complete -c mqsub -l tls -d 'Use TLS; trusts the system\'s CA certificates unless others are given'
complete -c mqsub -l no-tls -d 'Do not use TLS, whatever the other TLS options are'
complete -c mqsub -l cafile -d 'Trust the CA certificates in FILE (PEM)' -r -F
complete -c mqsub -l capath -d 'Trust the CA certificates in the PEM files in FOLDER' -r -f -a '(__fish_complete_directories)'
complete -c mqsub -l tls-use-os-certs -d 'Trust the system\'s CA certificates as well'
complete -c mqsub -l cert -d 'Client certificate (PEM); needs --key' -r -F
complete -c mqsub -l key -d 'Private key of the client certificate (PEM); needs --cert' -r -F
complete -c mqsub -l key-pw-file -d 'Read the password of an encrypted private key from FILE' -r -F
complete -c mqsub -l tls-version -d 'TLS version to use [default: either]' -r -f -a 'tlsv1.2\\t\'TLS 1.2\' tlsv1.3\\t\'TLS 1.3\''
complete -c mqsub -l tls-alpn -d 'Application protocol (ALPN) to offer; may be repeated, in order of preference' -r -f
complete -c mqsub -l tls-keylog -d 'Append the TLS session keys to FILE, for Wireshark' -r -F
complete -c mqsub -l insecure -d 'Do not verify the server\'s certificate and host name'
complete -c mqsub -l psk -d 'Pre-shared key in hexadecimal, instead of certificates; needs --psk-identity and OpenSSL' -r -f
complete -c mqsub -l psk-identity -d 'Identity for --psk' -r -f
complete -c mqsub -l ciphers -d 'Cipher suites to offer, as in openssl-ciphers(1); names with TLS_ are for TLS 1.3. Needs OpenSSL' -r -f
complete -c mqsub -l tls-backend -d 'TLS library to use [default: openssl if an option needs it, else rustls]' -r -f -a 'rustls\\t\'rustls, which is part of every build\' openssl\\t\'The system\\\'s OpenSSL\''
complete -c mqsub -l will-topic -d 'Topic of the will, which the broker publishes if the connection is lost' -r -f
complete -c mqsub -l will-payload -d 'Payload of the will [default: empty]' -r -f
complete -c mqsub -l will-qos -d 'QoS of the will [default: 0]' -r -f -a '0 1 2'
complete -c mqsub -l will-retain -d 'Retain the will'
complete -c mqsub -s D -l property -d 'Add an MQTT 5 property to a packet, or a user-property KEY VALUE; may be repeated. Implies -V 5' -r -f
complete -c mqsub -l check -d 'Only check the broker, and report each step with its time [default: text]' -r -f -a 'text\\t\'One line per step\' json\\t\'One JSON object\''
complete -c mqsub -s d -l debug -d 'Log each packet to stderr; -dd also dumps its bytes'
complete -c mqsub -l quiet -d 'Print no errors at run time; the exit status still reports failure'
complete -c mqsub -s o -d 'Read options from FILE, one per line, instead of the default options files' -r -F
complete -c mqsub -l profile -d 'Use the options of the profile NAME in ~/.config/mqtools/profiles.toml; may be repeated' -r -f -a '(__mqsub_profiles)'
complete -c mqsub -l show-config -d 'Print the options that are in effect and where each comes from, secrets masked, and exit'
complete -c mqsub -l help -d 'Print help'
complete -c mqsub -l version -d 'Print version'
complete -c mqsub -f
