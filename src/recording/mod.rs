//! Recordings: files of lines, one message as JSON each, plain or compressed by gzip or zstd. The only home of flate2
//! and zstd.
//!
//! [`Writer`] keeps what it has written readable at every moment, also after the process was killed; [`Reader`] reads
//! line by line with bounded memory, and names what is wrong with a file and where.

mod compression;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

#[cfg(test)]
use reader::ReadError;
pub(crate) use reader::{LONGEST_LINE, Reader};
pub(crate) use writer::{Existing, OpenError, Writer};
