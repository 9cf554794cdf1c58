//! What a session has to send: packets, in their order, until the owner takes the bytes.

use super::HandshakeCounts;
use crate::mqtt::ProtocolVersion;
use crate::mqtt::wire::{Ack, AckKind, Packet, WireError};

/// The output of one session.
#[derive(Debug, Default)]
pub(super) struct Output {
    version: ProtocolVersion,
    bytes: Vec<u8>,
    /// An acknowledgement or a PUBLISH was put in on this connection.
    has_sent: bool,
    handshakes: HandshakeCounts,
}

impl Output {
    /// A new connection, with packets of this version.
    pub(super) fn start(&mut self, version: ProtocolVersion) {
        self.version = version;
        self.has_sent = false;
        self.clear();
    }

    /// The connection is gone.
    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
    }

    pub(super) fn version(&self) -> ProtocolVersion {
        self.version
    }

    pub(super) const fn has_sent(&self) -> bool {
        self.has_sent
    }

    pub(super) fn bytes(&self) -> &Vec<u8> {
        &self.bytes
    }

    /// Moves everything to the end of `out`.
    pub(super) fn take(&mut self, out: &mut Vec<u8>) {
        // Buffers change hands only where the session gives away the larger one: one large buffer that serves many
        // sessions stays with its owner.
        if out.is_empty() && out.capacity() <= self.bytes.capacity() {
            std::mem::swap(&mut self.bytes, out);
        } else {
            out.append(&mut self.bytes);
        }
    }

    /// The packets of QoS 2, to be counted.
    pub(super) fn handshakes(&mut self) -> &mut HandshakeCounts {
        &mut self.handshakes
    }

    /// Appends a packet without strings: an acknowledgement, PINGREQ, a bare DISCONNECT. These cannot fail to be
    /// written.
    pub(super) fn put(&mut self, packet: &Packet<'_>) {
        if let Packet::Ack(ack) = packet {
            self.has_sent = true;
            self.handshakes.sent(ack.kind);
        }
        let written = packet.encode(self.version, &mut self.bytes);
        debug_assert!(written.is_ok(), "{packet:?}");
    }

    pub(super) fn put_ack(&mut self, kind: AckKind, packet_identifier: u16) {
        self.put(&Packet::Ack(Ack::success(kind, packet_identifier)));
    }

    /// Appends a packet of the owner's. Fails, and leaves the output as it was, when it cannot be written or is larger
    /// than `limit`, which the broker has set (MQTT-3.2.2-15).
    pub(super) fn put_within(&mut self, limit: usize, packet: &Packet<'_>) -> Result<(), WireError> {
        let version = self.version;
        self.append_within(limit, |out| packet.encode(version, out))
    }

    /// The same for a PUBLISH, as `encode` writes it.
    pub(super) fn put_publish(
        &mut self,
        limit: usize,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        self.append_within(limit, encode)?;
        self.has_sent = true;
        Ok(())
    }

    /// Appends what `encode` writes. Fails, and leaves the output as it was, when that fails or is larger than `limit`.
    pub(super) fn append_within(
        &mut self,
        limit: usize,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let start = self.bytes.len();
        let written = encode(&mut self.bytes).and_then(|()| {
            let size = self.bytes.len() - start;
            if size > limit { Err(WireError::TooLarge { size, limit }) } else { Ok(()) }
        });
        if written.is_err() {
            self.bytes.truncate(start);
        }
        written
    }
}
