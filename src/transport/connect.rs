//! The way to a broker, step by step, under one timeout.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::error::{ConnectError, FailureKind, Fault, NO_ANSWER_HINT, Stage, seconds};
use super::plan::{Address, ProxyKind, ProxyPlan, TransportPlan};
use super::race::{Pace, race};
use super::socket::Socket;
use super::tcp::Reached;
use super::tls::TlsClient;
use super::{Connection, dns, proxy, tcp, web_socket};

/// How long a proxy goes without an answer before it is asked for the broker's next address beside it. Longer than for
/// our own address: a proxy connects to other machines first, and each attempt is a connection to it.
const PROXY_ATTEMPT_DELAY: Duration = Duration::from_secs(2);

/// How long each step took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectTimings {
    /// Finding the addresses of the host name, of the proxy's where there is one; next to nothing for an IP address.
    pub dns: Duration,
    /// Connecting the socket that was connected in the end, to the proxy where there is one.
    pub tcp: Duration,
    /// Waiting for addresses that failed or did not answer, before that.
    pub other_addresses: Duration,
    /// Until the proxy had connected to the broker, where there is a proxy.
    pub proxy: Option<Duration>,
    /// The TLS handshake, where there was one.
    pub tls: Option<Duration>,
    /// The WebSocket handshake, where there was one.
    pub web_socket: Option<Duration>,
}

/// A connection, and how long it took to make. Apart, so that thousands of idle connections need not keep the times.
#[derive(Debug)]
pub struct Connected {
    /// The connection.
    pub connection: Connection,
    /// How long each step took.
    pub timings: ConnectTimings,
}

/// Connects to a broker, up to the end of the last handshake.
///
/// TLS is spoken when the plan has it or `tls` is given. Who makes many connections makes the [`TlsClient`] once and
/// hands it in; without one the plan's files are read here, which blocks the thread for a moment.
///
/// After a timeout in [`Stage::Dns`] the system's look-up goes on in a thread of the runtime; shut that down with
/// `shutdown_background`, or the end of the program waits for it.
///
/// # Errors
/// [`ConnectError`] names the step, the cause and the next thing to do.
pub async fn connect(plan: &TransportPlan, tls: Option<&TlsClient>) -> Result<Connected, ConnectError> {
    let mut timings = ConnectTimings::default();
    let connection = connect_timed(plan, tls, &mut timings).await?;
    Ok(Connected { connection, timings })
}

/// The same for callers that want the time of each step also where one fails.
///
/// # Errors
/// As [`connect`].
pub async fn connect_timed(
    plan: &TransportPlan,
    tls: Option<&TlsClient>,
    timings: &mut ConnectTimings,
) -> Result<Connection, ConnectError> {
    let attempt = Attempt::new(plan);
    let made_here;
    let tls = match (tls, &plan.tls) {
        (None, Some(wanted)) => {
            made_here = TlsClient::new(wanted).map_err(|error| attempt.failed(Stage::Tls, error.into()))?;
            Some(&made_here)
        }
        (given, _) => given,
    };
    let socket = match (&plan.address, &plan.proxy) {
        (Address::Unix(path), None) => attempt.step(Stage::Unix, &mut timings.tcp, Socket::connect_unix(path)).await?,
        (Address::Tcp { host, port }, None) => {
            let candidates = attempt
                .step(Stage::Dns, &mut timings.dns, dns::candidates(host, *port, plan.bind, &plan.resolved))
                .await?;
            let connecting = tcp::connect(&candidates, plan, attempt.deadline);
            let reached = attempt.step(Stage::Tcp, &mut timings.tcp, connecting).await?;
            timings.other_addresses = timings.tcp.saturating_sub(reached.took);
            timings.tcp = reached.took;
            reached.socket
        }
        (_, Some(proxy)) => attempt.through(proxy, timings).await?,
    };
    let mut connection = match (tls, &plan.address) {
        (None, _) => Connection::plain(socket),
        (Some(client), Address::Tcp { host, .. }) => {
            let took = timings.tls.insert(Duration::ZERO);
            let stream = attempt.step(Stage::Tls, took, client.handshake(host, socket)).await?;
            Connection::secured(stream)
        }
        (Some(_), Address::Unix(_)) => {
            let fault = Fault::new(FailureKind::TlsSetup, "TLS over a Unix socket is not supported")
                .hint("remove the TLS options, or connect to a TCP port");
            return Err(attempt.failed(Stage::Tls, fault));
        }
    };
    if let Some(wanted) = &plan.web_socket {
        let took = timings.web_socket.insert(Duration::ZERO);
        let stream = attempt
            .step(Stage::WebSocket, took, web_socket::open(connection, tls.is_some(), &plan.address, wanted))
            .await?;
        connection = Connection::framed(stream);
    }
    Ok(connection)
}

/// Finds the addresses of the plan's host, or of its proxy, once and keeps them in the plan, for callers that make many
/// connections to it. Returns how long that took.
///
/// # Errors
/// As [`connect`] at its first step.
pub async fn resolve(plan: &mut TransportPlan) -> Result<Duration, ConnectError> {
    let mut took = Duration::ZERO;
    let of_broker = matches!(&plan.proxy, None | Some(ProxyPlan { kind: ProxyKind::Socks5, .. }));
    if let (Address::Tcp { host, port }, true) = (&plan.address, of_broker) {
        // A proxy is reached from the local address, the broker then is not.
        let bind = plan.bind.filter(|_| plan.proxy.is_none());
        let found = Attempt::new(plan).step(Stage::Dns, &mut took, dns::candidates(host, *port, bind, &[])).await?;
        plan.resolved = found.iter().map(SocketAddr::ip).collect();
    }
    if let Some(proxy) = &plan.proxy {
        let mut took_too = Duration::ZERO;
        let found = Attempt::new(plan).addresses_of(proxy, &mut took_too).await?;
        took += took_too;
        if let Some(proxy) = &mut plan.proxy {
            proxy.resolved = found.iter().map(SocketAddr::ip).collect();
        }
    }
    Ok(took)
}

/// Start, deadline and name of one attempt to reach a broker.
struct Attempt<'a> {
    plan: &'a TransportPlan,
    started: Instant,
    /// None if the timeout is too long for the clock.
    deadline: Option<Instant>,
}

impl<'a> Attempt<'a> {
    fn new(plan: &'a TransportPlan) -> Self {
        let started = Instant::now();
        Self { plan, started, deadline: started.checked_add(plan.timeout) }
    }

    /// Gets a connection to the broker from a proxy.
    async fn through(&self, proxy: &ProxyPlan, timings: &mut ConnectTimings) -> Result<Socket, ConnectError> {
        let plan = self.plan;
        let mut took = Duration::ZERO;
        let targets = match (&plan.address, proxy.kind) {
            (Address::Unix(_), _) => {
                let fault = Fault::new(FailureKind::ProxyRefused, "a proxy cannot connect to a Unix socket")
                    .hint("remove --proxy, or connect to a TCP port");
                return Err(self.failed(Stage::Proxy, fault));
            }
            (Address::Tcp { host, port }, ProxyKind::Socks5) => {
                let look_up = dns::candidates(host, *port, None, &plan.resolved);
                self.step(Stage::Dns, &mut took, look_up).await?.into_iter().map(Some).collect()
            }
            (Address::Tcp { .. }, ProxyKind::Socks5h | ProxyKind::Http) => vec![None],
        };
        let candidates = self.addresses_of(proxy, &mut timings.dns).await?;
        timings.dns += took;
        let started = Instant::now();
        // A proxy connects once a connection, so each address of the broker takes a new one.
        let attempt = async |target| {
            let (mut tcp, mut asked) = (Duration::ZERO, Duration::ZERO);
            let connecting = async {
                let reached = tcp::connect(&candidates, plan, self.deadline).await;
                reached.map_err(|fault| proxy::not_reached(proxy, fault))
            };
            let Reached { socket, took } = self.step(Stage::Tcp, &mut tcp, connecting).await?;
            let asking = proxy::negotiate(socket, proxy, &plan.address, target);
            let socket = self.step(Stage::Proxy, &mut asked, asking).await?;
            Ok((socket, took, asked))
        };
        let is_final = |error: &ConnectError| !(error.stage == Stage::Proxy && may_differ(error.kind));
        let pace = Pace { delay: PROXY_ATTEMPT_DELAY, deadline: self.deadline };
        match race(targets, pace, attempt, is_final).await {
            Ok((socket, tcp, asked)) => {
                timings.tcp = tcp;
                timings.proxy = Some(asked);
                timings.other_addresses = started.elapsed().saturating_sub(tcp + asked);
                Ok(socket)
            }
            Err(mut failures) => {
                let causes: Vec<_> = failures.iter().map(|failure| failure.cause.clone()).collect();
                let fault = Fault::new(FailureKind::HostNotFound, "no address to connect to");
                let last = failures.pop().unwrap_or_else(|| self.failed(Stage::Dns, fault));
                Err(ConnectError { cause: if causes.is_empty() { last.cause } else { causes.join("; ") }, ..last })
            }
        }
    }

    async fn addresses_of(&self, proxy: &ProxyPlan, took: &mut Duration) -> Result<Vec<SocketAddr>, ConnectError> {
        let look_up = async {
            let found = dns::candidates(&proxy.host, proxy.port, self.plan.bind, &proxy.resolved).await;
            found.map_err(|fault| proxy::not_reached(proxy, fault))
        };
        self.step(Stage::Dns, took, look_up).await
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
                timeout_at(deadline, work).await.unwrap_or_else(|_| Err(self.timed_out(stage, started.elapsed())))
            }
            None => work.await,
        };
        *took = started.elapsed();
        outcome.map_err(|fault| self.failed(stage, fault))
    }

    fn timed_out(&self, stage: Stage, waited: Duration) -> Fault {
        let waited = seconds(waited);
        let (cause, hint) = match stage {
            Stage::Dns => (
                format!("no answer from the name server in {waited}"),
                "check the network and the name server, or give the IP address",
            ),
            Stage::Tcp => (format!("no answer in {waited}"), NO_ANSWER_HINT),
            Stage::Unix => (format!("no answer in {waited}"), "is the broker that owns this socket stuck?"),
            Stage::Proxy => {
                let proxy = self.plan.proxy.as_ref().map(proxy::name).unwrap_or_default();
                let hint = "is the proxy running, and can it reach the broker? --connect-timeout sets the time limit";
                (format!("{proxy}: no answer in {waited}"), hint)
            }
            Stage::Tls => (
                format!("the server accepted the connection but did not complete the TLS handshake in {waited}"),
                "does this port use TLS? MQTT usually uses port 8883 with TLS, 1883 without",
            ),
            Stage::WebSocket => (
                format!("the server accepted the connection but did not answer the WebSocket request in {waited}"),
                "does this port use WebSocket? for plain MQTT, usually on port 1883, remove --ws or ws://; with TLS use \
                 wss://",
            ),
        };
        Fault::new(FailureKind::TimedOut, cause).hint(hint)
    }

    fn failed(&self, stage: Stage, fault: Fault) -> ConnectError {
        let Fault { kind, cause, hint } = fault;
        let target = self.plan.address.to_string();
        ConnectError { stage, kind, target, cause, hint, elapsed: self.started.elapsed() }
    }
}

/// Whether a proxy that failed so for one address of the broker may get through to the next one.
fn may_differ(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Refused | FailureKind::Unreachable | FailureKind::Unavailable | FailureKind::ProxyRefused
    )
}
