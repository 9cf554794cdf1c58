//! What integration tests share. Each test file uses a part of it.

#![allow(dead_code, clippy::expect_used, clippy::unwrap_used)]

pub mod at_once;
pub mod bench;
pub mod browser;
pub mod faulty_broker;
pub mod mosquitto;
pub mod mqbroker;
pub mod peer;
pub mod ports;
pub mod process;
pub mod proxies;
pub mod raw_client;
pub mod schema;
pub mod scripted_broker;
pub mod socket;
pub mod tool;
pub mod web_socket;
pub mod whole;
