//! Times in which nothing of a stream got through: from the loss of a connection to the first message after it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Outages that are kept one by one; all are counted.
const MOST_KEPT: usize = 1000;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outage {
    /// Number of the stream's publisher.
    pub stream: u64,
    /// When the connection was lost, nanoseconds since t0.
    pub start_ns: u64,
    /// How long nothing got through.
    pub dur_ns: u64,
    /// Whether something got through again; otherwise it lasted to the end of the stage.
    pub ended: bool,
}

/// The outages of a stage, in bounded memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outages {
    /// The first ones.
    pub kept: Vec<Outage>,
    /// How many there were.
    pub count: u64,
    /// The longest.
    pub longest_ns: u64,
}

impl Outages {
    /// Enters one.
    pub fn add(&mut self, outage: Outage) {
        self.count += 1;
        self.longest_ns = self.longest_ns.max(outage.dur_ns);
        if self.kept.len() < MOST_KEPT {
            self.kept.push(outage);
        }
    }

    /// Adds those of another thread.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.longest_ns = self.longest_ns.max(other.longest_ns);
        self.kept.extend(&other.kept);
        self.kept.sort_by_key(|outage| (outage.start_ns, outage.stream));
        self.kept.truncate(MOST_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_outages_take_bounded_memory_and_are_all_counted() {
        let (mut one, mut other) = (Outages::default(), Outages::default());
        for stream in 0..1500 {
            one.add(Outage { stream, start_ns: 5, dur_ns: stream, ended: true });
            other.add(Outage { stream, start_ns: 1, dur_ns: 7, ended: false });
        }
        one.merge(&other);
        assert_eq!((one.count, one.longest_ns, one.kept.len()), (3000, 1499, MOST_KEPT));
        assert_eq!(one.kept[0].start_ns, 1, "the earliest come first");
    }
}
