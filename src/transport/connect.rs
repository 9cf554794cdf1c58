//! The way to a broker, step by step, under one time-out.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::error::{ConnectError, FailureKind, Fault, NO_ANSWER_HINT, Stage};
use super::plan::{Address, TransportPlan};
use super::socket::Socket;
use super::tls::TlsClient;
use super::{Connection, dns, tcp};

/// How long each step took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectTimings {
    /// Finding the addresses of the host name; next to nothing for an IP address.
    pub dns: Duration,
    /// Connecting the socket, with the addresses that were tried in vain before.
    pub tcp: Duration,
    /// The TLS handshake, where there was one.
    pub tls: Option<Duration>,
}

/// A connection, and how long it took to make. Apart, so that thousands of idle connections need not keep the times.
#[derive(Debug)]
pub struct Connected {
    /// The connection.
    pub connection: Connection,
    /// How long each step took.
    pub timings: ConnectTimings,
}

/// Connects to a broker, up to the end of the TLS handshake.
///
/// TLS is spoken when the plan has it or `tls` is given. Who makes many connections makes the [`TlsClient`] once and
/// hands it in; without one the plan's files are read here, which blocks the thread for a moment.
///
/// After a time-out in [`Stage::Dns`] the system's look-up goes on in a thread of the runtime; shut that down with
/// `shutdown_background`, or the end of the program waits for it.
///
/// # Errors
/// [`ConnectError`] names the step, the cause and the next thing to do.
pub async fn connect(plan: &TransportPlan, tls: Option<&TlsClient>) -> Result<Connected, ConnectError> {
    let way = Way::new(plan);
    let made_here;
    let tls = match (tls, &plan.tls) {
        (None, Some(wanted)) => {
            made_here = TlsClient::new(wanted).map_err(|error| way.failed(Stage::Tls, error.into()))?;
            Some(&made_here)
        }
        (given, _) => given,
    };
    let mut timings = ConnectTimings::default();
    let socket = match &plan.address {
        Address::Tcp { host, port } => {
            let candidates =
                way.step(Stage::Dns, &mut timings.dns, dns::candidates(host, *port, plan.bind, &plan.resolved)).await?;
            way.step(Stage::Tcp, &mut timings.tcp, tcp::connect(&candidates, plan, way.deadline)).await?
        }
        Address::Unix(path) => way.step(Stage::Unix, &mut timings.tcp, Socket::connect_unix(path)).await?,
    };
    let connection = match (tls, &plan.address) {
        (None, _) => Connection::plain(socket),
        (Some(client), Address::Tcp { host, .. }) => {
            let took = timings.tls.insert(Duration::ZERO);
            let stream = way.step(Stage::Tls, took, client.handshake(host, socket)).await?;
            Connection::secured(stream)
        }
        (Some(_), Address::Unix(_)) => {
            let fault = Fault::new(FailureKind::TlsSetup, "TLS is not spoken over a unix socket")
                .hint("leave out the TLS options, or connect to a TCP port");
            return Err(way.failed(Stage::Tls, fault));
        }
    };
    Ok(Connected { connection, timings })
}

/// Finds the addresses of the plan's host once and keeps them in the plan, for who makes many connections to it. Gives
/// back how long that took.
///
/// # Errors
/// As [`connect`] at its first step.
pub async fn resolve(plan: &mut TransportPlan) -> Result<Duration, ConnectError> {
    let mut took = Duration::ZERO;
    let found = match &plan.address {
        Address::Unix(_) => Vec::new(),
        Address::Tcp { host, port } => {
            let look_up = dns::candidates(host, *port, plan.bind, &[]);
            Way::new(plan).step(Stage::Dns, &mut took, look_up).await?
        }
    };
    plan.resolved = found.iter().map(std::net::SocketAddr::ip).collect();
    Ok(took)
}

/// Start, deadline and name of one attempt to reach a broker.
struct Way<'a> {
    plan: &'a TransportPlan,
    started: Instant,
    /// None when the time-out is so long that no clock can tell its end.
    deadline: Option<Instant>,
}

impl<'a> Way<'a> {
    fn new(plan: &'a TransportPlan) -> Self {
        let started = Instant::now();
        Self { plan, started, deadline: started.checked_add(plan.timeout) }
    }

    /// Runs one step until the deadline and notes how long it took.
    async fn step<T>(
        &self,
        stage: Stage,
        took: &mut Duration,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, ConnectError> {
        let started = Instant::now();
        let outcome = match self.deadline {
            Some(deadline) => {
                timeout_at(deadline, work).await.unwrap_or_else(|_| Err(timed_out(stage, started.elapsed())))
            }
            None => work.await,
        };
        *took = started.elapsed();
        outcome.map_err(|fault| self.failed(stage, fault))
    }

    fn failed(&self, stage: Stage, fault: Fault) -> ConnectError {
        let Fault { kind, cause, hint } = fault;
        let target = self.plan.address.to_string();
        ConnectError { stage, kind, target, cause, hint, elapsed: self.started.elapsed() }
    }
}

fn timed_out(stage: Stage, waited: Duration) -> Fault {
    let waited = seconds(waited);
    let (cause, hint) = match stage {
        Stage::Dns => (
            format!("no answer from the name server in {waited}"),
            "check the network and the name server, or give the IP address",
        ),
        Stage::Tcp => (format!("no answer in {waited}"), NO_ANSWER_HINT),
        Stage::Unix => (format!("no answer in {waited}"), "does the broker that owns this socket hang?"),
        Stage::Tls => (
            format!("the server accepted the connection but the TLS handshake did not end in {waited}"),
            "does this port speak TLS? MQTT over TLS is mostly on port 8883, without TLS on 1883",
        ),
    };
    Fault::new(FailureKind::TimedOut, cause).hint(hint)
}

/// A duration as people write it.
pub(super) fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}
