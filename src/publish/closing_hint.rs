//! Why a broker may close the connection on a PUBLISH, for people. Pure.

use crate::mqtt::{Message, QoS};
use crate::terminal::number::byte_count;

/// What the broker may not accept of a message like `message` with a payload of `size` bytes.
pub(super) fn closing_hint(message: &Message, size: usize, in_flight: usize) -> String {
    let Message { topic, qos, retain, .. } = message;
    let mut causes = Vec::new();
    match qos {
        QoS::AtMostOnce => {}
        QoS::AtLeastOnce => causes.push("QoS 1 (try -q 0)".to_owned()),
        QoS::ExactlyOnce => causes.push("QoS 2 (try -q 1)".to_owned()),
    }
    if *retain {
        causes.push("retained messages (-r)".to_owned());
    }
    if in_flight > 1 {
        causes.push(format!("{in_flight} messages in flight (-M)"));
    }
    causes.push(format!("a message of {}", byte_count(size)));
    let causes = causes.join(", ");
    format!(
        "the broker closed the connection after PUBLISH: this user may not be allowed to publish to '{topic}' (-t, -u), \
         or the broker does not accept {causes}"
    )
}
