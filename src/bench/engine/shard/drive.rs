//! How publishers, subscribers and responders use their connections: read, answer and send until nothing is left to do
//! now, or until other clients are due.

use std::task::Context;

use super::super::link::{BenchSession, Link, SendRecord};
use super::super::publisher::{Pause, Publisher, PublisherHandler};
use super::super::responder::{Responder, ResponderHandler};
use super::super::shared::Shared;
use super::super::subscriber::{Subscriber, SubscriberHandler};
use super::messages::Report;
use super::read::read_batch;
use super::role::{Exit, Role};
use super::state::{READ_BUFFER, ShardState};
use crate::bench::measure::{Recorder, SampleBatch};
use crate::bench::plan::ClientKind;
use crate::session::{Delivery, Handler, HandshakeCounts};

/// Reads and writes of one client before other clients are due.
const TURNS: usize = 4;

/// Reads acknowledgements and fills the window.
impl Role for Publisher {
    const KIND: ClientKind = ClientKind::Publisher;

    fn drive(
        &mut self,
        state: &ShardState,
        index: usize,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> Result<(), Exit> {
        let shared = &*state.shared;
        let stage = state.stage();
        // First, so that a delivery before the look at the window is not missed.
        shared.stream(self.stream()).room.register(context.waker());
        self.enter_stage(stage.as_ref(), || state.schedule(), shared);
        // Whether there is something to do without input.
        let mut again = true;
        for _ in 0..TURNS {
            let more = read_batch(state, link, context, again, |session, bytes, now, recorder| {
                let now_ns = shared.clock.ns(now);
                let measuring = state.measures(now_ns);
                recorder.counters.wire_bytes_in += if measuring { bytes.len() as u64 } else { 0 };
                let (stage, latency) = (stage.as_ref(), shared.plan.latency);
                let batch = SampleBatch::ending_at(now_ns);
                let counts = &mut self.counts;
                let before = counts.completed();
                let mut handler = PublisherHandler { counts, recorder, stage, now_ns, measuring, latency, batch };
                let handled = session.handle_input(bytes, now, &mut handler);
                handler.end();
                count_handshakes(session, recorder, measuring);
                let counted = measuring && self.counts.completed() > before;
                state.extend_span(counted, now_ns, |spans| &mut spans.acked);
                handled
            })?;
            if !more && !again {
                return Ok(());
            }
            self.publish_counts(shared);
            if self.is_starved(link, shared) {
                state.coalescing.note_starved();
            }
            // One clock read for all that follows: in a flood it is shared by a hundred messages, and costs as much as
            // three.
            let now_ns = shared.clock.now_ns();
            if shared.plan.reconnect.is_some() {
                self.end_outage(now_ns, &mut state.outages());
            }
            let recorder = &mut state.recorder(link.target());
            let sent = recorder.counters.sent;
            if !link.is_writable() {
                let taken = link.flush(context)?;
                self.note_written(taken, now_ns, shared, recorder);
            }
            let pause = self.fill(link, context, shared, recorder, &mut state.out(), now_ns)?;
            state.send_output(link, context)?;
            state.extend_span(recorder.counters.sent > sent, now_ns, |spans| &mut spans.sent);
            count_written(state, link, recorder, now_ns);
            again = pause == Pause::Turn;
            if let Pause::Until(due_ns) = pause
                && self.schedule_wake(due_ns)
            {
                state.pacer.schedule(due_ns, index);
            }
            if !more && !again {
                return Ok(());
            }
        }
        // Others first.
        context.waker().wake_by_ref();
        Ok(())
    }

    fn number(&self) -> usize {
        self.stream()
    }

    fn on_lost(&mut self, state: &ShardState, link: &Link, now_ns: u64) {
        let in_flight = link.session.in_flight().min(link.session.allowed());
        if let Some(window) = self.note_loss(&state.shared, in_flight, now_ns) {
            state.report(Report::WindowReduced { window });
        }
    }

    fn window_limit(&self) -> Option<u16> {
        Self::window_limit(self)
    }

    fn on_lost_for_good(&mut self, shared: &Shared) {
        self.retire(shared);
    }

    fn resend(
        &mut self,
        state: &ShardState,
        target: usize,
        kept: &SendRecord,
        packet: (u16, bool),
        out: &mut Vec<u8>,
    ) -> bool {
        self.rewrite(&state.shared, &mut state.recorder(target), kept, packet, out)
    }

    fn on_reconnect_failed(&mut self, _state: &ShardState) {
        self.reset_connection();
    }

    fn on_wait(&mut self, state: &ShardState) {
        let now_ns = state.shared.clock.now_ns();
        self.enter_stage(state.stage().as_ref(), || state.schedule(), &state.shared);
        self.wait_without_connection(&state.shared, now_ns);
    }
}

/// Reads messages and records them.
impl Role for Subscriber {
    const KIND: ClientKind = ClientKind::Subscriber;

    fn drive(&mut self, state: &ShardState, _: usize, link: &mut Link, context: &mut Context<'_>) -> Result<(), Exit> {
        let shared = &*state.shared;
        for turn in 0..TURNS {
            let more = read_batch(state, link, context, turn == 0, |session, bytes, now, recorder| {
                state.coalescing.note_read(bytes.len());
                let now_ns = shared.clock.ns(now);
                // After the read: what was read was sent before.
                let stage = shared.stage_after(state.stage());
                let measuring = stage.is_some_and(|stage| stage.measures(now_ns));
                if measuring {
                    recorder.counters.wire_bytes_in += bytes.len() as u64;
                    recorder.counters.reads += 1;
                    recorder.counters.full_reads += u64::from(bytes.len() == READ_BUFFER);
                }
                let (stage, batch) = (stage.as_ref(), SampleBatch::ending_at(now_ns));
                let before = recorder.counters.delivered;
                let mut handler =
                    SubscriberHandler { subscriber: self, shared, recorder, stage, now_ns, measuring, batch };
                let handled = session.handle_input(bytes, now, &mut handler);
                handler.end();
                count_handshakes(session, recorder, measuring);
                state.extend_span(recorder.counters.delivered > before, now_ns, |spans| &mut spans.delivered);
                handled
            })?;
            if shared.plan.reconnect.is_some() {
                self.end_outages(shared, shared.clock.now_ns(), &mut state.outages());
            }
            self.wake_publishers(shared);
            link.flush(context)?;
            state.send_output(link, context)?;
            count_written(state, link, &mut state.recorder(link.target()), shared.clock.now_ns());
            if !more {
                return Ok(());
            }
        }
        context.waker().wake_by_ref();
        Ok(())
    }

    fn number(&self) -> usize {
        Self::number(self)
    }

    fn on_lost(&mut self, state: &ShardState, _link: &Link, now_ns: u64) {
        self.note_loss(&state.shared, now_ns);
    }

    fn on_reconnected(&mut self, shared: &Shared) {
        self.rejoin(shared);
    }

    fn on_early_message(&mut self, state: &ShardState, target: usize, delivery: &Delivery<'_>) {
        let shared = &*state.shared;
        let now_ns = shared.clock.now_ns();
        self.rejoin(shared);
        let stage = shared.stage_after(state.stage());
        let measuring = stage.is_some_and(|stage| stage.measures(now_ns));
        let (stage, batch) = (stage.as_ref(), SampleBatch::ending_at(now_ns));
        let recorder = &mut state.recorder(target);
        let before = recorder.counters.delivered;
        let mut handler = SubscriberHandler { subscriber: self, shared, recorder, stage, now_ns, measuring, batch };
        // The caller acknowledges every message at once.
        let _ = handler.on_message(delivery);
        handler.end();
        state.extend_span(recorder.counters.delivered > before, now_ns, |spans| &mut spans.delivered);
    }

    fn on_reconnect_failed(&mut self, state: &ShardState) {
        let (shared, now_ns) = (&*state.shared, state.shared.clock.now_ns());
        if self.is_connected() {
            self.end_outages(shared, now_ns, &mut state.outages());
            self.wake_publishers(shared);
            self.note_loss(shared, now_ns);
        }
    }
}

/// Reads requests and sends responses.
impl Role for Responder {
    const KIND: ClientKind = ClientKind::Responder;

    fn drive(&mut self, state: &ShardState, _: usize, link: &mut Link, context: &mut Context<'_>) -> Result<(), Exit> {
        let shared = &*state.shared;
        for turn in 0..TURNS {
            let more = read_batch(state, link, context, turn == 0, |session, bytes, now, recorder| {
                let measuring = state.measures(shared.clock.ns(now));
                let mut handler = ResponderHandler { responder: self, shared, recorder, measuring };
                session.handle_input(bytes, now, &mut handler)
            })?;
            link.flush(context)?;
            self.send_responses(link, context, &mut state.out())?;
            state.send_output(link, context)?;
            if !more {
                return Ok(());
            }
        }
        context.waker().wake_by_ref();
        Ok(())
    }

    fn number(&self) -> usize {
        self.number
    }

    fn on_lost(&mut self, _state: &ShardState, _link: &Link, _now_ns: u64) {
        self.discard_waiting();
    }

    fn on_early_message(&mut self, state: &ShardState, target: usize, delivery: &Delivery<'_>) {
        let shared = &*state.shared;
        let measuring = state.measures(shared.clock.now_ns());
        let recorder = &mut state.recorder(target);
        // The caller acknowledges every message at once.
        let _ = ResponderHandler { responder: self, shared, recorder, measuring }.on_message(delivery);
    }

    fn on_reconnect_failed(&mut self, _state: &ShardState) {
        self.discard_waiting();
    }
}

/// Counts the QoS 2 packets of one read and those that answer them.
fn count_handshakes(session: &mut BenchSession, recorder: &mut Recorder, measuring: bool) {
    let counts = session.take_handshakes();
    if measuring && counts != HandshakeCounts::default() {
        let counters = &mut recorder.counters;
        counters.pubrec_in += u64::from(counts.pubrec_in);
        counters.pubrel_in += u64::from(counts.pubrel_in);
        counters.pubcomp_in += u64::from(counts.pubcomp_in);
        counters.pubrec_out += u64::from(counts.pubrec_out);
        counters.pubrel_out += u64::from(counts.pubrel_out);
        counters.pubcomp_out += u64::from(counts.pubcomp_out);
    }
}

/// Counts the bytes that the socket accepted, all packets with their headers.
fn count_written(state: &ShardState, link: &mut Link, recorder: &mut Recorder, now_ns: u64) {
    let written = link.take_written();
    if written > 0 && state.measures(now_ns) {
        recorder.counters.wire_bytes_out += written;
    }
}
