//! A client's connection in a shard: transport, session, and the bytes that the socket has not taken yet.
//!
//! Nothing is allocated per message: all reads use one buffer of the shard, packets are built in another one, and only
//! what the kernel does not take is copied.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clock;
use crate::mqtt::Message;
use crate::session::{Kept, Session, SessionError};
use crate::transport::Connection;

/// What the window keeps for a message: its times.
#[derive(Clone, Debug)]
pub(super) struct SendRecord {
    pub(super) intended_ns: u64,
    pub(super) written_ns: u64,
    /// When PUBREC arrived (QoS 2).
    pub(super) received_ns: Cell<u64>,
}

impl SendRecord {
    /// Whether both were sent together, and so have the same latency where they are acknowledged together.
    #[inline]
    pub(super) fn was_sent_with(&self, other: &Self) -> bool {
        (self.intended_ns, self.written_ns) == (other.intended_ns, other.written_ns)
    }
}

impl Kept for SendRecord {
    /// Messages are not kept: a publisher with a kept session builds them again, see [`Publisher::rewrite`].
    ///
    /// [`Publisher::rewrite`]: super::publisher::Publisher::rewrite
    fn message(&self) -> Option<&Message> {
        None
    }
}

pub(super) type BenchSession = Session<SendRecord>;

/// A connection with its session.
#[derive(Debug)]
pub(super) struct Link {
    connection: Connection,
    pub(super) session: BenchSession,
    unsent: Vec<u8>,
    unsent_from: usize,
    /// TLS may hold bytes back until it is flushed.
    unflushed: bool,
    /// The number of its broker.
    target: u16,
    /// Bytes that the socket took since the last call of [`Link::take_written`].
    taken: u64,
    /// Keep Alive has sent a PINGREQ since the last call of [`Link::take_pinged`].
    has_pinged: bool,
}

impl Link {
    /// `target` is the number of the broker, of which there are at most 65,536.
    pub(super) fn new(connection: Connection, session: BenchSession, target: usize) -> Self {
        let target = target as u16;
        Self {
            connection,
            session,
            unsent: Vec::new(),
            unsent_from: 0,
            unflushed: false,
            target,
            taken: 0,
            has_pinged: false,
        }
    }

    /// The number of its broker.
    pub(super) fn target(&self) -> usize {
        usize::from(self.target)
    }

    /// Lets the session do what is due. A ping is sent at once where the socket takes bytes; none is queued after
    /// waiting bytes.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        if !self.is_writable() {
            self.session.handle_write_pending();
        }
        let before = self.session.output_len();
        self.session.handle_timeout(now)?;
        // It writes nothing but PINGREQ.
        self.has_pinged |= self.session.output_len() > before;
        if self.is_writable() && self.session.output_len() > 0 {
            self.session.handle_written(now, false);
        }
        Ok(())
    }

    /// Sends PINGREQ before Keep Alive is due.
    pub(super) fn ping_early(&mut self, now: Instant) {
        self.session.ping();
        self.session.handle_written(now, false);
        self.has_pinged = true;
    }

    /// Whether Keep Alive has sent a PINGREQ since the last call.
    pub(super) fn take_pinged(&mut self) -> bool {
        std::mem::take(&mut self.has_pinged)
    }

    /// Reads once, at most the buffer's size. `Ready(Ok(0))` is the end of the stream.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buffer);
        match Pin::new(&mut self.connection).poll_read(context, &mut read) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(read.filled().len())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Bytes that the socket took since the last call.
    pub(super) fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.taken)
    }

    /// Whether the socket takes bytes, as far as is known.
    pub(super) fn is_writable(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Writes what waits. Returns how many bytes the socket took.
    pub(super) fn flush(&mut self, context: &mut Context<'_>) -> io::Result<usize> {
        let taken = self.flush_unsent(context)?;
        if taken > 0 {
            self.session.handle_written(clock::now(), !self.is_writable());
        }
        Ok(taken)
    }

    fn flush_unsent(&mut self, context: &mut Context<'_>) -> io::Result<usize> {
        let mut taken = 0;
        while self.unsent_from < self.unsent.len() {
            match Pin::new(&mut self.connection).poll_write(context, &self.unsent[self.unsent_from..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.unsent_from += count;
                    taken += count;
                    self.taken += count as u64;
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(taken),
            }
        }
        self.unsent.clear();
        self.unsent_from = 0;
        if self.unflushed {
            match Pin::new(&mut self.connection).poll_flush(context) {
                Poll::Ready(done) => {
                    done?;
                    self.unflushed = false;
                }
                Poll::Pending => {}
            }
        }
        Ok(taken)
    }

    /// Writes a buffer, and keeps what the socket does not take. To be called while nothing waits. Returns how many
    /// bytes the socket took.
    pub(super) fn send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        debug_assert!(self.is_writable());
        let mut taken = 0;
        while taken < bytes.len() {
            match Pin::new(&mut self.connection).poll_write(context, &bytes[taken..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    taken += count;
                    self.taken += count as u64;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.unsent.extend_from_slice(&bytes[taken..]);
                    return Ok(taken);
                }
            }
        }
        self.unflushed = true;
        self.flush(context)?;
        Ok(taken)
    }

    /// Sends the packets of the session itself: acknowledgements, pings, DISCONNECT. `out` is the shard's buffer.
    pub(super) fn send_output(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) -> io::Result<usize> {
        if self.session.output_len() == 0 {
            return Ok(0);
        }
        if !self.is_writable() {
            // After what waits; `flush` writes it.
            self.session.take_output(&mut self.unsent);
            return Ok(0);
        }
        out.clear();
        self.session.take_output(out);
        self.send(context, out)
    }

    /// Takes connection, session and unsent bytes apart.
    pub(super) fn into_parts(self) -> (Connection, BenchSession, Vec<u8>) {
        (self.connection, self.session, self.unsent[self.unsent_from..].to_vec())
    }
}
