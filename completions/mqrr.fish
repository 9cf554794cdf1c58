complete -c mqrr -s t -l topic -d 'Topic to send the request to' -r -f
complete -c mqrr -s m -l message -d 'Send this text' -r -f
complete -c mqrr -s f -l file -d 'Send the content of FILE, which may be a pipe; with -l each line of it' -r -F
complete -c mqrr -s q -l qos -d 'QoS of the request, and most that the response may come with' -r
complete -c mqrr -l repeat -d 'Send the request so many times, each when the one before has its response' -r
complete -c mqrr -l repeat-delay -d 'Wait so long between a response and the next request of --repeat' -r
complete -c mqrr -s e -l response-topic -d 'Topic on which the response is to come [default: one that nobody else has]' -r -f
complete -c mqrr -s C -d 'Wait for so many responses to each request' -r
complete -c mqrr -s W -d 'Give up when the responses have not come after this time; 0.5 and 500ms are understood' -r
complete -c mqrr -l retain-handling -d 'When the broker sends retained messages; needs MQTT 5' -r -f -a "always\t'At every subscription'
new\t'When the subscription is not there yet'
never\t'Never'"
complete -c mqrr -s F -d 'Print by a format: %t topic, %p payload, %x hex, %q QoS, %r retain, %I time, %j JSON and more' -r -f
complete -c mqrr -s h -l host -d 'Broker, a name or an IP address [default: localhost]' -r -f -a "(__fish_print_hostnames)"
complete -c mqrr -s p -l port -d 'Port [default: 1883, with TLS 8883]; 8883 turns TLS on' -r
complete -c mqrr -s L -l url -d 'Broker, user and topic in one: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC]; also ws[s]://, unix:PATH' -r -f
complete -c mqrr -l unix -d 'Connect to a unix domain socket' -r -F
complete -c mqrr -s u -l username -d 'User name' -r -f
complete -c mqrr -s P -l pw -d 'Password; others can see it in the list of processes, so prefer --pw-file or MQTT_PASSWORD' -r -f
complete -c mqrr -l pw-file -d 'Read the password from FILE; a newline at its end is not part of it' -r -F
complete -c mqrr -s i -l id -d 'Client identifier' -r -f
complete -c mqrr -s I -l id-prefix -d 'Client identifier of PREFIX and the process number; mqbench counts its clients instead' -r -f
complete -c mqrr -s k -l keepalive -d 'Keep Alive in seconds, 5 to 65535; 0 turns it off' -r
complete -c mqrr -s x -d 'Session Expiry Interval; -1 or ∞ is never. Implies -V 5' -r
complete -c mqrr -s V -l protocol-version -d 'MQTT version' -r -f -a "5\t'MQTT 5.0'
311\t'MQTT 3.1.1'
31\t'MQTT 3.1'"
complete -c mqrr -s A -d 'Local IP address to connect from; mqbench takes several, A,B,10.0.0.0/28, its clients in turn' -r -f
complete -c mqrr -s M -d 'Most messages of QoS 1 and 2 in flight [default: 20, mqbench 100]' -r
complete -c mqrr -l connect-timeout -d 'Give up when there is no connection after this time' -r
complete -c mqrr -l ws-path -d 'Path of the WebSocket [default: /mqtt]' -r -f
complete -c mqrr -l ws-header -d 'Header of the WebSocket request, as in \'Authorization: Bearer x\'; may be repeated' -r -f
complete -c mqrr -l proxy -d 'Go through a proxy: socks5h://, socks5:// or http://[USER:PASSWORD@]HOST[:PORT]; env reads the variables' -r -f
complete -c mqrr -l retry -d 'Try again so many times in a row when there is no connection, or "forever"' -r
complete -c mqrr -l backoff -d 'Wait so long before each new attempt [default: 1s]; 1s..30s waits twice as long each time' -r
complete -c mqrr -l cafile -d 'Trust the certificates in this PEM file' -r -F
complete -c mqrr -l capath -d 'Trust the certificates in the PEM files of this folder' -r -f -a "(__fish_complete_directories)"
complete -c mqrr -l cert -d 'Client certificate, PEM; needs --key' -r -F
complete -c mqrr -l key -d 'Private key of the client certificate, PEM; needs --cert' -r -F
complete -c mqrr -l key-pw-file -d 'Read the password of an encrypted private key from FILE' -r -F
complete -c mqrr -l tls-version -d 'TLS version to speak [default: either]' -r -f -a "tlsv1.2\t'TLS 1.2'
tlsv1.3\t'TLS 1.3'"
complete -c mqrr -l tls-alpn -d 'Application protocol (ALPN) to offer; may be repeated, most wanted first' -r -f
complete -c mqrr -l tls-keylog -d 'Append the keys of the connection to FILE, for Wireshark' -r -F
complete -c mqrr -l psk -d 'Pre-shared key in hexadecimal, in place of certificates; needs --psk-identity, and OpenSSL' -r
complete -c mqrr -l psk-identity -d 'Identity that goes with --psk' -r -f
complete -c mqrr -l ciphers -d 'Cipher suites to offer, as in openssl-ciphers(1); names that begin with TLS_ are for TLS 1.3. Needs OpenSSL' -r -f
complete -c mqrr -l tls-backend -d 'Library that speaks TLS [default: openssl where an option needs it, else rustls]' -r -f -a "rustls\t'rustls, which every build has'
openssl\t'The system\'s OpenSSL'"
complete -c mqrr -l keyform -d 'Form of the private key; engine is refused' -r -f -a "pem\t'In a PEM file'
engine\t'In an OpenSSL engine'"
complete -c mqrr -l tls-engine -d 'OpenSSL engine; refused' -r
complete -c mqrr -l tls-engine-kpass-sha1 -d 'Password of an OpenSSL engine\'s key; refused' -r
complete -c mqrr -l will-topic -d 'Topic of the message that the broker publishes when we vanish' -r -f
complete -c mqrr -l will-payload -d 'Its payload [default: empty]' -r -f
complete -c mqrr -l will-qos -d 'Its QoS [default: 0]' -r
complete -c mqrr -s D -l property -d 'Give a packet an MQTT 5 property, or user-property KEY VALUE; may be repeated. Implies -V 5' -r -f
complete -c mqrr -s o -d 'Read options from FILE in place of the default options files, one a line' -r -F
complete -c mqrr -s l -l stdin-line -d 'Send every line of stdin as a request, each when the one before has its response'
complete -c mqrr -s s -l stdin-file -d 'Send all of stdin as one request'
complete -c mqrr -s n -l null-message -d 'Send a request without payload'
complete -c mqrr -l no-correlation-check -d 'Take every message on the response topic for the response, whatever its correlation data'
complete -c mqrr -l latency -d 'Tell how long each response took, on stderr or in the JSON of --json; with several requests also sum it up'
complete -c mqrr -s R -d 'Leave retained messages out, even those with the right correlation data'
complete -c mqrr -l retain-as-published -d 'Have the broker pass the retain flag on as it was published; needs MQTT 5'
complete -c mqrr -s v -l verbose -d 'Print the topic before the payload'
complete -c mqrr -s N -d 'Print no newline after a message'
complete -c mqrr -l json -d 'Print every message as one line of JSON'
complete -c mqrr -l json-payload -d 'As --json; a payload that is JSON itself is not quoted but stands as it is, under payload_json'
complete -c mqrr -l pretty -d 'Indent the JSON of %j and %J'
complete -c mqrr -s c -l disable-clean-session -d 'Keep the session (and what is queued for it) when the connection ends; needs -i'
complete -c mqrr -l nodelay -d 'Send every packet at once (TCP_NODELAY)'
complete -c mqrr -s S -d 'Find the broker by an SRV record; refused, as mosquitto refuses it unless built for it'
complete -c mqrr -l ws -d 'Speak MQTT over WebSocket; the port stays 1883, with TLS 8883, unless -p or a URL says otherwise'
complete -c mqrr -l tls -d 'Speak TLS, trusting the system\'s certification authorities unless others are named'
complete -c mqrr -l no-tls -d 'Do not speak TLS, whatever the other TLS options say'
complete -c mqrr -l tls-use-os-certs -d 'Trust the system\'s certification authorities too'
complete -c mqrr -l insecure -d 'Verify nothing: neither the server\'s certificate nor its name'
complete -c mqrr -l will-retain -d 'Retain it'
complete -c mqrr -s d -l debug -d 'Log what happens on stderr; -dd logs every packet'
complete -c mqrr -l quiet -d 'Print no errors while running; the exit status still tells them'
complete -c mqrr -l help -d 'Print help'
complete -c mqrr -l version -d 'Print version'
