//! The head of an HTTP/1.1 response: a proxy's to CONNECT and a server's to the WebSocket request. Nothing else of
//! HTTP is needed here. Bounded, whatever the peer sends.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::printable;

/// Longest head that is read. Servers send hundreds of bytes, and cookies some kilobytes.
const MOST_BYTES: usize = 16 * 1024;
const MOST_FIELDS: usize = 100;
/// How much text of a peer an error repeats.
const MOST_TEXT: usize = 200;

/// Status line and fields of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    reason: String,
    fields: Vec<(String, Vec<u8>)>,
    /// The bytes after the head.
    pub(super) rest: Vec<u8>,
}

/// Why there is no head.
#[derive(Debug)]
pub(super) enum HeadError {
    /// The connection failed.
    Io(io::Error),
    /// The peer closed before its head was complete, after this many bytes.
    Closed(usize),
    /// The head is longer than anybody's.
    TooLong,
    /// This is not HTTP/1; the first bytes.
    NotHttp(Vec<u8>),
}

impl Head {
    /// Reads an answer up to the end of its head.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Self, HeadError> {
        const START: &[u8] = b"HTTP/1.";
        let mut bytes = Vec::new();
        loop {
            let before = bytes.len();
            if before >= MOST_BYTES {
                return Err(HeadError::TooLong);
            }
            bytes.reserve(1024);
            if stream.read_buf(&mut bytes).await.map_err(HeadError::Io)? == 0 {
                return Err(HeadError::Closed(before));
            }
            // Reported at once: the rest of a TLS alert may never come, and its first bytes identify it.
            if bytes.iter().zip(START).any(|(byte, expected)| byte != expected) {
                if bytes.len() < 3 && matches!(bytes[0], 0x15 | 0x16) {
                    continue;
                }
                return Err(HeadError::NotHttp(bytes));
            }
            if is_complete(&bytes, before) {
                return Self::parse(bytes);
            }
        }
    }

    fn parse(mut bytes: Vec<u8>) -> Result<Self, HeadError> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(&bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLong),
            Ok(httparse::Status::Partial) | Err(_) => return Err(HeadError::NotHttp(bytes)),
        };
        let status = response.code.unwrap_or_default();
        let reason = response.reason.unwrap_or_default().to_owned();
        let fields = response.headers.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect();
        let rest = bytes.split_off(length);
        Ok(Self { status, reason, fields, rest })
    }

    /// The first field of this name.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields_named(name).next()
    }

    /// Whether a field that is a list has this word in it.
    pub(super) fn lists(&self, name: &str, word: &str) -> bool {
        self.fields_named(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }

    fn fields_named(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    /// `404 Not Found`, fit for a terminal.
    pub(super) fn status_text(&self) -> String {
        format!("{} {}", self.status, shown(self.reason.as_bytes())).trim_end().to_owned()
    }
}

/// Whether an empty line ends the head. All before `from` was looked at before, up to the line end that was cut.
fn is_complete(bytes: &[u8], from: usize) -> bool {
    let fresh = &bytes[from.saturating_sub(2)..];
    fresh.windows(3).any(|window| window == b"\n\r\n") || fresh.windows(2).any(|window| window == b"\n\n")
}

/// Text of a peer for an error: made visible and not endless.
pub(super) fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(MOST_TEXT) {
        Some((end, _)) => printable(&text[..end]) + "…",
        None => printable(&text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What is read of a peer that sends these pieces and closes.
    fn read(pieces: &[&[u8]]) -> Result<Head, HeadError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut peer, mut ours) = tokio::io::duplex(MOST_BYTES * 2);
            let writing = async move {
                for piece in pieces {
                    if peer.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            };
            tokio::join!(Head::read(&mut ours), writing).0
        })
    }

    const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nconnection: x\r\n\r\n\x82\x00";

    #[test]
    fn an_answer_in_one_piece_or_in_bytes() {
        let bytes: Vec<&[u8]> = ANSWER.chunks(1).collect();
        for pieces in [&[ANSWER][..], &bytes] {
            let head = read(pieces).unwrap();
            assert_eq!((head.status, head.status_text().as_str()), (101, "101 Switching Protocols"));
            assert_eq!(head.field("UPGRADE"), Some(&b"WebSocket"[..]));
            assert!(head.lists("Connection", "upgrade") && head.lists("connection", "X"));
            assert!(!head.lists("Upgrade", "web"));
        }
        assert_eq!(read(&[ANSWER]).unwrap().rest, b"\x82\x00");
        assert_eq!(read(&[b"HTTP/1.0 200\n\n"]).unwrap().status_text(), "200");
    }

    #[test]
    fn what_is_no_answer() {
        assert!(matches!(read(&[b"\x15\x03\x03\x00\x02"]), Err(HeadError::NotHttp(first)) if first[0] == 0x15));
        assert!(matches!(read(&[b"HTTP/2.0 200 OK\r\n\r\n"]), Err(HeadError::NotHttp(_))));
        assert!(matches!(read(&[b"HTTP/1.1 abc\r\n\r\n"]), Err(HeadError::NotHttp(_))));
        assert!(matches!(read(&[b"HTTP/1.1 200 OK\r\n"]), Err(HeadError::Closed(17))));
        assert!(matches!(read(&[]), Err(HeadError::Closed(0))));
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; MOST_BYTES]].concat();
        assert!(matches!(read(&[&endless]), Err(HeadError::TooLong)));
        let many = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"a: b\r\n".repeat(MOST_FIELDS + 1), b"\r\n".to_vec()].concat();
        assert!(matches!(read(&[&many]), Err(HeadError::TooLong)));
    }

    #[test]
    fn text_of_a_peer_is_harmless() {
        // Of a reason that is not ASCII nothing is taken over.
        let head = read(&[b"HTTP/1.1 404 N\xc3\xb6\x80\r\n\r\n"]).unwrap();
        assert_eq!(head.status_text(), "404");
        assert_eq!(shown(b"\xc2\x9b2J \x80"), "\\u{9b}2J \u{fffd}");
        assert_eq!(shown(b"a\x1b[2J"), "a\\u{1b}[2J");
        assert_eq!(shown(&[b'x'; 300]).chars().count(), MOST_TEXT + 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_bytes_end(start in any::<bool>(), bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let start: &[u8] = if start { b"HTTP/1.1 2" } else { b"" };
            let _ = read(&[start, &bytes]);
        }

        #[test]
        fn any_cut_reads_the_same(cut in 0..ANSWER.len()) {
            let (one, other) = ANSWER.split_at(cut);
            prop_assert_eq!(read(&[one, other]).unwrap().status, 101);
        }
    }
}
