//! Proxies and WebSocket servers that refuse, err, dawdle and vanish: each ends with its step, its cause and a hint.

use std::io::Write;
use std::time::Duration;

use mqtools::transport::{FailureKind, ProxyKind, Stage, TransportPlan, resolve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::{failing, plan, proxy, web_socket_plan, with_connection};
use crate::support::peer::{Peer, hold, read_head, relay, write_in_pieces};
use crate::support::proxies::Proxy;
use crate::support::web_socket::upgrade;

/// Serves what it is sent.
fn echo() -> Peer {
    Peer::start(|stream| std::io::copy(&mut &stream, &mut &stream).map(|_| ()))
}

fn assert_echo(plan: &TransportPlan) {
    let echoed = with_connection(plan, async |connected| {
        let mut connection = connected.connection;
        connection.write_all(b"hello").await.unwrap();
        connection.flush().await.unwrap();
        let mut bytes = [0; 5];
        connection.read_exact(&mut bytes).await.unwrap();
        (bytes, connected.timings.proxy.is_some())
    });
    assert_eq!(echoed.unwrap(), (*b"hello", plan.proxy.is_some()));
}

#[test]
fn a_server_that_is_no_web_socket_for_mqtt_is_named_as_what_it_is() {
    let huge = format!("HTTP/1.1 101 x\r\nX: {}", "x".repeat(20_000));
    let refused = FailureKind::WebSocketRefused;
    for (answer, kind, cause, hint) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", refused, "the server answered 404 Not Found", "--ws-path"),
        ("HTTP/1.1 401 Unauthorized\r\n\r\n", refused, "401 Unauthorized", "--ws-header 'Authorization"),
        ("HTTP/1.0 403\r\n\r\n", refused, "answered 403", "Origin"),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", refused, "400 Bad Request", "wss://"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", refused, "200 OK", "--ws-path"),
        (
            "HTTP/1.1 301 Moved\r\nLocation: wss://else\x1b[2J/mqtt\r\n\r\n",
            FailureKind::NotWebSocket,
            "does not speak HTTP",
            "--ws",
        ),
        (
            "HTTP/1.1 301 Moved\r\nLocation: wss://else/\u{9b}2J\r\n\r\n",
            refused,
            "answered 301 Moved to wss://else/\\u{9b}2J",
            "not followed",
        ),
        ("HTTP/1.1 503 Busy\r\n\r\n", FailureKind::Unavailable, "503 Busy", "is the broker running"),
        ("\x15\x03\x03\0\x02\x02\x0a", FailureKind::NotWebSocket, "this port uses TLS", "wss://"),
        ("SSH-2.0-x\r\n", FailureKind::NotWebSocket, "it answered \"S", "WebSocket port"),
        ("HTTP/1.1 101 x\r\n\r\n", FailureKind::NotWebSocket, "without upgrading", "wss://"),
        (&huge, FailureKind::NotWebSocket, "too long", "WebSocket port"),
    ] {
        let chunk = if answer.len() < 1000 { 1 } else { 4096 };
        let error = failing(&web_socket_plan(Peer::answering(answer, chunk).port()));
        assert_eq!((error.stage, error.kind), (Stage::WebSocket, kind), "{error}");
        assert!(error.cause.contains(cause) && error.cause.chars().all(|c| !c.is_control()), "{error}");
        assert!(error.hint.as_ref().is_some_and(|given| given.contains(hint)), "{error:?}");
    }
}

#[test]
fn an_upgrade_that_is_wrong_in_one_thing_is_refused_for_it() {
    type Change = fn(String) -> String;
    let wrong: [(Change, &str); 5] = [
        (|right| right + "\r\n", "does not support the subprotocol \"mqtt\""),
        (|right| right + "Sec-WebSocket-Protocol: chat\r\n\r\n", "chose the subprotocol \"chat\""),
        (
            |right| right + "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            "an extension that was not requested: permessage-deflate",
        ),
        (
            |right| right.replace("accept: ", "accept: x") + "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
            "wrong Sec-WebSocket-Accept",
        ),
        (
            |right| right.replace("upgrade\r\n", "close\r\n") + "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
            "without upgrading",
        ),
    ];
    for (change, cause) in wrong {
        let peer = Peer::start(move |mut stream| {
            let head = read_head(&mut stream)?;
            stream.write_all(change(upgrade(&head)).as_bytes())?;
            hold(&mut stream)
        });
        let error = failing(&web_socket_plan(peer.port()));
        assert_eq!((error.stage, error.kind), (Stage::WebSocket, FailureKind::NotWebSocket), "{error}");
        assert!(error.cause.contains(cause), "{error}");
    }
}

#[test]
fn a_peer_that_closes_or_is_silent_is_reported() {
    let at_once = Peer::start(|mut stream| read_head(&mut stream).map(|_| ()));
    let half_way = Peer::start(|mut stream| {
        read_head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 101 Swi")
    });
    for (peer, cause) in [(&at_once, "instead of answering"), (&half_way, "in the middle")] {
        let error = failing(&web_socket_plan(peer.port()));
        assert_eq!((error.stage, error.kind), (Stage::WebSocket, FailureKind::Closed), "{error}");
        assert!(error.cause.contains(cause), "{error}");
    }
    for kind in [ProxyKind::Socks5h, ProxyKind::Http] {
        for peer in [&at_once, &half_way] {
            // SOCKS5 is no HTTP, so nobody reads a head; closing needs another peer there.
            let closing = Peer::start(|stream| stream.shutdown(std::net::Shutdown::Both));
            let peer = if kind == ProxyKind::Http { peer } else { &closing };
            let error = failing(&TransportPlan { proxy: proxy(kind, &peer.addr().to_string(), None), ..plan(1) });
            assert_eq!((error.stage, error.kind), (Stage::Proxy, FailureKind::Closed), "{error}");
        }
    }
    let silent = Peer::start(|mut stream| hold(&mut stream));
    let soon = Duration::from_millis(500);
    let error = failing(&TransportPlan { timeout: soon, ..web_socket_plan(silent.port()) });
    assert_eq!((error.stage, error.kind), (Stage::WebSocket, FailureKind::TimedOut), "{error}");
    for kind in [ProxyKind::Socks5h, ProxyKind::Http] {
        let silent = proxy(kind, &silent.addr().to_string(), None);
        let error = failing(&TransportPlan { timeout: soon, proxy: silent, ..plan(1) });
        assert_eq!((error.stage, error.kind), (Stage::Proxy, FailureKind::TimedOut), "{error}");
        assert!(error.target == "127.0.0.1:1" && error.cause.starts_with("127.0.0.1:"), "{error}");
    }
}

#[test]
fn proxies_let_through_whom_they_know() {
    let echo = echo();
    let login = Some(("us:er", "p@ss%"));
    for chunk in [1, 100] {
        for (kind, proxy_server) in [
            (ProxyKind::Socks5h, Proxy::socks5(None, chunk)),
            (ProxyKind::Socks5, Proxy::socks5(None, chunk)),
            (ProxyKind::Http, Proxy::http(None, chunk)),
        ] {
            let mut plan = TransportPlan { proxy: proxy(kind, &proxy_server.addr(), None), ..plan(echo.port()) };
            assert_echo(&plan);
            let named = if kind == ProxyKind::Socks5 { "localhost" } else { "broker.test" };
            plan.address = mqtools::transport::Address::Tcp { host: named.into(), port: echo.port() };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(resolve(&mut plan)).unwrap();
            assert_echo(&plan);
            // socks5h and CONNECT hand the name on, socks5 an address.
            let target = proxy_server.targets().pop().unwrap();
            assert_eq!(target.starts_with("broker.test:"), kind != ProxyKind::Socks5, "{target}");
        }
        for (kind, proxy_server) in [
            (ProxyKind::Socks5h, Proxy::socks5(login, chunk)),
            (ProxyKind::Http, Proxy::http(Some(("user", "p@ss%")), chunk)),
        ] {
            let right = if kind == ProxyKind::Http { Some(("user", "p@ss%")) } else { login };
            let with = |login| TransportPlan { proxy: proxy(kind, &proxy_server.addr(), login), ..plan(echo.port()) };
            assert_echo(&with(right));
            // In Base64 the last one differs from "p@ss%" in the case of one letter.
            for (login, cause) in [
                (None, "requires a user and a password"),
                (Some(("user", "x")), "rejected the user or password"),
                (Some(("user", "V@ss%")), "rejected the user or password"),
            ] {
                let error = failing(&with(login));
                assert_eq!((error.stage, error.kind), (Stage::Proxy, FailureKind::ProxyAuthentication), "{error}");
                assert!(error.cause.contains(cause) && error.hint.is_some(), "{error:?}");
            }
        }
    }
}

#[test]
fn the_answer_of_a_proxy_about_the_broker_is_printed() {
    // Bound and not listening: nobody else can take it.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed_port = closed.local_addr().unwrap().port();
    for (kind, server, expected) in [
        (ProxyKind::Socks5h, Proxy::socks5(None, 1), FailureKind::Refused),
        (ProxyKind::Http, Proxy::http(None, 1), FailureKind::Unavailable),
    ] {
        let error = failing(&TransportPlan { proxy: proxy(kind, &server.addr(), None), ..plan(closed_port) });
        assert_eq!((error.stage, error.kind), (Stage::Proxy, expected), "{error}");
        assert!(error.cause.contains(&format!("127.0.0.1:{closed_port}")), "{error}");
    }
    let refused = Peer::answering("HTTP/1.1 403 Forbidden\r\n\r\n", 1);
    let error = failing(&TransportPlan { proxy: proxy(ProxyKind::Http, &refused.addr().to_string(), None), ..plan(1) });
    assert_eq!(error.kind, FailureKind::ProxyRefused, "{error}");
    assert!(error.hint.unwrap().contains("443"));
    let nobody = format!("127.0.0.1:{closed_port}");
    let error = failing(&TransportPlan { proxy: proxy(ProxyKind::Socks5h, &nobody, None), ..plan(1) });
    assert_eq!((error.stage, error.kind), (Stage::Tcp, FailureKind::Refused), "{error}");
    assert!(error.cause.starts_with(&format!("proxy {nobody}: ")) && error.hint.unwrap().contains("--proxy"));
    let error = failing(&TransportPlan { proxy: proxy(ProxyKind::Http, "nothing.invalid:1", None), ..plan(1) });
    assert_eq!((error.stage, error.kind), (Stage::Dns, FailureKind::HostNotFound), "{error}");
}

#[test]
fn what_is_no_proxy_is_recognized() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(20_000));
    for (kind, answer, cause, hint) in [
        (ProxyKind::Socks5h, "HTTP/1.1 400 Bad Request\r\n\r\n", "not a SOCKS5 proxy", "--proxy http://"),
        (ProxyKind::Socks5h, "\x05\x09", "neither a password", "GSSAPI"),
        (ProxyKind::Http, "\x05\u{7f}", "does not speak HTTP", "socks5h://"),
        (ProxyKind::Http, "\x15\x03\x01\0\x02", "uses TLS", "https://"),
        (ProxyKind::Http, "HTTP/1.1 200 OK\r\n\r\n<html>", "extra bytes after its response 200 OK", "CONNECT"),
        (ProxyKind::Http, "HTTP/1.1 400 Bad Request\r\n\r\n", "answered 400 Bad Request", "CONNECT"),
        (ProxyKind::Http, &endless, "too long", "--proxy"),
    ] {
        let answer = answer.to_owned();
        // The first byte of a request is enough for a peer that does not read it.
        let peer = Peer::start(move |mut stream| {
            stream.peek(&mut [0])?;
            write_in_pieces(&mut stream, answer.as_bytes(), 4096)?;
            hold(&mut stream)
        });
        let error = failing(&TransportPlan { proxy: proxy(kind, &peer.addr().to_string(), None), ..plan(1) });
        assert_eq!(error.stage, Stage::Proxy, "{error}");
        assert!(error.cause.contains(cause), "{error}");
        assert!(error.hint.as_ref().is_some_and(|given| given.contains(hint)), "{error:?}");
    }
}

#[test]
fn a_proxy_that_goes_away_later_ends_the_connection() {
    let echo = echo();
    let target = echo.addr();
    let brief = Peer::start(move |mut stream| {
        read_head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        let mut five = [0; 5];
        std::io::Read::read_exact(&mut stream, &mut five)?;
        stream.write_all(&five)
    });
    let through = |peer: &Peer| TransportPlan {
        proxy: proxy(ProxyKind::Http, &peer.addr().to_string(), None),
        ..plan(target.port())
    };
    let end = with_connection(&through(&brief), async |connected| {
        let mut connection = connected.connection;
        connection.write_all(b"hello").await.unwrap();
        let mut bytes = Vec::new();
        connection.read_to_end(&mut bytes).await.map(|_| bytes)
    });
    assert_eq!(end.unwrap().unwrap(), b"hello");
    let lasting = Peer::start(move |mut stream| {
        read_head(&mut stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        relay(&stream, target)
    });
    assert_echo(&through(&lasting));
}
