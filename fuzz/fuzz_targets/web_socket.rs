//! Hands the fuzzer's bytes to `peers::web_socket`.

#![no_main]

#[path = "../../tests/properties/bodies/peers.rs"]
#[allow(dead_code)] // each target takes one body
mod peers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| peers::web_socket(data));
