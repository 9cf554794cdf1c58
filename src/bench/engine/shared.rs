//! What threads share while a run is on: positions in the streams, and the word to stop. A publisher and its subscribers
//! may be on different threads, so positions are atomic, written once a batch and read once a batch; locks are taken only
//! where a stage begins or ends.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use atomic_waker::AtomicWaker;
use bytes::Bytes;

use super::clock::Clock;
use super::marks::Marks;
use super::request::response_topic;
use crate::bench::measure::STAMP_TICK_NS;
use crate::bench::plan::{BenchPlan, LoadModel, WindowRule};
use crate::transport::TlsInfo;

/// The state that all threads of a run see.
#[derive(Debug)]
pub struct Shared {
    /// The plan.
    pub plan: BenchPlan,
    /// The clock.
    pub clock: Clock,
    streams: Vec<StreamState>,
    /// For each stream and each of its receivers the sequence number below which nothing is waited for: the one after the
    /// highest that arrived. Only rises.
    delivered: Vec<AtomicU64>,
    /// Streams by their topics, where messages have no stamp and the topic tells the stream.
    topics: HashMap<String, usize>,
    /// Where in the streams the seconds of the stage began.
    marks: Mutex<Marks>,
    /// What the first connection's TLS agreed on.
    pub tls: OnceLock<TlsInfo>,
    /// The load is to end now: Ctrl-C, or a broker that is gone.
    pub halt: AtomicBool,
    /// The number of the stage that begins, or has begun, and the stage itself.
    begun: AtomicU32,
    run: Mutex<Option<StageRun>>,
}

/// One publisher's stream as others see it.
#[derive(Debug, Default)]
pub struct StreamState {
    first_cell: usize,
    cells: usize,
    /// What its messages look like, where they have no stamp and are all the same.
    pub content: Option<Bytes>,
    /// The lowest position when all were looked at last, and whose it was.
    floor: AtomicU64,
    laggard: AtomicUsize,
    /// Messages handed to the socket.
    pub sent: AtomicU64,
    /// Messages whose last acknowledgement came (QoS 1 and 2).
    pub completed: AtomicU64,
    /// Messages that the broker refused: they are completed, and will not be delivered.
    pub refused: AtomicU64,
    /// Of the stage's measured messages, those that were acknowledged or refused.
    pub answered: AtomicU64,
    /// Of these, those that were refused.
    pub measured_refused: AtomicU64,
    /// Messages lost with their connection: no acknowledgement is to be waited for.
    pub abandoned: AtomicU64,
    /// The first message that was under way when the connection was lost last, and the one after the last.
    pub abandoned_from: AtomicU64,
    /// Messages that went with connections in the stage, and where the first of them may be: nobody waits for them.
    pub excused: AtomicU64,
    /// See `excused`.
    pub excused_from: AtomicU64,
    /// See `abandoned_from`. Nothing that is sent from here on was under way at an outage of the publisher.
    pub abandoned_to: AtomicU64,
    /// Since when the publisher has been without connection and nothing has come through, nanoseconds since t0; 0 while
    /// there is no outage.
    pub down_since: AtomicU64,
    /// Number of the stage whose measured messages the next two tell.
    pub measured_in: AtomicU32,
    /// First measured sequence number of the stage.
    pub measured_from: AtomicU64,
    /// The one after the last.
    pub measured_to: AtomicU64,
    /// Slots of the schedule in the measured window.
    pub offered: AtomicU64,
    /// Messages that the stage asked for and that were not sent when it ended.
    pub not_sent: AtomicU64,
    /// Number of the last stage for which the publisher has sent all that it was to send.
    pub done: AtomicU32,
    /// Wakes the publisher when it waits for deliveries.
    pub room: AtomicWaker,
    /// When messages were to be sent, where payloads have no room for a stamp.
    pub intended: SendTimes,
    /// When they were handed to the socket, where that is not when they were to be sent (open loop), latencies are
    /// recorded, and somebody in this process receives them.
    pub written: SendTimes,
}

/// The times of a stream's last messages by sequence number: 16 bits of the number, those above the ones that the place
/// tells, and 48 bits of time. Empty where nobody asks. One store and one load a message, no lock: who asks for a message has received it, so its time is there.
#[derive(Debug, Default)]
pub struct SendTimes(Box<[AtomicU64]>);

const TIME_BITS: u32 = 48;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// Places for messages under way, where no window limits them.
const WITHOUT_WINDOW: usize = 4096;

impl Shared {
    /// The state before anything has happened.
    pub fn new(plan: BenchPlan, clock: Clock) -> Self {
        let mut cells = 0;
        let by_topic = !plan.payload.is_stamped() && plan.subscribers > 0;
        let intended = if plan.payload.is_stamped() { 0 } else { (usize::from(plan.window) * 4).max(1024) };
        let is_paced = plan.stages.iter().any(|stage| stage.model != LoadModel::ClosedLoop);
        let written = match plan.window_rule {
            _ if !is_paced || !plan.latency || plan.subscribers == 0 => 0,
            // No more than these are under way; twice as many places, as lost ones free theirs after a while.
            WindowRule::Delivery => usize::from(plan.window) * 2,
            WindowRule::Acknowledged | WindowRule::None => WITHOUT_WINDOW,
        };
        let streams = (0..plan.publishers)
            .map(|stream| {
                let count = plan.routes.receivers_of(stream).count;
                let first_cell = cells;
                cells += count;
                let (intended, written) = (SendTimes::of_last(intended), SendTimes::of_last(written));
                let content = (by_topic && !plan.payload.varies_by_message()).then(|| {
                    let (client_id, user_name) = plan.names_of(stream);
                    plan.payload.bytes(stream, &client_id, &user_name)
                });
                StreamState { first_cell, cells: count, content, intended, written, ..StreamState::default() }
            })
            .collect();
        let delivered = (0..cells).map(|_| AtomicU64::new(0)).collect();
        let arrival_topic = |stream| match plan.topic_of(stream) {
            topic if plan.responders > 0 => response_topic(&topic),
            topic => topic,
        };
        let by_topic = (0..plan.publishers).filter(|_| by_topic).map(|stream| (arrival_topic(stream), stream));
        let topics = by_topic.collect();
        Self {
            plan,
            clock,
            streams,
            delivered,
            topics,
            marks: Mutex::default(),
            tls: OnceLock::new(),
            halt: AtomicBool::new(false),
            begun: AtomicU32::new(0),
            run: Mutex::new(None),
        }
    }

    /// A stage begins, or ends at another time: to be called before the threads are told.
    pub fn begin(&self, run: StageRun) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
        self.begun.store(run.number, Ordering::Release);
    }

    /// The stage is over once a thread has settled it: to be called before the threads are told.
    pub fn end(&self) {
        self.begun.store(0, Ordering::Release);
    }

    /// The stage to which what comes now belongs, for a thread that has been told of `known`: messages of other threads
    /// may be here before the word that their stage has begun.
    #[inline]
    pub fn stage_after(&self, known: Option<StageRun>) -> Option<StageRun> {
        if known.map_or(0, |stage| stage.number) == self.begun.load(Ordering::Acquire) {
            return known;
        }
        *self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream by its number.
    pub fn stream(&self, stream: usize) -> &StreamState {
        &self.streams[stream]
    }

    /// The stream of a topic, where messages have no stamp.
    pub fn stream_of_topic(&self, topic: &str) -> Option<usize> {
        self.topics.get(topic).copied()
    }

    /// All streams.
    pub fn streams(&self) -> impl Iterator<Item = &StreamState> {
        self.streams.iter()
    }

    /// Where a receiver notes its position in a stream; `rank` is its place among the stream's receivers.
    pub fn cell(&self, stream: usize, rank: usize) -> &AtomicU64 {
        &self.delivered[self.streams[stream].first_cell + rank]
    }

    /// The sequence number below which every receiver of a stream is past; none where nobody subscribes.
    pub fn delivered_floor(&self, stream: usize) -> Option<u64> {
        let stream = &self.streams[stream];
        stream.floor_of(&self.delivered[stream.first_cell..stream.first_cell + stream.cells])
    }

    /// A number that changes whenever something is sent, answered or delivered.
    pub fn progress(&self) -> u64 {
        let streams = self.streams.iter().map(|stream| {
            let (sent, completed) = (stream.sent.load(Ordering::Acquire), stream.completed.load(Ordering::Acquire));
            sent.wrapping_add(completed)
        });
        // Who is gone has no position.
        let cells =
            self.delivered.iter().map(|cell| cell.load(Ordering::Acquire)).filter(|position| *position < u64::MAX);
        streams.chain(cells).fold(0, u64::wrapping_add)
    }

    /// Where in the streams the seconds of the stage began. Looked at between the seconds only.
    pub fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A second ends, and the next one begins.
    pub fn mark_second(&self) {
        if self.plan.subscribers > 0 {
            self.marks().note(self.streams.iter().map(|stream| stream.sent.load(Ordering::Acquire)));
        }
    }

    /// Whether the load is to end now.
    pub fn is_halted(&self) -> bool {
        self.halt.load(Ordering::Relaxed)
    }

    /// Messages that are sent and not yet where they are to be: not acknowledged, or not delivered.
    pub fn outstanding(&self, acknowledged: bool) -> u64 {
        let mut outstanding = 0;
        for (number, stream) in self.streams.iter().enumerate() {
            let sent = stream.sent.load(Ordering::Acquire);
            let abandoned = stream.abandoned.load(Ordering::Acquire);
            let delivered = self.delivered_floor(number).unwrap_or(sent);
            let completed = stream.completed.load(Ordering::Acquire);
            let unacknowledged =
                if acknowledged { sent.saturating_sub(abandoned).saturating_sub(completed) } else { 0 };
            let refused = stream.refused.load(Ordering::Acquire);
            outstanding += unacknowledged.max(stream.undelivered(sent, delivered).saturating_sub(refused));
        }
        outstanding
    }
}

impl StreamState {
    /// The lowest of its receivers' positions; none where there are none.
    fn floor_of(&self, cells: &[AtomicU64]) -> Option<u64> {
        // As long as the last one of before has not moved, no other can be behind it: positions only rise, but for those
        // who were gone and are back, behind nobody who was there. So many subscribers are looked through only when
        // something has changed, or all were gone.
        let known = self.floor.load(Ordering::Relaxed);
        let last = cells.get(self.laggard.load(Ordering::Relaxed))?;
        if known != u64::MAX && last.load(Ordering::Acquire) == known {
            return Some(known);
        }
        let positions = cells.iter().map(|cell| cell.load(Ordering::Acquire)).enumerate();
        let (place, lowest) = positions.min_by_key(|(_, position)| *position)?;
        self.laggard.store(place, Ordering::Relaxed);
        self.floor.store(lowest, Ordering::Relaxed);
        Some(lowest)
    }

    /// Where the messages are that went with connections in the stage; between them may be others.
    pub fn lost_with_connections(&self) -> Range<u64> {
        self.excused_from.load(Ordering::Acquire)..self.abandoned_to.load(Ordering::Acquire)
    }

    /// How many messages are still to arrive where everything below `delivered` has come: all that were sent, but for
    /// those that went with a connection.
    fn undelivered(&self, sent: u64, delivered: u64) -> u64 {
        let (from, to) = (self.abandoned_from.load(Ordering::Acquire), self.abandoned_to.load(Ordering::Acquire));
        if delivered >= to {
            return sent.saturating_sub(delivered);
        }
        from.saturating_sub(delivered) + sent.saturating_sub(to)
    }

    /// The sequence numbers that were measured in a stage. A publisher that was lost in an earlier one sent nothing.
    pub fn measured(&self, stage: u32) -> Range<u64> {
        let from = self.measured_from.load(Ordering::Acquire);
        let to = self.measured_to.load(Ordering::Acquire);
        let is_of_stage = self.measured_in.load(Ordering::Acquire) == stage;
        from..if is_of_stage { to.max(from) } else { from }
    }

    /// Of the messages measured in a stage, those that the broker refused.
    pub fn refused_in(&self, stage: u32) -> u64 {
        let is_of_stage = self.measured_in.load(Ordering::Acquire) == stage;
        if is_of_stage { self.measured_refused.load(Ordering::Acquire) } else { 0 }
    }

    /// Of the messages measured in a stage, those that were neither acknowledged nor refused.
    pub fn unanswered_in(&self, stage: u32) -> u64 {
        let measured = self.measured(stage);
        (measured.end - measured.start).saturating_sub(self.answered.load(Ordering::Acquire))
    }
}

impl SendTimes {
    /// Room for the last messages, at least so many; for none, if it is zero.
    fn of_last(messages: usize) -> Self {
        let places = if messages == 0 { 0 } else { messages.next_power_of_two() };
        Self((0..places).map(|_| AtomicU64::new(u64::MAX)).collect())
    }

    fn place(&self, sequence: u64) -> Option<&AtomicU64> {
        // A power of two, or zero, where the mask is all ones and finds nothing.
        self.0.get(sequence as usize & self.0.len().wrapping_sub(1))
    }

    /// What of a sequence number is kept beside a time. With the place it tells messages apart whose numbers are less
    /// than 65,536 times the number of places apart.
    fn tag(&self, sequence: u64) -> u64 {
        (sequence >> self.0.len().trailing_zeros()) & 0xFFFF
    }

    /// Notes the time of a message.
    #[inline]
    pub fn note(&self, sequence: u64, ns: u64) {
        if let Some(place) = self.place(sequence) {
            place.store(self.tag(sequence) << TIME_BITS | ((ns / STAMP_TICK_NS) & TIME_MASK), Ordering::Release);
        }
    }

    /// The time of a message, to 100 ns; none when newer ones have taken its place.
    #[inline]
    pub fn of(&self, sequence: u64) -> Option<u64> {
        let entry = self.place(sequence)?.load(Ordering::Acquire);
        (entry >> TIME_BITS == self.tag(sequence)).then_some((entry & TIME_MASK) * STAMP_TICK_NS)
    }
}

/// One stage as the threads carry it out. SendTimes are nanoseconds since t0 and multiples of 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StageRun {
    /// Counts stages from 1.
    pub number: u32,
    /// Messages a second in total; none in a closed loop.
    pub rate: Option<f64>,
    /// When the load begins.
    pub start_ns: u64,
    /// When measuring begins.
    pub from_ns: u64,
    /// When measuring and load end.
    pub to_ns: u64,
    /// Measured messages in total, where they are limited.
    pub count: Option<u64>,
}

impl StageRun {
    /// Whether a moment lies in the measured window.
    #[inline]
    pub const fn measures(&self, ns: u64) -> bool {
        ns >= self.from_ns && ns < self.to_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_with_a_connection_is_not_waited_for() {
        let stream = StreamState::default();
        assert_eq!(stream.undelivered(10, 4), 6);
        stream.abandoned_from.store(6, Ordering::Release);
        stream.abandoned_to.store(10, Ordering::Release);
        // Of 10 the last 4 were under way: two are still to come, then none; what is sent afterwards is waited for.
        assert_eq!([4, 6, 8].map(|delivered| stream.undelivered(10, delivered)), [2, 0, 0]);
        assert_eq!([6, 12, 15].map(|delivered| stream.undelivered(15, delivered)), [5, 3, 0]);
    }

    #[test]
    fn a_receiver_that_comes_back_is_waited_for_when_all_were_gone() {
        let stream = StreamState::default();
        let cells = [AtomicU64::new(5), AtomicU64::new(7)];
        assert_eq!(stream.floor_of(&cells), Some(5));
        cells.iter().for_each(|cell| cell.store(u64::MAX, Ordering::Release));
        assert_eq!(stream.floor_of(&cells), Some(u64::MAX));
        // Not the one that was looked at last.
        cells[1].store(9, Ordering::Release);
        assert_eq!(stream.floor_of(&cells), Some(9));
    }

    #[test]
    fn times_are_known_while_they_have_a_place() {
        let times = SendTimes::of_last(5);
        for sequence in 0..20 {
            times.note(sequence, sequence * 1000 + 99);
        }
        assert_eq!(times.of(19), Some(19_000));
        assert_eq!(times.of(12), Some(12_000));
        assert_eq!(times.of(11), None, "overwritten");
        assert_eq!(times.of(20), None, "not sent yet");
        times.note(12 + 0x1_0000, 7);
        assert_eq!(times.of(12), None, "as many as 16 bits have are not the same one again");
        let nobody_asks = SendTimes::of_last(0);
        nobody_asks.note(0, 1);
        assert_eq!(nobody_asks.of(0), None);
    }
}
