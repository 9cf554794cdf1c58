//! What the fuzz target `broker` does with its bytes: a life of a broker in which the bytes say what happens next and
//! what the clients send. `tests/properties/broker.rs` runs the same body on a stable compiler.

use std::io::IoSlice;
use std::time::{Duration, Instant};

use mqtools::broker::core::{Cause, ConnectionId, Core, ListenerSettings, OpenAccess, Peer, Settings};
use mqtools::mqtt::ProtocolVersion;
use mqtools::mqtt::wire::{MAX_PACKET_SIZE, Packet, Scan, scan};

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];

struct Client {
    id: ConnectionId,
    version: ProtocolVersion,
}

struct Desk {
    core: Core,
    now: Instant,
    clients: Vec<Client>,
}

impl Desk {
    /// A client that begins with a CONNECT; what the bits of `choice` say about it.
    fn connect(&mut self, choice: u8) {
        let version = VERSIONS[usize::from(choice & 3) % VERSIONS.len()];
        let id = self.core.open(Peer::default(), self.now);
        let name = version.protocol_name().as_bytes();
        let clean = choice >> 2 & 1;
        let mut body = [&[0, name.len() as u8], name, &[version.level(), clean << 1, 0, choice >> 5]].concat();
        if version.is_v5() {
            // Session Expiry Interval, Receive Maximum, Topic Alias Maximum.
            body.extend([11, 0x11, 0, 0, 0, (1 - clean) * 60, 0x21, 0, 2, 0x22, 0, choice >> 7]);
        }
        body.extend([0, 1, b'a' + (choice >> 3 & 3)]);
        let packet = [&[0x10, body.len() as u8], &body[..]].concat();
        self.core.handle_input(id, &packet, self.now);
        self.clients.push(Client { id, version });
    }

    /// Takes what the broker has written; all of it must be packets that a server may send.
    fn check_output(&mut self, index: usize) {
        let Client { id, version } = self.clients[index];
        let mut slices: Vec<IoSlice<'_>> = Vec::new();
        self.core.output(id, &mut slices, usize::MAX);
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        assert_eq!(bytes.len(), self.core.output_len(id));
        self.core.written(id, bytes.len());
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let Ok(Scan::Frame(frame)) = scan(rest, MAX_PACKET_SIZE) else { panic!("half a packet: {rest:?}") };
            match Packet::decode(frame, version) {
                Ok(
                    Packet::Connack(_)
                    | Packet::Publish(_)
                    | Packet::Ack(_)
                    | Packet::Suback(_)
                    | Packet::Unsuback(_)
                    | Packet::Pingresp,
                ) => {}
                Ok(Packet::Disconnect(_)) if version.is_v5() => {}
                other => panic!("{other:?} was written"),
            }
            rest = &rest[frame.size..];
        }
    }

    fn close(&mut self, index: usize) {
        let client = self.clients.swap_remove(index);
        self.core.handle_closed(client.id, Cause::Closed, self.now);
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.core.handle_timeout(self.now);
        while self.core.has_work() {
            self.core.work(self.now);
        }
        assert!(self.core.poll_timeout().is_none_or(|at| at > self.now));
    }
}

/// A life of a broker.
pub fn broker(data: &[u8]) {
    let now = Instant::now();
    let settings = Settings {
        max_inflight_messages: 2,
        max_queued_messages: 3,
        max_output_bytes: 300,
        sys_interval: Duration::ZERO,
        default_listener: ListenerSettings { max_topic_alias: 2, ..ListenerSettings::default() },
        ..Settings::default()
    };
    let access = Box::new(OpenAccess { allow_anonymous: true });
    let mut desk = Desk { core: Core::new(settings, access, now), now, clients: Vec::new() };
    let mut steps = data.iter().copied();
    while let Some(step) = steps.next() {
        let mut next = || steps.next().unwrap_or_default();
        match step % 8 {
            0 if desk.clients.len() < 8 => desk.connect(next()),
            1 => desk.wait(u64::from(next())),
            2 if !desk.clients.is_empty() => {
                let index = usize::from(next()) % desk.clients.len();
                desk.close(index);
            }
            3 if !desk.clients.is_empty() => {
                let index = usize::from(next()) % desk.clients.len();
                desk.check_output(index);
                if desk.core.is_closing(desk.clients[index].id) {
                    desk.close(index);
                }
            }
            _ if !desk.clients.is_empty() => {
                let index = usize::from(next()) % desk.clients.len();
                let length = usize::from(next() % 40);
                let input: Vec<u8> = (0..length).map(|_| next()).collect();
                let id = desk.clients[index].id;
                if !desk.core.is_closing(id) {
                    desk.core.handle_input(id, &input, desk.now);
                }
            }
            _ => {}
        }
    }
    // When all are gone, and all sessions are over, nothing is left.
    while !desk.clients.is_empty() {
        desk.check_output(0);
        desk.close(0);
    }
    for name in b'a'..=b'd' {
        let id = desk.core.open(Peer::default(), desk.now);
        let packet = [&b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01"[..], &[name]].concat();
        desk.core.handle_input(id, &packet, desk.now);
        desk.core.handle_closed(id, Cause::Closed, desk.now);
    }
    desk.wait(100);
    let statistics = desk.core.statistics();
    let mut subscriptions = 0;
    desk.core.subscription_list(&mut |_, _, _| subscriptions += 1);
    if desk.core.sessions() == 0 {
        assert_eq!((statistics.stored_messages, statistics.stored_bytes, subscriptions), (0, 0, 0));
    }
}
