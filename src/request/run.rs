//! The run of mqrr: subscribe, ask, and wait for the responses, request by request.

use std::io;
use std::time::Instant;

use bytes::Bytes;

use super::latency::RoundTrips;
use super::plan::RequestPlan;
use super::receiver::{Fate, Receiver};
use crate::client::mosquitto::MosquittoClient;
use crate::client::{self, Client, ClientError, Diagnostics, Interrupts, Trace};
use crate::exit_status::ExitStatus;
use crate::mqtt::wire::{MAX_REMAINING_LENGTH, Subscribe, SubscribeFilter, WireError};
use crate::mqtt::{Message, Property, PropertyName, PropertyValue, QoS, ReasonCode};
use crate::publish::{Line, Source, source_of};
use crate::subscribe::{Batch, Stdout};

/// While so much waits for stdout nothing is read from the broker.
const MOST_UNWRITTEN: usize = 256 * 1024;

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
pub(super) enum End {
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
pub(super) struct Clocks {
    /// `-W`.
    pub(super) end: Option<Instant>,
    /// SUBACK, then the acknowledgement of the request.
    pub(super) answer: Option<Instant>,
}

pub(super) struct Requester<'a> {
    pub(super) plan: &'a RequestPlan,
    pub(super) diagnostics: Diagnostics,
    pub(super) stdout: Stdout,
    pub(super) interrupts: Interrupts,
    pub(super) client: Client<Message>,
    pub(super) receiver: Receiver,
    pub(super) source: Source,
    pub(super) clocks: Clocks,
    /// Where responses come; known once there is a connection.
    pub(super) topic: String,
    /// The broker has granted the subscription, in this connection.
    pub(super) subscribed: bool,
    /// A request of QoS 0, and one that went down with a connection before all of it was written.
    pub(super) at_most_once: Option<Message>,
    pub(super) again: Option<Message>,
    /// Where the last request ends in the output.
    pub(super) request_end: u64,
    pub(super) round_trips: RoundTrips,
    pub(super) told: Told,
}

/// What has been said already.
#[derive(Default)]
pub(super) struct Told {
    pub(super) loss: bool,
    pub(super) grants: bool,
    pub(super) nobody: bool,
    pub(super) no_data: bool,
    /// Connections lost in a row on which the request was sent and not acknowledged.
    pub(super) losses: u32,
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

    /// From the first connection to the last response.
    pub(super) async fn exchange(&mut self) -> Result<(), End> {
        self.connect(true).await?;
        loop {
            self.carry()?;
            if self.is_through() {
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
        self.plan.connect.retry.after_a_loss() > 0 && error.may_pass() && !self.plan.compat
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
        let mut connecting = Box::pin(connecting);
        let mut written = Vec::new();
        loop {
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
                () = until(end) => return Err(End::TimedOut),
            }
        }
        drop(connecting);
        for batch in written {
            self.acknowledge(batch);
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

    pub(super) fn filter(&self) -> SubscribeFilter {
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
    pub(super) fn acknowledge(&mut self, written: Batch) {
        for receipt in written.receipts {
            self.client.session().acknowledge(receipt);
        }
    }

    /// Whether a request can go out now.
    fn may_ask(&mut self) -> bool {
        self.subscribed && (self.plan.request.qos == QoS::AtMostOnce || self.client.session().window_free() > 0)
    }

    /// Sends the next request when the one before has its responses.
    fn ask(&mut self) -> Result<(), End> {
        if !self.may_ask() {
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
        let hungry = self.may_ask() && self.again.is_none() && self.receiver.exchange.is_idle();
        let Self { client, receiver, interrupts, stdout, source, .. } = self;
        let other = async {
            tokio::select! {
                biased;
                () = interrupts.next() => Other::Interrupted,
                written = stdout.written_or_closed() => written.map_or(Other::Unread, Other::Written),
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
        let has_all = self.receiver.exchange.is_idle() && self.receiver.exchange.asked() > 0;
        if is_past(self.clocks.end) && !has_all {
            return Err(End::TimedOut);
        }
        if is_past(self.clocks.answer) {
            let packet = match self.subscribed {
                false if self.receiver.subacks.is_empty() => "SUBSCRIBE",
                true if self.waits_for_acknowledgement() => "PUBLISH",
                _ => {
                    self.clocks.answer = None;
                    return Ok(());
                }
            };
            let (target, waited) = (self.client.target().to_owned(), self.plan.patience);
            return Err(ClientError::Unanswered { target, packet, waited }.into());
        }
        Ok(())
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
