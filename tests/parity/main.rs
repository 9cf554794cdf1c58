//! mqpub, mqsub and mqrr under mosquitto's names against the real clients of mosquitto: the same arguments, the same
//! broker, and then stdout, stderr, exit status and what others saw are compared.
//!
//! Each row is a test, and its name is its command line: `cargo test --test parity -- 'mosquitto_sub -t'` runs those
//! that hold this text. `[same]` rows are compared with the real client, `[known]` ones have a known difference, and
//! `[2.1]` ones came with mosquitto 2.1.

#![allow(clippy::expect_used, clippy::unwrap_used)] // a test may

#[cfg(unix)]
#[path = "../support/mod.rs"]
mod support;

#[cfg(unix)] // links and signals
#[path = "suite.rs"]
mod suite;

fn main() -> std::process::ExitCode {
    #[cfg(unix)]
    return suite::run();
    #[cfg(not(unix))]
    std::process::ExitCode::SUCCESS
}
