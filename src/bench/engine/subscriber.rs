//! A subscriber: enters every message in its ledger, and times it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::ledgers::{Groups, Ledgers, StageEnd};
use super::link::SendRecord;
use super::shared::{Shared, StageRun};
use crate::bench::measure::{
    Delivery, Observed, Outage, Outages, Reach, Received, Recorder, SampleBatch, Stamp, StreamLedger, unwrap_sequence,
};
use crate::bench::plan::{PayloadPlan, Streams};
use crate::mqtt::wire::Publish;
use crate::options::Shape;
use crate::session::{Acknowledge, Completion, Event, Handler};

/// The state of one subscriber.
#[derive(Debug)]
pub(super) struct Subscriber {
    number: usize,
    streams: Streams,
    /// Its index, or that of its group, among the receivers of each of its streams.
    rank: usize,
    ledgers: Ledgers,
    /// Streams of the present read, whose publishers may have room afterwards.
    touched: Vec<u32>,
    /// Measured messages of the stage with wrong contents, by the index of the stream.
    corrupt: BTreeMap<usize, u64>,
    /// Arrivals in the stage that match none of the awaited messages, where messages are matched by order.
    unmatched: u64,
    is_disconnected: bool,
}

/// Messages that arrived after the drain of their stage had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LateMessages {
    pub(super) stage: u32,
    pub(super) stream: usize,
    pub(super) count: u64,
}

/// What became of a stage's measured messages at some of the subscribers.
#[derive(Clone, Debug, Default)]
pub(super) struct Deliveries {
    /// Per stream, all subscribers together.
    pub(super) streams: BTreeMap<usize, Delivery>,
    /// Ledgers that do not add up.
    pub(super) unbalanced: u64,
    /// Lost messages by the second in which they were sent, counted from 0.
    pub(super) lost: BTreeMap<usize, u64>,
    /// For some lost messages it is unknown when they were sent.
    pub(super) has_undated: bool,
    /// Arrivals after which messages matched by order may have been taken for their neighbors.
    pub(super) unmatched: u64,
    /// What was received of streams of which publishers may be in other shards.
    pub(super) reach: Reach,
}

impl Deliveries {
    /// Adds what became of them at other subscribers.
    pub(super) fn merge(&mut self, other: &Self) {
        for (stream, delivery) in &other.streams {
            self.streams.entry(*stream).or_default().merge(delivery);
        }
        self.unbalanced += other.unbalanced;
        for (second, lost) in &other.lost {
            *self.lost.entry(*second).or_default() += lost;
        }
        self.has_undated |= other.has_undated;
        self.unmatched += other.unmatched;
        if !other.reach.received.is_empty() {
            self.reach.merge(other.reach.clone());
        }
    }

    /// All streams together.
    pub(super) fn total(&self) -> Delivery {
        let mut total = Delivery::default();
        self.streams.values().for_each(|stream| total.merge(stream));
        total
    }

    /// Adds the lost messages of a stream by second; `seconds` is none where these are not known.
    fn date_losses(&mut self, ledger: &StreamLedger, seconds: Option<impl Iterator<Item = Range<u64>>>) {
        let Some(seconds) = seconds else {
            self.has_undated = true;
            return;
        };
        for (second, numbers) in seconds.enumerate() {
            let lost = ledger.missing_in(&numbers);
            if lost > 0 {
                *self.lost.entry(second).or_default() += lost;
            }
        }
    }
}

impl Subscriber {
    /// `groups` are the groups of the thread that have members already.
    pub(super) fn new(shared: &Shared, number: usize, groups: &mut Groups) -> Self {
        let routes = &shared.plan.routes;
        let ledgers = Ledgers::new(shared, number, groups);
        let (streams, rank) = (routes.streams_of(number), routes.rank_of(number));
        let (touched, corrupt) = (Vec::new(), BTreeMap::new());
        Self { number, streams, rank, ledgers, touched, corrupt, unmatched: 0, is_disconnected: false }
    }

    /// Its number among the subscribers.
    pub(super) const fn number(&self) -> usize {
        self.number
    }

    /// Measured messages of a stage that are still to arrive: gaps, and what follows the last one that arrived. Refused
    /// messages and those lost with the publisher's connection do not arrive.
    pub(super) fn missing(&self, shared: &Shared, stage: u32) -> u64 {
        self.ledgers.missing(|index, ledger| {
            let stream = shared.stream(self.streams.at(index));
            let measured = stream.measured.range(stage);
            let (lost, lost_count) = stream.losses.in_stage();
            let lost = lost.start.max(measured.start)..lost.end.min(measured.end);
            let excused = ledger.missing_in(&lost).min(lost_count);
            ledger.missing_in(&measured).saturating_sub(stream.measured.refused(stage) + excused)
        })
    }

    /// Messages of the stage so far that later ones have overtaken, and may be lost; only an impression, for those who
    /// watch. Between the members of a group there is no order to see that by.
    pub(super) fn overtaken(&self) -> u64 {
        match &self.ledgers {
            Ledgers::Single { .. } => self.ledgers.missing(|_, ledger| ledger.missing()),
            Ledgers::Group { .. } => 0,
        }
    }

    /// Settles the stage: which measured messages arrived. The next stage begins at the present positions of the
    /// streams.
    pub(super) fn settle(&mut self, shared: &Shared, stage: u32, settled: &mut Deliveries) {
        let streams = self.streams;
        let stamped = shared.plan.payload.is_stamped();
        let end = |index| {
            let stream = shared.stream(streams.at(index));
            StageEnd { stage, measured: stream.measured.range(stage), sent: stream.sent(), stamped }
        };
        let is_apart = shared.plan.is_apart();
        let corrupt = if is_apart { std::mem::take(&mut self.corrupt) } else { BTreeMap::new() };
        self.ledgers.settle(end, |index, ledger, mut delivery| {
            if is_apart {
                let corrupt = corrupt.get(&index).copied().unwrap_or_default();
                settled.reach.received.push(Received::of(streams.at(index), ledger, &delivery, corrupt));
                settled.has_undated = true;
                return;
            }
            if !stamped {
                // Without stamps the ledger cannot know whether an arrival is measured, and counted all of them: what
                // was delivered is what is not missing.
                delivery.delivered_once = delivery.expected.saturating_sub(delivery.lost);
            }
            settled.unbalanced += u64::from(!delivery.adds_up());
            let number = streams.at(index);
            let refused = shared.stream(number).measured.refused(stage);
            if delivery.lost > refused {
                let marks = shared.marks();
                let seconds = marks.seconds(shared.place_of(number), shared.stream(number).measured.range(stage));
                // Without stamps, next to refused messages, and where the ledger gave up gaps, it is unknown which
                // messages were lost.
                let is_known = stamped && refused == 0 && delivery.overflowed == 0;
                settled.date_losses(ledger, seconds.filter(|_| is_known));
            }
            delivery.excuse(refused);
            settled.streams.entry(number).or_default().merge(&delivery);
        });
        settled.unmatched += std::mem::take(&mut self.unmatched);
        for (index, corrupt) in std::mem::take(&mut self.corrupt) {
            settled.streams.entry(streams.at(index)).or_default().corrupt += corrupt;
        }
    }

    /// What arrived after its drain, since the last call.
    pub(super) fn take_late(&mut self) -> impl Iterator<Item = LateMessages> {
        let streams = self.streams;
        let late = self.ledgers.take_late().into_iter();
        late.map(move |(index, stage, count)| LateMessages { stage, stream: streams.at(index), count })
    }

    /// Wakes the publishers of the messages that were read: their windows may have room.
    pub(super) fn wake_publishers(&mut self, shared: &Shared) {
        for stream in self.touched.drain(..) {
            shared.stream(stream as usize).room.wake();
        }
    }

    /// Whether it has a connection, or learned of a new one.
    pub(super) const fn is_connected(&self) -> bool {
        !self.is_disconnected
    }

    /// It has a connection again. Messages that were sent meanwhile are not waited for: the broker may have dropped
    /// them.
    pub(super) fn rejoin(&mut self, shared: &Shared) {
        if !std::mem::take(&mut self.is_disconnected) {
            return;
        }
        self.ledgers.rejoin();
        for stream in self.streams.iter() {
            let stream = shared.stream(stream);
            stream.receivers.rejoin(self.rank, stream.sent());
        }
    }

    /// Ends the outages of the streams that were read, where an arrival was sent after the last loss of the publisher.
    pub(super) fn end_outages(&mut self, shared: &Shared, now_ns: u64, outages: &mut Outages) {
        for number in &self.touched {
            let Some(index) = self.streams.index_of(*number as usize) else { continue };
            let stream = shared.stream(*number as usize);
            if stream.outage.since_ns().is_some() && self.ledgers.next(index) <= stream.losses.end() {
                continue;
            }
            // Of several subscribers the first ends it.
            let own = self.ledgers.outages(|outages| outages.end(index));
            if let Some(start_ns) = [stream.outage.end(), own].into_iter().flatten().min() {
                let (stream, dur_ns) = (u64::from(*number), now_ns.saturating_sub(start_ns));
                outages.add(Outage { stream, start_ns, dur_ns, ended: true });
            }
        }
    }

    /// Adds outages that are not over. Those of a publisher are added once, by the stream's first subscriber; those of
    /// a group by the member that settles.
    pub(super) fn add_open_outages(&mut self, shared: &Shared, now_ns: u64, outages: &mut Outages) {
        if !self.ledgers.settles() {
            return;
        }
        for (index, number) in self.streams.iter().enumerate() {
            let of_publisher = shared.stream(number).outage.since_ns().filter(|_| self.rank == 0);
            let own = self.ledgers.outages(|outages| outages.since_ns(index));
            if let Some(start_ns) = [of_publisher, own].into_iter().flatten().min() {
                let (stream, dur_ns) = (number as u64, now_ns.saturating_sub(start_ns));
                outages.add(Outage { stream, start_ns, dur_ns, ended: false });
            }
        }
    }

    /// The connection was lost: nobody waits for its deliveries.
    pub(super) fn note_loss(&mut self, shared: &Shared, now_ns: u64) {
        // A group continues with its other members.
        if std::mem::replace(&mut self.is_disconnected, true) || !self.ledgers.leave() {
            return;
        }
        if shared.plan.reconnect.is_some() {
            self.ledgers.outages(|outages| outages.start_all(self.streams.count, now_ns));
        }
        for stream in self.streams.iter() {
            let stream = shared.stream(stream);
            stream.receivers.leave(self.rank);
            stream.room.wake();
        }
    }
}

/// Bytes at each end of a payload without a stamp that are compared with what was sent.
const COMPARED: usize = 64;

/// Whether a payload has the length of the one that was sent, and is the same at both ends.
fn looks_like(sent: &[u8], payload: &[u8]) -> bool {
    let end = sent.len().saturating_sub(COMPARED);
    sent.len() == payload.len()
        && sent.iter().take(COMPARED).eq(payload.iter().take(COMPARED))
        && sent[end..] == payload[end..]
}

/// Handles the packets of one read of a subscriber.
pub(super) struct SubscriberHandler<'a> {
    pub(super) subscriber: &'a mut Subscriber,
    pub(super) shared: &'a Shared,
    pub(super) recorder: &'a mut Recorder,
    pub(super) stage: Option<&'a StageRun>,
    pub(super) now_ns: u64,
    /// Whether this moment is in the measured window.
    pub(super) measuring: bool,
    pub(super) batch: SampleBatch,
}

impl SubscriberHandler<'_> {
    /// The read is handled.
    pub(super) fn end(mut self) {
        self.batch.flush(&mut self.recorder.latency.e2e);
    }

    fn record(&mut self, index: usize, sequence: u64, intended_ns: Option<u64>, dup: bool, payload: &[u8]) {
        let stream = self.subscriber.streams.at(index);
        let measured = intended_ns.zip(self.stage).is_some_and(|(intended, stage)| stage.measures(intended));
        if self.measuring {
            self.recorder.counters.delivered += 1;
            self.recorder.counters.payload_bytes_in += payload.len() as u64;
        }
        let observed = self.subscriber.ledgers.observe(index, sequence, dup, measured, self.now_ns);
        let Some((arrival, position)) = observed else { return };
        self.recorder.counters.repeated += u64::from(arrival == Observed::Duplicate);
        self.shared.stream(stream).receivers.raise(self.subscriber.rank, position);
        if self.subscriber.touched.last() != Some(&(stream as u32)) {
            self.subscriber.touched.push(stream as u32);
        }
        if let Some(intended_ns) = intended_ns
            && measured
            && arrival != Observed::Duplicate
            && self.shared.plan.latency
            && !self.shared.is_apart
        {
            self.batch.record(intended_ns, 1, &mut self.recorder.latency.e2e);
            if self.stage.is_some_and(|stage| stage.rate.is_some())
                && let Some(written_ns) = self.shared.stream(stream).written.get(sequence)
            {
                self.recorder.latency.e2e_service.record_between(written_ns, self.now_ns);
            }
        }
    }

    /// A message whose stamp identifies it.
    #[inline]
    fn stamped(&mut self, publish: &Publish<'_>) {
        let plan = &self.shared.plan;
        let Some(mut stamp) = Stamp::decode(publish.payload).filter(|stamp| stamp.run == plan.run.0) else {
            return self.foreign();
        };
        if let Some(stage) = self.stage {
            stamp.intended_ns = stamp.intended_ns.wrapping_sub(stage.stamp_shift_ns);
        }
        let Some(index) = self.subscriber.streams.index_of(stamp.stream as usize) else { return self.foreign() };
        if let PayloadPlan::Filled(filled) = &plan.payload
            && !filled.is_intact(stamp.stream, stamp.sequence, publish.payload)
        {
            return self.corrupt(index, stamp.intended_ns);
        }
        let sequence = unwrap_sequence(stamp.sequence, self.subscriber.ledgers.next(index));
        self.record(index, sequence, Some(stamp.intended_ns), publish.dup, publish.payload);
    }

    /// A message without a stamp: its topic identifies the stream, and it is the next message of it, or one too many.
    fn by_order(&mut self, publish: &Publish<'_>) {
        let stream = self.shared.stream_of_topic(publish.topic);
        let index = stream.and_then(|stream| self.subscriber.streams.index_of(stream));
        // One with the RETAIN flag is older than this run.
        let Some(index) = index.filter(|_| !publish.retain) else { return self.foreign() };
        let stream = self.shared.stream(self.subscriber.streams.at(index));
        if stream.content.as_ref().is_some_and(|content| !looks_like(content, publish.payload)) {
            return self.foreign();
        }
        let next = self.subscriber.ledgers.next(index);
        // It is unknown whether a message that is sent again has arrived before.
        self.subscriber.unmatched += u64::from(publish.dup);
        // There is no order between the members of a group: their messages can be counted, but not timed.
        let in_group = matches!(self.shared.plan.routes.shape(), Shape::Shared { .. });
        match stream.intended.get(next) {
            Some(intended) => {
                self.record(index, next, Some(intended).filter(|_| !in_group), publish.dup, publish.payload)
            }
            // Sent too long ago: its time is not kept any more.
            None if next < stream.sent() => {
                self.record(index, next, None, publish.dup, publish.payload);
            }
            None if next == 0 => self.foreign(),
            // One more than was sent: it, or one before it, arrived twice, or another client sends the same payload.
            // Messages since then may have been taken for their successors.
            None => {
                self.subscriber.unmatched += u64::from(self.stage.is_some());
                self.record(index, next - 1, None, publish.dup, publish.payload);
            }
        }
    }

    fn foreign(&mut self) {
        self.recorder.counters.foreign += u64::from(self.measuring);
    }

    fn corrupt(&mut self, index: usize, intended_ns: u64) {
        self.recorder.counters.corrupt_in += u64::from(self.measuring);
        if self.stage.is_some_and(|stage| stage.measures(intended_ns)) {
            self.recorder.counters.corrupt += 1;
            *self.subscriber.corrupt.entry(index).or_default() += 1;
        }
    }
}

impl Handler<SendRecord> for SubscriberHandler<'_> {
    #[inline]
    fn on_message(&mut self, delivery: &crate::session::Delivery<'_>) -> Acknowledge {
        self.on_publish(delivery.publish);
        Acknowledge::Now
    }

    fn on_completed(&mut self, _completion: Completion<'_, SendRecord>) {}

    fn on_event(&mut self, _event: Event) {}
}

impl SubscriberHandler<'_> {
    /// A message arrived.
    #[inline]
    pub(super) fn on_publish(&mut self, publish: &Publish<'_>) {
        let plan = &self.shared.plan;
        if plan.publishers == 0 {
            // The load is not ours: every arrival counts.
            if publish.retain {
                // Sent because of the subscription: not load.
                self.recorder.counters.retained += 1;
            } else if self.measuring {
                self.recorder.counters.delivered += 1;
                self.recorder.counters.payload_bytes_in += publish.payload.len() as u64;
            }
        } else if plan.payload.is_stamped() {
            self.stamped(publish);
        } else {
            self.by_order(publish);
        }
    }
}
