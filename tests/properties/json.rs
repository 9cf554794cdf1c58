//! The body of the fuzz target `message_json` as a property test.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::{bodies, cases, pieces};

/// Members of our object, and values that fit and that do not.
fn line_like() -> impl Strategy<Value = Vec<u8>> {
    const KEYS: &[&str] = &[
        "topic",
        "payload",
        "payload_b64",
        "payload_json",
        "qos",
        "retain",
        "properties",
        "time",
        "ts",
        "mid",
        "x",
        "content-type",
        "user-properties",
        "correlation-data",
        "correlation-data_b64",
        "subscription-identifier",
        "message-expiry-interval",
    ];
    const VALUES: &[&str] = &[
        "\"a/b\"",
        "\"\"",
        "\"a/#\"",
        "\"\\u00e9\\n\"",
        "\"\\ud800\"",
        "\"aGk=\"",
        "\"aGk\"",
        "0",
        "1",
        "2",
        "3",
        "-0",
        "1.5e3",
        "1e999",
        "true",
        "false",
        "null",
        "[]",
        "{}",
        "[{\"k\":\"v\"},{\"k\":\"w\"}]",
        "[1,2]",
        "{\"content-type\":\"x\"}",
        "{\"user-properties\":[{\"k\":\"v\"}],\"correlation-data_b64\":\"AP8=\",\"response-topic\":\"r\"}",
        "{\"subscription-identifier\":[1,268435455]}",
        "{\"message-expiry-interval\":4294967295}",
        "{\"topic-alias\":0}",
    ];
    let member = (prop::sample::select(KEYS), prop::sample::select(VALUES));
    vec(member, 0..6).prop_map(|members| {
        let members: Vec<String> = members.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    })
}

const PARTS: &[&str] =
    &["{", "}", "[", "]", ",", ":", "\"", "\"topic\"", "\"payload\"", "\\", "\\u12", "é", " ", "1", "e5", "t", "null"];

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn lines(data in line_like()) {
        bodies::json::message_json(&data);
    }

    #[test]
    fn broken_lines(data in pieces(PARTS, 14)) {
        bodies::json::message_json(&data);
    }

    #[test]
    fn bytes(data in vec(any::<u8>(), 0..60)) {
        bodies::json::message_json(&data);
    }
}
