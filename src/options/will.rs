//! The will group: what the broker publishes when we are gone.

use bytes::Bytes;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueHint};

use super::values::qos;
use crate::mqtt::{Message, Properties, QoS, check_sent_topic_name};

/// The will (§3.1.2.5).
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Will")]
pub struct WillOptions {
    /// Topic of the will, which the broker publishes if the connection is lost.
    #[arg(long, value_name = "TOPIC", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub will_topic: Option<String>,

    /// Payload of the will [default: empty].
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_hint = ValueHint::Other,
          value_parser = OsStringValueParser::new().map(|text| Bytes::from(text.into_encoded_bytes())))]
    pub will_payload: Option<Bytes>,

    /// QoS of the will [default: 0].
    #[arg(long, value_name = "QOS", value_parser = qos)]
    pub will_qos: Option<QoS>,

    /// Retain the will.
    #[arg(long)]
    pub will_retain: bool,
}

impl WillOptions {
    /// The will, with the properties that `-D will` gave.
    pub(super) fn plan(&self, properties: Properties, faults: &mut Vec<String>) -> Option<Message> {
        let Self { will_topic, will_payload, will_qos, will_retain } = self;
        let Some(topic) = will_topic else {
            // --will-qos alone is not a fault, as with mosquitto: option files set it once for all.
            for (given, option) in [
                (will_payload.is_some(), "--will-payload"),
                (*will_retain, "--will-retain"),
                (!properties.is_empty(), "-D will"),
            ] {
                if given {
                    faults.push(format!("{option} needs --will-topic"));
                }
            }
            return None;
        };
        if let Err(error) = check_sent_topic_name(topic) {
            faults.push(format!("invalid will topic '{topic}': {error}"));
        }
        let payload = will_payload.clone().unwrap_or_default();
        if payload.len() > usize::from(u16::MAX) {
            faults.push("the payload of a will can have at most 65,535 bytes".into());
        }
        Some(Message {
            topic: topic.clone(),
            payload,
            qos: will_qos.unwrap_or_default(),
            retain: *will_retain,
            properties,
        })
    }
}
