//! The lowest layer of a connection: a TCP or a Unix socket.

#[cfg(unix)]
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{io, net::SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

#[cfg(unix)]
use super::error::explain_socket_error;
use super::error::{FailureKind, Fault};

#[cfg(target_os = "linux")]
use low_water::{ReceiveLowWater, UnsentLowWater};

/// The socket options that nix does not name itself.
#[cfg(target_os = "linux")]
mod low_water {
    use nix::{libc, setsockopt_impl};

    /// SO_RCVLOWAT.
    #[derive(Clone, Copy)]
    pub(super) struct ReceiveLowWater;

    setsockopt_impl!(ReceiveLowWater, libc::SOL_SOCKET, libc::SO_RCVLOWAT, usize, nix::sys::socket::sockopt::SetUsize);

    /// TCP_NOTSENT_LOWAT.
    #[derive(Clone, Copy)]
    pub(super) struct UnsentLowWater;

    setsockopt_impl!(
        UnsentLowWater,
        libc::IPPROTO_TCP,
        libc::TCP_NOTSENT_LOWAT,
        u32,
        nix::sys::socket::sockopt::SetStruct<'_, u32>
    );
}

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A unix domain socket.
    #[cfg(unix)]
    Unix(UnixStream),
    /// A connection that never leaves this process (see `in_memory`).
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

impl Socket {
    #[cfg(unix)]
    pub(super) async fn connect_unix(path: &Path) -> Result<Self, Fault> {
        match UnixStream::connect(path).await {
            Ok(stream) => Ok(Self::Unix(stream)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let hint = "check the path of the broker's Unix socket";
                Err(Fault::new(FailureKind::HostNotFound, "no such socket").hint(hint))
            }
            Err(error) => Err(explain_socket_error(&error)),
        }
    }

    #[cfg(not(unix))]
    pub(super) async fn connect_unix(_: &std::path::Path) -> Result<Self, Fault> {
        Err(Fault::new(FailureKind::Other, "this system has no Unix sockets").hint("connect to a TCP port"))
    }

    /// Address of the peer; none for a Unix socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            #[cfg(unix)]
            Self::Unix(_) => None,
            #[cfg(test)]
            Self::Memory(_) => None,
        }
    }

    /// Makes the socket readable only once this many bytes have arrived (SO_RCVLOWAT); 1 is the default. The
    /// end of the stream and errors are always reported. False if the system does not support it.
    #[cfg(target_os = "linux")]
    pub fn set_low_water(&self, bytes: usize) -> bool {
        use nix::sys::socket::setsockopt;
        match self {
            Self::Tcp(stream) => setsockopt(stream, ReceiveLowWater, &bytes).is_ok(),
            Self::Unix(_) => false,
            #[cfg(test)]
            Self::Memory(_) => false,
        }
    }

    /// Not supported by this system.
    #[cfg(not(target_os = "linux"))]
    pub fn set_low_water(&self, _: usize) -> bool {
        false
    }

    /// Limits the bytes that the system buffers before it sends them (TCP_NOTSENT_LOWAT), where supported.
    pub(super) fn limit_unsent(&self, bytes: u32) {
        #[cfg(target_os = "linux")]
        if let Self::Tcp(stream) = self {
            // Without it the system takes more.
            let _ = nix::sys::socket::setsockopt(stream, UnsentLowWater, &bytes);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = bytes;
    }

    /// Acknowledges received bytes immediately (TCP_QUICKACK), where the system has such a thing: a peer that leaves
    /// Nagle's algorithm on sends nothing small before that, and the kernel may take 40 ms.
    pub fn acknowledge_at_once(&self) {
        #[cfg(target_os = "linux")]
        if let Self::Tcp(stream) = self {
            // Without it everything only takes longer.
            let _ = stream.set_quickack(true);
        }
    }
}

forward_read!(Socket, socket => *socket, Socket { Tcp, #[cfg(unix)] Unix, #[cfg(test)] Memory });

forward_write!(Socket, socket => *socket, Socket { Tcp, #[cfg(unix)] Unix, #[cfg(test)] Memory });
