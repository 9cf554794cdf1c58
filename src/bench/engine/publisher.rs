//! A publisher: fills its window as fast as it goes (closed loop), or sends each slot of the schedule at its intended
//! time, late ones late and timed from when they were due (open loop).

mod handler;
mod loss;
mod progress;

use std::io;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::time::Duration;

pub(super) use self::handler::{AckCounts, PublisherHandler};
use self::progress::{StageProgress, due, superseded};
use super::clock::round_to_tick;
use super::link::{Link, SendRecord};
use super::packets::{Due, Packets};
use super::shared::Shared;
use crate::bench::measure::{LAG_FLOOR_NS, Recorder};
use crate::bench::plan::WindowRule;
use crate::mqtt::QoS;

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

/// The shortest silence after which what is under way counts as lost and the window goes on.
const SHORTEST_SILENCE_NS: u64 = 1_000_000_000;

/// So many round trips of silence are needed at the least.
const SILENT_ROUND_TRIPS: u64 = 4;

/// What was due before the end of a stage may leave for this long after it where one write does not take it all: the
/// rest of a burst.
const END_GRACE_NS: u64 = 10_000_000;

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
    /// How long messages take to all their receivers: rises at once, falls slowly. Until the first was timed, what
    /// CONNECT took to its answer.
    round_trip_ns: u64,
    /// The message that is being timed: the number after it, and when it was sent.
    timed: Option<(u64, u64)>,
    /// Places freed by silence that are not in a recorder yet.
    freed_by_silence: u64,
    /// The Packet Identifier of the first message of the last batch, and its number.
    anchor: (u16, u64),
    progress: Option<StageProgress>,
    /// Slots of the measured window that were sent.
    offered: u64,
    /// The wake-up that the pacer has been asked for.
    scheduled_ns: u64,
    /// Where nobody subscribes: since when the connection has been gone, and what had got through by then.
    down: Option<(u64, u64)>,
    /// The most messages in flight, where losses without progress have made them fewer than planned.
    pub(super) window_limit: Option<u16>,
    /// Connections in a row that were lost without progress.
    barren_losses: u32,
    /// Messages whose handshake was over at the last loss.
    completed_at_loss: u64,
    pub(super) counts: AckCounts,
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
    /// `round_trip` is what is known of the path beforehand.
    pub(super) fn new(stream: usize, packets: Packets, qos: QoS, round_trip: Duration) -> Self {
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
            round_trip_ns: round_trip.as_nanos() as u64,
            timed: None,
            freed_by_silence: 0,
            anchor: (1, 0),
            progress: None,
            offered: 0,
            scheduled_ns: 0,
            down: None,
            window_limit: None,
            barren_losses: 0,
            completed_at_loss: 0,
            counts: AckCounts::default(),
        }
    }

    fn is_paced(&self) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.pace.is_some())
    }

    /// The window, as losses have left it.
    fn window(&self, shared: &Shared) -> u64 {
        u64::from(self.window_limit.map_or(shared.plan.window, |limit| limit.min(shared.plan.window)))
    }

    /// How many messages the window lets go now. None: a refill waits for more places than there are. One function says
    /// both, because only who has looked at what was delivered may wait for it.
    fn room(&mut self, link: &Link, shared: &Shared, now_ns: u64) -> Option<u64> {
        let session = if self.qos == QoS::AtMostOnce { u64::MAX } else { link.session.window_free() as u64 };
        // Nothing that is due at a time of its own waits for others.
        let refill = match &self.progress {
            Some(StageProgress { pace: None, left, .. }) => {
                let window = self.window(shared).min(link.session.allowed() as u64);
                (window / REFILL_PART).min(REFILL_MOST).min(left.unwrap_or(u64::MAX))
            }
            _ => 0,
        };
        let places = if shared.plan.window_rule != WindowRule::Delivery || shared.plan.subscribers == 0 || session == 0
        {
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
        let window = self.window(shared) + self.counts.refused - self.refused_at_floor;
        let known = (self.floor + window).saturating_sub(self.next);
        if known > 0 {
            self.last_progress_ns = now_ns;
        }
        if known >= wanted.max(1) && !self.is_paced() {
            return known;
        }
        // A subscriber that is gone waits for nothing.
        let floor = shared.delivered_floor(self.stream).unwrap_or(self.next).min(self.next);
        let silence_ns = SHORTEST_SILENCE_NS.max(self.round_trip_ns.saturating_mul(SILENT_ROUND_TRIPS));
        let is_silent = known == 0 && now_ns.saturating_sub(self.last_progress_ns) >= silence_ns;
        self.note_round_trip(floor, now_ns);
        if floor > self.floor || is_silent {
            if floor > self.floor {
                self.floor = floor;
            } else {
                self.freed_by_silence += self.next - self.floor;
                self.floor = self.next;
            }
            self.refused_at_floor = self.counts.refused;
            self.last_progress_ns = now_ns;
        }
        // As it was before the floor rose: what was refused below it is forgotten with the next look.
        (self.floor + window).saturating_sub(self.next)
    }

    /// Ends the timing of a message that has arrived everywhere, also after its place was freed.
    fn note_round_trip(&mut self, floor: u64, now_ns: u64) {
        if let Some((end, sent_ns)) = self.timed
            && floor >= end
        {
            let took_ns = now_ns.saturating_sub(sent_ns);
            self.round_trip_ns = took_ns.max(self.round_trip_ns - self.round_trip_ns / 8 + took_ns / 8);
            self.timed = None;
        }
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
        now_ns: u64,
    ) -> io::Result<Pause> {
        if self.is_done() || !link.session.is_open() {
            return Ok(Pause::Waiting);
        }
        if !link.is_writable() {
            self.hold(now_ns);
            self.skip(now_ns, recorder);
            self.end_schedule(Pause::Waiting, now_ns, shared);
            return Ok(Pause::Waiting);
        }
        let Some(room) = self.room(link, shared, now_ns) else { return Ok(Pause::Waiting) };
        if self.freed_by_silence > 0 {
            let freed = std::mem::take(&mut self.freed_by_silence);
            recorder.counters.freed_by_silence += if self.measures(now_ns) { freed } else { 0 };
        }
        if room > 0
            && let Some(StageProgress { pace: Some(pace), .. }) = &mut self.progress
            && std::mem::take(&mut pace.closed)
        {
            pace.opened_ns = now_ns;
        }
        self.leave_warmup_behind(now_ns);
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
            link.session.handle_written(shared.clock.at(now_ns), !link.is_writable());
            self.note_written(taken.saturating_sub(before), now_ns, shared, recorder);
        }
        if self.is_done() {
            // Only now that all is counted as sent: whoever sees it looks for what is under way next.
            self.finish(shared);
        }
        self.end_schedule(pause, now_ns, shared);
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
            if built > 0 {
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
        let intended_ns = round_to_tick(now_ns);
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
        self.put(link, shared, out, intended_ns, now_ns, count);
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
        self.put(link, shared, out, intended_ns, now_ns, 1);
        let plan = &shared.plan;
        let Some(StageProgress { pace: Some(pace), run, .. }) = &mut self.progress else { return };
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
    #[inline]
    fn put(&mut self, link: &mut Link, shared: &Shared, out: &mut Vec<u8>, intended_ns: u64, now_ns: u64, count: u64) {
        let plan = &shared.plan;
        let record = SendRecord { intended_ns, written_ns: now_ns, received_ns: std::cell::Cell::new(0) };
        // `room` has looked: there are as many places, and QoS 0 needs none.
        let identifiers = link.session.reserve_many(self.qos, count as usize, record);
        let next = self.next + identifiers.len() as u64;
        if let Some(first) = identifiers.clone().next() {
            self.anchor = (first, self.next);
        }
        if !plan.payload.is_stamped() {
            (self.next..next).for_each(|sequence| shared.stream(self.stream).intended.note(sequence, intended_ns));
        }
        self.packets.append(plan, self.stream, Due { identifiers, sequence: self.next, intended_ns }, out);
        self.next = next;
        if self.timed.is_none() {
            self.timed = Some((next, now_ns));
        }
    }

    /// Gives up slots that were due before another one that is due already, where the plan says so, and counts them. Those that the
    /// generator itself was too late for count as sent by nobody; those that window or socket held up, as held back.
    fn skip(&mut self, now_ns: u64, recorder: &mut Recorder) {
        let Some(StageProgress { pace: Some(pace), run, left, .. }) = &mut self.progress else { return };
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

    /// Of a warm-up that the path or this machine did not carry nothing is carried over: the measured window begins with
    /// what is due in it. Slots that are only a little late are sent.
    fn leave_warmup_behind(&mut self, now_ns: u64) {
        if let Some(StageProgress { pace: Some(pace), run, .. }) = &mut self.progress
            && now_ns >= run.from_ns
            && due(run, pace).saturating_add(LAG_FLOOR_NS) < run.from_ns
        {
            pace.slots.advance_to(run.from_ns - run.start_ns);
        }
    }

    /// Ends the schedule when its time is over: what window or socket do not take at this last look is not sent.
    fn end_schedule(&mut self, pause: Pause, now_ns: u64, shared: &Shared) {
        if let Some(StageProgress { pace: Some(_), run, .. }) = &self.progress
            && now_ns >= run.to_ns
            && (pause != Pause::Turn || now_ns >= run.to_ns.saturating_add(END_GRACE_NS))
        {
            self.finish(shared);
        }
    }

    /// Notes that a due slot cannot be sent.
    fn hold(&mut self, now_ns: u64) {
        if let Some(StageProgress { pace: Some(pace), run, .. }) = &mut self.progress
            && due(run, pace) <= now_ns
        {
            pace.closed = true;
        }
    }

    /// Whether the pacer is to be asked for this wake-up, or has been already.
    pub(super) fn schedule_wake(&mut self, due_ns: u64) -> bool {
        std::mem::replace(&mut self.scheduled_ns, due_ns) != due_ns
    }

    fn measures(&self, now_ns: u64) -> bool {
        self.progress.as_ref().is_some_and(|progress| progress.run.measures(now_ns))
    }

    /// The socket has taken bytes of messages; whole ones count as sent.
    pub(super) fn note_written(&mut self, bytes: usize, now_ns: u64, shared: &Shared, recorder: &mut Recorder) {
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        let (new, payload_bytes) = self.packets.take_written(self.next - self.written, self.waiting_bytes);
        let before = self.written;
        self.written += new;
        let stream = shared.stream(self.stream);
        stream.sent.store(self.next, Ordering::Release);
        let measured = match &self.progress {
            // A message of a schedule belongs to the window in which it was due, also when it leaves a moment later: what
            // was sent and what was not are then exactly what was offered.
            Some(StageProgress { pace: Some(_), run, .. }) => {
                let measured = stream.measured(run.number);
                self.written.min(measured.end).saturating_sub(before.max(measured.start))
            }
            _ if self.measures(now_ns) => new,
            _ => 0,
        };
        recorder.counters.sent += measured;
        // At the edges of the window a share, which is exact where all have one size.
        recorder.counters.payload_bytes_out += match measured == new {
            true => payload_bytes,
            false => payload_bytes * measured / new,
        };
    }

    /// Tells others what acknowledgements have told.
    pub(super) fn publish_counts(&self, shared: &Shared) {
        let stream = shared.stream(self.stream);
        stream.answered.store(self.counts.answered, Ordering::Release);
        stream.measured_refused.store(self.counts.measured_refused, Ordering::Release);
        stream.refused.store(self.counts.refused, Ordering::Release);
        stream.completed.store(self.counts.completed, Ordering::Release);
    }

    /// QoS 2 messages that were acknowledged as QoS 1, since the last call.
    pub(super) fn take_downgraded(&mut self) -> u64 {
        std::mem::take(&mut self.counts.downgraded)
    }
}
