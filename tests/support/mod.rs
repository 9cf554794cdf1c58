//! What integration tests share.

pub mod scripted_broker;
