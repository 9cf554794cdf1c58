//! The run of mqsub: subscribe, and carry messages to stdout until it is enough.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::outlet::{End, Outlet, PARTING, reason_with_will};
use super::plan::SubscribePlan;
use super::receiver::Receiver;
use crate::client::mosquitto::{BEFORE_CONNACK, MosquittoClient, TIMED_OUT};
use crate::client::{self, AnswerTimer, Client, ClientError, Diagnostics, Trace};
use crate::exit_status::ExitStatus;
use crate::mqtt::wire::{Subscribe, SubscribeFilter, Unsubscribe, WireError};
use crate::mqtt::{Message, QoS, ReasonCode};
use crate::session::{PublishError, SessionError};

/// Topic filters in one SUBSCRIBE: some brokers (AWS IoT) take no more. mosquitto_sub sends all in one.
const MOST_FILTERS: usize = 8;
/// While so many retained messages wait to be removed nothing is read from the broker.
const MOST_TO_REMOVE: usize = 1000;
/// A broker that has answered a PINGREQ behind the SUBSCRIBE, and then has sent nothing for so long, has no more
/// retained messages.
const QUIET: Duration = Duration::from_secs(1);
/// Topic Name invalid.
const TOPIC_NAME_INVALID: ReasonCode = ReasonCode(0x90);
/// Why a broker may hang up on a SUBSCRIBE.
const SENT_AWAY_HINT: &str = "the broker closed the connection instead of answering SUBSCRIBE: this user may not be \
                              allowed to subscribe there (choose other topics with -t, or a user with -u), or the \
                              broker is just starting (--retry tries again)";

/// Why a broker may hang up on the removal of a retained message.
const NOT_REMOVED_HINT: &str = "the broker closed the connection instead of removing a retained message: may this user \
                                publish to these topics?";

/// Subscribes as the plan says, with messages on stdout and errors on stderr, and tells how it ended.
pub fn subscribe(plan: &SubscribePlan) -> ExitStatus {
    let client = plan.compat.then_some(MosquittoClient::Subscribe);
    let diagnostics =
        Diagnostics::new(plan.quiet).speaking_for(client, plan.connect.session.version).connecting(&plan.connect);
    plan.connect.warnings.iter().for_each(|warning| diagnostics.warning(warning));
    if plan.connect.transport.tls.as_ref().is_some_and(|tls| tls.insecure) {
        diagnostics.warning("--insecure: neither the broker's certificate nor its name is verified");
    }
    let status = client::run(async {
        let outlet = Outlet::open(Client::new(plan.connect.clone(), trace(plan)).telling(diagnostics), client)?;
        Ok(Subscriber::new(plan, diagnostics, outlet).run().await)
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

/// What is waited for at a certain time.
#[derive(Default)]
struct Clocks {
    /// `-W`.
    end: Option<Instant>,
    /// The next SUBACK or UNSUBACK, and what had come when this began.
    answer: Option<(AnswerTimer, Progress)>,
    /// The next acknowledgement of a removal.
    removal: Option<AnswerTimer>,
}

/// What goes on while SUBACK is waited for: a broker may send messages of an old session first, and a large one takes long
/// to come.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Progress {
    unanswered: usize,
    messages: u64,
    /// When bytes last came for a packet that is not whole.
    inside_packet: Option<Instant>,
}

struct Subscriber<'a> {
    plan: &'a SubscribePlan,
    diagnostics: Diagnostics,
    outlet: Outlet,
    receiver: Receiver,
    clocks: Clocks,
    /// SUBACKs and UNSUBACKs that have not come.
    unanswered: usize,
    /// The filters of each SUBSCRIBE that is not answered, by its Packet Identifier.
    subscribing: Vec<(u16, Range<usize>)>,
    /// What the broker has granted, a filter each.
    grants: Vec<ReasonCode>,
    /// Removals that were not acknowledged when it was looked last.
    removals: usize,
    /// What the broker granted has been told; a reconnect brings it again.
    told: bool,
    /// Connections lost in a row on which SUBSCRIBE, or the removal of a retained message, was not answered.
    losses: u64,
}

impl<'a> Subscriber<'a> {
    fn new(plan: &'a SubscribePlan, diagnostics: Diagnostics, outlet: Outlet) -> Self {
        Self {
            plan,
            diagnostics,
            outlet,
            receiver: Receiver::new(plan, diagnostics),
            clocks: Clocks {
                end: plan.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
                ..Clocks::default()
            },
            unanswered: 0,
            subscribing: Vec::new(),
            grants: Vec::new(),
            removals: 0,
            told: false,
            losses: 0,
        }
    }

    async fn run(mut self) -> ExitStatus {
        let ended = self.receive().await;
        let status = self.end(ended).await;
        if self.plan.compat { status } else { self.outlet.end(status) }
    }

    async fn end(&mut self, ended: Result<(), End>) -> ExitStatus {
        let compat = self.plan.compat;
        match ended {
            Ok(()) if compat => {
                let _ = self.part(ReasonCode::SUCCESS, PARTING).await;
                ExitStatus::Done
            }
            Err(End::Interrupted(_) | End::TimedOut) if compat && !self.outlet.client.is_open() => BEFORE_CONNACK,
            Ok(()) => match self.part(ReasonCode::SUCCESS, self.plan.patience).await {
                Ok(()) => self.receiver.refused.map_or(ExitStatus::Done, ExitStatus::Refused),
                // Everything is written; that the broker may not know it is its loss.
                Err(_) => ExitStatus::Done,
            },
            Err(End::Interrupted(signal)) => {
                self.wind_down().await;
                if compat { ExitStatus::Done } else { ExitStatus::Interrupted(signal) }
            }
            Err(End::TimedOut) => {
                let error = self.timed_out();
                self.wind_down().await;
                match compat {
                    true => self.diagnostics.verbatim(TIMED_OUT),
                    false => self.diagnostics.error(error),
                }
                ExitStatus::TimedOut
            }
            Err(End::Unread) => {
                let _ = self.part(ReasonCode::SUCCESS, PARTING).await;
                ExitStatus::Done
            }
            Err(End::Stdout(error)) => {
                self.diagnostics.error(format_args!("cannot write to stdout: {error}"));
                let _ = self.part(ReasonCode::SUCCESS, PARTING).await;
                ExitStatus::Failed
            }
            Err(End::Client(error)) => {
                self.outlet.write_out(&mut self.receiver).await;
                let status = self.diagnostics.client_error(&error);
                let _ = self.part(ReasonCode::SUCCESS, PARTING).await;
                status
            }
        }
    }

    fn timed_out(&self) -> String {
        let waited = self.plan.timeout.unwrap_or_default().as_secs_f64();
        let came = match (self.receiver.counted(), self.plan.selection.count) {
            (come, Some(wanted)) => format!("{come} of {wanted} messages came"),
            (1, None) => "1 message came".to_owned(),
            (come, None) => format!("{come} messages came"),
        };
        let client = &self.outlet.client;
        let stage = match (client.is_open(), self.unanswered > 0) {
            (true, false) => "",
            (true, true) => ", the broker has not answered SUBSCRIBE",
            (false, _) if client.waits_for_connack() => ", the broker has not answered CONNECT",
            (false, _) => ", there is no connection to the broker",
        };
        format!("timed out after {waited} s: {came}{stage}")
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
                    self.on_loss(error)?;
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

    /// Reports that the connection was lost. A broker that closes it instead of answering the first SUBSCRIBE would do so
    /// every time, and so would one that does it again and again; `--retry` says that it is worth trying. mosquitto_sub
    /// finds out for ever.
    fn on_loss(&mut self, error: ClientError) -> Result<(), End> {
        // What came just before counts.
        self.look_at_answers()?;
        let subscribing = self.unanswered > 0 && !self.plan.subscribe.filters.is_empty();
        let removing = self.outlet.client.session().in_flight() > 0 && !self.receiver.has_removed();
        self.losses = if subscribing || removing { self.losses + 1 } else { 0 };
        let retry = self.plan.connect.retry;
        let attempts = if self.told { retry.at_the_same_packet() } else { retry.for_first_connection() };
        if self.losses > attempts && !self.plan.compat {
            return Err(End::Client(error.hinting(if subscribing { SENT_AWAY_HINT } else { NOT_REMOVED_HINT })));
        }
        self.outlet.client.report_loss(&error);
        Ok(())
    }

    /// Connects, waiting no longer than the run may take, and subscribes.
    async fn connect(&mut self, first: bool) -> Result<(), End> {
        let losses = (!first).then_some(self.losses);
        self.outlet.connect(&mut self.receiver, losses, self.clocks.end).await?;
        self.check_limits()?;
        self.send_requests().map_err(|error| End::Client(error.into()))
    }

    /// What the broker's CONNACK says that it does not know (5.0 §3.2.2.3.11, §3.2.2.3.13): a SUBSCRIBE with it would cost
    /// the connection.
    fn check_limits(&mut self) -> Result<(), End> {
        if self.plan.compat {
            return Ok(());
        }
        let limits = *self.outlet.client.session().limits();
        for SubscribeFilter { filter, .. } in &self.plan.subscribe.filters {
            let is_shared = filter.starts_with("$share/");
            let reason = match filter.contains(['+', '#']) {
                _ if is_shared && !limits.shared_subscription_available => {
                    ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
                }
                true if !limits.wildcard_subscription_available => ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
                _ => continue,
            };
            let (target, filter) = (self.outlet.client.target().to_owned(), filter.clone());
            return Err(End::Client(ClientError::SubscribeRefused { target, filter, reason }));
        }
        Ok(())
    }

    fn send_requests(&mut self) -> Result<(), PublishError> {
        let SubscribePlan { subscribe, unsubscribe, unsubscribe_properties, .. } = self.plan;
        self.unanswered = 0;
        self.subscribing.clear();
        self.grants = vec![ReasonCode::SUCCESS; subscribe.filters.len()];
        self.receiver.last_pong = None;
        let at_once = if self.plan.compat { subscribe.filters.len() } else { MOST_FILTERS };
        // Some brokers close the connection at a QoS above the one that they have announced.
        let most = match self.plan.compat {
            true => QoS::ExactlyOnce,
            false => self.outlet.client.session().limits().maximum_qos,
        };
        let mut from = 0;
        for filters in subscribe.filters.chunks(at_once.max(1)) {
            let asked = filters.iter().map(|filter| SubscribeFilter { qos: filter.qos.min(most), ..filter.clone() });
            let part = Subscribe { filters: asked.collect(), properties: subscribe.properties.clone(), ..*subscribe };
            let identifier = self.outlet.client.session().subscribe(part)?;
            self.subscribing.push((identifier, from..from + filters.len()));
            self.unanswered += 1;
            from += filters.len();
        }
        for filter in unsubscribe {
            let filters = vec![filter.clone()];
            let properties = unsubscribe_properties.clone();
            self.outlet.client.session().unsubscribe(Unsubscribe { packet_identifier: 0, properties, filters })?;
            self.unanswered += 1;
        }
        if self.plan.selection.retained_only {
            self.outlet.client.session().ping();
        }
        self.clocks.answer = None;
        // What was not acknowledged is sent again.
        self.removals = 0;
        Ok(())
    }

    /// What can be done without waiting: answers looked at, messages to stdout, acknowledgements, removals.
    fn carry(&mut self) -> Result<(), End> {
        self.look_at_answers()?;
        self.outlet.carry::<_, Infallible>(&mut self.receiver)?;
        self.remove_retained().map_err(|error| End::Client(error.into()))
    }

    fn remove_retained(&mut self) -> Result<(), PublishError> {
        while self.outlet.client.is_open() && self.outlet.client.session().window_free() > 0 {
            let Some(topic) = self.receiver.to_remove.pop_front() else { break };
            let empty = Message { topic, qos: QoS::AtLeastOnce, retain: true, ..Message::default() };
            match self.outlet.client.session().publish(empty) {
                Ok(_) => {}
                Err((PublishError::QosNotSupported(qos), empty)) => {
                    self.outlet.client.session().publish(Message { qos, ..empty }).map_err(|(error, _)| error)?;
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

    fn look_at_answers(&mut self) -> Result<(), End> {
        for suback in std::mem::take(&mut self.receiver.subacks) {
            self.unanswered = self.unanswered.saturating_sub(1);
            let asked = self.subscribing.iter().position(|(identifier, _)| *identifier == suback.packet_identifier);
            let Some(asked) = asked else { continue };
            let (_, range) = self.subscribing.swap_remove(asked);
            let grants = &mut self.grants[range];
            // mosquitto_sub does not count them.
            if suback.reasons.len() != grants.len() && !self.plan.compat {
                return Err(End::Client(self.outlet.miscounted()));
            }
            grants.iter_mut().zip(suback.reasons).for_each(|(grant, reason)| *grant = reason);
            if self.subscribing.is_empty() {
                self.tell_grants()?;
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

    /// The broker has answered for every filter: it is an error where all were refused, and told once what each did not
    /// get.
    fn tell_grants(&mut self) -> Result<(), End> {
        let answers = || self.plan.subscribe.filters.iter().zip(&self.grants);
        if let (Some((filter, reason)), true) = (answers().next(), self.grants.iter().all(|reason| reason.is_error())) {
            let (target, filter) = (self.outlet.client.target().to_owned(), filter.filter.clone());
            return Err(End::Client(ClientError::SubscribeRefused { target, filter, reason: *reason }));
        }
        if !std::mem::replace(&mut self.told, true) {
            for warning in answers().filter_map(|(filter, reason)| shortfall(filter, *reason)) {
                self.diagnostics.warning(warning);
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
        let all_written = self.outlet.is_written() && self.receiver.batch.bytes.is_empty();
        enough && all_written && !self.is_removing()
    }

    /// `--remove-retained`: whether a removal is to be sent, or to be acknowledged.
    fn is_removing(&mut self) -> bool {
        !self.receiver.to_remove.is_empty() || self.outlet.client.session().in_flight() > 0
    }

    /// `--retained-only`: when the broker will have been quiet for so long that no retained message is to come.
    /// mosquitto_sub waits for the first message that is not retained, and for nothing else.
    fn quiet_until(&mut self) -> Option<Instant> {
        if self.plan.compat || self.outlet.client.session().is_inside_packet() {
            return None;
        }
        let pong = self.receiver.last_pong.filter(|_| self.plan.selection.retained_only && self.unanswered == 0)?;
        // Any bytes count: a large message may take long to come.
        let last = self.outlet.client.last_heard().map_or(pong, |heard| heard.max(pong));
        self.outlet.is_written().then_some(last + QUIET)
    }

    async fn step(&mut self) -> Result<(), End> {
        let reading = self.receiver.to_remove.len() < MOST_TO_REMOVE;
        // Quiet is no end while removals are not done.
        let removing = self.is_removing();
        let removals = self.outlet.client.session().in_flight();
        self.count_down(removals);
        let quiet = self.quiet_until().filter(|_| !removing);
        let removal = self.clocks.removal.filter(|_| removing).and_then(|timer| timer.deadline());
        let answer = self.clocks.answer.and_then(|(timer, _)| timer.deadline());
        let next = [self.clocks.end, answer, removal, quiet].into_iter().flatten().min();
        self.outlet.step(&mut self.receiver, reading, next, pending::<Infallible>()).await?;
        self.look_at_clocks()
    }

    /// Gives the broker its time for the next answer.
    fn count_down(&mut self, removals: usize) {
        let now = Instant::now();
        let client = &mut self.outlet.client;
        let written = client.written_total();
        if std::mem::replace(&mut self.removals, removals) != removals {
            self.clocks.removal = Some(client.answer_timer(self.plan.patience, now));
        } else if let Some(timer) = &mut self.clocks.removal {
            timer.note_written(now, written);
        }
        if self.unanswered == 0 {
            return;
        }
        let inside_packet = if client.session().is_inside_packet() { client.last_heard() } else { None };
        let progress = Progress { unanswered: self.unanswered, messages: self.receiver.messages, inside_packet };
        match &mut self.clocks.answer {
            Some((timer, before)) if *before == progress => timer.note_written(now, written),
            answer => *answer = Some((client.answer_timer(self.plan.patience, now), progress)),
        }
    }

    fn look_at_clocks(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let is_past = |clock: Option<Instant>| clock.is_some_and(|clock| clock <= now);
        if is_past(self.clocks.end) {
            return Err(End::TimedOut);
        }
        // What the last step brought counts first.
        let removals = self.outlet.client.session().in_flight();
        self.count_down(removals);
        let answer = self.clocks.answer.and_then(|(timer, _)| timer.deadline());
        let removal = self.clocks.removal.and_then(|timer| timer.deadline());
        if self.unanswered > 0 && is_past(answer) && self.receiver.subacks.is_empty() {
            let packet = if self.plan.subscribe.filters.is_empty() { "UNSUBSCRIBE" } else { "SUBSCRIBE" };
            let (target, waited) = (self.outlet.client.target().to_owned(), self.plan.patience);
            return Err(End::Client(ClientError::Unanswered { target, packet, waited }));
        }
        if is_past(removal) && self.outlet.client.session().in_flight() > 0 {
            let (target, waited) = (self.outlet.client.target().to_owned(), self.plan.patience);
            return Err(End::Client(ClientError::Unanswered { target, packet: "PUBLISH", waited }));
        }
        Ok(())
    }

    /// The end of a run that could have gone on: what came is written, and the will is published.
    async fn wind_down(&mut self) {
        self.outlet.write_out(&mut self.receiver).await;
        let _ = self.part(reason_with_will(&self.plan.connect.session, self.plan.compat), PARTING).await;
    }

    async fn part(&mut self, reason: ReasonCode, patience: Duration) -> Result<(), ClientError> {
        self.outlet.part(reason, &self.plan.disconnect_properties, patience).await
    }
}

/// The broker said goodbye: mosquitto_sub leaves then, whatever the reason.
fn was_sent_away(error: &ClientError) -> bool {
    use SessionError::{Disconnected, SaidGoodbye};
    matches!(error, ClientError::Session { error: Disconnected { .. } | SaidGoodbye, .. })
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
