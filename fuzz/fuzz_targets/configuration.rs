//! Hands the fuzzer's bytes to `configuration::configuration`.

#![no_main]

#[path = "../../tests/properties/bodies/configuration.rs"]
mod configuration;

libfuzzer_sys::fuzz_target!(|data: &[u8]| configuration::configuration(data));
