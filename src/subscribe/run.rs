//! The run of mqsub: subscribe, and carry messages to stdout until it is enough.

use std::cell::RefCell;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use super::plan::{Display, SubscribePlan};
use super::receiver::{Receiver, SharedReceiver};
use super::stdout::{Batch, Stdout};
use crate::client::mosquitto::{BEFORE_CONNACK, MosquittoClient, TIMED_OUT};
use crate::client::{self, Client, ClientError, Diagnostics, Interrupts, Parting, Trace};
use crate::exit_status::ExitStatus;
use crate::mqtt::wire::{PacketType, Subscribe, SubscribeFilter, Unsubscribe};
use crate::mqtt::{Message, QoS, ReasonCode};
use crate::session::{PublishError, SessionError};

/// While so much waits for stdout nothing is read from the broker.
const MOST_UNWRITTEN: usize = 256 * 1024;
/// While so many retained messages wait to be removed nothing is read from the broker.
const MOST_TO_REMOVE: usize = 1000;
/// A broker that has answered a PINGREQ behind the SUBSCRIBE, and then has sent nothing for so long, has no more
/// retained messages.
const QUIET: Duration = Duration::from_secs(1);
/// How long a run that was interrupted, or ran out of time, may take to write what it has.
const PARTING: Duration = Duration::from_millis(500);
/// Why a broker may hang up on a SUBSCRIBE.
const SENT_AWAY_HINT: &str = "the broker closed the connection instead of answering SUBSCRIBE: this user may not be \
                              allowed to subscribe there; choose other topics with -t, or a user with -u";
/// The beat of `--message-rate`.
const SECOND: Duration = Duration::from_secs(1);

/// Subscribes as the plan says, with messages on stdout and errors on stderr, and tells how it ended.
pub fn subscribe(plan: &SubscribePlan) -> ExitStatus {
    let client = plan.compat.then_some(MosquittoClient::Subscribe);
    let diagnostics = Diagnostics::new(plan.quiet).speaking_for(client, plan.connect.session.version);
    if plan.connect.transport.tls.as_ref().is_some_and(|tls| tls.insecure) {
        diagnostics.warning("--insecure: neither the broker's certificate nor its name is verified");
    }
    let status = client::run(async {
        let (stdout, interrupts) = (Stdout::open()?, Interrupts::listen()?);
        Ok(Subscriber::new(plan, diagnostics, stdout, interrupts).run().await)
    });
    status.and_then(|status| status).unwrap_or_else(|error: io::Error| {
        diagnostics.error(format_args!("cannot start: {error}"));
        ExitStatus::Failed
    })
}

fn trace(plan: &SubscribePlan) -> Option<Trace> {
    let trace = Trace::of_level(plan.debug, plan.log)?;
    Some(trace.telling_grants(!(plan.compat && plan.quiet)))
}

/// Why a run ends.
enum End {
    /// Everything that was asked for has come.
    Enough,
    Interrupted,
    TimedOut,
    /// Nobody reads stdout any more.
    Unread,
    Stdout(io::Error),
    Client(ClientError),
}

impl From<ClientError> for End {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Unread } else { Self::Stdout(error) }
    }
}

/// What ends a step besides bytes.
enum Other {
    Interrupted,
    Unread,
    Written(io::Result<Batch>),
    Woken,
}

/// What is waited for at a certain time.
#[derive(Default)]
struct Clocks {
    /// `-W`.
    end: Option<Instant>,
    /// SUBACK and UNSUBACK.
    answer: Option<Instant>,
    /// The next line of `--message-rate`.
    tick: Option<Instant>,
}

impl Clocks {
    /// Tells the rate of the second that is over, if one is.
    fn tell_second(&mut self, receiver: &mut Receiver, now: Instant) {
        if let Some(tick) = self.tick.filter(|tick| *tick <= now) {
            receiver.tick();
            // Seconds that went by without a chance to tell them are not made up for.
            self.tick = Some((tick + SECOND).max(now));
        }
    }
}

struct Subscriber<'a> {
    plan: &'a SubscribePlan,
    diagnostics: Diagnostics,
    stdout: Stdout,
    interrupts: Interrupts,
    client: Client<Message>,
    receiver: Receiver,
    clocks: Clocks,
    /// SUBACKs and UNSUBACKs that have not come.
    unanswered: usize,
    /// What the broker granted has been told; a reconnect brings it again.
    told: bool,
    /// That a connection was lost has been told.
    told_loss: bool,
}

impl<'a> Subscriber<'a> {
    fn new(plan: &'a SubscribePlan, diagnostics: Diagnostics, stdout: Stdout, interrupts: Interrupts) -> Self {
        let now = Instant::now();
        Self {
            plan,
            diagnostics,
            stdout,
            interrupts,
            client: Client::new(plan.connect.clone(), trace(plan)).telling(diagnostics),
            receiver: Receiver::new(plan, diagnostics),
            clocks: Clocks {
                end: plan.timeout.and_then(|timeout| now.checked_add(timeout)),
                answer: None,
                tick: matches!(plan.display, Display::Rate).then_some(now + SECOND),
            },
            unanswered: 0,
            told: false,
            told_loss: false,
        }
    }

    async fn run(mut self) -> ExitStatus {
        let end = match self.receive().await {
            Ok(()) => End::Enough,
            Err(end) => end,
        };
        let compat = self.plan.compat;
        match end {
            End::Enough if compat => {
                let _ = self.part(ReasonCode::SUCCESS, PARTING).await;
                ExitStatus::Done
            }
            End::Interrupted | End::TimedOut if compat && !self.client.is_open() => BEFORE_CONNACK,
            End::Enough => match self.part(ReasonCode::SUCCESS, self.plan.patience).await {
                Ok(()) => self.receiver.refused.map_or(ExitStatus::Done, ExitStatus::Refused),
                // Everything is written; that the broker may not know it is its loss.
                Err(_) => ExitStatus::Done,
            },
            End::Interrupted => {
                self.wind_down().await;
                ExitStatus::Done
            }
            End::TimedOut => {
                self.wind_down().await;
                match compat {
                    true => self.diagnostics.verbatim(TIMED_OUT),
                    false => self.diagnostics.error(self.timed_out()),
                }
                ExitStatus::TimedOut
            }
            End::Unread => {
                let _ = self.part(ReasonCode::SUCCESS, PARTING).await;
                ExitStatus::Done
            }
            End::Stdout(error) => {
                self.diagnostics.error(format_args!("cannot write to stdout: {error}"));
                let _ = self.part(ReasonCode::SUCCESS, PARTING).await;
                ExitStatus::Failed
            }
            End::Client(error) => {
                let _ = tokio::time::timeout(PARTING, self.write_out()).await;
                let status = self.diagnostics.client_error(&error);
                let _ = self.part(ReasonCode::SUCCESS, PARTING).await;
                status
            }
        }
    }

    fn timed_out(&self) -> String {
        let waited = self.plan.timeout.unwrap_or_default().as_secs_f64();
        match (self.receiver.counted(), self.plan.selection.count) {
            (come, Some(wanted)) => format!("timed out after {waited} s: {come} of {wanted} messages came"),
            (1, None) => format!("timed out after {waited} s: 1 message came"),
            (come, None) => format!("timed out after {waited} s: {come} messages came"),
        }
    }

    /// From the first connection to the last message.
    async fn receive(&mut self) -> Result<(), End> {
        match self.connect(true).await {
            // mosquitto_sub takes a broker that hangs up without a word for one that may come back.
            Err(End::Client(ClientError::Lost { .. })) if self.plan.compat => self.connect(false).await?,
            connected => connected?,
        }
        loop {
            self.carry()?;
            if self.is_enough() {
                return Ok(());
            }
            match self.step().await {
                Ok(()) => {}
                Err(End::Client(error)) if self.may_go_on(&error) => {
                    self.tell_loss(error)?;
                    self.connect(false).await?;
                }
                Err(end) => return Err(end),
            }
        }
    }

    /// Whether another connection is worth trying after this loss.
    fn may_go_on(&self, error: &ClientError) -> bool {
        let wanted = self.plan.connect.retry.after_a_loss() > 0;
        wanted && error.may_pass() && !(self.plan.compat && was_sent_away(error))
    }

    /// Says once that the connection was lost. A broker that closes it instead of answering the first SUBSCRIBE would do
    /// so every time; mosquitto_sub finds out for ever.
    fn tell_loss(&mut self, error: ClientError) -> Result<(), End> {
        let unanswered = !self.told && !self.plan.subscribe.filters.is_empty() && !self.plan.compat;
        match error {
            ClientError::Lost { target, cause, before_connack, .. } if unanswered => {
                let hint = Some(SENT_AWAY_HINT.to_owned());
                Err(End::Client(ClientError::Lost { target, cause, before_connack, hint }))
            }
            error => {
                self.client.note(&format!("lost the connection and connects again: {error}"));
                if !std::mem::replace(&mut self.told_loss, true) {
                    self.diagnostics.warning(self.client.loss(&error));
                }
                Ok(())
            }
        }
    }

    /// Connects, waiting no longer than the run may take, and subscribes. Meanwhile what had come still goes out, and
    /// the seconds of `--message-rate` are told.
    async fn connect(&mut self, first: bool) -> Result<(), End> {
        for written in self.await_connection(first).await? {
            self.acknowledge(written);
        }
        self.send_requests().map_err(|error| End::Client(error.into()))
    }

    /// Gives back what was written meanwhile.
    async fn await_connection(&mut self, first: bool) -> Result<Vec<Batch>, End> {
        let Self { client, receiver, interrupts, stdout, clocks, .. } = self;
        let shared = RefCell::new(receiver);
        let mut ears = SharedReceiver(&shared);
        let mut written = Vec::new();
        let connecting = async {
            match first {
                true => client.connect(&mut ears).await,
                false => client.reconnect(&mut ears).await,
            }
        };
        let mut connecting = pin!(connecting);
        loop {
            shared.borrow_mut().begin_read();
            if !stdout.is_busy() && !shared.borrow().batch.is_empty() {
                let batch = std::mem::take(&mut shared.borrow_mut().batch);
                written.extend(stdout.write(batch)?);
            }
            let tick = clocks.tick;
            tokio::select! {
                biased;
                () = interrupts.next() => return Err(End::Interrupted),
                batch = stdout.written_or_closed() => match batch {
                    Some(batch) => written.push(batch?),
                    None => return Err(End::Unread),
                },
                connected = &mut connecting => {
                    connected?;
                    break;
                }
                () = until(clocks.end) => return Err(End::TimedOut),
                () = until(tick) => clocks.tell_second(&mut shared.borrow_mut(), Instant::now()),
            }
        }
        Ok(written)
    }

    fn send_requests(&mut self) -> Result<(), PublishError> {
        let SubscribePlan { subscribe, unsubscribe, unsubscribe_properties, .. } = self.plan;
        self.unanswered = 0;
        self.receiver.last_pong = None;
        if !subscribe.filters.is_empty() {
            self.client.session().subscribe(subscribe.clone())?;
            self.unanswered += 1;
        }
        for filter in unsubscribe {
            let filters = vec![filter.clone()];
            let properties = unsubscribe_properties.clone();
            self.client.session().unsubscribe(Unsubscribe { packet_identifier: 0, properties, filters })?;
            self.unanswered += 1;
        }
        if self.plan.selection.retained_only {
            self.client.session().ping();
        }
        self.clocks.answer = Instant::now().checked_add(self.plan.patience);
        Ok(())
    }

    /// What can be done without waiting: answers looked at, messages to stdout, acknowledgements, removals.
    fn carry(&mut self) -> Result<(), End> {
        self.look_at_answers()?;
        if !self.stdout.is_busy() && !self.receiver.batch.is_empty() {
            let batch = std::mem::take(&mut self.receiver.batch);
            if let Some(written) = self.stdout.write(batch)? {
                self.acknowledge(written);
            }
        }
        self.remove_retained().map_err(|error| End::Client(error.into()))
    }

    /// Acknowledges what was written, and keeps the buffer for what comes next.
    fn acknowledge(&mut self, mut written: Batch) {
        for receipt in written.receipts.drain(..) {
            self.client.session().acknowledge(receipt);
        }
        let next = &mut self.receiver.batch;
        if next.bytes.is_empty() && written.bytes.capacity() <= MOST_UNWRITTEN {
            written.bytes.clear();
            next.bytes = written.bytes;
        }
    }

    fn remove_retained(&mut self) -> Result<(), PublishError> {
        while self.client.is_open() && self.client.session().window_free() > 0 {
            let Some(topic) = self.receiver.to_remove.pop_front() else { break };
            let empty = Message { topic, qos: QoS::AtLeastOnce, retain: true, ..Message::default() };
            match self.client.session().publish(empty) {
                Ok(_) => {}
                Err((PublishError::QosNotSupported(qos), empty)) => {
                    self.client.session().publish(Message { qos, ..empty }).map_err(|(error, _)| error)?;
                }
                Err((error, _)) => return Err(error),
            }
        }
        Ok(())
    }

    fn look_at_answers(&mut self) -> Result<(), End> {
        for suback in std::mem::take(&mut self.receiver.subacks) {
            self.unanswered = self.unanswered.saturating_sub(1);
            let told = std::mem::replace(&mut self.told, true);
            let Subscribe { filters, .. } = &self.plan.subscribe;
            // mosquitto_sub does not count them.
            if suback.reasons.len() != filters.len() && !self.plan.compat {
                let what = "has another number of Reason Codes than the SUBSCRIBE has filters (MQTT-3.9.3-1)";
                let (packet, reason) = (PacketType::Suback, ReasonCode::PROTOCOL_ERROR);
                let error = SessionError::Unexpected { packet, what, reason };
                return Err(End::Client(ClientError::Session { target: self.client.target().to_owned(), error }));
            }
            let refused: Vec<_> = filters.iter().zip(&suback.reasons).filter(|(_, reason)| reason.is_error()).collect();
            if let (Some((filter, reason)), true) = (refused.first(), refused.len() == filters.len()) {
                let (target, filter) = (self.client.target().to_owned(), filter.filter.clone());
                return Err(End::Client(ClientError::SubscribeRefused { target, filter, reason: **reason }));
            }
            if told {
                continue;
            }
            for (filter, reason) in filters.iter().zip(&suback.reasons) {
                if let Some(warning) = shortfall(filter, *reason) {
                    self.diagnostics.warning(warning);
                }
            }
        }
        for unsuback in std::mem::take(&mut self.receiver.unsubacks) {
            self.unanswered = self.unanswered.saturating_sub(1);
            for reason in unsuback.reasons.iter().filter(|reason| reason.is_error()) {
                self.diagnostics.warning(format_args!("the broker refused to unsubscribe: {reason}"));
            }
        }
        Ok(())
    }

    fn is_enough(&mut self) -> bool {
        if self.unanswered == 0 {
            self.clocks.answer = None;
        }
        let enough = self.receiver.has_ended()
            || (self.plan.exit_after_subscribing && self.unanswered == 0)
            || self.quiet_until().is_some_and(|quiet| quiet <= Instant::now());
        let all_written = !self.stdout.is_busy() && self.receiver.batch.bytes.is_empty();
        enough && all_written && self.receiver.to_remove.is_empty() && self.client.session().in_flight() == 0
    }

    /// `--retained-only`: when the broker will have been quiet for so long that no retained message is to come.
    /// mosquitto_sub waits for the first message that is not retained, and for nothing else.
    fn quiet_until(&mut self) -> Option<Instant> {
        if self.plan.compat || self.client.session().is_inside_packet() {
            return None;
        }
        let pong = self.receiver.last_pong.filter(|_| self.plan.selection.retained_only && self.unanswered == 0)?;
        // Any bytes count: a large message may take long to come.
        let last = self.client.last_heard().map_or(pong, |heard| heard.max(pong));
        (!self.stdout.is_busy()).then_some(last + QUIET)
    }

    async fn step(&mut self) -> Result<(), End> {
        self.receiver.begin_read();
        let reading =
            self.receiver.batch.bytes.len() < MOST_UNWRITTEN && self.receiver.to_remove.len() < MOST_TO_REMOVE;
        let quiet = self.quiet_until();
        let next = [self.clocks.end, self.clocks.answer, self.clocks.tick, quiet].into_iter().flatten().min();
        let Self { client, receiver, interrupts, stdout, .. } = self;
        let other = async {
            tokio::select! {
                biased;
                () = interrupts.next() => Other::Interrupted,
                written = stdout.written_or_closed() => written.map_or(Other::Unread, Other::Written),
                () = until(next) => Other::Woken,
            }
        };
        match client.step(receiver, reading, other).await? {
            None => {}
            Some(Other::Interrupted) => return Err(End::Interrupted),
            Some(Other::Unread) => return Err(End::Unread),
            Some(Other::Written(written)) => self.acknowledge(written?),
            Some(Other::Woken) => {}
        }
        self.look_at_clocks()
    }

    fn look_at_clocks(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let is_past = |clock: Option<Instant>| clock.is_some_and(|clock| clock <= now);
        if is_past(self.clocks.end) {
            return Err(End::TimedOut);
        }
        if self.unanswered > 0 && is_past(self.clocks.answer) && self.receiver.subacks.is_empty() {
            let packet = if self.plan.subscribe.filters.is_empty() { "UNSUBSCRIBE" } else { "SUBSCRIBE" };
            let (target, waited) = (self.client.target().to_owned(), self.plan.patience);
            return Err(End::Client(ClientError::Unanswered { target, packet, waited }));
        }
        self.clocks.tell_second(&mut self.receiver, now);
        Ok(())
    }

    /// Writes everything that waits for stdout and acknowledges it.
    async fn write_out(&mut self) -> io::Result<()> {
        loop {
            if self.stdout.is_busy() {
                let written = self.stdout.written().await?;
                self.acknowledge(written);
            }
            if self.receiver.batch.is_empty() {
                return Ok(());
            }
            let batch = std::mem::take(&mut self.receiver.batch);
            if let Some(written) = self.stdout.write(batch)? {
                self.acknowledge(written);
            }
        }
    }

    /// The end of a run that could have gone on: what came is written, and the will is published.
    async fn wind_down(&mut self) {
        let _ = tokio::time::timeout(PARTING, self.write_out()).await;
        let session = &self.plan.connect.session;
        let with_will = (session.will.is_some() || self.plan.compat) && session.version.is_v5();
        let reason = if with_will { ReasonCode::DISCONNECT_WITH_WILL } else { ReasonCode::SUCCESS };
        let _ = self.part(reason, PARTING).await;
    }

    async fn part(&mut self, reason: ReasonCode, patience: Duration) -> Result<(), ClientError> {
        if !self.client.is_open() {
            return Ok(());
        }
        let parting = Parting::Draining(PARTING);
        self.client.disconnect(reason, self.plan.disconnect_properties.clone(), patience, parting).await
    }
}

/// The broker said goodbye (5.0): mosquitto_sub leaves then, whatever the reason.
fn was_sent_away(error: &ClientError) -> bool {
    matches!(error, ClientError::Session { error: SessionError::Disconnected { .. }, .. })
}

/// What a subscription did not get of what it asked for.
pub fn shortfall(filter: &SubscribeFilter, reason: ReasonCode) -> Option<String> {
    let SubscribeFilter { filter, qos, .. } = filter;
    if reason.is_error() {
        Some(format!("the broker refused to subscribe to {filter}: {reason}"))
    } else if reason.0 < qos.number() {
        Some(format!("the broker granted QoS {} for {filter}, where QoS {} was asked for", reason.0, qos.number()))
    } else {
        None
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
