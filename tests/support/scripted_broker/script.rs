//! What a scripted broker does wrong, and when: plain data, counted from 1, without randomness.

use std::collections::BTreeSet;
use std::ops::{RangeFrom, RangeInclusive};
use std::time::Duration;

use mqtools::broker::core::{ListenerSettings, Settings};
use mqtools::mqtt::wire::PacketType;
use mqtools::mqtt::{Property, PropertyName, QoS, ReasonCode};

use super::super::faulty_broker::boundless;

/// Which of a row of things, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordinals {
    /// Every one.
    All,
    /// This one and all after it.
    From(u64),
    /// These and no others.
    These(BTreeSet<u64>),
}

impl Ordinals {
    pub fn contain(&self, ordinal: u64) -> bool {
        match self {
            Self::All => true,
            Self::From(first) => ordinal >= *first,
            Self::These(set) => set.contains(&ordinal),
        }
    }
}

impl Default for Ordinals {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl<const N: usize> From<[u64; N]> for Ordinals {
    fn from(ordinals: [u64; N]) -> Self {
        Self::These(ordinals.into())
    }
}

impl From<Vec<u64>> for Ordinals {
    fn from(ordinals: Vec<u64>) -> Self {
        Self::These(ordinals.into_iter().collect())
    }
}

impl From<u64> for Ordinals {
    fn from(ordinal: u64) -> Self {
        Self::These([ordinal].into())
    }
}

impl From<RangeInclusive<u64>> for Ordinals {
    fn from(ordinals: RangeInclusive<u64>) -> Self {
        Self::These(ordinals.collect())
    }
}

impl From<RangeFrom<u64>> for Ordinals {
    fn from(ordinals: RangeFrom<u64>) -> Self {
        Self::From(ordinals.start)
    }
}

/// How a delivery is sent a second time. QoS 0 knows neither DUP nor an identifier: it is the same packet again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// As a re-delivery: same Packet Identifier, DUP set. At QoS 2 a client must not show it.
    WithDup,
    /// As a new delivery: own Packet Identifier, no DUP. A client must show it at any QoS.
    AsNew,
}

/// When a fault happens to a connection; numbers are of this connection, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// As soon as it is accepted.
    Accept,
    /// When this packet has been read, CONNECT being the first.
    ReceivedPacket(u64),
    /// When this PUBLISH has been read.
    ReceivedPublish(u64),
    /// When this many bytes have been read. A packet that ends behind them is not handled.
    ReceivedBytes(u64),
    /// When this many bytes have been sent, be it in the middle of a packet. Only with [`Action::Cut`].
    SentBytes(u64),
    /// When this PUBLISH is about to be delivered.
    Delivery(u64),
}

/// What happens then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The connection ends: what was written before arrives, the packet that was the trigger is not handled.
    Cut,
    /// The packet that was the trigger takes effect, its answer is not sent, and the connection ends.
    CutUnanswered,
    /// The first half of the delivery is sent, and the connection ends. Only with [`Trigger::Delivery`].
    CutInside,
    /// These bytes are sent in between; everything goes on.
    Send(Vec<u8>),
    /// These bytes are sent in place of an answer, and the connection ends.
    SendAndCut(Vec<u8>),
    /// DISCONNECT with a reason (5.0; before it there is no such packet), and the connection ends.
    Disconnect(ReasonCode),
    /// The fixed header of a PUBLISH of this Remaining Length and a little of its body are sent, and no more of it.
    AnnouncePacket(u32),
}

/// Which connections, in the order in which they were accepted, from 1.
pub type Connections = Ordinals;

/// One fault of a connection. It happens once on each of the connections.
#[derive(Clone, Debug)]
pub struct Fault {
    pub connections: Connections,
    pub trigger: Trigger,
    pub action: Action,
}

/// What goes wrong. By default nothing does.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub(super) delays: Vec<(PacketType, Duration)>,
    pub(super) stall_at_publish: Vec<(u64, Duration)>,
    pub(super) refuse_connect: Option<(Connections, ReasonCode)>,
    pub(super) only_v311: bool,
    pub(super) refuse_subscribe: Option<ReasonCode>,
    pub(super) refuse_filters: Vec<(String, ReasonCode)>,
    pub(super) grant_at_most: Option<QoS>,
    pub(super) refuse_publishes: Option<(Ordinals, ReasonCode)>,
    pub(super) qos2_with_puback: bool,
    pub(super) drop: Ordinals,
    pub(super) repeat: Option<(Ordinals, Repeat)>,
    pub(super) swap: Ordinals,
    pub(super) hold: Option<(Ordinals, Duration)>,
    pub(super) pass_on: Ordinals,
    pub(super) without_groups: bool,
    pub(super) fault_topics: Option<String>,
    pub(super) omitted: Vec<(PacketType, Ordinals)>,
    pub(super) connack: Vec<Property>,
    pub(super) forget_sessions: bool,
    pub(super) without_log: bool,
    pub(super) most_unreleased: Option<usize>,
    pub(super) hated_payload: Option<Vec<u8>>,
    pub(super) faults: Vec<Fault>,
}

impl Script {
    /// Delays answers of this kind (or PUBLISH: deliveries); other packets are not held up.
    pub fn delay(mut self, packet: PacketType, by: Duration) -> Self {
        self.delays.push((packet, by));
        self
    }

    /// Reads and writes nothing for `length` once this PUBLISH (counted over all connections) has been read; its
    /// answer comes afterwards.
    pub fn stall_at_publish(mut self, ordinal: u64, length: Duration) -> Self {
        self.stall_at_publish.push((ordinal, length));
        self
    }

    /// Refuses every CONNECT. Before 5.0 the reason is mapped onto the codes 1 to 5.
    pub fn refuse_connect(self, reason: ReasonCode) -> Self {
        self.refuse_connects(Ordinals::All, reason)
    }

    /// Refuses the CONNECT of these connections.
    pub fn refuse_connects(mut self, connections: impl Into<Connections>, reason: ReasonCode) -> Self {
        self.refuse_connect = Some((connections.into(), reason));
        self
    }

    /// Reads CONNECT and everything else, and never answers.
    pub fn never_answer_connect(self) -> Self {
        self.omit(PacketType::Connack, Ordinals::All)
    }

    /// Refuses a 5.0 CONNECT as a server does that only knows 3.1.1: two bytes of CONNACK with code 1.
    pub fn only_v311(mut self) -> Self {
        self.only_v311 = true;
        self
    }

    /// Refuses all filters (0x80 before 5.0).
    pub fn refuse_subscribe(mut self, reason: ReasonCode) -> Self {
        self.refuse_subscribe = Some(reason);
        self
    }

    /// Refuses this one filter, text by text.
    pub fn refuse_filter(mut self, filter: &str, reason: ReasonCode) -> Self {
        self.refuse_filters.push((filter.to_owned(), reason));
        self
    }

    /// Grants subscriptions at most this QoS.
    pub fn grant_at_most(mut self, qos: QoS) -> Self {
        self.grant_at_most = Some(qos);
        self
    }

    /// Refuses these PUBLISHes of QoS 1 and 2, counted over all connections with QoS 0: PUBACK or PUBREC with the
    /// reason. 3.1.1 has no refusal: there they are acknowledged. Either way they are not delivered.
    pub fn refuse_publishes(mut self, ordinals: impl Into<Ordinals>, reason: ReasonCode) -> Self {
        self.refuse_publishes = Some((ordinals.into(), reason));
        self
    }

    /// Answers QoS 2 as if it were QoS 1, as RabbitMQ does.
    pub fn answer_qos2_with_puback(mut self) -> Self {
        self.qos2_with_puback = true;
        self
    }

    /// Never sends these deliveries to subscribers, counted over all subscribers. The publisher's acknowledgement is
    /// sent all the same.
    pub fn drop_deliveries(mut self, ordinals: impl Into<Ordinals>) -> Self {
        self.drop = ordinals.into();
        self
    }

    /// Sends these deliveries twice.
    pub fn repeat_deliveries(mut self, ordinals: impl Into<Ordinals>, how: Repeat) -> Self {
        self.repeat = Some((ordinals.into(), how));
        self
    }

    /// Holds each of these deliveries back until the next one of the same topic to the same subscriber has been
    /// sent. Without a next one it is lost.
    pub fn swap_deliveries(mut self, ordinals: impl Into<Ordinals>) -> Self {
        self.swap = ordinals.into();
        self
    }

    /// Delays each of these deliveries; those after it are not held up.
    pub fn hold_deliveries(mut self, ordinals: impl Into<Ordinals>, by: Duration) -> Self {
        self.hold = Some((ordinals.into(), by));
        self
    }

    /// Sends these deliveries of a shared subscription to the next member of the group as well, as a broker does when
    /// the first one has gone without an acknowledgement. Counted over all subscribers; the second one counts too.
    pub fn pass_on_deliveries(mut self, ordinals: impl Into<Ordinals>) -> Self {
        self.pass_on = ordinals.into();
        self
    }

    /// Takes `$share/…` for a filter like any other, as a broker does that knows no shared subscriptions.
    pub fn without_groups(mut self) -> Self {
        self.without_groups = true;
        self
    }

    /// Counts and spoils only deliveries of topics that match; others are delivered right.
    pub fn spoil_only(mut self, filter: &str) -> Self {
        self.fault_topics = Some(filter.to_owned());
        self
    }

    /// Does not send these answers of this kind, counted over all connections. (CONNACK, SUBACK, PINGRESP, the
    /// acknowledgements.)
    pub fn omit(mut self, packet: PacketType, ordinals: impl Into<Ordinals>) -> Self {
        self.omitted.push((packet, ordinals.into()));
        self
    }

    /// Puts a property into CONNACK (5.0). Receive Maximum, Maximum QoS, Topic Alias Maximum and Maximum Packet Size
    /// are also enforced: a client that exceeds them is logged in `violations` and disconnected.
    pub fn connack_property(mut self, property: Property) -> Self {
        self.connack.push(property);
        self
    }

    /// Keeps no session over a reconnect, whatever the client asks for.
    pub fn forget_sessions(mut self) -> Self {
        self.forget_sessions = true;
        self
    }

    /// Keeps counters only: for floods.
    pub fn without_log(mut self) -> Self {
        self.without_log = true;
        self
    }

    /// Closes the connection at a PUBLISH of QoS 2 when `most` are in flight already, without having stated a limit.
    pub fn close_above_in_flight(mut self, most: usize) -> Self {
        self.most_unreleased = Some(most);
        self
    }

    /// Closes the connection at each PUBLISH with this payload.
    pub fn close_at_payload(mut self, payload: &[u8]) -> Self {
        self.hated_payload = Some(payload.to_vec());
        self
    }

    /// Something that happens to connections.
    pub fn fault(mut self, connections: impl Into<Connections>, trigger: Trigger, action: Action) -> Self {
        self.faults.push(Fault { connections: connections.into(), trigger, action });
        self
    }

    /// Closes these connections as soon as they are accepted.
    pub fn close_at_accept(self, connections: impl Into<Connections>) -> Self {
        self.fault(connections, Trigger::Accept, Action::Cut)
    }

    pub(super) fn delay_of(&self, packet: PacketType) -> Duration {
        self.delays.iter().rev().find(|(kind, _)| *kind == packet).map_or(Duration::ZERO, |(_, by)| *by)
    }

    pub(super) fn omits(&self, packet: PacketType, ordinal: u64) -> bool {
        self.omitted.iter().any(|(kind, ordinals)| *kind == packet && ordinals.contain(ordinal))
    }

    /// A limit that CONNACK states.
    pub(super) fn limit(&self, name: PropertyName) -> Option<u32> {
        self.connack.iter().find(|property| property.name() == name).and_then(|property| property.value().number())
    }

    /// The limits that the core watches.
    pub(super) fn settings(&self) -> Settings {
        let limit = |name| self.limit(name).unwrap_or_default();
        let max_qos = self.limit(PropertyName::MaximumQos).and_then(|most| QoS::from_number(most as u8));
        let settings = boundless();
        let default_listener = ListenerSettings {
            max_qos: max_qos.unwrap_or(QoS::ExactlyOnce),
            max_topic_alias: limit(PropertyName::TopicAliasMaximum) as u16,
            ..settings.default_listener
        };
        let max_packet_size = limit(PropertyName::MaximumPacketSize) as usize;
        Settings { max_packet_size, default_listener, ..settings }
    }
}
