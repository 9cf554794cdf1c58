//! The work of mqrr: subscribe to the response topic, send a request, wait for its responses, and so on.

use std::future::{Future, pending};
use std::io::{self, Write};
use std::time::Instant;

use bytes::Bytes;

use super::latency::{self, RoundTrips};
use super::matching::Unmatched;
use super::messages::{self, Situation, Stage};
use super::open_request::OpenRequest;
use super::plan::RequestPlan;
use super::receiver::{Fate, Receiver};
use crate::client::mosquitto::TIMED_OUT;
use crate::client::{AnswerTimer, Client, ClientError, Diagnostics, Driver, End, GiveUp, Task, Which};
use crate::exit_status::ExitStatus;
use crate::mqtt::wire::{MAX_REMAINING_LENGTH, Subscribe, SubscribeFilter, WireError};
use crate::mqtt::{Message, Property, PropertyName, PropertyValue, QoS, ReasonCode};
use crate::publish::{Line, PayloadSource, Source};
use crate::session::Handler;
use crate::subscribe::format::Style;
use crate::subscribe::{
    EXIT_TIMEOUT, MessageSink, OutputError, SinkReady, leave, miscounted, reason_with_will, shortfall, write_out,
};

/// Why a broker may close the connection on a SUBSCRIBE or a request.
const CLOSED_HINT: &str = "the broker closed the connection instead of answering: this user may not be allowed to \
                           subscribe to the response topic (-e) or to publish to the request topic (-t), or the broker \
                           is just starting (--retry tries again)";

/// What to do where the broker refuses the subscription.
const RESPONSE_TOPIC_HINT: &str = "is this user allowed to subscribe there? choose another response topic with -e";

/// Why a run ends early, besides what ends every run.
pub(super) enum Failure {
    Output(OutputError),
    Input(io::Error),
    /// The broker does not take the request; its own words, where it has some.
    Refused(ReasonCode, Option<String>),
}

/// What a wait was for besides the network.
pub(super) enum Ready {
    Stdout(SinkReady),
    Input(io::Result<()>),
}

/// The answer that the broker owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Suback,
    /// The acknowledgement of the request of this number.
    Acknowledgement(u64),
    /// The acknowledgement of an earlier request, which fills the window.
    Window,
}

/// What was reported already.
#[derive(Debug, Default)]
struct Reported {
    grants: bool,
    nobody_subscribed: bool,
    no_data: bool,
}

/// A run.
pub(super) struct Requester<'a> {
    plan: &'a RequestPlan,
    diagnostics: Diagnostics,
    sink: MessageSink,
    receiver: Receiver,
    source: Source,
    /// `-W`: when the responses must be there.
    end: Option<Instant>,
    /// How long the broker has for its next answer. The mark counts what it has answered.
    answer: AnswerTimer<(Awaited, u64)>,
    /// Where responses arrive; known once there is a connection.
    topic: String,
    /// The broker has granted the subscription, on this connection.
    is_subscribed: bool,
    /// The next request waits until the broker acknowledges an earlier one, and the clocks run for that.
    is_held: bool,
    /// The next step may read the input.
    wants_input: bool,
    open: OpenRequest,
    round_trips: RoundTrips,
    reported: Reported,
    /// Connections lost in a row on which the request was sent and not acknowledged, or SUBSCRIBE not answered.
    losses: u64,
}

impl<'a> Requester<'a> {
    /// Sends requests, and returns how that ended.
    ///
    /// # Errors
    /// The system's, before it begins.
    pub(super) async fn run(plan: &'a RequestPlan, source: Source, diagnostics: Diagnostics) -> io::Result<ExitStatus> {
        let mut requester = Self {
            plan,
            diagnostics,
            sink: MessageSink::open()?,
            receiver: Receiver::new(plan, diagnostics),
            source,
            end: plan.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            answer: AnswerTimer::new(plan.client.answer_timeout),
            topic: plan.response_topic.topic(None),
            is_subscribed: false,
            is_held: false,
            wants_input: false,
            open: OpenRequest::default(),
            round_trips: RoundTrips::default(),
            reported: Reported::default(),
            losses: 0,
        };
        let mut driver = Driver::new(&plan.client, diagnostics)?;
        let ended = driver.run(&mut requester).await;
        let status = requester.finish(&mut driver.client, ended).await;
        Ok(driver.exit_status(status))
    }

    /// Reports how it ended, and leaves the broker.
    async fn finish(&mut self, client: &mut Client<Message>, ended: Result<(), End<Failure>>) -> ExitStatus {
        let status = match ended {
            Ok(()) => {
                self.leave_done(client).await;
                ExitStatus::Done
            }
            Err(end) => {
                if let Err(error) = write_out(&mut self.sink, &mut self.receiver.batch, client).await {
                    self.diagnostics.error(error);
                }
                self.fail(client, end).await
            }
        };
        let exchange = &self.receiver.exchange;
        if self.plan.latency && !self.plan.client.policy.latency_on_stdout && exchange.asked() > 1 && exchange.all() > 0
        {
            let _ = writeln!(io::stderr(), "{}", self.round_trips.summary());
        }
        status
    }

    async fn fail(&mut self, client: &mut Client<Message>, end: End<Failure>) -> ExitStatus {
        let mut reason = ReasonCode::SUCCESS;
        let status = match end {
            End::Interrupted(signal) => {
                let received = self.situation(client).received();
                leave(client, &self.plan.client, reason_with_will(&self.plan.client), EXIT_TIMEOUT).await;
                self.diagnostics.error(format_args!("interrupted: {received}"));
                return ExitStatus::Interrupted(signal);
            }
            End::TimedOut => {
                let situation = self.situation(client);
                let error = situation.timed_out(self.plan.timeout.unwrap_or_default());
                self.diagnostics.error_or(error, TIMED_OUT);
                situation.hints().iter().for_each(|hint| self.diagnostics.hint(hint));
                reason = reason_with_will(&self.plan.client);
                let is_partial = self.receiver.exchange.come() > 0 && !self.is_held;
                let is_own = self.plan.client.policy.mosquitto.is_none();
                if is_partial && is_own { ExitStatus::TooFewCame } else { ExitStatus::TimedOut }
            }
            End::Tool(Failure::Output(OutputError::Closed)) => ExitStatus::Done,
            End::Tool(Failure::Output(OutputError::Failed { text, hint: _ })) => {
                self.diagnostics.error(text);
                ExitStatus::Failed
            }
            End::Tool(Failure::Input(error)) => {
                self.diagnostics.error(format_args!("cannot read {}: {error}", self.plan.source.input_name()));
                ExitStatus::Failed
            }
            End::Tool(Failure::Refused(reason, words)) => {
                let (target, topic) = (client.target(), &self.plan.request.topic);
                self.diagnostics.error(format_args!("{target}: the broker refused the request to '{topic}': {reason}"));
                if let Some(words) = words {
                    self.diagnostics.reason_string(&words);
                }
                ExitStatus::Refused(reason)
            }
            End::Client(error @ ClientError::SubscribeRefused { .. }) => {
                self.diagnostics.client_error_with_hint(&error, Some(RESPONSE_TOPIC_HINT))
            }
            End::Client(error @ ClientError::Publish(_)) => {
                let status = self.diagnostics.client_error(&error);
                self.leave_done(client).await;
                return status;
            }
            End::Client(error) => self.diagnostics.client_error(&error),
        };
        leave(client, &self.plan.client, reason, EXIT_TIMEOUT).await;
        status
    }

    /// The end of a run with all its responses, or whose request cannot be sent. mosquitto_rr closes without DISCONNECT
    /// then; only a will would come of that.
    async fn leave_done(&mut self, client: &mut Client<Message>) {
        let plan = &self.plan.client;
        if !plan.policy.closes_without_disconnect || plan.connect.session.will.is_some() {
            return leave(client, plan, ReasonCode::SUCCESS, EXIT_TIMEOUT).await;
        }
        let flushed = async {
            while client.unwritten() > 0 {
                client.step(&mut self.receiver, false, pending::<()>()).await?;
            }
            Ok::<_, ClientError>(())
        };
        let _ = tokio::time::timeout(EXIT_TIMEOUT, flushed).await;
        client.close_abruptly();
    }

    fn situation(&self, client: &Client<Message>) -> Situation<'_> {
        Situation {
            stage: match (client.is_open(), self.is_subscribed) {
                (false, _) if client.waits_for_connack() => Stage::Unanswered,
                (false, _) => Stage::Connecting,
                (true, false) => Stage::Subscribing,
                (true, true) if self.is_held => Stage::Held,
                (true, true) => Stage::Asked,
            },
            exchange: &self.receiver.exchange,
            fate: &self.receiver.fate,
            request_topic: &self.plan.request.topic,
            response_topic: &self.topic,
            acknowledged: self.plan.request.qos != QoS::AtMostOnce,
            v5: self.plan.client.connect.session.version.is_v5(),
        }
    }

    fn filter(&self) -> SubscribeFilter {
        SubscribeFilter { filter: self.topic.clone(), ..self.plan.subscription.clone() }
    }

    fn check_subacks(&mut self, client: &Client<Message>) -> Result<(), ClientError> {
        for suback in std::mem::take(&mut self.receiver.subacks) {
            let [reason] = suback.reasons[..] else { return Err(miscounted(client)) };
            if reason.is_error() {
                let (target, filter) = (client.target().to_owned(), self.topic.clone());
                return Err(ClientError::SubscribeRefused { target, filter, reason });
            }
            let warning = shortfall(&self.filter(), reason).filter(|_| !self.reported.grants);
            warning.into_iter().for_each(|warning| self.diagnostics.warning(warning));
            (self.reported.grants, self.is_subscribed) = (true, true);
        }
        Ok(())
    }

    /// Looks at what the broker has answered to the open request.
    fn check_fate(&mut self) -> Result<(), Failure> {
        if self.receiver.exchange.is_idle() {
            return Ok(());
        }
        match &self.receiver.fate {
            Fate::Unknown | Fate::Taken => {}
            Fate::Nobody => {
                if !std::mem::replace(&mut self.reported.nobody_subscribed, true) {
                    self.diagnostics.warning(messages::nobody(&self.plan.request.topic));
                }
            }
            Fate::Refused(..) | Fate::Lost(_) if !self.plan.client.policy.refusals_fail => {}
            Fate::Refused(reason, words) => return Err(Failure::Refused(*reason, words.clone())),
            Fate::Lost(reason) => return Err(Failure::Refused(*reason, None)),
        }
        Ok(())
    }

    /// Reports messages that are not responses.
    fn report_unmatched(&mut self, client: &mut Client<Message>) {
        for unmatched in std::mem::take(&mut self.receiver.unmatched) {
            if !self.plan.client.policy.reports_unmatched {
                continue;
            }
            client.note(&messages::unmatched(&self.topic, unmatched));
            if unmatched == Unmatched::NoData && !std::mem::replace(&mut self.reported.no_data, true) {
                self.diagnostics.warning(messages::first_without_data(&self.topic));
                self.diagnostics.hint(messages::WITHOUT_DATA_HINT);
            }
        }
    }

    /// Reports how long responses took.
    fn report_latencies(&mut self) {
        let in_json = matches!(self.plan.printer.style, Style::Json { .. });
        for took in std::mem::take(&mut self.receiver.latencies) {
            self.round_trips.enter(took);
            if self.plan.client.policy.latency_on_stdout {
                self.receiver.batch.bytes.extend_from_slice(latency::mosquittos(took).as_bytes());
                self.receiver.batch.bytes.push(b'\n');
            } else if !in_json {
                let _ = writeln!(io::stderr(), "{}", latency::one(took));
            }
        }
    }

    /// Whether the broker owes the acknowledgement of the open request.
    fn awaits_acknowledgement(&self) -> bool {
        self.receiver.packet_identifier != 0 && self.receiver.fate == Fate::Unknown && !self.receiver.exchange.is_idle()
    }

    /// Whether a request can be sent now.
    fn may_ask(&self, client: &mut Client<Message>) -> bool {
        self.is_subscribed && (self.plan.request.qos == QoS::AtMostOnce || client.session().window_free() > 0)
    }

    /// Between a response and the next request only the input is awaited, unless the broker has to acknowledge an
    /// earlier request first: the window (`-M`, Receive Maximum) is full. A broker that never does is not waited for
    /// without end.
    fn rest_or_hold(&mut self, client: &mut Client<Message>) {
        let waits_for_input =
            self.receiver.exchange.asked() > 0 || matches!(self.plan.source, PayloadSource::Lines { .. });
        if !self.receiver.exchange.is_idle() || !self.is_subscribed || !waits_for_input {
            return;
        }
        let now = Instant::now();
        let is_held = !self.open.is_lost() && !self.may_ask(client) && self.source.is_waiting(now);
        if !is_held {
            self.end = None;
        } else if !self.is_held {
            self.end = self.plan.timeout.and_then(|time| now.checked_add(time));
        }
        self.is_held = is_held;
    }

    /// Sends the next request when the one before has its responses.
    fn ask(&mut self, client: &mut Client<Message>) -> Result<(), End<Failure>> {
        if !self.may_ask(client) {
            return Ok(());
        }
        let message = match self.open.take_lost() {
            Some(message) => message,
            None if !self.receiver.exchange.is_idle() => return Ok(()),
            None => match self.next_payload(client)? {
                Some(payload) => self.message(payload),
                None => return Ok(()),
            },
        };
        let kept = OpenRequest::copy_of(&message);
        let published = client.session().publish(message);
        self.receiver.packet_identifier = published.map_err(|(error, _)| ClientError::from(error))?;
        self.receiver.fate = Fate::Unknown;
        let now = Instant::now();
        self.receiver.asked_at = Some(now);
        self.open.note_sent(kept, client.output_position().end);
        if self.end.is_none() {
            self.end = self.plan.timeout.and_then(|timeout| now.checked_add(timeout));
        }
        Ok(())
    }

    fn next_payload(&mut self, client: &mut Client<Message>) -> Result<Option<Bytes>, ClientError> {
        if let Source::Repeated(repetition) = &mut self.source
            && !repetition.is_due(Instant::now())
        {
            return Ok(None);
        }
        let limit = client.session().limits().maximum_packet_size.min(MAX_REMAINING_LENGTH);
        match self.source.next(limit) {
            None => Ok(None),
            Some((_, Line::Whole(payload))) => Ok(Some(payload)),
            Some((_, Line::TooLong { length })) => {
                let size = usize::try_from(length).unwrap_or(usize::MAX);
                Err(ClientError::Publish(WireError::TooLarge { size, limit }.into()))
            }
        }
    }

    /// The next request of the exchange.
    fn message(&mut self, payload: Bytes) -> Message {
        let data = self.receiver.exchange.begin();
        let mut message = Message { payload, ..self.plan.request.clone() };
        if self.plan.client.connect.session.version.is_v5() {
            let topic = PropertyValue::Utf8(self.topic.clone());
            let topic = Property::new(PropertyName::ResponseTopic, topic).ok();
            let data =
                data.and_then(|data| Property::new(PropertyName::CorrelationData, PropertyValue::Binary(data)).ok());
            topic.into_iter().chain(data).for_each(|property| message.properties.push(property));
        }
        message
    }

    fn is_done(&self) -> bool {
        let has_asked = self.source.has_ended() && !self.open.is_lost() && self.is_subscribed;
        has_asked && self.receiver.exchange.is_idle() && self.sink.is_done(&self.receiver.batch)
    }

    /// The answer that the broker owes now.
    fn awaited(&self) -> Option<Awaited> {
        if !self.is_subscribed {
            Some(Awaited::Suback)
        } else if self.awaits_acknowledgement() {
            Some(Awaited::Acknowledgement(self.receiver.exchange.asked()))
        } else {
            self.is_held.then_some(Awaited::Window)
        }
    }

    /// Gives the broker its time for the next answer. One that has begun to come (PUBREC) has all its time again.
    fn watch_answers(&mut self, client: &Client<Message>, now: Instant) -> Result<(), ClientError> {
        let Some(awaited) = self.awaited() else {
            self.answer.stop();
            return Ok(());
        };
        self.answer.watch((awaited, self.receiver.answers), now, client.output_position());
        if !self.answer.is_over(now) {
            return Ok(());
        }
        let packet = if awaited == Awaited::Suback { "SUBSCRIBE" } else { "PUBLISH" };
        let (target, waited) = (client.target().to_owned(), self.plan.client.answer_timeout);
        Err(ClientError::Unanswered { target, packet, waited })
    }

    /// Whether the open request is sent again over the next connection: at QoS 1 and 2 where it is not acknowledged, at
    /// QoS 0 where not all of it was written.
    fn is_sent_again(&self) -> bool {
        !self.receiver.exchange.is_idle() && (self.open.is_lost() || self.awaits_acknowledgement())
    }
}

impl Task for Requester<'_> {
    type Kept = Message;
    type Ready = Ready;
    type Failure = Failure;

    /// The next request, responses to stdout.
    fn advance(&mut self, client: &mut Client<Message>) -> Result<bool, End<Failure>> {
        self.rest_or_hold(client);
        self.ask(client)?;
        let written = self.sink.write(&mut self.receiver.batch, client);
        written.map_err(|error| End::Tool(Failure::Output(error)))?;
        Ok(self.is_done())
    }

    fn before_wait(&mut self, client: &mut Client<Message>, now: Instant) -> Result<Option<Instant>, End<Failure>> {
        let has_all = self.receiver.exchange.is_idle() && self.receiver.exchange.asked() > 0 && !self.is_held;
        if self.end.is_some_and(|end| end <= now) {
            if !has_all || !client.is_open() {
                return Err(End::TimedOut);
            }
            self.end = None;
        }
        if !client.is_open() {
            self.wants_input = false;
            return Ok(self.end);
        }
        self.watch_answers(client, now)?;
        // Read ahead of a full window, too: whether anything waits for it must be known. A request that may be sent
        // needs no second look at the clock: the input is ready when it is due.
        let is_idle = self.is_subscribed && !self.open.is_lost() && self.receiver.exchange.is_idle();
        self.wants_input = is_idle && (self.may_ask(client) || !self.source.is_waiting(now));
        Ok(self.end.into_iter().chain(self.answer.deadline()).min())
    }

    fn is_reading(&self) -> bool {
        self.sink.has_room(&self.receiver.batch)
    }

    fn split(&mut self) -> (&mut impl Handler<Message>, impl Future<Output = Ready>) {
        let Self { receiver, source, sink, wants_input, .. } = self;
        let wants_input = *wants_input;
        let ready = async move {
            tokio::select! {
                biased;
                ready = sink.ready() => Ready::Stdout(ready),
                input = source.wait(), if wants_input => Ready::Input(input),
            }
        };
        (receiver, ready)
    }

    fn on_ready(&mut self, ready: Ready) -> Result<(), End<Failure>> {
        let taken = match ready {
            Ready::Stdout(ready) => self.sink.on_ready(ready, &mut self.receiver.batch).map_err(Failure::Output),
            Ready::Input(input) => input.map_err(Failure::Input),
        };
        taken.map_err(End::Tool)
    }

    fn on_input(&mut self, client: &mut Client<Message>) -> Result<(), End<Failure>> {
        self.check_subacks(client)?;
        self.check_fate().map_err(End::Tool)?;
        self.report_unmatched(client);
        self.report_latencies();
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.is_subscribed
    }

    fn on_connected(&mut self, client: &mut Client<Message>, connection: Which) -> Result<(), End<Failure>> {
        if connection == Which::First {
            // The responder knows it from the request, so it stays what it is over a reconnect.
            self.topic = self.plan.response_topic.topic(self.receiver.response_information.as_deref());
            client.note(&format!("responses are expected on {}", self.topic));
        }
        let filters = vec![self.filter()];
        let properties = self.plan.subscribe_properties.clone();
        let subscribed = client.session().subscribe(Subscribe { packet_identifier: 0, properties, filters });
        subscribed.map_err(ClientError::from)?;
        self.answer.stop();
        Ok(())
    }

    /// A broker that closes the connection instead of answering would do so every time: at the first SUBSCRIBE that is
    /// known at once, at the request when it happens again. `--retry` tries all the same.
    fn on_loss(&mut self, client: &mut Client<Message>, _: &ClientError) -> Result<u64, GiveUp<Failure>> {
        self.open.note_loss(client.written_total());
        self.losses = if self.is_sent_again() || !self.is_subscribed { self.losses + 1 } else { 0 };
        let retry = self.plan.client.connect.retry;
        let allowed = if self.reported.grants { retry.at_the_same_packet() } else { retry.for_first_connection() };
        if self.losses > allowed {
            return Err(GiveUp::Hint(CLOSED_HINT.to_owned()));
        }
        Ok(self.losses)
    }

    fn on_reconnecting(&mut self, _: &mut Client<Message>, _: bool) {
        self.is_subscribed = false;
        if self.plan.request.qos == QoS::AtMostOnce && !self.receiver.exchange.is_idle() && !self.open.is_lost() {
            self.diagnostics
                .warning("the request is not sent again at QoS 0; its response may be lost with the connection");
            self.diagnostics.hint("with -q 1 a request that was not acknowledged is sent again");
        }
    }
}
