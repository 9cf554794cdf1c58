//! Hands the fuzzer's bytes to `trace::trace`.

#![no_main]

#[path = "../../tests/properties/bodies/trace.rs"]
#[allow(dead_code)] // each target takes one body
mod trace;

libfuzzer_sys::fuzz_target!(|data: &[u8]| trace::trace(data));
