//! A subscriber: reads, stamps once a batch, checks every message in its ledger. Nothing else.

use std::sync::atomic::Ordering;

use super::shared::{Shared, StageRun};
use crate::bench::measure::{
    Arrival, Delivery, Outage, Outages, Recorder, STAMP_SIZE, Stamp, StreamLedger, unwrap_sequence,
};
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
    /// Since when the own connection has been gone and nothing of a stream has come, by stream; 0 where there is no
    /// outage. Empty until the first.
    down_since: Vec<u64>,
}

impl Subscriptions {
    pub(super) fn new(shared: &Shared, subscriber: usize, topics: Vec<String>) -> Self {
        let streams = shared.plan.routes.streams_of(subscriber);
        let ranks = streams
            .iter()
            .map(|stream| shared.plan.routes.subscribers_of(stream).index_of(subscriber).unwrap_or(0))
            .collect();
        let ledgers = vec![StreamLedger::new(); streams.count];
        Self { subscriber, streams, ranks, ledgers, topics, touched: Vec::new(), down_since: Vec::new() }
    }

    /// Settles the stage: what of the measured messages came and what did not; then begins anew where the streams are.
    /// Also gives back how many ledgers do not add up.
    pub(super) fn settle(&mut self, shared: &Shared, stage: u32) -> (Delivery, u64) {
        let mut total = Delivery::default();
        let mut unbalanced = 0;
        for (ledger, stream) in self.ledgers.iter_mut().zip(self.streams.iter()) {
            let stream = shared.stream(stream);
            let from = stream.measured_from.load(Ordering::Acquire);
            let to = stream.measured_to.load(Ordering::Acquire);
            // A publisher that was lost in an earlier stage sent nothing in this one.
            let to = if stream.measured_in.load(Ordering::Acquire) == stage { to } else { from };
            let mut delivery = ledger.settle(from..to.max(from));
            if !shared.plan.payload.is_stamped() {
                // Without stamps the window of a message is not known on arrival, so the ledger counted all of them;
                // what was delivered is what is not missing.
                delivery.delivered_once = delivery.expected.saturating_sub(delivery.lost);
            }
            unbalanced += u64::from(!delivery.adds_up());
            total.merge(&delivery);
            // Without stamps what was lost would be taken for the next message, so the order begins anew.
            let stamped = shared.plan.payload.is_stamped();
            let next = if stamped { ledger.next() } else { stream.sent.load(Ordering::Acquire) };
            *ledger = StreamLedger::starting_at(next);
        }
        (total, unbalanced)
    }

    /// Tells the publishers of this batch that there may be room.
    pub(super) fn wake_publishers(&mut self, shared: &Shared) {
        for stream in self.touched.drain(..) {
            shared.stream(stream as usize).room.wake();
        }
    }

    /// The connection is there again. What was sent meanwhile is not waited for: it may have gone.
    pub(super) fn resume(&self, shared: &Shared) {
        for (stream, rank) in self.streams.iter().zip(&self.ranks) {
            let sent = shared.stream(stream).sent.load(Ordering::Acquire);
            shared.cell(stream, *rank).store(sent, Ordering::Release);
        }
    }

    /// Ends outages of the streams of this batch, where what came was sent after the publisher's own.
    pub(super) fn end_outages(&mut self, shared: &Shared, now_ns: u64, outages: &mut Outages) {
        for number in &self.touched {
            let Some(index) = self.streams.index_of(*number as usize) else { continue };
            let stream = shared.stream(*number as usize);
            let of_publisher = stream.down_since.load(Ordering::Acquire);
            if of_publisher > 0 && self.ledgers[index].next() <= stream.abandoned_to.load(Ordering::Acquire) {
                continue;
            }
            // Where several subscribe, the first one ends it.
            let of_publisher = if of_publisher > 0 { stream.down_since.swap(0, Ordering::AcqRel) } else { 0 };
            let own = self.down_since.get_mut(index).map_or(0, std::mem::take);
            if let Some(start_ns) = [of_publisher, own].into_iter().filter(|since| *since > 0).min() {
                let (stream, dur_ns) = (u64::from(*number), now_ns.saturating_sub(start_ns));
                outages.add(Outage { stream, start_ns, dur_ns, ended: true });
            }
        }
    }

    /// Enters outages that are not over; those of a publisher once, by the stream's first subscriber.
    pub(super) fn note_open_outages(&self, shared: &Shared, now_ns: u64, outages: &mut Outages) {
        for (index, number) in self.streams.iter().enumerate() {
            let of_publisher = shared.stream(number).down_since.load(Ordering::Acquire);
            let of_publisher = if self.ranks[index] == 0 { of_publisher } else { 0 };
            let own = self.down_since.get(index).copied().unwrap_or(0);
            if let Some(start_ns) = [of_publisher, own].into_iter().filter(|since| *since > 0).min() {
                let (stream, dur_ns) = (number as u64, now_ns.saturating_sub(start_ns));
                outages.add(Outage { stream, start_ns, dur_ns, ended: false });
            }
        }
    }

    /// The connection is gone: nobody is to wait for its deliveries.
    pub(super) fn lose(&mut self, shared: &Shared, now_ns: u64) {
        if shared.plan.reconnect.is_some() {
            self.down_since.resize(self.streams.count, 0);
            let running = self.down_since.iter_mut().filter(|since| **since == 0);
            running.for_each(|since| *since = now_ns.max(1));
        }
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
        let ledger = &mut self.subscriptions.ledgers[index];
        let arrival = ledger.observe(sequence, dup, measured);
        let next = ledger.next();
        self.shared.cell(stream, self.subscriptions.ranks[index]).store(next, Ordering::Release);
        if self.subscriptions.touched.last() != Some(&(stream as u32)) {
            self.subscriptions.touched.push(stream as u32);
        }
        if self.measuring {
            self.recorder.counters.delivered += 1;
            self.recorder.counters.payload_bytes_in += payload.len() as u64;
        }
        if let Some(intended_ns) = intended_ns
            && measured
            && arrival != Arrival::Duplicate
            && self.shared.plan.latency
        {
            self.recorder.latency.e2e.record_between(intended_ns, self.now_ns);
        }
    }

    fn foreign(&mut self) {
        self.recorder.counters.foreign += u64::from(self.measuring);
    }

    fn corrupt(&mut self) {
        self.recorder.counters.corrupt += u64::from(self.measuring);
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
                        Some(_) if !is_intact(publish.payload, size) => self.corrupt(),
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
                    match stream.intended(next) {
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
