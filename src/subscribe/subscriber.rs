//! The work of mqsub: subscribe, and carry messages to stdout until it has enough.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::aside::AsideThread;
use super::exit::{EXIT_TIMEOUT, leave, reason_with_will, write_out};
use super::file_error::FileError;
use super::jobs::Jobs;
use super::plan::{OutputMode, SubscribePlan};
use super::process::CommandEnd;
use super::ready::Readiness;
use super::receiver::Receiver;
use super::record::RecordProgress;
use super::requests::{Requests, check_limits};
use super::sink::{MessageSink, OutputError, SinkReady};
use crate::client::mosquitto::TIMED_OUT;
use crate::client::{AnswerTimer, Client, ClientError, Diagnostics, Driver, End, GiveUp, ReadModeration, Task, Which};
use crate::exit_status::{ExitStatus, Signal};
use crate::mqtt::wire::{Suback, WireError};
use crate::mqtt::{Message, QoS, ReasonCode};
use crate::session::{Handler, PublishError};
use crate::terminal::number::counted;

/// While this many retained messages wait to be removed nothing is read from the broker.
const MOST_TO_REMOVE: usize = 1000;
/// A broker that has answered a PINGREQ sent after the SUBSCRIBE, and then has sent nothing for this long, has no more
/// retained messages.
const QUIET: Duration = Duration::from_secs(1);
/// Topic Name invalid.
const TOPIC_NAME_INVALID: ReasonCode = ReasonCode(0x90);
/// Why a broker may close the connection on a SUBSCRIBE.
const SUBSCRIBE_HINT: &str = "the broker closed the connection instead of answering SUBSCRIBE: this user may not be allowed to subscribe there (choose other topics with -t, or another user with -u), or the \
                              broker is just starting (--retry tries again)";
/// Why a broker may close the connection on the removal of a retained message.
const REMOVAL_HINT: &str = "the broker closed the connection instead of removing a retained message: is this user allowed to publish to these topics?";

/// How far the broker has got with its answers: it may send messages of an old session before SUBACK, and a large one
/// takes long to arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProgressMark {
    unanswered: usize,
    messages: u64,
    /// When bytes of a packet that is not complete were last received.
    inside_packet: Option<Instant>,
}

/// What a run waits for besides the network and the clock.
pub(super) enum Ready {
    Sink(SinkReady),
    /// The command of `--exec` has ended.
    Command(io::Result<CommandEnd>),
}

/// A run.
#[derive(Debug)]
pub(super) struct Subscriber<'a> {
    plan: &'a SubscribePlan,
    diagnostics: Diagnostics,
    sink: MessageSink,
    /// `--record` on a terminal.
    progress: Option<RecordProgress>,
    receiver: Receiver,
    requests: Requests,
    readiness: Readiness,
    /// The answers to [`Subscriber::requests`] are to be announced.
    announces: bool,
    /// What the command of `--exec` has published is awaited.
    has_pinged: bool,
    /// `-W`: when the run is over.
    end: Option<Instant>,
    /// How long the broker has for the next SUBACK or UNSUBACK.
    answer: AnswerTimer<ProgressMark>,
    /// How long it has to acknowledge the next removal. The mark counts those that are left.
    removal: AnswerTimer<usize>,
    /// What the broker granted was reported; a reconnect brings it again.
    /// Connections lost in a row on which SUBSCRIBE, or the removal of a retained message, was not answered.
    losses: u64,
    moderation: ReadModeration,
    /// How long the next read may wait.
    pause: Option<Duration>,
    /// Bytes and messages received before the present step.
    received_before: (u64, u64),
}

impl<'a> Subscriber<'a> {
    /// Subscribes, and returns how that ended.
    ///
    /// # Errors
    /// The system's, before it begins.
    pub(super) async fn run(
        plan: &'a SubscribePlan,
        readiness: Readiness,
        diagnostics: Diagnostics,
    ) -> io::Result<ExitStatus> {
        let end = plan.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let written = Arc::default();
        let aside = match AsideThread::open(plan.record.as_ref(), plan.directory.as_ref(), &written) {
            Ok(aside) => aside,
            Err(FileError { text, hint }) => return Ok(diagnostics.failed(text, hint)),
        };
        let jobs = plan.run.as_ref().map(|run| Jobs::new(run.jobs, diagnostics));
        let prints = plan.display != OutputMode::Nothing;
        let is_quiet = prints || plan.client.quiet || plan.client.debug > 0;
        let progress = RecordProgress::new(plan.record.is_some() && !is_quiet, written);
        let mut driver = match &progress {
            Some(progress) => Driver::new(&plan.client, progress.reporter(diagnostics)),
            None => Driver::new(&plan.client, diagnostics),
        }?;
        let mut subscriber = Self {
            plan,
            diagnostics,
            sink: MessageSink::open()?.with_aside(aside, jobs, prints),
            progress,
            receiver: Receiver::new(plan, diagnostics, end),
            requests: Requests::default(),
            readiness,
            announces: false,
            has_pinged: false,
            end,
            answer: AnswerTimer::new(plan.client.answer_timeout),
            removal: AnswerTimer::new(plan.client.answer_timeout),
            losses: 0,
            moderation: ReadModeration::default(),
            pause: None,
            received_before: (0, 0),
        };
        let ended = driver.run(&mut subscriber).await;
        subscriber.progress = None;
        let signal = match &ended {
            Err(End::Interrupted(signal)) => *signal,
            _ => Signal::Terminate,
        };
        let is_slow = plan.run.is_some() || plan.record.is_some() || plan.directory.is_some();
        if is_slow && ended.is_err() {
            // Commands may run on for long, and a disk may be slow.
            driver.let_next_signal_end();
        }
        let status = subscriber.finish(&mut driver.client, ended).await;
        let status = subscriber.finish_files(status);
        // From here on another signal ends this process at once.
        let status = driver.exit_status(status);
        subscriber.readiness.end_command(signal).await;
        Ok(subscriber.status_of_commands(status))
    }

    /// The status of a run that was done: another one where a command has failed.
    fn status_of_commands(&self, status: ExitStatus) -> ExitStatus {
        let failed = self.sink.failed_commands();
        if let Some(failed) = &failed {
            self.diagnostics.error(failed);
        }
        match self.readiness.failure() {
            _ if failed.is_some() && status == ExitStatus::Done => ExitStatus::Failed,
            Some((program, end)) if status == ExitStatus::Done => {
                self.diagnostics.error(format_args!("--exec: {program} has ended with {end}"));
                ExitStatus::Command(end.code())
            }
            _ => status,
        }
    }

    /// Waits until the files are complete, and reports what is in them.
    fn finish_files(&mut self, status: ExitStatus) -> ExitStatus {
        match self.sink.finish() {
            Ok(notes) => {
                notes.iter().for_each(|note| self.diagnostics.note(note));
                status
            }
            Err(OutputError::Closed) => status,
            Err(OutputError::Failed { text, hint }) => self.diagnostics.failed(text, hint),
        }
    }

    /// Reports how it ended, and leaves the broker.
    async fn finish(&mut self, client: &mut Client<Message>, ended: Result<(), End<OutputError>>) -> ExitStatus {
        let policy = &self.plan.client.policy;
        let is_cut_short = matches!(ended, Err(End::Interrupted(_) | End::TimedOut)) && !client.is_open();
        if let Some(status) = policy.status_before_connack.filter(|_| is_cut_short) {
            return status;
        }
        self.receiver.report_failures();
        self.receiver.finish_display();
        // A time that was over while there was no connection.
        let ended = match ended {
            Err(End::TimedOut) if self.receiver.has_ended() => Ok(()),
            ended => ended,
        };
        match ended {
            Ok(()) => {
                let is_whole = !self.receiver.has_ended() && !self.plan.exit_after_subscribing;
                if let Some(set) = self.receiver.retained.as_ref().filter(|_| is_whole && self.plan.client.debug > 0) {
                    self.diagnostics.note(format_args!("all retained messages have come: {}", set.proof()));
                }
                let concluded = self.receiver.conclude();
                let written = write_out(&mut self.sink, &mut self.receiver.batch, client).await;
                let timeout = if policy.waits_forever { EXIT_TIMEOUT } else { self.plan.client.answer_timeout };
                leave(client, &self.plan.client, ReasonCode::SUCCESS, timeout).await;
                let refused = self.receiver.refused.filter(|_| policy.refusals_fail);
                let status = concluded.unwrap_or_else(|| refused.map_or(ExitStatus::Done, ExitStatus::Refused));
                match written {
                    Ok(()) => status,
                    Err(FileError { text, hint }) => self.diagnostics.failed(text, hint),
                }
            }
            Err(End::Interrupted(signal)) => {
                self.wind_down(client, signal).await;
                if policy.interrupts_succeed { ExitStatus::Done } else { ExitStatus::Interrupted(signal) }
            }
            Err(End::TimedOut) => {
                let error = self.timed_out(client);
                self.wind_down(client, Signal::Terminate).await;
                self.diagnostics.error_or(error, TIMED_OUT);
                ExitStatus::TimedOut
            }
            Err(End::Tool(OutputError::Closed)) => {
                self.sink.stop_commands(None, client).await;
                leave(client, &self.plan.client, ReasonCode::SUCCESS, EXIT_TIMEOUT).await;
                ExitStatus::Done
            }
            Err(End::Tool(OutputError::Failed { text, hint })) => {
                let status = self.diagnostics.failed(text, hint);
                self.sink.stop_commands(None, client).await;
                leave(client, &self.plan.client, ReasonCode::SUCCESS, EXIT_TIMEOUT).await;
                status
            }
            Err(End::Client(error)) => {
                self.write_last(client).await;
                let status = self.diagnostics.client_error(&error);
                self.sink.stop_commands(None, client).await;
                leave(client, &self.plan.client, ReasonCode::SUCCESS, EXIT_TIMEOUT).await;
                status
            }
        }
    }

    /// The end of a run that could have gone on: what came is written, commands get the signal, and the will is
    /// published.
    async fn wind_down(&mut self, client: &mut Client<Message>, signal: Signal) {
        self.write_last(client).await;
        self.sink.stop_commands(Some(signal), client).await;
        leave(client, &self.plan.client, reason_with_will(&self.plan.client), EXIT_TIMEOUT).await;
    }

    /// Writes what came to a run that has ended with an error already, and reports if that fails too.
    async fn write_last(&mut self, client: &mut Client<Message>) {
        if let Err(FileError { text, hint }) = write_out(&mut self.sink, &mut self.receiver.batch, client).await {
            self.diagnostics.failed(text, hint);
        }
    }

    fn timed_out(&self, client: &Client<Message>) -> String {
        let waited = self.plan.timeout.unwrap_or_default().as_secs_f64();
        let received = match (self.receiver.counted(), self.plan.selection.count) {
            (received, Some(wanted)) => format!("{received} of {}", counted(wanted.get(), "message", "messages")),
            (received, None) => counted(received, "message", "messages"),
        };
        let stage = match (client.is_open(), self.requests.unanswered() > 0) {
            (true, false) => "",
            (true, true) => ", the broker has not answered SUBSCRIBE",
            (false, _) if client.waits_for_connack() => ", the broker has not answered CONNECT",
            (false, _) => ", there is no connection to the broker",
        };
        format!("timed out after {waited} s: received {received}{stage}")
    }

    /// `--once`: begins with the marker behind the subscriptions, and asks for a PINGRESP, in case it does not come back.
    fn send_marker(&mut self, client: &mut Client<Message>) {
        let Some(set) = &mut self.receiver.retained else { return };
        if let Some(subscribe) = set.subscription(client.session().limits().maximum_qos) {
            // Without it there is no marker, and quiet time decides.
            set.on_subscribing(client.session().subscribe(subscribe).ok());
        }
        client.session().ping();
    }

    /// Whether this answers the marker's subscription, and not one that was asked for.
    fn take_suback_of_marker(&mut self, suback: &Suback, client: &mut Client<Message>) -> bool {
        let Some(set) = &mut self.receiver.retained else { return false };
        let most = client.session().limits().maximum_qos;
        let Some(marker) = set.takes(suback, most) else { return false };
        if let Some(marker) = marker
            && client.session().publish(marker).is_ok()
        {
            set.on_published(Instant::now());
            self.receiver.last_pong = None;
            client.session().ping();
        }
        true
    }

    fn remove_retained(&mut self, client: &mut Client<Message>) -> Result<(), PublishError> {
        while client.is_open() && client.session().window_free() > 0 {
            let Some(topic) = self.receiver.to_remove.pop_front() else { break };
            let empty = Message { topic, qos: QoS::AtLeastOnce, retain: true, ..Message::default() };
            match client.session().publish(empty) {
                Ok(_) => {}
                Err((PublishError::QosNotSupported(qos), empty)) => {
                    client.session().publish(Message { qos, ..empty }).map_err(|(error, _)| error)?;
                }
                // A topic that was delivered, and that nobody may publish to: with a wildcard in it.
                Err((PublishError::Wire(WireError::Topic { error, .. }), empty)) => {
                    self.receiver.cannot_remove(&empty.topic, error, TOPIC_NAME_INVALID);
                }
                Err((error, _)) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_done(&self, client: &mut Client<Message>) -> bool {
        let is_over = |time: Option<Instant>| time.is_some_and(|time| time <= Instant::now());
        let has_enough = self.receiver.has_ended()
            || (self.plan.exit_after_subscribing && self.requests.unanswered() == 0)
            || is_over(self.quiet_until(client));
        let is_enough = match self.plan.ready.exec {
            None => has_enough,
            Some(_) if self.readiness.has_open_command() => false,
            Some(_) => has_enough || self.readiness.failure().is_some() || is_over(self.end_with_command()),
        };
        is_enough && self.sink.is_done(&self.receiver.batch) && !self.is_removing(client)
    }

    /// When the end of the command ends the run; never where the messages are to end it.
    fn end_with_command(&self) -> Option<Instant> {
        self.readiness.all_came(self.receiver.last_pong).filter(|_| !self.plan.has_end())
    }

    /// Announces that the subscriptions stand, once, and asks what the command of `--exec` has left behind.
    fn follow_readiness(&mut self, client: &mut Client<Message>) -> Result<(), FileError> {
        if client.is_open() && self.announces && self.requests.unanswered() == 0 {
            self.announces = false;
            self.readiness.announce()?;
        }
        if client.is_open() && !self.has_pinged && self.readiness.command_end().is_some() {
            self.has_pinged = true;
            client.session().ping();
        }
        Ok(())
    }

    /// `--remove-retained`: whether a removal is to be sent, or to be acknowledged.
    fn is_removing(&self, client: &mut Client<Message>) -> bool {
        !self.receiver.to_remove.is_empty() || client.session().in_flight() > 0
    }

    /// `--retained-only`: when the broker will have been quiet long enough to have no more retained messages.
    fn quiet_until(&self, client: &mut Client<Message>) -> Option<Instant> {
        if let Some(set) = &self.receiver.retained {
            let is_settled = self.requests.unanswered() == 0 && self.sink.is_done(&self.receiver.batch);
            let is_settled = is_settled && !client.session().is_inside_packet();
            return set.complete_at(self.receiver.last_pong).filter(|_| is_settled);
        }
        if !self.plan.client.policy.ends_without_more_retained || !self.plan.selection.retained_only {
            return None;
        }
        let pong = self.receiver.last_pong.filter(|_| self.requests.unanswered() == 0)?;
        // Any bytes count: a large message may take long to arrive.
        let last = client.last_received().map_or(pong, |received| received.max(pong));
        (self.sink.is_done(&self.receiver.batch) && !client.session().is_inside_packet()).then_some(last + QUIET)
    }

    /// Gives the broker its time for the next answer.
    fn watch_answers(&mut self, client: &mut Client<Message>, now: Instant) -> Result<(), ClientError> {
        let position = client.output_position();
        let (unanswered, removals) = (self.requests.unanswered(), client.session().in_flight());
        match removals {
            0 => self.removal.stop(),
            _ => self.removal.watch(removals, now, position),
        }
        if unanswered == 0 {
            self.answer.stop();
        } else {
            let inside_packet = client.last_received().filter(|_| client.session().is_inside_packet());
            let mark = ProgressMark { unanswered, messages: self.receiver.messages, inside_packet };
            self.answer.watch(mark, now, position);
        }
        let packet = match (self.answer.is_over(now), self.removal.is_over(now)) {
            (true, _) if self.plan.subscribe.filters.is_empty() => "UNSUBSCRIBE",
            (true, _) => "SUBSCRIBE",
            (false, true) => "PUBLISH",
            (false, false) => return Ok(()),
        };
        let (target, waited) = (client.target().to_owned(), self.plan.client.answer_timeout);
        Err(ClientError::Unanswered { target, packet, waited })
    }

    /// Lets a dense stream accumulate for less than a millisecond. Everything else waits too, which nobody notices: the
    /// timers of the runtime are coarser than that.
    fn pause_reading(&mut self, client: &Client<Message>) {
        let Some(pause) = self.pause.take() else { return };
        if self.is_reading() && client.unwritten() == 0 && self.receiver.batch.receipts.is_empty() {
            std::thread::sleep(pause);
        }
    }

    /// Decides after a read how long the next one may wait.
    fn moderate_reading(&mut self, client: &Client<Message>) {
        let (bytes, messages) = self.received_before;
        let bytes = client.read_total() - bytes;
        if !self.plan.moderates || bytes == 0 {
            return;
        }
        if self.receiver.batch.receipts.is_empty() {
            let messages = self.receiver.messages - messages;
            self.pause = self.moderation.after_read(bytes as usize, messages, Instant::now());
        } else {
            // The broker waits for acknowledgements.
            self.moderation.reset();
        }
    }
}

impl Task for Subscriber<'_> {
    type Kept = Message;
    type Ready = Ready;
    type Failure = OutputError;

    /// Messages to stdout, acknowledgements, removals.
    fn advance(&mut self, client: &mut Client<Message>) -> Result<bool, End<OutputError>> {
        self.receiver.check_time();
        self.receiver.print_due();
        if let Some(progress) = &mut self.progress {
            progress.draw(self.receiver.copied);
        }
        self.sink.write(&mut self.receiver.batch, client).map_err(End::Tool)?;
        self.follow_readiness(client).map_err(|error| End::Tool(error.into()))?;
        self.remove_retained(client).map_err(ClientError::from)?;
        Ok(self.is_done(client))
    }

    fn before_wait(&mut self, client: &mut Client<Message>, now: Instant) -> Result<Option<Instant>, End<OutputError>> {
        if self.end.is_some_and(|end| end <= now) || (self.receiver.has_ended() && !client.is_open()) {
            return Err(End::TimedOut);
        }
        let progress = self.progress.as_ref().and_then(RecordProgress::due);
        let mut next = [self.end, self.receiver.due(), progress, self.end_with_command(), None, None, None];
        if client.is_open() {
            self.watch_answers(client, now)?;
            // Quiet does not end a run while removals are not done.
            let quiet = self.quiet_until(client).filter(|_| !self.is_removing(client));
            next[4..].copy_from_slice(&[self.answer.deadline(), self.removal.deadline(), quiet]);
        }
        self.pause_reading(client);
        self.receiver.begin_read();
        self.received_before = (client.read_total(), self.receiver.messages);
        Ok(next.into_iter().flatten().min())
    }

    fn is_reading(&self) -> bool {
        self.receiver.to_remove.len() < MOST_TO_REMOVE && self.sink.has_room(&self.receiver.batch)
    }

    fn split(&mut self) -> (&mut impl Handler<Message>, impl Future<Output = Ready>) {
        let Self { receiver, sink, readiness, .. } = self;
        let ready = async move {
            tokio::select! {
                biased;
                ready = sink.ready() => Ready::Sink(ready),
                end = readiness.command_ended() => Ready::Command(end),
            }
        };
        (receiver, ready)
    }

    fn on_ready(&mut self, ready: Ready) -> Result<(), End<OutputError>> {
        match ready {
            Ready::Sink(ready) => self.sink.on_ready(ready, &mut self.receiver.batch).map_err(End::Tool),
            Ready::Command(end) => {
                self.readiness.on_command_ended(end);
                Ok(())
            }
        }
    }

    fn on_input(&mut self, client: &mut Client<Message>) -> Result<(), End<OutputError>> {
        self.moderate_reading(client);
        for suback in std::mem::take(&mut self.receiver.subacks) {
            if self.take_suback_of_marker(&suback, client) {
                continue;
            }
            if self.requests.on_suback(suback, self.plan, client)? {
                for warning in self.requests.check_grants(self.plan, client)? {
                    self.diagnostics.warning(warning);
                }
                self.receiver.on_subscribed(Instant::now());
                self.send_marker(client);
            }
        }
        for unsuback in std::mem::take(&mut self.receiver.unsubacks) {
            self.requests.on_unsuback();
            for reason in unsuback.reasons.iter().filter(|reason| reason.is_error()) {
                self.diagnostics.warning(format_args!("the broker refused to unsubscribe: {reason}"));
            }
        }
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.requests.unanswered() == 0
    }

    fn on_connected(&mut self, client: &mut Client<Message>, _: Which) -> Result<(), End<OutputError>> {
        check_limits(self.plan, client)?;
        self.receiver.last_pong = None;
        if let Some(set) = &mut self.receiver.retained {
            set.restart();
        }
        self.requests.send(self.plan, client).map_err(ClientError::from)?;
        if self.plan.selection.retained_only {
            client.session().ping();
        }
        self.answer.stop();
        self.removal.stop();
        (self.announces, self.has_pinged) = (true, false);
        Ok(())
    }

    /// A broker that closes the connection instead of answering the first SUBSCRIBE would do so every time, and so
    /// would one that does it repeatedly; `--retry` tries all the same.
    fn on_loss(&mut self, client: &mut Client<Message>, _: &ClientError) -> Result<u64, GiveUp<OutputError>> {
        self.readiness.withdraw();
        self.announces = false;
        self.receiver.on_loss();
        let is_subscribing = self.requests.unanswered() > 0 && !self.plan.subscribe.filters.is_empty();
        let is_removing = client.session().in_flight() > 0 && !self.receiver.has_removed();
        self.losses = if is_subscribing || is_removing { self.losses + 1 } else { 0 };
        let retry = self.plan.client.connect.retry;
        let allowed =
            if self.requests.has_reported_grants() { retry.at_the_same_packet() } else { retry.for_first_connection() };
        if self.losses > allowed && self.plan.client.policy.gives_up_at_same_packet {
            return Err(GiveUp::Hint(if is_subscribing { SUBSCRIBE_HINT } else { REMOVAL_HINT }.to_owned()));
        }
        Ok(self.losses)
    }
}
