//! Handles each message while the session reads: selects it, prints it, and notes it for acknowledgement.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, FixedOffset, Local};

use super::ReceivedMessage;
use super::batch::Batch;
use super::conditions::Conditions;
use super::copies::Copies;
use super::format::{Escapes, MessageRate, MosquittoWatch, Printer, TopicScreen};
use super::jq_process::JqProcess;
use super::plan::{OutputMode, SubscribePlan};
use super::retained::RetainedSet;
use super::selection::{Judgement, Selection, Verdict};
use super::silence::Silence;
use super::silence_command::SilenceCommand;
use super::statistics::Statistics;
use crate::client::Diagnostics;
use crate::exit_status::{ExitStatus, Signal};
use crate::mqtt::wire::{Suback, Unsuback};
use crate::mqtt::{Message, QoS, ReasonCode};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Outcome};
use crate::terminal::number::counted;
use crate::terminal::{quoted, screen_size};
use crate::transport::Address;

/// The interval of `--message-rate`.
const SECOND: Duration = Duration::from_secs(1);
/// How often the screen of `--watch` looks whether its window has another size.
const LOOK: Duration = Duration::from_millis(250);
/// Most bytes of topics whose retained messages one run removes.
const MOST_TO_REMOVE: usize = 256 << 20;

/// The handler of mqsub.
#[derive(Debug)]
pub(super) struct Receiver {
    diagnostics: Diagnostics,
    selection: Selection,
    /// `--filter`, `--until` and `--expect`; apart, as few runs have them.
    conditions: Option<Box<Conditions>>,
    /// `--silent-after`.
    silence: Option<Box<Silence>>,
    /// `--silent-exec`: what is run instead of ending.
    silence_command: Option<SilenceCommand>,
    /// What fell silent and so ended the run: a topic, or everything.
    silent: Option<Option<Arc<str>>>,
    screen: Screen,
    /// They go elsewhere, too.
    copies: Option<Copies>,
    /// When the next line of `--message-rate` is printed.
    tick: Option<Instant>,
    /// When the run is over (`-W`).
    end: Option<Instant>,
    /// Time of receipt of what one read brought; none until it is asked for.
    received: Option<DateTime<FixedOffset>>,
    /// Messages received so far.
    pub(super) messages: u64,
    /// Messages that go elsewhere.
    pub(super) copied: u64,
    /// What waits to be written.
    pub(super) batch: Batch,
    /// Topics whose retained message is to be removed. The broker's acknowledgements lie behind all the messages that it
    /// has sent, so they have to be read first.
    pub(super) to_remove: VecDeque<String>,
    /// Bytes of those topics that came so far.
    topic_bytes: usize,
    /// Retained messages that stay, since there were too many.
    left: u64,
    /// Retained messages that were removed, or would be; none without `--remove-retained`.
    removals: Option<u64>,
    dry_run: bool,
    /// `--once`.
    pub(super) retained: Option<RetainedSet>,
    pub(super) subacks: Vec<Suback>,
    pub(super) unsubacks: Vec<Unsuback>,
    /// The reason for which a retained message could not be removed.
    pub(super) refused: Option<ReasonCode>,
    /// A removal was answered since this was looked at.
    removed: bool,
    /// When the last PINGRESP arrived.
    pub(super) last_pong: Option<Instant>,
    /// Empty messages without RETAIN are what our own removals bring, and end nothing.
    ignores_removals: bool,
}

#[derive(Debug)]
enum Screen {
    Stream(Printer),
    /// The buffer takes one message at a time.
    Topics(Printer, TopicScreen, Vec<u8>),
    MosquittoWatch(Printer, MosquittoWatch),
    Rate(MessageRate),
    Statistics(Box<Statistics>),
    Nothing,
}

impl Receiver {
    pub(super) fn new(plan: &SubscribePlan, jq: JqProcess, diagnostics: Diagnostics, end: Option<Instant>) -> Self {
        let (policy, address) = (&plan.client.policy, &plan.client.connect.transport.address);
        let mut batch = Batch::default();
        let screen = match &plan.display {
            OutputMode::Stream(printer) => Screen::Stream(printer.clone().on_stdout(policy, Escapes::Metadata)),
            OutputMode::Screen(printer) if !policy.has_topic_screen => {
                let watch = MosquittoWatch::default();
                match address {
                    Address::Tcp { host, .. } => watch.begin(host, &mut batch.bytes),
                    address => watch.begin(&address.to_string(), &mut batch.bytes),
                }
                Screen::MosquittoWatch(printer.clone(), watch)
            }
            OutputMode::Screen(printer) => match screen_size() {
                Some(size) => {
                    let topics = TopicScreen::new(&address.to_string(), size);
                    topics.draw(&mut batch.bytes);
                    let printer = Printer { escapes: Escapes::Everything, ..printer.clone() };
                    Screen::Topics(printer, topics, Vec::new())
                }
                // A pipe or a file keeps no screen. A terminal that does not know its size, as on a serial line, gets
                // the same lines, and no payload acts on it either.
                None => Screen::Stream(printer.clone().on_stdout(policy, Escapes::Everything)),
            },
            OutputMode::Rate => Screen::Rate(MessageRate::default()),
            OutputMode::Statistics(interval) => {
                let statistics =
                    Statistics::new(*interval, &quoted(&address.to_string()), screen_size(), Instant::now());
                Screen::Statistics(Box::new(statistics))
            }
            OutputMode::Nothing => Screen::Nothing,
        };
        let now = Instant::now();
        Self {
            diagnostics,
            selection: Selection::new(plan.selection.clone()),
            silence: plan.silence.clone().map(|plan| Box::new(Silence::new(plan, now))),
            silence_command: plan
                .silence_command
                .clone()
                .zip(plan.silence.as_ref())
                .map(|(template, plan)| SilenceCommand::new(template, plan.after, diagnostics)),
            silent: None,
            conditions: plan.conditions.clone().map(|plan| Box::new(Conditions::new(plan, jq))),
            tick: match &screen {
                Screen::Rate(_) => Some(now + SECOND),
                Screen::Topics(..) => Some(now + LOOK),
                Screen::Statistics(statistics) => now.checked_add(statistics.interval()),
                Screen::Stream(_) | Screen::MosquittoWatch(..) | Screen::Nothing => None,
            }
            .filter(|tick| end.is_none_or(|end| *tick < end)),
            screen,
            copies: Copies::of_plan(plan),
            end,
            received: None,
            messages: 0,
            copied: 0,
            batch,
            to_remove: VecDeque::new(),
            topic_bytes: 0,
            left: 0,
            removals: plan.selection.remove_retained.then_some(0),
            dry_run: plan.dry_run,
            retained: plan.once.map(|has_marker| {
                let qos = plan.subscribe.filters.iter().map(|filter| filter.qos).max();
                RetainedSet::new(has_marker, qos.unwrap_or(QoS::AtMostOnce))
            }),
            subacks: Vec::new(),
            unsubacks: Vec::new(),
            refused: None,
            removed: false,
            last_pong: None,
            ignores_removals: plan.selection.retained_only && plan.selection.remove_retained,
        }
    }

    /// Whether the last message has arrived.
    pub(super) fn has_ended(&self) -> bool {
        self.selection.has_ended()
    }

    /// Messages that counted.
    pub(super) fn counted(&self) -> u64 {
        self.selection.counted()
    }

    /// Reports that a retained message stays.
    pub(super) fn cannot_remove(&mut self, topic: &str, why: impl std::fmt::Display, reason: ReasonCode) {
        self.refused.get_or_insert(reason);
        self.diagnostics.error_or(format_args!("cannot remove the retained message of {topic}: {why}"), "");
    }

    /// Whether an answer to a removal has come since this was looked at.
    pub(super) fn has_removed(&mut self) -> bool {
        std::mem::take(&mut self.removed)
    }

    fn show(&mut self, message: &ReceivedMessage<'_>) {
        let out = &mut self.batch.bytes;
        let faults = match &mut self.screen {
            Screen::Stream(printer) => printer.print(message, out),
            Screen::Topics(printer, topics, line) => {
                line.clear();
                let faults = printer.print(message, line);
                topics.update(message.publish.topic, line, out);
                faults
            }
            Screen::MosquittoWatch(printer, watch) => {
                watch.before(message.publish.topic, out);
                let faults = printer.print(message, out);
                watch.after(out);
                faults
            }
            Screen::Rate(rate) => {
                rate.count();
                return;
            }
            Screen::Statistics(statistics) => {
                statistics.add(&message.publish);
                return;
            }
            Screen::Nothing => return,
        };
        for fault in faults {
            self.diagnostics.error_or(&fault, fault.mosquitto_text());
        }
    }

    /// What follows is received now, at one time.
    pub(super) fn begin_read(&mut self) {
        self.received = None;
    }

    /// When there is something to print though nothing was received.
    pub(super) fn due(&self) -> Option<Instant> {
        let condition = self.conditions.as_ref().and_then(|conditions| conditions.due());
        let silence = self.silence.as_ref().and_then(|silence| silence.due());
        let command = self.silence_command.as_ref().and_then(|command| command.due(Instant::now()));
        self.tick.into_iter().chain(condition).chain(silence).chain(command).min()
    }

    /// The broker has acknowledged the subscriptions.
    pub(super) fn on_subscribed(&mut self, now: Instant) {
        if let Some(conditions) = &mut self.conditions {
            conditions.begin(now);
        }
        if let Some(silence) = &mut self.silence {
            silence.begin(now);
        }
    }

    /// The connection is lost.
    pub(super) fn on_loss(&mut self) {
        if let Some(silence) = &mut self.silence {
            silence.pause();
        }
    }

    /// Nothing was read from the broker for this time, until now: whatever came has not been seen, so that it was no
    /// silence.
    pub(super) fn on_pause(&mut self, pause: Duration, now: Instant) {
        if let Some(conditions) = &mut self.conditions {
            conditions.on_pause(pause);
        }
        if let Some(silence) = self.silence.as_mut().filter(|silence| silence.has_begun()) {
            silence.begin(now);
        }
    }

    /// Looks whether a time is over that ends the run.
    pub(super) fn check_time(&mut self) {
        if let Some(conditions) = &mut self.conditions
            && conditions.check_time(Instant::now())
        {
            self.selection.end();
        }
        let Some(silence) = self.silence.as_mut().filter(|_| !self.selection.has_ended()) else { return };
        let now = Instant::now();
        match &mut self.silence_command {
            Some(command) => {
                while let Some(silent) = silence.next_silent(now) {
                    command.push(silent);
                }
                command.advance();
            }
            None => {
                if let Some(silent) = silence.next_silent(now) {
                    self.silent = Some(silent);
                    self.selection.end();
                }
            }
        }
    }

    /// The end of a run by a signal: passes it on to the commands of `--silent-exec`.
    pub(super) async fn stop_commands(&mut self, signal: Signal) {
        if let Some(command) = self.silence_command.take() {
            command.stop(signal).await;
        }
    }

    /// The end of the run: what is still to be shown.
    pub(super) fn finish_display(&mut self) {
        if let Screen::Statistics(statistics) = &mut self.screen {
            statistics.finish(Instant::now(), Local::now().fixed_offset(), &mut self.batch.bytes);
        }
    }

    /// Reports at the end what only the end shows.
    pub(super) fn report_failures(&self) {
        if let Some(conditions) = &self.conditions {
            conditions.report_failures(self.diagnostics);
        }
        if let Some(watched) = self.silence.as_ref().and_then(|silence| silence.overflow()) {
            let watched = counted(watched as u64, "topic", "topics");
            self.diagnostics.warning(format_args!("--each-topic watched {watched}, and there were more"));
        }
        if let Some(failure) = self.silence_command.as_ref().and_then(|command| command.failure()) {
            self.diagnostics.warning(failure);
        }
        if let Some(removed) = self.removals {
            let removed = counted(removed, "retained message", "retained messages");
            match self.dry_run {
                true => self.diagnostics.note(format_args!("{removed} would be removed; --dry-run removes nothing")),
                false => self.diagnostics.note(format_args!("removed {removed}")),
            }
        }
        if self.left > 0 {
            let left = counted(self.left, "retained message was", "retained messages were");
            let most = MOST_TO_REMOVE >> 20;
            self.diagnostics.error(format_args!("{left} not removed: one run removes up to {most} MiB of topics"));
            self.diagnostics.hint("run it again for the rest");
        }
    }

    /// The end of a run that nothing cut short: reports what was expected and did not come, and returns how that ends.
    pub(super) fn conclude(&self) -> Option<ExitStatus> {
        if let (Some(silent), Some(silence)) = (&self.silent, &self.silence) {
            let (topic, time) = (silent.as_deref().map(quoted), silence.after().as_secs_f64());
            let topic = topic.map_or_else(String::new, |topic| format!(" on {topic}"));
            self.diagnostics.error(format_args!("no message came{topic} for {time} s"));
            return Some(ExitStatus::NothingCame);
        }
        let concluded = self.conditions.as_ref().and_then(|conditions| conditions.conclude(self.diagnostics));
        concluded.or((self.left > 0).then_some(ExitStatus::Failed))
    }

    /// Prints the rate of the second that is over, if one is, and follows the size of the screen.
    pub(super) fn print_due(&mut self) {
        let Some(tick) = self.tick else { return };
        let now = Instant::now();
        if now < tick {
            return;
        }
        let beat = match &mut self.screen {
            Screen::Topics(_, topics, _) => {
                if let Some(size) = screen_size() {
                    topics.resize(size, &mut self.batch.bytes);
                }
                LOOK
            }
            Screen::Rate(rate) => {
                rate.line(&mut self.batch.bytes);
                SECOND
            }
            Screen::Statistics(statistics) => {
                // What a slow reader has not taken yet is not added to.
                if self.batch.bytes.is_empty() {
                    statistics.tick(now, Local::now().fixed_offset(), screen_size(), &mut self.batch.bytes);
                }
                statistics.interval()
            }
            Screen::Stream(_) | Screen::MosquittoWatch(..) | Screen::Nothing => SECOND,
        };
        // Seconds that passed without a chance to print them are not made up for.
        // One that ends with the run has no line: which of the two comes first would be a matter of luck.
        self.tick = Some((tick + beat).max(now)).filter(|tick| self.end.is_none_or(|end| *tick < end));
    }
}

impl Handler<Message> for Receiver {
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        self.messages += 1;
        if let Some(set) = &mut self.retained
            && set.on_message(delivery.publish, Instant::now())
        {
            if delivery.publish.qos != QoS::AtMostOnce {
                self.batch.receipts.push(delivery.receipt);
            }
            return Acknowledge::Later;
        }
        let received = *self.received.get_or_insert_with(|| Local::now().fixed_offset());
        let message = ReceivedMessage::new(delivery.publish.clone(), received);
        let publish = delivery.publish;
        let echo = self.ignores_removals && !publish.retain && publish.payload.is_empty();
        let counted_before = self.selection.counted();
        let judgement: Judgement = match &mut self.conditions {
            _ if echo => Verdict::Skip.into(),
            Some(conditions) => conditions.judge(&message, &mut self.selection, Instant::now()),
            None => self.selection.judge(&message),
        };
        if let Some(silence) = &mut self.silence
            && self.selection.counted() > counted_before
        {
            silence.on_message(publish.topic, Instant::now());
        }
        let (acknowledges, mut has_receipt) =
            (publish.qos != QoS::AtMostOnce && judgement.verdict != Verdict::Beyond, false);
        if judgement.verdict.prints() {
            self.show(&message);
            if let Some(copies) = &self.copies {
                has_receipt = copies.take(&message, delivery.receipt, &mut self.batch);
                self.copied += 1;
            }
        } else if let Some(copies) = self.copies.as_ref().filter(|_| acknowledges) {
            has_receipt = copies.pass(delivery.receipt, &mut self.batch);
        }
        if judgement.remove {
            match &mut self.removals {
                Some(count) if self.dry_run => *count += 1,
                _ if self.topic_bytes > MOST_TO_REMOVE => self.left += 1,
                _ => {
                    self.topic_bytes += publish.topic.len() + size_of::<String>();
                    self.to_remove.push_back(publish.topic.to_owned());
                }
            }
        }
        if acknowledges && !has_receipt {
            self.batch.receipts.push(delivery.receipt);
        }
        Acknowledge::Later
    }

    /// A retained message was removed, or not.
    fn on_completed(&mut self, completion: Completion<'_, Message>) {
        let Completion { kept, outcome, reason, .. } = completion;
        if self.retained.as_ref().is_some_and(|set| set.is_marker(&kept.topic)) {
            return;
        }
        self.removed = true;
        if matches!(outcome, Outcome::Refused | Outcome::Lost) {
            self.cannot_remove(&kept.topic, reason, reason);
        } else if let Some(count) = &mut self.removals {
            *count += 1;
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Subscribed(suback) => self.subacks.push(suback),
            Event::Unsubscribed(unsuback) => self.unsubacks.push(unsuback),
            Event::Pong => self.last_pong = Some(Instant::now()),
            Event::Connected(_) | Event::Resending { .. } | Event::UnknownAcknowledgement(_) => {}
        }
    }
}
