//! An MQTT client session without I/O: bytes in, bytes out, events, and time as an argument.

mod config;

pub use config::SessionConfig;
