//! A subscriber: reads, stamps once a batch, checks every message in its ledger. Nothing else.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering;

use super::shared::{Shared, StageRun};
use crate::bench::measure::{Arrival, Delivery, Recorder, STAMP_SIZE, Stamp, StreamLedger, unwrap_sequence};
use crate::bench::plan::Streams;
use crate::session::{Acknowledge, Completion, Event, Handler};

use super::link::SendRecord;

/// What a subscriber knows of its streams.
#[derive(Debug)]
pub(super) struct Subscriptions {
    /// Its number, from 0.
    pub(super) subscriber: usize,
    streams: Streams,
    /// Its rank among the subscribers of each of its streams.
    ranks: Vec<usize>,
    ledgers: Vec<StreamLedger>,
    /// Topics in the order of the streams, where messages have no stamp and the topic tells the stream.
    topics: Vec<String>,
    /// Streams whose publishers are to be told after the batch.
    touched: Vec<u32>,
    /// Measured messages of the stage whose content was wrong, by the stream's place.
    corrupt: BTreeMap<usize, u64>,
    /// What was still missing at the end of earlier stages, by the stream's place.
    overdue: BTreeMap<usize, Overdue>,
    /// The connection is gone.
    gone: bool,
}

/// The ledger of a stream in a stage whose drain has ended with messages missing: those may still come, too late.
#[derive(Debug)]
struct Overdue {
    stage: u32,
    ledger: StreamLedger,
    /// The measured messages of the stage.
    measured: Range<u64>,
    /// All messages below this are of that stage, or of earlier ones.
    end: u64,
    late: u64,
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
    /// By stream, all subscribers together.
    pub(super) streams: BTreeMap<usize, Delivery>,
    /// Ledgers that do not add up.
    pub(super) unbalanced: u64,
}

impl Deliveries {
    /// Adds those of other subscribers.
    pub(super) fn merge(&mut self, other: &Self) {
        for (stream, delivery) in &other.streams {
            self.streams.entry(*stream).or_default().merge(delivery);
        }
        self.unbalanced += other.unbalanced;
    }
}

impl Subscriptions {
    pub(super) fn new(shared: &Shared, subscriber: usize, topics: Vec<String>) -> Self {
        let streams = shared.plan.routes.streams_of(subscriber);
        let ranks = streams
            .iter()
            .map(|stream| shared.plan.routes.subscribers_of(stream).index_of(subscriber).unwrap_or(0))
            .collect();
        let ledgers = vec![StreamLedger::new(); streams.count];
        Self {
            subscriber,
            streams,
            ranks,
            ledgers,
            topics,
            touched: Vec::new(),
            corrupt: BTreeMap::new(),
            overdue: BTreeMap::new(),
            gone: false,
        }
    }

    /// Measured messages of a stage that are still to come: gaps and what is behind the last one that came. Refused ones
    /// and those of a publisher that is gone do not come.
    pub(super) fn missing(&self, shared: &Shared, stage: u32) -> u64 {
        if self.gone {
            return 0;
        }
        let missing = |(ledger, stream): (&StreamLedger, usize)| {
            let stream = shared.stream(stream);
            let excused = stream.refused_in(stage) + stream.abandoned.load(Ordering::Acquire);
            ledger.missing_in(&stream.measured(stage)).saturating_sub(excused)
        };
        self.ledgers.iter().zip(self.streams.iter()).map(missing).sum()
    }

    /// Settles the stage: what of the measured messages came and what did not; then begins anew where the streams are.
    pub(super) fn settle(&mut self, shared: &Shared, stage: u32, settled: &mut Deliveries) {
        let stamped = shared.plan.payload.is_stamped();
        for (index, (ledger, number)) in self.ledgers.iter_mut().zip(self.streams.iter()).enumerate() {
            let stream = shared.stream(number);
            let measured = stream.measured(stage);
            let mut delivery = ledger.settle(measured.clone());
            if !stamped {
                // Without stamps the window of a message is not known on arrival, so the ledger counted all of them;
                // what was delivered is what is not missing.
                delivery.delivered_once = delivery.expected.saturating_sub(delivery.lost);
            }
            settled.unbalanced += u64::from(!delivery.adds_up());
            delivery.excuse(stream.refused_in(stage));
            delivery.corrupt = self.corrupt.remove(&index).unwrap_or_default();
            settled.streams.entry(number).or_default().merge(&delivery);
            // What was handed to the socket until now belongs to this stage, also where nothing of it has come. Without
            // stamps what was lost would be taken for the next message.
            let sent = stream.sent.load(Ordering::Acquire);
            let next = if stamped { ledger.next().max(sent) } else { sent };
            let before = std::mem::replace(ledger, StreamLedger::starting_at(next));
            if stamped && delivery.lost > 0 {
                let overdue = Overdue { stage, ledger: before, measured, end: next, late: 0 };
                self.overdue.insert(index, overdue);
            }
        }
    }

    /// What came after its drain, since the last call.
    pub(super) fn take_late(&mut self) -> impl Iterator<Item = LateMessages> {
        let first = self.streams.first;
        let step = self.streams.step;
        self.overdue.iter_mut().filter(|(_, overdue)| overdue.late > 0).map(move |(index, overdue)| LateMessages {
            stage: overdue.stage,
            stream: first + index * step,
            count: std::mem::take(&mut overdue.late),
        })
    }

    /// Takes a message of an earlier stage; false when it is none, or nothing of its stage was missing.
    fn take_overdue(&mut self, index: usize, sequence: u64) -> bool {
        let Some(overdue) = self.overdue.get_mut(&index).filter(|overdue| sequence < overdue.end) else { return false };
        let arrival = overdue.ledger.observe(sequence, false, false);
        overdue.late += u64::from(arrival != Arrival::Duplicate && overdue.measured.contains(&sequence));
        true
    }

    /// Tells the publishers of this batch that there may be room.
    pub(super) fn wake_publishers(&mut self, shared: &Shared) {
        for stream in self.touched.drain(..) {
            shared.stream(stream as usize).room.wake();
        }
    }

    /// The connection is gone: nobody is to wait for its deliveries.
    pub(super) fn abandon(&mut self, shared: &Shared) {
        self.gone = true;
        for (stream, rank) in self.streams.iter().zip(&self.ranks) {
            shared.cell(stream, *rank).store(u64::MAX, Ordering::Release);
            shared.stream(stream).room.wake();
        }
    }
}

/// The ears of a subscriber during one batch.
pub(super) struct SubscriberEars<'a> {
    pub(super) subscriptions: &'a mut Subscriptions,
    pub(super) shared: &'a Shared,
    pub(super) recorder: &'a mut Recorder,
    pub(super) stage: Option<&'a StageRun>,
    pub(super) now_ns: u64,
    /// Whether this moment is in the measured window.
    pub(super) measuring: bool,
}

impl SubscriberEars<'_> {
    fn take(&mut self, index: usize, sequence: u64, intended_ns: Option<u64>, dup: bool, payload: &[u8]) {
        let stream = self.subscriptions.streams.first + index * self.subscriptions.streams.step;
        let measured = intended_ns.zip(self.stage).is_some_and(|(intended, stage)| stage.measures(intended));
        if self.measuring {
            self.recorder.counters.delivered += 1;
            self.recorder.counters.payload_bytes_in += payload.len() as u64;
        }
        if !self.subscriptions.overdue.is_empty() && self.subscriptions.take_overdue(index, sequence) {
            return;
        }
        let ledger = &mut self.subscriptions.ledgers[index];
        let arrival = ledger.observe(sequence, dup, measured);
        let next = ledger.next();
        self.shared.cell(stream, self.subscriptions.ranks[index]).store(next, Ordering::Release);
        if self.subscriptions.touched.last() != Some(&(stream as u32)) {
            self.subscriptions.touched.push(stream as u32);
        }
        if let Some(intended_ns) = intended_ns
            && measured
            && arrival != Arrival::Duplicate
            && self.shared.plan.latency
        {
            self.recorder.latency.e2e.record_between(intended_ns, self.now_ns);
            if self.stage.is_some_and(|stage| stage.rate.is_some())
                && let Some(written_ns) = self.shared.stream(stream).written.of(sequence)
            {
                self.recorder.latency.e2e_service.record_between(written_ns, self.now_ns);
            }
        }
    }

    fn foreign(&mut self) {
        self.recorder.counters.foreign += u64::from(self.measuring);
    }

    fn corrupt(&mut self, index: usize, intended_ns: u64) {
        if self.stage.is_some_and(|stage| stage.measures(intended_ns)) {
            self.recorder.counters.corrupt += 1;
            *self.subscriptions.corrupt.entry(index).or_default() += 1;
        }
    }
}

impl Handler<SendRecord> for SubscriberEars<'_> {
    #[inline]
    fn message(&mut self, delivery: &crate::session::Delivery<'_>) -> Acknowledge {
        let publish = delivery.publish;
        let plan = &self.shared.plan;
        if plan.publishers == 0 {
            // Somebody else's load: what comes is what is counted.
            if self.measuring {
                self.recorder.counters.delivered += 1;
                self.recorder.counters.payload_bytes_in += publish.payload.len() as u64;
            }
        } else if let Some(size) = plan.payload.stamped_size() {
            match Stamp::decode(publish.payload) {
                Some(stamp) if stamp.run == plan.run.0 => {
                    match self.subscriptions.streams.index_of(stamp.stream as usize) {
                        None => self.foreign(),
                        Some(index) if !is_intact(publish.payload, size) => self.corrupt(index, stamp.intended_ns),
                        Some(index) => {
                            let near = self.subscriptions.ledgers[index].next();
                            let sequence = unwrap_sequence(stamp.sequence, near);
                            self.take(index, sequence, Some(stamp.intended_ns), publish.dup, publish.payload);
                        }
                    }
                }
                _ => self.foreign(),
            }
        } else {
            match self.subscriptions.topics.iter().position(|topic| topic == publish.topic) {
                None => self.foreign(),
                // Left there by somebody before us.
                Some(_) if publish.retain => self.foreign(),
                Some(index) => {
                    let stream = self.subscriptions.streams.first + index * self.subscriptions.streams.step;
                    let stream = self.shared.stream(stream);
                    // By order: this is the next one, or one too many.
                    let next = self.subscriptions.ledgers[index].next();
                    match stream.intended.of(next) {
                        Some(intended) => self.take(index, next, Some(intended), publish.dup, publish.payload),
                        // Sent so long ago that nobody remembers when.
                        None if next < stream.sent.load(Ordering::Acquire) => {
                            self.take(index, next, None, publish.dup, publish.payload);
                        }
                        None if next == 0 => self.foreign(),
                        None => self.take(index, next - 1, None, publish.dup, publish.payload),
                    }
                }
            }
        }
        Acknowledge::Now
    }

    fn completed(&mut self, _completion: Completion<'_, SendRecord>) {}

    fn event(&mut self, _event: Event) {}
}

/// What was sent is a stamp and zeros up to the size. Looks at the size and the last bytes, not at all of a large
/// payload: cut and mixed-up packets show there.
#[inline]
fn is_intact(payload: &[u8], size: usize) -> bool {
    let tail = payload.len().saturating_sub(8).max(STAMP_SIZE);
    payload.len() == size && payload[tail.min(payload.len())..].iter().all(|byte| *byte == 0)
}
