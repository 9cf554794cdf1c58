//! Records what the broker publishes under `$SYS` during a run (`--sys`), over its own connection: it is no part
//! of any count, and sends nothing while the load is measured but what keeps it alive.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::measure::SysSamples;
use super::plan::BenchPlan;
use crate::client::{ClientError, Established, establish, exchange};
use crate::mqtt::wire::{Subscribe, SubscribeFilter};
use crate::mqtt::{Message, Properties, ReasonCode};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Session};
use crate::transport::TlsClient;

/// Everything that a broker publishes about itself.
const FILTER: &str = "$SYS/#";

/// How long a run that is over waits for the first value: those that are retained arrive at once.
const TIMEOUT: Duration = Duration::from_millis(500);

/// From a lost connection to the next attempt.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);

/// What was recorded.
#[derive(Debug, Default)]
pub(super) struct SysRecord {
    pub(super) samples: SysSamples,
    /// Why nothing, or not everything, could be read.
    pub(super) fault: Option<String>,
}

/// The task that records.
pub(super) struct SysSampler {
    is_over: watch::Sender<bool>,
    task: JoinHandle<SysRecord>,
}

impl SysSampler {
    /// Connects and records from now on.
    pub(super) fn start(plan: &BenchPlan, tls: Option<&TlsClient>) -> Self {
        let (is_over, over) = watch::channel(false);
        let task = tokio::spawn(record(plan.clone(), tls.cloned(), over));
        Self { is_over, task }
    }

    /// Ends the connection. A run that was short waits a moment for the first values.
    pub(super) async fn finish(self) -> SysRecord {
        self.is_over.send_replace(true);
        self.task.await.unwrap_or_default()
    }
}

/// Resolves when the run is over.
async fn ended(over: &mut watch::Receiver<bool>) {
    // Without a sender nobody waits for the record.
    let _ = over.wait_for(|is_over| *is_over).await;
}

async fn record(plan: BenchPlan, tls: Option<TlsClient>, mut over: watch::Receiver<bool>) -> SysRecord {
    let mut handler = SysHandler::default();
    let mut fault = None;
    let mut was_connected = false;
    loop {
        match connect_and_read(&plan, tls.as_ref(), &mut handler, &mut was_connected, &mut over).await {
            Ok(()) => break,
            Err(error) => fault = Some(error.to_string()),
        }
        // A broker that did not want this connection is not asked again.
        if !was_connected || handler.refused.is_some() || *over.borrow() {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(RECONNECT_INTERVAL) => {}
            () = ended(&mut over) => break,
        }
    }
    let refused =
        handler.refused.map(|reason| format!("the broker refused to subscribe this client to {FILTER}: {reason}"));
    SysRecord { samples: handler.samples, fault: refused.or(fault) }
}

/// Reads until the run is over, or until an error ends the connection.
async fn connect_and_read(
    plan: &BenchPlan,
    tls: Option<&TlsClient>,
    handler: &mut SysHandler,
    was_connected: &mut bool,
    over: &mut watch::Receiver<bool>,
) -> Result<(), ClientError> {
    let (config, transport) = (plan.session_for_sys(), plan.transport_of(0));
    let mut session: Session<Message> = Session::new(Instant::now());
    let out_of_time = async {
        ended(over).await;
        tokio::time::sleep(TIMEOUT).await;
    };
    let Established { mut connection, .. } = tokio::select! {
        established = establish(&transport, tls, &config, &mut session, handler) => established?,
        () = out_of_time => return Ok(()),
    };
    *was_connected = true;
    let filter = SubscribeFilter { filter: FILTER.to_owned(), ..SubscribeFilter::default() };
    session.subscribe(Subscribe { filters: vec![filter], ..Subscribe::default() })?;
    let target = transport.address.to_string();
    tokio::select! {
        read = exchange(&mut connection, &mut session, handler, &target, |_, handler| handler.refused.is_some()) => read?,
        () = ended(over) => {}
    }
    if handler.samples.is_empty() && handler.refused.is_none() {
        let first = exchange(&mut connection, &mut session, handler, &target, |_, handler| !handler.samples.is_empty());
        // Without an answer there are just no values.
        let _ = tokio::time::timeout(TIMEOUT, first).await;
    }
    let mut out = Vec::new();
    let _ = session.disconnect(ReasonCode::SUCCESS, Properties::new());
    session.take_output(&mut out);
    let _ = connection.write_all(&out).await;
    let _ = connection.shutdown().await;
    Ok(())
}

#[derive(Default)]
struct SysHandler {
    samples: SysSamples,
    refused: Option<ReasonCode>,
}

impl Handler<Message> for SysHandler {
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        let publish = &delivery.publish;
        if publish.topic.starts_with("$SYS/") {
            self.samples.add(publish.topic, publish.payload, publish.retain, Instant::now());
        }
        Acknowledge::Now
    }

    fn on_completed(&mut self, _completion: Completion<'_, Message>) {}

    fn on_event(&mut self, event: Event) {
        if let Event::Subscribed(suback) = event {
            self.refused = suback.reasons.into_iter().find(|reason| reason.is_error());
        }
    }
}
