complete -c mqbroker -s p -l port -d 'Port to listen on [default: 1883]; 0 selects a free port and logs it. May be repeated' -r -f
complete -c mqbroker -l ws-port -d 'Port for MQTT over WebSocket, path /mqtt [default: none]; 0 selects a free port and logs it' -r -f
complete -c mqbroker -s c -l config-file -d 'Read the configuration from FILE, in the format of mosquitto.conf' -r -F
complete -c mqbroker -s v -l verbose -d 'Log each packet, in mosquitto\'s format; -vv also logs each byte'
complete -c mqbroker -s d -l daemon -d 'Run in the background'
complete -c mqbroker -l test-config -d 'Check the configuration and the files it refers to, then exit'
complete -c mqbroker -s h -l help -d 'Print help'
complete -c mqbroker -l version -d 'Print version'
complete -c mqbroker -n 'not contains -- (commandline -opc)[2] passwd' -f
complete -c mqbroker -n 'test (count (commandline -opc)) -eq 1' -f -a passwd -d 'Set a user\'s password in a password file'
