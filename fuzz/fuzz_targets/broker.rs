//! Hands the fuzzer's bytes to `broker::broker`.

#![no_main]

#[path = "../../tests/properties/bodies/broker.rs"]
mod broker;

libfuzzer_sys::fuzz_target!(|data: &[u8]| broker::broker(data));
