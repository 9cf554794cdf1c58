//! The run of mqpub: payloads into the session as far as there is room, until everything is acknowledged.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::account::DeliveryAccount;
use super::input::{read_file, read_stdin};
use super::plan::{PayloadSource, PublishPlan};
use super::source::{Repetition, Source};
use crate::client::mosquitto::MosquittoClient;
use crate::client::{self, Client, ClientError, Diagnostics, Interrupts, Parting, Trace};
use crate::exit_status::ExitStatus;
use crate::mqtt::wire::WireError;
use crate::mqtt::{Message, Properties, QoS, ReasonCode};
use crate::session::PublishError;
use crate::terminal::escape;

/// While so much waits to be written no further message is taken up: enough for large writes, and a bound on memory.
const BACKLOG: usize = 64 * 1024;
/// How long lines of QoS 0 wait for the broker to close the connection: then it has read them all.
const CLOSING: Duration = Duration::from_secs(2);
/// Why a broker may hang up on each PUBLISH.
const STUCK_HINT: &str = "the broker may be away, or close the connection because this user may not publish there; \
                          --connect-timeout sets how long is waited";
/// How long the DISCONNECT of an interrupted run may take.
const PARTING: Duration = Duration::from_millis(500);

/// Publishes what the plan says, with errors on stderr, and tells how it ended.
pub fn publish(plan: &PublishPlan) -> ExitStatus {
    let client = plan.compat.then_some(MosquittoClient::Publish);
    let diagnostics = Diagnostics::new(plan.quiet).speaking_for(client, plan.connect.session.version);
    if plan.connect.transport.tls.as_ref().is_some_and(|tls| tls.insecure) {
        diagnostics.warning("--insecure: neither the broker's certificate nor its name is verified");
    }
    let source = match source_of(&plan.source, plan.repeat, plan.repeat_delay) {
        Ok(source) => source,
        Err(SourceError { mosquitto, .. }) if plan.compat => {
            diagnostics.verbatim(&mosquitto);
            return ExitStatus::Failed;
        }
        Err(SourceError { text, .. }) => {
            diagnostics.error(text);
            return ExitStatus::Failed;
        }
    };
    match client::run(async { Publisher::new(plan, source, diagnostics).run().await }) {
        Ok(status) => status,
        Err(error) => {
            diagnostics.error(format_args!("cannot start: {error}"));
            ExitStatus::Failed
        }
    }
}

/// Why there is nothing to send, in our words and in mosquitto's.
pub(crate) struct SourceError {
    pub(crate) text: String,
    pub(crate) mosquitto: String,
}

impl SourceError {
    fn of_file(file: &Path, error: &io::Error) -> Self {
        let name = escape(&file.to_string_lossy()).into_owned();
        let cause = error.to_string();
        let cause = cause.split(" (os error ").next().unwrap_or_default();
        Self {
            text: format!("cannot read the file '{}': {error}", file.display()),
            mosquitto: format!(
                "Error: Unable to read file \"{name}\": {cause}.\nError loading input file \"{name}\".\n"
            ),
        }
    }

    fn of_stdin(text: String, cause: &str) -> Self {
        Self { text, mosquitto: format!("Error: {cause}.\nError loading input from stdin.\n") }
    }
}

/// Everything but lines is read before the broker is bothered.
pub(crate) fn source_of(wanted: &PayloadSource, repeat: u64, delay: Duration) -> Result<Source, SourceError> {
    let unreadable = |error: io::Error| SourceError::of_stdin(format!("cannot read stdin: {error}"), "Cannot read");
    let payload = match wanted {
        PayloadSource::Text(text) => text.clone(),
        PayloadSource::File(file) => read_file(file).map_err(|error| SourceError::of_file(file, &error))?,
        PayloadSource::Stdin => {
            let content = read_stdin().map_err(unreadable)?;
            if content.is_empty() {
                let text = "stdin is empty, and an empty message has an option of its own: -n".into();
                return Err(SourceError::of_stdin(text, "Zero length input"));
            }
            content
        }
        PayloadSource::Lines => return Source::lines().map_err(unreadable),
    };
    Ok(Source::Repeated(Repetition::new(payload, repeat, delay)))
}

/// Why a run ended before everything was through.
enum Failure {
    Client(ClientError),
    Input(io::Error),
    Interrupted,
    /// Connection after connection is lost, or none comes up, and nothing gets through: since when, and the last loss.
    Stuck(Instant, String),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// What ends a step besides bytes.
enum Other {
    Interrupted,
    Input(io::Result<()>),
    Late,
}

struct Publisher<'a> {
    plan: &'a PublishPlan,
    client: Client<Message>,
    source: Source,
    account: DeliveryAccount,
    diagnostics: Diagnostics,
    /// Messages of QoS 0 that the socket has not taken whole: where each ends in the output.
    unwritten: VecDeque<(u64, Bytes)>,
    /// Messages of QoS 0 that went down with a connection.
    again: VecDeque<Bytes>,
    /// Whether messages are sent with RETAIN.
    retain: bool,
    /// When something last went on, and what it was.
    last: (Instant, Progress),
    /// Since which loss of a connection no message came through, and how many had come through then.
    stuck: Option<(Instant, u64)>,
    /// That a connection was lost has been told.
    told_loss: bool,
}

/// What is looked at to see whether anything goes on.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Progress {
    under_way: bool,
    heard: u64,
    written: u64,
}

impl<'a> Publisher<'a> {
    fn new(plan: &'a PublishPlan, source: Source, diagnostics: Diagnostics) -> Self {
        Self {
            plan,
            client: Client::new(plan.connect.clone(), Trace::of_level(plan.debug, plan.log)),
            source,
            account: DeliveryAccount::new(diagnostics),
            diagnostics,
            unwritten: VecDeque::new(),
            again: VecDeque::new(),
            retain: plan.message.retain,
            last: (Instant::now(), Progress::default()),
            stuck: None,
            told_loss: false,
        }
    }

    async fn run(mut self) -> ExitStatus {
        let ended = match Interrupts::listen() {
            Ok(mut interrupts) => self.deliver(&mut interrupts).await,
            Err(error) => Err(Failure::Input(error)),
        };
        let failure = match ended {
            Ok(()) => return self.account.close(0),
            Err(failure) => failure,
        };
        self.note_written();
        let open = self.open();
        let status = match &failure {
            Failure::Interrupted if open == 0 => {
                self.part(ReasonCode::SUCCESS).await;
                return self.account.close(0);
            }
            Failure::Interrupted => {
                if !self.plan.compat {
                    self.diagnostics.error("interrupted");
                }
                self.part(ReasonCode::DISCONNECT_WITH_WILL).await;
                ExitStatus::Interrupted
            }
            Failure::Input(error) => {
                self.diagnostics.error(format_args!("cannot read stdin: {error}"));
                self.part(ReasonCode::SUCCESS).await;
                ExitStatus::Failed
            }
            Failure::Stuck(since, loss) => {
                let (target, waited) = (self.client.target(), since.elapsed().as_secs());
                self.diagnostics.error(format_args!("{target}: nothing got through for {waited} s: {loss}"));
                self.diagnostics.hint(STUCK_HINT);
                self.part(ReasonCode::SUCCESS).await;
                ExitStatus::AckTimedOut
            }
            Failure::Client(error) => {
                let status = self.diagnostics.client_error(error);
                // The connection stands where it is the message that the broker does not take.
                self.part(ReasonCode::SUCCESS).await;
                status
            }
        };
        if self.plan.source == PayloadSource::Lines || self.plan.repeat > 1 {
            self.account.close(open);
        }
        status
    }

    /// Everything from the first connection to the DISCONNECT.
    async fn deliver(&mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        tokio::select! {
            biased;
            () = interrupts.next() => return Err(Failure::Interrupted),
            connected = self.client.connect(&mut self.account) => connected?,
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
        let lines = self.plan.source == PayloadSource::Lines;
        let unsure = lines && !self.plan.is_acknowledged();
        let parting = if unsure { Parting::Confirmed(CLOSING) } else { Parting::AtOnce };
        let properties = self.plan.disconnect_properties.clone();
        self.client.disconnect(ReasonCode::SUCCESS, properties, self.plan.patience, parting).await?;
        self.account.wrote(self.unwritten.drain(..).count() as u64);
        Ok(())
    }

    /// Takes up messages as far as there is room for them.
    fn feed(&mut self) -> Result<(), Failure> {
        while self.has_room() {
            let Some(payload) = self.again.pop_front().or_else(|| self.source.next()) else { break };
            let message = Message { payload: payload.clone(), retain: self.retain, ..self.plan.message.clone() };
            match self.client.session().publish(message) {
                Ok(0) => self.unwritten.push_back((self.client.output_end(), payload)),
                Ok(_) => {}
                // mosquitto_pub clears the flag where the broker keeps no messages, and sends.
                Err((PublishError::RetainNotAvailable, message)) if self.plan.compat && message.retain => {
                    self.retain = false;
                    self.again.push_front(payload);
                }
                // Of lines, one that is too large for the broker does not keep the others back.
                Err((error @ PublishError::Wire(WireError::TooLarge { .. }), _))
                    if self.plan.source == PayloadSource::Lines =>
                {
                    self.account.refuse(&error, error.reason());
                }
                Err((error, _)) => return Err(Failure::Client(error.into())),
            }
        }
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        if !self.client.is_open() || self.client.unwritten() >= BACKLOG {
            return false;
        }
        let in_flight = self.client.session().in_flight();
        if let Source::Repeated(repetition) = &mut self.source {
            // The next one when the one before is through. At QoS 0 and without a delay that is once it is written,
            // and writes may then as well be large.
            let paced = self.plan.message.qos != QoS::AtMostOnce || !self.plan.repeat_delay.is_zero();
            let busy = in_flight > 0 || !self.unwritten.is_empty();
            if paced && (busy || !repetition.is_due(Instant::now())) {
                return false;
            }
        }
        !self.plan.is_acknowledged() || self.client.session().window_free() > 0
    }

    /// Whether everything is acknowledged. What is only to be written may be written together with the DISCONNECT, where
    /// it would not be sent again anyway.
    fn is_through(&mut self) -> bool {
        let lines = self.plan.source == PayloadSource::Lines;
        self.source.has_ended()
            && self.again.is_empty()
            && self.client.session().in_flight() == 0
            && (self.unwritten.is_empty() || !lines)
    }

    async fn step(&mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        let hungry = self.client.is_open()
            && self.client.unwritten() < BACKLOG
            && (!self.plan.is_acknowledged() || self.client.session().window_free() > 0);
        let deadline = self.deadline();
        let source = &mut self.source;
        let other = async {
            tokio::select! {
                biased;
                () = interrupts.next() => Other::Interrupted,
                input = source.wait(), if hungry => Other::Input(input),
                () = until(deadline) => Other::Late,
            }
        };
        let moved = self.client.step(&mut self.account, true, other).await;
        self.note_written();
        match moved? {
            None => Ok(()),
            Some(Other::Interrupted) => Err(Failure::Interrupted),
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

    /// After a loss the lines go on over a new connection; a single message does not wait for a broker to come back.
    async fn recover(&mut self, failure: Failure, interrupts: &mut Interrupts) -> Result<(), Failure> {
        let loss = match failure {
            Failure::Client(error) if self.plan.source == PayloadSource::Lines && error.may_pass() => {
                self.client.note(&format!("lost the connection and connects again: {error}"));
                if !std::mem::replace(&mut self.told_loss, true) {
                    self.diagnostics.warning(self.client.loss(&error));
                }
                error.to_string()
            }
            other => return Err(other),
        };
        if !self.plan.is_acknowledged() {
            // The socket took them, and nobody can say what the broker got of it.
            self.diagnostics.warning("the connection was lost; lines written just before may be lost with it");
            self.diagnostics.hint("with -q 1 nothing is lost");
        }
        let lost: Vec<Bytes> = self.unwritten.drain(..).map(|(_, payload)| payload).collect();
        lost.into_iter().rev().for_each(|payload| self.again.push_front(payload));
        let through = self.account.entered();
        let since = match self.stuck {
            Some((since, then)) if then == through => since,
            _ => Instant::now(),
        };
        self.stuck = Some((since, through));
        self.reconnect(since, loss, interrupts).await?;
        self.last.0 = Instant::now();
        Ok(())
    }

    /// Connects again. Where the input has ended nobody is there to notice that it never works, so it ends then.
    async fn reconnect(&mut self, since: Instant, loss: String, interrupts: &mut Interrupts) -> Result<(), Failure> {
        let Self { client, account, source, plan, .. } = self;
        let mut connecting = pin!(client.reconnect(account));
        loop {
            let deadline = if source.is_read() { since.checked_add(plan.patience) } else { None };
            let reading = !source.is_read() && source.held() < BACKLOG;
            tokio::select! {
                biased;
                () = interrupts.next() => return Err(Failure::Interrupted),
                () = until(deadline) => return Err(Failure::Stuck(since, loss)),
                connected = &mut connecting => return Ok(connected?),
                input = source.wait(), if reading => input.map_err(Failure::Input)?,
            }
        }
    }

    /// Enters the messages of QoS 0 that were written.
    fn note_written(&mut self) {
        let written = self.client.written_total();
        while self.unwritten.front().is_some_and(|(end, _)| *end <= written) {
            self.unwritten.pop_front();
            self.account.wrote(1);
        }
    }

    /// When to give up, while something is under way.
    fn deadline(&mut self) -> Option<Instant> {
        let unwritten = self.client.unwritten() > 0;
        let in_flight = self.client.session().in_flight() > 0;
        let under_way = in_flight || unwritten;
        let mut now = Progress { under_way, heard: self.account.heard(), written: self.client.written_total() };
        if in_flight && !unwritten {
            // Other messages that are written are no answer to those in flight.
            now.written = self.last.1.written;
        }
        if now != self.last.1 {
            self.last = (Instant::now(), now);
        }
        under_way.then(|| self.last.0.checked_add(self.plan.patience)).flatten()
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
        let _ = self.client.disconnect(reason, Properties::new(), PARTING, Parting::AtOnce).await;
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
