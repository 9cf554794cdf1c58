complete -c mqbench -l shape -d 'Who gets what: p2p, fan-in, fan-out or shared:GROUPS [default: p2p]' -r -f
complete -c mqbench -l clients -d 'Publishers and subscribers, so many of each [default: 10]' -r
complete -c mqbench -l pubs -d 'Publishers [default: as --clients]; 0 only receives' -r
complete -c mqbench -l subs -d 'Subscribers [default: as --clients]; 0 only sends' -r
complete -c mqbench -l rate -d 'Send so many messages a second in total (open loop), and nothing else' -r
complete -c mqbench -l rate-per-client -d 'Send so many messages a second from each publisher (open loop), and nothing else' -r
complete -c mqbench -l arrival -d 'When messages of an open loop are due: fixed, poisson or burst:N [default: fixed]' -r
complete -c mqbench -l behind -d 'What becomes of messages of an open loop that could not be sent in time [default: queue]' -r -f -a "queue\t'Sent late, and timed from when they were due'
skip\t'Given up and counted when the next one of the publisher is due'"
complete -c mqbench -l seed -d 'Seed of everything random, to repeat a run; the result names it [default: random]' -r
complete -c mqbench -s t -l topic -d 'Topic template; may be repeated [default: one of its own for each run and publisher]' -r -f
complete -c mqbench -s q -l qos -d 'QoS of publishers and subscribers' -r
complete -c mqbench -l size -d 'Payload size in bytes, or A..B for a size drawn anew for each message [default: 64]' -r -f
complete -c mqbench -l payload -d 'What fills the payload: zero, random, text, or template:FILE [default: zero]' -r -f
complete -c mqbench -s m -l message -d 'Send this text; places like %i and %s in it are filled in as in --payload template' -r -f
complete -c mqbench -s f -l file -d 'Send this file as it is; for one with places to fill in see --payload template' -r -F
complete -c mqbench -l window -d 'What frees a place in the window (-M)' -r -f -a "delivery\t'Delivered to the subscribers of this process, and acknowledged where the QoS asks for it'
ack\t'Acknowledged'
none\t'Nothing: there is no window'"
complete -c mqbench -l connect-rate -d 'New connections a second [default: as many as the broker takes]' -r
complete -c mqbench -l threads -d 'Threads [default: one a processor, half of them when the broker is on this machine]' -r
complete -c mqbench -l duration -d 'Measured time of all stages together [default: 10s; with -C until the messages are through]' -r
complete -c mqbench -l warmup -d 'Load before each stage that is not measured [default: 1s; none with -C]' -r
complete -c mqbench -l drain -d 'Wait at most so long for messages on their way after each stage' -r
complete -c mqbench -s C -d 'Measure so many messages in total; with --duration whatever comes first' -r
complete -c mqbench -l hosts -d 'Several brokers, HOST[:PORT] each, with commas between them; clients take them in turn' -r -f
complete -c mqbench -l pair -d 'With --hosts: a publisher and its subscribers on the same broker, or cross, on two [default: same]' -r -f -a "same\t'On its broker'
cross\t'On the next broker'"
complete -c mqbench -l reconnect -d 'Connect again every TIME when a connection was lost, and measure the outage [default of TIME: 1s]' -r
complete -c mqbench -l hold -d 'mqbench conn: hold the connections so long [default: 10s]' -r
complete -c mqbench -l ping-interval -d 'mqbench conn: each client pings so often [default: as -k says, at least once]' -r
complete -c mqbench -l broker-pid -d 'Process number of the broker, to report its CPU time and memory as well (Linux)' -r
complete -c mqbench -l out -d 'Write the result to FILE as JSON; may be repeated' -r -F
complete -c mqbench -l gate -d 'Exit with 3 unless this holds, as in \'e2e.p99 <= 20ms && lost == 0\'; may be repeated' -r -f
complete -c mqbench -s h -l host -d 'Broker, a name or an IP address [default: localhost]' -r -f -a "(__fish_print_hostnames)"
complete -c mqbench -s p -l port -d 'Port [default: 1883, with TLS 8883]; 8883 turns TLS on' -r
complete -c mqbench -s L -l url -d 'Broker, user and topic in one: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC]; also ws[s]://, unix:PATH' -r -f
complete -c mqbench -l unix -d 'Connect to a unix domain socket' -r -F
complete -c mqbench -s u -l username -d 'User name' -r -f
complete -c mqbench -s P -l pw -d 'Password; others can see it in the list of processes, so prefer --pw-file or MQTT_PASSWORD' -r -f
complete -c mqbench -l pw-file -d 'Read the password from FILE; a newline at its end is not part of it' -r -F
complete -c mqbench -s i -l id -d 'Client identifier' -r -f
complete -c mqbench -s I -l id-prefix -d 'Client identifier of PREFIX and the process number; mqbench counts its clients instead' -r -f
complete -c mqbench -s k -l keepalive -d 'Keep Alive in seconds, 5 to 65535; 0 turns it off' -r
complete -c mqbench -s x -d 'Session Expiry Interval; -1 or ∞ is never. Implies -V 5' -r
complete -c mqbench -s V -l protocol-version -d 'MQTT version [default: 311]' -r -f -a "5\t'MQTT 5.0'
311\t'MQTT 3.1.1'
31\t'MQTT 3.1'"
complete -c mqbench -s A -d 'Local IP address to connect from; mqbench takes several, A,B,10.0.0.0/28, its clients in turn' -r -f
complete -c mqbench -s M -d 'Most messages of QoS 1 and 2 in flight [default: 20, mqbench 100]' -r
complete -c mqbench -l connect-timeout -d 'Give up when there is no connection after this time' -r
complete -c mqbench -l ws-path -d 'Path of the WebSocket [default: /mqtt]' -r -f
complete -c mqbench -l ws-header -d 'Header of the WebSocket request, as in \'Authorization: Bearer x\'; may be repeated' -r -f
complete -c mqbench -l proxy -d 'Go through a proxy: socks5h://, socks5:// or http://[USER:PASSWORD@]HOST[:PORT]; env reads the variables' -r -f
complete -c mqbench -l cafile -d 'Trust the certificates in this PEM file' -r -F
complete -c mqbench -l capath -d 'Trust the certificates in the PEM files of this folder' -r -f -a "(__fish_complete_directories)"
complete -c mqbench -l cert -d 'Client certificate, PEM; needs --key' -r -F
complete -c mqbench -l key -d 'Private key of the client certificate, PEM; needs --cert' -r -F
complete -c mqbench -l key-pw-file -d 'Read the password of an encrypted private key from FILE' -r -F
complete -c mqbench -l tls-version -d 'TLS version to speak [default: either]' -r -f -a "tlsv1.2\t'TLS 1.2'
tlsv1.3\t'TLS 1.3'"
complete -c mqbench -l tls-alpn -d 'Application protocol (ALPN) to offer; may be repeated, most wanted first' -r -f
complete -c mqbench -l tls-keylog -d 'Append the keys of the connection to FILE, for Wireshark' -r -F
complete -c mqbench -l psk -d 'Pre-shared key in hexadecimal, in place of certificates; needs --psk-identity, and OpenSSL' -r
complete -c mqbench -l psk-identity -d 'Identity that goes with --psk' -r -f
complete -c mqbench -l ciphers -d 'Cipher suites to offer, as in openssl-ciphers(1); names that begin with TLS_ are for TLS 1.3. Needs OpenSSL' -r -f
complete -c mqbench -l tls-backend -d 'Library that speaks TLS [default: openssl where an option needs it, else rustls]' -r -f -a "rustls\t'rustls, which every build has'
openssl\t'The system\'s OpenSSL'"
complete -c mqbench -l keyform -d 'Form of the private key; engine is refused' -r -f -a "pem\t'In a PEM file'
engine\t'In an OpenSSL engine'"
complete -c mqbench -l tls-engine -d 'OpenSSL engine; refused' -r
complete -c mqbench -l tls-engine-kpass-sha1 -d 'Password of an OpenSSL engine\'s key; refused' -r
complete -c mqbench -l will-topic -d 'Topic of the message that the broker publishes when we vanish' -r -f
complete -c mqbench -l will-payload -d 'Its payload [default: empty]' -r -f
complete -c mqbench -l will-qos -d 'Its QoS [default: 0]' -r
complete -c mqbench -s D -l property -d 'Give a packet an MQTT 5 property, or user-property KEY VALUE; may be repeated. Implies -V 5' -r -f
complete -c mqbench -s o -d 'Read options from FILE in place of the default options files, one a line' -r -F
complete -c mqbench -l flood -d 'Send as fast as the window allows (closed loop), and nothing else'
complete -c mqbench -s r -l retain -d 'Publish with the retain flag; the retained messages are removed at the end'
complete -c mqbench -l busy-poll -d 'Do not sleep before a message is due: exact to microseconds, for a whole processor a thread'
complete -c mqbench -l embedded -d 'Run against a broker of its own inside this process'
complete -c mqbench -l full -d 'mqbench self: measure every QoS, size, number of connections and threads; takes some minutes'
complete -c mqbench -l no-sys -d 'Do not ask the broker for its name and version'
complete -c mqbench -l json -d 'Print the result as one JSON document (mqbench-result/1)'
complete -c mqbench -l no-latency -d 'Record no latency; costs less processor time a message'
complete -c mqbench -s c -l disable-clean-session -d 'Keep the session (and what is queued for it) when the connection ends; needs -i'
complete -c mqbench -l nodelay -d 'Send every packet at once (TCP_NODELAY)'
complete -c mqbench -s S -d 'Find the broker by an SRV record; refused, as mosquitto refuses it unless built for it'
complete -c mqbench -l ws -d 'Speak MQTT over WebSocket; the port stays 1883, with TLS 8883, unless -p or a URL says otherwise'
complete -c mqbench -l tls -d 'Speak TLS, trusting the system\'s certification authorities unless others are named'
complete -c mqbench -l no-tls -d 'Do not speak TLS, whatever the other TLS options say'
complete -c mqbench -l tls-use-os-certs -d 'Trust the system\'s certification authorities too'
complete -c mqbench -l insecure -d 'Verify nothing: neither the server\'s certificate nor its name'
complete -c mqbench -l will-retain -d 'Retain it'
complete -c mqbench -s d -l debug -d 'Log what happens on stderr; -dd logs every packet'
complete -c mqbench -l quiet -d 'Print no errors while running; the exit status still tells them'
complete -c mqbench -l help -d 'Print help'
complete -c mqbench -l version -d 'Print version'
