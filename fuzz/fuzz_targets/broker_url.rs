//! Hands the fuzzer's bytes to `options::broker_url`.

#![no_main]

#[path = "../../tests/properties/bodies/options.rs"]
#[allow(dead_code)] // each target takes one body
mod options;

libfuzzer_sys::fuzz_target!(|data: &[u8]| options::broker_url(data));
