//! The built-in sink: a server that reads PUBLISH as fast as it can, counts it, and acknowledges it in bulk.
//!
//! It finds the ceiling of the generator, so it must cost next to nothing per message. The broker core is not used for
//! this: it routes, keeps sessions and acknowledges each message, and the figure would be the ceiling of the broker.
//!
//! It runs on its own thread, whose CPU time is not measured. It keeps no session, delivers nothing, and checks only
//! the framing of what it receives.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::client::check_descriptors;
use crate::mqtt::ProtocolVersion;
use crate::mqtt::wire::{Ack, AckKind, Connack, Frame, PacketType, Scan, scan};

/// Most bytes per read.
const BUFFER: usize = 256 * 1024;

/// The largest packet that is accepted; half of the buffer.
const LARGEST_PACKET: usize = BUFFER / 2;

/// Connects that may wait while the sink is busy.
const BACKLOG: u32 = 4096;

/// The delay before the next attempt to accept.
const PAUSE: Duration = Duration::from_millis(10);

/// What a sink has counted since it started.
#[derive(Debug, Default)]
struct Counts {
    published: AtomicU64,
    completed: AtomicU64,
}

/// A running sink. It ends when dropped.
#[derive(Debug)]
pub(super) struct Sink {
    address: SocketAddr,
    counts: Arc<Counts>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Starts a sink on a free loopback port.
    ///
    /// # Errors
    /// Those of the system, where it has no port, thread or event loop.
    pub(super) fn start() -> io::Result<Self> {
        check_descriptors()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = {
            let _inside = runtime.enter();
            let socket = TcpSocket::new_v4()?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            socket.listen(BACKLOG)?
        };
        let address = listener.local_addr()?;
        let counts = Arc::<Counts>::default();
        let (end, ended) = oneshot::channel();
        let own = counts.clone();
        let thread = std::thread::Builder::new().name("sink".to_owned()).spawn(move || {
            LocalSet::new().block_on(&runtime, async move {
                tokio::select! {
                    () = serve(listener, own) => {}
                    _ = ended => {}
                }
            });
        })?;
        Ok(Self { address, counts, end: Some(end), thread: Some(thread) })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// PUBLISH packets that arrived.
    pub(super) fn published(&self) -> u64 {
        self.counts.published.load(Ordering::Acquire)
    }

    /// PUBREL packets that arrived: QoS 2 messages that were completed.
    pub(super) fn completed(&self) -> u64 {
        self.counts.completed.load(Ordering::Acquire)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // There is nothing to do where it panicked.
            let _ = thread.join();
        }
    }
}

/// Accepts connections forever.
async fn serve(listener: TcpListener, counts: Arc<Counts>) {
    let buffer = Rc::new(RefCell::new(vec![0; BUFFER]));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let (buffer, counts) = (buffer.clone(), counts.clone());
                // The client sees a broken connection too.
                tokio::task::spawn_local(async move { drop(serve_connection(stream, &buffer, &counts).await) });
            }
            // Most likely out of file descriptors: clients wait until others have disconnected.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Serves one connection to its end.
async fn serve_connection(mut stream: TcpStream, buffer: &RefCell<Vec<u8>>, counts: &Counts) -> io::Result<()> {
    let mut reader = PacketReader::default();
    let mut answers = Vec::new();
    loop {
        stream.readable().await?;
        {
            let buffer = &mut *buffer.borrow_mut();
            let kept = reader.put_back(buffer);
            match stream.try_read(&mut buffer[kept..]) {
                Ok(0) => return Ok(()),
                Ok(count) => reader.take(&buffer[..kept + count], &mut answers)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
        }
        counts.published.fetch_add(std::mem::take(&mut reader.published), Ordering::Release);
        counts.completed.fetch_add(std::mem::take(&mut reader.completed), Ordering::Release);
        if !answers.is_empty() {
            stream.write_all(&answers).await?;
            answers.clear();
        }
        if reader.is_over {
            return Ok(());
        }
    }
}

/// Bytes to counts and answers.
#[derive(Debug, Default)]
struct PacketReader {
    /// The beginning of an incomplete packet.
    rest: Vec<u8>,
    version: ProtocolVersion,
    published: u64,
    completed: u64,
    /// The client has disconnected.
    is_over: bool,
}

impl PacketReader {
    /// Puts the rest of the last read in front of the next one.
    fn put_back(&mut self, buffer: &mut [u8]) -> usize {
        let kept = self.rest.len();
        buffer[..kept].copy_from_slice(&self.rest);
        kept
    }

    /// Handles all complete packets.
    fn take(&mut self, mut input: &[u8], answers: &mut Vec<u8>) -> io::Result<()> {
        loop {
            match scan(input, LARGEST_PACKET).map_err(io::Error::other)? {
                Scan::Frame(frame) => {
                    self.handle(frame, answers)?;
                    input = &input[frame.size..];
                }
                Scan::Incomplete(_) => {
                    self.rest.clear();
                    self.rest.extend_from_slice(input);
                    return Ok(());
                }
            }
        }
    }

    #[inline]
    fn handle(&mut self, frame: Frame<'_>, answers: &mut Vec<u8>) -> io::Result<()> {
        match frame.packet_type {
            PacketType::Publish => {
                self.published += 1;
                let kind = match frame.flags >> 1 & 0b11 {
                    0 => return Ok(()),
                    1 => AckKind::Puback,
                    _ => AckKind::Pubrec,
                };
                let topic = frame.body.first_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
                self.answer(kind, frame.body.get(2 + topic..), answers)
            }
            PacketType::Pubrel => {
                self.completed += 1;
                self.answer(AckKind::Pubcomp, Some(frame.body), answers)
            }
            PacketType::Connect => {
                // The version follows "MQTT" with its two length bytes (§3.1.2.2).
                if frame.body.get(6) == Some(&5) {
                    self.version = ProtocolVersion::V5;
                }
                Connack::default().encode(self.version, answers).map_err(io::Error::other)
            }
            PacketType::Pingreq => {
                answers.extend_from_slice(&[(PacketType::Pingresp as u8) << 4, 0]);
                Ok(())
            }
            PacketType::Disconnect => {
                self.is_over = true;
                Ok(())
            }
            other => Err(io::Error::other(format!("the sink does not accept {}", other.name()))),
        }
    }

    /// Acknowledges the identifier at the beginning of these bytes.
    #[inline]
    fn answer(&self, kind: AckKind, bytes: Option<&[u8]>, answers: &mut Vec<u8>) -> io::Result<()> {
        let identifier = bytes.and_then(<[u8]>::first_chunk).ok_or(io::ErrorKind::InvalidData)?;
        let ack = Ack::success(kind, u16::from_be_bytes(*identifier));
        ack.encode(self.version, answers).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mqtt::wire::{Packet, PublishTemplate};
    use crate::mqtt::{Message, QoS};

    fn packets(messages: &[(QoS, usize)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, (qos, size)) in (1u16..).zip(messages) {
            let message =
                Message { topic: "a/b".into(), payload: vec![0x30; *size].into(), qos: *qos, ..Message::default() };
            let template = PublishTemplate::new(&message, ProtocolVersion::V311).unwrap();
            template.append(number, &[], &mut bytes);
        }
        bytes
    }

    proptest! {
        #[test]
        fn every_publish_is_counted_and_answered_once_however_it_is_cut(
            messages in prop::collection::vec(
                (prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]), 0usize..300), 0..40),
            cuts in prop::collection::vec(1usize..200, 1..30),
        ) {
            let bytes = packets(&messages);
            let (mut reader, mut answers) = (PacketReader::default(), Vec::new());
            let mut buffer = vec![0; BUFFER];
            let (mut from, mut cuts) = (0, cuts.iter().cycle());
            while from < bytes.len() {
                let to = (from + cuts.next().unwrap()).min(bytes.len());
                let kept = reader.put_back(&mut buffer);
                buffer[kept..kept + to - from].copy_from_slice(&bytes[from..to]);
                reader.take(&buffer[..kept + to - from], &mut answers).unwrap();
                from = to;
            }
            prop_assert_eq!(reader.published, messages.len() as u64);
            let expected: Vec<(AckKind, u16)> = (1u16..).zip(&messages).filter_map(|(number, (qos, _))| match qos {
                QoS::AtMostOnce => None,
                QoS::AtLeastOnce => Some((AckKind::Puback, number)),
                QoS::ExactlyOnce => Some((AckKind::Pubrec, number)),
            }).collect();
            let (mut input, mut found) = (&answers[..], Vec::new());
            while let Scan::Frame(frame) = scan(input, 100).unwrap() {
                if let Packet::Ack(ack) = Packet::decode(frame, ProtocolVersion::V311).unwrap() {
                    found.push((ack.kind, ack.packet_identifier));
                }
                input = &input[frame.size..];
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn garbage_ends_the_connection_and_nothing_else() {
        let mut reader = PacketReader::default();
        for garbage in [&b"\x00\x00"[..], b"\x30\xff\xff\xff\xff\xff", b"\x32\x01\x00", b"\x82\x00", b"\x62\x01\x00"] {
            assert!(reader.take(garbage, &mut Vec::new()).is_err(), "{garbage:?}");
        }
    }
}
