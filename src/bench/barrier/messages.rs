//! The notes of the shards, as JSON. It comes from a broker or a folder that others can write to: sizes are
//! bounded, and what is no such message is ignored.

use serde::{Deserialize, Serialize};

/// The largest message: the numbers of a hundred thousand shards.
pub(super) const LARGEST: usize = 4 << 20;

/// What a shard does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// Its clients are connected and subscribed.
    Ready,
    /// It has sent everything.
    Sent,
    /// It could not start.
    Failed,
    /// Its connection broke: the will.
    Lost,
}

/// A shard about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShardNote {
    /// Its number for this run.
    pub(super) nonce: u64,
    /// The number of shard 0, if it has seen one.
    pub(super) lead: Option<u64>,
    pub(super) phase: Phase,
    /// Plan, seed and version.
    pub(super) identity: String,
    /// Why it failed.
    pub(super) text: String,
}

/// What shard 0 has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Decision {
    /// Nothing yet.
    Open,
    /// The load begins.
    Start,
    /// There is no load.
    Abort,
}

/// Shard 0 to all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeadNote {
    /// Its number for this run.
    pub(super) lead: u64,
    pub(super) decision: Decision,
    /// When the load begins, nanoseconds since 1970 by its clock.
    pub(super) start_unix_ns: i64,
    /// The numbers of all shards that it is about, 0 for one that is missing.
    pub(super) shards: Vec<u64>,
    /// Why there is no load.
    pub(super) text: String,
}

/// A question for the time, and the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TimeNote {
    /// Identifies the question.
    pub(super) asked_ns: i64,
    /// What the clock of shard 0 showed; 0 in a question.
    pub(super) time_ns: i64,
}

/// Reads a message; none for anything else.
pub(super) fn read<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok().filter(|_| bytes.len() <= LARGEST)
}

/// Writes a message.
pub(super) fn write(note: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(note).unwrap_or_default()
}
