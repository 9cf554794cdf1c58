//! `--retained --once`: how mqsub knows that the retained messages have all come.
//!
//! MQTT has no end of the retained messages. So our own message follows the SUBSCRIBE: a broker that sends in order
//! sends it back behind them. Brokers that read retained messages beside that (EMQX, HiveMQ) may send it before, so a
//! short quiet time follows it, which each further retained message begins anew. Where the marker does not come back,
//! as its topic may be forbidden, a longer quiet time after a PINGRESP is all there is.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use crate::mqtt::wire::{Publish, RetainHandling, Suback, Subscribe, SubscribeFilter};
use crate::mqtt::{Message, Properties, QoS};

/// Quiet time behind the marker: this, or four times the time that the marker took.
const SETTLE: Duration = Duration::from_millis(250);
const MOST_SETTLE: Duration = Duration::from_secs(5);
/// Quiet time where the marker does not come back.
const QUIET: Duration = Duration::from_secs(1);
/// Most topics that are recognized when they come again.
const MOST_TOPICS: usize = 1_000_000;

/// The marker, and what has come.
#[derive(Debug)]
pub(super) struct RetainedSet {
    topic: String,
    /// QoS of the marker: that of the subscriptions, so that it does not overtake them.
    qos: QoS,
    marker: Marker,
    /// When the last retained message came.
    last: Option<Instant>,
    /// Hashes of the topics that came: another subscription, or another connection, brings them again.
    topics: HashSet<u64>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    /// There is none: it is unwanted, refused, or cost the connection.
    Off,
    /// It is to be sent, once the subscriptions are acknowledged.
    Unsent,
    /// Its topic is subscribed with this Packet Identifier. Only once that is granted is it published: some brokers
    /// close the connection on a PUBLISH that they do not allow.
    Subscribing(u16),
    /// Published then.
    Sent(Instant),
    /// It took this long, and came back then.
    Back(Duration, Instant),
}

impl RetainedSet {
    /// Without a marker only quiet time counts.
    pub(super) fn new(has_marker: bool, qos: QoS) -> Self {
        // The keys of a RandomState come from the system and differ from run to run.
        let hasher = RandomState::new();
        let topic = format!("mqsub/{:016x}/end-of-retained", hasher.hash_one(0));
        let marker = if has_marker { Marker::Unsent } else { Marker::Off };
        Self { topic, qos, marker, last: None, topics: HashSet::new(), hasher }
    }

    /// A new connection, where everything begins anew. A marker that was not answered may be why the last one ended.
    pub(super) fn restart(&mut self) {
        self.last = None;
        self.marker = match self.marker {
            Marker::Off | Marker::Subscribing(_) | Marker::Sent(_) => Marker::Off,
            Marker::Unsent | Marker::Back(..) => Marker::Unsent,
        };
    }

    /// The subscription that is to be sent for the marker; none where there is none.
    pub(super) fn subscription(&self, most: QoS) -> Option<Subscribe> {
        if self.marker != Marker::Unsent {
            return None;
        }
        let (filter, qos) = (self.topic.clone(), self.qos.min(most));
        let filter = SubscribeFilter {
            filter,
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Always,
        };
        Some(Subscribe { packet_identifier: 0, properties: Properties::default(), filters: vec![filter] })
    }

    /// The subscription was sent, or could not be.
    pub(super) fn on_subscribing(&mut self, packet_identifier: Option<u16>) {
        self.marker = packet_identifier.map_or(Marker::Off, Marker::Subscribing);
    }

    /// Whether this answers the marker's subscription. Where it is granted, the marker is to be published.
    pub(super) fn takes(&mut self, suback: &Suback, most: QoS) -> Option<Option<Message>> {
        let Marker::Subscribing(identifier) = self.marker else { return None };
        if suback.packet_identifier != identifier {
            return None;
        }
        self.marker = Marker::Off;
        if suback.reasons.iter().any(|reason| reason.is_error()) {
            return Some(None);
        }
        let payload = "marks the end of retained messages for mqsub --once".into();
        let qos = self.qos.min(most);
        Some(Some(Message { topic: self.topic.clone(), payload, qos, ..Message::default() }))
    }

    /// The marker was published.
    pub(super) fn on_published(&mut self, now: Instant) {
        self.marker = Marker::Sent(now);
    }

    /// Whether this is the marker's topic.
    pub(super) fn is_marker(&self, topic: &str) -> bool {
        topic == self.topic
    }

    /// Takes note of a message: whether it is the marker, or a retained one that has come before.
    pub(super) fn on_message(&mut self, publish: &Publish<'_>, now: Instant) -> bool {
        if self.is_marker(publish.topic) {
            if let Marker::Sent(sent) = self.marker {
                self.marker = Marker::Back(now.saturating_duration_since(sent), now);
            }
            return true;
        }
        if !publish.retain {
            return false;
        }
        self.last = Some(now);
        self.topics.len() < MOST_TOPICS && !self.topics.insert(self.hasher.hash_one(publish.topic))
    }

    /// When the set will be complete, if nothing comes until then. `pong` is when the broker answered a PINGREQ that was
    /// sent after the subscriptions were acknowledged.
    pub(super) fn complete_at(&self, pong: Option<Instant>) -> Option<Instant> {
        let (from, quiet) = match self.marker {
            Marker::Unsent => return None,
            Marker::Off => (pong?, QUIET),
            Marker::Subscribing(_) => (pong?, QUIET),
            Marker::Sent(sent) => (pong?.max(sent), QUIET),
            Marker::Back(took, back) => (back, (took * 4).clamp(SETTLE, MOST_SETTLE)),
        };
        Some(self.last.map_or(from, |last| last.max(from)) + quiet)
    }

    /// What the end stands on, in words.
    pub(super) fn proof(&self) -> &'static str {
        match self.marker {
            Marker::Back(..) => "the marker that mqsub published after subscribing came back",
            Marker::Off => "nothing more came for a second; there was no marker",
            Marker::Unsent | Marker::Subscribing(_) | Marker::Sent(_) => {
                "nothing more came for a second; the marker did not come back"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::ReasonCode;

    fn came(set: &mut RetainedSet, topic: &str, retain: bool, at: Instant) -> bool {
        let message = Message { topic: topic.into(), retain, ..Message::default() };
        set.on_message(&Publish::of(&message, 0, false), at)
    }

    fn suback(packet_identifier: u16, reason: u8) -> Suback {
        Suback { packet_identifier, properties: Properties::default(), reasons: vec![ReasonCode(reason)] }
    }

    #[test]
    fn a_topic_comes_once() {
        let start = Instant::now();
        let mut set = RetainedSet::new(true, QoS::AtMostOnce);
        assert!(!came(&mut set, "a", true, start));
        assert!(came(&mut set, "a", true, start));
        set.restart();
        assert!(came(&mut set, "a", true, start));
        assert!(!came(&mut set, "b", true, start));
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_marker_ends_it_after_a_quiet_time() {
        let start = Instant::now();
        let mut set = RetainedSet::new(true, QoS::AtLeastOnce);
        assert_eq!(set.complete_at(Some(start)), None);
        assert_eq!(set.subscription(QoS::AtMostOnce).unwrap().filters[0].qos, QoS::AtMostOnce);
        assert_eq!(set.subscription(QoS::ExactlyOnce).unwrap().filters[0].qos, QoS::AtLeastOnce);
        set.on_subscribing(Some(7));
        assert_eq!(set.subscription(QoS::ExactlyOnce), None);
        assert_eq!(set.takes(&suback(6, 0), QoS::ExactlyOnce), None);
        let message = set.takes(&suback(7, 1), QoS::ExactlyOnce).unwrap().unwrap();
        assert_eq!((message.qos, message.retain), (QoS::AtLeastOnce, false));
        set.on_published(start);
        assert!(!came(&mut set, "a", true, start + MS));
        assert!(came(&mut set, &message.topic, false, start + MS * 2));
        assert_eq!(set.complete_at(None), Some(start + MS * 252));
        // Live messages hold nothing up; a retained one behind the marker does.
        assert!(!came(&mut set, "a", false, start + MS * 100));
        assert_eq!(set.complete_at(None), Some(start + MS * 252));
        assert!(!came(&mut set, "b", true, start + MS * 200));
        assert_eq!(set.complete_at(None), Some(start + MS * 450));
    }

    #[test]
    fn a_slow_path_has_a_longer_quiet_time() {
        let start = Instant::now();
        let mut set = RetainedSet::new(true, QoS::AtMostOnce);
        set.on_subscribing(Some(1));
        let topic = set.takes(&suback(1, 0), QoS::AtMostOnce).unwrap().unwrap().topic;
        set.on_published(start);
        came(&mut set, &topic, false, start + MS * 500);
        assert_eq!(set.complete_at(None), Some(start + MS * 2500));
    }

    #[test]
    fn without_a_marker_quiet_time_after_a_pong_ends_it() {
        let start = Instant::now();
        let mut unwanted = RetainedSet::new(false, QoS::AtMostOnce);
        let mut refused = RetainedSet::new(true, QoS::AtMostOnce);
        refused.on_subscribing(Some(7));
        assert_eq!(refused.takes(&suback(7, 0x87), QoS::AtMostOnce), Some(None));
        let mut swallowed = RetainedSet::new(true, QoS::AtMostOnce);
        swallowed.on_published(start);
        let mut deadly = RetainedSet::new(true, QoS::AtMostOnce);
        deadly.on_published(start);
        deadly.restart();
        for set in [&mut unwanted, &mut refused, &mut swallowed, &mut deadly] {
            assert_eq!(set.subscription(QoS::AtMostOnce), None);
            assert_eq!(set.complete_at(None), None, "{set:?}");
            assert_eq!(set.complete_at(Some(start)), Some(start + QUIET), "{set:?}");
            came(set, "a", true, start + MS * 500);
            assert_eq!(set.complete_at(Some(start)), Some(start + MS * 500 + QUIET), "{set:?}");
        }
    }
}
