//! The measure stamp: the first 16 bytes of a payload that mqbench sends.
//!
//! It identifies the run, the stream (publisher) and the message in it, and holds the time at which the message was
//! *meant* to leave. Big endian: run u16, stream u32, sequence u32, intended time u48 in units of 100 ns since the
//! run's t0.

/// Bytes of a stamp.
pub(crate) const STAMP_SIZE: usize = 16;

/// Nanoseconds of one unit of the intended time. A measured window whose bounds are multiples of it is separated
/// from warm-up and drain exactly, because encoding rounds the intended time down to this unit.
pub(crate) const STAMP_TICK_NS: u64 = 100;

const INTENDED_MASK: u64 = (1 << 48) - 1;

/// What a stamp holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Tag of the run; a message with another tag is foreign.
    pub run: u16,
    /// Number of the publisher, over all shards.
    pub stream: u32,
    /// The lower 32 bits of the message's number in its stream; `unwrap_sequence` gives all of it.
    pub sequence: u32,
    /// When the message was to be sent, nanoseconds since the run's t0; wraps after 326 days.
    pub intended_ns: u64,
}

impl Stamp {
    /// The bytes on the wire; the intended time is rounded down to 100 ns.
    #[inline]
    pub fn encode(&self) -> [u8; STAMP_SIZE] {
        let ticks = (self.intended_ns / STAMP_TICK_NS) & INTENDED_MASK;
        let value = u128::from(self.run) << 112
            | u128::from(self.stream) << 80
            | u128::from(self.sequence) << 48
            | u128::from(ticks);
        value.to_be_bytes()
    }

    /// Reads the stamp at the head of a payload; `None` when the payload is too short to have one. Any 16 bytes are a
    /// stamp: compare [`Stamp::run`] to find a foreign message.
    #[inline]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let head: &[u8; STAMP_SIZE] = payload.first_chunk()?;
        let value = u128::from_be_bytes(*head);
        // The casts cut off exactly the neighbors' bits.
        Some(Self {
            run: (value >> 112) as u16,
            stream: (value >> 80) as u32,
            sequence: (value >> 48) as u32,
            intended_ns: (value as u64 & INTENDED_MASK) * STAMP_TICK_NS,
        })
    }
}

/// The full number of a message of which the stamp has the lower 32 bits: the one nearest to `near`, for which a
/// receiver takes [`StreamLedger::next`](super::StreamLedger::next). Correct as long as the message is less than 2³¹
/// away from it.
#[inline]
pub(crate) const fn unwrap_sequence(low: u32, near: u64) -> u64 {
    // The wrapped difference, read as signed, is the shortest way from `near` to the message.
    let distance = low.wrapping_sub(near as u32).cast_signed();
    match near.checked_add_signed(distance as i64) {
        Some(sequence) => sequence,
        // Below zero there is nothing, above u64 neither: the only number left is the one in near's own block.
        None => (near & !0xffff_ffff) | low as u64,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn layout_is_big_endian() {
        let stamp =
            Stamp { run: 0x0102, stream: 0x0304_0506, sequence: 0x0708_090a, intended_ns: 0x0b0c_0d0e_0f10 * 100 };
        assert_eq!(stamp.encode(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    }

    #[test]
    fn a_short_payload_has_no_stamp() {
        assert_eq!(Stamp::decode(&[0; 15]), None);
        assert!(Stamp::decode(&[0; 16]).is_some());
    }

    #[test]
    fn intended_time_wraps_and_spares_its_neighbors() {
        let stamp = Stamp { run: 1, stream: 2, sequence: 3, intended_ns: u64::MAX };
        let read = Stamp::decode(&stamp.encode()).unwrap();
        assert_eq!((read.run, read.stream, read.sequence), (1, 2, 3));
    }

    #[test]
    fn sequence_unwraps_at_both_edges_of_a_block() {
        let block = 1u64 << 32;
        assert_eq!(unwrap_sequence(0, block - 1), block);
        assert_eq!(unwrap_sequence(u32::MAX, block), block - 1);
        assert_eq!(unwrap_sequence(u32::MAX, 0), u64::from(u32::MAX), "there is nothing below zero");
        assert_eq!(unwrap_sequence(0, u64::MAX), u64::MAX - u64::from(u32::MAX), "there is nothing above u64");
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read(run: u16, stream: u32, sequence: u32, ticks in 0u64..1 << 48, tail: Vec<u8>) {
            let stamp = Stamp { run, stream, sequence, intended_ns: ticks * STAMP_TICK_NS };
            let mut payload = stamp.encode().to_vec();
            payload.extend(tail);
            prop_assert_eq!(Stamp::decode(&payload), Some(stamp));
        }

        #[test]
        fn sequence_unwraps_near(near in 1u64 << 31..1 << 60, distance in -(1i64 << 31) + 1..1 << 31) {
            let sequence = near.checked_add_signed(distance).unwrap();
            prop_assert_eq!(unwrap_sequence(sequence as u32, near), sequence);
        }
    }
}
