//! A client that only holds its connection, and pings.

use std::task::Context;

use super::super::clock;
use super::super::link::{Link, SendRecord};
use super::super::shared::{Shared, StageRun};
use super::read::read_batch;
use super::role::{Exit, Role};
use super::state::ShardState;
use crate::bench::measure::Recorder;
use crate::bench::plan::ClientKind;
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler};
use crate::template::Draws;

/// The domain of the random draws for ping phases.
const PHASES: u64 = 0x70_69_6e_67;

/// A client that holds its connection and pings, each client at its own phase.
pub(super) struct Idler {
    client: usize,
    /// When the next ping is due; none outside the measured window.
    due_ns: Option<u64>,
    /// When the unanswered ping was sent.
    pinged_ns: Option<u64>,
    /// The wake-up that was requested from the pacer.
    scheduled_ns: u64,
}

impl Idler {
    pub(super) const fn new(client: usize) -> Self {
        Self { client, due_ns: None, pinged_ns: None, scheduled_ns: 0 }
    }

    /// When it pings first: at its phase of the interval, so that thousands do not ping at the same moment.
    fn first_ns(&self, shared: &Shared, run: &StageRun) -> u64 {
        let phase = Draws::new(shared.plan.seed, PHASES).uniform(self.client as u64);
        run.from_ns + (phase * shared.plan.ping_interval.as_nanos() as f64) as u64
    }

    /// Pings if a ping is due and the last one was answered.
    fn ping(&mut self, state: &ShardState, run: &StageRun, link: &mut Link, now_ns: u64) {
        let interval_ns = state.shared.plan.ping_interval.as_nanos() as u64;
        let mut due_ns = self.due_ns.unwrap_or_else(|| self.first_ns(&state.shared, run));
        if due_ns <= now_ns && due_ns < run.to_ns {
            if self.pinged_ns.is_none() {
                link.session.ping();
                self.note_ping(state, link, now_ns);
            }
            while due_ns <= now_ns {
                due_ns = due_ns.saturating_add(interval_ns.max(1));
            }
        }
        // Nothing is due after the end: its wake-up would repeat forever.
        self.due_ns = Some(if due_ns < run.to_ns { due_ns } else { u64::MAX });
    }

    /// A ping is sent: by the interval, or by Keep Alive while other clients still connect.
    fn note_ping(&mut self, state: &ShardState, link: &Link, now_ns: u64) {
        if self.pinged_ns.is_none() {
            self.pinged_ns = Some(now_ns);
            state.recorder(link.target()).counters.pings += 1;
        }
    }

    /// Requests a wake-up for when the next ping or Keep Alive is due.
    fn schedule(&mut self, state: &ShardState, index: usize, link: &Link, now_ns: u64) {
        let clock = state.shared.clock;
        let keep_alive_ns = link.session.poll_timeout().map(|deadline| clock.ns(deadline));
        let Some(next_ns) = self.due_ns.into_iter().chain(keep_alive_ns).min() else { return };
        if next_ns == u64::MAX {
            return;
        }
        if self.scheduled_ns <= now_ns || next_ns < self.scheduled_ns {
            self.scheduled_ns = next_ns;
            state.pacer.schedule(next_ns, index);
        }
    }
}

impl Role for Idler {
    const KIND: ClientKind = ClientKind::Idler;

    fn drive(
        &mut self,
        state: &ShardState,
        index: usize,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> Result<(), Exit> {
        let clock = state.shared.clock;
        loop {
            let more = read_batch(state, link, context, true, |session, bytes, now, recorder| {
                let mut handler = IdlerHandler { pinged_ns: &mut self.pinged_ns, recorder, now_ns: clock.ns(now) };
                session.handle_input(bytes, now, &mut handler)
            })?;
            if !more {
                break;
            }
        }
        let now_ns = clock.now_ns();
        if link.take_pinged() {
            self.note_ping(state, link, now_ns);
        }
        if let Some(run) = state.stage() {
            self.ping(state, &run, link, now_ns);
        }
        link.flush(context)?;
        if link.session.output_len() > 0 {
            state.send_output(link, context)?;
            link.session.handle_written(clock::now(), !link.is_writable());
        }
        self.schedule(state, index, link, now_ns);
        Ok(())
    }

    fn number(&self) -> usize {
        self.client
    }

    fn on_lost(&mut self, _state: &ShardState, _link: &Link, _now_ns: u64) {}
}

struct IdlerHandler<'a> {
    pinged_ns: &'a mut Option<u64>,
    recorder: &'a mut Recorder,
    now_ns: u64,
}

impl Handler<SendRecord> for IdlerHandler<'_> {
    fn on_message(&mut self, _delivery: &Delivery<'_>) -> Acknowledge {
        // It has no subscription, but an earlier client with its id may have had one.
        self.recorder.counters.foreign += 1;
        Acknowledge::Now
    }

    fn on_completed(&mut self, _completion: Completion<'_, SendRecord>) {}

    fn on_event(&mut self, event: Event) {
        if event == Event::Pong
            && let Some(pinged_ns) = self.pinged_ns.take()
        {
            self.recorder.latency.ping.record_between(pinged_ns, self.now_ns);
        }
    }
}
