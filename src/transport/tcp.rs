//! Socket addresses to a TCP connection: one after the other at short intervals, until the first one answers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use super::error::{FailureKind, Fault, NO_ANSWER_HINT, explain_socket_error, io_text, seconds};
use super::plan::TransportPlan;
use super::race::{Pace, race};
use super::socket::Socket;

/// How long an address goes without an answer before the next one is tried beside it (RFC 8305 §5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A connected socket, and how long it took to connect, counted from the attempt that succeeded.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) socket: Socket,
    pub(super) took: Duration,
}

/// Connects to the first address that answers, at the latest at the deadline.
pub(super) async fn connect(
    candidates: &[SocketAddr],
    plan: &TransportPlan,
    deadline: Option<Instant>,
) -> Result<Reached, Fault> {
    #[cfg(test)]
    if let Some(outcome) = super::in_memory::dial(candidates).await {
        return outcome;
    }
    let attempt = async |address: SocketAddr| {
        let started = Instant::now();
        let reached = attempt(address, plan.bind, deadline).await.map_err(|fault| (address, fault));
        reached.map(|stream| (stream, started.elapsed()))
    };
    let pace = Pace { delay: ATTEMPT_DELAY, deadline };
    let (stream, took) = race(candidates.iter().copied(), pace, attempt, |_| false).await.map_err(summary)?;
    // A refusal to set it slows the connection down and breaks nothing.
    let _ = stream.set_nodelay(plan.no_delay);
    Ok(Reached { socket: Socket::Tcp(stream), took })
}

async fn attempt(address: SocketAddr, bind: Option<IpAddr>, end: Option<Instant>) -> Result<TcpStream, Fault> {
    let socket = open(address, bind)?;
    let started = Instant::now();
    let connected = match end {
        Some(end) => timeout_at(end, socket.connect(address)).await.map_err(|_| {
            let cause = format!("no answer in {}", seconds(started.elapsed()));
            Fault::new(FailureKind::TimedOut, cause).hint(NO_ANSWER_HINT)
        })?,
        None => socket.connect(address).await,
    };
    let stream = connected.map_err(|error| explain_socket_error(&error))?;
    if is_connected_to_itself(&stream) {
        return Err(explain_socket_error(&io::ErrorKind::ConnectionRefused.into()));
    }
    Ok(stream)
}

/// If no process listens on a port of this machine, the system may choose that very port for our end, and TCP connects
/// the two: nobody answers there, and a broker that starts finds its port in use.
fn is_connected_to_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

fn open(address: SocketAddr, bind: Option<IpAddr>) -> Result<TcpSocket, Fault> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|error| explain_socket_error(&error))?;
    if let Some(local) = bind {
        choose_port_late(&socket);
        socket.bind(SocketAddr::new(local, 0)).map_err(|error| explain_bind_error(local, &error))?;
    }
    Ok(socket)
}

/// Lets the system choose the local port when it knows whereto, so that a port serves once for each broker and not only
/// once for the local address. Where it does not work nothing is lost but that.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn choose_port_late(socket: &TcpSocket) {
    let _ = nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true);
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn choose_port_late(_: &TcpSocket) {}

/// Whether this machine has a local address that connections are to come from.
///
/// # Errors
/// The cause with the next step, as a connection from there would give it.
pub fn check_local_address(local: IpAddr) -> Result<(), Fault> {
    std::net::UdpSocket::bind(SocketAddr::new(local, 0)).map(drop).map_err(|error| explain_bind_error(local, &error))
}

fn explain_bind_error(local: IpAddr, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            Fault::new(FailureKind::LocalAddress, format!("{local} is not an address of this machine"))
                .hint(format!("give one that it has (-A), or add this one: ip addr add {local} dev INTERFACE"))
        }
        // Every port of this local address is taken.
        io::ErrorKind::AddrInUse => explain_socket_error(error),
        _ => Fault::new(FailureKind::LocalAddress, format!("cannot use the local address {local}: {}", io_text(error))),
    }
}

/// One fault for all addresses: what they have in common once, otherwise each with its own cause. The kind and the
/// hint are those of the last address, which is mostly the IPv4 one.
fn summary(failures: Vec<(SocketAddr, Fault)>) -> Fault {
    let Some((_, last)) = failures.last().cloned() else {
        return Fault::new(FailureKind::HostNotFound, "no address to connect to");
    };
    let list = |separator: &str, text: &dyn Fn(&(SocketAddr, Fault)) -> String| {
        failures.iter().map(text).collect::<Vec<_>>().join(separator)
    };
    let cause = if failures.iter().all(|(_, fault)| fault.cause == last.cause) {
        format!("{} ({})", last.cause, list(", ", &|(address, _)| address.to_string()))
    } else {
        list("; ", &|(address, fault)| format!("{address}: {}", fault.cause))
    };
    Fault { cause, ..last }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(cause: &str) -> Fault {
        Fault::new(FailureKind::Refused, cause)
    }

    #[test]
    fn a_summary_names_every_address() {
        let six = "[::1]:1".parse().unwrap();
        let four = "127.0.0.1:1".parse().unwrap();
        let same = summary(vec![(six, fault("connection refused")), (four, fault("connection refused"))]);
        assert_eq!(same.cause, "connection refused ([::1]:1, 127.0.0.1:1)");
        let mixed = summary(vec![(six, fault("no route to the host")), (four, fault("connection refused"))]);
        assert_eq!(mixed.cause, "[::1]:1: no route to the host; 127.0.0.1:1: connection refused");
    }
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_of_a_port_to_itself_is_none() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let own = socket.local_addr().unwrap();
        assert!(is_connected_to_itself(&socket.connect(own).await.unwrap()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(!is_connected_to_itself(&stream));
    }
}
