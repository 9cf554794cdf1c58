//! The run of mqrr: subscribe, ask, and wait for the responses, request by request.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::latency::{self, RoundTrips};
use super::matching::Stranger;
use super::plan::RequestPlan;
use super::receiver::{Fate, Receiver};
use super::telling::{self, Situation, Stage};
use crate::client::mosquitto::{MosquittoClient, TIMED_OUT};
use crate::client::{self, Client, ClientError, Diagnostics, Interrupts, Parting, Trace};
use crate::exit_status::ExitStatus;
use crate::mqtt::wire::{MAX_REMAINING_LENGTH, PacketType, Subscribe, SubscribeFilter, WireError};
use crate::mqtt::{Message, Property, PropertyName, PropertyValue, QoS, ReasonCode};
use crate::publish::{Line, PayloadSource, Source, source_of};
use crate::session::SessionError;
use crate::subscribe::format::Style;
use crate::subscribe::{Batch, Stdout, shortfall};

/// While so much waits for stdout nothing is read from the broker.
const MOST_UNWRITTEN: usize = 256 * 1024;
/// So often in a row a connection may be lost on which the request was sent and not acknowledged.
const MOST_LOSSES: u32 = 2;
/// How long a run that is at its end may take to write what it has.
const PARTING: Duration = Duration::from_millis(500);
/// Why a broker may hang up on a SUBSCRIBE or a request.
const SENT_AWAY_HINT: &str = "the broker closed the connection instead of answering: this user may not be allowed to \
                              subscribe to the response topic (-e) or to publish to the request topic (-t)";

/// Sends requests as the plan says, with responses on stdout and errors on stderr, and tells how it ended.
pub fn request(plan: &RequestPlan) -> ExitStatus {
    let client = plan.compat.then_some(MosquittoClient::Request);
    let diagnostics = Diagnostics::new(plan.quiet).speaking_for(client, plan.connect.session.version);
    if plan.connect.transport.tls.as_ref().is_some_and(|tls| tls.insecure) {
        diagnostics.warning("--insecure: neither the broker's certificate nor its name is verified");
    }
    let source = match source_of(&plan.source, plan.repeat, plan.repeat_delay) {
        Ok(source) => source,
        Err(error) => {
            match plan.compat {
                true => diagnostics.verbatim(&error.mosquitto),
                false => diagnostics.error(error.text),
            }
            return ExitStatus::Failed;
        }
    };
    let status = client::run(async {
        let (stdout, interrupts) = (Stdout::open()?, Interrupts::listen()?);
        Ok(Requester::new(plan, source, diagnostics, stdout, interrupts).run().await)
    });
    status.and_then(|status| status).unwrap_or_else(|error: io::Error| {
        diagnostics.error(format_args!("cannot start: {error}"));
        ExitStatus::Failed
    })
}

/// Why a run ends before everything has come.
enum End {
    Interrupted,
    TimedOut,
    /// Nobody reads stdout any more.
    Unread,
    Stdout(io::Error),
    Stdin(io::Error),
    Client(ClientError),
    /// The broker does not take the request.
    Refused(ReasonCode, Option<String>),
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
    Input(io::Result<()>),
    Woken,
}

/// What is waited for at a certain time.
struct Clocks {
    /// `-W`.
    end: Option<Instant>,
    /// SUBACK, then the acknowledgement of the request.
    answer: Option<Instant>,
}

struct Requester<'a> {
    plan: &'a RequestPlan,
    diagnostics: Diagnostics,
    stdout: Stdout,
    interrupts: Interrupts,
    client: Client<Message>,
    receiver: Receiver,
    source: Source,
    clocks: Clocks,
    /// Where responses come; known once there is a connection.
    topic: String,
    /// The broker has granted the subscription, in this connection.
    subscribed: bool,
    /// A request of QoS 0, and one that went down with a connection before all of it was written.
    at_most_once: Option<Message>,
    again: Option<Message>,
    /// Where the last request ends in the output.
    request_end: u64,
    round_trips: RoundTrips,
    told: Told,
}

/// What has been said already.
#[derive(Default)]
struct Told {
    loss: bool,
    grants: bool,
    nobody: bool,
    no_data: bool,
    /// Connections lost in a row on which the request was sent and not acknowledged.
    losses: u32,
}

impl<'a> Requester<'a> {
    fn new(
        plan: &'a RequestPlan,
        source: Source,
        diagnostics: Diagnostics,
        stdout: Stdout,
        interrupts: Interrupts,
    ) -> Self {
        Self {
            plan,
            diagnostics,
            stdout,
            interrupts,
            client: Client::new(
                plan.connect.clone(),
                Trace::of_level(plan.debug, plan.log).map(|trace| trace.telling_grants(!plan.compat)),
            )
            .telling(diagnostics),
            receiver: Receiver::new(plan, diagnostics),
            source,
            clocks: Clocks { end: plan.timeout.and_then(|timeout| Instant::now().checked_add(timeout)), answer: None },
            topic: plan.response_topic.topic(None),
            subscribed: false,
            at_most_once: None,
            again: None,
            request_end: 0,
            round_trips: RoundTrips::default(),
            told: Told::default(),
        }
    }

    async fn run(mut self) -> ExitStatus {
        let status = match self.exchange().await {
            Ok(()) => {
                self.leave().await;
                ExitStatus::Done
            }
            Err(end) => self.end(end).await,
        };
        let several = self.receiver.exchange.asked() > 1;
        if self.plan.latency && several && !self.plan.compat && self.receiver.exchange.all() > 0 {
            let _ = writeln!(io::stderr(), "{}", self.round_trips.summary());
        }
        status
    }

    /// The end of a run with all its responses, or whose request cannot be sent. mosquitto_rr closes without a word then;
    /// only a will would come of that.
    async fn leave(&mut self) {
        if !self.plan.compat || self.plan.connect.session.will.is_some() {
            return self.part(ReasonCode::SUCCESS).await;
        }
        let flushed = async {
            while self.client.unwritten() > 0 {
                self.client.step(&mut self.receiver, false, std::future::pending::<()>()).await?;
            }
            Ok::<_, ClientError>(())
        };
        let _ = tokio::time::timeout(PARTING, flushed).await;
        self.client.close_abruptly();
    }

    async fn end(&mut self, end: End) -> ExitStatus {
        let compat = self.plan.compat;
        let _ = tokio::time::timeout(PARTING, self.write_out()).await;
        match end {
            End::Interrupted => {
                self.part(self.reason_with_will()).await;
                if !compat {
                    self.diagnostics.error(format_args!("interrupted: {}", self.situation().what_came()));
                }
                ExitStatus::Interrupted
            }
            End::TimedOut => {
                let told = self.situation();
                let error = told.timed_out(self.plan.timeout.unwrap_or_default());
                let hints = told.hints();
                self.part(self.reason_with_will()).await;
                if compat {
                    self.diagnostics.verbatim(TIMED_OUT);
                    return ExitStatus::TimedOut;
                }
                self.diagnostics.error(error);
                hints.iter().for_each(|hint| self.diagnostics.hint(hint));
                if self.receiver.exchange.come() > 0 { ExitStatus::TooFewCame } else { ExitStatus::TimedOut }
            }
            End::Unread => {
                self.part(ReasonCode::SUCCESS).await;
                ExitStatus::Done
            }
            End::Stdout(error) => {
                self.diagnostics.error(format_args!("cannot write to stdout: {error}"));
                self.part(ReasonCode::SUCCESS).await;
                ExitStatus::Failed
            }
            End::Stdin(error) => {
                self.diagnostics.error(format_args!("cannot read stdin: {error}"));
                self.part(ReasonCode::SUCCESS).await;
                ExitStatus::Failed
            }
            End::Refused(reason, words) => {
                let target = self.client.target().to_owned();
                let topic = &self.plan.request.topic;
                self.diagnostics.error(format_args!("{target}: the broker refused the request to {topic}: {reason}"));
                if let Some(words) = words {
                    self.diagnostics.verbatim(&format!("The broker says: {words}\n"));
                }
                self.part(ReasonCode::SUCCESS).await;
                ExitStatus::Refused(reason)
            }
            End::Client(error @ ClientError::SubscribeRefused { .. }) if !compat => {
                self.diagnostics.error(&error);
                self.diagnostics.hint("may this user subscribe there? choose another response topic with -e");
                self.part(ReasonCode::SUCCESS).await;
                error.exit_status()
            }
            End::Client(error) => {
                let status = self.diagnostics.client_error(&error);
                match error {
                    ClientError::Publish(_) => self.leave().await,
                    _ => self.part(ReasonCode::SUCCESS).await,
                }
                status
            }
        }
    }

    fn situation(&self) -> Situation<'_> {
        Situation {
            stage: match (self.client.is_open(), self.subscribed) {
                (false, _) => Stage::Connecting,
                (true, false) => Stage::Subscribing,
                (true, true) => Stage::Asked,
            },
            exchange: &self.receiver.exchange,
            fate: &self.receiver.fate,
            request_topic: &self.plan.request.topic,
            response_topic: &self.topic,
            acknowledged: self.plan.request.qos != QoS::AtMostOnce,
            v5: self.plan.connect.session.version.is_v5(),
        }
    }

    /// From the first connection to the last response.
    async fn exchange(&mut self) -> Result<(), End> {
        self.connect(true).await?;
        loop {
            self.carry()?;
            if self.is_through() {
                return Ok(());
            }
            match self.step().await {
                Ok(()) => {}
                Err(End::Client(error)) if error.may_pass() && !self.plan.compat => {
                    self.tell_loss(error)?;
                    self.connect(false).await?;
                }
                Err(end) => return Err(end),
            }
        }
    }

    /// Says once that the connection was lost. A broker that closes it instead of answering would do so every time: at
    /// the SUBSCRIBE that is known at once, at the request when it happens again.
    fn tell_loss(&mut self, error: ClientError) -> Result<(), End> {
        let again = self.is_sent_again();
        self.told.losses = if again { self.told.losses + 1 } else { 0 };
        match error {
            ClientError::Lost { target, cause, before_connack, .. }
                if !self.told.grants || self.told.losses > MOST_LOSSES =>
            {
                let hint = Some(SENT_AWAY_HINT.to_owned());
                return Err(ClientError::Lost { target, cause, before_connack, hint }.into());
            }
            error => {
                self.client.note(&format!("lost the connection and connects again: {error}"));
                if !std::mem::replace(&mut self.told.loss, true) {
                    self.diagnostics.warning(self.client.loss(&error));
                }
            }
        }
        if self.plan.request.qos == QoS::AtMostOnce && !self.receiver.exchange.is_idle() && !again {
            self.diagnostics
                .warning("the request is not sent again at QoS 0; its response may be lost with the connection");
            self.diagnostics.hint("with -q 1 a request that was not acknowledged is sent again");
        }
        Ok(())
    }

    /// Whether the open request goes out once more over the next connection: at QoS 1 and 2 where it is not
    /// acknowledged, at QoS 0 where not all of it went out.
    fn is_sent_again(&mut self) -> bool {
        if self.receiver.exchange.is_idle() {
            return false;
        }
        if self.client.written_total() < self.request_end {
            self.again = self.at_most_once.take().or(self.again.take());
        }
        self.again.is_some() || self.waits_for_acknowledgement()
    }

    /// Connects, waiting no longer than the run may take, and subscribes.
    async fn connect(&mut self, first: bool) -> Result<(), End> {
        let end = self.clocks.end;
        self.subscribed = false;
        let Self { client, receiver, interrupts, stdout, .. } = self;
        let connecting = async {
            match first {
                true => client.connect(receiver).await,
                false => client.reconnect(receiver).await,
            }
        };
        tokio::select! {
            biased;
            () = interrupts.next() => return Err(End::Interrupted),
            () = stdout.closed() => return Err(End::Unread),
            connected = connecting => connected?,
            () = until(end) => return Err(End::TimedOut),
        }
        if first {
            // The responder knows it from the request, so it stays what it is over a reconnect.
            self.topic = self.plan.response_topic.topic(self.receiver.response_information.as_deref());
            self.client.note(&format!("responses are to come on {}", self.topic));
        }
        let subscribe = Subscribe {
            packet_identifier: 0,
            properties: self.plan.subscribe_properties.clone(),
            filters: vec![self.filter()],
        };
        self.client.session().subscribe(subscribe).map_err(|error| End::Client(error.into()))?;
        self.clocks.answer = Instant::now().checked_add(self.plan.patience);
        Ok(())
    }

    fn filter(&self) -> SubscribeFilter {
        SubscribeFilter { filter: self.topic.clone(), ..self.plan.subscription.clone() }
    }

    /// What can be done without waiting: answers looked at, the next request, responses to stdout.
    fn carry(&mut self) -> Result<(), End> {
        self.look_at_subacks()?;
        self.look_at_fate()?;
        self.look_at_messages();
        self.ask()?;
        if !self.stdout.is_busy() && !self.receiver.batch.is_empty() {
            let batch = std::mem::take(&mut self.receiver.batch);
            if let Some(written) = self.stdout.write(batch)? {
                self.acknowledge(written);
            }
        }
        Ok(())
    }

    /// Acknowledges what was written.
    fn acknowledge(&mut self, written: Batch) {
        for receipt in written.receipts {
            self.client.session().acknowledge(receipt);
        }
    }

    fn look_at_subacks(&mut self) -> Result<(), End> {
        for suback in std::mem::take(&mut self.receiver.subacks) {
            let target = self.client.target().to_owned();
            let [reason] = suback.reasons[..] else {
                let what = "has another number of Reason Codes than the SUBSCRIBE has filters (MQTT-3.9.3-1)";
                let (packet, reason) = (PacketType::Suback, ReasonCode::PROTOCOL_ERROR);
                let error = SessionError::Unexpected { packet, what, reason };
                return Err(ClientError::Session { target, error }.into());
            };
            if reason.is_error() {
                return Err(ClientError::SubscribeRefused { target, filter: self.topic.clone(), reason }.into());
            }
            if let (false, Some(warning)) = (self.told.grants, shortfall(&self.filter(), reason)) {
                self.diagnostics.warning(warning);
            }
            (self.told.grants, self.subscribed) = (true, true);
            // One that went out before has been waiting for its acknowledgement since the connection is up.
            self.clocks.answer = self.clocks.answer.filter(|_| self.waits_for_acknowledgement());
        }
        Ok(())
    }

    fn waits_for_acknowledgement(&self) -> bool {
        self.receiver.packet_identifier != 0 && self.receiver.fate == Fate::Unknown && !self.receiver.exchange.is_idle()
    }

    fn look_at_fate(&mut self) -> Result<(), End> {
        match &self.receiver.fate {
            Fate::Unknown => return Ok(()),
            Fate::Taken => {}
            Fate::Nobody => {
                if !std::mem::replace(&mut self.told.nobody, true) && !self.receiver.exchange.is_idle() {
                    self.diagnostics.warning(telling::nobody(&self.plan.request.topic));
                }
            }
            // mosquitto_rr does not notice.
            Fate::Refused(..) | Fate::Lost(_) if self.plan.compat => {}
            Fate::Refused(reason, words) => return Err(End::Refused(*reason, words.clone())),
            Fate::Lost(reason) => return Err(End::Refused(*reason, None)),
        }
        if self.subscribed {
            self.clocks.answer = None;
        }
        Ok(())
    }

    /// What came, for stderr and the log.
    fn look_at_messages(&mut self) {
        for stranger in std::mem::take(&mut self.receiver.strangers) {
            if self.plan.compat {
                continue;
            }
            let what = match stranger {
                Stranger::NoData => "has no correlation data",
                Stranger::OtherData => "has other correlation data",
                Stranger::Retained => "is retained",
                Stranger::Early => "came before the request was sent",
                Stranger::Late => "answers a request that has all its responses",
            };
            self.client.note(&format!("a message on {} is left out: it {what}", self.topic));
            if stranger == Stranger::NoData && !std::mem::replace(&mut self.told.no_data, true) {
                self.diagnostics.warning(telling::first_without_data(&self.topic));
                self.diagnostics.hint(telling::WITHOUT_DATA_HINT);
            }
        }
        let in_json = matches!(self.plan.printer.style, Style::Json { .. });
        for took in std::mem::take(&mut self.receiver.latencies) {
            self.round_trips.enter(took);
            if self.plan.compat {
                self.receiver.batch.bytes.extend_from_slice(latency::mosquittos(took).as_bytes());
                self.receiver.batch.bytes.push(b'\n');
            } else if !in_json {
                let _ = writeln!(io::stderr(), "{}", latency::one(took));
            }
        }
        let waits_for_input = self.receiver.exchange.asked() > 0 || matches!(self.plan.source, PayloadSource::Lines(_));
        if self.receiver.exchange.is_idle() && self.subscribed && waits_for_input {
            (self.clocks.end, self.clocks.answer) = (None, None);
        }
    }

    /// Sends the next request when the one before has its responses.
    fn ask(&mut self) -> Result<(), End> {
        let free = self.plan.request.qos == QoS::AtMostOnce || self.client.session().window_free() > 0;
        if !self.subscribed || !free {
            return Ok(());
        }
        let message = match self.again.take() {
            Some(message) => message,
            None if !self.receiver.exchange.is_idle() => return Ok(()),
            None => match self.next_payload()? {
                Some(payload) => self.message(payload),
                None => return Ok(()),
            },
        };
        let kept = (message.qos == QoS::AtMostOnce).then(|| message.clone());
        let published = self.client.session().publish(message);
        self.receiver.packet_identifier = published.map_err(|(error, _)| End::Client(error.into()))?;
        self.receiver.fate = Fate::Unknown;
        let now = Instant::now();
        self.receiver.asked_at = Some(now);
        self.request_end = self.client.output_end();
        self.at_most_once = kept;
        if self.clocks.end.is_none() {
            self.clocks.end = self.plan.timeout.and_then(|timeout| now.checked_add(timeout));
        }
        self.clocks.answer = now.checked_add(self.plan.patience).filter(|_| self.waits_for_acknowledgement());
        Ok(())
    }

    fn next_payload(&mut self) -> Result<Option<Bytes>, End> {
        if let Source::Repeated(repetition) = &mut self.source
            && !repetition.is_due(Instant::now())
        {
            return Ok(None);
        }
        let limit = self.client.session().limits().maximum_packet_size.min(MAX_REMAINING_LENGTH);
        match self.source.next(limit) {
            None => Ok(None),
            Some((_, Line::Whole(payload))) => Ok(Some(payload)),
            Some((_, Line::TooLong { length })) => {
                let size = usize::try_from(length).unwrap_or(usize::MAX);
                Err(ClientError::Publish(WireError::TooLarge { size, limit }.into()).into())
            }
        }
    }

    /// The next request of the exchange.
    fn message(&mut self, payload: Bytes) -> Message {
        let data = self.receiver.exchange.begin();
        let mut message = Message { payload, ..self.plan.request.clone() };
        if self.plan.connect.session.version.is_v5() {
            let topic = PropertyValue::Utf8(self.topic.clone());
            let topic = Property::new(PropertyName::ResponseTopic, topic).ok();
            let data =
                data.and_then(|data| Property::new(PropertyName::CorrelationData, PropertyValue::Binary(data)).ok());
            topic.into_iter().chain(data).for_each(|property| message.properties.push(property));
        }
        message
    }

    fn is_through(&self) -> bool {
        let asked = self.source.has_ended() && self.again.is_none() && self.subscribed;
        let all_written = !self.stdout.is_busy() && self.receiver.batch.bytes.is_empty();
        asked && self.receiver.exchange.is_idle() && all_written
    }

    async fn step(&mut self) -> Result<(), End> {
        let reading = self.receiver.batch.bytes.len() < MOST_UNWRITTEN;
        let next = [self.clocks.end, self.clocks.answer].into_iter().flatten().min();
        let hungry = self.subscribed && self.again.is_none() && self.receiver.exchange.is_idle();
        let Self { client, receiver, interrupts, stdout, source, .. } = self;
        let busy = stdout.is_busy();
        let output = async {
            if busy {
                Other::Written(stdout.written().await)
            } else {
                stdout.closed().await;
                Other::Unread
            }
        };
        let other = async {
            tokio::select! {
                biased;
                () = interrupts.next() => Other::Interrupted,
                output = output => output,
                input = source.wait(), if hungry => Other::Input(input),
                () = until(next) => Other::Woken,
            }
        };
        match client.step(receiver, reading, other).await? {
            None | Some(Other::Woken) => {}
            Some(Other::Interrupted) => return Err(End::Interrupted),
            Some(Other::Unread) => return Err(End::Unread),
            Some(Other::Written(written)) => self.acknowledge(written?),
            Some(Other::Input(input)) => input.map_err(End::Stdin)?,
        }
        self.look_at_clocks()
    }

    fn look_at_clocks(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let is_past = |clock: Option<Instant>| clock.is_some_and(|clock| clock <= now);
        // What has just come is looked at first.
        if self.receiver.exchange.is_idle() && self.receiver.exchange.asked() > 0 {
            return Ok(());
        }
        if is_past(self.clocks.end) {
            return Err(End::TimedOut);
        }
        if is_past(self.clocks.answer) && self.receiver.subacks.is_empty() && self.receiver.fate == Fate::Unknown {
            let packet = if self.subscribed { "PUBLISH" } else { "SUBSCRIBE" };
            let (target, waited) = (self.client.target().to_owned(), self.plan.patience);
            return Err(ClientError::Unanswered { target, packet, waited }.into());
        }
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

    /// A run that could have gone on leaves so that its will is published; mosquitto_rr does so without one too.
    fn reason_with_will(&self) -> ReasonCode {
        let session = &self.plan.connect.session;
        let with_will = (session.will.is_some() || self.plan.compat) && session.version.is_v5();
        if with_will { ReasonCode::DISCONNECT_WITH_WILL } else { ReasonCode::SUCCESS }
    }

    async fn part(&mut self, reason: ReasonCode) {
        if !self.client.is_open() {
            return;
        }
        let (properties, parting) = (self.plan.disconnect_properties.clone(), Parting::Draining(PARTING));
        let _ = self.client.disconnect(reason, properties, PARTING, parting).await;
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
