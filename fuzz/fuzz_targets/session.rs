//! Hands the fuzzer's bytes to `session::session`.

#![no_main]

#[path = "../../tests/properties/bodies/session.rs"]
mod session;

libfuzzer_sys::fuzz_target!(|data: &[u8]| session::session(data));
