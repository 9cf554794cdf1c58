//! What the fuzz target `message_json` does with its bytes: a line that may be a message.
//! `tests/properties/json.rs` runs the same body on a stable compiler.

use chrono::{DateTime, FixedOffset};
use mqtools::message_json::{JsonText, MessageDefaults, MessageJsonOptions, read_message, write_message};
use mqtools::mqtt::wire::Publish;
use mqtools::mqtt::{PropertyName, ProtocolVersion, QoS};

/// What is read as a message is JSON to everybody, and is read as the same when we have written it.
pub fn message_json(data: &[u8]) {
    let whole = serde_json::from_slice::<serde_json::Value>(data).ok();
    let depth = whole.as_ref().map_or(0, depth);
    // A lone surrogate in a key's value or a number beyond f64 divides the two readers of JSON: ours is then the
    // stricter.
    if JsonText::new(data, 100).is_some() && depth <= 100 {
        assert!(whole.is_some() || has_huge_number(data), "{}", String::from_utf8_lossy(data));
    }
    for version in [ProtocolVersion::V311, ProtocolVersion::V5] {
        let topic = Some("default".into());
        let defaults = MessageDefaults { topic, qos: QoS::AtLeastOnce, retain: true, version, wants_time: true };
        let read = match read_message(&data.to_vec().into(), &defaults) {
            Ok(read) => read,
            Err(error) => {
                assert!(!error.to_string().is_empty() && (1..=data.len() + 1).contains(&error.column), "{error:?}");
                continue;
            }
        };
        assert!(std::str::from_utf8(data).is_ok_and(|text| text.trim_start().starts_with('{')));
        assert!(version.is_v5() || read.message.properties.iter().next().is_none());
        let mut line = Vec::new();
        let time: DateTime<FixedOffset> = DateTime::UNIX_EPOCH.fixed_offset();
        let publish = Publish::of(&read.message, 1, false);
        write_message(&publish, time, MessageJsonOptions::default(), &mut line);
        assert!(!line.contains(&b'\n'));
        let again = read_message(&line.into(), &defaults).unwrap_or_else(|error| panic!("{error}"));
        // The broker gives Subscription Identifiers, so they are written and not read.
        let mut expected = read.message.clone();
        expected.properties.remove(PropertyName::SubscriptionIdentifier);
        assert_eq!(sorted(again.message), sorted(expected));
    }
}

/// User properties are gathered in the object, wherever they stand in the packet; their own order is kept.
fn sorted(mut message: mqtools::mqtt::Message) -> mqtools::mqtt::Message {
    let (user, mut others): (Vec<_>, Vec<_>) =
        message.properties.iter().cloned().partition(|property| property.name() == PropertyName::UserProperty);
    others.sort_by_key(|property| property.name().text());
    message.properties = user.into_iter().chain(others).collect();
    message
}

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        serde_json::Value::Object(items) => 1 + items.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// Whether there may be a number that f64 cannot hold.
fn has_huge_number(data: &[u8]) -> bool {
    data.iter().any(|byte| matches!(byte, b'e' | b'E'))
        || data.iter().filter(|byte| byte.is_ascii_digit()).count() > 300
}
