//! Hands the fuzzer's bytes to `codec::topic`.

#![no_main]

#[path = "../../tests/properties/bodies/codec.rs"]
#[allow(dead_code)] // each target takes one body
mod codec;

libfuzzer_sys::fuzz_target!(|data: &[u8]| codec::topic(data));
