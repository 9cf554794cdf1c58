//! Hands the fuzzer's bytes to `peers::proxy`.

#![no_main]

#[path = "../../tests/properties/bodies/peers.rs"]
#[allow(dead_code)] // each target takes one body
mod peers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| peers::proxy(data));
