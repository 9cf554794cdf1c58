//! Chunks of bytes to lines, without a copy where a line lies within one chunk, and never more of a line in memory than
//! a message can be.

use bytes::{Buf, Bytes};
use memchr::{memchr, memchr_iter};

/// A line of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Its bytes.
    Whole(Bytes),
    /// It is too long; its bytes were dropped.
    TooLong {
        /// How many they were.
        length: u64,
    },
}

/// Cuts bytes into lines. A line ends with one byte, LF unless another is asked for, which is not part of it; CR and NUL
/// are. What follows the last one is a line too, unless it is empty.
#[derive(Debug)]
pub(crate) struct LineSplitter {
    /// What ends a line.
    end: u8,
    chunk: Bytes,
    /// The beginning of an incomplete line.
    partial: Vec<u8>,
    /// Bytes of a line that is too long; its beginning is not kept.
    skipped: u64,
    /// Bytes of the lines that were given out, line ends included.
    consumed: u64,
}

impl LineSplitter {
    /// Cuts after each `end`.
    pub(crate) const fn new(end: u8) -> Self {
        Self { end, chunk: Bytes::new(), partial: Vec::new(), skipped: 0, consumed: 0 }
    }

    /// Adds a chunk. It costs a copy when the one before is not taken apart with [`LineSplitter::next_line`].
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.chunk = if self.chunk.is_empty() { chunk } else { [&self.chunk[..], &chunk[..]].concat().into() };
    }

    /// Bytes that are held.
    pub(crate) fn held(&self) -> usize {
        self.chunk.len() + self.partial.len()
    }

    /// Bytes of the input that were given out or thrown away.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Whether there are bytes that may hold a line's end.
    pub(crate) fn has_unseen(&self) -> bool {
        !self.chunk.is_empty()
    }

    /// Whether a whole line is there.
    pub(crate) fn has_line(&self) -> bool {
        memchr(self.end, &self.chunk).is_some()
    }

    /// The next whole line. Of a line that does not end within this chunk no more than `limit` bytes are kept.
    pub(crate) fn next_line(&mut self, limit: usize) -> Option<Line> {
        let Some(end) = memchr(self.end, &self.chunk) else {
            let chunk = std::mem::take(&mut self.chunk);
            self.consumed += chunk.len() as u64;
            if self.skipped > 0 || self.partial.len() + chunk.len() > limit {
                self.skipped += (std::mem::take(&mut self.partial).len() + chunk.len()) as u64;
            } else {
                self.partial.extend_from_slice(&chunk);
            }
            return None;
        };
        let line = self.chunk.split_to(end);
        self.chunk.advance(1);
        self.consumed += end as u64 + 1;
        Some(if self.skipped > 0 {
            Line::TooLong { length: std::mem::take(&mut self.skipped) + end as u64 }
        } else if self.partial.is_empty() {
            Line::Whole(line)
        } else {
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(&line);
            Line::Whole(whole.into())
        })
    }

    /// Lines, a last one without an end included, that have not been taken.
    pub(crate) fn lines_left(&self) -> u64 {
        let whole = memchr_iter(self.end, &self.chunk).count() as u64;
        let begun = !self.partial.is_empty() || self.skipped > 0;
        let open = self.chunk.last().map_or(begun, |last| *last != self.end);
        whole + u64::from(open)
    }

    /// The input has ended: the last line, if it had no end.
    pub(crate) fn finish(&mut self) -> Option<Line> {
        if self.skipped > 0 {
            return Some(Line::TooLong { length: std::mem::take(&mut self.skipped) });
        }
        let last = std::mem::take(&mut self.partial);
        if last.is_empty() { None } else { Some(Line::Whole(last.into())) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(bytes: &'static [u8]) -> Option<Line> {
        Some(Line::Whole(Bytes::from_static(bytes)))
    }

    fn lines_of(chunks: &[&[u8]], limit: usize) -> Vec<Line> {
        records_of(b'\n', chunks, limit)
    }

    fn records_of(end: u8, chunks: &[&[u8]], limit: usize) -> Vec<Line> {
        let mut splitter = LineSplitter::new(end);
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.push(Bytes::copy_from_slice(chunk));
            while let Some(line) = splitter.next_line(limit) {
                lines.push(line);
            }
            assert!(splitter.held() <= limit);
        }
        lines.extend(splitter.finish());
        assert_eq!(splitter.consumed(), chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>());
        lines
    }

    fn texts(lines: &[Line]) -> Vec<&[u8]> {
        let whole = lines.iter().map(|line| match line {
            Line::Whole(bytes) => &bytes[..],
            other => panic!("{other:?}"),
        });
        whole.collect()
    }

    #[test]
    fn lf_ends_a_line_and_nothing_else_does() {
        let lines = |text: &'static [u8]| lines_of(&[text], 100);
        assert_eq!(texts(&lines(b"a\nb\r\n\nc\0d\nlast")), [b"a".as_slice(), b"b\r", b"", b"c\0d", b"last"]);
        assert_eq!(lines(b""), []);
        assert_eq!(texts(&lines(b"\n")), [b""]);
        assert_eq!(texts(&lines(b"a\n")), [b"a"]);
    }

    #[test]
    fn another_byte_may_end_a_record() {
        let records = records_of(0, &[b"a\nb\0\0c\r\n", b"d\0last"], 100);
        assert_eq!(texts(&records), [b"a\nb".as_slice(), b"", b"c\r\nd", b"last"]);
    }

    #[test]
    fn a_chunk_behind_one_that_is_left_is_not_lost() {
        let mut splitter = LineSplitter::new(b'\n');
        splitter.push(Bytes::from_static(b"a\nb\nc"));
        assert_eq!((splitter.next_line(9), splitter.held()), (whole(b"a"), 3));
        splitter.push(Bytes::from_static(b"d\ne"));
        assert_eq!((splitter.next_line(9), splitter.next_line(9)), (whole(b"b"), whole(b"cd")));
        assert_eq!((splitter.next_line(9), splitter.finish(), splitter.held()), (None, whole(b"e"), 0));
    }

    #[test]
    fn what_is_left_is_counted() {
        let mut splitter = LineSplitter::new(b'\n');
        assert_eq!(splitter.lines_left(), 0);
        splitter.push(Bytes::from_static(b"a\nb\nc"));
        assert_eq!(splitter.lines_left(), 3);
        assert!(splitter.next_line(9).is_some());
        assert_eq!(splitter.lines_left(), 2);
        while splitter.next_line(9).is_some() {}
        assert_eq!(splitter.lines_left(), 1);
        splitter.push(Bytes::from_static(b"c\n"));
        assert_eq!(splitter.lines_left(), 1);
    }

    #[test]
    fn a_line_that_is_too_long_is_measured_and_not_kept() {
        let lines = lines_of(&[b"a\n0123", b"4567", b"89", b"01\nb\n", b"012345", b"6789"], 8);
        assert_eq!(lines[1..2], [Line::TooLong { length: 12 }]);
        assert_eq!(lines[3..], [Line::TooLong { length: 10 }]);
        assert_eq!((&lines[0], &lines[2]), (&whole(b"a").unwrap(), &whole(b"b").unwrap()));
        let mut splitter = LineSplitter::new(b'\n');
        splitter.push(Bytes::from_static(b"0123456789"));
        assert_eq!((splitter.next_line(8), splitter.held(), splitter.lines_left()), (None, 0, 1));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(text in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..60),
                              cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut at = 0;
            for cut in cuts {
                chunks.push(&text[at..cut]);
                at = cut;
            }
            chunks.push(&text[at..]);
            let mut expected: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
            if expected.last().is_some_and(|last| last.is_empty()) {
                expected.pop();
            }
            let lines = lines_of(&chunks, 100);
            prop_assert_eq!(texts(&lines), expected);
        }
    }
}
