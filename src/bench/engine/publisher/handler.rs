//! What a publisher hears: acknowledgements are counted and timed.

use super::super::link::SendRecord;
use super::super::shared::StageRun;
use crate::bench::measure::{Recorder, SampleBatch};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Outcome};

/// What acknowledgements have told a publisher.
#[derive(Debug, Default)]
pub(in crate::bench::engine) struct AckCounts {
    pub(super) completed: u64,
    pub(super) downgraded: u64,
    /// Refused by the broker: these are not delivered, and nobody waits for them.
    pub(super) refused: u64,
    /// Of the stage's measured messages, those that were acknowledged or refused.
    pub(super) answered: u64,
    /// Of these, those that were refused.
    pub(super) measured_refused: u64,
}

impl AckCounts {
    /// Messages whose handshake is over, one way or the other.
    pub(in crate::bench::engine) const fn completed(&self) -> u64 {
        self.completed
    }
}

/// The handler of a publisher during one batch.
pub(in crate::bench::engine) struct PublisherHandler<'a> {
    pub(in crate::bench::engine) counts: &'a mut AckCounts,
    pub(in crate::bench::engine) recorder: &'a mut Recorder,
    /// The present stage: what was sent in an earlier one is not its own.
    pub(in crate::bench::engine) stage: Option<&'a StageRun>,
    pub(in crate::bench::engine) now_ns: u64,
    pub(in crate::bench::engine) measuring: bool,
    /// Whether latencies are recorded.
    pub(in crate::bench::engine) latency: bool,
    pub(in crate::bench::engine) batch: SampleBatch,
}

impl PublisherHandler<'_> {
    /// The batch is over.
    pub(in crate::bench::engine) fn end(mut self) {
        self.batch.flush(&mut self.recorder.latency.ack);
    }

    /// Whether a message is one of those that the stage measures.
    fn is_measured(&self, kept: &SendRecord) -> bool {
        self.stage.is_some_and(|stage| stage.measures(kept.intended_ns))
    }

    /// Enters the latencies of so many messages that were sent in one go.
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
        // It subscribes to nothing; a broker may deliver what an earlier client of this id had asked for.
        self.recorder.counters.foreign += u64::from(self.measuring);
        Acknowledge::Now
    }

    #[inline]
    fn on_completed(&mut self, completion: Completion<'_, SendRecord>) {
        self.counts.completed += 1;
        let measured = self.is_measured(&completion.kept);
        let counters = &mut self.recorder.counters;
        match completion.outcome {
            Outcome::Acknowledged | Outcome::Downgraded => {
                counters.acked += u64::from(self.measuring);
                self.counts.answered += u64::from(measured);
                if completion.reason == crate::mqtt::ReasonCode::NO_MATCHING_SUBSCRIBERS {
                    counters.no_subscriber += u64::from(measured);
                }
                self.counts.downgraded += u64::from(completion.outcome == Outcome::Downgraded);
                if measured && self.latency {
                    self.record(&completion.kept, 1);
                }
            }
            Outcome::Refused => {
                self.counts.refused += 1;
                counters.refusals_in += u64::from(self.measuring);
                if measured {
                    self.counts.answered += 1;
                    self.counts.measured_refused += 1;
                    counters.count_rejected(completion.reason.0);
                }
            }
            Outcome::Lost => {}
        }
    }

    /// What was sent in one go is counted and timed in one go.
    #[inline]
    fn on_acknowledged(&mut self, _first: u16, mut kept: impl ExactSizeIterator<Item = SendRecord>) {
        let all = kept.len() as u64;
        self.counts.completed += all;
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
                self.counts.answered += count;
                if self.latency {
                    self.record(&one, count);
                }
            }
        }
    }

    fn on_received(&mut self, kept: &SendRecord) {
        if self.latency && self.is_measured(kept) {
            kept.received_ns.set(self.now_ns);
            self.recorder.latency.pubrec.record_between(kept.intended_ns, self.now_ns);
        }
    }

    fn on_event(&mut self, _event: Event) {}
}
