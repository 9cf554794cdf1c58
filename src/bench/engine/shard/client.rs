//! A client's life, as a task of its shard: at work, away and connecting again, leaving, over.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::super::connect;
use super::super::link::Link;
use super::super::reconnect;
use super::{Report, Role, ShardState};
use crate::bench::plan::Part;
use crate::transport::io_text;

/// Why a client's task ends.
pub(in crate::bench::engine) enum End {
    /// It was told to.
    Asked,
    /// The connection is gone.
    Lost(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Lost(io_text(&error))
    }
}

/// A client's life, as a task. Not an async function: that would keep its arguments twice, and a client's task is kept
/// thousands of times.
pub(in crate::bench::engine) struct Client<R> {
    state: Rc<ShardState>,
    index: usize,
    role: R,
    life: Life,
}

// Nearly all clients are at work nearly all the time: a box would only cost.
#[expect(clippy::large_enum_variant)]
enum Life {
    Working(Link),
    /// Connecting again.
    Away(Pin<Box<dyn Future<Output = Link>>>),
    /// Boxed: it need not lie in the task all the while before.
    Leaving(Pin<Box<dyn Future<Output = ()>>>),
    Over,
}

impl<R: Role> Client<R> {
    pub(in crate::bench::engine) fn spawn(state: &Rc<ShardState>, link: Link, role: R) {
        state.at_work.set(state.at_work.get() + 1);
        let index = state.wakers.borrow().len();
        state.wakers.borrow_mut().push(None);
        tokio::task::spawn_local(Self { state: state.clone(), index, role, life: Life::Working(link) });
    }

    /// Its global number.
    fn client(&self) -> usize {
        self.state.shared.plan.client_of(R::PART, self.role.number())
    }

    /// Goes one step on. None: nothing can be done now.
    fn step(&mut self, context: &mut Context<'_>) -> Option<()> {
        self.state.remember(self.index, context);
        match &mut self.life {
            Life::Working(link) => {
                let end = if self.state.ending.get() {
                    End::Asked
                } else {
                    self.role.drive(&self.state, self.index, link, context).err()?
                };
                self.end(end);
            }
            Life::Away(_) if self.state.ending.get() => self.leave_behind(),
            Life::Away(connecting) => match connecting.as_mut().poll(context) {
                Poll::Pending => {
                    self.role.wait(&self.state);
                    return None;
                }
                Poll::Ready(link) => self.come_back(link),
            },
            Life::Leaving(leave) => match leave.as_mut().poll(context) {
                Poll::Pending => return None,
                Poll::Ready(()) => self.life = Life::Over,
            },
            Life::Over => return None,
        }
        Some(())
    }

    fn end(&mut self, end: End) {
        let Life::Working(link) = std::mem::replace(&mut self.life, Life::Over) else { return };
        let (state, client, publishes) = (self.state.clone(), self.client(), R::PART == Part::Publisher);
        match end {
            End::Asked => {
                let leave =
                    async move { connect::leave(&state.shared, state.tls.as_ref(), link, client, publishes).await };
                self.life = Life::Leaving(Box::pin(leave));
            }
            End::Lost(cause) => {
                self.role.lose(&state, &link, state.shared.clock.now_ns());
                state.report(Report::Lost { part: R::PART, target: link.target(), cause });
                if let Some(interval) = state.shared.plan.reconnect {
                    let (_, session, _) = link.into_parts();
                    self.life =
                        Life::Away(Box::pin(reconnect::again(state, client, session, interval, self.role.early())));
                } else {
                    self.role.abandon(&state.shared);
                    self.leave_behind();
                }
            }
        }
    }

    /// Ends without a goodbye: there is no connection to say it on.
    fn leave_behind(&mut self) {
        self.life = Life::Over;
        self.state.wakers.borrow_mut()[self.index] = None;
        let publishes = R::PART == Part::Publisher;
        if connect::leaves_something(&self.state.shared, publishes) {
            self.state.left_behind.borrow_mut().push((self.client(), publishes));
        }
    }

    fn come_back(&mut self, link: Link) {
        self.role.resume(&self.state.shared);
        self.state.recorder(link.target()).counters.reconnects += 1;
        self.state.report(Report::Back { part: R::PART, target: link.target() });
        self.life = Life::Working(link);
    }
}

impl<R: Role> Future for Client<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let client = self.get_mut();
        while client.step(context).is_some() {}
        if matches!(client.life, Life::Over) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<R> Drop for Client<R> {
    fn drop(&mut self) {
        let left = self.state.at_work.get() - 1;
        self.state.at_work.set(left);
        if left == 0 {
            self.state.all_gone.notify_one();
        }
    }
}
