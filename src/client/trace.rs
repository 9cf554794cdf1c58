//! The log of `-d`: every packet that goes out and comes in, in the words of mosquitto, and with `-dd` byte by byte.
//!
//! It reads the bytes themselves on their way past, so it shows what is on the wire and not what somebody meant to
//! send, and nothing else has to know of it.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::dissect::dissect;
use crate::mqtt::wire::{Ack, AckKind, Disconnect, MAX_PACKET_SIZE, Packet, Publish, Scan, scan};
use crate::mqtt::{PropertyName, ProtocolVersion, ReasonCode};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, SessionError};
use crate::terminal::escape;

/// Most codes of a SUBACK that are shown; nobody has typed more filters.
const MOST_CODES: usize = 10_000;

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// stderr, apart from the messages.
    Stderr,
    /// stdout, among the messages, where mosquitto's own tools put it.
    Stdout,
}

/// The log of one client.
#[derive(Debug)]
pub struct Trace {
    stream: LogStream,
    bytes: bool,
    client_id: String,
    version: ProtocolVersion,
    shows_grants: bool,
    /// mosquitto numbers QoS 0 messages too, though their number is not sent.
    last_mid: u16,
    /// The last packet could not be read, which explains why the input failed.
    was_unreadable: bool,
    lines: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Sending,
    Received,
}

impl Direction {
    const fn word(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Received => "received",
        }
    }
}

impl Trace {
    /// A log of as many `-d` as `level`; none for 0.
    pub fn of_level(level: u8, stream: LogStream) -> Option<Self> {
        (level > 0).then(|| Self {
            stream,
            bytes: level > 1,
            client_id: String::new(),
            version: ProtocolVersion::default(),
            shows_grants: true,
            last_mid: 0,
            was_unreadable: false,
            lines: String::new(),
        })
    }

    /// Shows what a SUBACK grants, or only that it came.
    #[must_use]
    pub fn with_grants(self, shows_grants: bool) -> Self {
        Self { shows_grants, ..self }
    }

    /// Whole packets that go out.
    pub fn sent(&mut self, bytes: &[u8]) {
        self.log(Direction::Sending, bytes);
        self.flush();
    }

    /// A whole packet that came in.
    fn received(&mut self, packet: &[u8]) {
        self.log(Direction::Received, packet);
        self.flush();
    }

    /// The lines about whole packets, sent or received. A door for the fuzz targets, which print nothing.
    #[doc(hidden)]
    pub fn lines_of(&mut self, sent: bool, packets: &[u8]) -> String {
        self.log(if sent { Direction::Sending } else { Direction::Received }, packets);
        std::mem::take(&mut self.lines)
    }

    /// What came in ended the connection.
    pub(super) fn input_failed(&mut self, error: &SessionError) {
        let (SessionError::Wire(error) | SessionError::NotMqtt { error, .. }) = error else { return };
        if !std::mem::take(&mut self.was_unreadable) {
            self.write_line(Direction::Received, &format!("an invalid packet: {error}"));
            self.flush();
        }
    }

    /// Our own line.
    pub fn note(&mut self, text: &str) {
        // mosquitto's log knows packets only.
        if self.stream == LogStream::Stdout {
            return;
        }
        self.begin_line();
        self.lines.push_str(&escape(text));
        self.lines.push('\n');
        self.flush();
    }

    /// Logs whole packets.
    fn log(&mut self, direction: Direction, mut bytes: &[u8]) {
        while let Ok(Scan::Frame(frame)) = scan(bytes, MAX_PACKET_SIZE) {
            let (whole, rest) = bytes.split_at(frame.size);
            let packet = Packet::decode(frame, self.version);
            self.was_unreadable = packet.is_err();
            if let Ok(packet) = packet {
                self.learn(&packet);
                self.write_packet(direction, &packet);
            } else {
                let name = frame.packet_type.name();
                self.write_line(direction, &format!("malformed {name}"));
            }
            if self.bytes {
                dissect(whole, self.version, &mut self.lines);
            }
            bytes = rest;
        }
    }

    /// Takes over what a packet fixes for all that follow.
    fn learn(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Publish(publish) if publish.packet_identifier > 0 => self.last_mid = publish.packet_identifier,
            Packet::Subscribe(subscribe) => self.last_mid = subscribe.packet_identifier,
            Packet::Connect(connect) => {
                self.version = connect.version;
                connect.client_id.clone_into(&mut self.client_id);
            }
            Packet::Connack(connack) => {
                if let Some(assigned) = connack.properties.text(PropertyName::AssignedClientIdentifier) {
                    assigned.clone_into(&mut self.client_id);
                }
            }
            _ => {}
        }
    }

    fn begin_line(&mut self) {
        let id = if self.client_id.is_empty() { "null".into() } else { escape(&self.client_id) };
        let _ = write!(self.lines, "Client {id} ");
    }

    fn write_line(&mut self, direction: Direction, what: &str) {
        self.begin_line();
        let _ = writeln!(self.lines, "{} {what}", direction.word());
    }

    fn write_packet(&mut self, direction: Direction, packet: &Packet<'_>) {
        match packet {
            Packet::Subscribe(subscribe) => {
                for filter in &subscribe.filters {
                    let topic = escape(&filter.filter);
                    let (mid, qos) = (subscribe.packet_identifier, filter.qos.number());
                    let options = filter.options(self.version) & !0b11;
                    let options = format!("(Mid: {mid}, Topic: {topic}, QoS: {qos}, Options: 0x{options:02x})");
                    self.write_line(direction, &format!("SUBSCRIBE {options}"));
                }
            }
            Packet::Unsubscribe(unsubscribe) => {
                for filter in &unsubscribe.filters {
                    let topic = escape(filter);
                    let mid = unsubscribe.packet_identifier;
                    self.write_line(direction, &format!("UNSUBSCRIBE (Mid: {mid}, Topic: {topic})"));
                }
            }
            Packet::Suback(_) if !self.shows_grants => self.write_line(direction, "SUBACK"),
            Packet::Suback(suback) => {
                self.write_line(direction, "SUBACK");
                let shown = suback.reasons.iter().take(MOST_CODES);
                let codes: Vec<String> = shown.map(|reason| reason.0.to_string()).collect();
                let more = match suback.reasons.len().saturating_sub(MOST_CODES) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let (mid, codes) = (suback.packet_identifier, codes.join(", "));
                let _ = writeln!(self.lines, "Subscribed (mid: {mid}): {codes}{more}");
            }
            Packet::Publish(publish) if self.stream == LogStream::Stdout && direction == Direction::Sending => {
                if publish.packet_identifier == 0 {
                    self.last_mid = self.last_mid.checked_add(1).unwrap_or(1);
                }
                let publish = Publish { packet_identifier: self.last_mid, ..publish.clone() };
                let what = words(direction, &Packet::Publish(publish));
                self.write_line(direction, &what);
            }
            other => {
                let what = words(direction, other);
                self.write_line(direction, &what);
            }
        }
    }

    fn flush(&mut self) {
        let bytes = self.lines.as_bytes();
        // A log that nobody reads any more is no reason to stop.
        let _ = match self.stream {
            LogStream::Stderr => std::io::stderr().write_all(bytes),
            LogStream::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            }
        };
        self.lines.clear();
    }
}

/// A handler whose packets are logged, where there is a log.
pub(super) struct Traced<'a, H> {
    pub(super) handler: &'a mut H,
    pub(super) trace: &'a mut Option<Trace>,
}

impl<K, H: Handler<K>> Handler<K> for Traced<'_, H> {
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        self.handler.on_message(delivery)
    }

    fn on_completed(&mut self, completion: Completion<'_, K>) {
        self.handler.on_completed(completion);
    }

    fn on_acknowledged(&mut self, first: u16, kept: impl ExactSizeIterator<Item = K>) {
        self.handler.on_acknowledged(first, kept);
    }

    fn rewrite(&mut self, kept: &K, packet_identifier: u16, dup: bool, out: &mut Vec<u8>) -> bool {
        self.handler.rewrite(kept, packet_identifier, dup, out)
    }

    fn observes_packets(&self) -> bool {
        self.trace.is_some()
    }

    fn on_packet(&mut self, packet: &[u8]) {
        if let Some(trace) = self.trace {
            trace.received(packet);
        }
    }

    fn on_received(&mut self, kept: &K, reason: ReasonCode) {
        self.handler.on_received(kept, reason);
    }

    fn on_event(&mut self, event: Event) {
        self.handler.on_event(event);
    }
}

/// A packet on one line, in mosquitto's vocabulary.
fn words(direction: Direction, packet: &Packet<'_>) -> String {
    match packet {
        Packet::Publish(publish) => format!(
            "PUBLISH (d{}, q{}, r{}, m{}, '{}', ... ({} bytes))",
            u8::from(publish.dup),
            publish.qos.number(),
            u8::from(publish.retain),
            publish.packet_identifier,
            escape(publish.topic),
            publish.payload.len()
        ),
        Packet::Ack(ack) => acknowledgement(direction, ack),
        Packet::Connack(connack) => format!("CONNACK ({})", connack.reason.0),
        Packet::Disconnect(Disconnect { reason, .. }) if direction == Direction::Received => {
            format!("DISCONNECT ({})", reason.0)
        }
        other => other.packet_type().name().to_owned(),
    }
}

fn acknowledgement(direction: Direction, ack: &Ack) -> String {
    let (name, mid, reason) = (ack.kind.packet_type().name(), ack.packet_identifier, ack.reason.0);
    match (direction, ack.kind) {
        (Direction::Sending, AckKind::Puback | AckKind::Pubrec) => format!("{name} (m{mid}, rc{reason})"),
        (Direction::Sending, _) => format!("{name} (m{mid})"),
        (Direction::Received, AckKind::Puback | AckKind::Pubcomp) => format!("{name} (Mid: {mid}, RC:{reason})"),
        (Direction::Received, _) if reason == 0 => format!("{name} (Mid: {mid})"),
        (Direction::Received, _) => format!("{name} (Mid: {mid}, RC:{reason})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::wire::{Connack, Connect, Suback, Subscribe, SubscribeFilter};
    use crate::mqtt::{Message, Properties, QoS, ReasonCode, Secret};

    fn trace(level: u8) -> Trace {
        Trace::of_level(level, LogStream::Stderr).unwrap()
    }

    fn bytes(version: ProtocolVersion, packets: &[Packet<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        packets.iter().for_each(|packet| packet.encode(version, &mut bytes).unwrap());
        bytes
    }

    fn connect(client_id: &str, version: ProtocolVersion) -> Packet<'static> {
        Packet::Connect(Box::new(Connect {
            version,
            client_id: client_id.to_owned(),
            clean_start: true,
            keep_alive: 60,
            user_name: Some("u".into()),
            password: Some(Secret::new("geheim")),
            will: None,
            properties: Properties::new(),
        }))
    }

    #[test]
    fn the_words_are_those_of_mosquitto() {
        let mut trace = trace(1);
        let v311 = ProtocolVersion::V311;
        let message = Message { topic: "a".into(), payload: "x".into(), qos: QoS::AtLeastOnce, ..Message::default() };
        let filters = vec![SubscribeFilter { filter: "z".into(), ..SubscribeFilter::default() }];
        let subscribe = Subscribe { packet_identifier: 1, filters, ..Subscribe::default() };
        let sent = bytes(
            v311,
            &[
                connect("mq", v311),
                Packet::Subscribe(subscribe),
                Packet::Publish(Publish::of(&message, 1, false)),
                Packet::Ack(Ack::success(AckKind::Pubrel, 7)),
                Packet::Pingreq,
                Packet::Disconnect(Disconnect::default()),
            ],
        );
        trace.log(Direction::Sending, &sent);
        let suback = Suback { packet_identifier: 1, reasons: vec![ReasonCode(0)], ..Suback::default() };
        let came = bytes(
            v311,
            &[
                Packet::Connack(Connack::default()),
                Packet::Suback(suback),
                Packet::Ack(Ack::success(AckKind::Puback, 1)),
                Packet::Ack(Ack::success(AckKind::Pubrec, 7)),
            ],
        );
        trace.log(Direction::Received, &came);
        assert_eq!(
            trace.lines,
            "Client mq sending CONNECT\n\
             Client mq sending SUBSCRIBE (Mid: 1, Topic: z, QoS: 0, Options: 0x00)\n\
             Client mq sending PUBLISH (d0, q1, r0, m1, 'a', ... (1 bytes))\n\
             Client mq sending PUBREL (m7)\n\
             Client mq sending PINGREQ\n\
             Client mq sending DISCONNECT\n\
             Client mq received CONNACK (0)\n\
             Client mq received SUBACK\n\
             Subscribed (mid: 1): 0\n\
             Client mq received PUBACK (Mid: 1, RC:0)\n\
             Client mq received PUBREC (Mid: 7)\n"
        );
    }

    #[test]
    fn text_of_the_network_is_escaped_and_garbage_is_named() {
        let mut trace = trace(2);
        let message = Message { topic: "a\x1b[2Jb".into(), payload: "\x1b".into(), ..Message::default() };
        let came = bytes(ProtocolVersion::V311, &[Packet::Publish(Publish::of(&message, 0, false))]);
        trace.log(Direction::Received, &came);
        trace.log(Direction::Received, &[0x20, 2, 9, 9]);
        assert!(trace.was_unreadable);
        assert!(!trace.lines.contains('\x1b'), "{}", trace.lines);
        assert!(trace.lines.contains("malformed CONNACK"), "{}", trace.lines);
    }

    #[test]
    fn a_password_is_not_logged() {
        let mut trace = trace(2);
        trace.log(Direction::Sending, &bytes(ProtocolVersion::V5, &[connect("mq", ProtocolVersion::V5)]));
        assert!(!trace.lines.contains("geheim"), "{}", trace.lines);
        assert!(!trace.lines.contains("67 65 68"), "{}", trace.lines);
        assert!(trace.lines.contains("password"), "{}", trace.lines);
    }
}
