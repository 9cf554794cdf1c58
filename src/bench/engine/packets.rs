//! The PUBLISH packets of one publisher: a template that is copied and patched, with a payload that varies in size and
//! content where the plan asks for it. Nothing is allocated per message.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bench::measure::{STAMP_SIZE, Stamp};
use crate::bench::plan::{BenchPlan, PayloadPlan, place_of};
use crate::mqtt::wire::{PublishTemplate, WireError};
use crate::mqtt::{Message, PropertyName};
use crate::session::Identifiers;
use crate::template::{Context, MessageTemplate};

/// The DUP flag in the first byte of a PUBLISH (§3.3.1.1).
const DUP: u8 = 0x08;

/// Builds the packets of a publisher.
#[derive(Debug)]
pub(super) struct Packets {
    template: PublishTemplate,
    /// With a Topic Alias: the first packet of each connection, which also has the topic.
    introduction: Option<PublishTemplate>,
    /// Whether that packet is next.
    introduces: bool,
    /// Approximate bytes per packet.
    typical_size: usize,
    /// Where messages differ in more than their stamp.
    varying: Option<Box<Varying>>,
}

#[derive(Debug, Default)]
struct Varying {
    /// The text template, where there is one.
    text: MessageTemplate,
    /// The payload of the present message.
    payload: Vec<u8>,
    /// Sizes of the packets and payloads that the kernel has not taken completely, and the sum of the packet sizes.
    unwritten: VecDeque<(u32, u32)>,
    unwritten_bytes: usize,
}

/// Messages that are due at the same time.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) identifiers: Identifiers,
    /// The sequence number of the first.
    pub(super) sequence: u64,
    pub(super) intended_ns: u64,
}

impl Packets {
    /// The packets of a stream.
    ///
    /// # Errors
    /// Those of [`PublishTemplate::new`], and a largest packet above `limit`, the Maximum Packet Size of the broker.
    pub(super) fn new(plan: &BenchPlan, stream: usize, limit: usize) -> Result<Self, WireError> {
        let (client_id, user_name) = plan.names_of(stream);
        let varies = plan.payload.varies_by_message();
        let mut message = Message {
            topic: plan.routes.topic(stream, &client_id, &user_name),
            qos: plan.qos,
            retain: plan.retain,
            properties: plan.publish_properties.clone(),
            ..Message::default()
        };
        if plan.responders > 0 {
            super::request::make_request(&mut message, plan.session.version, stream);
        }
        let mut varying = None;
        if varies {
            let text = match &plan.payload {
                PayloadPlan::Text(template) => template.for_client(stream, &client_id, &user_name),
                PayloadPlan::Filled(_) | PayloadPlan::Fixed(_) => MessageTemplate::default(),
            };
            varying = Some(Box::new(Varying { text, ..Varying::default() }));
        } else {
            message.payload = plan.payload.bytes(stream, &client_id, &user_name);
        }
        let mut template = PublishTemplate::new(&message, plan.session.version)?;
        let first_extra = message.topic.len();
        let introduction = if message.properties.number(PropertyName::TopicAlias).is_some() {
            message.topic.clear();
            let aliased = PublishTemplate::new(&message, plan.session.version)?;
            Some(std::mem::replace(&mut template, aliased))
        } else {
            None
        };
        let (typical_size, largest) = match (&varying, &plan.payload) {
            (None, _) | (_, PayloadPlan::Fixed(_)) => (template.size(), template.size()),
            (_, PayloadPlan::Filled(filled)) => {
                let (least, most) = filled.sizes();
                (template.size_with(least.midpoint(most)), template.size_with(most))
            }
            (Some(varying), PayloadPlan::Text(_)) => {
                let longest = template.size_with(varying.text.longest());
                (longest, longest)
            }
        };
        let largest = if introduction.is_some() { largest + first_extra } else { largest };
        if largest > limit {
            return Err(WireError::TooLarge { size: largest, limit });
        }
        Ok(Self { template, introduces: introduction.is_some(), introduction, typical_size, varying })
    }

    /// Approximate bytes per packet.
    pub(super) const fn typical_size(&self) -> usize {
        self.typical_size
    }

    /// Appends the packets of messages.
    #[inline]
    pub(super) fn append(&mut self, plan: &BenchPlan, stream: usize, due: Due, out: &mut Vec<u8>) {
        let due = if self.introduces { self.introduce(plan, stream, due, out) } else { due };
        let Due { identifiers, mut sequence, intended_ns } = due;
        let mut stamp = Stamp { run: plan.run.0, stream: stream as u32, sequence: sequence as u32, intended_ns };
        let Some(varying) = &mut self.varying else {
            if plan.payload.is_stamped() {
                let stamps = || {
                    let head = stamp.encode();
                    stamp.sequence = stamp.sequence.wrapping_add(1);
                    head
                };
                self.template.append_many(identifiers, stamps, out);
            } else {
                self.template.append_many(identifiers, || [], out);
            }
            return;
        };
        for packet_identifier in identifiers {
            let start = out.len();
            let size = if let PayloadPlan::Filled(filled) = &plan.payload {
                stamp.sequence = sequence as u32;
                let size = filled.size_of(stamp.stream, stamp.sequence);
                self.template.append_head(packet_identifier, size, out);
                let mut filling = size;
                if plan.payload.is_stamped() {
                    out.extend_from_slice(&stamp.encode());
                    filling -= STAMP_SIZE;
                }
                filled.append_filling(stamp.stream, stamp.sequence, filling, out);
                size
            } else {
                varying.payload.clear();
                let place = place_of(stream as u32, sequence as u32);
                let PayloadPlan::Text(template) = &plan.payload else { break };
                // All publishers together go through the rows.
                let row = template.row(sequence.wrapping_mul(plan.publishers as u64).wrapping_add(stream as u64));
                let context = Context { sequence, place, unix_ns: unix_ns(), row, ..Context::default() };
                varying.text.append(&context, &mut varying.payload);
                self.template.append_head(packet_identifier, varying.payload.len(), out);
                out.extend_from_slice(&varying.payload);
                varying.payload.len()
            };
            // Packets are at most 256 MiB.
            varying.unwritten.push_back(((out.len() - start) as u32, size as u32));
            varying.unwritten_bytes += out.len() - start;
            sequence += 1;
        }
    }

    /// Appends the first of these messages with its topic; returns the others.
    #[cold]
    fn introduce(&mut self, plan: &BenchPlan, stream: usize, mut due: Due, out: &mut Vec<u8>) -> Due {
        let first = Due { identifiers: due.identifiers.split_first(), ..due };
        if first.identifiers.len() == 0 {
            return due;
        }
        self.introduces = false;
        if let Some(introduction) = self.introduction.take() {
            let aliased = std::mem::replace(&mut self.template, introduction);
            self.append(plan, stream, first, out);
            self.introduction = Some(std::mem::replace(&mut self.template, aliased));
            due.sequence += 1;
        }
        due
    }

    /// Appends the packet of a single message that is sent again. Returns the size of its payload.
    pub(super) fn append_again(
        &mut self,
        plan: &BenchPlan,
        stream: usize,
        due: Due,
        dup: bool,
        out: &mut Vec<u8>,
    ) -> u64 {
        let start = out.len();
        self.append(plan, stream, due, out);
        if let Some(first) = out.get_mut(start).filter(|_| dup) {
            *first |= DUP;
        }
        let Some(varying) = &mut self.varying else { return self.template.payload_size() as u64 };
        // It is part of the session's output, which counts it.
        let Some((packet, payload)) = varying.unwritten.pop_back() else { return 0 };
        varying.unwritten_bytes -= packet as usize;
        u64::from(payload)
    }

    /// Puts the payload of one message into `out`, for a client that builds its packets itself.
    #[cfg(feature = "rumqttc")]
    pub(super) fn payload(&mut self, plan: &BenchPlan, stream: usize, due: Due, out: &mut Vec<u8>) {
        out.clear();
        self.append(plan, stream, due, out);
        let size = match &self.varying {
            Some(varying) => varying.unwritten.back().map_or(0, |(_, payload)| *payload as usize),
            None => self.template.payload_size(),
        };
        out.drain(..out.len() - size);
    }

    /// Such a client has written the first of the messages that it had not written. Returns the size of its payload.
    #[cfg(feature = "rumqttc")]
    pub(super) fn take_first_written(&mut self) -> u64 {
        let Some(varying) = &mut self.varying else { return self.template.payload_size() as u64 };
        let Some((packet, payload)) = varying.unwritten.pop_front() else { return 0 };
        varying.unwritten_bytes -= packet as usize;
        u64::from(payload)
    }

    /// What the kernel has not taken completely was lost with the connection, and the next one has no Topic Alias yet.
    pub(super) fn forget_unwritten(&mut self) {
        self.introduces = self.introduction.is_some();
        if let Some(varying) = &mut self.varying {
            varying.unwritten.clear();
            varying.unwritten_bytes = 0;
        }
    }

    /// Messages and payload bytes that the kernel has taken since the last call, where it did not have `unwritten`
    /// messages and `waiting` bytes of them still wait.
    pub(super) fn take_written(&mut self, unwritten: u64, waiting: usize) -> (u64, u64) {
        let Some(varying) = &mut self.varying else {
            // The first packet of a connection is longer; no more than all messages can wait.
            let written = unwritten - (waiting.div_ceil(self.template.size()) as u64).min(unwritten);
            return (written, written * self.template.payload_size() as u64);
        };
        let (mut messages, mut payloads) = (0, 0);
        while let Some((packet, payload)) = varying.unwritten.front().copied()
            && varying.unwritten_bytes - packet as usize >= waiting
        {
            varying.unwritten.pop_front();
            varying.unwritten_bytes -= packet as usize;
            messages += 1;
            payloads += u64::from(payload);
        }
        (messages, payloads)
    }
}

fn unix_ns() -> u64 {
    // 0 for a clock before 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::from_options::tests::plan_of;
    use crate::mqtt::wire::{MAX_PACKET_SIZE, Packet, Scan, scan};
    use crate::mqtt::{ProtocolVersion, QoS};
    use crate::session::Session;

    /// Topic and alias of each packet in a buffer.
    fn topics(mut bytes: &[u8]) -> Vec<(String, Option<u32>)> {
        let mut topics = Vec::new();
        while let Scan::Frame(frame) = scan(bytes, MAX_PACKET_SIZE).unwrap() {
            let Packet::Publish(publish) = Packet::decode(frame, ProtocolVersion::V5).unwrap() else { panic!("other") };
            topics.push((publish.topic.to_owned(), publish.properties.number(PropertyName::TopicAlias)));
            bytes = &bytes[frame.size..];
        }
        topics
    }

    #[test]
    fn a_topic_alias_replaces_the_topic_after_the_first_message_of_a_connection() {
        let words = ["-V", "5", "-D", "publish", "topic-alias", "3", "-t", "a/%i", "--clients", "1"];
        for more in [&["--size", "20"][..], &["--size", "20..40"], &["--payload", "random"], &["-m", "%s"]] {
            let plan = plan_of(&[&words[..], more].concat()).unwrap();
            let mut session: Session<crate::bench::engine::link::SendRecord> = Session::new(std::time::Instant::now());
            let mut packets = Packets::new(&plan, 0, MAX_PACKET_SIZE).unwrap();
            let mut next = 0;
            let mut send = |packets: &mut Packets, count: usize| {
                let mut out = Vec::new();
                let record = crate::bench::engine::link::SendRecord {
                    intended_ns: 0,
                    written_ns: 0,
                    received_ns: std::cell::Cell::new(0),
                };
                let identifiers = session.reserve_many(QoS::AtMostOnce, count, record);
                packets.append(&plan, 0, Due { identifiers, sequence: next, intended_ns: 0 }, &mut out);
                next += count as u64;
                out
            };
            let named = |topic: &str| (topic.to_owned(), Some(3));
            let first = send(&mut packets, 3);
            assert_eq!(topics(&first), [named("a/0"), named(""), named("")], "{more:?}");
            assert_eq!(packets.take_written(3, 0).0, 3, "{more:?}");
            packets.forget_unwritten();
            let again = send(&mut packets, 2);
            assert_eq!(topics(&again), [named("a/0"), named("")], "a new connection has no alias");
            for (waiting, written) in [(again.len(), 0), (again.len() - 1, 0), (1, 1), (0, 2)] {
                let mut fresh = Packets::new(&plan, 0, MAX_PACKET_SIZE).unwrap();
                send(&mut fresh, 2);
                assert_eq!(fresh.take_written(2, waiting).0, written, "{more:?} {waiting}");
            }
        }
        let plan = plan_of(&words).unwrap();
        let largest = Packets::new(&plan, 0, MAX_PACKET_SIZE).unwrap().introduction.unwrap().size();
        assert!(Packets::new(&plan, 0, largest).is_ok() && Packets::new(&plan, 0, largest - 1).is_err());
    }
}
