//! Hands the fuzzer's bytes to `json::message_json`.

#![no_main]

#[path = "../../tests/properties/bodies/json.rs"]
#[allow(dead_code)] // each target takes one body
mod json;

libfuzzer_sys::fuzz_target!(|data: &[u8]| json::message_json(data));
