//! The bodies of the fuzz targets as property tests: the same code on a stable compiler, with fewer and shorter inputs.
//! The targets in `fuzz/` include the same files of `bodies/`.

mod broker;
mod codec;
mod configuration;
mod session;

/// What a target does with its bytes.
mod bodies {
    pub mod broker;
    pub mod codec;
    pub mod configuration;
    pub mod session;
}
