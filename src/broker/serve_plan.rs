//! The plan of mqbroker.

use std::path::PathBuf;

/// What mqbroker is asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServePlan {
    /// Ports of the local only mode (`-p`); 1883 when none is named, 0 takes a free one.
    pub ports: Vec<u16>,
    /// Port for MQTT over WebSocket in the local only mode (`--ws-port`); none without it, 0 takes a free one.
    pub web_socket_port: Option<u16>,
    /// Log every packet (1, `-v`), and its bytes (2, `-vv`).
    pub verbosity: u8,
    /// Configuration file (`-c`).
    pub config_file: Option<PathBuf>,
    /// Run in the background (`-d`).
    pub daemon: bool,
    /// Start and end with mosquitto's lines, under this version of it (`--compat`).
    pub mosquitto_version: Option<&'static str>,
}
