//! What the threads share during a run: the plan, the clock, the streams, and the stage. Locks are taken only where a
//! stage or a second begins or ends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::clock::Clock;
use super::marks::Marks;
use super::request::response_topic;
use super::stream::{SendTimes, StreamState};
use crate::bench::plan::{BenchPlan, ClientKind, LoadModel, Streams, WindowRule};
use crate::session::Limits;
use crate::transport::TlsInfo;

/// Times of messages in flight that are kept where no window limits them.
const TIMES_WITHOUT_WINDOW: usize = 4096;

/// What all threads of a run see.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) plan: BenchPlan,
    pub(super) clock: Clock,
    /// Those that this process sends or receives.
    streams: Vec<StreamState>,
    /// Their numbers.
    numbers: Streams,
    /// Other processes, with other clocks, may send what is received here: its latency is not known.
    pub(super) is_apart: bool,
    /// Streams by their topics, where messages have no stamp.
    topics: HashMap<String, usize>,
    /// Where in the streams the seconds of the stage began.
    marks: Mutex<Marks>,
    /// What TLS negotiated on the first connection.
    pub(super) tls: OnceLock<TlsInfo>,
    /// What the broker allowed on the first connection.
    pub(super) limits: OnceLock<Limits>,
    halted: AtomicBool,
    /// The number of the stage that has begun, and the stage itself.
    begun: AtomicU32,
    stage: Mutex<Option<StageRun>>,
}

/// One stage as the threads run it. Times are nanoseconds since t0 and multiples of 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct StageRun {
    /// Counts stages from 1.
    pub(super) number: u32,
    /// Total messages per second; none in a closed loop.
    pub(super) rate: Option<f64>,
    /// When the load begins.
    pub(super) start_ns: u64,
    /// When measuring begins.
    pub(super) from_ns: u64,
    /// When measuring and load end.
    pub(super) to_ns: u64,
    /// Total measured messages, where they are limited.
    pub(super) count: Option<u64>,
    /// What is added to a time for its stamp, wrapping: zero, or what makes the stamps of all shards count from their
    /// common start.
    pub(super) stamp_shift_ns: u64,
}

impl StageRun {
    /// Whether a moment is in the measured window.
    #[inline]
    pub(super) const fn measures(&self, ns: u64) -> bool {
        ns >= self.from_ns && ns < self.to_ns
    }
}

/// The streams that this process sends or receives. A shard of a million streams has no room for those of others.
fn known_streams(plan: &BenchPlan) -> Streams {
    let all = Streams { first: 0, step: 1, count: plan.publishers };
    let Some(shard) = plan.shard else { return all };
    let is_in_rotation =
        |stream: usize| plan.owns(ClientKind::Publisher, stream) == (stream % shard.count == shard.index);
    if plan.is_apart() || plan.publishers <= shard.index || !(0..plan.publishers).all(is_in_rotation) {
        return all;
    }
    Streams { first: shard.index, step: shard.count, count: (plan.publishers - shard.index).div_ceil(shard.count) }
}

impl Shared {
    /// The state before the run.
    pub(super) fn new(plan: BenchPlan, clock: Clock) -> Self {
        let by_topic = !plan.payload.is_stamped() && plan.subscribers > 0;
        let intended = if plan.payload.is_stamped() { 0 } else { (usize::from(plan.window) * 4).max(1024) };
        let is_paced = plan.stages.iter().any(|stage| stage.model != LoadModel::ClosedLoop);
        let written = match plan.window_rule {
            _ if !is_paced || !plan.latency || plan.subscribers == 0 => 0,
            // At most a window is in flight; twice as many, because lost messages free their places after a while.
            WindowRule::Delivery => usize::from(plan.window) * 2,
            WindowRule::Acknowledged | WindowRule::None => TIMES_WITHOUT_WINDOW,
        };
        let stream = |number| {
            let mut stream = StreamState::new(plan.routes.receivers_of(number).count);
            if plan.is_apart() {
                // Each receiver gets every stream, and nobody waits here for those of other shards.
                let others =
                    (0..plan.routes.receivers()).filter(|receiver| !plan.owns(ClientKind::Subscriber, *receiver));
                others.for_each(|receiver| stream.receivers.leave(receiver));
            }
            if !plan.owns(ClientKind::Publisher, number) {
                stream.measured.retire();
            }
            if by_topic && !plan.payload.varies_by_message() {
                let (client_id, user_name) = plan.names_of(number);
                stream.content = Some(plan.payload.bytes(number, &client_id, &user_name));
            }
            (stream.intended, stream.written) = (SendTimes::of_last(intended), SendTimes::of_last(written));
            stream
        };
        let arrival_topic = |stream| match plan.topic_of(stream) {
            topic if plan.responders > 0 => response_topic(&topic),
            topic => topic,
        };
        let (numbers, is_apart) = (known_streams(&plan), plan.is_apart());
        let streams = numbers.iter().map(stream).collect();
        let topics = numbers.iter().filter(|_| by_topic).map(|stream| (arrival_topic(stream), stream)).collect();
        Self {
            plan,
            clock,
            streams,
            numbers,
            is_apart,
            topics,
            marks: Mutex::default(),
            tls: OnceLock::new(),
            limits: OnceLock::new(),
            halted: AtomicBool::new(false),
            begun: AtomicU32::new(0),
            stage: Mutex::new(None),
        }
    }

    /// Begins a stage, or changes its end. To be called before the threads get the command.
    pub(super) fn begin(&self, stage: StageRun) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage);
        self.begun.store(stage.number, Ordering::Release);
    }

    /// The stage is over once a thread has settled it. To be called before the threads get the command.
    pub(super) fn end(&self) {
        self.begun.store(0, Ordering::Release);
    }

    /// The stage to which arrivals belong now, for a thread that knows of `known`: messages of other threads may arrive
    /// before the command to begin their stage.
    #[inline]
    pub(super) fn stage_after(&self, known: Option<StageRun>) -> Option<StageRun> {
        if known.map_or(0, |stage| stage.number) == self.begun.load(Ordering::Acquire) {
            return known;
        }
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream by its number.
    #[inline]
    pub(super) fn stream(&self, stream: usize) -> &StreamState {
        &self.streams[self.place_of(stream)]
    }

    /// Its place among those that this process knows.
    #[inline]
    pub(super) const fn place_of(&self, stream: usize) -> usize {
        // All streams are known, except in a shard.
        if self.numbers.step == 1 { stream - self.numbers.first } else { stream / self.numbers.step }
    }

    /// All streams that this process knows, with their numbers.
    pub(super) fn numbered_streams(&self) -> impl Iterator<Item = (usize, &StreamState)> {
        self.numbers.iter().zip(&self.streams)
    }

    /// The stream of a topic, where messages have no stamp.
    pub(super) fn stream_of_topic(&self, topic: &str) -> Option<usize> {
        self.topics.get(topic).copied()
    }

    /// All streams that this process knows.
    pub(super) fn streams(&self) -> impl Iterator<Item = &StreamState> {
        self.streams.iter()
    }

    /// A number that changes whenever something is sent, acknowledged or delivered.
    pub(super) fn progress(&self) -> u64 {
        self.streams.iter().map(StreamState::progress).fold(0, u64::wrapping_add)
    }

    /// Where in the streams the seconds of the stage began. Locked only between the seconds.
    pub(super) fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A second ends, and the next one begins.
    pub(super) fn mark_second(&self) {
        if self.plan.subscribers > 0 {
            self.marks().note(self.streams.iter().map(StreamState::sent));
        }
    }

    /// Ends the load early: Ctrl-C.
    pub(super) fn halt(&self) {
        self.halted.store(true, Ordering::Relaxed);
    }

    /// Whether the load is to end now.
    pub(super) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Relaxed)
    }

    /// Messages that were sent and are not yet delivered or, where `acknowledged`, acknowledged.
    pub(super) fn outstanding(&self, acknowledged: bool) -> u64 {
        self.streams.iter().map(|stream| stream.outstanding(acknowledged)).sum()
    }
}
