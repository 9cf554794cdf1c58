//! A publisher: fills its window as fast as it can (closed loop), or sends each slot of the schedule at its intended
//! time; late slots are sent late and timed from when they were due (open loop).

mod handler;
mod sequences;
mod stage_progress;
mod window;

use std::cell::Cell;
use std::io;
use std::task::Context;
use std::time::Duration;

pub(super) use self::handler::{AckCounts, PublisherHandler};
use self::sequences::Sequences;
use self::stage_progress::{NextSlot, StageProgress};
use self::window::{DeliveryWindow, WindowLimit};
use super::link::{BenchSession, Link, SendRecord};
use super::packets::{Due, Packets};
use super::shared::{Shared, StageRun};
use crate::bench::measure::{Outage, Outages, Recorder};
use crate::bench::plan::{BenchPlan, Schedule, WindowRule};
use crate::mqtt::QoS;
use crate::session::Identifiers;

/// Bytes per write to the kernel, roughly.
const BATCH_BYTES: usize = 32 * 1024;

/// The state of one publisher.
#[derive(Debug)]
pub(super) struct Publisher {
    stream: usize,
    qos: QoS,
    packets: Packets,
    sequences: Sequences,
    /// Bytes of messages that wait in the link; control packets before them are not counted.
    waiting_bytes: usize,
    window: DeliveryWindow,
    window_limit: WindowLimit,
    stage: Option<StageProgress>,
    /// The wake-up that was requested from the pacer.
    scheduled_ns: u64,
    /// Where nobody subscribes: since when there has been no connection, and what had got through by then.
    outage: Option<(u64, u64)>,
    pub(super) counts: AckCounts,
}

/// What takes the messages of a publisher.
pub(super) trait Outlet {
    /// Takes the places of `count` messages in what is in flight. There are as many free ones.
    fn reserve(&mut self, qos: QoS, count: usize, record: SendRecord) -> Identifiers;

    /// Takes these messages.
    fn take(&mut self, packets: &mut Packets, plan: &BenchPlan, stream: usize, due: Due);
}

/// What an outlet can take now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    /// It is connected.
    pub(super) is_open: bool,
    /// It takes something.
    pub(super) is_writable: bool,
    /// Free places among the messages in flight.
    pub(super) free: u64,
    /// All of them.
    pub(super) all: u64,
}

/// A connection of this engine, with the buffer in which packets are built.
struct LinkOutlet<'a> {
    session: &'a mut BenchSession,
    out: &'a mut Vec<u8>,
}

impl Outlet for LinkOutlet<'_> {
    #[inline]
    fn reserve(&mut self, qos: QoS, count: usize, record: SendRecord) -> Identifiers {
        self.session.reserve_many(qos, count, record)
    }

    #[inline]
    fn take(&mut self, packets: &mut Packets, plan: &BenchPlan, stream: usize, due: Due) {
        packets.append(plan, stream, due, self.out);
    }
}

/// Why a publisher has stopped filling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// The window, the socket, or nothing to do: something will wake it.
    Waiting,
    /// The next slot is due at this time.
    Until(u64),
    /// It has used its turn and has more to send.
    Turn,
}

impl Publisher {
    /// `round_trip` is what is known about the path beforehand.
    pub(super) fn new(stream: usize, packets: Packets, qos: QoS, round_trip: Duration) -> Self {
        Self {
            stream,
            qos,
            packets,
            sequences: Sequences::new(),
            waiting_bytes: 0,
            window: DeliveryWindow::new(round_trip),
            window_limit: WindowLimit::default(),
            stage: None,
            scheduled_ns: 0,
            outage: None,
            counts: AckCounts::default(),
        }
    }

    /// The number of its stream, which is its number among the publishers.
    pub(super) const fn stream(&self) -> usize {
        self.stream
    }

    /// Begins a stage if it is a new one, else takes over its end; `schedule` is that of an open loop.
    pub(super) fn enter_stage(
        &mut self,
        run: Option<&StageRun>,
        schedule: impl FnOnce() -> Option<Schedule>,
        shared: &Shared,
    ) {
        let Some(run) = run else { return };
        if let Some(stage) = &mut self.stage
            && stage.run().number == run.number
        {
            stage.set_end(run.to_ns);
            return;
        }
        self.stage = Some(StageProgress::new(*run, self.stream, schedule(), &shared.plan));
        self.window.begin_stage(shared.clock.now_ns());
        self.counts.begin_stage();
        self.publish_counts(shared);
        let stream = shared.stream(self.stream);
        stream.losses.begin_stage();
        stream.measured.begin(run.number, self.sequences.next());
    }

    /// Whether it has sent everything that the stage asks for.
    fn is_done(&self) -> bool {
        self.stage.as_ref().is_none_or(StageProgress::is_done)
    }

    /// Ends the stage at its present state.
    fn finish(&mut self, shared: &Shared) {
        if let Some(stage) = &mut self.stage {
            stage.set_done();
            shared.stream(self.stream).measured.set_done(stage.run().number);
        }
    }

    /// The drain is over: what of the schedule was not sent stays so, and is counted.
    pub(super) fn settle(&mut self, shared: &Shared, recorder: &mut Recorder) {
        // What the socket has not taken yet was not sent in this stage.
        self.clip_measured(shared);
        let measured = &shared.stream(self.stream).measured;
        let (offered, not_sent) = self.stage.as_mut().map_or((0, 0), |stage| {
            let sent = measured.range(stage.run().number);
            stage.settle(sent.end - sent.start, recorder)
        });
        measured.settle(offered, not_sent);
        self.finish(shared);
    }

    /// Of the measured messages only those that were sent are expected to arrive.
    fn clip_measured(&mut self, shared: &Shared) {
        if shared.stream(self.stream).measured.clip(self.sequences.written())
            && let Some(stage) = &mut self.stage
        {
            stage.reset_measured();
        }
    }

    /// How many messages the window allows now. None: a refill waits for more slots than are free. One function decides
    /// both, because only who has looked at what was delivered may wait for it.
    fn free_slots(&mut self, capacity: Capacity, shared: &Shared, now_ns: u64) -> Option<u64> {
        let session = capacity.free;
        let size = self.window_limit.apply(shared.plan.window);
        // What is due at its own time does not wait for others.
        let refill = match &self.stage {
            Some(stage) if !stage.is_paced() => {
                let refill = DeliveryWindow::refill(size.min(capacity.all));
                refill.min(stage.left().unwrap_or(u64::MAX))
            }
            _ => 0,
        };
        let slots = if shared.plan.window_rule != WindowRule::Delivery || shared.plan.subscribers == 0 || session == 0 {
            session
        } else {
            // A paced publisher looks each time.
            let is_paced = self.stage.as_ref().is_some_and(StageProgress::is_paced);
            let wanted = if is_paced { u64::MAX } else { refill };
            let sent = (self.sequences.next(), self.counts.refused());
            session.min(self.window.free_slots(size, sent, wanted, shared.stream(self.stream), now_ns))
        };
        let waits = slots < refill && self.window.may_wait(now_ns);
        (!waits).then_some(slots)
    }

    /// Whether less than a quarter of the window is in flight although the stage continues: the thread slept too long.
    pub(super) fn is_starved(&self, link: &Link, shared: &Shared) -> bool {
        let is_low = || match self.qos {
            QoS::AtMostOnce => {
                shared.plan.window_rule == WindowRule::Delivery
                    && shared.stream(self.stream).receivers.lowest().is_some_and(|low| low >= self.sequences.next())
            }
            _ => link.session.in_flight() < link.session.allowed() / 4,
        };
        !self.is_done() && link.is_writable() && is_low()
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
        let session = &link.session;
        let free = if self.qos == QoS::AtMostOnce { u64::MAX } else { session.window_free() as u64 };
        let (is_open, is_writable) = (session.is_open(), link.is_writable());
        let capacity = Capacity { is_open, is_writable, free, all: session.allowed() as u64 };
        let Some(free) = self.begin_fill(capacity, shared, recorder, now_ns) else { return Ok(Pause::Waiting) };
        out.clear();
        link.session.take_output(out);
        let before = out.len();
        let mut outlet = LinkOutlet { session: &mut link.session, out: &mut *out };
        let pause = self.build(&mut outlet, shared, recorder, free, now_ns);
        if !out.is_empty() {
            self.waiting_bytes = out.len() - before;
            let taken = link.send(context, out)?;
            link.session.handle_written(shared.clock.at(now_ns), !link.is_writable());
            self.note_written(taken.saturating_sub(before), now_ns, shared, recorder);
        }
        self.end_fill(pause, now_ns, shared);
        Ok(pause)
    }

    /// Hands over to a client of another library what may be sent now.
    #[cfg(feature = "rumqttc")]
    pub(super) fn feed(
        &mut self,
        outlet: &mut impl Outlet,
        capacity: Capacity,
        shared: &Shared,
        recorder: &mut Recorder,
        now_ns: u64,
    ) -> Pause {
        let Some(free) = self.begin_fill(capacity, shared, recorder, now_ns) else { return Pause::Waiting };
        let pause = self.build(outlet, shared, recorder, free, now_ns);
        shared.stream(self.stream).set_sent(self.sequences.next());
        self.end_fill(pause, now_ns, shared);
        pause
    }

    /// Looks at stage, window and outlet. Returns how many messages may be sent; none where nothing is to be sent now.
    fn begin_fill(&mut self, capacity: Capacity, shared: &Shared, recorder: &mut Recorder, now_ns: u64) -> Option<u64> {
        let stage = self.stage.as_mut().filter(|stage| !stage.is_done() && capacity.is_open)?;
        if !capacity.is_writable {
            stage.note_blocked(now_ns);
            stage.skip_overtaken(now_ns, recorder);
            self.end_schedule(Pause::Waiting, now_ns, shared);
            return None;
        }
        let free = self.free_slots(capacity, shared, now_ns)?;
        let stage = self.stage.as_mut()?;
        let freed = self.window.take_freed_by_silence();
        recorder.counters.freed_by_silence += if stage.run().measures(now_ns) { freed } else { 0 };
        if free > 0 {
            stage.note_open(now_ns);
        }
        stage.drop_warm_up_backlog(now_ns);
        stage.skip_overtaken(now_ns, recorder);
        self.window.note_fill(now_ns);
        Some(free)
    }

    /// Builds at most `free` messages, as many as fit into one write.
    fn build(
        &mut self,
        outlet: &mut impl Outlet,
        shared: &Shared,
        recorder: &mut Recorder,
        free: u64,
        now_ns: u64,
    ) -> Pause {
        let by_bytes = (BATCH_BYTES / self.packets.typical_size()).max(1) as u64;
        let limits = (free, free.min(by_bytes));
        if self.stage.as_ref().is_some_and(StageProgress::is_paced) {
            self.build_due(outlet, shared, recorder, limits, now_ns)
        } else {
            self.build_batch(outlet, shared, limits, now_ns)
        }
    }

    fn end_fill(&mut self, pause: Pause, now_ns: u64, shared: &Shared) {
        if self.is_done() {
            // Only now that everything is counted as sent: whoever sees it looks for what is in flight next.
            self.finish(shared);
        }
        self.end_schedule(pause, now_ns, shared);
    }

    /// Open loop: appends the slots that are due, within the free slots of the window and the limit of one write.
    fn build_due(
        &mut self,
        outlet: &mut impl Outlet,
        shared: &Shared,
        recorder: &mut Recorder,
        (free, limit): (u64, u64),
        mut now_ns: u64,
    ) -> Pause {
        let stream = shared.stream(self.stream);
        for built in 0.. {
            let Some(stage) = &mut self.stage else { break };
            if built > 0 {
                // When paced, one clock read per message.
                now_ns = shared.clock.now_ns();
                stage.skip_overtaken(now_ns, recorder);
            }
            let intended_ns = match stage.next_slot(now_ns) {
                NextSlot::None => break,
                NextSlot::At(due_ns) => return Pause::Until(due_ns),
                NextSlot::Due(intended_ns) => intended_ns,
            };
            if built == limit {
                if limit < free {
                    return Pause::Turn;
                }
                stage.note_blocked(now_ns);
                break;
            }
            let sequence = self.sequences.next();
            if stage.run().measures(intended_ns) {
                stage.measure(1, sequence, &stream.measured);
            }
            stage.advance(intended_ns, now_ns, recorder, shared.plan.latency);
            stream.written.set(sequence, now_ns);
            self.append(outlet, shared, intended_ns, now_ns, 1);
        }
        Pause::Waiting
    }

    /// Closed loop: appends as many messages as fit, all meant for this moment.
    fn build_batch(
        &mut self,
        outlet: &mut impl Outlet,
        shared: &Shared,
        (free, limit): (u64, u64),
        now_ns: u64,
    ) -> Pause {
        let Some(stage) = &mut self.stage else { return Pause::Waiting };
        let intended_ns = match stage.next_batch(now_ns) {
            NextSlot::None => return Pause::Waiting,
            NextSlot::At(start_ns) => return Pause::Until(start_ns),
            NextSlot::Due(intended_ns) => intended_ns,
        };
        let mut count = limit;
        if stage.run().measures(intended_ns) {
            count = stage.measure(count, self.sequences.next(), &shared.stream(self.stream).measured);
            if stage.left() == Some(0) {
                stage.set_done();
            }
        }
        let is_done = stage.is_done();
        self.append(outlet, shared, intended_ns, now_ns, count);
        if !is_done && limit < free { Pause::Turn } else { Pause::Waiting }
    }

    /// Passes messages to the outlet and adds them to the window.
    #[inline]
    fn append(&mut self, outlet: &mut impl Outlet, shared: &Shared, intended_ns: u64, now_ns: u64, count: u64) {
        let plan = &shared.plan;
        let record = SendRecord { intended_ns, written_ns: now_ns, received_ns: Cell::new(0) };
        // The caller has looked: there are as many free slots, and QoS 0 needs none.
        let identifiers = outlet.reserve(self.qos, count as usize, record);
        let sequence = self.sequences.assign(&identifiers);
        let next = self.sequences.next();
        if !plan.payload.is_stamped() {
            let stream = shared.stream(self.stream);
            (sequence..next).for_each(|sequence| stream.intended.set(sequence, intended_ns));
        }
        let shift_ns = self.stage.as_ref().map_or(0, |stage| stage.run().stamp_shift_ns);
        let due = Due { identifiers, sequence, intended_ns: intended_ns.wrapping_add(shift_ns) };
        outlet.take(&mut self.packets, plan, self.stream, due);
        self.window.note_sent(next, now_ns);
    }

    /// Ends the schedule when its time is over: what window or socket do not take at this last attempt is not sent.
    fn end_schedule(&mut self, pause: Pause, now_ns: u64, shared: &Shared) {
        if self.stage.as_ref().is_some_and(|stage| stage.is_over(pause == Pause::Turn, now_ns)) {
            self.finish(shared);
        }
    }

    /// Whether the pacer must be asked for this wake-up: it was not asked for before.
    pub(super) fn schedule_wake(&mut self, due_ns: u64) -> bool {
        std::mem::replace(&mut self.scheduled_ns, due_ns) != due_ns
    }

    fn measures(&self, now_ns: u64) -> bool {
        self.stage.as_ref().is_some_and(|stage| stage.run().measures(now_ns))
    }

    /// The socket has taken bytes of messages; whole messages count as sent.
    pub(super) fn note_written(&mut self, bytes: usize, now_ns: u64, shared: &Shared, recorder: &mut Recorder) {
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        let (new, payload_bytes) = self.packets.take_written(self.sequences.unwritten(), self.waiting_bytes);
        self.count_written(new, payload_bytes, now_ns, shared, recorder);
    }

    /// A client of another library has written the next message.
    #[cfg(feature = "rumqttc")]
    pub(super) fn note_one_written(&mut self, now_ns: u64, shared: &Shared, recorder: &mut Recorder) {
        let payload_bytes = self.packets.take_first_written();
        self.count_written(1, payload_bytes, now_ns, shared, recorder);
    }

    /// These messages were written.
    #[inline]
    fn count_written(&mut self, new: u64, payload_bytes: u64, now_ns: u64, shared: &Shared, recorder: &mut Recorder) {
        let before = self.sequences.written();
        self.sequences.add_written(new);
        let stream = shared.stream(self.stream);
        stream.set_sent(self.sequences.next());
        let measured = match &self.stage {
            // A message of a schedule belongs to the window in which it was due, also where it is sent a moment later:
            // sent and not sent messages then add up to the offered ones.
            Some(stage) if stage.is_paced() => {
                let measured = stream.measured.range(stage.run().number);
                self.sequences.written().min(measured.end).saturating_sub(before.max(measured.start))
            }
            _ if self.measures(now_ns) => new,
            _ => 0,
        };
        recorder.counters.sent += measured;
        // At the edges of the window in proportion, which is exact where all payloads have one size.
        recorder.counters.payload_bytes_out +=
            if measured == new { payload_bytes } else { payload_bytes * measured / new };
    }

    /// Shows other threads what it learned from acknowledgements.
    pub(super) fn publish_counts(&self, shared: &Shared) {
        shared.stream(self.stream).set_acknowledged(self.counts.totals());
    }

    /// QoS 2 messages that were acknowledged as QoS 1, since the last call.
    pub(super) fn take_downgraded(&mut self) -> u64 {
        self.counts.take_downgraded()
    }

    /// The most messages in flight, where losses have reduced it.
    pub(super) const fn window_limit(&self) -> Option<u16> {
        self.window_limit.get()
    }

    /// The connection was lost. Returns the new window where it was reduced.
    ///
    /// Nobody waits for messages in flight that are not sent again, and a publisher that reconnects continues after
    /// them.
    /// `in_flight` is how many of them there were.
    pub(super) fn note_loss(&mut self, shared: &Shared, in_flight: usize, now_ns: u64) -> Option<u16> {
        let plan = &shared.plan;
        let reduced = plan.reconnect.and_then(|_| self.window_limit.note_loss(self.counts.completed(), in_flight));
        if self.sends_again(shared) {
            self.keep_unwritten(shared);
        } else {
            self.abandon_in_flight(shared);
        }
        self.window.stop_timing();
        if let Some(stage) = &mut self.stage {
            stage.block();
        }
        if plan.reconnect.is_some() && plan.subscribers == 0 {
            self.outage = self.outage.or(Some((now_ns, self.delivered())));
        } else if plan.reconnect.is_some() {
            shared.stream(self.stream).outage.start(now_ns);
        }
        reduced
    }

    /// Whether messages in flight at a loss are sent again: where the session outlasts the connection (MQTT-4.4.0-1).
    fn sends_again(&self, shared: &Shared) -> bool {
        self.qos != QoS::AtMostOnce && !shared.plan.session.clean_start && shared.plan.reconnect.is_some()
    }

    /// Everything stays in the window and is waited for, including what the kernel has not taken.
    fn keep_unwritten(&mut self, shared: &Shared) {
        self.waiting_bytes = 0;
        self.packets.forget_unwritten();
        let stream = shared.stream(self.stream);
        stream.set_sent(self.sequences.next());
        stream.losses.add_without_loss(self.sequences.next());
    }

    /// Nothing that is in flight is waited for. What the kernel has not taken was never sent.
    fn abandon_in_flight(&mut self, shared: &Shared) {
        let stream = shared.stream(self.stream);
        let unwritten_from = self.sequences.written().max(stream.measured.from());
        let unwritten = self.sequences.next().saturating_sub(unwritten_from);
        self.sequences.take_back_unwritten();
        self.waiting_bytes = 0;
        self.packets.forget_unwritten();
        if let Some(stage) = &mut self.stage {
            stage.put_back(unwritten);
        }
        self.clip_measured(shared);
        let next = self.sequences.next();
        stream.set_sent(next);
        let (unanswered, in_flight) = if self.qos == QoS::AtMostOnce {
            // It is unknown how far the broker had read.
            (0, next - stream.receivers.lowest().unwrap_or(0).min(next))
        } else {
            // Messages of earlier losses are never answered, and not in flight any more.
            let unanswered = next.saturating_sub(self.counts.completed());
            (unanswered, unanswered.saturating_sub(stream.losses.unanswered()))
        };
        stream.losses.add(next - in_flight.min(next)..next, unanswered);
        self.window.restart(next, self.counts.refused());
    }

    /// Writes a message of an earlier connection again. False where the plan does not keep sessions.
    pub(super) fn rewrite(
        &mut self,
        shared: &Shared,
        recorder: &mut Recorder,
        kept: &SendRecord,
        (identifier, dup): (u16, bool),
        out: &mut Vec<u8>,
    ) -> bool {
        if !self.sends_again(shared) {
            return false;
        }
        let (sequence, intended_ns) = (self.sequences.of_identifier(identifier), kept.intended_ns);
        let due = Due { identifiers: Identifiers::one(identifier), sequence, intended_ns };
        let payload = self.packets.append_again(&shared.plan, self.stream, due, dup, out);
        let is_new = self.sequences.add_resent(sequence);
        if self.measures(shared.clock.now_ns()) {
            let counters = &mut recorder.counters;
            if is_new {
                // The connection was lost before the kernel had taken it.
                counters.sent += 1;
                counters.payload_bytes_out += payload;
            } else {
                counters.sent_again += 1;
            }
        }
        true
    }

    /// The next packets are the first of a connection.
    pub(super) fn reset_connection(&mut self) {
        self.packets.forget_unwritten();
    }

    /// It does not reconnect: later stages do not wait for it either. Its slots that were not sent are counted when
    /// each stage is settled.
    pub(super) fn retire(&mut self, shared: &Shared) {
        shared.stream(self.stream).measured.retire();
    }

    /// Whether it has lost its connection for good.
    pub(super) fn is_retired(&self, shared: &Shared) -> bool {
        shared.stream(self.stream).measured.is_retired()
    }

    /// Time passes without a connection. Slots that come due are late through no fault of the generator.
    pub(super) fn wait_without_connection(&mut self, shared: &Shared, now_ns: u64) {
        let Some(stage) = &mut self.stage else { return };
        stage.block();
        if now_ns >= stage.run().to_ns {
            // Not `finish`: slots that were not sent are yet to be counted.
            shared.stream(self.stream).measured.set_done(stage.run().number);
        }
    }

    /// What has got through where nobody subscribes: acknowledged messages; at QoS 0 those that the socket took.
    const fn delivered(&self) -> u64 {
        if matches!(self.qos, QoS::AtMostOnce) { self.sequences.written() } else { self.counts.completed() }
    }

    /// Ends an outage where something got through again. Where somebody subscribes, the subscriber does.
    pub(super) fn end_outage(&mut self, now_ns: u64, outages: &mut Outages) {
        if let Some((start_ns, delivered)) = self.outage
            && self.delivered() > delivered
        {
            self.outage = None;
            let (stream, dur_ns) = (self.stream as u64, now_ns.saturating_sub(start_ns));
            outages.add(Outage { stream, start_ns, dur_ns, ended: true });
        }
    }

    /// Adds an outage that is not over.
    pub(super) fn add_open_outage(&self, now_ns: u64, outages: &mut Outages) {
        if let Some((start_ns, _)) = self.outage {
            let (stream, dur_ns) = (self.stream as u64, now_ns.saturating_sub(start_ns));
            outages.add(Outage { stream, start_ns, dur_ns, ended: false });
        }
    }
}
