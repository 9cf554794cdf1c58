//! What integration tests share.

pub mod raw_client;
pub mod scripted_broker;
pub mod tool;
