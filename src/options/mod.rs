//! The shared options module: what the user typed. The only home of clap.
