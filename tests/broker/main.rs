//! mqbroker as a process, the broker inside a process, and the scripted broker of the tests, seen from their sockets.
//!
//! - [`conformance`]: the rules of MQTT 3.1.1 and 5.0, by section, in raw packets. Any broker can be tested with it:
//!   `MQTOOLS_CONFORMANCE_BROKER=HOST:PORT cargo test --test broker conformance`.

// clippy.toml allows it in test functions only, not in the functions that they share.
#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod bridge;
#[allow(dead_code)]
mod conformance;
mod embedded;
mod files;
mod mqbroker;
#[allow(dead_code)] // a test takes what it needs of it
mod process;
mod scripted;
