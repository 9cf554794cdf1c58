//! How a recording is compressed: known by the name of a file that is written, and by the first bytes of one that is
//! read.
//!
//! What an encoder has put out after a flush is a whole number of blocks. A fixed end, a few bytes, makes that a
//! complete file; the next block takes the place of the end.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::Crc;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Of zstd, as its program does without options.
const ZSTD_LEVEL: i32 = 3;
/// A reader of zstd holds at most this much of what came before, 128 MiB; only `zstd --long` asks for more.
const ZSTD_WINDOW_LOG: u32 = 27;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
/// The last block of a zstd frame (RFC 8878 §3.1.1.2): raw, without content.
const ZSTD_END: [u8; 3] = [1, 0, 0];
/// The last block of a deflate stream (RFC 1951 §3.2.3): fixed codes, without content.
const DEFLATE_END: [u8; 2] = [3, 0];

/// How a recording is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Of a file with this name: `.zst`, `.gz`, or none.
    pub(crate) fn of_name(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(extension) if extension.eq_ignore_ascii_case("zst") => Self::Zstd,
            Some(extension) if extension.eq_ignore_ascii_case("gz") => Self::Gzip,
            _ => Self::None,
        }
    }

    fn of_first_bytes(bytes: &[u8]) -> Self {
        if bytes.starts_with(&ZSTD_MAGIC) {
            Self::Zstd
        } else if bytes.starts_with(&GZIP_MAGIC) {
            Self::Gzip
        } else {
            Self::None
        }
    }
}

/// Compresses into a buffer.
pub(super) enum Encoder {
    Plain(Vec<u8>),
    /// The checksum and the length of what was written, which end the stream.
    Gzip(GzEncoder<Vec<u8>>, Crc),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(Vec::new()),
            Compression::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::default()), Crc::new()),
            Compression::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.extend_from_slice(bytes),
            Self::Gzip(encoder, crc) => {
                encoder.write_all(bytes)?;
                crc.update(bytes);
            }
            Self::Zstd(encoder) => encoder.write_all(bytes)?,
        }
        Ok(())
    }

    /// Makes everything that was written part of the output.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Gzip(encoder, _) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }

    /// What was put out so far; the caller takes it.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Plain(out) => out,
            Self::Gzip(encoder, _) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }

    /// Bytes that were put out so far.
    pub(super) fn pending(&self) -> usize {
        match self {
            Self::Plain(out) => out.len(),
            Self::Gzip(encoder, _) => encoder.get_ref().len(),
            Self::Zstd(encoder) => encoder.get_ref().len(),
        }
    }

    /// What makes a file complete that ends after a flush.
    pub(super) fn end(&self) -> Vec<u8> {
        match self {
            Self::Plain(_) => Vec::new(),
            Self::Gzip(_, crc) => {
                let mut end = DEFLATE_END.to_vec();
                end.extend_from_slice(&crc.sum().to_le_bytes());
                end.extend_from_slice(&crc.amount().to_le_bytes());
                end
            }
            Self::Zstd(_) => ZSTD_END.to_vec(),
        }
    }
}

/// The content of a file, decompressed where its first bytes ask for it.
pub(super) fn decoded(source: impl Read + Send + 'static) -> io::Result<(Compression, Box<dyn BufRead + Send>)> {
    let mut source = BufReader::with_capacity(64 * 1024, source);
    let compression = Compression::of_first_bytes(source.fill_buf()?);
    let decoded: Box<dyn BufRead + Send> = match compression {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(BufReader::with_capacity(64 * 1024, MultiGzDecoder::new(source))),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(BufReader::with_capacity(64 * 1024, decoder))
        }
    };
    Ok((compression, decoded))
}
