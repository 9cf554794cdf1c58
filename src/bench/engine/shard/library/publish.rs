//! A publisher on another library's client.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::connection::{LibraryClient, LibraryEvent, LibraryLoop};
use super::{TaskGuard, leave};
use crate::bench::engine::link::SendRecord;
use crate::bench::engine::packets::{Due, Packets};
use crate::bench::engine::publisher::{Capacity, Outlet, Pause, Publisher, PublisherHandler};
use crate::bench::engine::shard::state::ShardState;
use crate::bench::measure::SampleBatch;
use crate::bench::plan::{BenchPlan, ClientKind};
use crate::mqtt::{Properties, QoS, ReasonCode};
use crate::session::{Completion, Handler, Identifiers, Outcome};

/// What a publisher has handed to its client, and what has become of it.
pub(super) struct Lane {
    client: LibraryClient,
    topic: String,
    qos: QoS,
    retain: bool,
    window: usize,
    /// Handed over and not written yet, in order.
    submitted: VecDeque<SendRecord>,
    /// Written and not acknowledged yet (QoS 1 and 2), by Packet Identifier.
    in_flight: BTreeMap<u16, SendRecord>,
    payload: Vec<u8>,
    is_open: bool,
}

impl Lane {
    pub(super) fn new(plan: &BenchPlan, stream: usize, client: LibraryClient, window: u16) -> Self {
        Self {
            client,
            topic: plan.topic_of(stream),
            qos: plan.qos,
            retain: plan.retain,
            window: usize::from(window),
            submitted: VecDeque::new(),
            in_flight: BTreeMap::new(),
            payload: Vec::new(),
            is_open: true,
        }
    }

    /// The channel to the event loop has as many places as the window.
    fn capacity(&self) -> Capacity {
        let taken = self.submitted.len() + self.in_flight.len();
        let free = self.window.saturating_sub(taken) as u64;
        // A channel without a place is as a socket that takes nothing.
        let is_writable = self.qos != QoS::AtMostOnce || free > 0;
        Capacity { is_open: self.is_open, is_writable, free, all: self.window as u64 }
    }
}

impl Outlet for Lane {
    fn reserve(&mut self, _qos: QoS, count: usize, record: SendRecord) -> Identifiers {
        self.submitted.extend(std::iter::repeat_n(record, count));
        // The library gives its own.
        Identifiers::none(count)
    }

    fn take(&mut self, packets: &mut Packets, plan: &BenchPlan, stream: usize, due: Due) {
        let Due { identifiers, sequence, intended_ns } = due;
        for (sequence, _) in (sequence..).zip(identifiers) {
            let due = Due { identifiers: Identifiers::none(1), sequence, intended_ns };
            packets.payload(plan, stream, due, &mut self.payload);
            if !self.client.publish(&self.topic, self.qos, self.retain, &self.payload) {
                // The event loop has ended: its task says so.
                self.is_open = false;
            }
        }
    }
}

/// Hands over what is due, each time that it is woken.
pub(super) struct Feeder {
    pub(super) state: Rc<ShardState>,
    pub(super) index: usize,
    pub(super) publisher: Rc<RefCell<Publisher>>,
    pub(super) lane: Rc<RefCell<Lane>>,
}

impl Future for Feeder {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { state, index, publisher, lane } = &*self;
        let (mut publisher, mut lane) = (publisher.borrow_mut(), lane.borrow_mut());
        let shared = &*state.shared;
        if !lane.is_open {
            return Poll::Ready(());
        }
        state.tasks.set_waker(*index, context);
        if state.tasks.are_ending() {
            // Where the channel is full, the next message that is written makes room.
            return if lane.client.disconnect() { Poll::Ready(()) } else { Poll::Pending };
        }
        // First, so that a delivery before the look at the window is not missed.
        shared.stream(publisher.stream()).room.register(context.waker());
        publisher.enter_stage(state.stage().as_ref(), || state.schedule(), shared);
        let target = shared.plan.target_of(publisher.stream());
        let capacity = lane.capacity();
        let recorder = &mut state.recorder(target);
        let pause = publisher.feed(&mut *lane, capacity, shared, recorder, shared.clock.now_ns());
        match pause {
            Pause::Until(due_ns) if publisher.schedule_wake(due_ns) => state.pacer.schedule(due_ns, *index),
            Pause::Turn => context.waker().wake_by_ref(),
            Pause::Until(_) | Pause::Waiting => {}
        }
        Poll::Pending
    }
}

/// Polls the event loop of a publisher to its end.
pub(super) async fn poll_publisher(
    guard: TaskGuard,
    index: usize,
    publisher: Rc<RefCell<Publisher>>,
    lane: Rc<RefCell<Lane>>,
    mut events: LibraryLoop,
) {
    let state = &*guard.0;
    let stream = publisher.borrow().stream();
    let client = state.shared.plan.client_of(ClientKind::Publisher, stream);
    let target = state.shared.plan.transport_of(client).address.to_string();
    loop {
        match events.next(&target).await {
            Ok(LibraryEvent::Disconnected) => break,
            Ok(event) => {
                handle(state, &mut publisher.borrow_mut(), &mut lane.borrow_mut(), event);
                state.tasks.wake(index);
            }
            Err(_) if state.tasks.are_ending() => break,
            Err(error) => {
                let (mut publisher, lane) = (publisher.borrow_mut(), lane.borrow());
                let now_ns = state.shared.clock.now_ns();
                let _ = publisher.note_loss(&state.shared, lane.in_flight.len(), now_ns);
                publisher.retire(&state.shared);
                leave(state, index, ClientKind::Publisher, client, &error);
                break;
            }
        }
    }
    lane.borrow_mut().is_open = false;
    // It may have lost its waker to `leave`, and ends with the shard then.
    state.tasks.wake(index);
}

fn handle(state: &ShardState, publisher: &mut Publisher, lane: &mut Lane, event: LibraryEvent) {
    let shared = &*state.shared;
    let now_ns = shared.clock.now_ns();
    let target = shared.plan.target_of(publisher.stream());
    match event {
        LibraryEvent::Sent(identifier) => {
            let recorder = &mut state.recorder(target);
            let Some(record) = lane.submitted.pop_front() else { return };
            if identifier > 0 {
                lane.in_flight.insert(identifier, record);
            }
            let sent = recorder.counters.sent;
            publisher.note_one_written(now_ns, shared, recorder);
            state.extend_span(recorder.counters.sent > sent, now_ns, |spans| &mut spans.sent);
        }
        LibraryEvent::Acknowledged(identifier, reason) => {
            let outcome = match (reason.is_error(), lane.qos) {
                (true, _) => Outcome::Refused,
                (false, QoS::ExactlyOnce) => Outcome::Downgraded,
                (false, _) => Outcome::Acknowledged,
            };
            complete(state, publisher, lane, (identifier, reason, outcome), now_ns);
        }
        LibraryEvent::Received(identifier, reason) if reason.is_error() => {
            complete(state, publisher, lane, (identifier, reason, Outcome::Refused), now_ns);
        }
        LibraryEvent::Received(identifier, reason) => {
            if let Some(kept) = lane.in_flight.get(&identifier) {
                let recorder = &mut state.recorder(target);
                let batch = SampleBatch::ending_at(now_ns);
                let (stage, latency) = (state.stage(), shared.plan.latency);
                let (stage, measuring) = (stage.as_ref(), state.measures(now_ns));
                let counts = &mut publisher.counts;
                PublisherHandler { counts, recorder, stage, now_ns, measuring, latency, batch }
                    .on_received(kept, reason);
            }
        }
        LibraryEvent::Completed(identifier, reason) => {
            let outcome = if reason.is_error() { Outcome::Refused } else { Outcome::Acknowledged };
            complete(state, publisher, lane, (identifier, reason, outcome), now_ns);
        }
        LibraryEvent::Arrived(_) => {
            state.recorder(target).counters.foreign += u64::from(state.measures(now_ns));
        }
        _ => {}
    }
}

/// The handshake of a message is over.
fn complete(
    state: &ShardState,
    publisher: &mut Publisher,
    lane: &mut Lane,
    (packet_identifier, reason, outcome): (u16, ReasonCode, Outcome),
    now_ns: u64,
) {
    let Some(kept) = lane.in_flight.remove(&packet_identifier) else { return };
    let shared = &*state.shared;
    let recorder = &mut state.recorder(shared.plan.target_of(publisher.stream()));
    let (stage, measuring, latency) = (state.stage(), state.measures(now_ns), shared.plan.latency);
    let (stage, batch) = (stage.as_ref(), SampleBatch::ending_at(now_ns));
    let counts = &mut publisher.counts;
    let mut handler = PublisherHandler { counts, recorder, stage, now_ns, measuring, latency, batch };
    let properties = &Properties::new();
    handler.on_completed(Completion { kept, packet_identifier, outcome, reason, properties });
    handler.end();
    publisher.publish_counts(shared);
    state.extend_span(measuring, now_ns, |spans| &mut spans.acked);
}
