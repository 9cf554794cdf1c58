//! A socket of a client, and what a read of it found.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::TcpStream;
#[cfg(unix)]
use mio::net::UnixStream;

use crate::broker::CertificateName;
use crate::transport::ServerTlsStream;

/// A socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Tls(Box<ServerTlsStream<Self>>),
}

/// What a read found.
pub(super) enum ReadStep {
    /// This many bytes, and there may be more.
    Some(usize),
    /// This many bytes, and nothing more for now.
    Last(usize),
    /// Nothing for now.
    Blocked,
    /// The peer has closed.
    Closed,
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            #[cfg(unix)]
            Self::Unix(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write_vectored(slices),
            Self::Tls(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush(),
            _ => Ok(()),
        }
    }
}

impl Socket {
    /// The name in the client's certificate, once the handshake has shown one.
    pub(super) fn certificate_name(&self, name: CertificateName) -> Option<String> {
        match (self, name) {
            (Self::Tls(stream), CertificateName::CommonName) => stream.client_common_name(),
            (Self::Tls(stream), CertificateName::Subject) => stream.client_subject(),
            _ => None,
        }
    }

    /// Whether a read that does not fill its buffer has left nothing behind: TLS holds what it has decrypted. Windows
    /// reports the next bytes only after a read that would have blocked.
    pub(super) const fn is_emptied_by_a_read(&self) -> bool {
        cfg!(unix) && !matches!(self, Self::Tls(_))
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
            Self::Tls(stream) => stream.socket().source(),
        }
    }

    pub(super) fn shut_down_writing(&mut self) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(stream) => {
                stream.close();
                stream.socket().shut_down_writing();
                Ok(())
            }
        };
    }
}
