//! mqbench
fn main() {}
