//! What ends a session's connection, and what a publish is refused for.

use std::time::Duration;

use thiserror::Error;

use crate::mqtt::wire::{PacketType, WireError};
use crate::mqtt::{Properties, QoS, ReasonCode};

/// Why the connection is at its end. The transport is to be closed after the last output was written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    /// The broker refused the CONNECT.
    #[error("{}", refusal(*reason))]
    Refused {
        /// Why; codes of 3.1.1 are mapped.
        reason: ReasonCode,
        /// Properties of the CONNACK, among them the broker's own words.
        properties: Properties,
    },
    /// No CONNACK arrived.
    #[error("the broker did not answer CONNECT within {} s", .0.as_secs_f64())]
    ConnackTimeout(Duration),
    /// The first bytes received are not MQTT.
    #[error("the server is not an MQTT broker: {error}")]
    NotMqtt {
        /// What is wrong with it.
        error: WireError,
        /// The first bytes received, at most eight.
        first_bytes: Vec<u8>,
    },
    /// The broker sent something that is not a packet, or is forbidden.
    #[error("the broker violated the protocol: {0}")]
    Wire(#[from] WireError),
    /// A packet that may not come now.
    #[error("the broker violated the protocol: {} {what}", .packet.name())]
    Unexpected {
        /// Which packet.
        packet: PacketType,
        /// What is wrong with it.
        what: &'static str,
        /// The Reason Code for it.
        reason: ReasonCode,
    },
    /// The broker ended the connection with a DISCONNECT (5.0).
    #[error("the broker closed the connection: {reason}")]
    Disconnected {
        /// Why.
        reason: ReasonCode,
        /// Its properties.
        properties: Properties,
    },
    /// The broker ended the connection with a DISCONNECT, which before 5.0 it cannot explain.
    #[error("the broker closed the connection with DISCONNECT")]
    UnexpectedDisconnect,
    /// The broker requires an authentication exchange (AUTH).
    #[error("the broker requires enhanced authentication (AUTH), which is not supported")]
    EnhancedAuthentication,
    /// PINGREQ was not answered.
    #[error("the broker did not answer PINGREQ within {} s", .0.as_secs_f64())]
    PingTimeout(Duration),
    /// The transport accepts no more data, and none arrives.
    #[error("the connection has carried no bytes for {} s", .0.as_secs())]
    Stalled(Duration),
}

impl SessionError {
    pub(super) const fn unexpected(packet: PacketType, what: &'static str) -> Self {
        Self::Unexpected { packet, what, reason: ReasonCode::PROTOCOL_ERROR }
    }

    /// The Reason Code to send to a 5.0 broker before closing (§4.13.1), if there is one.
    pub const fn reason_to_send(&self) -> Option<ReasonCode> {
        match self {
            Self::Wire(error) => Some(error.reason()),
            Self::Unexpected { reason, .. } => Some(*reason),
            Self::EnhancedAuthentication => Some(ReasonCode::PROTOCOL_ERROR),
            _ => None,
        }
    }
}

/// A CONNACK that is not success. What means success elsewhere (`Granted QoS 1`) means nothing here.
fn refusal(reason: ReasonCode) -> String {
    match reason.is_error() && reason.name().is_some() {
        true => format!("the broker refused the connection: {reason}"),
        false => format!("the broker refused the connection with an unassigned code: {:#04x}", reason.0),
    }
}

/// Why a message cannot be published.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// There is no connection.
    #[error("there is no connection to the broker")]
    NotConnected,
    /// As many messages as allowed are in flight; try again after one was acknowledged.
    #[error("the window is full")]
    WindowFull,
    /// The broker does not support this QoS.
    #[error("the broker accepts at most QoS {}", .0.number())]
    QosNotSupported(QoS),
    /// The broker keeps no retained messages.
    #[error("the broker does not support retained messages")]
    RetainNotAvailable,
    /// The Topic Alias is above what the broker allows.
    #[error("topic alias {alias} is above the broker's topic alias maximum of {maximum}")]
    TopicAlias {
        /// The alias asked for.
        alias: u16,
        /// The broker's limit.
        maximum: u16,
    },
    /// There is not a message to write: only something else was kept in its place (see [`super::Kept`]).
    #[error("the message was not kept")]
    NotKept,
    /// The message cannot be written, or is larger than the broker takes.
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl PublishError {
    /// The Reason Code that a broker would have given, for a message that is not sent for this.
    pub const fn reason(&self) -> ReasonCode {
        match self {
            Self::QosNotSupported(_) => ReasonCode(0x9B),
            Self::RetainNotAvailable => ReasonCode(0x9A),
            Self::TopicAlias { .. } => ReasonCode::TOPIC_ALIAS_INVALID,
            Self::Wire(error) => error.reason(),
            Self::NotConnected | Self::WindowFull | Self::NotKept => ReasonCode::UNSPECIFIED_ERROR,
        }
    }
}
