//! A board of retained messages on a broker, over its own connection that is silent while the load is on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::board::{Board, BoardClock, BoardServer, Event as BoardEvent, Place, Post, event};
use super::messages::{self, LARGEST, Phase, ShardNote};
use crate::bench::plan::BenchPlan;
use crate::client::{ClientError, ConnectPlan, Established, establish};
use crate::mqtt::wire::{Subscribe, SubscribeFilter};
use crate::mqtt::{Message, Properties, QoS, ReasonCode};
use crate::options::ShardNumber;
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Session, SessionConfig};
use crate::terminal::quoted;
use crate::transport::{Connection, TlsClient, TransportPlan, sleep_until};

/// What all topics of barriers begin with.
const ROOT: &str = "mqbench-shards";

/// How long what was removed may take to be acknowledged.
const END_TIMEOUT: Duration = Duration::from_secs(2);

const READ_BUFFER: usize = 16 * 1024;

/// Opens the board of a run.
pub(super) fn open(
    plan: &BenchPlan,
    tls: Option<&TlsClient>,
    control: Option<&ConnectPlan>,
    watches_all: bool,
    identity: &str,
    nonce: u64,
) -> Board {
    let shard = plan.shard.unwrap_or(ShardNumber { index: 0, count: 1 });
    let job = plan.meeting.as_ref().map_or("", |meeting| meeting.job.as_str());
    // Without a name, runs of different plans do not meet.
    let digest = Sha256::digest(if job.is_empty() { identity } else { job }.as_bytes());
    let key: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let base = format!("{ROOT}/{key}");
    let (mut config, transport) = match control {
        Some(control) => (control.session.clone(), control.transport.clone()),
        None => (plan.session_for_sys(), plan.transport_of(0)),
    };
    config.client_id = format!("mqb-{}-shard-{}", plan.run, shard.index);
    config.clean_start = true;
    config.window = 20;
    config.max_packet_size = LARGEST + 1024;
    let lost = ShardNote { nonce, lead: None, phase: Phase::Lost, identity: String::new(), text: String::new() };
    config.will = Some(message(&base, Place::Shard(shard.index), messages::write(&lost)));
    let own_tls = match control {
        Some(control) => {
            control.transport.tls.as_ref().map(TlsClient::new).transpose().map_err(|error| error.to_string())
        }
        None => Ok(tls.cloned()),
    };
    let line = Line { base, shard, config, transport, watches_all };
    Board::serve(shard.index, BoardClock::Asked, |server| line.serve(own_tls, server))
}

fn topic(base: &str, place: Place) -> String {
    match place {
        Place::Lead => format!("{base}/start"),
        Place::Shard(index) => format!("{base}/shard/{index}"),
        Place::Question(index) => format!("{base}/question/{index}"),
        Place::Answer(index) => format!("{base}/answer/{index}"),
    }
}

fn message(base: &str, place: Place, payload: Vec<u8>) -> Message {
    let retain = matches!(place, Place::Lead | Place::Shard(_));
    // Between a question and its answer no acknowledgement holds up anything; one that is lost is asked again.
    let qos = if retain { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    Message { topic: topic(base, place), payload: Bytes::from(payload), qos, retain, properties: Properties::new() }
}

/// The place that a topic is, of as many shards.
fn place(base: &str, topic: &str, count: usize) -> Option<Place> {
    let rest = topic.strip_prefix(base)?.strip_prefix('/')?;
    if rest == "start" {
        return Some(Place::Lead);
    }
    let (kind, number) = rest.split_once('/')?;
    let index = number.parse().ok().filter(|index| *index < count)?;
    match kind {
        "shard" => Some(Place::Shard(index)),
        "question" => Some(Place::Question(index)),
        "answer" => Some(Place::Answer(index)),
        _ => None,
    }
}

struct Line {
    base: String,
    shard: ShardNumber,
    config: SessionConfig,
    transport: TransportPlan,
    watches_all: bool,
}

impl Line {
    async fn serve(self, tls: Result<Option<TlsClient>, String>, mut server: BoardServer) {
        let outcome = match tls {
            Ok(tls) => self.exchange(tls.as_ref(), &mut server).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = outcome {
            let target = &self.transport.address;
            let _ = server.events.send(BoardEvent::Failed(format!("the barrier at {target} failed: {fault}")));
            // Whoever ends the board waits for this task.
            while !matches!(server.posts.recv().await, None | Some(Post::Close(_))) {}
        }
    }

    async fn exchange(&self, tls: Option<&TlsClient>, server: &mut BoardServer) -> Result<(), String> {
        let fault = |error: ClientError| error.to_string();
        let mut session: Session<Message> = Session::new(Instant::now());
        let mut found = Found { line: self, events: server.events.clone(), fault: None };
        let Established { mut connection, .. } =
            establish(&self.transport, tls, &self.config, &mut session, &mut found).await.map_err(fault)?;
        if !session.limits().retain_available {
            return Err("the broker keeps no retained messages: use --control URL or --barrier FOLDER".to_owned());
        }
        let mut filters = if self.shard.index == 0 {
            vec![format!("{}/question/+", self.base)]
        } else {
            vec![topic(&self.base, Place::Lead), topic(&self.base, Place::Answer(self.shard.index))]
        };
        if self.watches_all {
            filters.push(format!("{}/shard/+", self.base));
        }
        subscribe(&mut session, filters)?;
        let mut input = vec![0; READ_BUFFER];
        let mut ends_at = None;
        loop {
            flush(&mut connection, &mut session).await?;
            if let Some(fault) = found.fault.take() {
                return Err(fault);
            }
            let is_over =
                |deadline: tokio::time::Instant| session.in_flight() == 0 || deadline.elapsed() > Duration::ZERO;
            if ends_at.is_some_and(is_over) {
                break;
            }
            let wake = session.poll_timeout().map(tokio::time::Instant::from_std).into_iter().chain(ends_at).min();
            tokio::select! {
                read = connection.read(&mut input) => match read {
                    Ok(0) => return Err("the broker closed the connection".to_owned()),
                    Ok(count) => session
                        .handle_input(&input[..count], Instant::now(), &mut found)
                        .map_err(|error| error.to_string())?,
                    Err(error) => return Err(crate::transport::io_text(&error).to_string()),
                },
                post = server.posts.recv(), if ends_at.is_none() => match post {
                    Some(Post::Put(place, payload)) => put(&mut session, message(&self.base, place, payload))?,
                    Some(Post::WatchAll) => subscribe(&mut session, vec![format!("{}/shard/+", self.base)])?,
                    Some(Post::Close(places)) => {
                        for place in places {
                            put(&mut session, message(&self.base, place, Vec::new()))?;
                        }
                        ends_at = Some(tokio::time::Instant::now() + END_TIMEOUT);
                    }
                    None => ends_at = Some(tokio::time::Instant::now() + END_TIMEOUT),
                },
                () = sleep_until(wake) => {
                    if session.poll_timeout().is_some_and(|deadline| Instant::now() >= deadline) {
                        session.handle_timeout(Instant::now()).map_err(|error| error.to_string())?;
                    }
                }
            }
        }
        let _ = session.disconnect(ReasonCode::SUCCESS, Properties::new());
        flush(&mut connection, &mut session).await?;
        let _ = connection.shutdown().await;
        Ok(())
    }
}

fn subscribe(session: &mut Session<Message>, filters: Vec<String>) -> Result<(), String> {
    let filter = |filter| SubscribeFilter { filter, qos: QoS::AtLeastOnce, ..SubscribeFilter::default() };
    let filters = filters.into_iter().map(filter).collect();
    session.subscribe(Subscribe { filters, ..Subscribe::default() }).map(drop).map_err(|error| error.to_string())
}

fn put(session: &mut Session<Message>, message: Message) -> Result<(), String> {
    if message.qos == QoS::AtMostOnce {
        return session.send(&message).map_err(|error| error.to_string());
    }
    session.publish(message).map(drop).map_err(|(error, _)| error.to_string())
}

async fn flush(connection: &mut Connection, session: &mut Session<Message>) -> Result<(), String> {
    if session.output_len() == 0 {
        return Ok(());
    }
    let mut out = Vec::new();
    session.take_output(&mut out);
    let text = |error: std::io::Error| crate::transport::io_text(&error).to_string();
    connection.write_all(&out).await.map_err(text)?;
    connection.flush().await.map_err(text)?;
    session.handle_written(Instant::now(), false);
    Ok(())
}

/// What comes over the connection.
struct Found<'a> {
    line: &'a Line,
    events: tokio::sync::mpsc::UnboundedSender<BoardEvent>,
    fault: Option<String>,
}

impl Handler<Message> for Found<'_> {
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        let publish = &delivery.publish;
        let place = place(&self.line.base, publish.topic, self.line.shard.count);
        // Its own notes come back.
        let place = place.filter(|place| *place != Place::Shard(self.line.shard.index));
        if let Some(event) = place.and_then(|place| event(place, publish.payload)) {
            let _ = self.events.send(event);
        }
        Acknowledge::Now
    }

    fn on_completed(&mut self, completion: Completion<'_, Message>) {
        if completion.reason.is_error() {
            let (topic, reason) = (quoted(&completion.kept.topic), completion.reason);
            self.fault = Some(format!("the broker refused a message to {topic}: {reason}"));
        }
    }

    fn on_event(&mut self, event: Event) {
        if let Event::Subscribed(suback) = event
            && let Some(reason) = suback.reasons.into_iter().find(|reason| reason.is_error())
        {
            let base = &self.line.base;
            self.fault = Some(format!(
                "the broker refused to subscribe this client to {base}/#: {reason}; use --control URL or --barrier FOLDER"
            ));
        }
    }
}
