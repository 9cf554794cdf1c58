//! The task of one client: it works, reconnects, disconnects, and ends.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::super::disconnect::{disconnect, needs_clean_up};
use super::super::link::Link;
use super::messages::Report;
use super::reconnect::reconnect;
use super::role::{Exit, Role};
use super::state::ShardState;
use crate::bench::plan::ClientKind;

/// The task of a client. Not an async function: that would store its arguments twice, and there are thousands of these.
pub(super) struct ClientTask<R> {
    state: Rc<ShardState>,
    index: usize,
    role: R,
    phase: Phase,
}

// Nearly all clients are connected nearly all the time: a box would only cost.
#[expect(clippy::large_enum_variant)]
enum Phase {
    Connected(Link),
    Reconnecting(Pin<Box<dyn Future<Output = Link>>>),
    /// Boxed, so that it takes no room in the task before.
    Disconnecting(Pin<Box<dyn Future<Output = ()>>>),
    Ended,
}

impl<R: Role> ClientTask<R> {
    pub(super) fn spawn(state: &Rc<ShardState>, link: Link, role: R) {
        let index = state.tasks.add();
        tokio::task::spawn_local(Self { state: state.clone(), index, role, phase: Phase::Connected(link) });
    }

    /// Its global number.
    fn client(&self) -> usize {
        self.state.shared.plan.client_of(R::KIND, self.role.number())
    }

    /// Takes one step. None: nothing can be done now.
    fn step(&mut self, context: &mut Context<'_>) -> Option<()> {
        self.state.tasks.set_waker(self.index, context);
        match &mut self.phase {
            Phase::Connected(link) => {
                let exit = if self.state.tasks.are_ending() {
                    Exit::Requested
                } else {
                    self.role.drive(&self.state, self.index, link, context).err()?
                };
                self.leave_connection(exit);
            }
            Phase::Reconnecting(_) if self.state.tasks.are_ending() => self.end_without_connection(),
            Phase::Reconnecting(connecting) => match connecting.as_mut().poll(context) {
                Poll::Pending => {
                    self.role.on_wait(&self.state);
                    return None;
                }
                Poll::Ready(link) => self.resume(link),
            },
            Phase::Disconnecting(disconnecting) => match disconnecting.as_mut().poll(context) {
                Poll::Pending => return None,
                Poll::Ready(()) => self.phase = Phase::Ended,
            },
            Phase::Ended => return None,
        }
        Some(())
    }

    fn leave_connection(&mut self, exit: Exit) {
        let Phase::Connected(link) = std::mem::replace(&mut self.phase, Phase::Ended) else { return };
        let (state, client, publishes) = (self.state.clone(), self.client(), R::KIND == ClientKind::Publisher);
        match exit {
            Exit::Requested => {
                let leave = async move { disconnect(&state.shared, state.tls.as_ref(), link, client, publishes).await };
                self.phase = Phase::Disconnecting(Box::pin(leave));
            }
            Exit::Lost(cause) => {
                self.role.on_lost(&state, &link, state.shared.clock.now_ns());
                state.report(Report::Lost { kind: R::KIND, target: link.target(), cause });
                if let Some(interval) = state.shared.plan.reconnect {
                    let early = self.role.early_handler(&state, link.target());
                    let (_, session, _) = link.into_parts();
                    self.phase = Phase::Reconnecting(Box::pin(reconnect(state, client, session, interval, early)));
                } else {
                    self.role.on_lost_for_good(&state.shared);
                    self.end_without_connection();
                }
            }
        }
    }

    /// Ends without a DISCONNECT: there is no connection for it.
    fn end_without_connection(&mut self) {
        self.phase = Phase::Ended;
        self.state.tasks.remove_waker(self.index);
        let publishes = R::KIND == ClientKind::Publisher;
        if needs_clean_up(&self.state.shared, publishes) {
            self.state.add_left_behind(self.client(), publishes);
        }
    }

    fn resume(&mut self, link: Link) {
        self.role.on_reconnected(&self.state.shared);
        self.state.recorder(link.target()).counters.reconnects += 1;
        self.state.report(Report::Reconnected { kind: R::KIND, target: link.target() });
        self.phase = Phase::Connected(link);
    }
}

impl<R: Role> Future for ClientTask<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        while task.step(context).is_some() {}
        if matches!(task.phase, Phase::Ended) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<R> Drop for ClientTask<R> {
    fn drop(&mut self) {
        self.state.tasks.remove_one();
    }
}
