//! How far a publisher has come in a stage: which slots of the schedule or messages of the count are left, and what
//! held them up.

use super::super::clock::round_to_tick;
use super::super::shared::StageRun;
use super::super::stream::MeasuredMessages;
use crate::bench::measure::{LAG_FLOOR_NS, Recorder};
use crate::bench::plan::{BenchPlan, PublisherSlots, Schedule, quota};
use crate::options::Behind;

/// What was due before the end of a stage may be sent up to this much later where it takes more than one write: the
/// rest of a burst.
const END_GRACE_NS: u64 = 10_000_000;

/// What a publisher does in the current stage.
#[derive(Debug)]
pub(super) struct StageProgress {
    run: StageRun,
    open_loop: Option<OpenLoop>,
    /// Measured messages still to be sent, where they are limited.
    left: Option<u64>,
    /// Slots of the measured window that were sent or given up.
    offered: u64,
    /// Whether a message of the measured window was sent.
    has_measured: bool,
    is_done: bool,
}

/// The schedule of one publisher.
#[derive(Debug)]
struct OpenLoop {
    slots: PublisherSlots,
    /// Whether late slots are given up when the next one is due.
    skips: bool,
    /// Window or socket were closed to a due slot at the last look.
    is_blocked: bool,
    /// When they were found open again. Slots due before that waited for it, through no fault of the generator; any
    /// later delay is its fault.
    opened_ns: u64,
}

impl OpenLoop {
    /// Whether a slot that was due at this moment waited, or waits, for window or socket.
    const fn is_held_back(&self, intended_ns: u64) -> bool {
        self.is_blocked || intended_ns < self.opened_ns
    }
}

/// What a schedule asks for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextSlot {
    /// Nothing more in this stage.
    None,
    /// A slot that is due at this time.
    At(u64),
    /// A slot that is due now, with its intended time.
    Due(u64),
}

impl StageProgress {
    pub(super) fn new(run: StageRun, stream: usize, schedule: Option<Schedule>, plan: &BenchPlan) -> Self {
        let open_loop = schedule.map(|schedule| OpenLoop {
            slots: schedule.slots_of(stream, plan.publishers),
            skips: plan.behind == Behind::Skip,
            is_blocked: false,
            opened_ns: 0,
        });
        let left = run.count.map(|count| quota(count, stream, plan.publishers));
        Self { run, open_loop, left, offered: 0, has_measured: false, is_done: false }
    }

    pub(super) const fn run(&self) -> &StageRun {
        &self.run
    }

    /// The stage ends at another time.
    pub(super) const fn set_end(&mut self, to_ns: u64) {
        self.run.to_ns = to_ns;
    }

    pub(super) const fn is_done(&self) -> bool {
        self.is_done
    }

    pub(super) const fn set_done(&mut self) {
        self.is_done = true;
    }

    pub(super) const fn is_paced(&self) -> bool {
        self.open_loop.is_some()
    }

    /// Measured messages still to be sent, where they are limited.
    pub(super) const fn left(&self) -> Option<u64> {
        self.left
    }

    /// When the next slot is due, rounded as in a stamp.
    fn next_ns(&self, open_loop: &OpenLoop) -> u64 {
        self.run.start_ns.saturating_add(round_to_tick(open_loop.slots.due_ns()))
    }

    /// The next slot of the schedule.
    pub(super) fn next_slot(&mut self, now_ns: u64) -> NextSlot {
        let Some(open_loop) = &self.open_loop else { return NextSlot::None };
        let intended_ns = self.next_ns(open_loop);
        if intended_ns >= self.run.to_ns || self.left == Some(0) {
            self.is_done = true;
            return NextSlot::None;
        }
        let due_ns = intended_ns.max(self.run.start_ns);
        if now_ns < due_ns { NextSlot::At(due_ns) } else { NextSlot::Due(intended_ns) }
    }

    /// A slot of the schedule is sent.
    pub(super) fn advance(&mut self, intended_ns: u64, now_ns: u64, recorder: &mut Recorder, latency: bool) {
        let measured = self.run.measures(intended_ns);
        let Some(open_loop) = &mut self.open_loop else { return };
        open_loop.slots.advance();
        if !measured {
            return;
        }
        self.offered += 1;
        if open_loop.is_held_back(intended_ns) {
            recorder.counters.held_back += 1;
        } else if now_ns < self.run.to_ns.saturating_add(LAG_FLOOR_NS) {
            recorder.counters.on_time += 1;
        }
        if latency {
            let free_ns = intended_ns.max(open_loop.opened_ns);
            recorder.latency.sched_lag.record_between(free_ns, now_ns.max(free_ns));
        }
    }

    /// In a closed loop: what may be sent at this moment.
    pub(super) fn next_batch(&mut self, now_ns: u64) -> NextSlot {
        let intended_ns = round_to_tick(now_ns);
        if intended_ns >= self.run.to_ns || self.left == Some(0) {
            self.is_done = true;
            return NextSlot::None;
        }
        if now_ns < self.run.start_ns { NextSlot::At(self.run.start_ns) } else { NextSlot::Due(intended_ns) }
    }

    /// The next messages are measured: at most `count`, and no more than are left. Returns how many.
    pub(super) fn measure(&mut self, count: u64, next: u64, measured: &MeasuredMessages) -> u64 {
        let count = self.left.map_or(count, |left| count.min(left));
        if let Some(left) = &mut self.left {
            *left -= count;
        }
        if count > 0 {
            if !std::mem::replace(&mut self.has_measured, true) {
                measured.set_from(next);
            }
            measured.set_to(next + count);
        }
        count
    }

    /// No measured message is left: the next one is the first.
    pub(super) const fn reset_measured(&mut self) {
        self.has_measured = false;
    }

    /// Measured messages were never sent: in a closed loop others take their place. A slot of a schedule is used up.
    pub(super) fn put_back(&mut self, messages: u64) {
        if let Self { open_loop: None, left: Some(left), has_measured: true, is_done: false, .. } = self {
            *left += messages;
        }
    }

    /// A due slot cannot be sent now.
    pub(super) fn note_blocked(&mut self, now_ns: u64) {
        if self.open_loop.as_ref().is_some_and(|open_loop| self.next_ns(open_loop) <= now_ns) {
            self.block();
        }
    }

    /// Slots that come due from now on find no connection.
    pub(super) const fn block(&mut self) {
        if let Some(open_loop) = &mut self.open_loop {
            open_loop.is_blocked = true;
        }
    }

    /// Window and socket are open.
    pub(super) fn note_open(&mut self, now_ns: u64) {
        if let Some(open_loop) = &mut self.open_loop
            && std::mem::take(&mut open_loop.is_blocked)
        {
            open_loop.opened_ns = now_ns;
        }
    }

    /// Gives up due slots that a later slot has overtaken, where the plan says so, and counts them: as skipped, and as
    /// held back where window or socket held them up.
    pub(super) fn skip_overtaken(&mut self, now_ns: u64, recorder: &mut Recorder) {
        let Self { run, open_loop: Some(open_loop), left, offered, .. } = self else { return };
        let at = |ns| run.start_ns.saturating_add(round_to_tick(ns));
        while open_loop.skips && at(open_loop.slots.superseded_ns()) <= now_ns && *left != Some(0) {
            let intended_ns = at(open_loop.slots.due_ns());
            let is_held_back = open_loop.is_held_back(intended_ns);
            // A thread that wakes a little late gives nothing up.
            let is_late = is_held_back || now_ns - intended_ns.min(now_ns) > LAG_FLOOR_NS;
            if intended_ns >= run.to_ns || !is_late {
                return;
            }
            if run.measures(intended_ns) {
                *offered += 1;
                recorder.counters.skipped += 1;
                recorder.counters.held_back += u64::from(is_held_back);
                if let Some(left) = left {
                    *left -= 1;
                }
            }
            open_loop.slots.advance();
        }
    }

    /// Drops the backlog of a warm-up that the path or this machine could not carry: the measured window begins with
    /// its own slots. Slots that are only a little late are sent.
    pub(super) fn drop_warm_up_backlog(&mut self, now_ns: u64) {
        let run = self.run;
        if let Some(open_loop) = &self.open_loop
            && now_ns >= run.from_ns
            && self.next_ns(open_loop).saturating_add(LAG_FLOOR_NS) < run.from_ns
            && let Some(open_loop) = &mut self.open_loop
        {
            open_loop.slots.advance_to(run.from_ns - run.start_ns);
        }
    }

    /// Whether the time of a schedule is over; `has_more` where due slots wait only for the next write.
    pub(super) fn is_over(&self, has_more: bool, now_ns: u64) -> bool {
        let grace_ns = if has_more { END_GRACE_NS } else { 0 };
        self.open_loop.is_some() && now_ns >= self.run.to_ns.saturating_add(grace_ns)
    }

    /// The drain is over: slots that were not sent count as offered, and as held back where window or socket were
    /// closed to them. Returns the offered slots, and how many messages should have been sent of which `sent` were.
    pub(super) fn settle(&mut self, sent: u64, recorder: &mut Recorder) -> (u64, u64) {
        let Self { run, open_loop, left, .. } = self;
        let Some(open_loop) = open_loop else { return (0, left.unwrap_or(0)) };
        // Where only the count ends the stage, the rest of it was not sent.
        let unsent = match *left {
            Some(left) if run.to_ns == u64::MAX => left,
            left => {
                let due = open_loop.slots.due_between(run.from_ns - run.start_ns, run.to_ns - run.start_ns);
                left.unwrap_or(u64::MAX).min(due)
            }
        };
        recorder.counters.skipped += if open_loop.skips { unsent } else { 0 };
        recorder.counters.held_back += if open_loop.is_blocked { unsent } else { 0 };
        let offered = std::mem::take(&mut self.offered) + unsent;
        (offered, offered.saturating_sub(sent))
    }
}
