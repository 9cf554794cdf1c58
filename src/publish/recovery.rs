//! What mqpub does when a connection is lost: as long as something may come of it, it goes on over a new one.

use std::pin::pin;
use std::time::Instant;

use super::publisher::{Failure, Publisher, until};
use super::source::MOST_AHEAD;
use crate::client::Interrupts;

impl Publisher<'_> {
    /// After a loss the lines go on over a new connection; a single message does not wait for a broker to come back
    /// unless that is asked for.
    pub(super) async fn recover(&mut self, failure: Failure, interrupts: &mut Interrupts) -> Result<(), Failure> {
        let through = self.account.entered();
        let (since, losses) = match self.stuck {
            Some((since, then, losses)) if then == through => (since, losses + 1),
            _ => (Instant::now(), 1),
        };
        self.stuck = Some((since, through, losses));
        let loss = match failure {
            Failure::Client(error) if losses <= self.attempts() && error.may_pass() => {
                self.client.note(&format!("lost the connection and connects again: {error}"));
                if !std::mem::replace(&mut self.told_loss, true) {
                    self.voice.warning(self.client.loss(&error));
                }
                error.to_string()
            }
            other => return Err(other),
        };
        if !self.plan.is_acknowledged() {
            // The socket took them, and nobody can say what the broker got of it.
            let what = if self.plan.sends_lines() { "lines" } else { "messages" };
            self.voice.warning(format_args!("the connection was lost; {what} written just before may be lost with it"));
            self.voice.hint("with -q 1 nothing is lost");
        }
        self.account.writes_again(self.unwritten.len() as u64);
        for (_, number, payload) in self.unwritten.drain(..).rev() {
            self.again.push_front((number, payload));
        }
        self.reconnect(since, losses, loss, interrupts).await?;
        self.last.0 = Instant::now();
        Ok(())
    }

    /// How many connections may be lost, one after the other, before one gets something through.
    fn attempts(&self) -> u64 {
        let retry = &self.plan.connect.retry;
        if self.plan.sends_lines() { retry.after_a_loss() } else { retry.for_first_connection() }
    }

    /// Connects again. Where the input has ended nobody is there to notice that it never works, so it ends then, unless
    /// how long is to be tried was said.
    async fn reconnect(
        &mut self,
        since: Instant,
        losses: u64,
        loss: String,
        interrupts: &mut Interrupts,
    ) -> Result<(), Failure> {
        let Self { client, account, source, plan, line, .. } = self;
        let done = account.done();
        let mut connecting = pin!(client.reconnect(account, losses));
        loop {
            let ends = source.is_read() && plan.connect.retry.attempts.is_none();
            let deadline = if ends { since.checked_add(plan.patience) } else { None };
            let reading = !source.is_read() && source.held() < MOST_AHEAD;
            let due = line.due();
            tokio::select! {
                biased;
                signal = interrupts.next() => return Err(Failure::Interrupted(signal)),
                () = until(deadline) => return Err(Failure::Stuck(since, loss)),
                connected = &mut connecting => return Ok(connected?),
                input = source.wait(), if reading => input.map_err(Failure::Input)?,
                () = until(due), if due.is_some() => {
                    line.draw(Instant::now(), done, source.position().0, Some("waiting for the broker"));
                }
            }
        }
    }
}
