//! What a session is to be: plain data, made by the options.

use std::time::Duration;

use crate::mqtt::{Message, Properties, ProtocolVersion, Secret};

/// How a session introduces itself and what it allows.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Protocol version.
    pub version: ProtocolVersion,
    /// Client Identifier; empty asks the server for one.
    pub client_id: String,
    /// Clean Start (Clean Session before 5.0).
    pub clean_start: bool,
    /// Keep Alive; zero turns it off. Whole seconds on the wire.
    pub keep_alive: Duration,
    /// User Name.
    pub user_name: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// Will, with its properties.
    pub will: Option<Message>,
    /// Properties of CONNECT in wire order; Receive Maximum, Maximum Packet Size, Topic Alias Maximum and Session
    /// Expiry Interval are read from here.
    pub connect_properties: Properties,
    /// The Packet Identifier to begin with, 1 to 65,535. In a session that outlives its process the broker may still
    /// hold identifiers of an earlier one, and would take a new message under one of them for that one, sent again
    /// (MQTT-4.3.3): such a session begins at a random place.
    pub first_identifier: u16,
    /// What is sent again to a broker that has lost the session, and with it the subscriptions, waits for a SUBACK that
    /// grants what it is asked for: the answers to it must find the subscription.
    pub subscribes_first: bool,
    /// A Topic Alias above the broker's maximum is sent all the same, as mosquitto's clients do.
    pub sends_any_alias: bool,
    /// Most QoS 1 and 2 messages in flight (`-M`); the broker's Receive Maximum lowers it.
    pub window: u16,
    /// Largest packet taken from the network, bytes.
    pub max_packet_size: usize,
    /// How long to wait for CONNACK.
    pub connack_timeout: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            version: ProtocolVersion::default(),
            client_id: String::new(),
            clean_start: true,
            keep_alive: Duration::from_secs(60),
            user_name: None,
            password: None,
            will: None,
            connect_properties: Properties::new(),
            first_identifier: 1,
            subscribes_first: false,
            sends_any_alias: false,
            window: 20,
            max_packet_size: crate::mqtt::wire::MAX_PACKET_SIZE,
            connack_timeout: Duration::from_secs(30),
        }
    }
}
