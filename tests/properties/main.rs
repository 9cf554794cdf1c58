//! The bodies of the fuzz targets as property tests: the same code on a stable compiler, with fewer and shorter inputs.
//! The targets in `fuzz/` include the same files of `bodies/`. More inputs: `PROPTEST_CASES=100000 cargo test --test
//! properties json`.

mod broker;
mod codec;
mod configuration;
mod files;
mod json;
mod options;
mod peers;
mod session;
mod templates;
mod trace;

use proptest::prelude::*;

/// What a target does with its bytes.
mod bodies {
    pub mod broker;
    pub mod codec;
    pub mod configuration;
    pub mod files;
    pub mod json;
    pub mod options;
    #[cfg(unix)]
    pub mod peers;
    pub mod session;
    pub mod templates;
    pub mod trace;
}

/// `count` inputs, or as many as `PROPTEST_CASES` asks for.
fn cases(count: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(count);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Some of these pieces in a row.
fn pieces(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop::sample::select(pieces), 0..most).prop_map(|parts| parts.concat().into_bytes())
}
