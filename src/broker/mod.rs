//! The embedded broker. The only home of its crate.
