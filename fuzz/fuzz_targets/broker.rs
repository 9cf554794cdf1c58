//! Hands the fuzzer's bytes to `broker_fuzz_body::broker`.

#![no_main]

#[path = "../../tests/support/broker_fuzz_body.rs"]
mod broker_fuzz_body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| broker_fuzz_body::broker(data));
