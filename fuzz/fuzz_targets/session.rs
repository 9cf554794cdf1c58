//! Hands the fuzzer's bytes to `session_fuzz_body::session`.

#![no_main]

#[path = "../../tests/support/session_fuzz_body.rs"]
mod session_fuzz_body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| session_fuzz_body::session(data));
