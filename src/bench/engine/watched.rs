//! What those who watch a run see of it each second.

/// A second as those who watch see it, and what came before it in the stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct WatchedSecond {
    /// Seconds of the stage that are whole, this one included.
    pub number: u64,
    /// Messages sent, acknowledged, delivered.
    pub sent: u64,
    /// See `sent`.
    pub acked: u64,
    /// See `sent`.
    pub delivered: u64,
    /// Open connections at its end.
    pub connections: u64,
    /// Messages in flight at its end.
    pub in_flight: u64,
    /// CPU time of the load's threads, percent of a core; none where threads are not distinguished.
    pub cpu_pct: Option<f64>,
    /// p50 and p99 of the time that the load is about: arrival, acknowledgement or ping.
    pub time: [Option<u64>; 2],
    /// The same of the stage so far.
    pub time_so_far: [Option<u64>; 2],
    /// Messages sent in the stage so far.
    pub sent_so_far: u64,
    /// Messages that later ones have overtaken, and may be lost.
    pub missing: u64,
    /// Messages of the stage so far that arrived again.
    pub repeated: u64,
    /// Messages of the stage so far that the broker refused.
    pub refused: u64,
}
