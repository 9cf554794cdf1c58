//! The payload: its sizes and contents, and how a receiver verifies it.

use std::fmt;

use bytes::Bytes;

use crate::bench::measure::STAMP_SIZE;
use crate::template::Draws;
use crate::template::Template;

/// Bytes of the pool from which random and text payloads are cut, unless the largest payload takes more.
const POOL_SIZE: usize = 1 << 20;
const LARGEST_POOL: usize = 16 << 20;

/// Bytes at either end of the filling that are compared on arrival: truncated, mixed-up and overwritten packets show
/// there.
const COMPARED: usize = 64;

/// Domains of the random draws: sizes, where in the pool a filling begins, the pool itself.
const SIZES: u64 = 3;
const STARTS: u64 = 4;
const CONTENT: u64 = 5;

/// The place of a message in a row of draws: sender and receiver find the same number there.
#[inline]
pub(in crate::bench) const fn place_of(stream: u32, sequence: u32) -> u64 {
    (stream as u64) << 32 | sequence as u64
}

/// The payload of the messages of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum PayloadPlan {
    /// A filling of some size. From 16 bytes on it begins with a stamp (run, publisher, sequence, intended time).
    Filled(Filled),
    /// These bytes, unchanged; messages are matched by their order per publisher, topic and subscriber.
    Fixed(Bytes),
    /// A template for the client or the message, otherwise like fixed bytes.
    Text(Template),
}

/// What payloads are filled with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filling {
    /// Zero bytes.
    #[default]
    Zero,
    /// Bytes that do not compress: part of a pool made from the seed, a different part for each message.
    Random,
    /// Readable text that looks like JSON, the same for each message.
    Text,
}

/// Generated payloads.
#[derive(Clone, PartialEq, Eq)]
pub struct Filled {
    least: usize,
    most: usize,
    filling: Filling,
    seed: u64,
    /// From which a message's size and the place of its filling are drawn.
    drawn_sizes: Draws,
    drawn_starts: Draws,
    /// What payloads are cut from; a longer payload wraps around.
    pool: Bytes,
}

/// Without the pool, which is a megabyte.
impl fmt::Debug for Filled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, most, filling, seed, .. } = self;
        write!(formatter, "Filled({least}..{most}, {filling:?}, seed {seed})")
    }
}

impl PayloadPlan {
    /// Whether messages carry a stamp.
    pub const fn is_stamped(&self) -> bool {
        match self {
            Self::Filled(filled) => filled.is_stamped(),
            Self::Fixed(_) | Self::Text(_) => false,
        }
    }

    /// Whether the messages of a client differ in more than their stamp.
    pub fn varies_by_message(&self) -> bool {
        match self {
            Self::Filled(filled) => !filled.has_one_size() || filled.filling == Filling::Random,
            Self::Fixed(_) => false,
            Self::Text(template) => template.varies_by_message(),
        }
    }

    /// The bytes of a client's messages where they do not vary, before a stamp is written over their beginning.
    pub fn bytes(&self, client: usize, client_id: &str, user_name: &str) -> Bytes {
        match self {
            Self::Filled(filled) => {
                let mut bytes = vec![0; STAMP_SIZE.min(filled.most)];
                filled.append_filling(client as u32, 0, filled.most - bytes.len(), &mut bytes);
                Bytes::from(bytes)
            }
            Self::Fixed(bytes) => bytes.clone(),
            Self::Text(template) => Bytes::from(template.expand(client, client_id, user_name)),
        }
    }
}

impl Filled {
    /// Payloads from `least` to `most` bytes, all sizes equally often; which message has which follows from the seed.
    pub fn new(least: usize, most: usize, filling: Filling, seed: u64) -> Self {
        let pool = match filling {
            Filling::Zero => vec![0; 4096],
            Filling::Random => random(most.clamp(POOL_SIZE, LARGEST_POOL), seed),
            Filling::Text => text(most.clamp(4096, POOL_SIZE), seed),
        };
        let (drawn_sizes, drawn_starts) = (Draws::new(seed, SIZES), Draws::new(seed, STARTS));
        Self { least, most, filling, seed, drawn_sizes, drawn_starts, pool: Bytes::from(pool) }
    }

    /// Smallest and largest payload, bytes.
    pub const fn sizes(&self) -> (usize, usize) {
        (self.least, self.most)
    }

    /// What fills it.
    pub const fn filling(&self) -> Filling {
        self.filling
    }

    const fn is_stamped(&self) -> bool {
        self.least >= STAMP_SIZE
    }

    const fn has_one_size(&self) -> bool {
        self.least == self.most
    }

    /// The size of a message's payload, stamp included.
    #[inline]
    pub fn size_of(&self, stream: u32, sequence: u32) -> usize {
        if self.has_one_size() {
            return self.most;
        }
        let range = (self.most - self.least + 1) as u64;
        self.least + self.drawn_sizes.below(place_of(stream, sequence), range) as usize
    }

    /// Where in the pool a message's filling begins.
    #[inline]
    fn start_of(&self, stream: u32, sequence: u32) -> usize {
        if self.filling != Filling::Random {
            return 0;
        }
        self.drawn_starts.below(place_of(stream, sequence), self.pool.len() as u64) as usize
    }

    /// Appends `count` bytes of a message's filling, what stands behind the stamp.
    #[inline]
    pub fn append_filling(&self, stream: u32, sequence: u32, count: usize, out: &mut Vec<u8>) {
        let (mut at, mut left) = (self.start_of(stream, sequence), count);
        while left > 0 {
            let part = left.min(self.pool.len() - at);
            out.extend_from_slice(&self.pool[at..at + part]);
            left -= part;
            at = 0;
        }
    }

    /// Whether a stamped payload is what was sent: its size, and the filling at both ends.
    #[inline]
    pub fn is_intact(&self, stream: u32, sequence: u32, payload: &[u8]) -> bool {
        if payload.len() != self.size_of(stream, sequence) {
            return false;
        }
        let Some(filling) = payload.get(STAMP_SIZE..) else { return false };
        let start = self.start_of(stream, sequence);
        let head = filling.len().min(COMPARED);
        let tail = filling.len().saturating_sub(COMPARED).max(head);
        self.holds(start, &filling[..head]) && self.holds(start + tail, &filling[tail..])
    }

    /// Whether the pool holds these bytes from there on.
    fn holds(&self, start: usize, mut bytes: &[u8]) -> bool {
        // A division costs as much as the rest; it is needed only where a payload wraps around.
        let mut at = if start < self.pool.len() { start } else { start % self.pool.len() };
        while !bytes.is_empty() {
            let part = bytes.len().min(self.pool.len() - at);
            if bytes[..part] != self.pool[at..at + part] {
                return false;
            }
            bytes = &bytes[part..];
            at = 0;
        }
        true
    }
}

fn random(size: usize, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 8);
    for word in 0.. {
        if bytes.len() >= size {
            break;
        }
        bytes.extend_from_slice(&Draws::new(seed, CONTENT).bits(word).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn text(size: usize, seed: u64) -> Vec<u8> {
    const ROOMS: [&str; 6] = ["kitchen", "hall", "cellar", "attic", "office", "garage"];
    let mut text = String::with_capacity(size + 128);
    for record in 0u64.. {
        if text.len() >= size {
            break;
        }
        let draws = Draws::new(seed, CONTENT);
        let drawn = draws.bits(record);
        let room = ROOMS[draws.below(!record, ROOMS.len() as u64) as usize];
        let (degrees, humidity) = (15 + drawn % 15, 30 + (drawn >> 8) % 50);
        text.push_str(&format!(
            "{{\"record\":{record},\"room\":\"{room}\",\"temperature\":{degrees}.{},\"humidity\":{humidity},\"ok\":true}}\n",
            (drawn >> 16) % 10
        ));
    }
    let mut bytes = text.into_bytes();
    bytes.truncate(size);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(filled: &Filled, stream: u32, sequence: u32) -> Vec<u8> {
        let mut payload = vec![7; STAMP_SIZE];
        filled.append_filling(stream, sequence, filled.size_of(stream, sequence) - STAMP_SIZE, &mut payload);
        payload
    }

    #[test]
    fn sizes_are_spread_over_the_whole_range() {
        let filled = Filled::new(16, 19, Filling::Zero, 42);
        let mut counts = [0u32; 4];
        for sequence in 0..4_000 {
            counts[filled.size_of(1, sequence) - 16] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        assert_eq!(Filled::new(64, 64, Filling::Random, 1).size_of(9, 9), 64);
    }

    #[test]
    fn random_messages_differ_and_text_reads() {
        let random = Filled::new(200, 200, Filling::Random, 1);
        assert_ne!(message(&random, 0, 0), message(&random, 0, 1));
        assert_ne!(message(&random, 0, 0), message(&random, 1, 0));
        assert!(PayloadPlan::Filled(random).varies_by_message());
        let text = Filled::new(200, 200, Filling::Text, 1);
        assert_eq!(message(&text, 0, 0), message(&text, 5, 9));
        let bytes = message(&text, 0, 0);
        assert!(bytes[STAMP_SIZE..].starts_with(b"{\"record\":0,") && bytes[STAMP_SIZE..].is_ascii());
        let plan = PayloadPlan::Filled(text);
        assert!(!plan.varies_by_message());
        assert_eq!(plan.bytes(3, "", "")[STAMP_SIZE..], bytes[STAMP_SIZE..]);
    }

    #[test]
    fn a_random_pool_does_not_compress() {
        let pool = random(POOL_SIZE, 5);
        let mut counts = [0u32; 256];
        pool.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        // 4,096 each; 400 is more than six standard deviations.
        assert!(counts.iter().all(|count| (3_696..4_496).contains(count)));
    }

    #[test]
    fn a_payload_longer_than_the_pool_goes_around() {
        let size = STAMP_SIZE + LARGEST_POOL + 1000;
        let filled = Filled::new(size, size, Filling::Random, 3);
        assert!(filled.is_intact(1, 2, &message(&filled, 1, 2)));
    }

    proptest! {
        /// What was sent is intact; another size and any other byte at either end is not.
        #[test]
        fn intact_is_what_was_sent(
            sizes in (STAMP_SIZE..300, 0usize..200),
            filling in prop::sample::select(vec![Filling::Zero, Filling::Random, Filling::Text]),
            seed: u64, stream: u32, sequence: u32, at in 0usize..64, from_end: bool,
        ) {
            let filled = Filled::new(sizes.0, sizes.0 + sizes.1, filling, seed);
            let payload = message(&filled, stream, sequence);
            prop_assert!(filled.is_intact(stream, sequence, &payload));
            let mut longer = payload.clone();
            longer.push(0);
            prop_assert!(!filled.is_intact(stream, sequence, &longer));
            prop_assert!(!filled.is_intact(stream, sequence, &payload[..payload.len() - 1]));
            let filling = payload.len() - STAMP_SIZE;
            if filling > 0 {
                let at = at % filling;
                let at = if from_end { payload.len() - 1 - at } else { STAMP_SIZE + at };
                let mut spoilt = payload;
                spoilt[at] ^= 1;
                prop_assert!(!filled.is_intact(stream, sequence, &spoilt));
            }
        }
    }
}
