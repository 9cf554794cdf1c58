//! Random talks between a session and the broker of `random_broker`, and random bytes.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::random_broker::Broker;
use super::*;

/// What may happen next.
#[derive(Clone, Debug)]
enum Step {
    /// The owner publishes, if it may.
    Publish(u8),
    /// The broker has a message for the session.
    BrokerPublishes(u8),
    /// This many bytes in flight arrive.
    ToBroker(usize),
    ToSession(usize),
    /// The broker sends one of the answers that it owes.
    BrokerAnswers(usize),
    /// The owner acknowledges the oldest message that it has not acknowledged.
    OwnerAcknowledges,
    /// The connection is lost, with all that is under way; the next broker announces this Receive Maximum.
    Lose {
        keep_session: bool,
        receive_maximum: u16,
    },
}

fn step(may_lose_session: bool) -> impl Strategy<Value = Step> {
    let keep = if may_lose_session { any::<bool>().boxed() } else { Just(true).boxed() };
    prop_oneof![
        5 => (0u8..=2).prop_map(Step::Publish),
        5 => (0u8..=2).prop_map(Step::BrokerPublishes),
        8 => (1usize..60).prop_map(Step::ToBroker),
        8 => (1usize..60).prop_map(Step::ToSession),
        6 => (0usize..8).prop_map(Step::BrokerAnswers),
        4 => Just(Step::OwnerAcknowledges),
        2 => (keep, 1u16..6).prop_map(|(keep_session, receive_maximum)| Step::Lose { keep_session, receive_maximum }),
    ]
}

struct World {
    talk: Talk,
    broker: Broker,
    under_way: Vec<u8>,
    /// Receipts of which the owner has acknowledged none yet, oldest first.
    receipts: VecDeque<Receipt>,
    seen: usize,
    published: Vec<(u8, String)>,
    sent_to_us: Vec<(u8, String)>,
}

impl World {
    fn new(version: ProtocolVersion, window: u16, answer: Acknowledge, client_receive_maximum: u16) -> Self {
        let announced = properties(&[(PropertyName::ReceiveMaximum, client_receive_maximum.into())]);
        let mut talk = Talk::new(SessionConfig { window, connect_properties: announced, ..config(version) });
        talk.handler.answer = answer;
        let mut broker = Broker::new(version);
        broker.client_window = window;
        broker.client_receive_maximum = client_receive_maximum.into();
        broker.receive_maximum = 3;
        let mut world = Self {
            talk,
            broker,
            under_way: vec![],
            receipts: VecDeque::new(),
            seen: 0,
            published: vec![],
            sent_to_us: vec![],
        };
        world.talk.session.start(&world.talk.config, world.talk.now).unwrap();
        world
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Publish(qos) => {
                let payload = format!("c{}", self.published.len());
                if self.talk.publish(qos, &payload).is_ok() {
                    self.published.push((qos, payload));
                }
            }
            Step::BrokerPublishes(qos) => {
                let payload = format!("b{}", self.sent_to_us.len());
                self.broker.publish(qos, &payload);
                self.sent_to_us.push((qos, payload));
            }
            Step::ToBroker(count) => {
                self.talk.session.take_output(&mut self.under_way);
                let rest = self.under_way.split_off(count.min(self.under_way.len()));
                self.broker.take(&self.under_way);
                self.under_way = rest;
            }
            Step::ToSession(count) => self.bring_to_session(count),
            Step::BrokerAnswers(which) => self.broker.answer(which),
            Step::OwnerAcknowledges => {
                if let Some(receipt) = self.receipts.pop_front() {
                    self.talk.session.acknowledge(receipt);
                }
            }
            Step::Lose { keep_session, receive_maximum } => {
                self.talk.session.handle_disconnected();
                self.under_way.clear();
                self.broker.lose_connection(keep_session);
                self.broker.receive_maximum = receive_maximum;
                self.talk.session.start(&self.talk.config, self.talk.now).unwrap();
            }
        }
    }

    fn bring_to_session(&mut self, count: usize) {
        let rest = self.broker.output.split_off(count.min(self.broker.output.len()));
        let input = std::mem::replace(&mut self.broker.output, rest);
        self.talk.session.handle_input(&input, self.talk.now, &mut self.talk.handler).unwrap();
        if self.talk.handler.answer == Acknowledge::Later {
            self.receipts.extend(self.talk.handler.came[self.seen..].iter().map(|came| came.receipt));
            self.seen = self.talk.handler.came.len();
        }
    }

    /// Everybody does what is owed until nothing is.
    fn drain(&mut self) {
        for _ in 0..10_000 {
            self.take(&Step::ToBroker(usize::MAX));
            self.take(&Step::BrokerAnswers(0));
            self.take(&Step::ToSession(usize::MAX));
            self.take(&Step::OwnerAcknowledges);
            let nothing_said = self.talk.session.output_len() == 0 && self.under_way.is_empty();
            if nothing_said && self.broker.is_quiet() && self.receipts.is_empty() {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.broker);
    }
}

/// Of these payloads the ones of one QoS, each at its first appearance.
fn first_of(qos: u8, all: &[(u8, String)], appeared: &[String]) -> Vec<String> {
    let mut first: Vec<String> = Vec::new();
    for payload in appeared {
        let same_qos = all.iter().any(|(its, text)| *its == qos && text == payload);
        if same_qos && !first.contains(payload) {
            first.push(payload.clone());
        }
    }
    first
}

fn of(qos: u8, all: &[(u8, String)]) -> Vec<String> {
    all.iter().filter(|(its, _)| *its == qos).map(|(_, payload)| payload.clone()).collect()
}

fn world() -> impl Strategy<Value = (ProtocolVersion, u16, Acknowledge, u16)> {
    let version = prop::sample::select(vec![ProtocolVersion::V311, ProtocolVersion::V5]);
    let answer = prop::sample::select(vec![Acknowledge::Now, Acknowledge::Later]);
    (version, 1u16..6, answer, 1u16..12)
}

/// Nothing that was accepted is lost; each is completed once; order is kept.
fn check_published(world: &World, exactly_once: bool) -> Result<(), TestCaseError> {
    prop_assert_eq!(world.talk.session.in_flight(), 0);
    let mut done: Vec<_> = world.talk.handler.done.iter().map(|done| done.payload.clone()).collect();
    let mut expected: Vec<_> = of(1, &world.published).into_iter().chain(of(2, &world.published)).collect();
    done.sort();
    expected.sort();
    prop_assert_eq!(done, expected, "completed");
    prop_assert!(world.talk.handler.done.iter().all(|done| done.outcome == Outcome::Acknowledged));
    for qos in [1, 2] {
        let arrived = first_of(qos, &world.published, &world.broker.arrived);
        prop_assert_eq!(arrived, of(qos, &world.published), "QoS {} arrived", qos);
    }
    for (qos, payload) in &world.published {
        let count = world.broker.counts.get(payload).copied().unwrap_or(0);
        prop_assert!(*qos != 0 || count <= 1, "{payload} came {count} times");
        prop_assert!(!exactly_once || *qos != 2 || count == 1, "{payload} came {count} times");
    }
    Ok(())
}

fn check_arrived(world: &World) -> Result<(), TestCaseError> {
    let came: Vec<_> = world.talk.handler.came.iter().map(|came| came.payload.clone()).collect();
    let mut counts = BTreeMap::<&String, usize>::new();
    came.iter().for_each(|payload| *counts.entry(payload).or_default() += 1);
    for qos in [1, 2] {
        prop_assert_eq!(first_of(qos, &world.sent_to_us, &came), of(qos, &world.sent_to_us), "QoS {} came", qos);
    }
    for (_, payload) in world.sent_to_us.iter().filter(|(qos, _)| *qos != 1) {
        let count = counts.get(payload).copied().unwrap_or(0);
        prop_assert!(count <= 1, "{payload} came {count} times");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn while_the_session_survives_nothing_is_lost_and_qos_2_is_exactly_once_both_ways(
        (version, window, answer, receive_maximum) in world(),
        steps in prop::collection::vec(step(false), 1..150),
    ) {
        let mut world = World::new(version, window, answer, receive_maximum);
        steps.iter().for_each(|step| world.take(step));
        world.drain();
        check_published(&world, true)?;
        check_arrived(&world)?;
    }

    #[test]
    fn when_the_session_is_lost_nothing_that_we_published_is(
        (version, window, answer, receive_maximum) in world(),
        steps in prop::collection::vec(step(true), 1..150),
    ) {
        let mut world = World::new(version, window, answer, receive_maximum);
        steps.iter().for_each(|step| world.take(step));
        world.drain();
        check_published(&world, false)?;
    }

    #[test]
    fn random_bytes_never_panic_and_cost_no_more_memory_than_they_are(
        version in prop::sample::select(ALL_VERSIONS.to_vec()),
        open in any::<bool>(),
        pieces in prop::collection::vec(input(), 0..20),
    ) {
        let mut talk: Talk = Talk::new(config(version));
        talk.session.start(&talk.config, talk.now).unwrap();
        if open {
            talk.said();
            talk.receives(&accepted(true, Properties::new())).unwrap();
            for qos in [1, 2, 2] {
                talk.publish(qos, "x").unwrap();
            }
        }
        let mut fed = 0;
        for piece in pieces {
            fed += piece.len();
            let alive = talk.session.handle_input(&piece, talk.now, &mut talk.handler).is_ok();
            let (output, partial) = talk.session.buffers();
            prop_assert!(partial.len() <= fed && partial.capacity() <= 2 * fed + 64);
            // At most an answer of six bytes for each packet of two, beside what was there.
            prop_assert!(output.len() <= 200 + 3 * fed);
            if !alive {
                prop_assert!(!talk.session.is_open());
                break;
            }
        }
        talk.said(); // whatever was answered is made of whole packets
    }
}

/// Bytes that are a packet's, nearly a packet's, or nothing at all.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..40);
    let ack = (prop::sample::select(vec![0x40u8, 0x50, 0x62, 0x70, 0x90, 0xB0]), 0u8..5)
        .prop_map(|(first, identifier)| vec![first, 2, 0, identifier]);
    let publish = (0u8..8, 0u8..4, prop::collection::vec(any::<u8>(), 0..6)).prop_map(|(flags, identifier, tail)| {
        let mut packet = vec![0x30 | flags, 5 + tail.len() as u8, 0, 1, b't', 0, identifier];
        packet.extend(tail);
        packet
    });
    prop_oneof![2 => noise, 5 => ack, 5 => publish]
}
