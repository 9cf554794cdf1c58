//! What goes wrong in a simulation: plain data, and two functions that the broker calls for every message.

use std::time::Duration;

use crate::mqtt::{Properties, QoS, ReasonCode};

/// Milliseconds, the unit of everything here: the runtime's timers know no finer one.
pub(super) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A PUBLISH that the broker has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReceivedPublish {
    /// Counts all PUBLISHes from 1.
    pub(super) ordinal: u64,
    /// Counts those of its connection from 1.
    pub(super) of_connection: u64,
    pub(super) topic: String,
    /// When it was read, since the broker began.
    pub(super) at: Duration,
}

/// One copy of a message on its way to a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    /// When it leaves, after the PUBLISH was read and beside [`Script::deliver_after`].
    pub(super) extra: Duration,
    /// It is the copy before it again: DUP, and the same Packet Identifier.
    pub(super) dup: bool,
    /// What is wrong with it.
    pub(super) fault: Fault,
}

/// What can be wrong with a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// The last byte of the payload is another one.
    Tail,
    /// The last byte of the payload is missing.
    Short,
    /// The run tag in the payload is another one: somebody else's message.
    Foreign,
    /// Half of it is sent, and the connection is closed.
    CutInside,
    /// These bytes are sent instead.
    Instead(Vec<u8>),
}

impl Copy {
    pub(super) const RIGHT: Self = Self { extra: Duration::ZERO, dup: false, fault: Fault::None };

    /// Once more, as a re-delivery.
    pub(super) const AGAIN: Self = Self { dup: true, ..Self::RIGHT };

    /// Later than the others.
    pub(super) const fn later(extra: Duration) -> Self {
        Self { extra, ..Self::RIGHT }
    }

    pub(super) const fn with(fault: Fault) -> Self {
        Self { extra: Duration::ZERO, dup: false, fault }
    }
}

/// How a PUBLISH is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublishReply {
    /// PUBACK or PUBREC with this reason; a message that is refused is not delivered.
    Reason(ReasonCode),
    /// PUBACK whatever the QoS.
    Puback,
    /// No last acknowledgement: neither PUBACK nor PUBCOMP. The message is delivered.
    Nothing,
    /// The connection is closed instead; the message is not delivered.
    Close,
    /// These bytes in place of the acknowledgement. The message is delivered.
    Bytes(Vec<u8>),
    /// Half of the acknowledgement, then the connection is closed. The message is delivered.
    CutInside,
}

/// How a CONNECT is answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ConnectReply {
    /// It is accepted.
    Accept(Properties),
    /// It is accepted, and its session is not there any more.
    Forget,
    /// It is refused.
    Refuse(ReasonCode),
    /// These bytes, and the connection is closed.
    Bytes(Vec<u8>),
    /// Nothing at all.
    Nothing,
}

/// How a SUBSCRIBE is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubscribeReply {
    /// What it asked for, but not more than this.
    AtMost(QoS),
    /// A refusal.
    Refuse(ReasonCode),
    /// Nothing.
    Nothing,
}

/// A broker that stands still now and then: for `length`, every `period`, the first time one period after it began.
/// While it does, it reads nothing and writes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stall {
    pub(super) period: Duration,
    pub(super) length: Duration,
}

impl Stall {
    /// The first moment from `at` on at which the broker does not stand still.
    pub(super) fn passes(self, at: Duration) -> Duration {
        let period = self.period.as_nanos();
        let into = at.as_nanos() % period;
        if at.as_nanos() < period || into >= self.length.as_nanos() {
            return at;
        }
        at + self.length - Duration::from_nanos(into as u64)
    }
}

/// The copies of a message that the subscriber of this connection gets: none, one, several.
pub(super) type Copies = dyn Fn(&ReceivedPublish, u64) -> Vec<Copy>;

/// What the broker does. The default does everything right and at once.
pub(super) struct Script {
    /// How long a TCP handshake takes.
    pub(super) connect_takes: Duration,
    /// From CONNECT to CONNACK.
    pub(super) connack_after: Duration,
    /// From SUBSCRIBE to SUBACK.
    pub(super) suback_after: Duration,
    /// From PUBLISH to PUBACK or PUBREC.
    pub(super) acknowledge_after: Duration,
    /// From PUBREL to PUBCOMP.
    pub(super) complete_after: Duration,
    /// From PUBLISH to its delivery.
    pub(super) deliver_after: Duration,
    /// When it stands still.
    pub(super) stall: Option<Stall>,
    /// Bytes that lie between client and broker in each direction before the writer has to wait.
    pub(super) buffer: usize,
    /// By the number of the connection, from 1.
    pub(super) connect_reply: Box<dyn Fn(u64) -> ConnectReply>,
    /// For every SUBSCRIBE.
    pub(super) subscribe_reply: SubscribeReply,
    /// For every delivery, by the number of the subscriber's connection.
    pub(super) copies: Box<Copies>,
    /// For every PUBLISH; at QoS 0 it matters only if the connection is closed.
    pub(super) publish_reply: Box<dyn Fn(&ReceivedPublish) -> PublishReply>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            connect_takes: Duration::ZERO,
            connack_after: Duration::ZERO,
            suback_after: Duration::ZERO,
            acknowledge_after: Duration::ZERO,
            complete_after: Duration::ZERO,
            deliver_after: Duration::ZERO,
            stall: None,
            buffer: 1 << 24,
            connect_reply: Box::new(|_| ConnectReply::Accept(Properties::new())),
            subscribe_reply: SubscribeReply::AtMost(QoS::ExactlyOnce),
            copies: Box::new(|_, _| vec![Copy::RIGHT]),
            publish_reply: Box::new(|_| PublishReply::Reason(ReasonCode::SUCCESS)),
        }
    }
}

#[test]
fn a_stall_ends_where_it_should() {
    let stall = Stall { period: ms(2000), length: ms(200) };
    let passes = |at| stall.passes(ms(at)).as_millis();
    assert_eq!([0, 100, 1999, 2000, 2199, 2200, 3999, 4001].map(passes), [0, 100, 1999, 2200, 2200, 2200, 3999, 4200]);
}
