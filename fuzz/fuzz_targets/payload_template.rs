//! Hands the fuzzer's bytes to `templates::payload_template`.

#![no_main]

#[path = "../../tests/properties/bodies/templates.rs"]
#[allow(dead_code)] // each target takes one body
mod templates;

libfuzzer_sys::fuzz_target!(|data: &[u8]| templates::payload_template(data));
