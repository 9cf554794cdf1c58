//! An MQTT client session without I/O: bytes in, bytes out, events, and time as an argument.
//!
//! The owner connects a transport, calls [`Session::start`], moves bytes with [`Session::handle_input`] and
//! [`Session::take_output`], asks [`Session::poll_timeout`] when to come back, and is called for what happened through
//! its [`Handler`]. Nothing here sleeps, allocates without a bound or knows a socket, so each rule of the standard is a
//! test.
//!
//! One machine serves all tools. mqpub keeps a whole message in each place of the window, to send it again after a
//! reconnect; mqbench keeps only the times ([`Kept`]) and writes its PUBLISH from a template.

mod config;
mod error;
mod handler;
mod handshakes;
mod identifiers;
pub(crate) mod inbound;
mod keep_alive;
mod limits;
mod machine;
pub(crate) mod outbound;
mod output;
mod partial_packet;
mod receiving;
mod sending;
mod sent_aliases;

#[cfg(test)]
mod tests;

pub use config::SessionConfig;
pub use error::{PublishError, SessionError};
pub use handler::{Acknowledge, Completion, Delivery, Event, Handler, Kept, Outcome, Receipt};
pub(crate) use handshakes::HandshakeCounts;
pub(crate) use identifiers::Identifiers;
pub use limits::Limits;
pub(crate) use limits::largest_packet;
pub use machine::Session;
