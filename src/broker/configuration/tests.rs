use std::time::Duration;

use super::*;
use crate::broker::ListenProtocol;
use crate::mqtt::QoS;

fn messages(text: &str) -> Vec<(usize, String)> {
    let faults = Configuration::parse(text).unwrap_err();
    faults.into_iter().map(|fault| (fault.line, fault.message)).collect()
}

#[test]
fn an_empty_file_is_local_only_and_open() {
    for text in ["", "\n\n", "# listener 1883\n   # port 1\r\n\t\n", "\u{feff}# from Windows\r\n"] {
        let configuration = Configuration::parse(text).unwrap();
        assert_eq!(configuration, Configuration::default());
        assert!(configuration.is_local_only());
        assert!(configuration.is_anonymous_allowed(&configuration.default_listener));
    }
}

#[test]
fn a_compose_files_configuration_works_as_it_stands() {
    let text = "persistence true\npersistence_location /mosquitto/data/\nuser mosquitto\nlistener 1883\n\
                allow_anonymous true\nlog_dest file /mosquitto/log/mosquitto.log\nlog_dest stdout\n";
    let configuration = Configuration::parse(text).unwrap();
    assert_eq!(configuration.listeners, [ListenerConfiguration::new(1883)]);
    assert!(configuration.persistence.enabled);
    assert_eq!(configuration.persistence.location, Path::new("/mosquitto/data/"));
    assert_eq!(configuration.user.as_deref(), Some("mosquitto"));
    let file = LogDestination::File("/mosquitto/log/mosquitto.log".into());
    assert_eq!(configuration.log.destinations, [file, LogDestination::Stdout]);
    assert!(configuration.is_anonymous_allowed(&configuration.listeners[0]));
}

#[test]
fn a_listeners_settings_stand_below_it() {
    let text = "listener 1883 127.0.0.1\nmax_connections 5\nlistener 8883 [::1]\ncertfile /c d.pem\nkeyfile k\ncafile ca\n\
                require_certificate true\nuse_identity_as_username true\ntls_version tlsv1.3\nlistener 9001\n\
                protocol websockets\nwebsockets_origin https://a.example\nlistener_allow_anonymous false\n\
                listener 0 /run/broker.sock\nmaximum_qos 1\nmax_topic_alias 3\nport 1884\nallow_anonymous true\n\
                bind_address localhost";
    let configuration = Configuration::parse(text).unwrap();
    let [first, second, web, unix, default] = &configuration.listeners[..] else { panic!("five listeners") };
    assert_eq!((default.port, &default.bind_to), (1884, &BindTo::Host("localhost".into())));
    assert_eq!((first.port, first.max_connections), (1883, Some(5)));
    assert_eq!(second.bind_to, BindTo::Host("::1".into()));
    let tls = second.tls.as_ref().unwrap();
    assert_eq!((tls.certfile.to_str(), tls.version), (Some("/c d.pem"), Some(TlsVersion::V1_3)));
    assert!(tls.require_certificate && tls.use_identity_as_username && first.tls.is_none());
    assert_eq!(
        (web.protocol, &web.websockets_origins[..]),
        (ListenProtocol::WebSocket, &["https://a.example".into()][..])
    );
    assert!(configuration.is_anonymous_allowed(first) && !configuration.is_anonymous_allowed(web));
    assert_eq!((&unix.bind_to, unix.max_qos), (&BindTo::Unix("/run/broker.sock".into()), QoS::AtLeastOnce));
    assert_eq!((unix.max_topic_alias, first.max_topic_alias), (3, 10));
}

#[test]
fn listeners_close_the_door_to_anonymous_clients_unless_it_is_opened() {
    let configuration = Configuration::parse("listener 1").unwrap();
    assert!(!configuration.is_anonymous_allowed(&configuration.listeners[0]));
    let configuration = Configuration::parse("allow_anonymous false").unwrap();
    assert!(configuration.is_local_only() && !configuration.is_anonymous_allowed(&configuration.default_listener));
}

#[test]
fn settings_above_every_listener_describe_the_local_one() {
    let configuration = Configuration::parse("max_connections 3").unwrap();
    assert!(configuration.is_local_only());
    assert_eq!(configuration.default_listener.max_connections, Some(3));
    let misplaced = "a listener's setting belongs below its listener line, or needs a port line";
    assert_eq!(messages("protocol mqtt\nlistener 1"), [(1, misplaced.to_owned())]);
    assert!(Configuration::parse("protocol mqtt\nlistener 1\nport 2").is_ok());
}

#[test]
fn limits_have_mosquittos_names_and_defaults() {
    let text = "global_max_clients 3\nglobal_max_connections -1\nmax_inflight_messages 0\nmax_queued_messages 7\nmax_queued_bytes 9\nmax_packet_size 0\n\
                message_size_limit 100\nmax_keepalive 60\nmemory_limit 1000000\nqueue_qos0_messages true\n\
                persistent_client_expiration 2w\nmax_inflight_bytes 5";
    let limits = Configuration::parse(text).unwrap().limits;
    let expected = Settings {
        global_max_clients: 3,
        global_max_connections: 0,
        max_inflight_messages: 0,
        max_inflight_bytes: 5,
        max_queued_messages: 7,
        max_queued_bytes: 9,
        max_packet_size: 0,
        message_size_limit: 100,
        max_keepalive: 60,
        memory_limit: 1_000_000,
        queue_qos0_messages: true,
        persistent_client_expiration: Some(Duration::from_secs(14 * 86_400)),
        ..Settings::default()
    };
    assert_eq!(limits, expected);
}

#[test]
fn the_first_log_type_replaces_the_default_set() {
    let types = |text: &str| Configuration::parse(text).unwrap().log.types;
    assert_eq!(types(""), None);
    let two = LogTypes { error: true, debug: true, ..LogTypes::NONE };
    assert_eq!(types("log_type error\nlog_type debug"), Some(two));
    assert_eq!(types("log_type all"), Some(LogTypes::ALL));
    assert_eq!(types("log_type debug\nlog_type none"), Some(LogTypes::NONE));
    let destinations = |text: &str| Configuration::parse(text).unwrap().log.destinations;
    assert_eq!(destinations("log_dest stdout\nlog_dest none"), [LogDestination::None]);
    assert_eq!(destinations("log_dest none\nlog_dest topic\nlog_dest topic"), [LogDestination::Topic]);
}

#[test]
fn faults_name_the_directive_and_what_to_write() {
    for (text, message) in [
        ("pasword_file x", "unknown directive \"pasword_file\"; did you mean password_file?"),
        ("Listener 1883", "unknown directive \"Listener\"; did you mean listener?"),
        ("frobnicate", "unknown directive \"frobnicate\""),
        ("\u{1b}[2J x", "unknown directive \"\\u{1b}[2J\""),
        (
            "connection remote",
            "connection: bridges are not supported; configure the bridge in the mosquitto at the other end",
        ),
        (
            "bridge_cafile x",
            "bridge_cafile: bridges are not supported; configure the bridge in the mosquitto at the other end",
        ),
        ("plugin /lib/x.so", "plugin: plugins are not supported; use password_file and acl_file"),
        ("psk_file x", "psk_file: pre-shared keys are not supported; use certfile and keyfile"),
        ("listener", "listener: a port is missing"),
        ("listener 65536", "listener: \"65536\" is not a port (1 to 65535, or 0 for a free one)"),
        ("listener +1", "listener: \"+1\" is not a port (1 to 65535, or 0 for a free one)"),
        ("listener 1883 /run/x", "listener: a unix socket has no port: write \"listener 0 /run/x\""),
        ("listener 1 a b", "listener: one value is expected, unexpected \"b\""),
        ("port 1 # mine", "port: a comment must be on a separate line"),
        ("protocol http", "protocol: \"http\" is not one of mqtt, websockets"),
        ("allow_anonymous", "allow_anonymous: \"\" is not true or false"),
        ("allow_anonymous yes", "allow_anonymous: \"yes\" is not true or false"),
        ("password_file", "password_file: a value is missing"),
        ("log_dest syslog", "log_dest: syslog is not supported; use file, stdout or stderr"),
        ("log_dest file", "log_dest: file needs a path"),
        ("max_keepalive 5", "max_keepalive: \"5\" is not a number of seconds from 10 to 65535, or 0"),
        ("max_packet_size 5", "max_packet_size: must be at least 20 bytes, or 0 for no limit"),
        (
            "persistent_client_expiration 5",
            "persistent_client_expiration: \"5\" is not a number followed by h, d, w, m or y (hours, days, weeks, months, years)",
        ),
        ("log_timestamp_format %Q", "log_timestamp_format: \"%Q\" is not a time format (strftime)"),
        ("include_dir x", "include_dir: cannot read \"x\": unsupported"),
    ] {
        assert_eq!(messages(&format!("# first\n{text}\n")), [(2, message.to_owned())], "{text}");
    }
}

#[test]
fn every_directive_of_a_listener_that_does_not_fit_is_a_fault() {
    for (text, message) in [
        ("listener 1\ncertfile c", "certfile needs a keyfile at this listener"),
        ("listener 1\nkeyfile c", "keyfile needs a certfile at this listener"),
        ("listener 1\ncafile c", "TLS settings need certfile and keyfile at this listener"),
        (
            "listener 1\ncertfile c\nkeyfile k\nrequire_certificate true",
            "client certificates need cafile or capath at this listener, to verify them",
        ),
        (
            "listener 1\ncertfile c\nkeyfile k\ncafile a\nuse_identity_as_username true",
            "user names from certificates need \"require_certificate true\" at this listener",
        ),
        ("listener 1\nwebsockets_origin x", "websockets_origin needs \"protocol websockets\" at this listener"),
    ] {
        assert_eq!(messages(text), [(1, message.to_owned())], "{text}");
    }
}

#[test]
fn a_listener_that_stands_there_twice_is_a_fault_of_the_file() {
    for text in ["listener 7\nlistener 7", "listener 7 ::1\nlistener 7 [::1]", "listener 0 /run/x\nlistener 0 /run/x"] {
        assert_eq!(messages(text), [(2, "listener: :1 listens there already".to_owned())], "{text}");
    }
    for text in [
        "listener 0\nlistener 0",
        "listener 7 a\nlistener 7 b",
        "listener 0 /run/x\nlistener 0 /run/y",
        "listener 7\nsocket_domain ipv4\nlistener 7\nsocket_domain ipv6",
    ] {
        assert!(Configuration::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let lines: Vec<_> =
        messages("bogus\n\nport x\nallow_anonymous true\nlistener").iter().map(|fault| fault.0).collect();
    assert_eq!(lines, [1, 3, 5]);
}

#[test]
fn a_folder_is_included_in_mosquittos_order_with_file_and_line_of_each_fault() {
    let folder = tempfile::tempdir().unwrap();
    let included = folder.path().join("conf.d");
    std::fs::create_dir(&included).unwrap();
    for name in ["b.conf", "A.conf", "11.conf", "a.conf", "B.conf", "00.conf"] {
        std::fs::write(included.join(name), format!("listener {}\n", 1000 + u32::from(name.as_bytes()[0]))).unwrap();
    }
    std::fs::write(included.join("ignored.txt"), "bogus").unwrap();
    let main = folder.path().join("main.conf");
    std::fs::write(&main, format!("include_dir {}\n", included.display())).unwrap();
    let ports: Vec<u16> = Configuration::read(&main).unwrap().listeners.iter().map(|listener| listener.port).collect();
    assert_eq!(ports, [1048, 1049, 1065, 1097, 1066, 1098]);

    std::fs::write(included.join("z.conf"), "\nbogus\ninclude_dir x\n").unwrap();
    let faults = Configuration::read(&main).unwrap_err();
    let place = included.join("z.conf").display().to_string();
    assert_eq!(faults[0].to_string(), format!("{place}:2: unknown directive \"bogus\""));
    let nested = "include_dir: only the main configuration file may include a folder";
    assert_eq!(faults[1].to_string(), format!("{place}:3: {nested}"));
}
