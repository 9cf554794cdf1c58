//! A broker that answers from a can, for what a real one does not do on demand: refusals, denials, sudden ends. It
//! keeps the bytes that the client sent, which are compared as well. It is not the broker core behind a script: what
//! both clients get must not depend on our own codec.

use std::fmt;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::socket::read_some;

/// What the can holds.
#[derive(Clone, Debug, Default)]
pub struct Can {
    /// Answer to CONNECT; empty closes instead.
    pub connack: &'static [u8],
    /// Answer to PUBLISH of QoS 1 and 2 in place of success, packet identifier 1.
    pub publish: Option<&'static [u8]>,
    /// What is sent behind the answer to PUBLISH.
    pub response: &'static [u8],
    /// Answer to SUBSCRIBE with packet identifier 1, and what is sent behind it.
    pub subscribe: &'static [u8],
    /// Closes when this packet type (its first four bits) comes.
    pub closes_at: Option<u8>,
}

/// What it sends, in hexadecimal, and what closes it.
impl fmt::Display for Can {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connack, publish, response, subscribe, closes_at } = self;
        let sent =
            [("CONNACK", *connack), ("SUBACK", subscribe), ("PUBACK", publish.unwrap_or_default()), ("then", response)];
        for (what, bytes) in sent.into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
            write!(f, "{what} ")?;
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            f.write_str(" ")?;
        }
        closes_at.map_or(Ok(()), |packet| write!(f, "close at {packet}"))
    }
}

pub struct CannedBroker {
    pub port: u16,
    /// Set once its client has come.
    served: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u8>>,
}

impl CannedBroker {
    /// Serves one client.
    pub fn start(can: Can) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = Arc::new(AtomicBool::new(false));
        let flag = served.clone();
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            flag.store(true, Ordering::Release);
            serve(stream, &can)
        });
        Self { port, served, thread }
    }

    /// All bytes of the client, once it has gone.
    pub fn received(self) -> Vec<u8> {
        // A client that never came leaves the listener waiting. After one that came the port may be another row's
        // already, whose only client this would be.
        if !self.served.load(Ordering::Acquire) {
            let _ = TcpStream::connect(("127.0.0.1", self.port));
        }
        self.thread.join().unwrap()
    }
}

fn serve(mut stream: TcpStream, can: &Can) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut received = Vec::new();
    let mut done = 0;
    let mut buffer = [0; 4096];
    loop {
        while let Some(size) = packet_size(&received[done..]) {
            let packet = &received[done..done + size];
            if can.closes_at == Some(packet[0] >> 4) {
                return received;
            }
            let answer = answer(packet, can);
            if answer.as_ref().is_some_and(Vec::is_empty) {
                return received;
            }
            if let Some(answer) = answer
                && stream.write_all(&answer).is_err()
            {
                return received;
            }
            if packet[0] >> 4 == 3 && stream.write_all(can.response).is_err() {
                return received;
            }
            done += size;
        }
        match read_some(&mut stream, &mut buffer) {
            Ok(0) | Err(_) => return received,
            Ok(count) => received.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Rows send short packets only.
fn packet_size(bytes: &[u8]) -> Option<usize> {
    let size = 2 + usize::from(*bytes.get(1)?);
    (bytes.len() >= size).then_some(size)
}

fn answer(packet: &[u8], can: &Can) -> Option<Vec<u8>> {
    match packet[0] >> 4 {
        1 => Some(can.connack.to_vec()),
        3 if packet[0] & 0b110 != 0 => {
            let topic = usize::from(packet[3]);
            let (high, low) = (packet[4 + topic], packet[5 + topic]);
            let kind = if packet[0] & 0b100 != 0 { 0x50 } else { 0x40 };
            Some(can.publish.map_or_else(|| vec![kind, 2, high, low], <[u8]>::to_vec))
        }
        6 => Some(vec![0x70, 2, packet[2], packet[3]]),
        8 => Some(can.subscribe.to_vec()),
        // In 5.0 with properties and a Reason Code.
        10 if can.connack.len() > 4 => Some(vec![0xb0, 4, packet[2], packet[3], 0, 0]),
        10 => Some(vec![0xb0, 2, packet[2], packet[3]]),
        12 => Some(vec![0xd0, 0]),
        _ => None,
    }
}
