//! The frames of a WebSocket as a stream of bytes. Frames are independent of the packets in them: packets may share one
//! or be cut anywhere [MQTT-6.0.0-2]. We send a frame for each packet all the same, except in a flood: some brokers
//! (NanoMQ) read one packet of a frame and leave the others lying.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::mqtt::wire::{MAX_PACKET_SIZE, Scan, scan};
use crate::transport::error::printable;

/// Most bytes in a frame that we send. Some servers take no more than 64 KiB, and a longer head is needed from there
/// on.
const MOST_IN_A_FRAME: usize = 0xFFFF;
/// Most bytes that a message from the server may have: the largest MQTT packet (§2.1.4) and room for its neighbors. A
/// message is held in memory until it is whole.
const MOST_IN_A_MESSAGE: usize = 257 * 1024 * 1024;
/// With more packets than these to be sent at once they share frames: a broker works half as long again at a frame
/// each.
const MOST_SINGLE: usize = 32;
/// Frames are gathered up to this size before they are written, or until they are flushed.
const WRITE_BUFFER: usize = 16 * 1024;
/// Bytes read at a time. Every connection has this buffer, and mqbench has thousands of connections.
const READ_BUFFER: usize = 8 * 1024;

/// A WebSocket that carries MQTT over a stream of bytes.
#[derive(Debug)]
pub(in crate::transport) struct WebSocket<S> {
    frames: WebSocketStream<S>,
    /// Received bytes that were not read yet.
    unread: Bytes,
    /// How it ended; the error is returned once, after the data read before it.
    end: Option<io::Result<()>>,
    /// Our Close frame is out.
    closed: bool,
    /// Bytes of the packet that is on its way out which no frame has carried.
    packet_left: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// A WebSocket after its handshake; `rest` came behind the server's answer.
    pub(super) async fn new(stream: S, rest: Vec<u8>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(4 * MOST_IN_A_FRAME)
            .max_message_size(Some(MOST_IN_A_MESSAGE))
            .max_frame_size(Some(MOST_IN_A_MESSAGE));
        let frames = WebSocketStream::from_partially_read(stream, rest, Role::Client, Some(config)).await;
        Self { frames, unread: Bytes::new(), end: None, closed: false, packet_left: 0 }
    }

    /// The stream below.
    pub(in crate::transport) fn get_ref(&self) -> &S {
        self.frames.get_ref()
    }

    /// Takes the next message into `unread`, or notes the end.
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = match ready!(Pin::new(&mut self.frames).poll_next(context)) {
            Some(Ok(Message::Binary(bytes))) => {
                self.unread = bytes;
                return Poll::Ready(());
            }
            // A ping was answered by the crate.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Poll::Ready(()),
            Some(Ok(Message::Text(_))) => {
                let text = "the server sent a WebSocket text frame; MQTT is binary only [MQTT-6.0.0-1]";
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
            Some(Ok(Message::Close(frame))) => {
                // The answer is queued; whether it still gets out does not matter.
                let _ = Pin::new(&mut self.frames).poll_flush(context);
                if self.closed { Ok(()) } else { why_closed(frame) }
            }
            Some(Err(error)) => read_error(error),
            None => Ok(()),
        };
        self.end = Some(end);
        Poll::Ready(())
    }
}

/// How many of these bytes the next frame carries, and how many are left of the packet that it ends in: one packet, of
/// a flood as many as fit. What is not a packet goes as it comes.
fn next_frame(bytes: &[u8]) -> (usize, usize) {
    let most = bytes.len().min(MOST_IN_A_FRAME);
    let (mut first, mut end, mut packets) = (0, 0, 0);
    while let Some(next) = packet_size(&bytes[end..]).map(|size| end + size).filter(|next| *next <= most) {
        (end, packets) = (next, packets + 1);
        if packets == 1 {
            first = end;
        }
    }
    match packets {
        0 => (most, packet_size(bytes).unwrap_or(most).saturating_sub(most)),
        1..=MOST_SINGLE => (first, 0),
        _ => (end, 0),
    }
}

/// The size of the packet that begins here, where its head is whole.
fn packet_size(bytes: &[u8]) -> Option<usize> {
    match scan(bytes, MAX_PACKET_SIZE) {
        Ok(Scan::Frame(frame)) => Some(frame.size),
        Ok(Scan::Incomplete(size)) => size,
        Err(_) => None,
    }
}

/// The reason in a server's Close frame. A normal end is the end of the stream, as a closed socket is.
fn why_closed(frame: Option<CloseFrame>) -> io::Result<()> {
    let Some(CloseFrame { code, reason }) = frame else { return Ok(()) };
    let meaning = match code {
        CloseCode::Normal | CloseCode::Away | CloseCode::Status | CloseCode::Restart => return Ok(()),
        CloseCode::Protocol => " (protocol error)",
        CloseCode::Unsupported => " (unsupported data)",
        CloseCode::Policy => " (policy violation)",
        CloseCode::Size => " (message too big)",
        CloseCode::Error => " (internal error)",
        CloseCode::Again => " (try again later)",
        _ => "",
    };
    let reason = if reason.is_empty() { String::new() } else { format!(": {}", printable(&reason)) };
    let text = format!("the server closed the WebSocket with code {}{meaning}{reason}", u16::from(code));
    Err(io::Error::new(io::ErrorKind::ConnectionAborted, text))
}

fn read_error(error: Error) -> io::Result<()> {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ok(()),
        other => Err(io_error(other)),
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(ProtocolError::SendAfterClosing) => {
            io::Error::new(io::ErrorKind::BrokenPipe, "the WebSocket is closed")
        }
        Error::Capacity(_) => {
            let text = "the server sent a WebSocket message that is larger than any MQTT packet";
            io::Error::new(io::ErrorKind::InvalidData, text)
        }
        other => {
            io::Error::new(io::ErrorKind::InvalidData, format!("the server violated the WebSocket protocol: {other}"))
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        // Brokers send a frame a packet, so one read takes as many frames as are there.
        while buffer.remaining() > 0 {
            if self.unread.is_empty() {
                let waits = self.end.is_none() && self.poll_message(cx).is_pending();
                if waits && buffer.filled().len() == before {
                    return Poll::Pending;
                }
                if waits || (self.end.is_some() && buffer.filled().len() > before) {
                    return Poll::Ready(Ok(()));
                }
                if let Some(end) = &mut self.end {
                    return Poll::Ready(std::mem::replace(end, Ok(())));
                }
            }
            let count = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread[..count]);
            self.unread.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // Not before the frame before it has gone: that is what keeps the memory bounded.
        ready!(Pin::new(&mut self.frames).poll_ready(cx)).map_err(io_error)?;
        let (count, left) = match self.packet_left {
            0 => next_frame(bytes),
            left => {
                let count = left.min(bytes.len()).min(MOST_IN_A_FRAME);
                (count, left - count)
            }
        };
        self.packet_left = left;
        // The crate needs this copy; it then writes header and masked payload into its own buffer.
        let frame = Message::Binary(Bytes::copy_from_slice(&bytes[..count]));
        Pin::new(&mut self.frames).start_send(frame).map_err(io_error)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames).poll_flush(cx).map_err(io_error)
    }

    /// Sends a Close frame. The server closes the connection (RFC 6455 §7.1.1), so that what it still sends can be read
    /// until then.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed && self.end.is_none() {
            ready!(Pin::new(&mut self.frames).poll_close(cx)).map_err(io_error)?;
        }
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}
