//! The PUBLISH packets of one publisher: a template that is copied and patched, with a payload of its own size and
//! content where the plan asks for that. Nothing is allocated per message.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bench::measure::{STAMP_SIZE, Stamp};
use crate::bench::plan::{BenchPlan, MessageTemplate, PayloadPlan};
use crate::mqtt::Message;
use crate::mqtt::wire::{PublishTemplate, WireError};
use crate::session::Identifiers;

/// The DUP flag in the first byte of a PUBLISH (§3.3.1.1).
const DUP: u8 = 0x08;

/// What a publisher sends.
#[derive(Debug)]
pub(super) struct Packets {
    template: PublishTemplate,
    /// About how many bytes one has.
    typical_size: usize,
    /// Where messages differ in more than their stamp.
    varying: Option<Box<Varying>>,
}

#[derive(Debug, Default)]
struct Varying {
    /// The text with the message's places, where there is one.
    text: MessageTemplate,
    /// The payload that is being written.
    payload: Vec<u8>,
    /// Sizes of packets and payloads that the kernel has not taken wholly, and the sum of the former.
    unwritten: VecDeque<(u32, u32)>,
    unwritten_bytes: usize,
}

/// Messages that are due at one moment: which, and when that is.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) identifiers: Identifiers,
    /// The number of the first.
    pub(super) sequence: u64,
    pub(super) intended_ns: u64,
}

impl Packets {
    /// The packets of a stream. Fails as [`PublishTemplate::new`] does, and where the largest packet is above `limit`,
    /// what the broker takes.
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
            super::echo::make_request(&mut message, plan.session.version, stream);
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
        let template = PublishTemplate::new(&message, plan.session.version)?;
        let (typical_size, largest) = match (&varying, &plan.payload) {
            (None, _) | (_, PayloadPlan::Fixed(_)) => (template.size(), template.size()),
            (_, PayloadPlan::Filled(filled)) => {
                let (least, most) = filled.sizes();
                (template.size_with(least.midpoint(most)), template.size_with(most))
            }
            (Some(varying), PayloadPlan::Text(_)) => {
                // The text when its numbers have grown as far as they can.
                let mut longest = Vec::new();
                varying.text.append(u64::MAX, u64::MAX, &mut longest);
                (template.size_with(longest.len()), template.size_with(longest.len()))
            }
        };
        if largest > limit {
            return Err(WireError::TooLarge { size: largest, limit });
        }
        Ok(Self { template, typical_size, varying })
    }

    /// About how many bytes a packet has.
    pub(super) const fn typical_size(&self) -> usize {
        self.typical_size
    }

    /// Appends the packets of messages.
    #[inline]
    pub(super) fn append(&mut self, plan: &BenchPlan, stream: usize, due: Due, out: &mut Vec<u8>) {
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
                varying.text.append(sequence, unix_ms(), &mut varying.payload);
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

    /// Appends the packet of a single message that goes out once more. Gives back the size of its payload.
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
        // The session's output counts it.
        let Some((packet, payload)) = varying.unwritten.pop_back() else { return 0 };
        varying.unwritten_bytes -= packet as usize;
        u64::from(payload)
    }

    /// What the kernel has not taken wholly is gone with the connection.
    pub(super) fn forget_unwritten(&mut self) {
        if let Some(varying) = &mut self.varying {
            varying.unwritten.clear();
            varying.unwritten_bytes = 0;
        }
    }

    /// Messages and payload bytes that the kernel has taken since the last call, where `unwritten` messages had not been
    /// and `waiting` bytes of them wait still.
    pub(super) fn take_written(&mut self, unwritten: u64, waiting: usize) -> (u64, u64) {
        let Some(varying) = &mut self.varying else {
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

fn unix_ms() -> u64 {
    // A clock before 1970 shows 0; until 2⁶⁴ ms there is time.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
