//! A subscriber: reads, stamps once a batch, checks every message in its ledger. Nothing else.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering;

use super::ledgers::{Closing, Groups, Ledgers};
use super::link::SendRecord;
use super::shared::{Shared, StageRun};
use crate::bench::measure::{
    Arrival, Delivery, Outage, Outages, Recorder, SampleBatch, Stamp, StreamLedger, unwrap_sequence,
};
use crate::bench::plan::{PayloadPlan, Streams};
use crate::mqtt::wire::Publish;
use crate::options::Shape;
use crate::session::{Acknowledge, Completion, Event, Handler};

/// What a subscriber knows of its streams.
#[derive(Debug)]
pub(super) struct Subscriber {
    /// Its number, from 0.
    pub(super) number: usize,
    streams: Streams,
    /// Its place, or that of its group, among the receivers of each of its streams.
    rank: usize,
    ledgers: Ledgers,
    /// Streams whose publishers are to be told after the batch.
    touched: Vec<u32>,
    /// Measured messages of the stage whose content was wrong, by the stream's place.
    corrupt: BTreeMap<usize, u64>,
    /// Arrivals in the stage that cannot be one of the messages that were awaited, where messages are matched by order.
    unmatched: u64,
    /// The connection is gone.
    away: bool,
}

/// Messages that came when the drain of their stage had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LateMessages {
    pub(super) stage: u32,
    pub(super) stream: usize,
    pub(super) count: u64,
}

/// What became of a stage's measured messages at some subscribers.
#[derive(Clone, Debug, Default)]
pub(super) struct Deliveries {
    /// By stream, all subscribers batch.
    pub(super) streams: BTreeMap<usize, Delivery>,
    /// Ledgers that do not add up.
    pub(super) unbalanced: u64,
    /// What was lost by the second in which it was sent, counted from 0.
    pub(super) lost: BTreeMap<usize, u64>,
    /// Of some of what was lost it cannot be told when it was sent.
    pub(super) is_any_unplaced: bool,
    /// Arrivals after which messages matched by order may have been taken for their neighbors.
    pub(super) unmatched: u64,
}

impl Deliveries {
    /// Adds those of other subscribers.
    pub(super) fn merge(&mut self, other: &Self) {
        for (stream, delivery) in &other.streams {
            self.streams.entry(*stream).or_default().merge(delivery);
        }
        self.unbalanced += other.unbalanced;
        for (second, lost) in &other.lost {
            *self.lost.entry(*second).or_default() += lost;
        }
        self.is_any_unplaced |= other.is_any_unplaced;
        self.unmatched += other.unmatched;
    }

    /// Enters what of a stream's measured messages was lost, by seconds; none where these are not known.
    fn place_losses(&mut self, ledger: &StreamLedger, seconds: Option<impl Iterator<Item = Range<u64>>>) {
        let Some(seconds) = seconds else {
            self.is_any_unplaced = true;
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
    /// `groups` are those of the thread, as far as they have members yet.
    pub(super) fn new(shared: &Shared, number: usize, groups: &mut Groups) -> Self {
        let routes = &shared.plan.routes;
        let ledgers = Ledgers::new(shared, number, groups);
        let (streams, rank) = (routes.streams_of(number), routes.rank_of(number));
        let (touched, corrupt) = (Vec::new(), BTreeMap::new());
        Self { number, streams, rank, ledgers, touched, corrupt, unmatched: 0, away: false }
    }

    /// Measured messages of a stage that are still to come: gaps and what is behind the last one that came. Refused ones
    /// and those of a publisher that is gone do not come.
    pub(super) fn missing(&self, shared: &Shared, stage: u32) -> u64 {
        self.ledgers.missing(|index, ledger| {
            let stream = shared.stream(self.streams.at(index));
            let measured = stream.measured(stage);
            let lost = stream.lost_with_connections();
            let lost = lost.start.max(measured.start)..lost.end.min(measured.end);
            let excused = ledger.missing_in(&lost).min(stream.excused.load(Ordering::Acquire));
            ledger.missing_in(&measured).saturating_sub(stream.refused_in(stage) + excused)
        })
    }

    /// Settles the stage: what of the measured messages came and what did not; then begins anew where the streams are.
    pub(super) fn settle(&mut self, shared: &Shared, stage: u32, settled: &mut Deliveries) {
        let streams = self.streams;
        let stamped = shared.plan.payload.is_stamped();
        let closing = |index| {
            let stream = shared.stream(streams.at(index));
            Closing { stage, measured: stream.measured(stage), sent: stream.sent.load(Ordering::Acquire), stamped }
        };
        self.ledgers.settle(closing, |index, ledger, mut delivery| {
            if !stamped {
                // Without stamps the window of a message is not known on arrival, so the ledger counted all of them;
                // what was delivered is what is not missing.
                delivery.delivered_once = delivery.expected.saturating_sub(delivery.lost);
            }
            settled.unbalanced += u64::from(!delivery.adds_up());
            let number = streams.at(index);
            let refused = shared.stream(number).refused_in(stage);
            if delivery.lost > refused {
                let marks = shared.marks();
                let seconds = marks.seconds(number, shared.stream(number).measured(stage));
                // Without stamps, among others that the broker refused, and where gaps were given up nobody knows which
                // ones they are.
                let is_told = stamped && refused == 0 && delivery.overflowed == 0;
                settled.place_losses(ledger, seconds.filter(|_| is_told));
            }
            delivery.excuse(refused);
            settled.streams.entry(number).or_default().merge(&delivery);
        });
        settled.unmatched += std::mem::take(&mut self.unmatched);
        for (index, corrupt) in std::mem::take(&mut self.corrupt) {
            settled.streams.entry(streams.at(index)).or_default().corrupt += corrupt;
        }
    }

    /// What came after its drain, since the last call.
    pub(super) fn take_late(&mut self) -> impl Iterator<Item = LateMessages> {
        let streams = self.streams;
        let late = self.ledgers.take_late().into_iter();
        late.map(move |(index, stage, count)| LateMessages { stage, stream: streams.at(index), count })
    }

    /// Tells the publishers of this batch that there may be room.
    pub(super) fn wake_publishers(&mut self, shared: &Shared) {
        for stream in self.touched.drain(..) {
            shared.stream(stream as usize).room.wake();
        }
    }

    /// Whether the connection is there, as far as it has been told.
    pub(super) const fn is_connected(&self) -> bool {
        !self.away
    }

    /// The connection is there again, if it was not. What was sent meanwhile is not waited for: it may have gone.
    pub(super) fn rejoin(&mut self, shared: &Shared) {
        if !std::mem::take(&mut self.away) {
            return;
        }
        self.ledgers.rejoin();
        for stream in self.streams.iter() {
            let sent = shared.stream(stream).sent.load(Ordering::Acquire);
            // Where other members of a group were there all the time, they know better.
            let cell = shared.cell(stream, self.rank);
            let _ = cell.compare_exchange(u64::MAX, sent, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// Ends outages of the streams of this batch, where what came was sent after the publisher's own.
    pub(super) fn end_outages(&mut self, shared: &Shared, now_ns: u64, outages: &mut Outages) {
        for number in &self.touched {
            let Some(index) = self.streams.index_of(*number as usize) else { continue };
            let stream = shared.stream(*number as usize);
            let of_publisher = stream.down_since.load(Ordering::Acquire);
            if of_publisher > 0 && self.ledgers.next(index) <= stream.abandoned_to.load(Ordering::Acquire) {
                continue;
            }
            // Where several subscribe, the first one ends it.
            let of_publisher = if of_publisher > 0 { stream.down_since.swap(0, Ordering::AcqRel) } else { 0 };
            let own = self.ledgers.down_since(|down_since| down_since.get_mut(index).map_or(0, std::mem::take));
            if let Some(start_ns) = [of_publisher, own].into_iter().filter(|since| *since > 0).min() {
                let (stream, dur_ns) = (u64::from(*number), now_ns.saturating_sub(start_ns));
                outages.add(Outage { stream, start_ns, dur_ns, ended: true });
            }
        }
    }

    /// Enters outages that are not over; those of a publisher once, by the stream's first subscriber, those of a group
    /// by the member that settles.
    pub(super) fn add_open_outages(&mut self, shared: &Shared, now_ns: u64, outages: &mut Outages) {
        if !self.ledgers.settles() {
            return;
        }
        for (index, number) in self.streams.iter().enumerate() {
            let of_publisher = shared.stream(number).down_since.load(Ordering::Acquire);
            let of_publisher = if self.rank == 0 { of_publisher } else { 0 };
            let own = self.ledgers.down_since(|down_since| down_since.get(index).copied().unwrap_or(0));
            if let Some(start_ns) = [of_publisher, own].into_iter().filter(|since| *since > 0).min() {
                let (stream, dur_ns) = (number as u64, now_ns.saturating_sub(start_ns));
                outages.add(Outage { stream, start_ns, dur_ns, ended: false });
            }
        }
    }

    /// The connection is gone: nobody is to wait for its deliveries.
    pub(super) fn note_loss(&mut self, shared: &Shared, now_ns: u64) {
        // A group goes on with the members that it has left.
        if std::mem::replace(&mut self.away, true) || !self.ledgers.leave() {
            return;
        }
        if shared.plan.reconnect.is_some() {
            let streams = self.streams.count;
            self.ledgers.down_since(|down_since| {
                down_since.resize(streams, 0);
                let running = down_since.iter_mut().filter(|since| **since == 0);
                running.for_each(|since| *since = now_ns.max(1));
            });
        }
        for stream in self.streams.iter() {
            shared.cell(stream, self.rank).store(u64::MAX, Ordering::Release);
            shared.stream(stream).room.wake();
        }
    }
}

/// So many bytes at either end of a payload without a stamp are compared with what was sent.
const COMPARED: usize = 64;

/// Whether a payload is as long as the one that was sent, and the same at both ends.
fn looks_like(sent: &[u8], payload: &[u8]) -> bool {
    let end = sent.len().saturating_sub(COMPARED);
    sent.len() == payload.len()
        && sent.iter().take(COMPARED).eq(payload.iter().take(COMPARED))
        && sent[end..] == payload[end..]
}

/// The handler of a subscriber during one batch.
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
    /// The batch is over.
    pub(super) fn end(mut self) {
        self.batch.flush(&mut self.recorder.latency.e2e);
    }

    fn take(&mut self, index: usize, sequence: u64, intended_ns: Option<u64>, dup: bool, payload: &[u8]) {
        let stream = self.subscriber.streams.at(index);
        let measured = intended_ns.zip(self.stage).is_some_and(|(intended, stage)| stage.measures(intended));
        if self.measuring {
            self.recorder.counters.delivered += 1;
            self.recorder.counters.payload_bytes_in += payload.len() as u64;
        }
        let observed = self.subscriber.ledgers.observe(index, sequence, dup, measured, self.now_ns);
        let Some((arrival, position)) = observed else { return };
        // A session that was kept delivers old messages behind newer ones: positions only rise. Nobody else writes it.
        let cell = self.shared.cell(stream, self.subscriber.rank);
        if cell.load(Ordering::Relaxed) < position {
            cell.store(position, Ordering::Release);
        }
        if self.subscriber.touched.last() != Some(&(stream as u32)) {
            self.subscriber.touched.push(stream as u32);
        }
        if let Some(intended_ns) = intended_ns
            && measured
            && arrival != Arrival::Duplicate
            && self.shared.plan.latency
        {
            self.batch.record(intended_ns, 1, &mut self.recorder.latency.e2e);
            if self.stage.is_some_and(|stage| stage.rate.is_some())
                && let Some(written_ns) = self.shared.stream(stream).written.of(sequence)
            {
                self.recorder.latency.e2e_service.record_between(written_ns, self.now_ns);
            }
        }
    }

    /// A message that says itself which one it is.
    #[inline]
    fn stamped(&mut self, publish: &Publish<'_>) {
        let plan = &self.shared.plan;
        let Some(stamp) = Stamp::decode(publish.payload).filter(|stamp| stamp.run == plan.run.0) else {
            return self.foreign();
        };
        let Some(index) = self.subscriber.streams.index_of(stamp.stream as usize) else { return self.foreign() };
        if let PayloadPlan::Filled(filled) = &plan.payload
            && !filled.is_intact(stamp.stream, stamp.sequence, publish.payload)
        {
            return self.corrupt(index, stamp.intended_ns);
        }
        let sequence = unwrap_sequence(stamp.sequence, self.subscriber.ledgers.next(index));
        self.take(index, sequence, Some(stamp.intended_ns), publish.dup, publish.payload);
    }

    /// A message that does not: its topic tells the stream, and it is the next one, or one too many.
    fn by_order(&mut self, publish: &Publish<'_>) {
        let stream = self.shared.stream_of_topic(publish.topic);
        let index = stream.and_then(|stream| self.subscriber.streams.index_of(stream));
        // One with the retain flag was left there by somebody before us.
        let Some(index) = index.filter(|_| !publish.retain) else { return self.foreign() };
        let stream = self.shared.stream(self.subscriber.streams.at(index));
        if stream.content.as_ref().is_some_and(|content| !looks_like(content, publish.payload)) {
            return self.foreign();
        }
        let next = self.subscriber.ledgers.next(index);
        // Nobody knows whether one that is sent again came before.
        self.subscriber.unmatched += u64::from(publish.dup);
        // Between the members of a group there is no order: they can be counted, but not timed.
        let in_group = matches!(self.shared.plan.routes.shape(), Shape::Shared { .. });
        match stream.intended.of(next) {
            Some(intended) => {
                self.take(index, next, Some(intended).filter(|_| !in_group), publish.dup, publish.payload)
            }
            // Sent so long ago that nobody remembers when.
            None if next < stream.sent.load(Ordering::Acquire) => {
                self.take(index, next, None, publish.dup, publish.payload);
            }
            None if next == 0 => self.foreign(),
            // One more than was sent: it, or one before it, came twice, or somebody else sends the same. Messages since
            // then may have been taken for the ones after them.
            None => {
                self.subscriber.unmatched += u64::from(self.stage.is_some());
                self.take(index, next - 1, None, publish.dup, publish.payload);
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
        let publish = delivery.publish;
        let plan = &self.shared.plan;
        if plan.publishers == 0 {
            // Somebody else's load: what comes is what is counted.
            if publish.retain {
                // Kept from earlier, and sent because of the subscription: no load.
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
        Acknowledge::Now
    }

    fn on_completed(&mut self, _completion: Completion<'_, SendRecord>) {}

    fn on_event(&mut self, _event: Event) {}
}
