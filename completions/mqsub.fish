complete -c mqsub -s t -l topic -d 'Topic filter to subscribe to; may be repeated. Write \'#\' in quotes' -r -f
complete -c mqsub -l topic-qos -d 'Subscribe to FILTER with a QoS of its own, as in \'a/#=1\'; may be repeated' -r -f
complete -c mqsub -s U -l unsubscribe -d 'Unsubscribe from a topic filter, as a kept session may have it; may be repeated' -r -f
complete -c mqsub -s T -l filter-out -d 'Leave messages out whose topic matches; they do not count for -C. May be repeated' -r -f
complete -c mqsub -s q -l qos -d 'QoS of the subscriptions of -t' -r
complete -c mqsub -s C -d 'Exit after so many messages' -r
complete -c mqsub -s W -d 'Exit with 27 after this time; 0.5 and 500ms are understood' -r
complete -c mqsub -l retain-handling -d 'When the broker sends retained messages; needs -V 5' -r -f -a "always\t'At every subscription'
new\t'When the subscription is not there yet'
never\t'Never'"
complete -c mqsub -l random-filter -d 'Print only so many percent of the messages, picked at random' -r
complete -c mqsub -s F -d 'Print by a format: %t topic, %p payload, %x hex, %q QoS, %r retain, %I time, %j JSON and more' -r -f
complete -c mqsub -s h -l host -d 'Broker, a name or an IP address [default: localhost]' -r -f -a "(__fish_print_hostnames)"
complete -c mqsub -s p -l port -d 'Port [default: 1883, with TLS 8883]; 8883 turns TLS on' -r
complete -c mqsub -s L -l url -d 'Broker, user and topic in one: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC]; also ws[s]://, unix:PATH' -r -f
complete -c mqsub -l unix -d 'Connect to a unix domain socket' -r -F
complete -c mqsub -s u -l username -d 'User name' -r -f
complete -c mqsub -s P -l pw -d 'Password; others can see it in the list of processes, so prefer --pw-file or MQTT_PASSWORD' -r -f
complete -c mqsub -l pw-file -d 'Read the password from FILE; a newline at its end is not part of it' -r -F
complete -c mqsub -s i -l id -d 'Client identifier' -r -f
complete -c mqsub -s I -l id-prefix -d 'Client identifier of PREFIX and the process number; mqbench counts its clients instead' -r -f
complete -c mqsub -s k -l keepalive -d 'Keep Alive in seconds, 5 to 65535; 0 turns it off' -r
complete -c mqsub -s x -d 'Session Expiry Interval; -1 or ∞ is never. Implies -V 5' -r
complete -c mqsub -s V -l protocol-version -d 'MQTT version [default: 311]' -r -f -a "5\t'MQTT 5.0'
311\t'MQTT 3.1.1'
31\t'MQTT 3.1'"
complete -c mqsub -s A -d 'Local IP address to connect from; mqbench takes several, A,B,10.0.0.0/28, its clients in turn' -r -f
complete -c mqsub -s M -d 'Most messages of QoS 1 and 2 in flight [default: 20, mqbench 100]' -r
complete -c mqsub -l connect-timeout -d 'Give up when there is no connection after this time' -r
complete -c mqsub -l ws-path -d 'Path of the WebSocket [default: /mqtt]' -r -f
complete -c mqsub -l ws-header -d 'Header of the WebSocket request, as in \'Authorization: Bearer x\'; may be repeated' -r -f
complete -c mqsub -l proxy -d 'Go through a proxy: socks5h://, socks5:// or http://[USER:PASSWORD@]HOST[:PORT]; env reads the variables' -r -f
complete -c mqsub -l retry -d 'Try again so many times in a row when there is no connection, or "forever"' -r
complete -c mqsub -l backoff -d 'Wait so long before each new attempt [default: 1s]; 1s..30s waits twice as long each time' -r
complete -c mqsub -l cafile -d 'Trust the certificates in this PEM file' -r -F
complete -c mqsub -l capath -d 'Trust the certificates in the PEM files of this folder' -r -f -a "(__fish_complete_directories)"
complete -c mqsub -l cert -d 'Client certificate, PEM; needs --key' -r -F
complete -c mqsub -l key -d 'Private key of the client certificate, PEM; needs --cert' -r -F
complete -c mqsub -l key-pw-file -d 'Read the password of an encrypted private key from FILE' -r -F
complete -c mqsub -l tls-version -d 'TLS version to speak [default: either]' -r -f -a "tlsv1.2\t'TLS 1.2'
tlsv1.3\t'TLS 1.3'"
complete -c mqsub -l tls-alpn -d 'Application protocol (ALPN) to offer; may be repeated, most wanted first' -r -f
complete -c mqsub -l tls-keylog -d 'Append the keys of the connection to FILE, for Wireshark' -r -F
complete -c mqsub -l psk -d 'Pre-shared key in hexadecimal, in place of certificates; needs --psk-identity, and OpenSSL' -r
complete -c mqsub -l psk-identity -d 'Identity that goes with --psk' -r -f
complete -c mqsub -l ciphers -d 'Cipher suites to offer, as in openssl-ciphers(1); names that begin with TLS_ are for TLS 1.3. Needs OpenSSL' -r -f
complete -c mqsub -l tls-backend -d 'Library that speaks TLS [default: openssl where an option needs it, else rustls]' -r -f -a "rustls\t'rustls, which every build has'
openssl\t'The system\'s OpenSSL'"
complete -c mqsub -l keyform -d 'Form of the private key; engine is refused' -r -f -a "pem\t'In a PEM file'
engine\t'In an OpenSSL engine'"
complete -c mqsub -l tls-engine -d 'OpenSSL engine; refused' -r
complete -c mqsub -l tls-engine-kpass-sha1 -d 'Password of an OpenSSL engine\'s key; refused' -r
complete -c mqsub -l will-topic -d 'Topic of the message that the broker publishes when we vanish' -r -f
complete -c mqsub -l will-payload -d 'Its payload [default: empty]' -r -f
complete -c mqsub -l will-qos -d 'Its QoS [default: 0]' -r
complete -c mqsub -s D -l property -d 'Give a packet an MQTT 5 property, or user-property KEY VALUE; may be repeated. Implies -V 5' -r -f
complete -c mqsub -s o -d 'Read options from FILE in place of the default options files, one a line' -r -F
complete -c mqsub -s E -d 'Exit when the broker has answered the subscription'
complete -c mqsub -s R -d 'Leave retained messages out'
complete -c mqsub -l retained-only -d 'Print retained messages only, and exit when they are through'
complete -c mqsub -l remove-retained -d 'Remove the retained messages that come from the broker'
complete -c mqsub -l retain-as-published -d 'Have the broker pass the retain flag on as it was published; needs -V 5'
complete -c mqsub -l no-local -d 'Do not receive what this connection publishes; needs -V 5'
complete -c mqsub -s v -l verbose -d 'Print the topic before the payload'
complete -c mqsub -s N -d 'Print no newline after a message'
complete -c mqsub -l json -d 'Print every message as one line of JSON'
complete -c mqsub -l json-payload -d 'As --json; a payload that is JSON itself is not quoted but stands as it is, under payload_json'
complete -c mqsub -l pretty -d 'Indent the JSON of %j and %J'
complete -c mqsub -s w -l watch -d 'Keep one line of the screen for each topic'
complete -c mqsub -l message-rate -d 'Print the number of messages a second in place of the messages'
complete -c mqsub -s c -l disable-clean-session -d 'Keep the session (and what is queued for it) when the connection ends; needs -i'
complete -c mqsub -l nodelay -d 'Send every packet at once (TCP_NODELAY)'
complete -c mqsub -s S -d 'Find the broker by an SRV record; refused, as mosquitto refuses it unless built for it'
complete -c mqsub -l ws -d 'Speak MQTT over WebSocket; the port stays 1883, with TLS 8883, unless -p or a URL says otherwise'
complete -c mqsub -l tls -d 'Speak TLS, trusting the system\'s certification authorities unless others are named'
complete -c mqsub -l no-tls -d 'Do not speak TLS, whatever the other TLS options say'
complete -c mqsub -l tls-use-os-certs -d 'Trust the system\'s certification authorities too'
complete -c mqsub -l insecure -d 'Verify nothing: neither the server\'s certificate nor its name'
complete -c mqsub -l will-retain -d 'Retain it'
complete -c mqsub -s d -l debug -d 'Log what happens on stderr; -dd logs every packet'
complete -c mqsub -l quiet -d 'Print no errors while running; the exit status still tells them'
complete -c mqsub -l help -d 'Print help'
complete -c mqsub -l version -d 'Print version'
