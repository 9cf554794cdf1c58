//! mqtools: the command-line suite for MQTT.
//!
//! The rooms from the ground up; a room knows the rooms below it and none above, and the tools' rooms do not know each
//! other, but for the one that says so. Data goes one way: argv → options → plan → run → result → stdout → exit status.
//!
//! - [`mqtt`]: the protocol, pure; [`mqtt::wire`] is bytes ↔ packets
//! - [`session`]: an MQTT client session without sockets and clocks
//! - [`transport`]: how bytes reach a broker, the only home of rustls and sockets
//! - [`client`]: session + transport + clock on tokio
//! - [`message_json`]: one message as one JSON object, written and read
//! - [`exit_status`]: where meaning becomes a number
//! - [`terminal`]: colour, progress, tables, escaping
//! - [`options`]: what the user typed, the only home of clap
//! - [`publish`], [`subscribe`], [`bench`]: a room a tool; [`request`] stands on the first two
//! - [`broker`]: the broker: [`broker::core`] without I/O, and what serves it to the network

pub mod bench;
pub mod broker;
pub mod client;
pub mod exit_status;
pub mod message_json;
pub mod mqtt;
pub mod options;
pub mod publish;
pub mod request;
pub mod session;
pub mod subscribe;
pub mod terminal;
pub mod transport;

// The broker with faults is compiled here for the simulation, and in the integration tests, which know this crate by name.
#[cfg(test)]
extern crate self as mqtools;
