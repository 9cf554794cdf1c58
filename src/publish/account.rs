//! The outcome of each message, and the exit status that follows.

use std::cell::Cell;
use std::fmt::Display;

use super::line_fault::LineFault;
use super::plan::PublishPlan;
use super::summary::Totals;
use crate::client::ProgressReporter;
use crate::client::mosquitto::publish_failed;
use crate::exit_status::ExitStatus;
use crate::mqtt::{Message, PropertyName, ReasonCode};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Kept, Outcome};
use crate::terminal::escape;
use crate::terminal::number::{counted, grouped};

/// Most refused messages that are reported one by one; the rest are counted.
const NAMED: u64 = 5;

/// A message on its way, with its number: which line of the input it is, or which repetition, from 1.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// Its number.
    pub number: u64,
    /// What is sent.
    pub message: Message,
    /// The PUBREC reported that no client is subscribed.
    has_no_subscriber: Cell<bool>,
}

impl Outgoing {
    pub(super) const fn new(number: u64, message: Message) -> Self {
        Self { number, message, has_no_subscriber: Cell::new(false) }
    }
}

impl Kept for Outgoing {
    fn message(&self) -> Option<&Message> {
        Some(&self.message)
    }
}

/// The account of all messages.
#[derive(Debug)]
pub(crate) struct PublishAccount {
    reporter: ProgressReporter,
    /// A refused message is counted, and makes the run fail.
    refusals_fail: bool,
    /// A message without a subscriber makes the run fail.
    requires_subscriber: bool,
    /// What a message is called, one and many.
    nouns: (&'static str, &'static str),
    /// Messages differ in their topics, so that reports name them.
    names_topics: bool,
    /// A bad line was the last one that was read.
    stops_at_bad_line: bool,
    /// What is counted; [`totals`](Self::totals) fills in what follows from the rest.
    counts: Totals,
    /// Messages that cannot be sent again after a reconnect.
    lost: u64,
    /// The input ends with an error.
    has_fault: bool,
    connections: u64,
    first_refusal: Option<ReasonCode>,
    /// The broker resumed a session of which this run knows nothing.
    found_session: bool,
    /// Answers of the broker about a message, new ones only.
    answers: u64,
}

impl PublishAccount {
    /// An empty account. It reports at once what goes wrong.
    pub(super) fn new(reporter: ProgressReporter, plan: &PublishPlan) -> Self {
        Self {
            requires_subscriber: plan.requires_subscriber,
            names_topics: plan.has_various_messages(),
            stops_at_bad_line: !plan.skips_bad_lines,
            counts: Totals { acknowledged: plan.is_acknowledged().then_some(0), ..Totals::default() },
            ..Self::of_lines(reporter, plan.client.policy.refusals_fail, plan.nouns())
        }
    }

    fn of_lines(reporter: ProgressReporter, refusals_fail: bool, nouns: (&'static str, &'static str)) -> Self {
        Self {
            reporter,
            refusals_fail,
            requires_subscriber: false,
            nouns,
            names_topics: false,
            stops_at_bad_line: false,
            counts: Totals::default(),
            lost: 0,
            has_fault: false,
            connections: 0,
            first_refusal: None,
            found_session: false,
            answers: 0,
        }
    }

    /// Messages that the broker has taken responsibility for: acknowledged, or written at QoS 0.
    pub(crate) const fn done(&self) -> u64 {
        self.counts.taken
    }

    /// Grows with every new answer of the broker about a message.
    pub(crate) const fn answers(&self) -> u64 {
        self.answers
    }

    /// Whether there has been a connection.
    pub(crate) const fn has_connected(&self) -> bool {
        self.connections > 0
    }

    /// Whether the broker had a session for the first connection already.
    pub(crate) const fn has_found_session(&self) -> bool {
        self.found_session
    }

    /// Counts a QoS 1 or 2 message that is sent for the first time.
    pub(crate) fn sends(&mut self) {
        self.counts.sent += 1;
        self.counts.acknowledged.get_or_insert(0);
    }

    /// Counts QoS 0 messages that were written.
    pub(crate) const fn wrote(&mut self, count: u64) {
        self.counts.sent += count;
        self.counts.taken += count;
    }

    /// Counts QoS 0 messages that are written again, since they were lost with a connection.
    pub(crate) const fn writes_again(&mut self, count: u64) {
        self.counts.retried += count;
    }

    /// Counts a message that is refused, by the broker or because of its limits.
    pub(crate) fn refuse(&mut self, number: u64, topic: &str, why: impl Display, reason: ReasonCode) {
        *self.counts.refused.entry(reason.0).or_default() += 1;
        self.first_refusal.get_or_insert(reason);
        if self.counts.refusals() <= NAMED {
            self.reporter.error(format_args!("{} was refused: {why}", self.name(number, topic)));
        }
    }

    /// Counts a line that is not a message.
    pub(super) fn note_bad_line(&mut self, number: u64, fault: &LineFault) {
        self.counts.bad_lines += 1;
        if self.counts.bad_lines <= NAMED {
            let column = fault.column().map(|column| format!(", column {column}")).unwrap_or_default();
            let (noun, fault) = (self.nouns.0, fault.to_string());
            self.reporter.error(format_args!("{noun} {number}{column}: {}", escape(&fault)));
        }
    }

    /// The input cannot be read to its end.
    pub(super) fn note_fault(&mut self, fault: &str) {
        self.has_fault = true;
        self.reporter.error(escape(fault));
    }

    /// A message as reports name it.
    fn name(&self, number: u64, topic: &str) -> String {
        let noun = self.nouns.0;
        if self.names_topics { format!("{noun} {number} ('{}')", escape(topic)) } else { format!("{noun} {number}") }
    }

    fn note_without_subscriber(&mut self, number: u64, topic: &str) {
        self.counts.without_subscriber += 1;
        if self.counts.without_subscriber <= NAMED {
            let name = self.name(number, topic);
            self.reporter.error(format_args!("{name} reached nobody: no client is subscribed to its topic"));
        }
    }

    /// Messages that nothing more is to be done for: acknowledged, refused or lost.
    pub(crate) fn settled(&self) -> u64 {
        self.counts.taken + self.counts.refusals() + self.lost
    }

    /// Reports what did not get through, with `open` messages that were taken up and are not finished, and returns how
    /// the tool ends when nothing else ended it. `whole`: all of the input was taken up.
    pub(crate) fn close(&self, open: u64, whole: bool) -> ExitStatus {
        if !self.refusals_fail {
            return ExitStatus::Done;
        }
        let all = self.settled() + open;
        let Totals { taken, bad_lines, without_subscriber, downgraded, .. } = self.counts;
        let refusals = self.counts.refusals();
        if refusals > NAMED {
            self.reporter.error(format_args!("{refusals} of {all} messages were refused"));
        }
        if without_subscriber > NAMED {
            let count = grouped(without_subscriber);
            self.reporter.error(format_args!("{count} of {all} messages had no subscriber"));
        }
        if bad_lines > 0 && !self.stops_at_bad_line {
            let (noun, nouns) = self.nouns;
            self.reporter.error(format_args!("{} skipped", counted(bad_lines, noun, nouns)));
        } else if bad_lines > 0 {
            let noun = self.nouns.0;
            let before = match taken {
                0 => String::new(),
                done => format!("{} before it reached the broker; ", counted(done, "message", "messages")),
            };
            self.reporter.hint(format_args!("{before}--on-error skip goes on with the next {noun}"));
        }
        let left = open + self.lost;
        let unread = if whole { "" } else { ", and the rest of the input was not read" };
        match (left, unread) {
            (0, "") => {}
            (0, _) => self.reporter.error("the rest of the input was not read"),
            _ => {
                let all = counted(all, "message", "messages");
                self.reporter.error(format_args!("{} of {all} did not reach the broker{unread}", grouped(left)));
            }
        }
        if downgraded > 1 {
            self.reporter.warning(format_args!("{downgraded} messages were delivered at QoS 1 only"));
        }
        match self.first_refusal {
            Some(reason) => ExitStatus::Refused(reason),
            None if left > 0 || bad_lines > 0 || self.has_fault => ExitStatus::Failed,
            None if downgraded > 0 || without_subscriber > 0 => ExitStatus::Downgraded,
            None => ExitStatus::Done,
        }
    }

    /// The figures, with `open` messages that were taken up and are not finished. Of the input nothing is known here.
    pub(super) fn totals(&self, open: u64) -> Totals {
        Totals {
            messages: self.settled() + open,
            unacknowledged: open + self.lost,
            reconnects: self.connections.saturating_sub(1),
            ..self.counts.clone()
        }
    }
}

impl Handler<Outgoing> for PublishAccount {
    /// A kept session may have messages for us. They are not ours to take, so the broker keeps them.
    fn on_message(&mut self, _: &Delivery<'_>) -> Acknowledge {
        Acknowledge::Later
    }

    fn on_completed(&mut self, completion: Completion<'_, Outgoing>) {
        self.answers += 1;
        let Completion { kept, outcome, reason, properties, packet_identifier } = completion;
        let is_taken = matches!(outcome, Outcome::Acknowledged | Outcome::Downgraded);
        let has_no_subscriber = reason == ReasonCode::NO_MATCHING_SUBSCRIBERS || kept.has_no_subscriber.get();
        if is_taken && has_no_subscriber && self.requires_subscriber {
            self.note_without_subscriber(kept.number, &kept.message.topic);
        }
        self.counts.taken += u64::from(is_taken);
        *self.counts.acknowledged.get_or_insert(0) += u64::from(is_taken);
        match outcome {
            Outcome::Acknowledged => {}
            Outcome::Downgraded => {
                self.counts.downgraded += 1;
                if self.counts.downgraded == 1 {
                    self.reporter.warning(
                        "the broker answered a QoS 2 message with PUBACK: it was delivered at QoS 1, so it may \
                         arrive twice",
                    );
                }
            }
            Outcome::Refused => {
                let words = properties.text(PropertyName::ReasonString);
                let Outgoing { number, message: Message { topic, .. }, .. } = &kept;
                match words {
                    _ if !self.refusals_fail => {
                        self.reporter.error_or("", publish_failed(packet_identifier, reason, words));
                    }
                    Some(words) => self.refuse(*number, topic, format_args!("{reason}: {}", escape(words)), reason),
                    None => self.refuse(*number, topic, reason, reason),
                }
            }
            Outcome::Lost => {
                self.lost += 1;
                if self.lost == 1 {
                    let name = self.name(kept.number, &kept.message.topic);
                    self.reporter.error(format_args!("{name} cannot be sent again after the reconnect: {reason}"));
                }
            }
        }
    }

    fn on_received(&mut self, kept: &Outgoing, reason: ReasonCode) {
        self.answers += 1;
        kept.has_no_subscriber.set(reason == ReasonCode::NO_MATCHING_SUBSCRIBERS);
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected(connack) => {
                self.found_session |= connack.session_present && self.connections == 0;
                self.connections += 1;
            }
            Event::Resending { messages, uncertain } => {
                self.counts.retried += messages as u64;
                self.counts.uncertain += uncertain as u64;
                if uncertain > 0 {
                    let what = counted(uncertain as u64, "QoS 2 message is", "QoS 2 messages are");
                    self.reporter.warning(format_args!(
                        "the broker has lost the session: {what} sent again and may arrive twice"
                    ));
                    self.reporter.hint("-c with -i ID keeps the session");
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Properties;

    fn account() -> PublishAccount {
        PublishAccount::of_lines(ProgressReporter::silent(), true, ("line", "lines"))
    }

    fn completed(account: &mut PublishAccount, outcome: Outcome, reason: ReasonCode) {
        let properties = Properties::new();
        let kept = Outgoing::new(1, Message::default());
        account.on_completed(Completion { kept, packet_identifier: 1, outcome, reason, properties: &properties });
    }

    #[test]
    fn the_worst_decides() {
        let mut account = account();
        assert_eq!(account.close(0, true), ExitStatus::Done);
        completed(&mut account, Outcome::Acknowledged, ReasonCode::NO_MATCHING_SUBSCRIBERS);
        assert_eq!(account.close(0, true), ExitStatus::Done);
        account.requires_subscriber = true;
        completed(&mut account, Outcome::Acknowledged, ReasonCode::NO_MATCHING_SUBSCRIBERS);
        assert_eq!(account.close(0, true), ExitStatus::Downgraded);
        account.counts.without_subscriber = 0;
        completed(&mut account, Outcome::Downgraded, ReasonCode::SUCCESS);
        assert_eq!(account.close(0, true), ExitStatus::Downgraded);
        account.note_bad_line(7, &LineFault::TopicNotUtf8);
        assert_eq!(account.close(0, false), ExitStatus::Failed);
        account.counts.bad_lines = 0;
        assert_eq!(account.close(1, true), ExitStatus::Failed);
        completed(&mut account, Outcome::Refused, ReasonCode::NOT_AUTHORIZED);
        completed(&mut account, Outcome::Refused, ReasonCode::PACKET_TOO_LARGE);
        assert_eq!(account.close(1, true), ExitStatus::Refused(ReasonCode::NOT_AUTHORIZED));
        assert_eq!((account.done(), account.answers(), account.settled()), (3, 5, 5));
    }

    #[test]
    fn a_lost_message_is_a_failure() {
        let mut account = account();
        completed(&mut account, Outcome::Lost, ReasonCode::PACKET_TOO_LARGE);
        assert_eq!(account.close(0, true), ExitStatus::Failed);
    }

    #[test]
    fn totals_add_up() {
        let mut account = account();
        for _ in 0..5 {
            account.sends();
        }
        completed(&mut account, Outcome::Acknowledged, ReasonCode::SUCCESS);
        completed(&mut account, Outcome::Refused, ReasonCode::NOT_AUTHORIZED);
        completed(&mut account, Outcome::Lost, ReasonCode::PACKET_TOO_LARGE);
        account.on_event(Event::Resending { messages: 3, uncertain: 2 });
        let totals = account.totals(2);
        assert_eq!((totals.messages, totals.sent, totals.acknowledged, totals.unacknowledged), (5, 5, Some(1), 3));
        assert_eq!((totals.refused, totals.retried, totals.uncertain), ([(0x87, 1)].into(), 3, 2));
    }
}
