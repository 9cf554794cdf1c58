//! The group of `mqbench self`.

use clap::Args;

/// What `mqbench self` measures.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Load")]
pub struct CalibrateOptions {
    /// mqbench self: measure every QoS, size, connection count and thread count; takes some minutes.
    #[arg(long)]
    pub full: bool,
}
