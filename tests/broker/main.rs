//! mqbroker as a process, the broker inside a process, and the scripted broker of the tests, seen from their sockets.
//!
//! - [`conformance`]: the rules of MQTT 3.1.1 and 5.0, by section, in raw packets. Any broker can be tested with it:
//!   `MQTOOLS_CONFORMANCE_BROKER=HOST:PORT cargo test --test broker conformance`.
//! - [`resources`]: what one client may cost the others.

// clippy.toml allows it in test functions only, not in the functions that they share.
#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod bridge;
mod conformance;
mod embedded;
mod files;
mod interop;
mod mqbroker;
mod resources;
mod scripted;
