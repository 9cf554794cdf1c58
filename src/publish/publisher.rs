//! The work of mqpub: payloads into the session as far as there is room, until everything is acknowledged.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::account::{Outgoing, PublishAccount};
use super::closing_hint::closing_hint;
use super::compose::Draft;
use super::loss_streak::LossStreak;
use super::plan::PublishPlan;
use super::schedule::Schedule;
use super::summary::Totals;
use super::supply::{Next, Supply};
use super::unacknowledged::Unacknowledged;
use super::window::SendWindow;
use crate::client::{
    AnswerTimer, Client, ClientError, ClientPlan, CloseMode, Diagnostics, Driver, End, GiveUp, ProgressReporter, Task,
    Which, whose_limit,
};
use crate::exit_status::ExitStatus;
use crate::mqtt::wire::{MAX_REMAINING_LENGTH, WireError};
use crate::mqtt::{Message, Properties, QoS, ReasonCode};
use crate::session::{Handler, PublishError};
use crate::terminal::number::byte_count;
use crate::terminal::{Progress, ProgressLine};

/// While this much waits to be written no further message is taken up: enough for large writes, and a bound on memory.
const BACKLOG: usize = 64 * 1024;
/// With fewer messages in flight each acknowledgement is worth waking up for.
const FEW_IN_FLIGHT: usize = 8;
/// How long lines of QoS 0 wait for the broker to close the connection: then it has read them all.
const CLOSING: Duration = Duration::from_secs(2);
/// How long others wait for that: with MQTT 5 the broker may refuse them by its DISCONNECT. Brokers close at once.
const REFUSING: Duration = Duration::from_millis(500);
/// Why a broker may close the connection on each PUBLISH.
const STUCK_HINT: &str = "the broker may be down, or this user may not be allowed to publish there; --connect-timeout sets how long mqpub waits";
/// What a session of an earlier run means at QoS 2.
const FOUND_SESSION: &str = "the broker resumed the session of an earlier run: if that run was interrupted, its messages in flight stay incomplete";
const FOUND_SESSION_HINT: &str = "use another client id (-i), or omit -c, to start with nothing in flight";
/// PUBREC comes before the broker looks for subscribers.
const NO_REPORT_AT_QOS_2: &str =
    "many brokers, such as mosquitto, do not report missing subscribers at QoS 2, only at QoS 1";
/// How long the DISCONNECT of an interrupted run may take.
const DISCONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// Why a run ends early, besides what ends every run.
pub(super) enum Failure {
    Input(io::Error),
    /// No connection comes up: since when nothing got through, and the last loss.
    Stuck(Instant, String),
    /// Connection after connection is lost at the same message.
    Repeated {
        status: ExitStatus,
        text: String,
        hint: String,
    },
}

/// A message that cannot be sent, and why.
type Refused = Box<(PublishError, Draft)>;

/// What is known of the last loss.
struct Loss {
    error: String,
    streak_losses_at_message: u64,
}

/// A run.
pub(super) struct Publisher<'a> {
    plan: &'a PublishPlan,
    supply: Supply,
    account: PublishAccount,
    reporter: ProgressReporter,
    line: ProgressLine,
    /// What every message has in common.
    template: Message,
    /// QoS 0 messages.
    unacknowledged: Unacknowledged,
    /// There are some on this connection: nobody knows what the broker has got of them.
    has_unacknowledged: bool,
    /// How long the broker has for its next answer. The mark counts its answers.
    answer: AnswerTimer<u64>,
    streak: LossStreak,
    last_loss: Loss,
    window: SendWindow,
    /// How many messages were settled when the connection was made.
    settled_before: u64,
    /// The next step may read the source.
    wants_input: bool,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(
        plan: &'a PublishPlan,
        supply: Supply,
        reporter: ProgressReporter,
        progress: &Rc<Progress>,
    ) -> Self {
        let (_, nouns) = plan.nouns();
        let account = PublishAccount::new(reporter.clone(), plan);
        if plan.requires_subscriber && plan.message.qos == QoS::ExactlyOnce {
            reporter.warning(NO_REPORT_AT_QOS_2);
            reporter.hint("use -q 1");
        }
        Self {
            plan,
            line: ProgressLine::new(Rc::clone(progress), nouns, supply.position().1, Instant::now()),
            supply,
            account,
            reporter,
            template: plan.message.clone(),
            unacknowledged: Unacknowledged::default(),
            has_unacknowledged: false,
            answer: AnswerTimer::new(plan.client.answer_timeout),
            streak: LossStreak::default(),
            last_loss: Loss { error: String::new(), streak_losses_at_message: 0 },
            window: SendWindow::new(plan.client.connect.session.window),
            settled_before: 0,
            wants_input: false,
        }
    }

    /// Publishes, and returns how that ended and the figures.
    pub(super) async fn run(
        plan: &'a PublishPlan,
        supply: Supply,
        diagnostics: Diagnostics,
        progress: &Rc<Progress>,
    ) -> io::Result<(ExitStatus, Totals)> {
        let reporter = ProgressReporter::new(diagnostics, Rc::clone(progress));
        let mut driver = Driver::new(&plan.client, reporter.clone())?;
        let mut publisher = Self::new(plan, supply, reporter, progress);
        let ended = match driver.run(&mut publisher).await {
            Ok(()) => publisher.disconnect(&mut driver).await,
            Err(end) => Err(end),
        };
        let (status, totals) = publisher.finish(&mut driver.client, ended).await;
        Ok((driver.exit_status(status), totals))
    }

    /// Leaves a broker that has everything.
    async fn disconnect(&mut self, driver: &mut Driver<Outgoing>) -> Result<(), End<Failure>> {
        let ClientPlan { connect, policy, .. } = &self.plan.client;
        let close = match self.has_unacknowledged {
            true if self.plan.sends_lines() => CloseMode::Confirmed(CLOSING),
            true if connect.session.version.is_v5() && policy.refusals_fail => CloseMode::AwaitingRefusal(REFUSING),
            _ => CloseMode::AtOnce,
        };
        let properties = self.plan.client.disconnect_properties.clone();
        match driver.disconnect(properties, self.plan.client.answer_timeout, close).await {
            // The broker has acknowledged everything, which a lost DISCONNECT does not change.
            Err(End::Client(error)) if !self.has_unacknowledged => {
                driver.client.note(&format!("disconnected without DISCONNECT: {error}"));
            }
            left => left?,
        }
        self.account.wrote(self.unacknowledged.note_all_written() as u64);
        Ok(())
    }

    /// Reports how it ended.
    async fn finish(&mut self, client: &mut Client<Outgoing>, ended: Result<(), End<Failure>>) -> (ExitStatus, Totals) {
        self.line.clear();
        self.note_written(client);
        let open = if ended.is_ok() { 0 } else { self.open(client) };
        let status = match ended {
            Ok(()) => self.account.close(0, self.supply.is_read()),
            Err(end) => self.fail(client, &end, open).await,
        };
        let input_read = self.plan.reads_input().then(|| self.supply.is_read());
        let lateness = self.supply.schedule().and_then(Schedule::lateness);
        if let Some(schedule) = self.supply.schedule() {
            schedule.irregularities().iter().for_each(|text| self.reporter.warning(text));
        }
        (status, Totals { input_read, lateness, ..self.account.totals(open) })
    }

    /// Reports why the run ended with `open` messages unfinished, and leaves the broker.
    async fn fail(&mut self, client: &mut Client<Outgoing>, end: &End<Failure>, open: u64) -> ExitStatus {
        let reporter = &self.reporter;
        let mut reason = ReasonCode::SUCCESS;
        let status = match end {
            // Nothing is open: it leaves as a run does that is done.
            End::Interrupted(signal) if open == 0 && self.account.has_connected() => {
                self.close(client, reason).await;
                self.account.close(0, !self.supply.is_stopped());
                return ExitStatus::Interrupted(*signal);
            }
            End::Interrupted(signal) => {
                reporter.error("interrupted");
                reason = ReasonCode::DISCONNECT_WITH_WILL;
                ExitStatus::Interrupted(*signal)
            }
            End::Tool(Failure::Input(error)) => {
                reporter.error(format_args!("cannot read {}: {error}", self.plan.source.input_name()));
                ExitStatus::Failed
            }
            End::Tool(Failure::Stuck(since, loss)) => {
                let (target, waited) = (client.target(), since.elapsed().as_secs());
                reporter.error(format_args!("{target}: no message got through for {waited} s: {loss}"));
                reporter.hint(STUCK_HINT);
                ExitStatus::AckTimedOut
            }
            End::Tool(Failure::Repeated { status, text, hint }) => {
                reporter.error(text);
                reporter.hint(hint);
                *status
            }
            // The connection stands where it is the message that the broker does not take.
            End::Client(error) => reporter.client_error(error),
            End::TimedOut => ExitStatus::TimedOut, // mqpub has no -W
        };
        self.close(client, reason).await;
        if self.plan.sends_lines() || self.plan.repeat > 1 {
            self.account.close(open, self.supply.is_read());
        }
        status
    }

    /// Leaves without waiting for anybody. The will of an interrupted run is published.
    async fn close(&self, client: &mut Client<Outgoing>, reason: ReasonCode) {
        if !client.is_open() {
            return;
        }
        let session = &self.plan.client.connect.session;
        let reason = match (reason, &session.will) {
            (ReasonCode::DISCONNECT_WITH_WILL, Some(_)) if session.version.is_v5() => reason,
            // Before 5.0 only a connection that breaks brings the will out.
            (ReasonCode::DISCONNECT_WITH_WILL, Some(_)) => return client.close_abruptly(),
            _ => ReasonCode::SUCCESS,
        };
        let closing = client.disconnect(reason, Properties::new(), DISCONNECT_TIMEOUT, CloseMode::AtOnce);
        // Nor for a broker that takes a little now and then.
        let _ = tokio::time::timeout(DISCONNECT_TIMEOUT, closing).await;
    }

    fn send(&mut self, client: &mut Client<Outgoing>, number: u64, draft: Draft) -> Result<(), ClientError> {
        let policy = &self.plan.client.policy;
        let Err(refused) = self.put(client, number, draft) else { return Ok(()) };
        match *refused {
            (PublishError::RetainNotAvailable, draft) if policy.drops_unavailable_retain && self.template.retain => {
                self.template.retain = false;
                self.unacknowledged.put_back(number, draft);
            }
            (error @ PublishError::Wire(WireError::TooLarge { limit, .. }), draft)
                if self.plan.sends_lines() && policy.skips_oversized_lines =>
            {
                let topic = draft.message(&self.template).topic;
                self.account.refuse(number, &topic, format_args!("{error}; {}", whose_limit(limit)), error.reason());
            }
            // Others may have what the broker takes.
            (
                error @ (PublishError::QosNotSupported(_)
                | PublishError::RetainNotAvailable
                | PublishError::TopicAlias { .. }),
                Draft::Whole(message),
            ) if self.plan.sends_lines() => self.account.refuse(number, &message.topic, &error, error.reason()),
            (error, _) => return Err(error.into()),
        }
        Ok(())
    }

    /// Puts a message into the session, or gives it back.
    fn put(&mut self, client: &mut Client<Outgoing>, number: u64, draft: Draft) -> Result<(), Refused> {
        match draft {
            Draft::Payload(payload) if self.plan.is_acknowledged() => {
                let message = Message { payload, ..self.template.clone() };
                let put = client.session().publish(Outgoing::new(number, message));
                put.map_err(|(error, refused)| Box::new((error, Draft::Payload(refused.message.payload))))?;
                self.account.sends();
                Ok(())
            }
            Draft::Payload(payload) => {
                self.template.payload = payload;
                let put = client.session().send(&self.template);
                let draft = Draft::Payload(std::mem::take(&mut self.template.payload));
                self.put_unacknowledged(client, number, draft, put)
            }
            Draft::Whole(message) if message.qos == QoS::AtMostOnce => {
                let put = client.session().send(&message);
                self.put_unacknowledged(client, number, Draft::Whole(message), put)
            }
            Draft::Whole(message) => {
                let put = client.session().publish(Outgoing::new(number, message));
                put.map_err(|(error, refused)| Box::new((error, Draft::Whole(refused.message))))?;
                self.account.sends();
                Ok(())
            }
        }
    }

    fn put_unacknowledged(
        &mut self,
        client: &Client<Outgoing>,
        number: u64,
        draft: Draft,
        put: Result<(), PublishError>,
    ) -> Result<(), Refused> {
        if let Err(error) = put {
            return Err((error, draft).into());
        }
        self.has_unacknowledged = true;
        self.unacknowledged.put(client.output_position().end, number, draft);
        Ok(())
    }

    fn has_room(&mut self, client: &mut Client<Outgoing>) -> bool {
        if !client.is_open() || client.unwritten() >= BACKLOG {
            return false;
        }
        // The next one follows when the one before is done. At QoS 0 without a delay that is once it is written, and
        // writes may then as well be large.
        let is_paced = self.plan.message.qos != QoS::AtMostOnce || !self.plan.repeat_delay.is_zero();
        if is_paced && !self.plan.sends_lines() {
            let is_busy = client.session().in_flight() > 0 || !self.unacknowledged.is_written();
            if !self.supply.is_due(is_busy, Instant::now()) {
                return false;
            }
        }
        self.has_window(client)
    }

    fn has_window(&self, client: &mut Client<Outgoing>) -> bool {
        !self.plan.may_be_acknowledged() || client.session().window_free() > 0
    }

    /// Whether everything is acknowledged. The end of what is only to be written may be written together with the
    /// DISCONNECT, where it would not be sent again anyway.
    fn is_done(&self, client: &mut Client<Outgoing>) -> bool {
        let is_written = self.unacknowledged.len() == 0
            || (self.unacknowledged.is_sent() && !self.plan.sends_lines() && client.unwritten() < BACKLOG);
        self.supply.has_ended() && is_written && client.session().in_flight() == 0
    }

    /// With a full window and more to send, three quarters of the acknowledgements are worth one wake-up: in the
    /// meantime the broker has the last quarter to work at. With nothing more to send, the last ones are worth a quick
    /// TCP ACK.
    fn coalesce_acknowledgements(&self, client: &mut Client<Outgoing>, has_window: bool) {
        let in_flight = client.session().in_flight();
        let has_more = self.supply.has_more();
        let many = !has_window && in_flight >= FEW_IN_FLIGHT && has_more;
        client.coalesce(if many { in_flight * 3 / 4 } else { 0 });
        if in_flight > 1 && !has_more && client.unwritten() == 0 {
            client.quick_ack();
        }
    }

    /// Draws the progress line when it is time to.
    fn draw(&mut self, note: Option<&str>) {
        if self.line.due().is_some() {
            self.line.draw(Instant::now(), self.account.done(), self.supply.position().0, note);
        }
    }

    /// Counts the QoS 0 messages that were written.
    fn note_written(&mut self, client: &Client<Outgoing>) {
        let written = self.unacknowledged.note_written(client.written_total());
        self.account.wrote(written as u64);
    }

    /// Gives the broker its time, while something is under way. A broker that repeats itself gains no time.
    fn watch_answers(&mut self, client: &mut Client<Outgoing>, now: Instant) -> Result<(), ClientError> {
        let is_in_flight = client.session().in_flight() > 0;
        if !is_in_flight && client.unwritten() == 0 {
            self.answer.stop();
            return Ok(());
        }
        let position = client.output_position();
        // The time for messages in flight does not grow with other messages that are written.
        if !is_in_flight {
            self.answer.extend(position.end);
        }
        self.answer.watch(self.account.answers(), now, position);
        if !self.answer.is_over(now) {
            return Ok(());
        }
        let (target, waited) = (client.target().to_owned(), self.plan.client.answer_timeout);
        Err(match is_in_flight {
            true => ClientError::Unanswered { target, packet: "PUBLISH", waited },
            false => ClientError::NotTaken { target, waited },
        })
    }

    /// When an attempt to reconnect is given up: where the input has ended nobody would notice that it never works, so
    /// it ends then, unless `--retry` sets how often to try.
    fn give_up_at(&self) -> Option<Instant> {
        let ends = self.supply.is_over() && self.plan.client.connect.retry.attempts.is_none();
        self.streak.since().filter(|_| ends)?.checked_add(self.plan.client.answer_timeout)
    }

    /// Messages that were taken up and are not finished.
    fn open(&mut self, client: &mut Client<Outgoing>) -> u64 {
        (client.session().in_flight() + self.unacknowledged.len()) as u64 + self.supply.left()
    }

    /// The message that goes out first on the next connection, with its number.
    fn first_open(&self, client: &mut Client<Outgoing>) -> Option<(u64, Draft)> {
        let in_flight = client.session().oldest().map(|kept| (kept.number, Draft::Whole(kept.message.clone())));
        in_flight.or_else(|| self.unacknowledged.first().cloned())
    }

    /// How many connections may be lost, one after the other, before one gets something through. A single message does
    /// not wait for a broker to come back unless that is asked for.
    fn allowed_losses(&self) -> u64 {
        let retry = &self.plan.client.connect.retry;
        match (self.plan.sends_lines(), self.plan.client.policy.gives_up_at_same_packet) {
            (true, false) => retry.after_a_loss(),
            (true, true) => retry.at_the_same_packet(),
            (false, _) => retry.for_first_connection(),
        }
    }

    /// The end, with what is known of its cause.
    fn give_up(
        &self,
        client: &mut Client<Outgoing>,
        error: &ClientError,
        first: Option<(u64, Draft)>,
        losses: u64,
    ) -> GiveUp<Failure> {
        let Some((number, draft)) = first.filter(|_| self.plan.client.policy.gives_up_at_same_packet) else {
            return GiveUp::Loss;
        };
        let size = draft.payload_size();
        let hint = closing_hint(&draft.message(&self.template), size, client.session().in_flight());
        if losses < 2 {
            return GiveUp::Hint(hint);
        }
        let (what, _) = self.plan.nouns();
        let (target, size, cause) = (client.target(), byte_count(size), error.cause());
        let text = format!(
            "{target}: the connection was lost {losses} times in a row at {what} {number} ({size}), and nothing was \
             acknowledged in between: {cause}"
        );
        GiveUp::Tool(Failure::Repeated { status: error.exit_status(), text, hint })
    }

    /// Some brokers close the connection where more is in flight than they like, without a reason.
    fn narrow_window(&mut self, client: &mut Client<Outgoing>) {
        let in_flight = client.session().in_flight();
        let losses = self.last_loss.streak_losses_at_message;
        if !self.plan.client.policy.narrows_window || in_flight < 2 || losses == 0 {
            return;
        }
        if self.account.settled() == self.settled_before && !self.window.is_single() {
            // Fewer may have been on their way than the window has room for, and more be kept from before it was
            // halved.
            let sent = in_flight.min(client.session().allowed());
            let most = self.window.halve(sent);
            if sent > 1 {
                self.reporter.warning(format_args!(
                    "nothing was acknowledged with {sent} messages in flight: reducing the window to {most} (-M {most})"
                ));
            }
        }
        if losses > 1 {
            self.window.narrow();
        }
        client.set_window(self.window.now());
    }

    /// Opens the window again that was closed to find the message that costs the connection.
    fn widen_window(&mut self, client: &mut Client<Outgoing>) {
        if self.window.is_single() && self.account.settled() > self.settled_before && self.window.widen() {
            let window = self.window.now();
            client.set_window(window);
            client.session().set_window(window);
        }
    }
}

impl Task for Publisher<'_> {
    type Kept = Outgoing;
    type Ready = io::Result<()>;
    type Failure = Failure;

    /// Takes up messages as far as there is room for them.
    fn advance(&mut self, client: &mut Client<Outgoing>) -> Result<bool, End<Failure>> {
        self.widen_window(client);
        let limit = client.session().limits().maximum_packet_size.min(MAX_REMAINING_LENGTH);
        while self.has_room(client) {
            let again = self.unacknowledged.take_again().map(|(number, draft)| (number, Next::Draft(draft)));
            match again.or_else(|| self.supply.next(limit)) {
                None => break,
                Some((number, Next::Draft(draft))) => self.send(client, number, draft)?,
                Some((number, Next::Bad(fault))) => {
                    self.account.note_bad_line(number, &fault);
                    if !self.plan.skips_bad_lines {
                        self.supply.stop();
                    }
                }
                Some((number, Next::TooLong { length })) if self.plan.client.policy.skips_oversized_lines => {
                    let whose = whose_limit(limit);
                    let why = format_args!("a payload of {length} bytes exceeds the limit of {limit}; {whose}");
                    self.account.refuse(number, &self.plan.message.topic, why, ReasonCode::PACKET_TOO_LARGE);
                }
                Some((_, Next::TooLong { length })) => {
                    let size = usize::try_from(length).unwrap_or(usize::MAX);
                    return Err(ClientError::Publish(WireError::TooLarge { size, limit }.into()).into());
                }
            }
        }
        if let Some(fault) = self.supply.take_fault() {
            self.account.note_fault(&fault);
        }
        Ok(self.is_done(client))
    }

    fn before_wait(&mut self, client: &mut Client<Outgoing>, now: Instant) -> Result<Option<Instant>, End<Failure>> {
        if !client.is_open() {
            let has_lost = self.streak.since().is_some();
            self.wants_input = has_lost && self.supply.has_room();
            self.draw(Some("waiting for the broker"));
            let give_up_at = self.give_up_at();
            if let (Some(since), Some(_)) = (self.streak.since(), give_up_at.filter(|at| *at <= now)) {
                return Err(End::Tool(Failure::Stuck(since, std::mem::take(&mut self.last_loss.error))));
            }
            return Ok(give_up_at.into_iter().chain(self.line.due()).min());
        }
        let has_window = self.has_window(client);
        self.wants_input = client.unwritten() < BACKLOG && has_window;
        self.coalesce_acknowledgements(client, has_window);
        self.draw(None);
        self.watch_answers(client, now)?;
        Ok(self.answer.deadline().into_iter().chain(self.line.due()).min())
    }

    fn split(&mut self) -> (&mut impl Handler<Outgoing>, impl Future<Output = io::Result<()>>) {
        let Self { account, supply, wants_input, .. } = self;
        let wants_input = *wants_input;
        (account, async move { if wants_input { supply.wait().await } else { std::future::pending().await } })
    }

    fn on_ready(&mut self, input: io::Result<()>) -> Result<(), End<Failure>> {
        input.map_err(|error| End::Tool(Failure::Input(error)))
    }

    fn on_input(&mut self, client: &mut Client<Outgoing>) -> Result<(), End<Failure>> {
        self.note_written(client);
        Ok(())
    }

    fn on_connected(&mut self, _: &mut Client<Outgoing>, connection: Which) -> Result<(), End<Failure>> {
        let found = connection == Which::First && self.account.has_found_session();
        if found && self.plan.message.qos == QoS::ExactlyOnce {
            self.reporter.warning(FOUND_SESSION);
            self.reporter.hint(FOUND_SESSION_HINT);
        }
        self.answer.stop();
        self.settled_before = self.account.settled();
        Ok(())
    }

    fn on_loss(&mut self, client: &mut Client<Outgoing>, error: &ClientError) -> Result<u64, GiveUp<Failure>> {
        let first = self.first_open(client);
        let streak = self.streak.note_loss(Instant::now(), self.account.settled(), first.is_some());
        // An idle connection that is lost costs nothing but a new one.
        let losses = if self.plan.sends_lines() { streak.at_same_message } else { streak.losses };
        if losses > self.allowed_losses() {
            return Err(self.give_up(client, error, first, losses));
        }
        self.last_loss = Loss { error: error.to_string(), streak_losses_at_message: streak.at_same_message };
        Ok(streak.losses)
    }

    fn on_reconnecting(&mut self, client: &mut Client<Outgoing>, reported: bool) {
        if std::mem::take(&mut self.has_unacknowledged) && reported {
            // The socket took them, and nobody knows what the broker got of it.
            let (_, what) = self.plan.nouns();
            self.reporter
                .warning(format_args!("{what} written just before the connection was lost may be lost with it"));
            self.reporter.hint("with -q 1 nothing is lost");
        }
        self.narrow_window(client);
        self.account.writes_again(self.unacknowledged.note_loss() as u64);
    }
}
