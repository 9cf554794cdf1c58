//! What a publisher receives: acknowledgements are counted and timed.

use super::super::link::SendRecord;
use super::super::shared::StageRun;
use super::super::stream::AckTotals;
use crate::bench::measure::{Recorder, SampleBatch};
use crate::mqtt::ReasonCode;
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Outcome};

/// What a publisher knows from acknowledgements.
#[derive(Debug, Default)]
pub(in crate::bench::engine) struct AckCounts {
    totals: AckTotals,
    /// QoS 2 messages that were acknowledged as QoS 1.
    downgraded: u64,
}

impl AckCounts {
    /// Messages whose handshake is over, with any outcome.
    pub(in crate::bench::engine) const fn completed(&self) -> u64 {
        self.totals.completed
    }

    /// Of these, refused by the broker.
    pub(super) const fn refused(&self) -> u64 {
        self.totals.refused
    }

    pub(super) const fn totals(&self) -> &AckTotals {
        &self.totals
    }

    /// Begins to count the measured messages of a stage.
    pub(super) const fn begin_stage(&mut self) {
        (self.totals.answered, self.totals.measured_refused) = (0, 0);
    }

    pub(super) fn take_downgraded(&mut self) -> u64 {
        std::mem::take(&mut self.downgraded)
    }
}

/// Handles the packets of one read of a publisher.
pub(in crate::bench::engine) struct PublisherHandler<'a> {
    pub(in crate::bench::engine) counts: &'a mut AckCounts,
    pub(in crate::bench::engine) recorder: &'a mut Recorder,
    /// The current stage: messages of an earlier one are not measured.
    pub(in crate::bench::engine) stage: Option<&'a StageRun>,
    pub(in crate::bench::engine) now_ns: u64,
    pub(in crate::bench::engine) measuring: bool,
    /// Whether latencies are recorded.
    pub(in crate::bench::engine) latency: bool,
    pub(in crate::bench::engine) batch: SampleBatch,
}

impl PublisherHandler<'_> {
    /// The read is handled.
    pub(in crate::bench::engine) fn end(mut self) {
        self.batch.flush(&mut self.recorder.latency.ack);
    }

    /// Whether a message is one of those that the stage measures.
    fn is_measured(&self, kept: &SendRecord) -> bool {
        self.stage.is_some_and(|stage| stage.measures(kept.intended_ns))
    }

    /// Records the latencies of messages that were sent together.
    fn record(&mut self, kept: &SendRecord, count: u64) {
        let latency = &mut self.recorder.latency;
        self.batch.record(kept.intended_ns, count, &mut latency.ack);
        // In a closed loop both are the same.
        if self.stage.is_some_and(|stage| stage.rate.is_some()) {
            latency.ack_service.record_many_between(kept.written_ns, self.now_ns, count);
        }
        if kept.received_ns.get() > 0 {
            latency.pubcomp.record_between(kept.received_ns.get(), self.now_ns);
        }
    }
}

impl Handler<SendRecord> for PublisherHandler<'_> {
    fn on_message(&mut self, _delivery: &Delivery<'_>) -> Acknowledge {
        // It has no subscription, but an earlier client with its id may have had one.
        self.recorder.counters.foreign += u64::from(self.measuring);
        Acknowledge::Now
    }

    #[inline]
    fn on_completed(&mut self, completion: Completion<'_, SendRecord>) {
        self.counts.totals.completed += 1;
        let measured = self.is_measured(&completion.kept);
        let counters = &mut self.recorder.counters;
        match completion.outcome {
            Outcome::Acknowledged | Outcome::Downgraded => {
                counters.acked += u64::from(self.measuring);
                self.counts.totals.answered += u64::from(measured);
                if completion.reason == ReasonCode::NO_MATCHING_SUBSCRIBERS {
                    counters.no_subscriber += u64::from(measured);
                }
                self.counts.downgraded += u64::from(completion.outcome == Outcome::Downgraded);
                if measured && self.latency {
                    self.record(&completion.kept, 1);
                }
            }
            Outcome::Refused => {
                self.counts.totals.refused += 1;
                counters.refusals_in += u64::from(self.measuring);
                if measured {
                    self.counts.totals.answered += 1;
                    self.counts.totals.measured_refused += 1;
                    counters.count_rejected(completion.reason.0);
                }
            }
            Outcome::Lost => {}
        }
    }

    /// Messages that were sent together are counted and timed together.
    #[inline]
    fn on_acknowledged(&mut self, _first: u16, mut kept: impl ExactSizeIterator<Item = SendRecord>) {
        let all = kept.len() as u64;
        self.counts.totals.completed += all;
        self.recorder.counters.acked += if self.measuring { all } else { 0 };
        let mut group = kept.next();
        while let Some(one) = group.take() {
            let mut count = 1;
            group = kept.find(|other| {
                let differs = !other.was_sent_with(&one);
                count += u64::from(!differs);
                differs
            });
            if self.is_measured(&one) {
                self.counts.totals.answered += count;
                if self.latency {
                    self.record(&one, count);
                }
            }
        }
    }

    fn on_received(&mut self, kept: &SendRecord, _: ReasonCode) {
        if self.latency && self.is_measured(kept) {
            kept.received_ns.set(self.now_ns);
            self.recorder.latency.pubrec.record_between(kept.intended_ns, self.now_ns);
        }
    }

    fn on_event(&mut self, _event: Event) {}
}
