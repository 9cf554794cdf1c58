//! `mqpub --check` and `mqsub --check`: the way to a broker, step by step, each timed, up to one message or
//! subscription. For container health checks, and to learn what a broker allows.

use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt;

use crate::client::{self, ClientError, ClientPlan, Diagnostics, exchange, log_in};
use crate::exit_status::ExitStatus;
use crate::mqtt::wire::{Connack, Subscribe, SubscribeFilter};
use crate::mqtt::{Message, PropertyName, ProtocolVersion, QoS, ReasonCode};
use crate::options::{CheckFormat, Environment, PUBLISH, PublishOptions, SUBSCRIBE, SubscribeOptions, UsageError};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Session, SessionError};
use crate::terminal::{escape, number, print};
use crate::transport::{
    Address, CertificateFacts, ConnectError, ConnectTimings, Connection, TransportPlan, connect_timed, resolve,
};

/// The topic of the message that is published where `-t` gives none.
const TOPIC: &str = "mqtools/check";

/// Seconds of a day.
const DAY: u64 = 86_400;

/// What the last step does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Probe {
    /// Publishes an empty message to this topic at QoS 1 and waits for its PUBACK.
    Publish(String),
    /// Subscribes to these filters and waits for the SUBACK.
    Subscribe(Vec<String>, QoS),
}

/// What is checked, and how the result is printed.
#[derive(Clone, Debug)]
pub struct CheckPlan {
    client: ClientPlan,
    probe: Probe,
    format: CheckFormat,
    /// No version was asked for: MQTT 5 is tried first, since only it reports the broker's limits.
    any_version: bool,
}

impl CheckPlan {
    /// The plan of `mqpub --check`; none without that option.
    ///
    /// # Errors
    /// All faults of the options.
    pub fn of_publish(options: &PublishOptions, environment: &Environment) -> Result<Option<Self>, UsageError> {
        let Some(format) = options.check.check else { return Ok(None) };
        let (client, _, ()) = options.client.plan_with(&options.general, &PUBLISH, environment, Ok(()))?;
        let topic = options.message.topic.first().cloned().or_else(|| client.connect.topic_of_url.clone());
        let probe = Probe::Publish(topic.unwrap_or_else(|| TOPIC.to_owned()));
        Ok(Some(Self::new(client, probe, format, options.client.connection.protocol_version.is_none())))
    }

    /// The plan of `mqsub --check`; none without that option.
    ///
    /// # Errors
    /// All faults of the options.
    pub fn of_subscribe(options: &SubscribeOptions, environment: &Environment) -> Result<Option<Self>, UsageError> {
        let Some(format) = options.check.check else { return Ok(None) };
        // Whoever asks for messages as JSON wants this as JSON too.
        let format = if options.output.json { CheckFormat::Json } else { format };
        let (client, _, ()) = options.client.plan_with(&options.general, &SUBSCRIBE, environment, Ok(()))?;
        let mut filters = options.subscription.topic.clone();
        filters.extend(client.connect.topic_of_url.clone());
        if filters.is_empty() {
            filters.push(TOPIC.to_owned());
        }
        let probe = Probe::Subscribe(filters, options.subscription.qos);
        Ok(Some(Self::new(client, probe, format, options.client.connection.protocol_version.is_none())))
    }

    fn new(mut client: ClientPlan, probe: Probe, format: CheckFormat, any_version: bool) -> Self {
        if any_version {
            client.connect.session.version = ProtocolVersion::V5;
        }
        // A check leaves nothing behind.
        client.connect.session.will = None;
        Self { client, probe, format, any_version }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
struct Step {
    /// Its name for people.
    name: &'static str,
    /// How long it took; unknown where it failed before it began.
    took: Option<Duration>,
    /// Whether it worked.
    is_ok: bool,
    /// What was found.
    text: String,
    /// The same for programs.
    facts: Map<String, Value>,
}

/// The steps so far, printed as they come.
struct Report<'a> {
    format: CheckFormat,
    steps: Vec<Step>,
    print: &'a mut dyn FnMut(&str),
}

impl Report<'_> {
    fn add(&mut self, name: &'static str, took: Option<Duration>, text: String, facts: Value) {
        self.enter(Step { name, took, is_ok: true, text, facts: object(facts) });
    }

    fn fail(&mut self, name: &'static str, took: Option<Duration>, error: &ClientError) {
        // The error follows on stderr.
        self.enter(Step {
            name,
            took,
            is_ok: false,
            text: "failed".to_owned(),
            facts: object(json!({"error": error.to_string()})),
        });
    }

    fn enter(&mut self, step: Step) {
        if self.format == CheckFormat::Text {
            let took = match step.took {
                Some(took) => number::duration(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)),
                None => "-".to_owned(),
            };
            (self.print)(&format!("{:<10} {took:>9}  {}\n", step.name, escape(&step.text)));
        }
        self.steps.push(step);
    }

    /// One object on one line.
    fn document(&self, plan: &CheckPlan, status: ExitStatus) -> String {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| {
                let took = step.took.map(|took| took.as_secs_f64() * 1e3);
                let mut object = object(json!({"step": step.name, "ok": step.is_ok, "ms": took}));
                object.extend(step.facts.clone());
                Value::Object(object)
            })
            .collect();
        let document = json!({
            "schema": "mqtools-check/1",
            "ok": status == ExitStatus::Done,
            "broker": plan.client.connect.transport.address.to_string(),
            "exit_status": status.code(),
            "steps": steps,
        });
        format!("{document}\n")
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// Runs the check, prints its steps on stdout and its error on stderr, and returns the exit status: that of the first
/// step that failed.
pub fn check(plan: &CheckPlan) -> ExitStatus {
    let diagnostics = Diagnostics::start(&plan.client);
    let mut failed_print = None;
    let mut print_text = |text: &str| failed_print = print(text.as_bytes()).err().or(failed_print.take());
    let mut report = Report { format: plan.format, steps: Vec::new(), print: &mut print_text };
    let ended = client::run(run_all(plan, &mut report));
    let status = match ended {
        Err(error) => diagnostics.cannot_start(&error),
        Ok(Ok(())) => ExitStatus::Done,
        Ok(Err(error)) => diagnostics.client_error(&error),
    };
    if plan.format == CheckFormat::Json {
        let document = report.document(plan, status);
        (report.print)(&document);
    }
    match failed_print {
        Some(error) => {
            diagnostics.error(format_args!("cannot write to stdout: {error}"));
            ExitStatus::Failed
        }
        None => status,
    }
}

/// With MQTT 5, or with 3.1.1 where the broker does not know 5 and no version was asked for.
async fn run_all(plan: &CheckPlan, report: &mut Report<'_>) -> Result<(), ClientError> {
    let ended = run_steps(plan, report).await;
    match &ended {
        Err(error) if plan.any_version && may_be_the_version(error) => {
            let mut older = plan.clone();
            older.client.connect.session.version = ProtocolVersion::V311;
            older.any_version = false;
            report.steps.clear();
            if report.format == CheckFormat::Text {
                (report.print)("The broker does not accept MQTT 5; again with MQTT 3.1.1:\n");
            }
            Box::pin(run_steps(&older, report)).await
        }
        _ => ended,
    }
}

/// Whether a broker that knows no MQTT 5 may have answered like this: with the return code of 3.1.1, or not at all.
fn may_be_the_version(error: &ClientError) -> bool {
    match error {
        ClientError::Session { error: SessionError::Refused { reason, .. }, .. } => {
            *reason == ReasonCode::UNSUPPORTED_PROTOCOL_VERSION
        }
        ClientError::Lost { before_connack, .. } => *before_connack,
        _ => false,
    }
}

async fn run_steps(plan: &CheckPlan, report: &mut Report<'_>) -> Result<(), ClientError> {
    let mut transport = plan.client.connect.transport.clone();
    let mut connection = reach(&mut transport, report).await?;
    let target = transport.address.to_string();
    let mut session: Session<Message> = Session::new(Instant::now());
    let mut seen = Seen::default();
    let config = &plan.client.connect.session;
    let began = Instant::now();
    match log_in(&mut connection, config, &mut session, &mut seen, &target).await {
        Ok(took) => {
            let connack = seen.connack.take().unwrap_or_default();
            let (text, facts) = limits(&connack, config.version);
            report.add("CONNACK", Some(took), text, facts);
        }
        Err(error) => {
            report.fail("CONNACK", Some(began.elapsed()), &error);
            return Err(error);
        }
    }
    let limit = plan.client.answer_timeout;
    let began = Instant::now();
    let answer = tokio::time::timeout(limit, probe(&plan.probe, &mut connection, &mut session, &mut seen, &target));
    let ended = answer.await.unwrap_or_else(|_| {
        Err(ClientError::Unanswered { target: target.clone(), packet: plan.probe.packet(), waited: limit })
    });
    match ended {
        Ok((took, text, facts)) => report.add(plan.probe.packet(), Some(took), text, facts),
        Err(error) => {
            report.fail(plan.probe.packet(), Some(began.elapsed()), &error);
            return Err(error);
        }
    }
    let _ = session.disconnect(ReasonCode::SUCCESS, plan.client.disconnect_properties.clone());
    let mut out = Vec::new();
    session.take_output(&mut out);
    let _ = connection.write_all(&out).await;
    let _ = connection.shutdown().await;
    Ok(())
}

/// Connects up to the last handshake.
async fn reach(transport: &mut TransportPlan, report: &mut Report<'_>) -> Result<Connection, ClientError> {
    let mut timings = ConnectTimings::default();
    match resolve(transport).await {
        Ok(took) => timings.dns = took,
        Err(error) => return Err(fail_to_reach(transport, error, &timings, report)),
    }
    if let (Address::Tcp { host, .. }, false) = (&transport.address, transport.resolved.is_empty()) {
        let addresses: Vec<String> = transport.resolved.iter().map(ToString::to_string).collect();
        let text = match addresses == [host.as_str()] {
            true => "an address, no look-up".to_owned(),
            false => format!("{host} is {}", addresses.join(", ")),
        };
        report.add("DNS", Some(timings.dns), text, json!({ "addresses": addresses }));
    }
    let connection = match connect_timed(transport, None, &mut timings).await {
        Ok(connection) => connection,
        Err(error) => return Err(fail_to_reach(transport, error, &timings, report)),
    };
    match connection.peer() {
        Some(peer) => report.add("TCP", Some(timings.tcp), peer.to_string(), json!({"address": peer.to_string()})),
        None => report.add("Unix", Some(timings.tcp), transport.address.to_string(), json!({})),
    }
    if timings.proxy.is_some() {
        report.add("proxy", timings.proxy, "connected to the broker".to_owned(), json!({}));
    }
    if let Some(info) = connection.tls_info() {
        let (text, mut facts) = certificate(connection.peer_certificate().as_ref());
        facts.extend(object(json!({"version": info.version, "cipher": info.cipher, "alpn": info.alpn})));
        report.add(
            "TLS",
            timings.tls,
            format!("{}, {}{text}", info.version.replace('_', "."), info.cipher),
            Value::Object(facts),
        );
    }
    if timings.web_socket.is_some() {
        report.add("WebSocket", timings.web_socket, "accepted".to_owned(), json!({}));
    }
    Ok(connection)
}

/// Reports the steps up to one that failed.
fn fail_to_reach(
    transport: &TransportPlan,
    error: ConnectError,
    timings: &ConnectTimings,
    report: &mut Report<'_>,
) -> ClientError {
    let failed = stage_name(&error.stage.to_string());
    for name in stages(transport).into_iter().take_while(|name| *name != failed) {
        // A step that was not taken, as where a TLS file cannot be read, or that is reported already.
        if let (Some(took), true) = (time_of(name, timings), report.steps.iter().all(|step| step.name != name)) {
            report.add(name, Some(took), "ok".to_owned(), json!({}));
        }
    }
    let error = ClientError::from(error);
    report.fail(failed, time_of(failed, timings), &error);
    error
}

/// How long a step took, where it was taken.
fn time_of(name: &str, timings: &ConnectTimings) -> Option<Duration> {
    let took = match name {
        "DNS" => Some(timings.dns),
        "proxy" => timings.proxy,
        "TLS" => timings.tls,
        "WebSocket" => timings.web_socket,
        _ => Some(timings.tcp),
    };
    took.filter(|took| !took.is_zero())
}

/// The steps of a transport, in order.
fn stages(transport: &TransportPlan) -> Vec<&'static str> {
    let mut stages = match &transport.address {
        Address::Unix(_) => vec!["Unix"],
        Address::Tcp { .. } => vec!["DNS", "TCP"],
    };
    stages.extend(transport.proxy.as_ref().map(|_| "proxy"));
    stages.extend(transport.tls.as_ref().map(|_| "TLS"));
    stages.extend(transport.web_socket.as_ref().map(|_| "WebSocket"));
    stages
}

/// The name of a step here, of that in an error.
fn stage_name(stage: &str) -> &'static str {
    ["DNS", "TCP", "proxy", "TLS", "WebSocket"].into_iter().find(|name| *name == stage).unwrap_or("Unix")
}

/// What a server's certificate says, from a comma on.
fn certificate(facts: Option<&CertificateFacts>) -> (String, Map<String, Value>) {
    let Some(facts) = facts else { return (String::new(), Map::new()) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let days = facts.not_after().saturating_sub(now).as_secs() / DAY;
    let text = format!(
        ", certificate {} of {}, valid until {} ({})",
        facts.subject(),
        facts.issuer(),
        facts.not_after_text(),
        number::counted(days, "day", "days"),
    );
    let json = json!({
        "subject": facts.subject(),
        "issuer": facts.issuer(),
        "names": facts.names(),
        "not_after": facts.not_after().as_secs(),
        "days_left": days,
    });
    (text, object(json))
}

/// What a broker allows, as its CONNACK says; where that is silent the standard's default holds (5.0 §3.2.2.3).
fn limits(connack: &Connack, version: ProtocolVersion) -> (String, Value) {
    let mut facts = json!({"protocol": version.to_string(), "session_present": connack.session_present});
    if !version.is_v5() {
        return (format!("MQTT {version}, which reports no limits; see -V 5"), facts);
    }
    let number = |name| connack.properties.number(name);
    let offers = |name| number(name).is_none_or(|value| value > 0);
    let limits = json!({
        "maximum_qos": number(PropertyName::MaximumQos).unwrap_or(2),
        "receive_maximum": number(PropertyName::ReceiveMaximum).unwrap_or(65_535),
        "maximum_packet_size": number(PropertyName::MaximumPacketSize),
        "topic_alias_maximum": number(PropertyName::TopicAliasMaximum).unwrap_or(0),
        "session_expiry_interval": number(PropertyName::SessionExpiryInterval),
        "server_keep_alive": number(PropertyName::ServerKeepAlive),
        "retain_available": offers(PropertyName::RetainAvailable),
        "wildcard_subscription_available": offers(PropertyName::WildcardSubscriptionAvailable),
        "subscription_identifier_available": offers(PropertyName::SubscriptionIdentifierAvailable),
        "shared_subscription_available": offers(PropertyName::SharedSubscriptionAvailable),
    });
    let mut text = format!("MQTT {version}");
    for (name, value) in object(limits.clone()) {
        let name = name.replace('_', " ");
        let _ = match value {
            Value::Null => Ok(()),
            Value::Bool(true) => Ok(()),
            Value::Bool(false) => write!(text, ", no {}", name.trim_end_matches(" available")),
            value => write!(text, ", {name} {value}"),
        };
    }
    if let Some(facts) = facts.as_object_mut() {
        facts.extend(object(limits));
    }
    (text, facts)
}

impl Probe {
    /// The packet that is answered.
    const fn packet(&self) -> &'static str {
        match self {
            Self::Publish(_) => "PUBLISH",
            Self::Subscribe(..) => "SUBSCRIBE",
        }
    }
}

/// Sends the packet and waits for its answer: how long that took, and what came.
async fn probe(
    probe: &Probe,
    connection: &mut Connection,
    session: &mut Session<Message>,
    seen: &mut Seen,
    target: &str,
) -> Result<(Duration, String, Value), ClientError> {
    let started = Instant::now();
    match probe {
        Probe::Publish(topic) => {
            // Where the broker allows QoS 0 only, the answer to a PINGREQ behind the message stands for it.
            let qos = if session.limits().maximum_qos == QoS::AtMostOnce { QoS::AtMostOnce } else { QoS::AtLeastOnce };
            let message = Message { topic: topic.clone(), qos, ..Message::default() };
            if qos == QoS::AtMostOnce {
                session.send(&message)?;
                session.ping();
            } else {
                session.publish(message).map_err(|(error, _)| error)?;
            }
            exchange(connection, session, seen, target, |_, seen| seen.answer.is_some()).await?;
            let took = started.elapsed();
            let reason = seen.answer.take().unwrap_or(ReasonCode::SUCCESS);
            if reason.is_error() {
                return Err(ClientError::PublishRefused { target: target.to_owned(), topic: topic.clone(), reason });
            }
            let text = format!("'{topic}' at QoS {}: {reason}", qos.number());
            Ok((took, text, json!({"topic": topic, "qos": qos.number(), "reason_code": reason.0})))
        }
        Probe::Subscribe(filters, qos) => {
            let of =
                |filter: &String| SubscribeFilter { filter: filter.clone(), qos: *qos, ..SubscribeFilter::default() };
            let filters: Vec<SubscribeFilter> = filters.iter().map(of).collect();
            let names: Vec<String> = filters.iter().map(|filter| filter.filter.clone()).collect();
            session.subscribe(Subscribe { filters, ..Subscribe::default() })?;
            exchange(connection, session, seen, target, |_, seen| seen.granted.is_some()).await?;
            let took = started.elapsed();
            let granted = seen.granted.take().unwrap_or_default();
            for (filter, reason) in names.iter().zip(&granted) {
                if reason.is_error() {
                    return Err(ClientError::SubscribeRefused {
                        target: target.to_owned(),
                        filter: filter.clone(),
                        reason: *reason,
                    });
                }
            }
            let shown: Vec<String> =
                names.iter().zip(&granted).map(|(filter, reason)| format!("'{filter}' at QoS {}", reason.0)).collect();
            let granted: Vec<u8> = granted.iter().map(|reason| reason.0).collect();
            Ok((took, shown.join(", "), json!({"filters": names, "granted": granted})))
        }
    }
}

/// What came from the broker.
#[derive(Default)]
struct Seen {
    connack: Option<Connack>,
    /// The answer to the PUBLISH, or to the PINGREQ behind it.
    answer: Option<ReasonCode>,
    granted: Option<Vec<ReasonCode>>,
}

impl Handler<Message> for Seen {
    fn on_message(&mut self, _: &Delivery<'_>) -> Acknowledge {
        Acknowledge::Later
    }

    fn on_completed(&mut self, completion: Completion<'_, Message>) {
        self.answer = Some(completion.reason);
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected(connack) => self.connack = Some(connack),
            Event::Subscribed(suback) => self.granted = Some(suback.reasons),
            Event::Pong => self.answer = Some(ReasonCode::SUCCESS),
            _ => {}
        }
    }
}
