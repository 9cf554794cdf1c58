//! mqtools: the command-line suite for MQTT, as the library under its tools. `ARCHITECTURE.md` explains the design,
//! `CONTRIBUTING.md` how to change it.
//!
//! The top-level modules ("rooms"), lowest first. A room uses the rooms below it and none above; the tools' rooms do
//! not use each other, except that `request` builds on `publish` and `subscribe`, and `explore` on `subscribe`. Data
//! flows one way: argv → options → plan → run → result → stdout → exit status.
//!
//! - [`mqtt`]: the protocol, pure; [`mqtt::wire`] is bytes ↔ packets
//! - [`session`]: an MQTT client session without sockets and clocks
//! - [`exit_status`]: maps outcomes to exit codes
//! - [`terminal`]: color, progress, tables, escaping
//! - `dissect`: a packet as text, field by field
//! - [`message_json`]: one message as one JSON object, written and read
//! - [`template`]: texts with placeholders, and random numbers by index
//! - `recording`: files of such objects, plain or compressed, written and read
//! - [`transport`]: how bytes reach a broker, the only home of rustls and sockets
//! - [`client`]: session + transport + clock on tokio
//! - [`options`]: what the user typed, the only home of clap
//! - [`check`]: the way to a broker, step by step, for mqpub and mqsub
//! - [`publish`], [`subscribe`], [`request`], [`mod@bench`]: one room per tool
//! - [`mod@explore`]: `mqsub --tree`, the topic explorer on a terminal, on top of `subscribe`
//! - [`broker`]: mqbroker; [`broker::core`] has no I/O, the rest connects it to the network

#![warn(unreachable_pub)]
// Tests are often tables of cases.
#![cfg_attr(not(test), warn(clippy::too_many_lines))]

pub mod bench;
pub mod broker;
pub mod check;
pub mod client;
mod dissect;
pub mod exit_status;
#[cfg_attr(not(feature = "explorer"), path = "explore/absent.rs")]
pub mod explore;
pub mod message_json;
pub mod mqtt;
pub mod options;
pub mod publish;
mod recording;
pub mod request;
pub mod session;
pub mod subscribe;
pub mod template;
pub mod terminal;
pub mod transport;

// The broker with faults is compiled here for the simulation, and in the integration tests, which know this crate by
// name.
#[cfg(test)]
extern crate self as mqtools;
