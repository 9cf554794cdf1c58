//! A connection that is ready for MQTT: a stream of bytes, whatever it is made of.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::socket::Socket;
use super::tls::{CertificateFacts, TlsInfo, TlsSession};
use super::web_socket::WebSocket;

/// A connection to a broker.
///
/// What was written goes out at the latest with `poll_flush`: TLS gathers bytes into records, a WebSocket gathers
/// frames.
#[derive(Debug)]
pub struct Connection(Layer);

/// TLS and WebSocket hold some kilobytes, so they are boxed: a plain connection is not to pay for them.
#[derive(Debug)]
enum Layer {
    Plain(Socket),
    Tls(TlsSession),
    /// Over one of the two above.
    WebSocket(Box<WebSocket<Connection>>),
}

impl Connection {
    pub(super) fn plain(socket: Socket) -> Self {
        Self(Layer::Plain(socket))
    }

    pub(super) fn secured(stream: TlsSession) -> Self {
        Self(Layer::Tls(stream))
    }

    pub(super) fn framed(stream: WebSocket<Connection>) -> Self {
        Self(Layer::WebSocket(Box::new(stream)))
    }

    fn socket(&self) -> &Socket {
        match &self.0 {
            Layer::Plain(socket) => socket,
            Layer::Tls(stream) => stream.socket(),
            Layer::WebSocket(stream) => stream.get_ref().socket(),
        }
    }

    /// Address of the broker, or of the proxy on the way to it; none for a Unix socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.socket().peer()
    }

    /// What TLS agreed on; none without TLS.
    pub fn tls_info(&self) -> Option<TlsInfo> {
        match &self.0 {
            Layer::Plain(_) => None,
            Layer::Tls(stream) => Some(stream.info()),
            Layer::WebSocket(stream) => stream.get_ref().tls_info(),
        }
    }

    /// The server's certificate; none without TLS.
    pub fn peer_certificate(&self) -> Option<CertificateFacts> {
        match &self.0 {
            Layer::Plain(_) => None,
            Layer::Tls(stream) => stream.certificate(),
            Layer::WebSocket(stream) => stream.get_ref().peer_certificate(),
        }
    }

    /// Limits the bytes that the system buffers before it sends them (TCP_NOTSENT_LOWAT), where supported.
    pub fn limit_unsent(&self, bytes: u32) {
        self.socket().limit_unsent(bytes);
    }

    /// The socket itself when nothing lies between it and MQTT, for a path that reads and writes without waiting.
    pub fn as_plain(&self) -> Option<&Socket> {
        match &self.0 {
            Layer::Plain(socket) => Some(socket),
            Layer::Tls(_) | Layer::WebSocket(_) => None,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = match &mut self.get_mut().0 {
            Layer::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Layer::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Layer::WebSocket(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        match read {
            // A peer that closes TLS without a close_notify. MQTT packets carry their length and a session ends with
            // DISCONNECT, so treating it as the end of the stream, as without TLS, hides nothing.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

forward_write!(Connection, connection => connection.0, Layer { Plain, Tls, WebSocket });
