//! The bodies of the fuzz targets of the options as property tests.

use mqtools::client::Policy;
use mqtools::options::PUBLISH;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{bodies, cases};

fn url_like() -> impl Strategy<Value = Vec<u8>> {
    const PARTS: &[&str] = &[
        "mqtt://",
        "mqtts://",
        "ws://",
        "WSS://",
        "unix:",
        "http://",
        "me",
        ":hunter2@",
        "@",
        ":",
        "/",
        "//",
        "broker",
        "[::1]",
        "[",
        "]",
        "::1",
        "127.0.0.1",
        "1883",
        "0",
        "65536",
        "%41",
        "%00",
        "%zz",
        "%",
        "?",
        "#",
        " ",
        "é",
        "a/b",
        "+",
    ];
    let whole = (prop::sample::select(&["mqtt://", "mqtts://", "ws://", "wss://"][..]), crate::pieces(PARTS, 8));
    prop_oneof![
        4 => whole.prop_map(|(scheme, rest)| [scheme.as_bytes(), &rest].concat()),
        1 => crate::pieces(PARTS, 9),
    ]
}

/// Lines with the options that the tool has, and with what is none.
fn file_like() -> impl Strategy<Value = Vec<u8>> {
    let mut options = vec!["-D publish content-type".to_owned(), "-q".into(), "-r".into(), "–v".into(), "x".into()];
    for argument in PUBLISH.command().get_arguments() {
        options.extend(argument.get_short().map(|letter| format!("-{letter}")));
        options.extend(argument.get_long().map(|name| format!("--{name}")));
    }
    const VALUES: &[&str] =
        &["", " ", " 1", " 1s", " x", "  two  words ", " -x", " # no comment", "\u{1}", "=3", "5", "\0"];
    const ENDS: &[&str] = &["\n", "\n", "\n", "\r\n", "\n\n", "\n# comment\n", "\n \n", ""];
    let line = (prop::sample::select(options), prop::sample::select(VALUES), prop::sample::select(ENDS));
    vec(line.prop_map(|(option, value, end)| option + value + end), 0..5).prop_map(|lines| lines.concat().into_bytes())
}

fn property_like() -> impl Strategy<Value = Vec<u8>> {
    const PACKETS: &[&str] = &["publish", "PUBLISH", "connect", "will", "subscribe", "disconnect", "puback", "x"];
    const NAMES: &[&str] = &[
        "payload-format-indicator",
        "message-expiry-interval",
        "content-type",
        "response-topic",
        "correlation-data",
        "subscription-identifier",
        "session-expiry-interval",
        "receive-maximum",
        "topic-alias",
        "user-property",
        "User-Property",
        "reason-string",
        "will-delay-interval",
        "bogus",
    ];
    const VALUES: &[&str] =
        &["", "0", "1", "2", "65535", "65536", "4294967295", "-1", "a/b", "a/#", "é", "x y", "\u{7f}"];
    let words = (prop::sample::select(PACKETS), prop::sample::select(NAMES), vec(prop::sample::select(VALUES), 0..4));
    words.prop_map(|(packet, name, values)| [&[packet, name][..], &values].concat().join("\n").into_bytes())
}

proptest! {
    // Each reads a whole command line.
    #![proptest_config(cases(200))]

    #[test]
    fn broker_url(data in url_like()) {
        bodies::options::broker_url(&data);
    }

    #[test]
    fn options_file(data in prop_oneof![8 => file_like(), 1 => vec(any::<u8>(), 0..60)]) {
        bodies::options::options_file(&data);
    }

    #[test]
    fn property(data in property_like()) {
        bodies::options::property(&data);
    }

    /// A URL made of parts is read as these parts.
    #[test]
    fn a_url_is_its_parts(
        user in "[a-zé0-9 !$&()*+,;=~._-]{1,8}", password in "[^\0/@%]{1,8}", host in "[a-z]{1,9}(\\.[a-z]{1,5})?", port in 1u16..,
        topic in "[a-z?#é][^\0%]{0,9}",
    ) {
        use mqtools::options::{ClientGroups, ConnectDefaults, Environment, PublishOptions, Reading, connect_plan};
        let url = format!("mqtt://{user}:{password}@{host}:{port}/{topic}");
        let environment = Environment::fixed([], []);
        let argv = ["mqpub", "-n", "-t", "t", "-L", &url].map(Into::into);
        let Ok(Reading::Options(o)) = PublishOptions::read(&environment, argv) else { panic!("{url}") };
        let defaults = ConnectDefaults {
            tool: &PUBLISH, environment: &environment, policy: Policy::OWN, window: 20, no_delay: false, names_clients: false,
        };
        let ClientGroups { connection, tls, will, properties, .. } = &o.client;
        let plan = connect_plan(connection, tls, will, properties, defaults).unwrap();
        prop_assert_eq!(plan.transport.address.to_string(), format!("{host}:{port}"));
        prop_assert_eq!(plan.session.user_name.as_deref(), Some(user.as_str()));
        let given = plan.session.password.unwrap();
        prop_assert_eq!(given.expose(), password.as_bytes());
        prop_assert_eq!(plan.topic_of_url, Some(topic));
    }
}
