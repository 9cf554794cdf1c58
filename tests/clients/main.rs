//! mqpub, mqsub and mqrr as processes, against brokers that do right and wrong. One crate, because each test crate links
//! the whole library.

// clippy.toml allows it in test functions only, not in the functions that they share.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod command_lines;
mod mqpub;
mod mqrr;
mod mqsub;
mod mqsub_conditions;
mod paho;
mod record;
mod restarts;
#[cfg(unix)]
mod secrets;
mod signals;
mod tls;
mod transports;
