//! What is kept of a message, and what that costs.

use super::Micros;
use crate::mqtt::wire::Publish;
use crate::mqtt::{Properties, PropertyValue, QoS};

/// Most bytes kept of a topic's last payload.
pub(in crate::explore) const LONGEST_PAYLOAD: usize = 1 << 20;
/// Most bytes kept of a payload in a history.
pub(super) const LONGEST_IN_HISTORY: usize = 4096;
/// To this a last payload is shortened where memory is short.
pub(super) const SHORT: usize = 256;
/// Properties that take more are not kept.
const MOST_PROPERTIES: usize = 64 * 1024;

/// A message, or its beginning.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::explore) struct Kept {
    /// When it was received.
    pub(in crate::explore) time: Micros,
    /// The payload, or its beginning.
    pub(in crate::explore) payload: Box<[u8]>,
    /// Bytes of the whole payload.
    pub(in crate::explore) size: usize,
    /// QoS of the delivery.
    pub(in crate::explore) qos: QoS,
    /// RETAIN of the delivery.
    pub(in crate::explore) retain: bool,
    /// Packet Identifier of the delivery.
    pub(in crate::explore) packet_identifier: u16,
    /// Properties of MQTT 5, where there are any. A history has none.
    pub(in crate::explore) properties: Option<Box<Properties>>,
    /// It had more properties than are kept.
    pub(in crate::explore) lacks_properties: bool,
}

impl Kept {
    pub(super) fn new(publish: &Publish<'_>, time: Micros) -> Self {
        let size = publish.payload.len();
        let properties = (!publish.properties.is_empty()).then(|| Box::new(publish.properties.to_properties()));
        let fitting = properties.filter(|list| size_of_properties(list) <= MOST_PROPERTIES);
        Self {
            time,
            payload: publish.payload[..size.min(LONGEST_PAYLOAD)].into(),
            size,
            qos: publish.qos,
            retain: publish.retain,
            packet_identifier: publish.packet_identifier,
            lacks_properties: fitting.is_none() && !publish.properties.is_empty(),
            properties: fitting,
        }
    }

    /// Whether only the beginning of the payload was kept.
    pub(in crate::explore) fn is_cut(&self) -> bool {
        self.payload.len() < self.size
    }

    pub(super) fn shorten(&mut self, most: usize) {
        if self.payload.len() > most {
            self.payload = self.payload[..most].into();
        }
    }

    /// As a history keeps it.
    pub(super) fn into_history(mut self) -> Self {
        self.shorten(LONGEST_IN_HISTORY);
        self.properties = None;
        self
    }

    /// Bytes on the heap.
    pub(super) fn cost(&self) -> usize {
        heap(self.payload.len()) + self.properties.as_ref().map_or(0, |list| size_of_properties(list))
    }
}

/// What an allocation of this length takes.
pub(super) const fn heap(length: usize) -> usize {
    if length == 0 {
        return 0;
    }
    let rounded = (length + 23) & !15;
    if rounded < 32 { 32 } else { rounded }
}

fn size_of_properties(list: &Properties) -> usize {
    let text = |property: &crate::mqtt::Property| match property.value() {
        PropertyValue::Utf8(text) => heap(text.len()),
        PropertyValue::Binary(bytes) => heap(bytes.len()),
        PropertyValue::Pair(key, value) => heap(key.len()) + heap(value.len()),
        PropertyValue::Byte(_) | PropertyValue::TwoByte(_) | PropertyValue::FourByte(_) | PropertyValue::VarInt(_) => 0,
    };
    list.iter().map(|property| text(property) + 2 * size_of::<crate::mqtt::Property>()).sum::<usize>() + 32
}
