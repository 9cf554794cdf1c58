//! Whose clock is right does not matter: all shards start by one of them, and each knows how far its own is from it.

/// How far a clock is from the one that all shards agree on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bench) struct ClockOffset {
    /// To be added to this machine's clock.
    pub offset_ns: i64,
    /// How wrong that may be, in either direction.
    pub bound_ns: u64,
}

impl ClockOffset {
    /// From a question at `asked`, the answer `time` of the other clock, and its arrival at `answered`: the answer was
    /// given at some time between the two.
    pub(super) fn of_echo(asked_ns: i64, time_ns: i64, answered_ns: i64) -> Self {
        let took_ns = answered_ns.saturating_sub(asked_ns).max(0);
        let middle_ns = asked_ns.saturating_add(took_ns / 2);
        Self { offset_ns: time_ns.saturating_sub(middle_ns), bound_ns: took_ns.unsigned_abs().div_ceil(2) }
    }

    /// The more certain one.
    pub(super) fn better(self, other: Option<Self>) -> Self {
        other.filter(|other| other.bound_ns < self.bound_ns).unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the two ways take, the true offset is within the bound.
        #[test]
        fn the_true_offset_is_within_the_bound(offset in -1_000_000i64..1_000_000, there in 0i64..9_999, back in 0i64..9_999) {
            let asked = 5_000_000i64;
            let found = ClockOffset::of_echo(asked, asked + there + offset, asked + there + back);
            prop_assert!(found.offset_ns.abs_diff(offset) <= found.bound_ns);
            let exact = ClockOffset { offset_ns: offset, bound_ns: 0 };
            prop_assert_eq!(found.better(Some(exact)).bound_ns, 0);
        }
    }
}
