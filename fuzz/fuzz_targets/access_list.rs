//! Hands the fuzzer's bytes to `files::access_list`.

#![no_main]

#[path = "../../tests/properties/bodies/files.rs"]
#[allow(dead_code)] // each target takes one body
mod files;

libfuzzer_sys::fuzz_target!(|data: &[u8]| files::access_list(data));
