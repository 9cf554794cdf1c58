//! Plain sockets: the same packets, encoded beforehand, through blocking sockets of the standard library on one thread.
//! No client can use less CPU time, so the engine is compared with it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::bench::plan::BenchPlan;
use crate::bench::system::thread_cpu;
use crate::mqtt::wire::{Ack, AckKind, PublishTemplate};
use crate::mqtt::{Message, QoS};
use crate::session::Session;

use super::measured::Measured;

/// Bytes per write at QoS 0.
const CHUNK: usize = 64 * 1024;

/// Bytes of an acknowledgement without a reason code.
const ACK_SIZE: usize = 4;

/// A sink that does not answer for this long has ended.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One connection, and what it sends.
struct PlainPublisher {
    socket: TcpStream,
    /// A window of PUBLISH packets; at QoS 0 a chunk.
    window: Vec<u8>,
}

/// Connected plain sockets.
pub(super) struct PlainSockets {
    publishers: Vec<PlainPublisher>,
    qos: QoS,
    /// Messages in a window.
    messages: usize,
    /// PUBREL for all of them.
    releases: Vec<u8>,
    answers: Vec<u8>,
}

impl PlainSockets {
    /// Connects the publishers of a plan to the sink.
    ///
    /// # Errors
    /// Those of the sockets, and a sink that does not accept a client.
    pub(super) fn connect(plan: &BenchPlan, sink: SocketAddr) -> io::Result<Self> {
        let mut messages = usize::from(plan.window);
        let mut publishers = Vec::new();
        for client in 0..plan.publishers {
            let template = template(plan, client)?;
            if plan.qos == QoS::AtMostOnce {
                messages = (CHUNK / template.size()).max(1);
            }
            let mut window = Vec::new();
            // A window is at most 65,535 messages, so each has an identifier.
            (1..=messages).for_each(|identifier| template.append(identifier as u16, &[], &mut window));
            publishers.push(PlainPublisher { socket: connect(plan, client, sink)?, window });
        }
        let mut releases = Vec::new();
        for identifier in 1..=messages {
            let pubrel = Ack::success(AckKind::Pubrel, identifier as u16);
            pubrel.encode(plan.session.version, &mut releases).map_err(io::Error::other)?;
        }
        let answers = vec![0; messages * ACK_SIZE];
        Ok(Self { publishers, qos: plan.qos, messages, releases, answers })
    }

    /// Sends for the warm-up time, then measures while `goes_on` holds for the measured time and turns. To be called on
    /// a thread that does nothing else.
    ///
    /// # Errors
    /// Those of the sockets.
    pub(super) fn measure(mut self, warmup: Duration, goes_on: impl Fn(Duration, u64) -> bool) -> io::Result<Measured> {
        let started = Instant::now();
        while started.elapsed() < warmup {
            self.turn()?;
        }
        let (started, cpu_at_start) = (Instant::now(), thread_cpu());
        let (mut messages, mut turns) = (0, 0);
        while goes_on(started.elapsed(), turns) {
            messages += self.turn()?;
            turns += 1;
        }
        let cpu = thread_cpu().zip(cpu_at_start).map(|(now, start)| now.since(start).total_ns());
        Ok(Measured { messages, wall_ns: started.elapsed().as_nanos() as u64, cpu_ns: cpu })
    }

    /// One window on every connection: writes to all, then reads the answers of all. Returns the number of messages.
    fn turn(&mut self) -> io::Result<u64> {
        for publisher in &mut self.publishers {
            publisher.socket.write_all(&publisher.window)?;
        }
        if self.qos != QoS::AtMostOnce {
            for publisher in &mut self.publishers {
                publisher.socket.read_exact(&mut self.answers)?;
                if self.qos == QoS::ExactlyOnce {
                    publisher.socket.write_all(&self.releases)?;
                }
            }
        }
        if self.qos == QoS::ExactlyOnce {
            for publisher in &mut self.publishers {
                publisher.socket.read_exact(&mut self.answers)?;
            }
        }
        Ok((self.messages * self.publishers.len()) as u64)
    }
}

/// The packet of a client as the engine sends it, without the stamp.
fn template(plan: &BenchPlan, client: usize) -> io::Result<PublishTemplate> {
    let session = plan.session_of(client);
    let user_name = session.user_name.as_deref().unwrap_or_default();
    let message = Message {
        topic: plan.routes.topic(client, &session.client_id, user_name),
        payload: plan.payload.bytes(client, &session.client_id, user_name),
        qos: plan.qos,
        ..Message::default()
    };
    PublishTemplate::new(&message, session.version).map_err(io::Error::other)
}

fn connect(plan: &BenchPlan, client: usize, sink: SocketAddr) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(sink)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    let mut connect = Vec::new();
    let mut session: Session<Message> = Session::new(Instant::now());
    session.start(&plan.session_of(client), Instant::now()).map_err(io::Error::other)?;
    session.take_output(&mut connect);
    socket.write_all(&connect)?;
    let mut connack = [0; ACK_SIZE];
    socket.read_exact(&mut connack)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::calibrate::case::Case;
    use crate::bench::calibrate::sink::Sink;

    #[test]
    fn every_message_of_the_plain_sockets_reaches_the_sink() {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let case = Case { qos, size: 64, connections: 3, threads: 1 };
            let sink = Sink::start().unwrap();
            let plan = case.plan(sink.address(), &[]).unwrap();
            let sockets = PlainSockets::connect(&plan, sink.address()).unwrap();
            let measured = sockets.measure(Duration::ZERO, |_, turns| turns < 4).unwrap();
            // QoS 0 has nothing else to wait for.
            while sink.published() < measured.messages {
                std::thread::yield_now();
            }
            assert!(measured.messages > 0);
            let completed = if qos == QoS::ExactlyOnce { measured.messages } else { 0 };
            assert_eq!((sink.published(), sink.completed()), (measured.messages, completed), "{qos:?}");
        }
    }
}
