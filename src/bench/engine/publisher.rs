//! A publisher: fills its window as fast as it goes (closed loop), or sends each slot of the schedule at its intended
//! time, late ones late and timed from when they were due (open loop).

use std::io;
use std::sync::atomic::Ordering;
use std::task::Context;

use super::clock::stampable;
use super::link::{Link, SendRecord};
use super::packets::{Due, Packets};
use super::shared::{Shared, StageRun, Stream};
use crate::bench::measure::{LAG_FLOOR_NS, Outage, Outages, Recorder, Together};
use crate::bench::plan::{PublisherSlots, Schedule, WindowRule, quota};
use crate::mqtt::QoS;
use crate::options::Behind;
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Outcome};

/// Bytes that go to the kernel in one write, roughly.
const BATCH_BYTES: usize = 32 * 1024;

/// A window that frees place by place is refilled by this part of it at the least: a broker that acknowledges one
/// message a packet would otherwise cost a write a message. An eighth holds a place back for a sixteenth of the round
/// trip on average, where the round trip is what limits.
const REFILL_PART: u64 = 8;

/// The most that a refill waits for, in messages.
const REFILL_MOST: u64 = 32;

/// After so long a refill waits for nothing: what frees too few places may free no more.
const REFILL_PATIENCE_NS: u64 = 10_000_000;

/// Silence after which what is under way counts as lost and the window goes on (contract: one second).
pub(super) const SILENCE_NS: u64 = 1_000_000_000;

/// The open-loop side of a stage at one publisher.
#[derive(Debug)]
struct Pace {
    slots: PublisherSlots,
    /// Whether late slots are given up when the next one is due.
    skips: bool,
    /// Window or socket were closed to a due slot when it was looked last.
    closed: bool,
    /// When they were found open again. What was due before has waited for that, through no fault of the generator's;
    /// what it was late from then on is.
    opened_ns: u64,
}

impl Pace {
    /// Whether a slot that was meant for this moment has waited, or waits, for window or socket.
    const fn is_held(&self, intended_ns: u64) -> bool {
        self.closed || intended_ns < self.opened_ns
    }
}

/// What a publisher does in the present stage.
#[derive(Debug)]
struct Progress {
    run: StageRun,
    pace: Option<Pace>,
    /// Measured messages still to be sent, where they are limited.
    left: Option<u64>,
    /// Whether a message of the measured window was sent.
    measuring: bool,
    done: bool,
}

/// A publisher's own state.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) stream: usize,
    packets: Packets,
    qos: QoS,
    /// Sequence number of the next message.
    next: u64,
    /// Messages that the kernel has; the rest waits in the link.
    written: u64,
    /// Bytes of whole messages and the start of one that wait in the link, control packets before them not counted.
    waiting_bytes: usize,
    /// Below this everything has arrived, or is no longer waited for.
    floor: u64,
    /// Messages that had been refused when the floor rose last.
    refused_at_floor: u64,
    last_progress_ns: u64,
    last_fill_ns: u64,
    progress: Option<Progress>,
    /// Slots of the measured window that were sent.
    offered: u64,
    /// The wake-up that the pacer has been asked for.
    scheduled_ns: u64,
    /// Where nobody subscribes: since when the connection has been gone, and what had got through by then.
    down: Option<(u64, u64)>,
    pub(super) ears: PublisherCounts,
}

/// What acknowledgements have told a publisher.
#[derive(Debug, Default)]
pub(super) struct PublisherCounts {
    completed: u64,
    downgraded: u64,
    /// Refused by the broker: these are not delivered, and nobody waits for them.
    refused: u64,
    /// Of the stage's measured messages, those that were acknowledged or refused.
    answered: u64,
    /// Of these, those that were refused.
    measured_refused: u64,
}

impl PublisherCounts {
    /// Messages whose handshake is over, one way or the other.
    pub(super) const fn completed(&self) -> u64 {
        self.completed
    }
}

/// Why a publisher has stopped filling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// The window, the socket, or nothing to do: something will wake it.
    Waiting,
    /// The next slot is due at this time.
    Until(u64),
    /// It has used its turn and wants another one.
    Turn,
}

impl Publisher {
    pub(super) fn new(stream: usize, packets: Packets, qos: QoS) -> Self {
        Self {
            stream,
            packets,
            qos,
            next: 0,
            written: 0,
            waiting_bytes: 0,
            floor: 0,
            refused_at_floor: 0,
            last_progress_ns: 0,
            last_fill_ns: 0,
            progress: None,
            offered: 0,
            scheduled_ns: 0,
            down: None,
            ears: PublisherCounts::default(),
        }
    }

    /// Takes up a stage if it is a new one; `schedule` is that of an open loop.
    pub(super) fn follow(
        &mut self,
        stage: Option<&StageRun>,
        schedule: impl FnOnce() -> Option<Schedule>,
        shared: &Shared,
        now_ns: u64,
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
            slots: PublisherSlots::new(schedule, self.stream, publishers),
            skips: shared.plan.behind == Behind::Skip,
            closed: false,
            opened_ns: 0,
        });
        let left = run.count.map(|count| quota(count, self.stream, publishers));
        self.progress = Some(Progress { run: *run, pace, left, measuring: false, done: false });
        self.last_progress_ns = now_ns;
        (self.ears.answered, self.ears.measured_refused) = (0, 0);
        self.publish_counts(shared);
        let stream = shared.stream(self.stream);
        stream.excused.store(0, Ordering::Release);
        stream.measured_in.store(run.number, Ordering::Release);
        stream.measured_from.store(self.next, Ordering::Release);
        stream.measured_to.store(self.next, Ordering::Release);
    }

    /// Whether it has sent all that the stage asks for.
    pub(super) fn is_done(&self) -> bool {
        self.progress.as_ref().is_none_or(|progress| progress.done)
    }

    /// Ends the stage where it stands.
    pub(super) fn finish(&mut self, shared: &Shared) {
        if let Some(progress) = &mut self.progress {
            progress.done = true;
            // Never back: a publisher that is gone is done for good.
            shared.stream(self.stream).done.fetch_max(progress.run.number, Ordering::AcqRel);
        }
    }

    fn is_paced(&self) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.pace.is_some())
    }

    /// How many messages the window lets go now. None: a refill waits for more places than there are. One function says
    /// both, because only who has looked at what was delivered may wait for it.
    fn room(&mut self, link: &Link, shared: &Shared, now_ns: u64) -> Option<u64> {
        let session = if self.qos == QoS::AtMostOnce { u64::MAX } else { link.session.window_free() as u64 };
        // Nothing that is due at a time of its own waits for others.
        let refill = match &self.progress {
            Some(Progress { pace: None, left, .. }) => {
                let window = u64::from(shared.plan.window).min(link.session.allowed() as u64);
                (window / REFILL_PART).min(REFILL_MOST).min(left.unwrap_or(u64::MAX))
            }
            _ => 0,
        };
        let places = if shared.plan.window_rule != WindowRule::Delivery || shared.plan.subscribers == 0 || session == 0 {
            session
        } else {
            session.min(self.delivered_places(refill, shared, now_ns))
        };
        let waits = places < refill && now_ns.saturating_sub(self.last_fill_ns) < REFILL_PATIENCE_NS;
        (!waits).then_some(places)
    }

    /// Places of the window that deliveries leave free. Subscribers on other threads are looked at only where fewer
    /// than `wanted` are known, or none.
    fn delivered_places(&mut self, wanted: u64, shared: &Shared, now_ns: u64) -> u64 {
        // A refused message leaves its place at once.
        let window = u64::from(shared.plan.window) + self.ears.refused - self.refused_at_floor;
        let known = (self.floor + window).saturating_sub(self.next);
        if known > 0 {
            self.last_progress_ns = now_ns;
        }
        if known >= wanted.max(1) && !self.is_paced() {
            return known;
        }
        // A subscriber that is gone waits for nothing.
        let floor = shared.delivered_floor(self.stream).unwrap_or(self.next).min(self.next);
        let is_silent = known == 0 && now_ns.saturating_sub(self.last_progress_ns) >= SILENCE_NS;
        if floor > self.floor || is_silent {
            self.floor = if floor > self.floor { floor } else { self.next };
            self.refused_at_floor = self.ears.refused;
            self.last_progress_ns = now_ns;
        }
        // As it was before the floor rose: what was refused below it is forgotten with the next look.
        (self.floor + window).saturating_sub(self.next)
    }

    /// Whether less than a quarter of the window is in flight though the stage goes on: it was left alone for too long.
    pub(super) fn is_starved(&self, link: &Link, shared: &Shared) -> bool {
        !self.is_done()
            && link.is_writable()
            && match self.qos {
                QoS::AtMostOnce => {
                    shared.plan.window_rule == WindowRule::Delivery
                        && shared.delivered_floor(self.stream).is_some_and(|floor| floor >= self.next)
                }
                _ => link.session.in_flight() < link.session.allowed() / 4,
            }
    }

    /// Sends what may be sent now, in one write.
    pub(super) fn fill(
        &mut self,
        link: &mut Link,
        context: &mut Context<'_>,
        shared: &Shared,
        recorder: &mut Recorder,
        out: &mut Vec<u8>,
    ) -> io::Result<Pause> {
        let now_ns = shared.clock.now_ns();
        if self.is_done() || !link.session.is_open() {
            return Ok(Pause::Waiting);
        }
        if !link.is_writable() {
            self.hold(now_ns);
            self.skip(now_ns, recorder);
            return Ok(Pause::Waiting);
        }
        let Some(room) = self.room(link, shared, now_ns) else { return Ok(Pause::Waiting) };
        if room > 0
            && let Some(Progress { pace: Some(pace), .. }) = &mut self.progress
            && std::mem::take(&mut pace.closed)
        {
            pace.opened_ns = now_ns;
        }
        self.skip(now_ns, recorder);
        self.last_fill_ns = now_ns;
        let by_bytes = (BATCH_BYTES / self.packets.typical_size()).max(1) as u64;
        out.clear();
        link.session.take_output(out);
        let before = out.len();
        let pause = self.build(link, shared, recorder, out, room, room.min(by_bytes), now_ns);
        if !out.is_empty() {
            self.waiting_bytes = out.len() - before;
            let taken = link.send(context, out)?;
            link.session.handle_written(shared.clock.at(now_ns));
            self.note_written(taken.saturating_sub(before), now_ns, shared, recorder);
        }
        if self.is_done() {
            // Only now that all is counted as sent: whoever sees it looks for what is under way next.
            self.finish(shared);
        }
        Ok(pause)
    }

    /// Puts messages into the buffer; says what to do after them.
    #[allow(clippy::too_many_arguments)]
    fn build(
        &mut self,
        link: &mut Link,
        shared: &Shared,
        recorder: &mut Recorder,
        out: &mut Vec<u8>,
        room: u64,
        limit: u64,
        mut now_ns: u64,
    ) -> Pause {
        if self.progress.as_ref().is_some_and(|progress| progress.pace.is_none()) {
            return self.build_at_once(link, shared, out, room, limit, now_ns);
        }
        let mut built = 0;
        loop {
            if built > 0 && self.is_paced() {
                // One clock read a message when paced.
                now_ns = shared.clock.now_ns();
                self.skip(now_ns, recorder);
            }
            let Some(progress) = &mut self.progress else { return Pause::Waiting };
            let run = progress.run;
            let Some(pace) = &progress.pace else { return Pause::Waiting };
            let intended_ns = due(&run, pace);
            if intended_ns >= run.to_ns || progress.left == Some(0) {
                progress.done = true;
                return Pause::Waiting;
            }
            let due_ns = intended_ns.max(run.start_ns);
            if now_ns < due_ns {
                return Pause::Until(due_ns);
            }
            if built == limit {
                if limit < room {
                    return Pause::Turn;
                }
                self.hold(now_ns);
                return Pause::Waiting;
            }
            let measured = run.measures(intended_ns);
            if measured {
                let stream = shared.stream(self.stream);
                if !progress.measuring {
                    progress.measuring = true;
                    stream.measured_from.store(self.next, Ordering::Release);
                }
                stream.measured_to.store(self.next + 1, Ordering::Release);
                if let Some(left) = &mut progress.left {
                    *left -= 1;
                }
            }
            self.append(link, shared, recorder, out, intended_ns, now_ns, measured);
            built += 1;
        }
    }

    /// The same in a closed loop, where all messages are meant for this moment.
    fn build_at_once(
        &mut self,
        link: &mut Link,
        shared: &Shared,
        out: &mut Vec<u8>,
        room: u64,
        limit: u64,
        now_ns: u64,
    ) -> Pause {
        let Some(progress) = &mut self.progress else { return Pause::Waiting };
        let intended_ns = stampable(now_ns);
        if intended_ns >= progress.run.to_ns || progress.left == Some(0) {
            progress.done = true;
            return Pause::Waiting;
        }
        if now_ns < progress.run.start_ns {
            return Pause::Until(progress.run.start_ns);
        }
        let measured = progress.run.measures(intended_ns);
        let mut count = limit;
        if measured {
            if let Some(left) = &mut progress.left {
                count = count.min(*left);
                *left -= count;
            }
            let stream = shared.stream(self.stream);
            if !progress.measuring && count > 0 {
                progress.measuring = true;
                stream.measured_from.store(self.next, Ordering::Release);
            }
            if count > 0 {
                stream.measured_to.store(self.next + count, Ordering::Release);
            }
        }
        let is_last = measured && progress.left == Some(0);
        self.put(link, shared, out, intended_ns, now_ns, measured, count);
        if is_last {
            if let Some(progress) = &mut self.progress {
                progress.done = true;
            }
            return Pause::Waiting;
        }
        if limit < room { Pause::Turn } else { Pause::Waiting }
    }

    #[allow(clippy::too_many_arguments)]
    #[inline]
    fn append(
        &mut self,
        link: &mut Link,
        shared: &Shared,
        recorder: &mut Recorder,
        out: &mut Vec<u8>,
        intended_ns: u64,
        now_ns: u64,
        measured: bool,
    ) {
        let sequence = self.next;
        self.put(link, shared, out, intended_ns, now_ns, measured, 1);
        let plan = &shared.plan;
        let Some(Progress { pace: Some(pace), run, .. }) = &mut self.progress else { return };
        let ends_ns = run.to_ns;
        shared.stream(self.stream).written.note(sequence, now_ns);
        pace.slots.advance();
        if measured {
            self.offered += 1;
            if pace.is_held(intended_ns) {
                recorder.counters.held_back += 1;
            } else if now_ns < ends_ns.saturating_add(LAG_FLOOR_NS) {
                recorder.counters.on_time += 1;
            }
            if plan.latency {
                let free_ns = intended_ns.max(pace.opened_ns);
                recorder.latency.sched_lag.record_between(free_ns, now_ns.max(free_ns));
            }
        }
    }

    /// Puts messages into the buffer and into the window.
    #[allow(clippy::too_many_arguments)]
    #[inline]
    fn put(
        &mut self,
        link: &mut Link,
        shared: &Shared,
        out: &mut Vec<u8>,
        intended_ns: u64,
        now_ns: u64,
        measured: bool,
        count: u64,
    ) {
        let plan = &shared.plan;
        let record = SendRecord { intended_ns, written_ns: now_ns, received_ns: std::cell::Cell::new(0), measured };
        // `room` has looked: there are as many places, and QoS 0 needs none.
        let identifiers = link.session.reserve_many(self.qos, count as usize, record);
        let next = self.next + identifiers.len() as u64;
        if !plan.payload.is_stamped() {
            (self.next..next).for_each(|sequence| shared.stream(self.stream).intended.note(sequence, intended_ns));
        }
        self.packets.append(plan, self.stream, Due { identifiers, sequence: self.next, intended_ns }, out);
        self.next = next;
    }

    /// Gives up slots that were due before another one that is due already, where the plan says so, and counts them. Those that the
    /// generator itself was too late for count as sent by nobody; those that window or socket held up, as held back.
    fn skip(&mut self, now_ns: u64, recorder: &mut Recorder) {
        let Some(Progress { pace: Some(pace), run, left, .. }) = &mut self.progress else { return };
        while pace.skips && superseded(run, pace) <= now_ns && *left != Some(0) {
            let intended_ns = due(run, pace);
            // A thread that wakes a little late is no reason to give anything up.
            let is_behind = pace.is_held(intended_ns) || now_ns - intended_ns.min(now_ns) > LAG_FLOOR_NS;
            if intended_ns >= run.to_ns || !is_behind {
                return;
            }
            if run.measures(intended_ns) {
                self.offered += 1;
                recorder.counters.skipped += 1;
                recorder.counters.held_back += u64::from(pace.is_held(intended_ns));
                if let Some(left) = left {
                    *left -= 1;
                }
            }
            pace.slots.advance();
        }
    }

    /// Notes that a due slot cannot be sent.
    fn hold(&mut self, now_ns: u64) {
        if let Some(Progress { pace: Some(pace), run, .. }) = &mut self.progress
            && due(run, pace) <= now_ns
        {
            pace.closed = true;
        }
    }

    /// Whether the pacer is to be asked for this wake-up, or has been already.
    pub(super) fn schedule(&mut self, due_ns: u64) -> bool {
        std::mem::replace(&mut self.scheduled_ns, due_ns) != due_ns
    }

    fn measures(&self, now_ns: u64) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.run.measures(now_ns))
    }

    /// The socket has taken bytes of messages; whole ones count as sent.
    pub(super) fn note_written(&mut self, bytes: usize, now_ns: u64, shared: &Shared, recorder: &mut Recorder) {
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        let (new, payload_bytes) = self.packets.take_written(self.next - self.written, self.waiting_bytes);
        self.written += new;
        shared.stream(self.stream).sent.store(self.next, Ordering::Release);
        if self.measures(now_ns) {
            recorder.counters.sent += new;
            recorder.counters.payload_bytes_out += payload_bytes;
        }
    }

    /// Tells others what acknowledgements have told.
    pub(super) fn publish_counts(&self, shared: &Shared) {
        let stream = shared.stream(self.stream);
        stream.answered.store(self.ears.answered, Ordering::Release);
        stream.measured_refused.store(self.ears.measured_refused, Ordering::Release);
        stream.refused.store(self.ears.refused, Ordering::Release);
        stream.completed.store(self.ears.completed, Ordering::Release);
    }

    /// The drain is over: what of the schedule was not sent stays so, and is counted as offered; where window or socket
    /// were closed to it, as held back too.
    pub(super) fn settle(&mut self, shared: &Shared, recorder: &mut Recorder) {
        if let Some(Progress { pace: Some(pace), run, left, done: false, .. }) = &self.progress {
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
        // What the socket has not taken yet was not sent in this stage.
        self.clip_measured(shared.stream(self.stream));
        shared.stream(self.stream).offered.store(std::mem::take(&mut self.offered), Ordering::Release);
        self.finish(shared);
    }

    /// QoS 2 messages that were acknowledged as QoS 1, since the last call.
    pub(super) fn take_downgraded(&mut self) -> u64 {
        std::mem::take(&mut self.ears.downgraded)
    }

    /// The connection is gone: nothing of what is under way is waited for, and a publisher that comes back goes on
    /// behind it.
    pub(super) fn lose(&mut self, shared: &Shared, now_ns: u64) {
        let stream = shared.stream(self.stream);
        self.take_back(stream);
        self.clip_measured(stream);
        stream.sent.store(self.next, Ordering::Release);
        // At QoS 0 nobody says how far the broker had read.
        let unanswered = match self.qos {
            QoS::AtMostOnce => 0,
            _ => self.next.saturating_sub(self.ears.completed),
        };
        let under_way = match self.qos {
            QoS::AtMostOnce => self.next - shared.delivered_floor(self.stream).unwrap_or(0).min(self.next),
            // Those of an earlier loss are never answered and not under way any more.
            _ => unanswered.saturating_sub(stream.abandoned.load(Ordering::Acquire)),
        };
        let from = self.next - under_way.min(self.next);
        stream.abandoned.store(unanswered, Ordering::Release);
        stream.abandoned_from.store(from, Ordering::Release);
        stream.abandoned_to.store(self.next, Ordering::Release);
        if stream.excused.fetch_add(under_way, Ordering::AcqRel) == 0 {
            stream.excused_from.store(from, Ordering::Release);
        }
        if let Some(Progress { pace: Some(pace), .. }) = &mut self.progress {
            // What is due from here on finds no connection.
            pace.closed = true;
        }
        (self.floor, self.refused_at_floor) = (self.next, self.ears.refused);
        if shared.plan.reconnect.is_none() {
            return;
        }
        if shared.plan.subscribers == 0 {
            self.down = self.down.or(Some((now_ns, self.through())));
        } else {
            // An outage that goes on began earlier.
            let _ = stream.down_since.compare_exchange(0, now_ns.max(1), Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// Takes back what the kernel has not taken wholly: it was never sent, and its numbers are free.
    fn take_back(&mut self, stream: &Stream) {
        let measured = self.next.saturating_sub(self.written.max(stream.measured_from.load(Ordering::Acquire)));
        (self.next, self.waiting_bytes) = (self.written, 0);
        self.packets.forget_unwritten();
        // A slot of a schedule was used up; in a closed loop another message takes its place.
        if let Some(Progress { pace: None, left: Some(left), measuring: true, done: false, .. }) = &mut self.progress {
            *left += measured;
        }
    }

    /// Of the measured messages only those that were sent are expected to arrive.
    fn clip_measured(&mut self, stream: &Stream) {
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

    /// It does not come back: of the stages to come nobody waits for it either. Not `finish`: what of the schedule was
    /// not sent is yet to be counted.
    pub(super) fn abandon(&mut self, shared: &Shared) {
        shared.stream(self.stream).done.store(u32::MAX, Ordering::Release);
    }

    /// Without a connection. Slots that come due are late through no fault of the generator's.
    pub(super) fn wait(&mut self, shared: &Shared, now_ns: u64) {
        let Some(Progress { pace, run, .. }) = &mut self.progress else { return };
        if let Some(pace) = pace {
            pace.closed = true;
        }
        if now_ns >= run.to_ns {
            // Not `finish`: what of the schedule was not sent is yet to be counted.
            shared.stream(self.stream).done.fetch_max(run.number, Ordering::AcqRel);
        }
    }

    /// What has got through where nobody subscribes: acknowledged messages, at QoS 0 those that the socket took.
    fn through(&self) -> u64 {
        if self.qos == QoS::AtMostOnce { self.written } else { self.ears.completed }
    }

    /// Ends an outage where something has got through again. Where somebody subscribes, the subscriber does.
    pub(super) fn end_outage(&mut self, now_ns: u64, outages: &mut Outages) {
        if let Some((since, through)) = self.down
            && self.through() > through
        {
            self.down = None;
            let (stream, dur_ns) = (self.stream as u64, now_ns.saturating_sub(since));
            outages.add(Outage { stream, start_ns: since, dur_ns, ended: true });
        }
    }

    /// Enters an outage that is not over.
    pub(super) fn note_open_outage(&self, now_ns: u64, outages: &mut Outages) {
        if let Some((since, _)) = self.down {
            let (stream, dur_ns) = (self.stream as u64, now_ns.saturating_sub(since));
            outages.add(Outage { stream, start_ns: since, dur_ns, ended: false });
        }
    }
}

/// When the next slot of a schedule is due, as a stamp can say it.
fn due(run: &StageRun, pace: &Pace) -> u64 {
    run.start_ns.saturating_add(stampable(pace.slots.due_ns()))
}

/// When it would be given up for the one after it.
fn superseded(run: &StageRun, pace: &Pace) -> u64 {
    run.start_ns.saturating_add(stampable(pace.slots.superseded_ns()))
}

/// The ears of a publisher during one batch.
pub(super) struct PublisherEars<'a> {
    pub(super) counts: &'a mut PublisherCounts,
    pub(super) recorder: &'a mut Recorder,
    /// The present stage: what was sent in an earlier one is not its own.
    pub(super) stage: Option<&'a StageRun>,
    pub(super) now_ns: u64,
    pub(super) measuring: bool,
    /// Whether latencies are recorded.
    pub(super) latency: bool,
    pub(super) together: Together,
}

impl PublisherEars<'_> {
    /// The batch is over.
    pub(super) fn end(mut self) {
        self.together.enter(&mut self.recorder.latency.ack);
    }

    /// Whether a message is one of those that the stage measures.
    fn counts(&self, kept: &SendRecord) -> bool {
        kept.measured && self.stage.is_some_and(|stage| stage.measures(kept.intended_ns))
    }

    /// Enters the latencies of so many messages that were sent in one go.
    fn record(&mut self, kept: &SendRecord, count: u64) {
        let latency = &mut self.recorder.latency;
        self.together.record(kept.intended_ns, count, &mut latency.ack);
        // In a closed loop both are the same.
        if self.stage.is_some_and(|stage| stage.rate.is_some()) {
            latency.ack_service.record_many_between(kept.written_ns, self.now_ns, count);
        }
        if kept.received_ns.get() > 0 {
            latency.pubcomp.record_between(kept.received_ns.get(), self.now_ns);
        }
    }
}

impl Handler<SendRecord> for PublisherEars<'_> {
    fn message(&mut self, _delivery: &Delivery<'_>) -> Acknowledge {
        // It subscribes to nothing; a broker may deliver what an earlier client of this id had asked for.
        self.recorder.counters.foreign += u64::from(self.measuring);
        Acknowledge::Now
    }

    #[inline]
    fn completed(&mut self, completion: Completion<'_, SendRecord>) {
        self.counts.completed += 1;
        let counts = self.counts(&completion.kept);
        let counters = &mut self.recorder.counters;
        match completion.outcome {
            Outcome::Acknowledged | Outcome::Downgraded => {
                counters.acked += u64::from(self.measuring);
                self.counts.answered += u64::from(counts);
                if completion.reason == crate::mqtt::ReasonCode::NO_MATCHING_SUBSCRIBERS {
                    counters.no_subscriber += u64::from(counts);
                }
                self.counts.downgraded += u64::from(completion.outcome == Outcome::Downgraded);
                if counts && self.latency {
                    self.record(&completion.kept, 1);
                }
            }
            Outcome::Refused => {
                self.counts.refused += 1;
                if counts {
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
    fn acknowledged(&mut self, _first: u16, mut kept: impl ExactSizeIterator<Item = SendRecord>) {
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
            if self.counts(&one) {
                self.counts.answered += count;
                if self.latency {
                    self.record(&one, count);
                }
            }
        }
    }

    fn received(&mut self, kept: &SendRecord) {
        if self.latency && self.counts(kept) {
            kept.received_ns.set(self.now_ns);
            self.recorder.latency.pubrec.record_between(kept.intended_ns, self.now_ns);
        }
    }

    fn event(&mut self, _event: Event) {}
}
