# Completion of mqrr for fish. Generated from its options.

# The names in the file of the profiles.
function __mqrr_profiles
    set -l folder $HOME/.config
    test -n "$XDG_CONFIG_HOME"; and set folder $XDG_CONFIG_HOME
    test -r $folder/mqtools/profiles.toml
    and string replace -rf '^\s*\[([\w-]+).*' '$1' <$folder/mqtools/profiles.toml
end

complete -c mqrr -s t -l topic -d 'Topic to send the request to' -r -f
complete -c mqrr -s m -l message -d 'Send TEXT as the request' -r -f
complete -c mqrr -s f -l file -d 'Send the contents of FILE, which may be a pipe; with -l, send each of its lines' -r -F
complete -c mqrr -s l -l stdin-line -d 'Send each line of stdin as a request, after the response to the previous one'
complete -c mqrr -s s -l stdin-file -d 'Send all of stdin as one request'
complete -c mqrr -s n -l null-message -d 'Send an empty request'
complete -c mqrr -s q -l qos -d 'QoS of the request, and maximum QoS of the response' -r -f -a '0 1 2'
complete -c mqrr -l repeat -d 'Send the request COUNT times, each after the response to the previous one' -r -f
complete -c mqrr -l repeat-delay -d 'Wait TIME between a response and the next request of --repeat' -r -f
complete -c mqrr -s e -l response-topic -d 'Topic for the responses [default: a unique topic]' -r -f
complete -c mqrr -s C -d 'Wait for COUNT responses to each request' -r -f
complete -c mqrr -s W -d 'Give up if the responses do not arrive within TIME, as in 5, 0.5 or 500ms' -r -f
complete -c mqrr -l no-correlation-check -d 'Accept any message on the response topic, whatever its correlation data'
complete -c mqrr -l latency -d 'Report the latency of each response, on stderr or in --json, and a summary for several requests'
complete -c mqrr -s R -d 'Ignore retained messages, even with matching correlation data'
complete -c mqrr -l retain-as-published -d 'Ask the broker to pass on the retain flag as published; needs MQTT 5'
complete -c mqrr -l retain-handling -d 'When the broker sends retained messages; needs MQTT 5' -r -f -a 'always\\t\'At each subscription\' new\\t\'Only if the subscription does not exist yet\' never\\t\'Never\''
complete -c mqrr -s v -l verbose -d 'Print the topic before the payload'
complete -c mqrr -s N -d 'Do not print a newline after each message'
complete -c mqrr -s F -d 'Output format: %t topic, %p payload, %x hex, %q QoS, %r retain, %I time, %j JSON and more' -r -f
complete -c mqrr -l json -d 'Print each message as one line of JSON'
complete -c mqrr -l json-payload -d 'Like --json, but put a payload that is JSON under payload_json, unquoted'
complete -c mqrr -l pretty -d 'Indent the JSON of %j and %J'
complete -c mqrr -s h -l host -d 'Host name or IP address of the broker [default: localhost]' -r -f -a '(__fish_print_hostnames)'
complete -c mqrr -s p -l port -d 'Port of the broker [default: 1883, or 8883 with TLS]; 8883 turns TLS on' -r -f
complete -c mqrr -s L -l url -d 'Broker, user and topic as a URL: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC], ws[s]://... or unix:PATH' -r -f -a 'mqtt:// mqtts:// ws:// wss:// unix:'
complete -c mqrr -l unix -d 'Connect to a Unix domain socket' -r -F
complete -c mqrr -s u -l username -d 'User name' -r -f
complete -c mqrr -s P -l pw -d 'Password; better --pw-file, --pw-fd, --ask-pw or MQTT_PASSWORD, which no process list shows' -r -f
complete -c mqrr -l pw-file -d 'Read the password from FILE; a trailing newline is ignored' -r -F
complete -c mqrr -l pw-fd -d 'Read the password from the open file descriptor NUMBER, as in --pw-fd 3 3<FILE' -r -f
complete -c mqrr -l ask-pw -d 'Ask for the password on the terminal'
complete -c mqrr -s i -l id -d 'Client identifier' -r -f
complete -c mqrr -s I -l id-prefix -d 'Use PREFIX and the process ID as the client identifier (mqbench: PREFIX and the client number)' -r -f
complete -c mqrr -s k -l keepalive -d 'Keep Alive in seconds, 5 to 65535; 0 turns it off' -r -f
complete -c mqrr -s c -l disable-clean-session -d 'Keep the session and its queued messages when the connection ends; needs -i'
complete -c mqrr -s x -d 'Session Expiry Interval in seconds; -1 or ∞ means never. Implies -V 5' -r -f
complete -c mqrr -s V -l protocol-version -d 'MQTT version' -r -f -a '5\\t\'MQTT 5.0\' 311\\t\'MQTT 3.1.1\' 31\\t\'MQTT 3.1\''
complete -c mqrr -s A -d 'Local IP address to connect from; mqbench also takes several, as in A,B,10.0.0.0/28, and rotates them' -r -f
complete -c mqrr -s M -d 'Maximum number of QoS 1 and 2 messages in flight [default: 20, mqbench: 100]' -r -f
complete -c mqrr -l nodelay -d 'Send each packet immediately (TCP_NODELAY)'
complete -c mqrr -l connect-timeout -d 'Give up if there is no connection within TIME' -r -f
complete -c mqrr -l ws -d 'Use MQTT over WebSocket; the port stays 1883, or 8883 with TLS, unless -p or a URL sets it'
complete -c mqrr -l ws-path -d 'Path of the WebSocket endpoint [default: /mqtt]' -r -f
complete -c mqrr -l ws-header -d 'Add a header to the WebSocket request, as in \'Authorization: Bearer x\'; may be repeated' -r -f
complete -c mqrr -l proxy -d 'Connect through a proxy: socks5h://, socks5:// or http://[USER:PASSWORD@]HOST[:PORT], or "env"' -r -f -a 'socks5h:// socks5:// http:// env'
complete -c mqrr -l retry -d 'Retry a failed connection up to COUNT times in a row, or "forever"' -r -f -a 'forever'
complete -c mqrr -l backoff -d 'Wait TIME before each retry [default: 1s]; 1s..30s doubles the wait each time, up to 30 s' -r -f
complete -c mqrr -l wait -d 'Keep trying until a broker answers, for at most TIME in total' -r -f
complete -c mqrr -l tls -d 'Use TLS; trusts the system\'s CA certificates unless others are given'
complete -c mqrr -l no-tls -d 'Do not use TLS, whatever the other TLS options are'
complete -c mqrr -l cafile -d 'Trust the CA certificates in FILE (PEM)' -r -F
complete -c mqrr -l capath -d 'Trust the CA certificates in the PEM files in FOLDER' -r -f -a '(__fish_complete_directories)'
complete -c mqrr -l tls-use-os-certs -d 'Trust the system\'s CA certificates as well'
complete -c mqrr -l cert -d 'Client certificate (PEM); needs --key' -r -F
complete -c mqrr -l key -d 'Private key of the client certificate (PEM); needs --cert' -r -F
complete -c mqrr -l key-pw-file -d 'Read the password of an encrypted private key from FILE' -r -F
complete -c mqrr -l tls-version -d 'TLS version to use [default: either]' -r -f -a 'tlsv1.2\\t\'TLS 1.2\' tlsv1.3\\t\'TLS 1.3\''
complete -c mqrr -l tls-alpn -d 'Application protocol (ALPN) to offer; may be repeated, in order of preference' -r -f
complete -c mqrr -l tls-keylog -d 'Append the TLS session keys to FILE, for Wireshark' -r -F
complete -c mqrr -l insecure -d 'Do not verify the server\'s certificate and host name'
complete -c mqrr -l psk -d 'Pre-shared key in hexadecimal, instead of certificates; needs --psk-identity and OpenSSL' -r -f
complete -c mqrr -l psk-identity -d 'Identity for --psk' -r -f
complete -c mqrr -l ciphers -d 'Cipher suites to offer, as in openssl-ciphers(1); names with TLS_ are for TLS 1.3. Needs OpenSSL' -r -f
complete -c mqrr -l tls-backend -d 'TLS library to use [default: openssl if an option needs it, else rustls]' -r -f -a 'rustls\\t\'rustls, which is part of every build\' openssl\\t\'The system\\\'s OpenSSL\''
complete -c mqrr -l will-topic -d 'Topic of the will, which the broker publishes if the connection is lost' -r -f
complete -c mqrr -l will-payload -d 'Payload of the will [default: empty]' -r -f
complete -c mqrr -l will-qos -d 'QoS of the will [default: 0]' -r -f -a '0 1 2'
complete -c mqrr -l will-retain -d 'Retain the will'
complete -c mqrr -s D -l property -d 'Add an MQTT 5 property to a packet, or a user-property KEY VALUE; may be repeated. Implies -V 5' -r -f
complete -c mqrr -s d -l debug -d 'Log each packet to stderr; -dd also dumps its bytes'
complete -c mqrr -l quiet -d 'Print no errors at run time; the exit status still reports failure'
complete -c mqrr -s o -d 'Read options from FILE, one per line, instead of the default options files' -r -F
complete -c mqrr -l profile -d 'Use the options of the profile NAME in ~/.config/mqtools/profiles.toml; may be repeated' -r -f -a '(__mqrr_profiles)'
complete -c mqrr -l show-config -d 'Print the options that are in effect and where each comes from, secrets masked, and exit'
complete -c mqrr -l help -d 'Print help'
complete -c mqrr -l version -d 'Print version'
complete -c mqrr -f
