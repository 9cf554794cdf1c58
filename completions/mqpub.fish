complete -c mqpub -s t -l topic -d 'Topic to publish to' -r -f
complete -c mqpub -s m -l message -d 'Send this text' -r -f
complete -c mqpub -s f -l file -d 'Send the content of FILE, which may be a pipe; with -l each line of it' -r -F
complete -c mqpub -s q -l qos -d 'QoS of the message' -r
complete -c mqpub -l repeat -d 'Send the message so many times, each when the one before is through' -r
complete -c mqpub -l repeat-delay -d 'Wait so long between repetitions' -r
complete -c mqpub -s h -l host -d 'Broker, a name or an IP address [default: localhost]' -r -f -a "(__fish_print_hostnames)"
complete -c mqpub -s p -l port -d 'Port [default: 1883, with TLS 8883]; 8883 turns TLS on' -r
complete -c mqpub -s L -l url -d 'Broker, user and topic in one: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC]; also ws[s]://, unix:PATH' -r -f
complete -c mqpub -l unix -d 'Connect to a unix domain socket' -r -F
complete -c mqpub -s u -l username -d 'User name' -r -f
complete -c mqpub -s P -l pw -d 'Password; others can see it in the list of processes, so prefer --pw-file or MQTT_PASSWORD' -r -f
complete -c mqpub -l pw-file -d 'Read the password from FILE; a newline at its end is not part of it' -r -F
complete -c mqpub -s i -l id -d 'Client identifier' -r -f
complete -c mqpub -s I -l id-prefix -d 'Client identifier of PREFIX and the process number; mqbench counts its clients instead' -r -f
complete -c mqpub -s k -l keepalive -d 'Keep Alive in seconds, 5 to 65535; 0 turns it off' -r
complete -c mqpub -s x -d 'Session Expiry Interval; -1 or ∞ is never. Implies -V 5' -r
complete -c mqpub -s V -l protocol-version -d 'MQTT version [default: 311]' -r -f -a "5\t'MQTT 5.0'
311\t'MQTT 3.1.1'
31\t'MQTT 3.1'"
complete -c mqpub -s A -d 'Local IP address to connect from; mqbench takes several, A,B,10.0.0.0/28, its clients in turn' -r -f
complete -c mqpub -s M -d 'Most messages of QoS 1 and 2 in flight [default: 20, mqbench 100]' -r
complete -c mqpub -l connect-timeout -d 'Give up when there is no connection after this time' -r
complete -c mqpub -l ws-path -d 'Path of the WebSocket [default: /mqtt]' -r -f
complete -c mqpub -l ws-header -d 'Header of the WebSocket request, as in \'Authorization: Bearer x\'; may be repeated' -r -f
complete -c mqpub -l proxy -d 'Go through a proxy: socks5h://, socks5:// or http://[USER:PASSWORD@]HOST[:PORT]; env reads the variables' -r -f
complete -c mqpub -l retry -d 'Try again so many times in a row when there is no connection, or "forever"' -r
complete -c mqpub -l backoff -d 'Wait so long before each new attempt [default: 1s]; 1s..30s waits twice as long each time' -r
complete -c mqpub -l cafile -d 'Trust the certificates in this PEM file' -r -F
complete -c mqpub -l capath -d 'Trust the certificates in the PEM files of this folder' -r -f -a "(__fish_complete_directories)"
complete -c mqpub -l cert -d 'Client certificate, PEM; needs --key' -r -F
complete -c mqpub -l key -d 'Private key of the client certificate, PEM; needs --cert' -r -F
complete -c mqpub -l key-pw-file -d 'Read the password of an encrypted private key from FILE' -r -F
complete -c mqpub -l tls-version -d 'TLS version to speak [default: either]' -r -f -a "tlsv1.2\t'TLS 1.2'
tlsv1.3\t'TLS 1.3'"
complete -c mqpub -l tls-alpn -d 'Application protocol (ALPN) to offer; may be repeated, most wanted first' -r -f
complete -c mqpub -l tls-keylog -d 'Append the keys of the connection to FILE, for Wireshark' -r -F
complete -c mqpub -l psk -d 'Pre-shared key in hexadecimal, in place of certificates; needs --psk-identity, and OpenSSL' -r
complete -c mqpub -l psk-identity -d 'Identity that goes with --psk' -r -f
complete -c mqpub -l ciphers -d 'Cipher suites to offer, as in openssl-ciphers(1); names that begin with TLS_ are for TLS 1.3. Needs OpenSSL' -r -f
complete -c mqpub -l tls-backend -d 'Library that speaks TLS [default: openssl where an option needs it, else rustls]' -r -f -a "rustls\t'rustls, which every build has'
openssl\t'The system\'s OpenSSL'"
complete -c mqpub -l keyform -d 'Form of the private key; engine is refused' -r -f -a "pem\t'In a PEM file'
engine\t'In an OpenSSL engine'"
complete -c mqpub -l tls-engine -d 'OpenSSL engine; refused' -r
complete -c mqpub -l tls-engine-kpass-sha1 -d 'Password of an OpenSSL engine\'s key; refused' -r
complete -c mqpub -l will-topic -d 'Topic of the message that the broker publishes when we vanish' -r -f
complete -c mqpub -l will-payload -d 'Its payload [default: empty]' -r -f
complete -c mqpub -l will-qos -d 'Its QoS [default: 0]' -r
complete -c mqpub -s D -l property -d 'Give a packet an MQTT 5 property, or user-property KEY VALUE; may be repeated. Implies -V 5' -r -f
complete -c mqpub -l summary -d 'Say at the end, on stderr, what became of the messages' -r -f -a "json\t'One JSON object'
text\t'One line for people'"
complete -c mqpub -s o -d 'Read options from FILE in place of the default options files, one a line' -r -F
complete -c mqpub -s l -l stdin-line -d 'Send every line of stdin as a message'
complete -c mqpub -s s -l stdin-file -d 'Send all of stdin as one message'
complete -c mqpub -s n -l null-message -d 'Send a message without payload; with -r it removes a retained one'
complete -c mqpub -s r -l retain -d 'Have the broker keep the message for later subscribers'
complete -c mqpub -s c -l disable-clean-session -d 'Keep the session (and what is queued for it) when the connection ends; needs -i'
complete -c mqpub -l nodelay -d 'Send every packet at once (TCP_NODELAY)'
complete -c mqpub -s S -d 'Find the broker by an SRV record; refused, as mosquitto refuses it unless built for it'
complete -c mqpub -l ws -d 'Speak MQTT over WebSocket; the port stays 1883, with TLS 8883, unless -p or a URL says otherwise'
complete -c mqpub -l tls -d 'Speak TLS, trusting the system\'s certification authorities unless others are named'
complete -c mqpub -l no-tls -d 'Do not speak TLS, whatever the other TLS options say'
complete -c mqpub -l tls-use-os-certs -d 'Trust the system\'s certification authorities too'
complete -c mqpub -l insecure -d 'Verify nothing: neither the server\'s certificate nor its name'
complete -c mqpub -l will-retain -d 'Retain it'
complete -c mqpub -s d -l debug -d 'Log what happens on stderr; -dd logs every packet'
complete -c mqpub -l quiet -d 'Print no errors while running; the exit status still tells them'
complete -c mqpub -l help -d 'Print help'
complete -c mqpub -l version -d 'Print version'
