//! What a publisher does in a stage: takes it up, ends it, and says at its end what of the schedule was not sent.

use std::sync::atomic::Ordering;

use super::super::clock::round_to_tick;
use super::super::shared::{Shared, StageRun, StreamState};
use super::Publisher;
use crate::bench::measure::Recorder;
use crate::bench::plan::{PublisherSlots, Schedule, quota};
use crate::options::Behind;

/// The open-loop side of a stage at one publisher.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) slots: PublisherSlots,
    /// Whether late slots are given up when the next one is due.
    pub(super) skips: bool,
    /// Window or socket were closed to a due slot when it was looked last.
    pub(super) closed: bool,
    /// When they were found open again. What was due before has waited for that, through no fault of the generator's;
    /// what it was late from then on is.
    pub(super) opened_ns: u64,
}

impl Pace {
    /// Whether a slot that was meant for this moment has waited, or waits, for window or socket.
    pub(super) const fn is_held(&self, intended_ns: u64) -> bool {
        self.closed || intended_ns < self.opened_ns
    }
}

/// What a publisher does in the present stage.
#[derive(Debug)]
pub(super) struct StageProgress {
    pub(super) run: StageRun,
    pub(super) pace: Option<Pace>,
    /// Measured messages still to be sent, where they are limited.
    pub(super) left: Option<u64>,
    /// Whether a message of the measured window was sent.
    pub(super) measuring: bool,
    pub(super) done: bool,
}

/// When the next slot of a schedule is due, as a stamp can say it.
pub(super) fn due(run: &StageRun, pace: &Pace) -> u64 {
    run.start_ns.saturating_add(round_to_tick(pace.slots.due_ns()))
}

/// When it would be given up for the one after it.
pub(super) fn superseded(run: &StageRun, pace: &Pace) -> u64 {
    run.start_ns.saturating_add(round_to_tick(pace.slots.superseded_ns()))
}

impl Publisher {
    /// Takes up a stage if it is a new one; `schedule` is that of an open loop.
    pub(in crate::bench::engine) fn enter_stage(
        &mut self,
        stage: Option<&StageRun>,
        schedule: impl FnOnce() -> Option<Schedule>,
        shared: &Shared,
    ) {
        let Some(run) = stage else { return };
        if let Some(progress) = &mut self.progress
            && progress.run.number == run.number
        {
            progress.run.to_ns = run.to_ns;
            return;
        }
        let publishers = shared.plan.publishers;
        let pace = schedule().map(|schedule| Pace {
            slots: schedule.slots_of(self.stream, publishers),
            skips: shared.plan.behind == Behind::Skip,
            closed: false,
            opened_ns: 0,
        });
        let left = run.count.map(|count| quota(count, self.stream, publishers));
        self.progress = Some(StageProgress { run: *run, pace, left, measuring: false, done: false });
        self.last_progress_ns = shared.clock.now_ns();
        // Nobody has looked since the last stage.
        self.timed = None;
        (self.counts.answered, self.counts.measured_refused) = (0, 0);
        self.publish_counts(shared);
        let stream = shared.stream(self.stream);
        stream.excused.store(0, Ordering::Release);
        stream.measured_in.store(run.number, Ordering::Release);
        stream.measured_from.store(self.next, Ordering::Release);
        stream.measured_to.store(self.next, Ordering::Release);
    }

    /// Whether it has sent all that the stage asks for.
    pub(in crate::bench::engine) fn is_done(&self) -> bool {
        self.progress.as_ref().is_none_or(|progress| progress.done)
    }

    /// Ends the stage where it stands.
    pub(in crate::bench::engine) fn finish(&mut self, shared: &Shared) {
        if let Some(progress) = &mut self.progress {
            progress.done = true;
            // Never back: a publisher that is gone is done for good.
            shared.stream(self.stream).done.fetch_max(progress.run.number, Ordering::AcqRel);
        }
    }

    /// The drain is over: what of the schedule was not sent stays so, and is counted as offered; where window or socket
    /// were closed to it, as held back too.
    pub(in crate::bench::engine) fn settle(&mut self, shared: &Shared, recorder: &mut Recorder) {
        if let Some(StageProgress { pace: Some(pace), run, left, .. }) = &self.progress {
            // Where only the count ends the stage, what is left of it is what was not sent.
            let unsent = match *left {
                Some(left) if run.to_ns == u64::MAX => left,
                left => {
                    let due = pace.slots.due_between(run.from_ns - run.start_ns, run.to_ns - run.start_ns);
                    left.unwrap_or(u64::MAX).min(due)
                }
            };
            self.offered += unsent;
            recorder.counters.skipped += if pace.skips { unsent } else { 0 };
            recorder.counters.held_back += if pace.closed { unsent } else { 0 };
        }
        let stream = shared.stream(self.stream);
        // What the socket has not taken yet was not sent in this stage.
        self.clip_measured(stream);
        let offered = std::mem::take(&mut self.offered);
        let not_sent = self.progress.as_ref().map_or(0, |progress| {
            let measured = stream.measured(progress.run.number);
            match progress.pace {
                Some(_) => offered.saturating_sub(measured.end - measured.start),
                None => progress.left.unwrap_or(0),
            }
        });
        stream.offered.store(offered, Ordering::Release);
        stream.not_sent.store(not_sent, Ordering::Release);
        self.finish(shared);
    }

    /// Of the measured messages only those that were sent are expected to arrive.
    pub(super) fn clip_measured(&mut self, stream: &StreamState) {
        if stream.measured_to.load(Ordering::Acquire) > self.written {
            stream.measured_to.store(self.written, Ordering::Release);
            if stream.measured_from.fetch_min(self.written, Ordering::AcqRel) >= self.written
                && let Some(progress) = &mut self.progress
            {
                // None is left; the next one is the first.
                progress.measuring = false;
            }
        }
    }
}
