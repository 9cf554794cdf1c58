//! One connection as a plan of faults sees it: its number, its version, and the way out to the client.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use mqtools::broker::core::ConnectionId;
use mqtools::mqtt::wire::{Ack, AckKind, Packet, Publish};
use mqtools::mqtt::{ProtocolVersion, QoS};

use super::outbox::Outbox;

/// Deliveries that the core knows nothing of take their identifiers from the upper end, which the core, counting from
/// 1, reaches last.
const FIRST_OWN_IDENTIFIER: u16 = 60_000;

/// A connection.
pub(crate) struct Link {
    /// Its number, from 1 in the order in which they were accepted.
    pub(crate) number: u64,
    /// Protocol version of its CONNECT.
    pub(crate) version: ProtocolVersion,
    /// Bytes that were read from it.
    pub(crate) received: u64,
    /// The core's number; none once it was cut off from the core.
    pub(super) id: Option<ConnectionId>,
    pub(super) outbox: Rc<Outbox>,
    /// Identifiers of deliveries that the core knows nothing of.
    own: HashSet<u16>,
    last_own: u16,
    /// QoS 2 deliveries that were dropped: the PUBREL for them is not for the client.
    pub(super) dropped: HashSet<u16>,
}

impl Link {
    pub(super) fn new(number: u64, id: ConnectionId, outbox: Outbox) -> Self {
        Self {
            number,
            version: ProtocolVersion::default(),
            received: 0,
            id: Some(id),
            outbox: Rc::new(outbox),
            own: HashSet::new(),
            last_own: FIRST_OWN_IDENTIFIER,
            dropped: HashSet::new(),
        }
    }

    /// Sends bytes after a delay; whether all of them will leave.
    pub(crate) fn send(&mut self, bytes: &[u8], after: Duration) -> bool {
        self.outbox.send(bytes, after)
    }

    /// Sends a packet after a delay; whether it will leave.
    pub(crate) fn send_packet(&mut self, packet: &Packet<'_>, after: Duration) -> bool {
        self.outbox.send(&self.encode(packet), after)
    }

    /// Sends a message as another delivery, with a new identifier.
    pub(crate) fn send_copy(&mut self, publish: &Publish<'_>, after: Duration) {
        let mut copy = publish.clone();
        copy.dup = false;
        if copy.qos != QoS::AtMostOnce {
            self.last_own = self.last_own.checked_add(1).unwrap_or(FIRST_OWN_IDENTIFIER);
            copy.packet_identifier = self.last_own;
            self.own.insert(self.last_own);
        }
        self.send_packet(&Packet::Publish(copy), after);
    }

    /// The bytes of a packet for this connection.
    pub(crate) fn encode(&self, packet: &Packet<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).expect("the plan sends good packets");
        bytes
    }

    /// Ends the connection after a delay: what the client sends from now on is thrown away, and the core knows it as
    /// closed.
    pub(crate) fn end(&mut self, after: Duration) {
        self.outbox.end(after);
    }

    /// Sends nothing more, and the connection stays.
    pub(crate) fn mute(&mut self) {
        self.outbox.mute();
    }

    /// Sends nothing before this time has passed.
    pub(crate) fn hold(&mut self, time: Duration) {
        self.outbox.hold(time);
    }

    /// Ends the connection behind this many more bytes to the client, be it in the middle of a packet.
    pub(crate) fn limit(&mut self, bytes: u64) {
        self.outbox.limit(bytes);
    }

    /// Takes the acknowledgement of a delivery that the core knows nothing of; whether it was one.
    pub(super) fn take_own(&mut self, packet: &Packet<'_>) -> bool {
        let Packet::Ack(Ack { kind, packet_identifier, reason, .. }) = packet else { return false };
        if *kind == AckKind::Pubrel || !self.own.contains(packet_identifier) {
            return false;
        }
        if *kind == AckKind::Pubrec && !reason.is_error() {
            self.send_packet(&Packet::Ack(Ack::success(AckKind::Pubrel, *packet_identifier)), Duration::ZERO);
        } else {
            self.own.remove(packet_identifier);
        }
        true
    }
}
