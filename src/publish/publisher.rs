//! The run of mqpub: payloads into the session as far as there is room, until everything is acknowledged.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::account::{DeliveryAccount, Outgoing};
use super::lines::Line;
use super::pace::ProgressLine;
use super::plan::PublishPlan;
use super::recovery::LossRow;
use super::source::Source;
use super::summary::Totals;
use super::voice::Voice;
use super::window::SendWindow;
use crate::client::mosquitto::MosquittoClient;
use crate::client::{AnswerTimer, Client, ClientError, Diagnostics, Interrupts, Parting, Trace, whose_limit};
use crate::exit_status::{ExitStatus, Signal};
use crate::mqtt::wire::{MAX_REMAINING_LENGTH, WireError};
use crate::mqtt::{Message, Properties, QoS, ReasonCode};
use crate::session::PublishError;
use crate::terminal::Progress;

/// While so much waits to be written no further message is taken up: enough for large writes, and a bound on memory.
const BACKLOG: usize = 64 * 1024;
/// With fewer messages in flight each acknowledgement is worth waking up for.
const FEW_IN_FLIGHT: usize = 8;
/// How long lines of QoS 0 wait for the broker to close the connection: then it has read them all.
const CLOSING: Duration = Duration::from_secs(2);
/// Why a broker may hang up on each PUBLISH.
const STUCK_HINT: &str = "the broker may be away, or close the connection because this user may not publish there; \
                          --connect-timeout sets how long is waited";
/// What a session of an earlier run means at QoS 2.
const FOUND_SESSION: &str = "the broker goes on with the session of an earlier run: messages that it had open then, if it \
                             was broken off, are not known here and stay open";
const FOUND_SESSION_HINT: &str = "another client id (-i), or a run without -c, begins with nothing open";
/// How long the DISCONNECT of an interrupted run may take.
const PARTING: Duration = Duration::from_millis(500);

/// Why a run ended before everything was through.
pub(super) enum Failure {
    Client(ClientError),
    Input(io::Error),
    Interrupted(Signal),
    /// Connection after connection is lost, or none comes up, and nothing gets through: since when, and the last loss.
    Stuck(Instant, String),
    /// Connection after connection is lost at the same message.
    Repeated {
        status: ExitStatus,
        text: String,
        hint: String,
    },
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// What ends a step besides bytes.
enum Other {
    Interrupted(Signal),
    Input(io::Result<()>),
    Late,
}

/// A run.
pub(super) struct Publisher<'a> {
    pub(super) plan: &'a PublishPlan,
    pub(super) client: Client<Outgoing>,
    pub(super) source: Source,
    pub(super) account: DeliveryAccount,
    pub(super) voice: Voice,
    pub(super) line: ProgressLine,
    /// What every message has in common.
    template: Message,
    /// Messages of QoS 0 that the socket has not taken whole: where each ends in the output, its number and its payload.
    pub(super) unwritten: VecDeque<(u64, u64, Bytes)>,
    /// Messages of QoS 0 that went down with a connection.
    pub(super) again: VecDeque<(u64, Bytes)>,
    /// How long the broker has for its next answer, and what it had said when that began.
    pub(super) answer: Option<(AnswerTimer, u64)>,
    pub(super) loss_row: Option<LossRow>,
    pub(super) window: SendWindow,
    /// How many messages were through when the connection was made.
    pub(super) entered_before: u64,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(
        plan: &'a PublishPlan,
        source: Source,
        diagnostics: Diagnostics,
        progress: &Rc<Progress>,
    ) -> Self {
        let voice = Voice::new(diagnostics, Rc::clone(progress));
        let noun = if plan.sends_lines() { "lines" } else { "messages" };
        Self {
            plan,
            client: Client::new(plan.connect.clone(), Trace::of_level(plan.debug, plan.log)).telling(voice.clone()),
            line: ProgressLine::new(Rc::clone(progress), noun, source.position().1, Instant::now()),
            source,
            account: DeliveryAccount::new(voice.clone(), plan.sends_lines()),
            voice,
            template: plan.message.clone(),
            unwritten: VecDeque::new(),
            again: VecDeque::new(),
            answer: None,
            loss_row: None,
            window: SendWindow::new(plan.connect.session.window),
            entered_before: 0,
        }
    }

    /// How it ended, and with what figures.
    pub(super) async fn run(mut self) -> (ExitStatus, Totals) {
        let client = self.plan.compat.then_some(MosquittoClient::Publish);
        let mut interrupts = match Interrupts::listen_as(client) {
            Ok(interrupts) => interrupts,
            Err(error) => return self.end(Err(Failure::Input(error))).await,
        };
        let ended = self.deliver(&mut interrupts).await;
        let (status, totals) = self.end(ended).await;
        (interrupts.end(status), totals)
    }

    /// What is left to do and to say.
    async fn end(&mut self, ended: Result<(), Failure>) -> (ExitStatus, Totals) {
        self.line.clear();
        self.note_written();
        let open = if ended.is_ok() { 0 } else { self.open() };
        let status = match ended {
            Ok(()) => self.account.close(0, true),
            Err(failure) => self.fail(&failure, open).await,
        };
        let input_read = self.plan.reads_input().then(|| self.source.is_read());
        (status, Totals { input_read, ..self.account.totals(open, self.plan.is_acknowledged()) })
    }

    /// Says why it ended, with `open` messages that are not through, and leaves the broker.
    async fn fail(&mut self, failure: &Failure, open: u64) -> ExitStatus {
        let (status, parting) = match failure {
            // Nothing is open: it leaves as a run does that is done.
            Failure::Interrupted(signal) if open == 0 && self.account.has_connected() => {
                self.part(ReasonCode::SUCCESS).await;
                self.account.close(0, true);
                return ExitStatus::Interrupted(*signal);
            }
            Failure::Interrupted(signal) => {
                self.voice.error("interrupted");
                (ExitStatus::Interrupted(*signal), ReasonCode::DISCONNECT_WITH_WILL)
            }
            Failure::Input(error) => {
                self.voice.error(format_args!("cannot read {}: {error}", self.plan.source.input_name()));
                (ExitStatus::Failed, ReasonCode::SUCCESS)
            }
            Failure::Stuck(since, loss) => {
                let (target, waited) = (self.client.target(), since.elapsed().as_secs());
                self.voice.error(format_args!("{target}: nothing got through for {waited} s: {loss}"));
                self.voice.hint(STUCK_HINT);
                (ExitStatus::AckTimedOut, ReasonCode::SUCCESS)
            }
            Failure::Repeated { status, text, hint } => {
                self.voice.error(text);
                self.voice.hint(hint);
                (*status, ReasonCode::SUCCESS)
            }
            // The connection stands where it is the message that the broker does not take.
            Failure::Client(error) => (self.voice.client_error(error), ReasonCode::SUCCESS),
        };
        self.part(parting).await;
        if self.plan.sends_lines() || self.plan.repeat > 1 {
            self.account.close(open, self.source.is_read());
        }
        status
    }

    /// Everything from the first connection to the DISCONNECT.
    async fn deliver(&mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        tokio::select! {
            biased;
            signal = interrupts.next() => return Err(Failure::Interrupted(signal)),
            connected = self.client.connect(&mut self.account) => connected?,
        }
        if self.account.has_found_session() && self.plan.message.qos == QoS::ExactlyOnce && !self.plan.compat {
            self.voice.warning(FOUND_SESSION);
            self.voice.hint(FOUND_SESSION_HINT);
        }
        loop {
            self.feed()?;
            if self.is_through() {
                break;
            }
            if let Err(failure) = self.step(interrupts).await {
                self.recover(failure, interrupts).await?;
            }
        }
        let unsure = self.plan.sends_lines() && !self.plan.is_acknowledged();
        let parting = if unsure { Parting::Confirmed(CLOSING) } else { Parting::AtOnce };
        let properties = self.plan.disconnect_properties.clone();
        let left = tokio::select! {
            biased;
            signal = interrupts.next() => return Err(Failure::Interrupted(signal)),
            left = self.client.disconnect(ReasonCode::SUCCESS, properties, self.plan.patience, parting) => left,
        };
        match left {
            // The broker has acknowledged everything: how it is left takes nothing away from that.
            Err(error) if self.plan.is_acknowledged() => self.client.note(&format!("left without DISCONNECT: {error}")),
            left => left?,
        }
        self.account.wrote(self.unwritten.drain(..).count() as u64);
        Ok(())
    }

    /// Takes up messages as far as there is room for them.
    fn feed(&mut self) -> Result<(), Failure> {
        self.widen_window();
        let limit = self.client.session().limits().maximum_packet_size.min(MAX_REMAINING_LENGTH);
        while self.has_room() {
            let again = self.again.pop_front().map(|(number, payload)| (number, Line::Whole(payload)));
            match again.or_else(|| self.source.next(limit)) {
                None => break,
                Some((number, Line::Whole(payload))) => self.send(number, payload)?,
                Some((_, Line::TooLong { length })) if self.plan.compat => {
                    let size = usize::try_from(length).unwrap_or(usize::MAX);
                    return Err(ClientError::Publish(WireError::TooLarge { size, limit }.into()).into());
                }
                Some((number, Line::TooLong { length })) => {
                    let whose = whose_limit(limit);
                    let why = format_args!("a payload of {length} bytes is over the limit of {limit}; {whose}");
                    self.account.refuse(number, why, ReasonCode::PACKET_TOO_LARGE);
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, number: u64, payload: Bytes) -> Result<(), Failure> {
        match self.put(number, payload) {
            Ok(()) => {}
            // mosquitto_pub clears the flag where the broker keeps no messages, and sends.
            Err((PublishError::RetainNotAvailable, payload)) if self.plan.compat && self.template.retain => {
                self.template.retain = false;
                self.again.push_front((number, payload));
            }
            // Of lines, one that is too large for the broker does not keep the others back; mosquitto_pub ends there.
            Err((error @ PublishError::Wire(WireError::TooLarge { limit, .. }), _))
                if self.plan.sends_lines() && !self.plan.compat =>
            {
                self.account.refuse(number, format_args!("{error}; {}", whose_limit(limit)), error.reason());
            }
            Err((error, _)) => return Err(Failure::Client(error.into())),
        }
        Ok(())
    }

    /// Puts a message into the session, or gives its payload back.
    fn put(&mut self, number: u64, payload: Bytes) -> Result<(), (PublishError, Bytes)> {
        if self.plan.is_acknowledged() {
            let message = Message { payload, ..self.template.clone() };
            let put = self.client.session().publish(Outgoing { number, message });
            put.map_err(|(error, refused)| (error, refused.message.payload))?;
            self.account.sends();
            return Ok(());
        }
        self.template.payload = payload;
        let put = self.client.session().send(&self.template);
        let payload = std::mem::take(&mut self.template.payload);
        match put {
            Ok(()) => self.unwritten.push_back((self.client.output_end(), number, payload)),
            Err(error) => return Err((error, payload)),
        }
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        if !self.client.is_open() || self.client.unwritten() >= BACKLOG {
            return false;
        }
        if let Source::Repeated(repetition) = &mut self.source {
            // The next one when the one before is through. At QoS 0 and without a delay that is once it is written,
            // and writes may then as well be large.
            let paced = self.plan.message.qos != QoS::AtMostOnce || !self.plan.repeat_delay.is_zero();
            let busy = self.client.session().in_flight() > 0 || !self.unwritten.is_empty();
            if paced && (busy || !repetition.is_due(Instant::now())) {
                return false;
            }
        }
        !self.plan.is_acknowledged() || self.client.session().window_free() > 0
    }

    /// Whether everything is acknowledged. The end of what is only to be written may be written together with the
    /// DISCONNECT, where it would not be sent again anyway.
    fn is_through(&mut self) -> bool {
        self.source.has_ended()
            && self.again.is_empty()
            && self.client.session().in_flight() == 0
            && (self.unwritten.is_empty() || (!self.plan.sends_lines() && self.client.unwritten() < BACKLOG))
    }

    async fn step(&mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        let window_free = !self.plan.is_acknowledged() || self.client.session().window_free() > 0;
        let hungry = self.client.is_open() && self.client.unwritten() < BACKLOG && window_free;
        self.gather(window_free);
        self.draw(None);
        let wake = [self.deadline(), self.line.due()].into_iter().flatten().min();
        let source = &mut self.source;
        let other = async {
            tokio::select! {
                biased;
                signal = interrupts.next() => Other::Interrupted(signal),
                input = source.wait(), if hungry => Other::Input(input),
                () = until(wake) => Other::Late,
            }
        };
        let moved = self.client.step(&mut self.account, true, other).await;
        self.note_written();
        match moved? {
            None => Ok(()),
            Some(Other::Interrupted(signal)) => Err(Failure::Interrupted(signal)),
            Some(Other::Input(input)) => input.map_err(Failure::Input),
            Some(Other::Late) if self.deadline().is_some_and(|deadline| deadline <= Instant::now()) => {
                let (target, waited) = (self.client.target().to_owned(), self.plan.patience);
                Err(Failure::Client(match self.client.session().in_flight() {
                    0 => ClientError::NotTaken { target, waited },
                    _ => ClientError::Unanswered { target, packet: "PUBLISH", waited },
                }))
            }
            Some(Other::Late) => Ok(()),
        }
    }

    /// With a full window and more to send, three quarters of the acknowledgements are worth one waking up: meanwhile the
    /// broker has the last quarter to work at. With nothing more to send, the last ones are worth hurrying.
    fn gather(&mut self, window_free: bool) {
        let in_flight = self.client.session().in_flight();
        let more = self.source.has_more();
        let many = !window_free && in_flight >= FEW_IN_FLIGHT && more;
        self.client.gather(if many { in_flight * 3 / 4 } else { 0 });
        if in_flight > 1 && !more && self.client.unwritten() == 0 {
            self.client.hurry();
        }
    }

    /// Draws the progress line when it is time to.
    pub(super) fn draw(&mut self, note: Option<&str>) {
        if self.line.due().is_some() {
            self.line.draw(Instant::now(), self.account.done(), self.source.position().0, note);
        }
    }

    /// Enters the messages of QoS 0 that were written.
    fn note_written(&mut self) {
        let written = self.client.written_total();
        let whole = self.unwritten.iter().take_while(|(end, _, _)| *end <= written).count();
        self.unwritten.drain(..whole);
        self.account.wrote(whole as u64);
    }

    /// When to give up, while something is under way. A broker that says the same again gains no time by it.
    fn deadline(&mut self) -> Option<Instant> {
        let in_flight = self.client.session().in_flight() > 0;
        if !in_flight && self.client.unwritten() == 0 {
            self.answer = None;
            return None;
        }
        let (now, heard) = (Instant::now(), self.account.heard());
        let (timer, _) = match &mut self.answer {
            Some(answer) if answer.1 == heard => answer,
            answer => answer.insert((self.client.answer_timer(self.plan.patience, now), heard)),
        };
        // Other messages that are written are no answer to those in flight.
        if !in_flight {
            timer.extend(self.client.output_end());
        }
        timer.note_written(now, self.client.written_total());
        timer.deadline()
    }

    /// Messages that were taken up and are not through.
    fn open(&mut self) -> u64 {
        let held = self.client.session().in_flight() + self.unwritten.len() + self.again.len();
        held as u64 + self.source.left()
    }

    /// Leaves without waiting for anybody. The will of an interrupted run is published.
    async fn part(&mut self, reason: ReasonCode) {
        if !self.client.is_open() {
            return;
        }
        let session = &self.plan.connect.session;
        let reason = match (reason, &session.will) {
            (ReasonCode::DISCONNECT_WITH_WILL, Some(_)) if session.version.is_v5() => reason,
            // Before 5.0 only a connection that breaks off brings the will out.
            (ReasonCode::DISCONNECT_WITH_WILL, Some(_)) => return self.client.close_abruptly(),
            _ => ReasonCode::SUCCESS,
        };
        let parting = self.client.disconnect(reason, Properties::new(), PARTING, Parting::AtOnce);
        // A broker that takes a little now and then is not waited for either.
        let _ = tokio::time::timeout(PARTING, parting).await;
    }
}

pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
