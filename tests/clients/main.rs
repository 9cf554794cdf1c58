//! mqpub, mqsub and mqrr as processes, against brokers that do right and wrong. One crate, because each test crate
//! links the whole library.

// clippy.toml allows it in test functions only, not in the functions that they share.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod check;
mod command_lines;
mod each;
mod explore;
mod mqpub;
mod mqpub_input;
mod mqpub_replay;
mod mqrr;
mod mqsub;
mod mqsub_conditions;
mod mqsub_retained;
mod paho;
mod ready;
mod record;
mod restarts;
#[cfg(unix)]
mod secrets;
mod signals;
mod tls;
mod transports;
mod wait;
