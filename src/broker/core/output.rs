//! What waits to be written to a connection: small packets in buffers, large payloads as they are stored.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// A buffer above this size is not written to any further.
const BUFFER_SIZE: usize = 64 * 1024;
/// Payloads of this size and above are not copied.
pub(super) const SHARED_FROM: usize = 8 * 1024;
/// Most buffers that are kept for the next who needs one.
const POOLED: usize = 64;

/// Unused buffers, so that an idle connection holds none.
#[derive(Debug, Default)]
pub(super) struct Pool(Vec<Vec<u8>>);

impl Pool {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < POOLED && buffer.capacity() <= 4 * BUFFER_SIZE && buffer.capacity() > 0 {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

#[derive(Debug)]
enum Segment {
    Buffer(Vec<u8>),
    Shared(Bytes),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Buffer(buffer) => buffer,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// The queue of segments of one connection.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Nothing while the last buffer is enough: an idle connection is to be small.
    #[expect(clippy::box_collection, reason = "as above")]
    full: Option<Box<VecDeque<Segment>>>,
    last: Vec<u8>,
    /// Bytes of the first segment that are written already.
    written: usize,
    length: usize,
}

impl Output {
    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends what `write` appends to a buffer; returns what it returns.
    #[inline]
    pub(super) fn append<T>(&mut self, pool: &mut Pool, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        if self.last.len() >= BUFFER_SIZE {
            let full = Segment::Buffer(std::mem::take(&mut self.last));
            self.full.get_or_insert_default().push_back(full);
        }
        if self.last.capacity() == 0 {
            self.last = pool.take();
        }
        let before = self.last.len();
        let result = write(&mut self.last);
        self.length += self.last.len() - before;
        result
    }

    /// Appends bytes without a copy.
    pub(super) fn append_shared(&mut self, bytes: Bytes) {
        if !self.last.is_empty() {
            let full = Segment::Buffer(std::mem::take(&mut self.last));
            self.full.get_or_insert_default().push_back(full);
        }
        self.length += bytes.len();
        self.full.get_or_insert_default().push_back(Segment::Shared(bytes));
    }

    /// The first bytes that wait, as slices to be written.
    pub(super) fn slices<'a>(&'a self, slices: &mut Vec<IoSlice<'a>>, most: usize) {
        let mut skip = self.written;
        let last = (!self.last.is_empty()).then_some(&self.last[..]);
        let full = self.full.iter().flat_map(|full| full.iter());
        for bytes in full.map(Segment::bytes).chain(last).take(most) {
            slices.push(IoSlice::new(&bytes[skip..]));
            skip = 0;
        }
    }

    /// The last bytes that wait.
    pub(super) fn tail(&self, count: usize) -> Vec<u8> {
        let mut slices = Vec::new();
        self.slices(&mut slices, usize::MAX);
        let mut skip = self.length.saturating_sub(count);
        let mut tail = Vec::with_capacity(count);
        for slice in slices {
            let skipped = skip.min(slice.len());
            tail.extend_from_slice(&slice[skipped..]);
            skip -= skipped;
        }
        tail
    }

    /// This many of the first bytes were written.
    pub(super) fn consume(&mut self, count: usize, pool: &mut Pool) {
        self.length = self.length.saturating_sub(count);
        self.written += count;
        while let Some(full) = &mut self.full
            && let Some(first) = full.front()
        {
            let size = first.bytes().len();
            if self.written < size {
                return;
            }
            self.written -= size;
            if let Some(Segment::Buffer(buffer)) = full.pop_front() {
                pool.give(buffer);
            }
        }
        if self.length == 0 {
            self.clear(pool);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self, pool: &mut Pool) {
        self.full = None;
        pool.give(std::mem::take(&mut self.last));
        self.written = 0;
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_for_every_size_of_write() {
        let mut pool = Pool::default();
        for step in [1, 7, 4096, 1 << 20] {
            let mut output = Output::default();
            let mut expected = Vec::new();
            for round in 0..40u8 {
                let small = vec![round; 5_000];
                output.append(&mut pool, |out| out.extend_from_slice(&small));
                expected.extend_from_slice(&small);
                if round % 7 == 0 {
                    let large = Bytes::from(vec![round; 9_000]);
                    expected.extend_from_slice(&large);
                    output.append_shared(large);
                }
            }
            let mut written = Vec::new();
            while !output.is_empty() {
                let mut slices = Vec::new();
                output.slices(&mut slices, 3);
                let first: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).take(step).collect();
                output.consume(first.len(), &mut pool);
                written.extend_from_slice(&first);
            }
            assert!(written == expected, "{step}");
            output.append(&mut pool, |out| out.extend_from_slice(b"first"));
            output.append_shared(Bytes::from_static(b"second"));
            assert_eq!(output.tail(8), b"stsecond");
            output.clear(&mut pool);
            assert_eq!(output.last.capacity(), 0);
        }
    }
}
