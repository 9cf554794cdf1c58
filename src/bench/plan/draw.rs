//! Chance that comes from the seed: the same draw for the same message, whoever asks and in whatever order.

/// A number drawn for message `sequence` of a stream: SplitMix64, keyed by the seed and the stream. Sender and receiver
/// find the same one, and so do any number of threads.
#[inline]
pub const fn draw(seed: u64, stream: u64, sequence: u64) -> u64 {
    mix(mix(seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93)).wrapping_add(sequence.wrapping_mul(GOLDEN)))
}

/// A number below `bound` from a draw, all equally likely as far as 64 bits divide. Zero where `bound` is.
#[inline]
pub const fn below(draw: u64, bound: u64) -> u64 {
    ((draw as u128 * bound as u128) >> 64) as u64
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(GOLDEN);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_and_repeatable() {
        let mut counts = [0u32; 10];
        for sequence in 0..10_000 {
            counts[below(draw(7, 3, sequence), 10) as usize] += 1;
            assert_eq!(draw(7, 3, sequence), draw(7, 3, sequence));
        }
        // 1,000 each; 150 is five standard deviations.
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        assert_ne!(draw(7, 3, 0), draw(7, 4, 0));
        assert_ne!(draw(7, 3, 0), draw(8, 3, 0));
        assert_eq!(below(u64::MAX, 10), 9);
        assert_eq!(below(u64::MAX, 0), 0);
    }
}
