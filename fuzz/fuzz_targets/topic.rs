//! Hands the fuzzer's bytes to `fuzz_bodies::topic`.

#![no_main]

#[path = "../../tests/support/fuzz_bodies.rs"]
#[allow(dead_code)] // each target takes one body
mod fuzz_bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_bodies::topic(data));
