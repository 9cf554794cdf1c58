//! Chunks of bytes to lines, without a copy where a line lies within one chunk.

use bytes::Bytes;

/// Cuts bytes into lines. A line ends with LF, which is not part of it; CR and NUL are. What follows the last LF is a
/// line too, unless it is empty.
#[derive(Debug, Default)]
pub struct LineSplitter {
    chunk: Bytes,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
}

impl LineSplitter {
    /// Adds a chunk. It costs a copy when the one before is not taken apart with [`LineSplitter::next_line`].
    pub fn push(&mut self, chunk: Bytes) {
        self.chunk = if self.chunk.is_empty() { chunk } else { [&self.chunk[..], &chunk[..]].concat().into() };
    }

    /// Bytes that have not been taken.
    pub fn held(&self) -> usize {
        self.chunk.len() + self.partial.len()
    }

    /// The next whole line.
    pub fn next_line(&mut self) -> Option<Bytes> {
        let Some(end) = self.chunk.iter().position(|byte| *byte == b'\n') else {
            self.partial.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
            return None;
        };
        let line = self.chunk.split_to(end);
        let _ = self.chunk.split_to(1);
        if self.partial.is_empty() {
            return Some(line);
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(&line);
        Some(whole.into())
    }

    /// Bytes of the line that has begun.
    pub fn partial_len(&self) -> usize {
        self.partial.len()
    }

    /// Lines, a last one without LF included, that have not been taken.
    pub fn lines_left(&self) -> u64 {
        let whole = self.chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
        let open = self.chunk.last().map_or(!self.partial.is_empty() && whole == 0, |last| *last != b'\n');
        whole + u64::from(open)
    }

    /// The input has ended: the last line, if it had no LF.
    pub fn finish(&mut self) -> Option<Bytes> {
        let last = std::mem::take(&mut self.partial);
        if last.is_empty() { None } else { Some(last.into()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.push(Bytes::copy_from_slice(chunk));
            while let Some(line) = splitter.next_line() {
                lines.push(line.to_vec());
            }
        }
        lines.extend(splitter.finish().map(|line| line.to_vec()));
        lines
    }

    #[test]
    fn lf_ends_a_line_and_nothing_else_does() {
        assert_eq!(lines_of(&[b"a\nb\r\n\nc\0d\nlast"]), [b"a".as_slice(), b"b\r", b"", b"c\0d", b"last"]);
        assert_eq!(lines_of(&[b""]), Vec::<Vec<u8>>::new());
        assert_eq!(lines_of(&[b"\n"]), [b""]);
        assert_eq!(lines_of(&[b"a\n"]), [b"a"]);
    }

    #[test]
    fn a_chunk_behind_one_that_is_left_is_not_lost() {
        let mut splitter = LineSplitter::default();
        splitter.push(Bytes::from_static(b"a\nb\nc"));
        assert_eq!((splitter.next_line(), splitter.held()), (Some(Bytes::from_static(b"a")), 3));
        splitter.push(Bytes::from_static(b"d\ne"));
        assert_eq!((splitter.next_line(), splitter.next_line()), (Some("b".into()), Some("cd".into())));
        assert_eq!((splitter.next_line(), splitter.finish(), splitter.held()), (None, Some("e".into()), 0));
    }

    #[test]
    fn what_is_left_is_counted() {
        let mut splitter = LineSplitter::default();
        assert_eq!(splitter.lines_left(), 0);
        splitter.push(Bytes::from_static(b"a\nb\nc"));
        assert_eq!(splitter.lines_left(), 3);
        assert!(splitter.next_line().is_some());
        assert_eq!(splitter.lines_left(), 2);
        while splitter.next_line().is_some() {}
        assert_eq!(splitter.lines_left(), 1);
        splitter.push(Bytes::from_static(b"c\n"));
        assert_eq!(splitter.lines_left(), 1);
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
            prop_assert_eq!(lines_of(&chunks), expected);
        }
    }
}
