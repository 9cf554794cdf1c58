//! An application message: what a publisher hands over and a subscriber gets.

use bytes::Bytes;

use super::{Properties, QoS};

/// An Application Message with what travels beside it (§3.3). Packet Identifier and DUP belong to a delivery, not to
/// the message, and are kept by the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Topic Name.
    pub topic: String,
    /// Payload, any bytes, at most 268,435,455 less the header.
    pub payload: Bytes,
    /// Quality of Service asked for by the publisher.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// MQTT 5 properties in wire order; empty with 3.1 and 3.1.1.
    pub properties: Properties,
}
