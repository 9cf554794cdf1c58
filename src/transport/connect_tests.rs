//! Connecting over loopback without TLS: what works, and what the errors say.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

use super::tls::test_server::plan;
use super::{Address, Connection, FailureKind, Socket, Stage, TlsPlan, connect, tcp};

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address where nobody listens, kept from others by a bound socket.
fn closed_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn bytes_go_both_ways() {
    let (listener, address) = listener().await;
    let connected = connect(&plan("127.0.0.1", address.port(), None), None).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let mut connection = connected.connection;
    assert!(connected.timings.tls.is_none() && connected.timings.tcp > Duration::ZERO);
    assert_eq!((connection.peer(), connection.tls_info()), (Some(address), None));
    connection.write_all(b"ping").await.unwrap();
    let mut buffer = [0; 4];
    server.read_exact(&mut buffer).await.unwrap();
    server.write_all(&buffer).await.unwrap();
    connection.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"ping");
    let Some(Socket::Tcp(stream)) = connection.as_plain() else { panic!("not a TCP socket") };
    assert!(stream.nodelay().unwrap());
    drop(server);
    assert_eq!(connection.read(&mut buffer).await.unwrap(), 0);
}

#[test]
fn a_plain_connection_is_small() {
    // mqbench holds tens of thousands; the state of TLS must not be part of each.
    assert!(size_of::<Connection>() <= 64, "{}", size_of::<Connection>());
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let (_kept, address) = closed_port();
    let error = connect(&plan("127.0.0.1", address.port(), None), None).await.unwrap_err();
    assert_eq!((error.stage, error.kind), (Stage::Tcp, FailureKind::Refused));
    assert_eq!(error.to_string(), format!("cannot connect to {address}: TCP: connection refused ({address})"));
    assert!(error.hint.unwrap().contains("is a broker running there"));
}

#[tokio::test]
async fn the_next_address_is_tried_after_a_refusal() {
    let (_kept, closed) = closed_port();
    let (_listener, open) = listener().await;
    let plan = plan("several.test", 0, None);
    let socket = tcp::connect(&[closed, open], &plan, None).await.unwrap().socket;
    assert_eq!(socket.peer(), Some(open));
    let (_kept_too, closed_too) = closed_port();
    let fault = tcp::connect(&[closed, closed_too], &plan, None).await.unwrap_err();
    assert_eq!(fault.cause, format!("connection refused ({closed}, {closed_too})"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_swallows_packets_does_not_keep_the_next_from_its_turn() {
    // A listener whose queue is full: Linux drops the SYN of whoever comes next.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = socket.local_addr().unwrap();
    let _never_accepts = socket.listen(0).unwrap();
    let mut fillers = Vec::new();
    let full = loop {
        if fillers.len() == 64 {
            break false;
        }
        match tokio::time::timeout(Duration::from_secs(1), tokio::net::TcpStream::connect(silent)).await {
            Ok(Ok(stream)) => fillers.push(stream),
            Ok(Err(_)) => break false,
            Err(_) => break true,
        }
    };
    if !full {
        eprintln!("skipped: this kernel takes connections beyond the queue");
        return;
    }
    let (_listener, open) = listener().await;
    let plan = plan("several.test", 0, None);
    // Well before the system gives up, which takes minutes.
    let candidates = [silent, open];
    let connecting = tokio::time::timeout(Duration::from_secs(60), tcp::connect(&candidates, &plan, None));
    assert_eq!(connecting.await.unwrap().unwrap().socket.peer(), Some(open));
    let mut plan = super::tls::test_server::plan("127.0.0.1", silent.port(), None);
    plan.timeout = Duration::from_millis(200);
    let error = connect(&plan, None).await.unwrap_err();
    assert_eq!((error.stage, error.kind), (Stage::Tcp, FailureKind::TimedOut), "{error}");
    assert!(error.cause.contains("no answer in "), "{error}");
}

#[tokio::test]
async fn the_local_address_is_ours_to_choose() {
    let (listener, address) = listener().await;
    let mut plan = plan("127.0.0.1", address.port(), None);
    plan.bind = Some("127.0.0.1".parse().unwrap());
    let connected = connect(&plan, None).await.unwrap();
    assert_eq!(listener.accept().await.unwrap().1.ip(), plan.bind.unwrap());
    drop((connected, listener));
    // TEST-NET-3 (RFC 5737) is nobody's; TEST-NET-1 is given to virtual machines now and then.
    plan.bind = Some("203.0.113.7".parse().unwrap());
    let error = connect(&plan, None).await.unwrap_err();
    assert_eq!((error.stage, error.kind), (Stage::Tcp, FailureKind::LocalAddress), "{error}");
    assert!(error.cause.contains("203.0.113.7 is not an address of this machine"), "{error}");
}

#[tokio::test]
async fn an_unknown_host_fails_at_dns() {
    let error = connect(&plan("nothing.invalid", 1883, None), None).await.unwrap_err();
    assert_eq!((error.stage, error.kind), (Stage::Dns, FailureKind::HostNotFound));
    assert!(error.to_string().starts_with("cannot connect to nothing.invalid:1883: DNS: "), "{error}");
}

#[tokio::test]
async fn a_time_out_beyond_the_clock_is_none() {
    let (_listener, address) = listener().await;
    let mut plan = plan("127.0.0.1", address.port(), None);
    plan.timeout = Duration::MAX;
    connect(&plan, None).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_reached_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sock");
    let mut plan = plan("", 0, None);
    plan.address = Address::Unix(path.clone());
    let error = connect(&plan, None).await.unwrap_err();
    assert_eq!((error.stage, error.kind), (Stage::Unix, FailureKind::HostNotFound), "{error}");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let mut connection = connect(&plan, None).await.unwrap().connection;
    let (mut server, _) = listener.accept().await.unwrap();
    assert_eq!(connection.peer(), None);
    connection.write_all(b"x").await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
    plan.tls = Some(TlsPlan { insecure: true, ..TlsPlan::default() });
    let error = connect(&plan, None).await.unwrap_err();
    assert_eq!((error.stage, error.kind), (Stage::Tls, FailureKind::TlsSetup), "{error}");
    drop(listener);
    plan.tls = None;
    let error = connect(&plan, None).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Refused, "{error}");
}
