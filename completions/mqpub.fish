# Completion of mqpub for fish. Generated from its options.

# The names in the file of the profiles.
function __mqpub_profiles
    set -l folder $HOME/.config
    test -n "$XDG_CONFIG_HOME"; and set folder $XDG_CONFIG_HOME
    test -r $folder/mqtools/profiles.toml
    and string replace -rf '^\s*\[([\w-]+).*' '$1' <$folder/mqtools/profiles.toml
end

complete -c mqpub -s t -l topic -d 'Topic to publish to; if repeated, each message goes to each topic' -r -f
complete -c mqpub -s m -l message -d 'Send TEXT as the message' -r -f
complete -c mqpub -s f -l file -d 'Send the contents of FILE, which may be a pipe; with -l, send each of its lines' -r -F
complete -c mqpub -s l -l stdin-line -d 'Send each line of stdin as a message'
complete -c mqpub -s s -l stdin-file -d 'Send all of stdin as one message'
complete -c mqpub -s n -l null-message -d 'Send an empty message; with -r, this removes the retained message'
complete -c mqpub -s q -l qos -d 'QoS of the message' -r -f -a '0 1 2'
complete -c mqpub -l repeat -d 'Send the message COUNT times, each after the previous one completes' -r -f
complete -c mqpub -l repeat-delay -d 'Wait TIME between repetitions' -r -f
complete -c mqpub -s r -l retain -d 'Ask the broker to keep the message for later subscribers'
complete -c mqpub -l require-subscriber -d 'Fail unless each message has a subscriber; needs -V 5 and -q 1 or 2'
complete -c mqpub -l json -d 'Read each line of stdin, or of -f FILE, as a message in JSON'
complete -c mqpub -l topic-sep -d 'Read lines of the form TOPIC SEP PAYLOAD; SEP is TAB or any text' -r -f
complete -c mqpub -l null -d 'Records of -l, --json and --topic-sep end with NUL instead of a newline'
complete -c mqpub -l replay -d 'Replay the messages of FILE, as mqsub --record or --json wrote them, in their original rhythm; - is stdin' -r -F
complete -c mqpub -l speed -d 'Replay FACTOR times as fast, as in 10 or 0.5, or as fast as possible with max [default: 1]' -r -f -a 'max'
complete -c mqpub -l loop -d 'Replay the file COUNT times, or "forever"' -r -f
complete -c mqpub -l map -d 'Change the topics of --json, --topic-sep and --replay, as in \'site/#=copy/site/#\'; may be repeated' -r -f
complete -c mqpub -l on-error -d 'What to do with a line that is not a message: stop there, or skip it [default: stop]' -r -f -a 'stop\\t\'Stop reading\' skip\\t\'Go on with the next line\''
complete -c mqpub -l template -d 'Fill in placeholders such as %s, %{time} and %{uuid} in topics and messages; see TEMPLATES'
complete -c mqpub -l csv -d 'Fill in %{csv:COLUMN} from the rows of FILE; without -l and --repeat, send one message per row' -r -F
complete -c mqpub -l seed -d 'Draw random values from NUMBER: the same number gives the same messages' -r -f
complete -c mqpub -s h -l host -d 'Host name or IP address of the broker [default: localhost]' -r -f -a '(__fish_print_hostnames)'
complete -c mqpub -s p -l port -d 'Port of the broker [default: 1883, or 8883 with TLS]; 8883 turns TLS on' -r -f
complete -c mqpub -s L -l url -d 'Broker, user and topic as a URL: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC], ws[s]://... or unix:PATH' -r -f -a 'mqtt:// mqtts:// ws:// wss:// unix:'
complete -c mqpub -l unix -d 'Connect to a Unix domain socket' -r -F
complete -c mqpub -s u -l username -d 'User name' -r -f
complete -c mqpub -s P -l pw -d 'Password; better --pw-file, --pw-fd, --ask-pw or MQTT_PASSWORD, which no process list shows' -r -f
complete -c mqpub -l pw-file -d 'Read the password from FILE; a trailing newline is ignored' -r -F
complete -c mqpub -l pw-fd -d 'Read the password from the open file descriptor NUMBER, as in --pw-fd 3 3<FILE' -r -f
complete -c mqpub -l ask-pw -d 'Ask for the password on the terminal'
complete -c mqpub -s i -l id -d 'Client identifier' -r -f
complete -c mqpub -s I -l id-prefix -d 'Use PREFIX and the process ID as the client identifier (mqbench: PREFIX and the client number)' -r -f
complete -c mqpub -s k -l keepalive -d 'Keep Alive in seconds, 5 to 65535; 0 turns it off' -r -f
complete -c mqpub -s c -l disable-clean-session -d 'Keep the session and its queued messages when the connection ends; needs -i'
complete -c mqpub -s x -d 'Session Expiry Interval in seconds; -1 or ∞ means never. Implies -V 5' -r -f
complete -c mqpub -s V -l protocol-version -d 'MQTT version [default: 311]' -r -f -a '5\\t\'MQTT 5.0\' 311\\t\'MQTT 3.1.1\' 31\\t\'MQTT 3.1\''
complete -c mqpub -s A -d 'Local IP address to connect from; mqbench also takes several, as in A,B,10.0.0.0/28, and rotates them' -r -f
complete -c mqpub -s M -d 'Maximum number of QoS 1 and 2 messages in flight [default: 20, mqbench: 100]' -r -f
complete -c mqpub -l nodelay -d 'Send each packet immediately (TCP_NODELAY)'
complete -c mqpub -l connect-timeout -d 'Give up if there is no connection within TIME' -r -f
complete -c mqpub -l ws -d 'Use MQTT over WebSocket; the port stays 1883, or 8883 with TLS, unless -p or a URL sets it'
complete -c mqpub -l ws-path -d 'Path of the WebSocket endpoint [default: /mqtt]' -r -f
complete -c mqpub -l ws-header -d 'Add a header to the WebSocket request, as in \'Authorization: Bearer x\'; may be repeated' -r -f
complete -c mqpub -l proxy -d 'Connect through a proxy: socks5h://, socks5:// or http://[USER:PASSWORD@]HOST[:PORT], or "env"' -r -f -a 'socks5h:// socks5:// http:// env'
complete -c mqpub -l retry -d 'Retry a failed connection up to COUNT times in a row, or "forever"' -r -f -a 'forever'
complete -c mqpub -l backoff -d 'Wait TIME before each retry [default: 1s]; 1s..30s doubles the wait each time, up to 30 s' -r -f
complete -c mqpub -l wait -d 'Keep trying until a broker answers, for at most TIME in total' -r -f
complete -c mqpub -l tls -d 'Use TLS; trusts the system\'s CA certificates unless others are given'
complete -c mqpub -l no-tls -d 'Do not use TLS, whatever the other TLS options are'
complete -c mqpub -l cafile -d 'Trust the CA certificates in FILE (PEM)' -r -F
complete -c mqpub -l capath -d 'Trust the CA certificates in the PEM files in FOLDER' -r -f -a '(__fish_complete_directories)'
complete -c mqpub -l tls-use-os-certs -d 'Trust the system\'s CA certificates as well'
complete -c mqpub -l cert -d 'Client certificate (PEM); needs --key' -r -F
complete -c mqpub -l key -d 'Private key of the client certificate (PEM); needs --cert' -r -F
complete -c mqpub -l key-pw-file -d 'Read the password of an encrypted private key from FILE' -r -F
complete -c mqpub -l tls-version -d 'TLS version to use [default: either]' -r -f -a 'tlsv1.2\\t\'TLS 1.2\' tlsv1.3\\t\'TLS 1.3\''
complete -c mqpub -l tls-alpn -d 'Application protocol (ALPN) to offer; may be repeated, in order of preference' -r -f
complete -c mqpub -l tls-keylog -d 'Append the TLS session keys to FILE, for Wireshark' -r -F
complete -c mqpub -l insecure -d 'Do not verify the server\'s certificate and host name'
complete -c mqpub -l psk -d 'Pre-shared key in hexadecimal, instead of certificates; needs --psk-identity and OpenSSL' -r -f
complete -c mqpub -l psk-identity -d 'Identity for --psk' -r -f
complete -c mqpub -l ciphers -d 'Cipher suites to offer, as in openssl-ciphers(1); names with TLS_ are for TLS 1.3. Needs OpenSSL' -r -f
complete -c mqpub -l tls-backend -d 'TLS library to use [default: openssl if an option needs it, else rustls]' -r -f -a 'rustls\\t\'rustls, which is part of every build\' openssl\\t\'The system\\\'s OpenSSL\''
complete -c mqpub -l will-topic -d 'Topic of the will, which the broker publishes if the connection is lost' -r -f
complete -c mqpub -l will-payload -d 'Payload of the will [default: empty]' -r -f
complete -c mqpub -l will-qos -d 'QoS of the will [default: 0]' -r -f -a '0 1 2'
complete -c mqpub -l will-retain -d 'Retain the will'
complete -c mqpub -s D -l property -d 'Add an MQTT 5 property to a packet, or a user-property KEY VALUE; may be repeated. Implies -V 5' -r -f
complete -c mqpub -l summary -d 'Print a summary to stderr at the end' -r -f -a 'json\\t\'One JSON object\' text\\t\'One line for people\''
complete -c mqpub -l check -d 'Only check the broker, and report each step with its time [default: text]' -r -f -a 'text\\t\'One line per step\' json\\t\'One JSON object\''
complete -c mqpub -s d -l debug -d 'Log each packet to stderr; -dd also dumps its bytes'
complete -c mqpub -l quiet -d 'Print no errors at run time; the exit status still reports failure'
complete -c mqpub -s o -d 'Read options from FILE, one per line, instead of the default options files' -r -F
complete -c mqpub -l profile -d 'Use the options of the profile NAME in ~/.config/mqtools/profiles.toml; may be repeated' -r -f -a '(__mqpub_profiles)'
complete -c mqpub -l show-config -d 'Print the options that are in effect and where each comes from, secrets masked, and exit'
complete -c mqpub -l help -d 'Print help'
complete -c mqpub -l version -d 'Print version'
complete -c mqpub -f
