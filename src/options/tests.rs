//! Whole command lines: argv to the words of the error, and to plans.

use std::ffi::OsString;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::client::{ConnectPlan, Policy};
use crate::exit_status::ExitStatus;
use crate::mqtt::{PropertyName, ProtocolVersion, Secret};
use crate::transport::{Address, TlsVersions};

fn empty() -> Environment {
    Environment::fixed([], [])
}

fn argv(tool: &str, arguments: &[&str]) -> Vec<OsString> {
    [tool].iter().chain(arguments).map(OsString::from).collect()
}

/// The faults of a command line, of reading it or of planning the connection.
fn faults(tool: &Tool, arguments: &[&str]) -> Vec<String> {
    let error = match tool.name {
        "mqpub" => plan_of_publish(&empty(), arguments).map(|_| ()),
        "mqsub" => match SubscribeOptions::read(&empty(), argv("mqsub", arguments)) {
            Err(error) => Err(error),
            Ok(Reading::Answer(answer)) => panic!("{answer}"),
            Ok(Reading::Options(o)) => connect_plan_of(&o.client, defaults(&SUBSCRIBE, &empty())).map(|_| ()),
        },
        "mqbench" => plan_of_bench(&empty(), arguments).map(|_| ()),
        _ => BrokerOptions::read(&empty(), argv("mqbroker", arguments)).map(|_| ()),
    };
    let error = error.expect_err(&format!("{arguments:?} is wrong"));
    assert_eq!(error.exit_status(), ExitStatus::Usage);
    let text = error.to_string();
    assert!(text.starts_with("Error: ") && text.ends_with(&format!("\n\nTry '{} --help'.", tool.name)), "{text}");
    error.faults().to_vec()
}

fn defaults<'a>(tool: &'static Tool, environment: &'a Environment) -> ConnectDefaults<'a> {
    ConnectDefaults {
        tool,
        environment,
        window: 20,
        no_delay: false,
        names_clients: tool.name == "mqbench",
        policy: Policy::OWN,
    }
}

fn connect_plan_of(client: &ClientGroups, defaults: ConnectDefaults<'_>) -> Result<ConnectPlan, UsageError> {
    let ClientGroups { connection, tls, will, properties, .. } = client;
    connect_plan(connection, tls, will, properties, defaults)
}

fn options_of_bench(environment: &Environment, arguments: &[&str]) -> Result<BenchOptions, UsageError> {
    match BenchOptions::read(environment, argv("mqbench", arguments))? {
        Reading::Options(options) => Ok(*options),
        Reading::Answer(answer) => panic!("{answer}"),
    }
}

fn plan_of_bench(environment: &Environment, arguments: &[&str]) -> Result<ConnectPlan, UsageError> {
    let o = options_of_bench(environment, arguments)?;
    connect_plan(&o.connection, &o.tls, &o.will, &o.properties, defaults(&BENCH, environment))
}

/// The plan of mqpub; a topic and an empty message are added.
fn plan_of_publish(environment: &Environment, arguments: &[&str]) -> Result<ConnectPlan, UsageError> {
    let with_message: Vec<&str> = ["-t", "t", "-n"].iter().chain(arguments).copied().collect();
    match PublishOptions::read(environment, argv("mqpub", &with_message))? {
        Reading::Answer(answer) => panic!("{answer}"),
        Reading::Options(o) => connect_plan_of(&o.client, defaults(&PUBLISH, environment)),
    }
}

fn plan(arguments: &[&str]) -> ConnectPlan {
    plan_of_publish(&empty(), arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp { host: host.into(), port }
}

#[test]
fn a_topic_to_publish_to_replaces_that_of_an_options_file() {
    let files =
        [("/c/mosquitto_pub", "-t a\n-t b\n-D publish user-property k -t\n-q 1"), ("/c/mqpub", "--topic d\n-m x")];
    let environment =
        Environment::fixed([("XDG_CONFIG_HOME", "/c")], files.map(|(path, text)| (path, text.as_bytes().to_vec())));
    let topics = |arguments: &[&str]| match PublishOptions::read(&environment, argv("mqpub", arguments)) {
        Ok(Reading::Options(options)) => {
            assert_eq!((options.message.qos.number(), options.client.properties.property.len()), (1, 1));
            options.message.topic
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(topics(&[]), ["d"]);
    assert_eq!(topics(&["-r", "-t", "e", "-rt", "f"]), ["e", "f"]);
}

#[test]
fn clap_finds_no_fault_in_the_definitions() {
    for tool in TOOLS {
        tool.command().debug_assert();
    }
}

/// The house rule: `--help` prints first lines only, so each is short. clap takes the full stop off.
#[test]
fn every_option_has_one_line_of_help() {
    for tool in TOOLS {
        for argument in tool.command().get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                (1..=110).contains(&help.len()) && !help.contains('\n'),
                "{} {}: {help}",
                tool.name,
                argument.get_id()
            );
            assert!(argument.get_help_heading().is_some(), "{} {}", tool.name, argument.get_id());
        }
    }
}

#[test]
fn faults_of_the_connection() {
    for (arguments, expected) in [
        (
            &["-p", "0"][..],
            "invalid value for '--port <PORT>': must be from 1 to 65535; use --unix PATH for a Unix socket",
        ),
        (&["-p", "x"], "invalid value for '--port <PORT>': must be a number from 1 to 65535; use -P for a password"),
        (&["-q", "x"], "invalid value 'x' for '--qos <QOS>': must be 0, 1 or 2"),
        (
            &["-k", "3"],
            "invalid value '3' for '--keepalive <SECONDS>': must be 5 to 65535 seconds, or 0 to turn it off",
        ),
        (&["-h", "host:1883"], "-h takes a host only: use -h host -p 1883"),
        (&["-h", "mqtt://host"], "-h takes a host only: use -L for a URL"),
        (&["-h", ""], "-h: the host is empty"),
        (&["-i", "a", "-I", "b"], "-i and -I cannot be used together"),
        (&["-c"], "-c keeps the session, which needs a client identifier: add -i ID"),
        (&["-c", "-I", "x"], "-c keeps the session, which needs a client identifier: add -i ID"),
        (&["-P", "hunter2"], "a password without a user name needs MQTT 5, not 3.1.1: add -u NAME"),
        (&["-S"], "-S: built without SRV support"),
        (&["--ws-path", "/x"], "--ws-path needs WebSocket: add --ws, or use -L ws:// or wss://"),
        (
            &["--ws-header", "a: b", "-L", "mqtt://h/t"],
            "--ws-header needs WebSocket: add --ws, or use -L ws:// or wss://",
        ),
        (&["--ws", "--ws-path", "mqtt?token=hunter2"], "--ws-path: the path of a WebSocket must begin with /"),
        (&["--ws", "--ws-header", "Authorization Bearer hunter2"], "--ws-header: must be 'NAME: VALUE'"),
        (&["-A", "127.0.0.1", "--unix", "/s"], "-A has no effect with a Unix socket: remove it"),
        (&["--nodelay", "-L", "unix:/s"], "--nodelay has no effect with a Unix socket: remove it"),
        (&["--unix", "/s", "-p", "1884"], "-p has no effect with a Unix socket: remove it"),
        (&["-L", "unix:/s", "-p", "1884"], "-p has no effect with a Unix socket: remove it"),
        (&["--unix", "/s", "--proxy", "http://h"], "--proxy cannot be used with a Unix socket: remove it"),
        (&["--proxy", "socks4://u:hunter2@h"], "--proxy: the scheme of the URL must be socks5h, socks5 or http"),
        (&["-x", "5", "-V", "311"], "-x needs MQTT 5: remove -V or use -V 5"),
        (
            &["-x", "5", "-D", "connect", "session-expiry-interval", "6"],
            "-x and -D connect session-expiry-interval set the same property: remove one of them",
        ),
        (&["--pw-file", "none"], "cannot read the password file 'none': entity not found"),
        (&["-o", "none"], "cannot read the options file 'none': entity not found"),
        (&["-o", "a", "-o", "b"], "-o is given twice: only one options file is read"),
        (&["--will-payload", "x"], "--will-payload needs --will-topic"),
        (&["--will-retain"], "--will-retain needs --will-topic"),
        (
            &["--will-topic", "a/#"],
            "invalid will topic 'a/#': a topic to publish to must not contain the wildcards + and #",
        ),
        (&["-D", "will", "content-type", "x"], "-D will needs --will-topic"),
        (&["-D", "publish", "content-type"], "-D publish content-type: VALUE is missing"),
        (
            &["-A", "eth0"],
            "invalid value 'eth0' for '-A <ADDRESS>': 'eth0' is not an IP address; separate several with commas",
        ),
        (&["-M", "0"], "invalid value '0' for '-M <COUNT>': must be a number from 1 to 65535"),
        (&["-h"], "a value is required for '--host <HOST>' but none was supplied"),
        (&["extra"], "unexpected argument 'extra' found"),
        (&["help"], "unexpected argument 'help': use --help"),
        (&["-h", "fe80::1"], "-h: fe80::1 is a link-local address and needs an interface, as in fe80::1%eth0"),
        (
            &["-h", "h\r"],
            "-h: invalid host: it ends with a carriage return (U+000D), as in a file with Windows line endings",
        ),
        (&["–q", "1"], "–q: this is not an ASCII hyphen (copied text?); use -q"),
        (&["-L", "wss://u:hunter2@h/t", "--no-tls"], "--no-tls contradicts wss:// of -L: use ws://"),
    ] {
        assert_eq!(faults(&PUBLISH, arguments), [expected], "{arguments:?}");
    }
}

#[test]
fn faults_of_tls() {
    for (arguments, expected) in [
        (&["--cert", "c"][..], "--cert needs the private key of the certificate: add --key"),
        (&["--key", "k"], "--key needs the certificate of the key: add --cert"),
        (&["--insecure"], "--insecure needs TLS: add --tls, or --no-tls to ignore it"),
        (&["--psk", "ab"], "--psk needs --psk-identity"),
        (
            &["--psk", "ab", "--psk-identity", "i", "--cafile", "f"],
            "only one of --psk and --cafile/--capath may be used",
        ),
        (
            &["--psk", "ab", "--psk-identity", "i", "--tls-backend", "rustls"],
            "--psk needs OpenSSL: remove --tls-backend rustls",
        ),
        (&["--tls-backend", "rustls"], "--tls-backend needs TLS: add --tls, or --no-tls to ignore it"),
        (&["--keyform", "engine"], "--keyform needs --key"),
        (&["--unix", "/s", "--tls"], "--unix does not use TLS: remove the TLS options, or add --no-tls"),
        (&["-L", "mqtts://h/t", "--no-tls"], "--no-tls contradicts mqtts:// of -L: use mqtt://"),
        (&["--tls", "--key-pw-file", "f"], "--key-pw-file needs --key"),
    ] {
        assert_eq!(faults(&PUBLISH, arguments), [expected], "{arguments:?}");
    }
    let wrong_version = faults(&PUBLISH, &["--tls-version", "tlsv1.1"]);
    assert!(wrong_version[0].contains("tlsv1.2, tlsv1.3"), "{wrong_version:?}");
}

#[test]
fn all_faults_come_at_once() {
    let all = faults(&PUBLISH, &["-h", "a:1", "-c", "--cert", "c", "-P", "hunter2", "--will-retain", "-S"]);
    assert_eq!(all.len(), 6, "{all:#?}");
    assert!(!all.concat().contains("hunter2"));
}

#[test]
fn faults_of_the_tools() {
    let no_topic = "no topic given: add -t FILTER to subscribe, or -U FILTER to unsubscribe";
    for (tool, arguments, expected) in [
        (&PUBLISH, &["-m", "x"][..], "only one message source can be used, not -m and -n"),
        (
            &PUBLISH,
            &["-t", "a/+"],
            "invalid publish topic 'a/+': a topic to publish to must not contain the wildcards + and #",
        ),
        (&PUBLISH, &["--repeat", "0"], "invalid value '0' for '--repeat <COUNT>': must be above zero"),
        (
            &PUBLISH,
            &["--nodelai"],
            "unexpected argument '--nodelai' found\n  tip: a similar argument exists: '--nodelay'",
        ),
        (&SUBSCRIBE, &[], no_topic),
        (&SUBSCRIBE, &["-L", "mqtt://h"], no_topic),
        (
            &SUBSCRIBE,
            &["-v", "-t"],
            "a value is required for '--topic <FILTER>' but none was supplied\n  \
          tip: an unquoted # starts a comment in the shell: write -t '#'",
        ),
        (
            &SUBSCRIBE,
            &["-t", "a#"],
            "invalid subscription topic 'a#': # is only allowed at the end, alone or after a /",
        ),
        (&SUBSCRIBE, &["-U", "a#"], "invalid unsubscribe topic 'a#': # is only allowed at the end, alone or after a /"),
        (&SUBSCRIBE, &["-t", "a", "-T", "b+"], "invalid filter-out topic 'b+': + must be a whole level, as in a/+/b"),
        (&SUBSCRIBE, &["-t", "a", "-R", "--retained-only"], "-R and --retained-only cannot be used together"),
        (&SUBSCRIBE, &["-t", "a", "--no-local"], "--no-local needs MQTT 5: add -V 5"),
        (
            &SUBSCRIBE,
            &["-V", "5", "-t", "$share/g/a", "--no-local"],
            "--no-local is not allowed for a shared subscription",
        ),
        (&SUBSCRIBE, &["-t", "a", "--json", "-F", "%p"], "-F and --json cannot be used together"),
        (
            &SUBSCRIBE,
            &["-t", "a", "-C", "-1"],
            "invalid value '-1' for '-C <COUNT>': must be a whole number, optionally with k or M",
        ),
        (
            &SUBSCRIBE,
            &["-t", "a", "-vW", "-1s"],
            "invalid value '-1s' for '-W <TIME>': must be a number with ms, s, m or h; without a unit it is seconds",
        ),
        (
            &PUBLISH,
            &["-t", "hello", "world"],
            "unexpected argument 'world': -t takes one word; quote a value that contains a space, as in -t 'two words'",
        ),
        (
            &BENCH,
            &["-m", "hello", "world"],
            "unexpected argument 'world': -m takes one word; quote a value that contains a space, as in -m 'two words'",
        ),
        (&PUBLISH, &["-pw", "hunter2"], "-p: unexpected word after its value; a password is given with -P"),
        (&SUBSCRIBE, &["-du", "me", "hunter2"], "-du: unexpected word after its value; a password is given with -P"),
        (
            &BENCH,
            &["pub", "-c", "100"],
            "-c keeps sessions and takes no value: set the number of clients with --clients 100",
        ),
        (
            &BENCH,
            &["-n", "1000"],
            "unexpected argument '-n': use -C for the number of messages, --clients for the number of clients",
        ),
        (&BENCH, &["help"], "unexpected argument 'help': use --help"),
        (&PUBLISH, &["-X"], "unexpected argument '-X' found"),
        (&SUBSCRIBE, &["-t", "a", "-W", "0"], "invalid value '0' for '-W <TIME>': must be above zero"),
        (&SUBSCRIBE, &["-t", "a", "-C", "0"], "invalid value '0' for '-C <COUNT>': must be above zero"),
        (&BENCH, &["--flood", "--rate", "1k"], "--flood and --rate cannot be used together"),
        (&BENCH, &["--size", "5", "-m", "x"], "--size and -m cannot be used together"),
        (&BENCH, &["--clients", "0"], "there are neither publishers nor subscribers"),
        (
            &BENCH,
            &["--rate", "1e3"],
            "invalid value '1e3' for '--rate <RATE>': must be a number per second, optionally with k or M",
        ),
        (
            &BENCH,
            &["--duration", "5d"],
            "invalid value '5d' for '--duration <TIME>': \
          must be a number with ms, s, m or h; without a unit it is seconds",
        ),
        (&BROKER, &["-pw", "hunter2"], "-p: unexpected word after its value"),
        (&BROKER, &["-p", "65536"], "invalid value for '--port <PORT>': must be a number from 0 to 65535"),
    ] {
        assert_eq!(faults(tool, arguments), [expected], "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_answers() {
    let answer = |arguments: &[&str]| match BenchOptions::read(&empty(), argv("mqbench", arguments)) {
        Ok(Reading::Answer(text)) => text,
        other => panic!("{other:?}"),
    };
    let help = answer(&["--bogus", "-q", "7", "--help"]);
    for part in
        ["Usage: mqbench [VERB] [OPTIONS]", "\nLoad:\n", "\nConnection:\n", "EXAMPLES:", "EXIT STATUS:", "FILES:"]
    {
        assert!(help.contains(part), "{part} in {help}");
    }
    assert_eq!(answer(&["--version"]), concat!("mqbench ", env!("CARGO_PKG_VERSION"), "\n"));
    let broker = BrokerOptions::read(&empty(), argv("mqbroker", &["-h"]));
    assert!(matches!(broker, Ok(Reading::Answer(text)) if text.contains("Usage: mqbroker")));
}

#[test]
fn where_the_broker_is() {
    for (arguments, address, tls) in [
        (&[][..], tcp("localhost", 1883), false),
        (&["-p", "8883"], tcp("localhost", 8883), true),
        (&["-p", "8883", "--no-tls"], tcp("localhost", 8883), false),
        (&["--tls"], tcp("localhost", 8883), true),
        (&["--cafile", "f", "-p", "1884"], tcp("localhost", 1884), true),
        (&["--cafile", "f", "--no-tls"], tcp("localhost", 1883), false),
        (&["-h", "::1"], tcp("::1", 1883), false),
        (&["-h", "[::1]"], tcp("::1", 1883), false),
        (&["-L", "mqtt://h/t"], tcp("h", 1883), false),
        (&["-L", "mqtts://h/t"], tcp("h", 8883), true),
        (&["-L", "mqtt://h:8883/t"], tcp("h", 8883), true),
        (&["-h", "a", "-p", "1", "-L", "mqtt://b/t"], tcp("b", 1883), false),
        (&["-L", "mqtt://b/t", "-h", "a"], tcp("a", 1883), false),
        (&["-L", "mqtt://b:5/t", "-p", "7"], tcp("b", 7), false),
        (&["-h", "a", "-h", "b"], tcp("b", 1883), false),
        (&["-h", "a", "--unix", "/s"], Address::Unix("/s".into()), false),
        (&["-h", "a", "-p", "8883", "--unix", "/s"], Address::Unix("/s".into()), false),
        (&["--unix", "/s", "-h", "a"], tcp("a", 1883), false),
    ] {
        let transport = plan(arguments).transport;
        assert_eq!((&transport.address, transport.tls.is_some()), (&address, tls), "{arguments:?}");
    }
    assert_eq!(plan(&["-L", "mqtt://h//a"]).topic_of_url.as_deref(), Some("/a"));
    assert_eq!(plan(&["--connect-timeout", "500ms"]).transport.timeout, Duration::from_millis(500));
    let tls = plan(&["--cafile", "ca", "--cert", "c", "--key", "k", "--tls-version", "tlsv1.3", "--tls-alpn", "mqtt"]);
    let tls = tls.transport.tls.unwrap();
    assert!(!tls.roots.system);
    assert_eq!((tls.versions, tls.alpn), (TlsVersions::V13, vec!["mqtt".to_owned()]));
    assert!(plan(&["--tls"]).transport.tls.unwrap().roots.system);
}

#[test]
fn who_we_are() {
    let world = Environment::fixed(
        [("MQTT_PASSWORD", "of-environment")],
        [("pw", b"of-file\r\n".to_vec()), ("long", vec![b'x'; 70_000])],
    );
    for (arguments, user, password) in [
        (&[][..], None, None),
        (&["-u", "u"], Some("u"), Some("of-environment")),
        (&["-u", "u", "-P", "p"], Some("u"), Some("p")),
        (&["-u", "u", "-P", "p", "--pw-file", "pw"], Some("u"), Some("of-file")),
        (&["-u", "u", "--pw-file", "pw", "-P", "p"], Some("u"), Some("p")),
        (&["-L", "mqtt://v@h"], Some("v"), Some("of-environment")),
        (&["-L", "mqtt://v:%70@h"], Some("v"), Some("p")),
        (&["-L", "mqtt://v:p@h", "-u", "u", "--pw-file", "pw"], Some("u"), Some("of-file")),
        (&["-u", "u", "-P", "q", "-L", "mqtt://v:p@h"], Some("v"), Some("p")),
        (&["-V", "5", "-P", "p"], None, Some("p")),
    ] {
        let plan = plan_of_publish(&world, arguments).unwrap();
        assert_eq!(plan.session.user_name.as_deref(), user, "{arguments:?}");
        assert_eq!(plan.session.password, password.map(Secret::new), "{arguments:?}");
        assert!(!format!("{plan:?}").contains("of-"), "{arguments:?}");
    }
    let error = plan_of_publish(&world, &["-u", "u", "--pw-file", "long"]).unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
    assert_eq!(plan(&["-I", "a-"]).session.client_id, "a-4242");
    assert_eq!(plan(&[]).session.client_id, "");
    let generated = plan(&["-V", "31"]).session.client_id;
    assert!(generated.starts_with("mq-") && generated.len() == 21, "{generated}");
    assert_eq!(plan_of_bench(&empty(), &["-V", "31", "-c", "-I", "a-"]).unwrap().session.client_id, "a-%i");
}

#[test]
fn what_implies_mqtt_5() {
    let version = |arguments: &[&str]| plan(arguments).session.version;
    assert_eq!(version(&[]), ProtocolVersion::V311);
    assert_eq!(version(&["-V", "mqttv31"]), ProtocolVersion::V31);
    assert_eq!(version(&["-x", "1"]), ProtocolVersion::V5);
    assert_eq!(version(&["-V", "311", "-x", "1"]), ProtocolVersion::V5);
    assert_eq!(version(&["-D", "publish", "content-type", "x"]), ProtocolVersion::V5);
    let expiry =
        |arguments: &[&str]| plan(arguments).session.connect_properties.number(PropertyName::SessionExpiryInterval);
    assert_eq!(expiry(&["-V", "5"]), None);
    assert_eq!(expiry(&["-V", "5", "-c", "-i", "a"]), Some(u32::MAX));
    assert_eq!(expiry(&["-c", "-i", "a", "-x", "60"]), Some(60));
    assert_eq!(expiry(&["-c", "-i", "a"]), None);
    assert_eq!(expiry(&["-x", "∞"]), Some(u32::MAX));
}

#[test]
fn the_will() {
    let will = plan(&[
        "--will-topic",
        "w",
        "--will-payload",
        "-1",
        "--will-qos",
        "1",
        "-D",
        "will",
        "will-delay-interval",
        "5",
    ]);
    let will = will.session.will.unwrap();
    assert_eq!((will.topic.as_str(), &will.payload[..], will.qos.number()), ("w", &b"-1"[..], 1));
    assert_eq!(will.properties.number(PropertyName::WillDelayInterval), Some(5));
    assert!(plan(&["--will-qos", "1"]).session.will.is_none());
}

#[test]
fn options_files_stand_in_front() {
    let world = Environment::fixed(
        [("HOME", "/h")],
        [
            ("/h/.config/mosquitto_pub", b"-h of-mosquitto\n-p 1\n-k 10".to_vec()),
            ("/h/.config/mqpub", b"-p 2\n-k 20".to_vec()),
            ("named", b"-h of-named".to_vec()),
            ("url", b"-L mqtt://of-url:9/t".to_vec()),
        ],
    );
    let read = |arguments: &[&str]| {
        let plan = plan_of_publish(&world, arguments).unwrap();
        (plan.transport.address, plan.session.keep_alive.as_secs())
    };
    assert_eq!(read(&[]), (tcp("of-mosquitto", 2), 20));
    assert_eq!(read(&["-k", "30"]), (tcp("of-mosquitto", 2), 30));
    assert_eq!(read(&["-L", "mqtt://u/t"]), (tcp("u", 1883), 20));
    assert_eq!(read(&["-o", "named"]), (tcp("of-named", 1883), 60));
    assert_eq!(read(&["-o", "url", "-h", "x"]), (tcp("x", 9), 60));
    let wrong = Environment::fixed([], [("f", b"-q 1\n-p x\n--bogus".to_vec())]);
    let error = plan_of_publish(&wrong, &["-o", "f"]).unwrap_err();
    assert_eq!(
        error.faults(),
        [
            "f:2: invalid value for '--port <PORT>': must be a number from 1 to 65535; use -P for a password",
            "f:3: unexpected argument '--bogus' found",
        ]
    );
}

/// Names that a broker may reject go nowhere: neither from argv and URLs nor from files.
#[test]
fn characters_that_a_broker_may_reject_are_refused() {
    let ends = "it ends with a carriage return (U+000D), as in a file with Windows line endings";
    for (tool, arguments, what) in [
        (&PUBLISH, &["-t", "a\r"][..], "invalid publish topic 'a\r'"),
        (&SUBSCRIBE, &["-t", "a/#", "-t", "b\r"], "invalid subscription topic 'b\r'"),
        (&SUBSCRIBE, &["--topic-qos", "b\r=1"], "invalid subscription topic 'b\r'"),
        (&SUBSCRIBE, &["-U", "b\r"], "invalid unsubscribe topic 'b\r'"),
        (&SUBSCRIBE, &["-L", "mqtt://h/b%0D"], "invalid subscription topic 'b\r'"),
        (&PUBLISH, &["-i", "id\r"], "the client identifier 'id\r'"),
        (&PUBLISH, &["-I", "id\r\n"], ""),
        (&PUBLISH, &["-u", "user\r"], "the user name 'user\r'"),
        (&PUBLISH, &["-L", "mqtt://us%0D@h"], "the user name 'us\r'"),
        (&PUBLISH, &["--will-topic", "w\r"], "invalid will topic 'w\r'"),
        (&PUBLISH, &["-D", "publish", "user-property", "k\r", "v"], "-D publish user-property: the key"),
        (&PUBLISH, &["-D", "connect", "user-property", "k", "v\r"], "-D connect user-property: the value"),
        (&PUBLISH, &["-D", "publish", "content-type", "x\r"], "-D publish content-type"),
        (&PUBLISH, &["-D", "disconnect", "reason-string", "x\r"], "-D disconnect reason-string"),
        (&BENCH, &["-i", "%i\r"], "the client identifier '%i\r'"),
        (&BENCH, &["-u", "%i\r"], "the user name '%i\r'"),
        (&BENCH, &["--hosts", "a\u{0}b"], ""),
    ] {
        let faults = faults(tool, arguments);
        match what {
            "" => assert_eq!(faults.len(), 1, "{arguments:?}: {faults:?}"),
            what => assert_eq!(faults, [format!("{what}: {ends}")], "{arguments:?}"),
        }
    }
    // Binary Data, payloads and passwords may hold anything.
    let bytes = "\u{1}\r\n";
    plan(&["-u", "u", "-P", bytes, "--will-topic", "w", "--will-payload", bytes]);
    plan(&["-D", "publish", "correlation-data", bytes, "-t", "\u{a0}\u{feff}ü"]);
}

/// An options file from Windows works, and a value with a control character in it does not.
#[test]
fn line_ends_of_options_files_are_no_part_of_a_value() {
    let files = [("crlf", b"-i id\r\n-u user\r\r\n-q 1\r".to_vec()), ("tab", b"-i a\tb\r\n".to_vec())];
    let world = Environment::fixed([], files);
    let plan = plan_of_publish(&world, &["-o", "crlf"]).unwrap();
    assert_eq!((plan.session.client_id.as_str(), plan.session.user_name.as_deref()), ("id", Some("user")));
    let error = plan_of_publish(&world, &["-o", "tab"]).unwrap_err();
    assert_eq!(
        error.faults(),
        ["the client identifier 'a\tb': character 2 is a tab (U+0009), which a broker may reject"]
    );
}

/// A slip of the fingers shows no password: where none is expected, and behind one.
#[test]
fn no_usage_error_repeats_a_secret() {
    for (tool, arguments) in [
        (&PUBLISH, &["-pSECRET"][..]),
        (&PUBLISH, &["-p", "SECRET"]),
        (&PUBLISH, &["--port=SECRET"]),
        (&PUBLISH, &["-h", "user:SECRET@host"]),
        (&PUBLISH, &["-h", "user:SECRET"]),
        (&PUBLISH, &["-h", "mqtt://user:SECRET@host"]),
        (&PUBLISH, &["mqtt://user:SECRET@host/t"]),
        (&PUBLISH, &["-P", "my", "SECRET"]),
        (&PUBLISH, &["-Pmy", "SECRET"]),
        (&PUBLISH, &["-dP", "my", "SECRET"]),
        (&PUBLISH, &["--pw=my", "SECRET"]),
        (&PUBLISH, &["--password=SECRET"]),
        (&PUBLISH, &["-D", "connect", "authentication-data", "my", "SECRET"]),
        (&PUBLISH, &["-Dconnect", "authentication-data", "my", "SECRET"]),
        (&PUBLISH, &["--ws-header", "Authorization:", "SECRET"]),
        (&BENCH, &["--hosts", "user:SECRET@host:1883"]),
        (&BENCH, &["--hosts", "a,[::1]SECRET"]),
        (&BENCH, &["--hosts", "a:SECRET"]),
        (&BENCH, &["-P", "my", "SECRET"]),
        (&BENCH, &["mqtt://user:SECRET@host"]),
    ] {
        let faults = faults(tool, arguments).concat();
        assert!(!faults.contains("SECRET"), "{arguments:?}: {faults}");
    }
}

#[cfg(unix)]
#[test]
fn the_argument_that_is_not_utf8_is_named() {
    use std::os::unix::ffi::OsStringExt;
    let bad = |text: &[u8]| OsString::from_vec(text.to_vec());
    for (arguments, expected) in [
        (vec!["-n".into(), "-t".into(), bad(b"caf\xe9\r")], r"the value of -t is not UTF-8: 'caf\xe9\r'"),
        (vec!["-m".into(), bad(b"\xff"), "-i".into(), bad(b"\xe9")], r"the value of -i is not UTF-8: '\xe9'"),
        (vec!["-P".into(), bad(b"\xff"), bad(b"-t\xe9")], r"the argument is not UTF-8: '-t\xe9'"),
        (
            vec!["-D".into(), "publish".into(), "content-type".into(), bad(b"\xe9")],
            r"the value of -D is not UTF-8: '\xe9'",
        ),
    ] {
        let argv = [OsString::from("mqpub")].into_iter().chain(arguments.clone());
        let error = PublishOptions::read(&empty(), argv).unwrap_err();
        assert_eq!(error.faults(), [expected], "{arguments:?}");
    }
}

/// Others read a result document, so it quotes the command line without passwords, however they are spelled.
#[test]
fn passwords_are_masked_in_every_spelling() {
    let typed = [
        "mqbench",
        "-P",
        "S1",
        "-PS2",
        "-P=S3",
        "-dP",
        "S4",
        "-rPS5",
        "--pw=S6",
        "--pw",
        "S7",
        "-L",
        "mqtt://u:S8@h",
        "--url=mqtt://u:S9@h",
        "-L=mqtt://u:S10@h",
        "-D",
        "connect",
        "authentication-data",
        "S11",
        "-Dconnect",
        "authentication-data",
        "S12",
        "-dD=Connect",
        "user-property",
        "S13",
        "S14",
        "--property=connect",
        "Authentication-Data",
        "S15",
        "-D",
        "will",
        "user-property",
        "S16",
        "S17",
        "-D",
        "publish",
        "content-type",
        "S18",
        "--will-payload",
        "S19",
        "--will-payload=S20",
        "--proxy",
        "socks5://u:S21@h",
        "--ws-header=X: S22",
        "--psk",
        "S23",
        "--reconnect",
        "-P",
        "S24",
        "--reconnect",
        "2s",
        "-p",
        "1",
        "pub",
    ];
    let masked = BenchOptions::masked_command_line(typed.map(OsString::from));
    assert!(!masked.iter().any(|word| word.contains('S')), "{masked:?}");
    assert_eq!(masked.len(), typed.len());
    assert_eq!(masked[masked.len() - 5..], ["--reconnect", "2s", "-p", "1", "pub"]);
    assert_eq!(masked[..5], ["mqbench", "-P", "***", "-P***", "-P=***"]);
    assert_eq!(masked[15..19], ["-D", "connect", "authentication-data", "***"]);
    assert_eq!(masked[19..22], ["-Dconnect", "authentication-data", "***"]);
}

/// A file with a secret in it is refused where everybody can read it, whichever option the secret is for.
#[test]
fn secrets_that_everybody_can_read_are_refused() {
    let files = [
        ("/public/pw", b"x".to_vec()),
        ("/home/pw", b"x".to_vec()),
        ("/public/with-pw", b"-u u\n-Px".to_vec()),
        ("/public/with-url", b"-L mqtt://u:p@h/t".to_vec()),
        ("/public/with-token", b"-D connect authentication-data x".to_vec()),
        ("/public/without", b"-u u\n-L mqtt://u@h/t\n-D connect user-property a b".to_vec()),
        ("/home/with-pw", b"-u u\n-P x".to_vec()),
    ];
    let world = Environment::fixed([], files);
    let faults = |arguments: &[&str]| match plan_of_publish(&world, arguments) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    // The hint is the next step, so nothing points to --help.
    let text = "Error: the password file '/public/pw' is readable by every user of this machine\nHint: run chmod 600 \
                '/public/pw'";
    assert_eq!(faults(&["-u", "u", "--pw-file", "/public/pw"]), text);
    assert!(faults(&["-u", "u", "--pw-file", "/public/pw", "-q", "7"]).ends_with("Try 'mqpub --help'."));
    for (file, refused) in [
        ("/public/with-pw", true),
        ("/public/with-url", true),
        ("/public/with-token", true),
        ("/public/without", false),
        ("/home/with-pw", false),
    ] {
        let found = faults(&["-o", file]);
        assert_eq!(found.contains("chmod 600"), refused, "{file}: {found:?}");
    }
    assert_eq!(faults(&["-u", "u", "--pw-file", "/home/pw"]), "");
    let tls = ["-u", "u", "--tls", "--tls-keylog", "/public/keys"];
    assert!(faults(&tls).starts_with("Error: the key log '/public/keys' is readable by every user"));
}

#[test]
fn what_may_be_repeated_adds_up_and_the_rest_is_overridden() {
    let options =
        options_of_bench(&empty(), &["-t", "a", "-t", "-b", "-q", "1", "-q", "2", "--gate", "x", "--gate", "y", "-dd"]);
    let options = options.unwrap();
    assert_eq!(options.load.topic, ["a", "-b"]);
    assert_eq!(options.load.qos.number(), 2);
    assert_eq!(options.result.gate, ["x", "y"]);
    assert_eq!(options.general.debug, 2);
}

proptest! {
    /// Whatever is typed there is an answer, and it repeats no password.
    #[test]
    fn no_command_line_panics(
        arguments in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    "-P", "--pw", "-h", "-L", "-D", "-o", "-t", "-x", "-i", "-qP", "-dD", "--", "-", "", "connect",
                    "user-property", "mqtt://", "–P", "–", "--rate", "-p", "--property=will",
                ]).prop_map(str::to_owned),
                Just("hunter2".to_owned()),
                ".{0,6}",
            ],
            0..8,
        ),
    ) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        for result in [plan_or_answer(&arguments), plan_or_answer(&[&["-P"], &arguments[..]].concat())] {
            if let Err(error) = result {
                prop_assert!(error.to_string().starts_with("Error: "));
            }
        }
        let _ = BrokerOptions::read(&empty(), argv("mqbroker", &arguments));
        let _ = SubscribeOptions::read(&empty(), argv("mqsub", &arguments));
    }

    #[test]
    fn no_url_panics_or_shows_its_password(url in "[a-z]{0,5}(://)?[a-z:@/%0-9#\\[\\]é]{0,20}", host in ".{0,8}") {
        for url in [url, format!("mqtt://u:hunter2@{host}")] {
            if let Err(error) = plan_of_publish(&empty(), &["-L", &url]) {
                prop_assert!(!error.to_string().contains("hunter2"), "{}", error);
            }
        }
    }
}

fn plan_or_answer(arguments: &[&str]) -> Result<(), UsageError> {
    match BenchOptions::read(&empty(), argv("mqbench", arguments))? {
        Reading::Answer(_) => Ok(()),
        Reading::Options(o) => {
            connect_plan(&o.connection, &o.tls, &o.will, &o.properties, defaults(&BENCH, &empty())).map(|_| ())
        }
    }
}

#[test]
fn debug_shows_no_password() {
    let options = options_of_bench(
        &empty(),
        &["-P", "hunter2", "-L", "mqtt://u:hunter2@h/t", "--psk", "hunter2", "--proxy", "socks5h://u:hunter2@h"],
    );
    assert!(!format!("{:?}", options.unwrap()).contains("hunter2"));
}

const PROFILES: &str = r#"
[base]
host = "broker.example"
username = "app"
pw = "hunter2"
q = 1
topic = ["a", "b"]
cafile = "ca.pem"
pw-file = "~/secret"
tls = true
property = "connect user-property k two words"
reconnect = "2s"

[prod]
inherits = "base"
host = "prod.example"
debug = false
topic = "-x"

[prod.mqsub]
qos = 2

[circle]
inherits = ["base", "round"]

[round]
inherits = "circle"

[wrong]
hst = "x"
qos = 3
tls = "yes"
will = { topic = "x" }
help = true
options-file = "x"
"#;

fn with_profiles(text: &'static str) -> Environment {
    Environment::fixed(
        [("HOME", "/home/u")],
        [("/home/u/.config/mqtools/profiles.toml", text.into()), ("/home/u/secret", b"of the file".to_vec())],
    )
}

fn config(arguments: &[&str]) -> String {
    let arguments = argv("mqsub", &[&["--show-config"], arguments].concat());
    match SubscribeOptions::read(&with_profiles(PROFILES), arguments) {
        Ok(Reading::Answer(text)) => text,
        Ok(Reading::Options(_)) => panic!("no answer"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_profile_stands_between_options_files_and_the_command_line() {
    let environment = with_profiles(PROFILES);
    let Ok(Reading::Options(options)) =
        SubscribeOptions::read(&environment, argv("mqsub", &["--profile", "prod", "-p", "1884"]))
    else {
        panic!("not read");
    };
    let SubscribeOptions { subscription, client, .. } = &*options;
    let ClientGroups { connection, tls, .. } = client;
    assert_eq!((connection.host.as_deref(), connection.port), (Some("prod.example"), Some(1884)));
    assert_eq!(subscription.topic, ["-x"]);
    assert_eq!(tls.cafile.as_deref(), Some("/home/u/.config/mqtools/ca.pem".as_ref()));
    assert_eq!(connection.pw_file.as_deref(), Some("/home/u/secret".as_ref()));
    let defaults = defaults(&SUBSCRIBE, &environment);
    let plan = connect_plan_of(client, defaults).unwrap();
    assert!(format!("{:?}", plan.session.connect_properties).contains("two words"));
    assert_eq!(plan.session.password, Some(Secret::new("of the file")));
}

#[test]
fn the_configuration_is_shown_without_secrets() {
    assert_eq!(
        config(&["--profile", "prod", "-t", "c", "-Phunter3"]),
        "# profile prod in /home/u/.config/mqtools/profiles.toml\n--cafile=/home/u/.config/mqtools/ca.pem\n-D connect \
         user-property *** ***\n--pw=***\n--pw-file=/home/u/secret\n-q1\n--tls\n--username=app\n--host=prod.example\n\
         --topic=-x\n--qos=2\n# the command line\n--profile prod\n-t c\n-P***\n"
    );
}

#[test]
fn faults_of_profiles_name_file_and_key() {
    for (name, fault) in [
        ("circle", "[circle] inherits itself: circle -> round -> circle"),
        ("prd", "no profile 'prd'; there is: base, circle, prod, round, wrong"),
        ("wrong", "[wrong] hst: no tool has this option; 'host' is similar"),
        ("wrong", "[wrong] qos: invalid value '3'"),
        ("wrong", "[wrong] tls: must be true or false"),
        ("wrong", "[wrong] will: no tool has this option"),
        ("wrong", "[wrong] help: this option is not allowed in a profile"),
    ] {
        let text = config(&["--profile", name, "-t", "t"]);
        assert!(text.contains(&format!("/home/u/.config/mqtools/profiles.toml: {fault}")), "{fault}: {text}");
    }
    let read = |environment: &Environment| {
        SubscribeOptions::read(environment, argv("mqsub", &["--profile", "x", "-t", "t"])).unwrap_err().to_string()
    };
    assert!(read(&with_profiles("[x]\npw = hunter2\n")).contains("profiles.toml:2: "));
    assert!(!read(&with_profiles("[x]\npw = hunter2\n")).contains("hunter2"));
    assert!(read(&with_profiles("x = 1")).contains("x is no section: put its options below [x]"));
    assert!(read(&empty()).contains("set HOME or XDG_CONFIG_HOME"));
    let missing = read(&Environment::fixed([("XDG_CONFIG_HOME", "/c")], []));
    assert!(missing.contains("there is no file '/c/mqtools/profiles.toml': create it"), "{missing}");
    let exposed = Environment::fixed(
        [("XDG_CONFIG_HOME", "/public")],
        [("/public/mqtools/profiles.toml", b"[x]\nusername='u'\npw='p'".to_vec())],
    );
    assert!(read(&exposed).contains("run chmod 600 '/public/mqtools/profiles.toml'"));
}

#[test]
fn a_password_has_six_ways_and_the_last_option_wins() {
    let files = [("/home/pw", b"file\n".to_vec()), ("/dev/fd/3", b"descriptor".to_vec())];
    let world = Environment::fixed([("MQTT_PASSWORD", "variable")], files);
    let all = ["-u", "u", "-P", "option", "--pw-file", "/home/pw", "--pw-fd", "3", "--ask-pw"];
    for (arguments, password) in [
        (&all[..], "typed"),
        (&all[..8], "descriptor"),
        (&all[..6], "file"),
        (&all[..4], "option"),
        (&all[..2], "variable"),
        (&["--ask-pw", "-u", "u", "--pw-file", "/home/pw"], "file"),
    ] {
        let plan = plan_of_publish(&world, arguments).unwrap();
        assert_eq!(plan.session.password, Some(Secret::new(password)), "{arguments:?}");
    }
    let fault = plan_of_publish(&world, &["-u", "u", "--pw-fd", "4"]).unwrap_err().to_string();
    assert!(fault.contains("--pw-fd 4: nothing can be read there: open it, as in --pw-fd 4 4<FILE"), "{fault}");
}

#[test]
fn a_password_without_encryption_is_worth_a_warning() {
    let warnings = |more: &[&str]| plan(&[&["-u", "u", "-P", "p"], more].concat()).warnings;
    for host in ["broker.example", "192.0.2.1", "2001:db8::1", "localhost.example"] {
        let expected = format!("the password goes to {host} without encryption: add --tls, or --no-tls to accept that");
        assert_eq!(warnings(&["-h", host]), [expected]);
    }
    for quiet in [&["-h", "localhost"][..], &["-h", "127.0.0.2"], &["-h", "::1"], &["--unix", "/s"], &["--tls"]] {
        assert_eq!(warnings(quiet), [""; 0], "{quiet:?}");
    }
    assert_eq!(warnings(&["-h", "broker.example", "--no-tls"]), [""; 0]);
    assert_eq!(plan(&["-h", "broker.example", "-u", "u"]).warnings, [""; 0]);
}
