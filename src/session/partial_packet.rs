//! The beginning of an incomplete packet.

use crate::mqtt::wire::{Scan, WireError, scan};

/// The buffer keeps at most this much once its packet is done.
const KEPT_CAPACITY: usize = 4096;

/// A whole packet, and the input after it.
pub(super) type Completed<'a> = (Vec<u8>, &'a [u8]);

/// Less than one packet. The buffer grows with the received bytes, never with the announced size.
#[derive(Debug, Default)]
pub(super) struct PartialPacket(Vec<u8>);

impl PartialPacket {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes(&self) -> &Vec<u8> {
        &self.0
    }

    /// Forgets everything, and gives the memory back.
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    /// Keeps the beginning of a packet.
    pub(super) fn keep(&mut self, beginning: &[u8]) {
        self.0.extend_from_slice(beginning);
    }

    /// Adds input until the packet is whole, where `largest` is the largest that is taken. Returns the whole packet and
    /// the input after it; nothing while it is still not whole.
    pub(super) fn complete<'a>(
        &mut self,
        mut input: &'a [u8],
        largest: impl Fn(&[u8]) -> usize,
    ) -> Result<Option<Completed<'a>>, WireError> {
        loop {
            let missing = match scan(&self.0, largest(&self.0))? {
                Scan::Frame(_) => return Ok(Some((std::mem::take(&mut self.0), input))),
                Scan::Incomplete(Some(size)) => size - self.0.len(),
                Scan::Incomplete(None) => 1,
            };
            if input.is_empty() {
                return Ok(None);
            }
            let (more, rest) = input.split_at(missing.min(input.len()));
            self.0.extend_from_slice(more);
            input = rest;
        }
    }

    /// Takes the buffer of a packet that was handled back, if it is small.
    pub(super) fn recycle(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() <= KEPT_CAPACITY {
            self.0 = buffer;
        }
    }
}
