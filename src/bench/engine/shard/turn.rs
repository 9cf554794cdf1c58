//! A client's turn: it reads, answers and sends until there is nothing left to do now, or others are to have theirs.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::super::clock;
use super::super::echo::{Responder, ResponderEars};
use super::super::link::{BenchSession, Link, SendRecord};
use super::super::publisher::{Pause, Publisher, PublisherEars};
use super::super::shared::Shared;
use super::super::subscriber::{SubscriberEars, Subscriptions};
use super::{End, Report, Role, ShardState};
use crate::bench::measure::{Recorder, Together};
use crate::bench::plan::Part;
use crate::session::{Delivery, Handler, HandshakeCounts, SessionError};

/// So long before Keep Alive runs out a client pings; longer than it may sleep.
pub(in crate::bench::engine) const PING_LEAD: Duration = Duration::from_millis(250);

/// Writes of one publisher before others get their turn.
const TURNS: usize = 4;

/// Reads acknowledgements and fills the window.
impl Role for Publisher {
    const PART: Part = Part::Publisher;

    fn drive(
        &mut self,
        state: &ShardState,
        index: usize,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> Result<(), End> {
        let shared = &*state.shared;
        let stage = state.stage.get();
        // First, so that a delivery between here and the look at the window is not missed.
        shared.stream(self.stream).room.register(context.waker());
        self.follow(stage.as_ref(), || state.schedule.borrow().clone(), shared);
        // Whether there is something to do though nothing came.
        let mut again = true;
        for _ in 0..TURNS {
            let more = read_batch(state, link, context, again, |session, bytes, now, recorder| {
                let now_ns = shared.clock.ns(now);
                let measuring = state.measures(now_ns);
                recorder.counters.wire_bytes_in += if measuring { bytes.len() as u64 } else { 0 };
                let stage = stage.as_ref();
                let latency = shared.plan.latency;
                let together = Together::ending_at(now_ns);
                let counts = &mut self.ears;
                let before = counts.completed();
                let mut ears = PublisherEars { counts, recorder, stage, now_ns, measuring, latency, together };
                let handled = session.handle_input(bytes, now, &mut ears);
                ears.end();
                count_handshakes(session, recorder, measuring);
                state.note_event(measuring && self.ears.completed() > before, now_ns, |spans| &mut spans.acked);
                handled
            })?;
            if !more && !again {
                return Ok(());
            }
            self.publish_counts(shared);
            if self.is_starved(link, shared) {
                state.starved.set(true);
            }
            // One look at the clock for all that follows: a flood has a hundred messages for it, and it costs what three do.
            let now_ns = shared.clock.now_ns();
            if shared.plan.reconnect.is_some() {
                self.end_outage(now_ns, &mut state.outages.borrow_mut());
            }
            let recorder = &mut state.recorder(link.target());
            let sent = recorder.counters.sent;
            if !link.is_writable() {
                let taken = link.flush(context)?;
                self.note_written(taken, now_ns, shared, recorder);
            }
            let pause = self.fill(link, context, shared, recorder, &mut state.out.borrow_mut(), now_ns)?;
            link.send_output(context, &mut state.out.borrow_mut())?;
            state.note_event(recorder.counters.sent > sent, now_ns, |spans| &mut spans.sent);
            count_written(state, link, recorder, now_ns);
            again = pause == Pause::Turn;
            if let Pause::Until(due_ns) = pause
                && self.schedule(due_ns)
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
        self.stream
    }

    fn lose(&mut self, state: &ShardState, link: &Link, now_ns: u64) {
        if let Some(window) = self.narrow(&state.shared, &link.session) {
            state.report(Report::Narrowed { window });
        }
        self.note_loss(&state.shared, now_ns);
    }

    fn narrowed(&self) -> Option<u16> {
        self.narrowed
    }

    fn abandon(&mut self, shared: &Shared) {
        self.go(shared);
    }

    fn rewrite(
        &mut self,
        state: &ShardState,
        target: usize,
        kept: &SendRecord,
        packet: (u16, bool),
        out: &mut Vec<u8>,
    ) -> bool {
        Publisher::rewrite(self, &state.shared, &mut state.recorder(target), kept, packet, out)
    }

    fn give_up(&mut self, _state: &ShardState) {
        self.begin_anew();
    }

    fn wait(&mut self, state: &ShardState) {
        let now_ns = state.shared.clock.now_ns();
        self.follow(state.stage.get().as_ref(), || state.schedule.borrow().clone(), &state.shared);
        self.miss(&state.shared, now_ns);
    }
}

/// Reads and enters what comes.
impl Role for Subscriptions {
    const PART: Part = Part::Subscriber;

    fn drive(&mut self, state: &ShardState, _: usize, link: &mut Link, context: &mut Context<'_>) -> Result<(), End> {
        let shared = &*state.shared;
        for turn in 0..TURNS {
            let more = read_batch(state, link, context, turn == 0, |session, bytes, now, recorder| {
                state.note_read(bytes.len());
                let now_ns = shared.clock.ns(now);
                // Behind the read: what was read was sent before.
                let stage = shared.stage_after(state.stage.get());
                let measuring = stage.is_some_and(|stage| stage.measures(now_ns));
                if measuring {
                    recorder.counters.wire_bytes_in += bytes.len() as u64;
                    ShardState::count_read(&mut recorder.counters, bytes.len());
                }
                let (stage, together) = (stage.as_ref(), Together::ending_at(now_ns));
                let before = recorder.counters.delivered;
                let mut ears =
                    SubscriberEars { subscriptions: self, shared, recorder, stage, now_ns, measuring, together };
                let handled = session.handle_input(bytes, now, &mut ears);
                ears.end();
                count_handshakes(session, recorder, measuring);
                state.note_event(recorder.counters.delivered > before, now_ns, |spans| &mut spans.delivered);
                handled
            })?;
            if shared.plan.reconnect.is_some() {
                self.end_outages(shared, shared.clock.now_ns(), &mut state.outages.borrow_mut());
            }
            self.wake_publishers(shared);
            link.flush(context)?;
            link.send_output(context, &mut state.out.borrow_mut())?;
            count_written(state, link, &mut state.recorder(link.target()), shared.clock.now_ns());
            if !more {
                return Ok(());
            }
        }
        context.waker().wake_by_ref();
        Ok(())
    }

    fn number(&self) -> usize {
        self.subscriber
    }

    fn lose(&mut self, state: &ShardState, _link: &Link, now_ns: u64) {
        self.note_loss(&state.shared, now_ns);
    }

    fn resume(&mut self, shared: &Shared) {
        self.rejoin(shared);
    }

    fn take_early(&mut self, state: &ShardState, target: usize, delivery: &Delivery<'_>) {
        let shared = &*state.shared;
        let now_ns = shared.clock.now_ns();
        self.rejoin(shared);
        let stage = shared.stage_after(state.stage.get());
        let measuring = stage.is_some_and(|stage| stage.measures(now_ns));
        let (stage, together) = (stage.as_ref(), Together::ending_at(now_ns));
        let recorder = &mut state.recorder(target);
        let before = recorder.counters.delivered;
        let mut ears = SubscriberEars { subscriptions: self, shared, recorder, stage, now_ns, measuring, together };
        // Acknowledged at once, as all are.
        let _ = ears.on_message(delivery);
        ears.end();
        state.note_event(recorder.counters.delivered > before, now_ns, |spans| &mut spans.delivered);
    }

    fn give_up(&mut self, state: &ShardState) {
        let (shared, now_ns) = (&*state.shared, state.shared.clock.now_ns());
        if self.is_there() {
            self.end_outages(shared, now_ns, &mut state.outages.borrow_mut());
            self.wake_publishers(shared);
            self.note_loss(shared, now_ns);
        }
    }
}

/// Reads requests and sends their answers.
impl Role for Responder {
    const PART: Part = Part::Responder;

    fn drive(&mut self, state: &ShardState, _: usize, link: &mut Link, context: &mut Context<'_>) -> Result<(), End> {
        let shared = &*state.shared;
        for turn in 0..TURNS {
            let more = read_batch(state, link, context, turn == 0, |session, bytes, now, recorder| {
                let measuring = state.measures(shared.clock.ns(now));
                let mut ears = ResponderEars { responder: self, shared, recorder, measuring };
                session.handle_input(bytes, now, &mut ears)
            })?;
            link.flush(context)?;
            self.answer(link, context, &mut state.out.borrow_mut())?;
            link.send_output(context, &mut state.out.borrow_mut())?;
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

    fn lose(&mut self, _state: &ShardState, _link: &Link, _now_ns: u64) {
        self.forget();
    }

    fn take_early(&mut self, state: &ShardState, target: usize, delivery: &Delivery<'_>) {
        let shared = &*state.shared;
        let measuring = state.measures(shared.clock.now_ns());
        let recorder = &mut state.recorder(target);
        // Acknowledged at once, as all are.
        let _ = ResponderEars { responder: self, shared, recorder, measuring }.on_message(delivery);
    }

    fn give_up(&mut self, _state: &ShardState) {
        self.forget();
    }
}

/// Counts the packets of QoS 2 that reading has brought, and those that answer them.
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

/// Counts what the socket has taken, all packets with their headers.
fn count_written(state: &ShardState, link: &mut Link, recorder: &mut Recorder, now_ns: u64) {
    let written = link.take_written();
    if written > 0 && state.measures(now_ns) {
        recorder.counters.wire_bytes_out += written;
    }
}

/// Reads once and hands the bytes to the session; where it is `due`, lets the session look at the clock. Says whether something came, so that there may be more.
pub(in crate::bench::engine) fn read_batch(
    state: &ShardState,
    link: &mut Link,
    context: &mut Context<'_>,
    due: bool,
    handle: impl FnOnce(&mut BenchSession, &[u8], Instant, &mut Recorder) -> Result<(), SessionError>,
) -> Result<bool, End> {
    let input = &mut *state.input.borrow_mut();
    match link.poll_read(context, input) {
        Poll::Ready(Ok(0)) => Err(End::Lost("the broker closed the connection".to_owned())),
        Poll::Ready(Ok(count)) => {
            let recorder = &mut state.recorder(link.target());
            let now = clock::now();
            let handled = handle(&mut link.session, &input[..count], now, recorder);
            handled.map_err(|error| End::Lost(error.to_string()))?;
            // Also where there is always something to read: PINGREQ is owed for what is sent.
            if due {
                keep_time(link, now)?;
            }
            Ok(true)
        }
        Poll::Ready(Err(error)) => Err(error.into()),
        Poll::Pending if !due => Ok(false),
        Poll::Pending => keep_time(link, clock::now()).map(|()| false),
    }
}

/// Lets the session do what is due: PINGREQ, or the end of a broker that is silent. Clients that wait are woken now and
/// then only: where the next time may be too late for Keep Alive, PINGREQ goes out now (MQTT-3.1.2-20).
fn keep_time(link: &mut Link, now: Instant) -> Result<(), End> {
    match link.session.poll_timeout() {
        Some(deadline) if now >= deadline => {
            link.handle_timeout(now).map_err(|error| End::Lost(error.to_string()))?;
        }
        Some(deadline) if now + PING_LEAD >= deadline && link.is_writable() => {
            link.session.ping();
            link.session.handle_written(now, false);
        }
        _ => {}
    }
    Ok(())
}
