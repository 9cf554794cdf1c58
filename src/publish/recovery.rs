//! What mqpub does when a connection is lost: as long as something may come of it, it goes on over a new one.

use std::pin::pin;
use std::time::Instant;

use super::publisher::{Failure, Publisher, until};
use super::source::MOST_AHEAD;
use crate::client::{ClientError, Interrupts};
use crate::mqtt::{Message, QoS};
use crate::terminal::number::byte_count;

/// Losses in a row on which no message came through.
#[derive(Clone, Copy, Debug)]
pub(super) struct LossRow {
    /// When the first one was.
    since: Instant,
    /// How many messages had come through then.
    entered: u64,
    losses: u64,
    /// Of these, the last ones, at which something was on its way.
    at_the_same_message: u64,
}

/// A message that is not through.
#[derive(Clone, Copy, Debug)]
struct OpenMessage {
    number: u64,
    size: usize,
}

impl Publisher<'_> {
    /// After a loss the lines go on over a new connection; a single message does not wait for a broker to come back
    /// unless that is asked for.
    pub(super) async fn recover(&mut self, failure: Failure, interrupts: &mut Interrupts) -> Result<(), Failure> {
        let first = self.first_open();
        let row = self.enter_loss(first.is_some());
        let error = match failure {
            Failure::Client(error) if error.may_pass() => error,
            other => return Err(other),
        };
        // An idle connection that is lost costs nothing but a new one.
        let losses = if self.plan.sends_lines() { row.at_the_same_message } else { row.losses };
        if losses > self.attempts() {
            return Err(self.given_up(error, first, losses));
        }
        let reported = self.client.report_loss(&error);
        if reported && !self.plan.is_acknowledged() {
            // The socket took them, and nobody can say what the broker got of it.
            let what = if self.plan.sends_lines() { "lines" } else { "messages" };
            self.voice.warning(format_args!("the connection was lost; {what} written just before may be lost with it"));
            self.voice.hint("with -q 1 nothing is lost");
        }
        self.narrow_window(row.at_the_same_message);
        self.account.writes_again(self.unwritten.len() as u64);
        for (_, number, payload) in self.unwritten.drain(..).rev() {
            self.again.push_front((number, payload));
        }
        self.reconnect(row.since, row.losses, error.to_string(), interrupts).await?;
        self.answer = None;
        self.entered_before = self.account.entered();
        Ok(())
    }

    fn enter_loss(&mut self, something_open: bool) -> LossRow {
        let entered = self.account.entered();
        let before = self.loss_row.filter(|row| row.entered == entered);
        let row = LossRow {
            since: before.map_or_else(Instant::now, |row| row.since),
            entered,
            losses: before.map_or(0, |row| row.losses) + 1,
            at_the_same_message: match (before, something_open) {
                (_, false) => 0,
                (None, true) => 1,
                (Some(row), true) => row.at_the_same_message + 1,
            },
        };
        self.loss_row = Some(row);
        row
    }

    /// The message that goes out first on the next connection.
    fn first_open(&mut self) -> Option<OpenMessage> {
        let of_session = self.client.session().oldest().map(|kept| (kept.number, kept.message.payload.len()));
        let of_output = self.unwritten.front().map(|(_, number, payload)| (*number, payload.len()));
        let first = of_session.or(of_output).or(self.again.front().map(|(number, payload)| (*number, payload.len())));
        first.map(|(number, size)| OpenMessage { number, size })
    }

    /// How many connections may be lost, one after the other, before one gets something through. mosquitto_pub sends lines
    /// again for ever.
    fn attempts(&self) -> u64 {
        let retry = &self.plan.connect.retry;
        match (self.plan.sends_lines(), self.plan.compat) {
            (true, true) => retry.after_a_loss(),
            (true, false) => retry.at_the_same_packet(),
            (false, _) => retry.for_first_connection(),
        }
    }

    /// The end, with what is known of its cause.
    fn given_up(&mut self, error: ClientError, first: Option<OpenMessage>, losses: u64) -> Failure {
        let Some(OpenMessage { number, size }) = first.filter(|_| !self.plan.compat) else { return error.into() };
        let hint = self.what_a_broker_may_not_take(size);
        if losses < 2 {
            return Failure::Client(error.hinting(&hint));
        }
        let what = if self.plan.sends_lines() { "line" } else { "message" };
        let text = format!(
            "{}: the connection was lost {losses} times in a row at {what} {number} ({}), and nothing was \
             acknowledged in between: {}",
            self.client.target(),
            byte_count(size),
            error.cause()
        );
        Failure::Repeated { status: error.exit_status(), text, hint }
    }

    /// Why a broker may hang up on a PUBLISH.
    fn what_a_broker_may_not_take(&mut self, size: usize) -> String {
        let Message { topic, qos, retain, .. } = &self.plan.message;
        let mut takes_no = Vec::new();
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => takes_no.push("QoS 1 (try -q 0)".to_owned()),
            QoS::ExactlyOnce => takes_no.push("QoS 2 (try -q 1)".to_owned()),
        }
        if *retain {
            takes_no.push("retained messages (-r)".to_owned());
        }
        if self.client.session().in_flight() > 1 {
            takes_no.push("so many messages in flight (-M)".to_owned());
        }
        takes_no.push(format!("a message of {}", byte_count(size)));
        let takes_no = takes_no.join(", ");
        format!(
            "the broker closed the connection after PUBLISH: this user may not be allowed to publish to '{topic}' (-t, \
             -u), or the broker does not take {takes_no}"
        )
    }

    /// Some brokers close the connection where more is in flight than they like, and cannot say so.
    fn narrow_window(&mut self, losses: u64) {
        let in_flight = self.client.session().in_flight();
        if self.plan.compat || in_flight < 2 || losses == 0 {
            return;
        }
        if self.account.entered() == self.entered_before && !self.window.is_single() {
            // Fewer may have been on their way than the window has room for, and more be kept from before it was halved.
            let sent = in_flight.min(self.client.session().allowed());
            let most = self.window.halve(sent);
            if sent > 1 {
                self.voice.warning(format_args!(
                    "nothing was acknowledged with {sent} messages in flight: from now on at most {most}, as with -M \
                     {most}"
                ));
            }
        }
        if losses > 1 {
            self.window.narrow();
        }
        self.client.set_window(self.window.now());
    }

    /// Opens the window again that was closed to find the message that costs the connection.
    pub(super) fn widen_window(&mut self) {
        if self.window.is_single() && self.account.entered() > self.entered_before && self.window.widen() {
            self.client.set_window(self.window.now());
            let window = self.window.now();
            self.client.session().set_window(window);
        }
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
