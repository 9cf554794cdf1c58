//! Messages on their way in: which QoS 2 identifiers are known, how many wait for their acknowledgement, topic aliases.

/// A set of Packet Identifiers: 8 KiB once the first one comes, nothing before, no allocation afterwards.
#[derive(Debug, Default)]
pub(crate) struct IdentifierSet(Option<Box<[u64; 1024]>>);

impl IdentifierSet {
    pub(crate) fn contains(&self, identifier: u16) -> bool {
        let (word, bit) = (usize::from(identifier >> 6), identifier & 63);
        self.0.as_ref().is_some_and(|words| words[word] >> bit & 1 == 1)
    }

    /// Puts it in; false if it was there.
    pub(crate) fn insert(&mut self, identifier: u16) -> bool {
        let words = self.0.get_or_insert_with(|| Box::new([0; 1024]));
        let (word, mask) = (usize::from(identifier >> 6), 1 << (identifier & 63));
        let new = words[word] & mask == 0;
        words[word] |= mask;
        new
    }

    fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |words| words.iter().map(|word| word.count_ones() as usize).sum())
    }

    /// Takes it out; false if it was not there.
    pub(crate) fn remove(&mut self, identifier: u16) -> bool {
        let there = self.contains(identifier);
        if let (true, Some(words)) = (there, &mut self.0) {
            words[usize::from(identifier >> 6)] &= !(1 << (identifier & 63));
        }
        there
    }
}

/// Whether a QoS 2 PUBLISH repeats one that was handed over before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Repetition {
    /// It does not: hand it over.
    None,
    /// It was answered before: answer PUBREC again.
    Answered,
    /// Its owner has not acknowledged it yet.
    Waiting,
}

/// The receiving half of a session.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// QoS 2 identifiers between PUBLISH and PUBREL.
    known: IdentifierSet,
    /// Of these, the ones whose owner has not acknowledged yet.
    waiting: IdentifierSet,
    /// Of these, the ones of an earlier connection that the broker has sent again on this one.
    asked_again: IdentifierSet,
    /// Deliveries of QoS 1 and 2 that have had no PUBACK or PUBCOMP on this connection.
    in_flight: usize,
    /// Topics by alias; index 0 is alias 1. Grows only to the maximum that CONNECT announced.
    aliases: Vec<String>,
}

impl Inbound {
    /// A new connection: aliases and counts begin anew (§3.3.2.3.4, §4.9); identifiers go only with the session.
    pub(super) fn connection_begins(&mut self) {
        self.in_flight = 0;
        self.aliases = Vec::new();
        self.asked_again = IdentifierSet::default();
    }

    pub(super) fn session_lost(&mut self) {
        self.known = IdentifierSet::default();
        self.waiting = IdentifierSet::default();
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn begins(&mut self) {
        self.in_flight += 1;
    }

    pub(super) fn ends(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Whether a QoS 2 PUBLISH with this identifier would be a message that nobody has seen yet.
    pub(super) fn is_new(&self, identifier: u16) -> bool {
        !self.known.contains(identifier)
    }

    /// A QoS 2 PUBLISH with this identifier came.
    pub(super) fn arrive(&mut self, identifier: u16) -> Repetition {
        if self.known.insert(identifier) {
            Repetition::None
        } else if self.waiting.contains(identifier) {
            self.asked_again.insert(identifier);
            Repetition::Waiting
        } else {
            Repetition::Answered
        }
    }

    pub(super) fn wait_for_owner(&mut self, identifier: u16) {
        self.waiting.insert(identifier);
    }

    /// The owner acknowledged it; false if it was not waiting.
    pub(super) fn owner_acknowledged(&mut self, identifier: u16) -> bool {
        self.waiting.remove(identifier)
    }

    /// Whether the broker has sent it a second time while it waited for its owner, and so waits for an answer here.
    pub(super) fn take_asked_again(&mut self, identifier: u16) -> bool {
        self.asked_again.remove(identifier)
    }

    /// PUBREL arrived; false if the identifier is not known.
    pub(super) fn release(&mut self, identifier: u16) -> bool {
        self.waiting.remove(identifier);
        self.asked_again.remove(identifier);
        self.known.remove(identifier)
    }

    /// QoS 2 messages that their owner has acknowledged and the broker has not released.
    pub(super) fn unreleased(&self) -> usize {
        self.known.count() - self.waiting.count()
    }

    /// Learns an alias. The caller has checked it against the announced maximum.
    pub(super) fn learn_alias(&mut self, alias: u16, topic: &str) {
        let index = usize::from(alias) - 1;
        if self.aliases.len() <= index {
            self.aliases.resize(index + 1, String::new());
        }
        topic.clone_into(&mut self.aliases[index]);
    }

    /// Takes the topic of an alias out, to be put back: the delivery borrows it while the session is at work.
    pub(super) fn take_alias(&mut self, alias: u16) -> Option<String> {
        let topic = self.aliases.get_mut(usize::from(alias) - 1)?;
        if topic.is_empty() { None } else { Some(std::mem::take(topic)) }
    }

    pub(super) fn put_alias_back(&mut self, alias: u16, topic: String) {
        if let Some(place) = self.aliases.get_mut(usize::from(alias) - 1) {
            *place = topic;
        }
    }
}
