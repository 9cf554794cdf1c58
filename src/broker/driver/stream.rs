//! The transports of a connection, behind two calls that never block.

use std::io::{self, IoSlice, Read, Write};

use mio::{Interest, Registry, Token};

use super::socket::{ReadStep, Socket};
use super::web_socket::WebSocketStream;
use crate::broker::CertificateName;

/// The transport of MQTT.
pub(super) enum Stream {
    Plain(Socket),
    WebSocket(Box<WebSocketStream>),
}

impl Stream {
    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::WebSocket(stream) => stream.socket(),
        }
    }

    /// The name in the client's certificate, once the handshake has shown one.
    pub(super) fn certificate_name(&mut self, name: CertificateName) -> Option<String> {
        self.socket().certificate_name(name)
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.socket().source(), token, Interest::READABLE | Interest::WRITABLE)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        let _ = registry.deregister(self.socket().source());
    }

    /// Reads MQTT into the buffer. `limit` is the largest packet that is taken now.
    pub(super) fn read(&mut self, buffer: &mut [u8], limit: usize) -> io::Result<ReadStep> {
        match self {
            Self::Plain(socket) => match socket.read(buffer) {
                Ok(0) => Ok(ReadStep::Closed),
                // A read that does not fill the buffer has taken everything.
                Ok(count) if count < buffer.len() && socket.is_emptied_by_a_read() => Ok(ReadStep::Last(count)),
                Ok(count) => Ok(ReadStep::Some(count)),
                Err(error) if super::would_block(&error) => Ok(ReadStep::Blocked),
                Err(error) => Err(error),
            },
            Self::WebSocket(stream) => stream.read(buffer, limit),
        }
    }

    /// Writes MQTT; returns how much was taken.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write_vectored(slices),
            Self::WebSocket(stream) => stream.write(slices),
        }
    }

    /// Whether the transport itself holds bytes that are to be written; tries to write them.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(socket) => match socket.flush() {
                Ok(()) => Ok(true),
                Err(error) if super::would_block(&error) => Ok(false),
                Err(error) => Err(error),
            },
            Self::WebSocket(stream) => stream.flush(),
        }
    }

    /// Ends the outgoing half.
    pub(super) fn finish(&mut self) {
        if let Self::WebSocket(stream) = self {
            stream.close();
        }
        self.socket().shut_down_writing();
    }

    /// Reads and forgets; true when the peer has closed.
    pub(super) fn drain(&mut self, buffer: &mut [u8]) -> bool {
        for _ in 0..16 {
            match self.socket().read(buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return !super::would_block(&error),
            }
        }
        false
    }
}
