//! Whole command lines under mosquitto's names. What mosquitto 2.0 has too is compared with the real one in
//! `tests/parity.rs`; here is what 2.1 brought, and what a line becomes.

use super::super::{
    ClientGroups, ConnectDefaults, PUBLISH, PublishOptions, REQUEST, Reading, RequestOptions, SUBSCRIBE,
    SubscribeOptions, connect_plan,
};
use super::*;
use crate::client::ConnectPlan;
use crate::mqtt::{PropertyName, ProtocolVersion};
use crate::transport::Address;

fn world(files: &[(&'static str, &str)]) -> Environment {
    let variables = [("XDG_CONFIG_HOME", "/c"), ("MQTT_PASSWORD", "hunter2")];
    Environment::fixed(variables, files.iter().map(|(path, content)| (*path, content.as_bytes().to_vec())))
}

fn argv(name: &str, arguments: &[&str]) -> Vec<OsString> {
    std::iter::once(&name).chain(arguments).map(OsString::from).collect()
}

fn publish(arguments: &[&str], files: &[(&'static str, &str)]) -> Result<PublishOptions, UsageError> {
    match PublishOptions::read(&world(files), argv("/usr/bin/mosquitto_pub", arguments))? {
        Reading::Options(options) => Ok(*options),
        Reading::Answer(text) => panic!("{text}"),
    }
}

fn subscribe(arguments: &[&str]) -> Result<SubscribeOptions, UsageError> {
    match SubscribeOptions::read(&world(&[]), argv("mosquitto_sub", arguments))? {
        Reading::Options(options) => Ok(*options),
        Reading::Answer(text) => panic!("{text}"),
    }
}

fn request(arguments: &[&str]) -> Result<RequestOptions, UsageError> {
    match RequestOptions::read(&world(&[]), argv("mosquitto_rr", arguments))? {
        Reading::Options(options) => Ok(*options),
        Reading::Answer(text) => panic!("{text}"),
    }
}

fn plan_of(options: &PublishOptions) -> Result<ConnectPlan, UsageError> {
    let environment = world(&[]);
    let defaults = ConnectDefaults {
        tool: &PUBLISH,
        environment: &environment,
        window: 20,
        no_delay: false,
        names_clients: false,
        policy: options.general.policy,
    };
    let ClientGroups { connection, tls, will, properties, .. } = &options.client;
    connect_plan(connection, tls, will, properties, defaults)
}

fn plan(arguments: &[&str]) -> ConnectPlan {
    let arguments = [&["-t", "a", "-n"], arguments].concat();
    plan_of(&publish(&arguments, &[]).unwrap()).unwrap()
}

/// stderr, with the newline that the tool adds.
fn stderr(error: &UsageError) -> String {
    assert_eq!(error.exit_status().code(), 1);
    format!("{error}\n")
}

#[test]
fn the_name_decides_and_so_does_the_option() {
    assert!(asked_for(&PUBLISH, &argv("/x/mosquitto_pub", &[])).is_some());
    assert!(asked_for(&PUBLISH, &argv("mosquitto_pub.exe", &[])).is_some());
    assert!(asked_for(&PUBLISH, &argv("mqpub", &["--compat", "-t"])).is_some_and(|(_, rest)| rest == ["-t"]));
    assert!(asked_for(&PUBLISH, &argv("mqpub", &["-t", "--compat"])).is_none());
    assert!(asked_for(&PUBLISH, &argv("mosquitto_sub", &[])).is_none());
    assert!(asked_for(&SUBSCRIBE, &argv("mosquitto_sub", &[])).is_some());
    assert!(publish(&["-t", "a", "-n"], &[]).unwrap().general.policy.mosquitto.is_some());
    assert!(asked_for(&REQUEST, &argv("/x/mosquitto_rr", &[])).is_some());
    assert!(asked_for(&REQUEST, &argv("mqrr", &["-t"])).is_none());
}

#[test]
fn texts_that_came_with_2_1() {
    for (arguments, text) in [
        (&["-o"][..], "Error: -o argument given but no options file specified.\n\n"),
        (&["-o", "a", "-o", "b"], "Error: Duplicate -o argument given.\n\n"),
        (&["--tls-keylog"], "Error: --tls-keylog argument given but no file specified.\n\n"),
        (&["-t", ""], "Error: Invalid publish topic '', does it contain '+' or '#'?\n"),
        (
            &["-D", "invalid", "receive-maximum", "1"],
            "Error: Invalid command invalid given in --property argument.\n\n",
        ),
        (&["-D", "connect", "invalid", "1"], "Error: Invalid property name invalid given in --property argument.\n\n"),
        (&["-L", "invalid://"], "Error: Unsupported URL scheme.\n\n"),
        (&["--retain-handling", "x"], "Error: Unknown option '--retain-handling'.\n"),
        (&["--message-rate"], "Error: Unknown option '--message-rate'.\n"),
        (&["--tls-version", "tlsv1.1", "-t", "a", "-n"], ""),
    ] {
        let expected = match text {
            "" => "Error: Problem setting TLS options, check the options are valid.\n".to_owned(),
            text => format!("{text}\nUse 'mosquitto_pub --help' to see usage.\n"),
        };
        assert_eq!(stderr(&publish(arguments, &[]).unwrap_err()), expected, "{arguments:?}");
    }
    for (arguments, text) in [
        (&["--retain-handling"][..], "Error: --retain-handling argument given but no option specified.\n\n"),
        (&["--retain-handling", "invalid"], "Error: Unknown value 'invalid' for --retain-handling.\n\n"),
        (&[], "Error: You must specify a topic to subscribe to (-t) or unsubscribe from (-U).\n"),
        (&["-t", ""], "Error: Invalid subscription topic '', are all '+' and '#' wildcards correct?\n"),
    ] {
        let expected = format!("{text}\nUse 'mosquitto_sub --help' to see usage.\n");
        assert_eq!(stderr(&subscribe(arguments).unwrap_err()), expected, "{arguments:?}");
    }
}

#[test]
fn a_prefix_is_refused_as_an_id_is() {
    for option in ["-i", "-I", "--id-prefix"] {
        let error = publish(&["-t", "a", "-n", option, "a\r"], &[]).unwrap_err();
        assert_eq!(stderr(&error), "Error: Invalid id.\n", "{option}");
        let error = subscribe(&["-t", "a", option, "a\u{85}"]).unwrap_err();
        assert_eq!(stderr(&error), "Error: Invalid id and/or clean_session.\n", "{option}");
    }
}

#[test]
fn usage_and_version_are_on_stdout_and_show_only_what_mosquitto_has() {
    let error = publish(&["--help", "-Z"], &[]).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.exit_status().code()), ("", 1));
    assert!(error.stdout().contains("mosquitto_pub") && error.stdout().contains("--repeat-delay"));
    assert!(!error.stdout().contains("--pw-file") && !error.stdout().contains("--connect-timeout"));
    let error = subscribe(&["--version"]).unwrap_err();
    assert!(error.stdout().starts_with("mosquitto_sub version 2.1.2 running on mqsub "), "{}", error.stdout());
    let error = publish(&["-t", "a"], &[]).unwrap_err();
    assert_eq!(error.to_string(), "Error: Both topic and message must be supplied.");
    assert!(error.stdout().contains("--topic"));
}

#[test]
fn a_request_is_of_mqtt_5_by_default() {
    let version = |arguments: &[&str]| {
        let options = request(&[&["-t", "q", "-e", "-x", "-m", "-5"], arguments].concat()).unwrap();
        assert_eq!(options.response.response_topic.as_deref(), Some("-x"));
        assert_eq!(options.message.message.as_deref(), Some(&b"-5"[..]));
        options.client.connection.protocol_version.map(ProtocolVersion::from)
    };
    assert_eq!(version(&[]), Some(ProtocolVersion::V5));
    assert_eq!(version(&["-V", "311"]), Some(ProtocolVersion::V311));
    assert_eq!(version(&["-V", "31", "-x", "5"]), Some(ProtocolVersion::V5));
    // What came with 2.1.
    let options = request(&["-t", "q", "-e", "r", "-n", "--latency", "--retain-handling", "new", "-W", "1.5"]).unwrap();
    assert!(options.response.latency && options.response.retain_handling.is_some());
    assert_eq!(options.response.timeout.map(|time| time.as_secs()), Some(1));
    let text = "Error: All of topic, message, and response topic must be supplied.\n";
    assert_eq!(stderr(&request(&[]).unwrap_err()), format!("{text}\nUse 'mosquitto_rr --help' to see usage.\n"));
    let usage = request(&["--help"]).unwrap_err();
    assert!(usage.stdout().contains("-e") && usage.stdout().contains("--latency"), "{}", usage.stdout());
    assert!(!usage.stdout().contains("--stdin-line") && !usage.stdout().contains("--no-correlation-check"));
}

#[test]
fn odd_values_are_carried() {
    let options =
        publish(&["-t", "a", "-m", "-5", "-q", "x", "--repeat", "3z", "--repeat-delay", "0.25s"], &[]).unwrap();
    assert_eq!(options.message.message.as_deref(), Some(&b"-5"[..]));
    assert_eq!((options.message.qos.number(), options.message.repeat), (0, 3));
    assert_eq!(options.message.repeat_delay.as_millis(), 250);
    for (value, expiry) in [("∞", u32::MAX), ("-1", u32::MAX), ("0x10", 16), ("4294967295", u32::MAX)] {
        let plan = plan(&["-i", "me", "-x", value]);
        assert_eq!(plan.session.connect_properties.number(PropertyName::SessionExpiryInterval), Some(expiry));
        assert_eq!(plan.session.version, ProtocolVersion::V5);
    }
    let options = subscribe(&["-t", "a", "-t", "-x", "-C", " 12abc", "-W", "1.5", "--random-filter", "0.19"]).unwrap();
    assert_eq!(options.subscription.topic, ["a", "-x"]);
    assert_eq!(options.subscription.count, Some(12));
    assert_eq!(options.subscription.timeout.map(|time| time.as_secs()), Some(1));
    assert_eq!(options.subscription.random_filter, Some(0.1));
    for delay in ["nan", "inf", "1e400"] {
        assert!(publish(&["-t", "a", "-n", "--repeat-delay", delay], &[]).is_ok(), "{delay}");
    }
    // What our own tools refuse, mosquitto lets pass in silence.
    for arguments in [
        &["--insecure"][..],
        &["--tls-alpn", "x"],
        &["--tls-version", "tlsv1.2"],
        &["--cert", "x", "--key", "y"],
        &["--ciphers", "x"],
        &["--psk-identity", "x"],
        &["-D", "will", "content-type", "x"],
        &["-D", "publish", "content-type", "x", "-V", "311"],
        &["--no-tls", "-p", "8883", "--cafile", "/nowhere"],
    ] {
        plan(arguments);
    }
    assert!(subscribe(&["-t", "a", "--retain-as-published", "--retain-handling", "new"]).is_ok());
    assert!(subscribe(&["-t", "a", "--message-rate", "-F", "%p"]).is_ok());
    assert!(publish(&["-t", "a", "-l", "--repeat", "5"], &[]).is_ok());
}

#[test]
fn a_local_address_may_be_a_name_as_mosquitto_does_it() {
    let bind = |address: &str| plan(&["-A", address]).transport.bind.map(|address| address.to_string());
    assert_eq!(bind("localhost").as_deref(), Some("127.0.0.1"));
    assert_eq!(bind("::1").as_deref(), Some("::1"));
    for address in ["eth0", "", "127.0.0.1,127.0.0.2"] {
        let error = publish(&["-t", "a", "-n", "-A", address], &[]).unwrap_err();
        assert_eq!(stderr(&error), "Unable to connect (Lookup error.).\n", "{address}");
    }
}

#[test]
fn paths_without_a_name_and_ports_of_a_proxy_are_refused_in_mosquittos_words() {
    for (arguments, text) in [
        (
            &["-t", "a", "-f", ""][..],
            "Error: Unable to read file \"\": No such file or directory.\nError loading input file \"\".\n",
        ),
        (&["-t", "a", "-n", "--cafile", ""], "Error: Problem setting TLS options: File not found.\n"),
        (&["-t", "a", "-n", "--capath", ""], "Error: Problem setting TLS options: File not found.\n"),
    ] {
        assert_eq!(stderr(&publish(arguments, &[]).unwrap_err()), text, "{arguments:?}");
    }
    assert!(publish(&["-t", "a", "-n", "--cafile", "", "--no-tls"], &[]).is_ok());
    for (proxy, port) in [("h:99999", "99999"), ("h:0", "0"), ("u:p@h:abc", "0"), ("[::1]:-1", "-1")] {
        let error = publish(&["-t", "a", "-n", "--proxy", &format!("socks5h://{proxy}")], &[]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("Error: Invalid proxy port {port}\n")), "{error}");
    }
    for proxy in ["h", "h:1", "u:p@h", "[::1]", "[::1]:1080", "u:0@h"] {
        assert!(publish(&["-t", "a", "-n", "--proxy", &format!("socks5h://{proxy}")], &[]).is_ok(), "{proxy}");
    }
}

#[test]
fn a_generated_identifier_of_mqtt_31_is_named_as_mosquittos() {
    let id = plan(&["-V", "31"]).session.client_id;
    assert!(id.starts_with("mosq-") && id.len() == 23, "{id}");
}

#[test]
fn the_place_is_that_of_mosquitto() {
    let tcp = |host: &str, port| Address::Tcp { host: host.into(), port };
    for (arguments, address, tls) in [
        (&[][..], tcp("localhost", 1883), false),
        (&["-p", "8883"], tcp("localhost", 8883), true),
        (&["--cafile", "/x"], tcp("localhost", 8883), true),
        (&["--tls-use-os-certs"], tcp("localhost", 1883), true),
        (&["--no-tls", "--cafile", "/x"], tcp("localhost", 1883), false),
        (&["-p", "abc", "-h", "/tmp/s"], Address::Unix("/tmp/s".into()), false),
        (&["--unix", "/tmp/s", "-p", "1"], tcp("/tmp/s", 1), false),
        (&["-h", "x", "-p", "7", "-L", "mqtt://u%40:p@h/a"], tcp("h", 1883), false),
        (&["-L", "mqtts://h/a", "-p", "9"], tcp("h", 9), true),
        (&["-L", "mqtts://h/a"], tcp("h", 8883), true),
    ] {
        let plan = plan(arguments);
        assert_eq!((plan.transport.address, plan.transport.tls.is_some()), (address, tls), "{arguments:?}");
    }
    assert_eq!(plan(&["-L", "mqtt://u%40:p@h/a"]).session.user_name.as_deref(), Some("u%40"));
    // The variable is ours.
    assert!(plan(&["-u", "me"]).session.password.is_none());
}

#[test]
fn connect_is_that_of_mosquitto() {
    let numbers = |plan: &ConnectPlan| -> Vec<(PropertyName, Option<u32>)> {
        plan.session.connect_properties.iter().map(|property| (property.name(), property.value().number())).collect()
    };
    let expiry = PropertyName::SessionExpiryInterval;
    let maximum = PropertyName::ReceiveMaximum;
    assert_eq!(numbers(&plan(&["-V", "5"])), [(maximum, Some(20))]);
    assert_eq!(numbers(&plan(&["-V", "5", "-c", "-i", "x"])), [(expiry, Some(u32::MAX)), (maximum, Some(20))]);
    assert_eq!(numbers(&plan(&["-x", "7", "-c", "-i", "x"])), [(expiry, Some(7)), (maximum, Some(20))]);
    assert_eq!(numbers(&plan(&["-D", "connect", "receive-maximum", "5"])), [(maximum, Some(5))]);
    assert_eq!(numbers(&plan(&[])), []);
    assert_eq!(plan(&["-x", "5", "-V", "311"]).session.version, ProtocolVersion::V311);
}

#[test]
fn options_files_are_read_mosquittos_way() {
    let file = [("/c/mosquitto_pub", "# c\n-t in the file\n-q 1\n"), ("/c/mqpub", "-Z\n")];
    let options = publish(&["-n"], &file).unwrap();
    assert_eq!(options.message.topic, ["in the file"]);
    assert_eq!(publish(&["-n", "-t", "x"], &file).unwrap().message.topic, ["x"]);
    // One that is named takes the place of the other, and may be missing.
    let error = publish(&["-n", "-o", "/nowhere"], &file).unwrap_err();
    assert_eq!(error.to_string(), "Error: Both topic and message must be supplied.");
    let named = [("/f", "-t y\n-o /other\n-q 2")];
    assert_eq!(publish(&["-n", "-o", "/f"], &named).unwrap().message.qos.number(), 2);
    let broken = publish(&["-n", "-o", "/f"], &[("/f", "-D publish content-type x")]).unwrap_err();
    assert!(broken.to_string().starts_with("Error: --property argument given but not enough arguments specified."));
}

#[test]
fn what_is_not_there_is_refused_with_the_reason() {
    for (arguments, text) in [
        #[cfg(not(feature = "openssl"))]
        (&["--psk", "aa", "--psk-identity", "me"][..], "build with --features openssl"),
        #[cfg(not(feature = "openssl"))]
        (&["--cafile", "x", "--ciphers", "AES"], "--ciphers needs OpenSSL"),
        (&["--tls-engine", "pkcs11"][..], "--tls-engine"),
        (&["--cafile", "x", "--cert", "c", "--key", "k", "--keyform", "engine"], "--keyform engine"),
    ] {
        let options = publish(&[&["-t", "a", "-n"], arguments].concat(), &[]).unwrap();
        let error = plan_of(&options).unwrap_err().under_mosquittos_name();
        let text_of_error = stderr(&error);
        assert!(text_of_error.starts_with("Error: ") && text_of_error.contains(text), "{text_of_error}");
        assert!(!text_of_error.contains("mqpub"), "{text_of_error}");
    }
}
