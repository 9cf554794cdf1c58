//! The run of mqrr: subscribe, ask, and wait for the responses, request by request.

use std::future::pending;
use std::io;
use std::time::Instant;

use bytes::Bytes;

use super::latency::RoundTrips;
use super::plan::RequestPlan;
use super::receiver::{Fate, Receiver};
use crate::client::mosquitto::MosquittoClient;
use crate::client::{self, AnswerTimer, Client, ClientError, Diagnostics, Trace};
use crate::exit_status::ExitStatus;
use crate::mqtt::wire::{MAX_REMAINING_LENGTH, Subscribe, SubscribeFilter, WireError};
use crate::mqtt::{Message, Property, PropertyName, PropertyValue, QoS, ReasonCode};
use crate::publish::{Line, Source, source_of};
use crate::subscribe::{self, Outlet};

/// Sends requests as the plan says, with responses on stdout and errors on stderr, and tells how it ended.
pub fn request(plan: &RequestPlan) -> ExitStatus {
    let client = plan.compat.then_some(MosquittoClient::Request);
    let diagnostics =
        Diagnostics::new(plan.quiet).speaking_for(client, plan.connect.session.version).connecting(&plan.connect);
    plan.connect.warnings.iter().for_each(|warning| diagnostics.warning(warning));
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
        let trace = Trace::of_level(plan.debug, plan.log).map(|trace| trace.telling_grants(!plan.compat));
        let outlet = Outlet::open(Client::new(plan.connect.clone(), trace).telling(diagnostics), client)?;
        Ok(Requester::new(plan, source, diagnostics, outlet).run().await)
    });
    status.and_then(|status| status).unwrap_or_else(|error: io::Error| {
        diagnostics.error(format_args!("cannot start: {error}"));
        ExitStatus::Failed
    })
}

/// Why a request ends before its responses have come, besides what ends every run that prints.
pub(super) enum Failure {
    Input(io::Error),
    /// The broker does not take the request.
    Refused(ReasonCode, Option<String>),
}

pub(super) type End = subscribe::End<Failure>;

/// What is waited for at a certain time.
pub(super) struct Clocks {
    /// `-W`.
    pub(super) end: Option<Instant>,
    /// SUBACK, then the acknowledgement of the request, or of one before it that keeps it back.
    pub(super) answer: Option<AnswerTimer>,
    /// What the broker had said of requests when that began.
    pub(super) heard: u64,
}

pub(super) struct Requester<'a> {
    pub(super) plan: &'a RequestPlan,
    pub(super) diagnostics: Diagnostics,
    pub(super) outlet: Outlet,
    pub(super) receiver: Receiver,
    pub(super) source: Source,
    pub(super) clocks: Clocks,
    /// Where responses come; known once there is a connection.
    pub(super) topic: String,
    /// The broker has granted the subscription, in this connection.
    pub(super) subscribed: bool,
    /// The next request waits until the broker acknowledges an earlier one, and the clocks run for that.
    pub(super) held: bool,
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
    pub(super) grants: bool,
    pub(super) nobody: bool,
    pub(super) no_data: bool,
    /// Connections lost in a row on which the request was sent and not acknowledged, or SUBSCRIBE not answered.
    pub(super) losses: u64,
}

impl<'a> Requester<'a> {
    fn new(plan: &'a RequestPlan, source: Source, diagnostics: Diagnostics, outlet: Outlet) -> Self {
        Self {
            plan,
            diagnostics,
            outlet,
            receiver: Receiver::new(plan, diagnostics),
            source,
            clocks: Clocks {
                end: plan.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
                answer: None,
                heard: 0,
            },
            topic: plan.response_topic.topic(None),
            subscribed: false,
            held: false,
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
                    self.on_loss(error)?;
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
        self.subscribed = false;
        let losses = (!first).then_some(self.told.losses);
        self.outlet.connect(&mut self.receiver, losses, self.clocks.end).await?;
        if first {
            // The responder knows it from the request, so it stays what it is over a reconnect.
            self.topic = self.plan.response_topic.topic(self.receiver.response_information.as_deref());
            self.outlet.client.note(&format!("responses are to come on {}", self.topic));
        }
        let subscribe = Subscribe {
            packet_identifier: 0,
            properties: self.plan.subscribe_properties.clone(),
            filters: vec![self.filter()],
        };
        self.outlet.client.session().subscribe(subscribe).map_err(|error| End::Client(error.into()))?;
        self.clocks.answer = Some(self.answer_timer(Instant::now()));
        Ok(())
    }

    /// The time for an answer to what was put last.
    pub(super) fn answer_timer(&self, now: Instant) -> AnswerTimer {
        self.outlet.client.answer_timer(self.plan.patience, now)
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
        self.outlet.carry(&mut self.receiver)
    }

    /// Whether a request can go out now.
    fn may_ask(&mut self) -> bool {
        self.subscribed && (self.plan.request.qos == QoS::AtMostOnce || self.outlet.client.session().window_free() > 0)
    }

    /// Between a response and the next request nothing is waited for but the input, unless the broker has to acknowledge
    /// an earlier request first: the window (`-M`, Receive Maximum) is full. A broker that never does is not waited for
    /// without end.
    pub(super) fn rest_or_hold(&mut self) {
        let now = Instant::now();
        let held = self.again.is_none() && !self.may_ask() && self.source.is_waiting(now);
        if held && self.held {
            return;
        }
        self.held = held;
        self.clocks.end = self.plan.timeout.filter(|_| held).and_then(|time| now.checked_add(time));
        self.clocks.answer = held.then(|| self.answer_timer(now));
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
        let published = self.outlet.client.session().publish(message);
        self.receiver.packet_identifier = published.map_err(|(error, _)| End::Client(error.into()))?;
        self.receiver.fate = Fate::Unknown;
        let now = Instant::now();
        self.receiver.asked_at = Some(now);
        self.request_end = self.outlet.client.output_end();
        self.at_most_once = kept;
        if self.clocks.end.is_none() {
            self.clocks.end = self.plan.timeout.and_then(|timeout| now.checked_add(timeout));
        }
        self.clocks.answer = self.waits_for_acknowledgement().then(|| self.answer_timer(now));
        Ok(())
    }

    fn next_payload(&mut self) -> Result<Option<Bytes>, End> {
        if let Source::Repeated(repetition) = &mut self.source
            && !repetition.is_due(Instant::now())
        {
            return Ok(None);
        }
        let limit = self.outlet.client.session().limits().maximum_packet_size.min(MAX_REMAINING_LENGTH);
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
        let all_written = self.outlet.is_written() && self.receiver.batch.bytes.is_empty();
        asked && self.receiver.exchange.is_idle() && all_written
    }

    async fn step(&mut self) -> Result<(), End> {
        let next = [self.clocks.end, self.answer_due()].into_iter().flatten().min();
        // Read ahead of a full window, too: whether anything waits for it is to be known.
        let idle = self.subscribed && self.again.is_none() && self.receiver.exchange.is_idle();
        // A request that may go out needs no second look at the clock: `wait` is ready when it is due.
        let hungry = idle && (self.may_ask() || !self.source.is_waiting(Instant::now()));
        let source = &mut self.source;
        let input = async { if hungry { source.wait().await } else { pending().await } };
        let input = self.outlet.step(&mut self.receiver, true, next, input).await?;
        input.unwrap_or(Ok(())).map_err(|error| End::Own(Failure::Input(error)))?;
        self.look_at_clocks()
    }

    /// When an answer is overdue. One that has begun to come (PUBREC) has all its time again.
    fn answer_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let heard = self.receiver.heard;
        if self.clocks.answer.is_some() && std::mem::replace(&mut self.clocks.heard, heard) != heard {
            self.clocks.answer = Some(self.answer_timer(now));
        }
        let written = self.outlet.client.written_total();
        let timer = self.clocks.answer.as_mut()?;
        timer.note_written(now, written);
        timer.deadline()
    }

    fn look_at_clocks(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let is_past = |clock: Option<Instant>| clock.is_some_and(|clock| clock <= now);
        // What has just come is looked at first.
        let held = self.held && !self.may_ask();
        let has_all = self.receiver.exchange.is_idle() && self.receiver.exchange.asked() > 0 && !held;
        if is_past(self.clocks.end) {
            if !has_all {
                return Err(End::TimedOut);
            }
            self.clocks.end = None;
        }
        if is_past(self.answer_due()) {
            let packet = match self.subscribed {
                false if self.receiver.subacks.is_empty() => "SUBSCRIBE",
                true if self.waits_for_acknowledgement() || held => "PUBLISH",
                _ => {
                    self.clocks.answer = None;
                    return Ok(());
                }
            };
            let (target, waited) = (self.outlet.client.target().to_owned(), self.plan.patience);
            return Err(ClientError::Unanswered { target, packet, waited }.into());
        }
        Ok(())
    }
}
