//! What the fuzz targets `proxy` and `web_socket` do with their bytes: a peer sends them where we expect an HTTP head,
//! a SOCKS5 answer or WebSocket frames. `tests/properties/peers.rs` runs the same bodies on a stable compiler.

use mqtools::mqtt::Secret;
use mqtools::transport::{
    Address, FailureKind, Fault, ProxyKind, ProxyLogin, ProxyPlan, Socket, WebSocketPlan, ask_proxy, open_web_socket,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

thread_local! {
    static RUNTIME: Runtime =
        Builder::new_current_thread().enable_all().build().unwrap_or_else(|error| panic!("{error}"));
}

/// A password that no error may repeat.
const PASSWORD: &str = "hunter2";

/// Our side of a connection whose peer answers the request with these bytes, `chunk` at a time, and closes. A `{KEY}`
/// in them becomes the Sec-WebSocket-Accept that belongs to the request.
fn with_peer<T>(answer: &[u8], chunk: usize, ours: impl AsyncFnOnce(Socket) -> T) -> T {
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (near, far) = UnixStream::pair().unwrap_or_else(|error| panic!("{error}"));
            let (mut from_us, mut to_us) = far.into_split();
            let peer = async move {
                let mut request = vec![0; 4096];
                let count = from_us.read(&mut request).await.unwrap_or_default();
                let head = String::from_utf8_lossy(&request[..count]);
                let key = head.split("Sec-WebSocket-Key: ").nth(1).and_then(|rest| rest.lines().next());
                let accept = key.map(|key| derive_accept_key(key.as_bytes()));
                let answer = accept.map_or_else(|| answer.to_vec(), |key| replace(answer, b"{KEY}", key.as_bytes()));
                let sending = async move {
                    for piece in answer.chunks(chunk) {
                        if to_us.write_all(piece).await.is_err() {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                    let _ = to_us.shutdown().await;
                };
                let reading = async move { tokio::io::copy(&mut from_us, &mut tokio::io::sink()).await };
                tokio::join!(sending, reading)
            };
            tokio::join!(ours(Socket::Unix(near)), peer).0
        })
    })
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match bytes.windows(from.len()).position(|window| window == from) {
        Some(at) => [&bytes[..at], to, &bytes[at + from.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

fn check_text(fault: &Fault) {
    let Fault { cause, hint, .. } = fault;
    let text = format!("{cause} {}", hint.as_deref().unwrap_or_default());
    assert!(!cause.is_empty() && text.len() < 3000, "{text}");
    assert!(!text.chars().any(char::is_control) && !text.contains(PASSWORD), "{text:?}");
}

/// What a proxy may answer: the first byte says which proxy, and how its bytes come. However they are cut, the outcome
/// is the same; it is a connection only when the answer is one by the standard read slowly, and then nothing that
/// came behind it is lost.
pub fn proxy(data: &[u8]) {
    let [choice, data @ ..] = data else { return };
    let kind = [ProxyKind::Http, ProxyKind::Socks5h][usize::from(choice & 1)];
    let login = (choice & 2 != 0).then(|| ProxyLogin { user: "me".into(), password: Secret::new(PASSWORD) });
    let plan = ProxyPlan { kind, host: "proxy".into(), port: 1, login, resolved: Vec::new() };
    let address = Address::Tcp { host: "broker".into(), port: 1883 };
    let ask = |chunk| {
        with_peer(data, chunk, async |socket| {
            let mut socket = ask_proxy(socket, &plan, &address).await?;
            let mut rest = Vec::new();
            let _ = socket.read_to_end(&mut rest).await;
            Ok::<_, Fault>(rest)
        })
    };
    let expected = match kind {
        ProxyKind::Http => end_of_head(data),
        _ => end_of_socks_answer(data, plan.login.is_some()),
    };
    for chunk in [usize::from(choice >> 2) + 1, 1 << 20] {
        match ask(chunk) {
            Ok(rest) => {
                let end = expected.unwrap_or_else(|| panic!("connected by {data:?}"));
                assert_eq!(rest, &data[end..], "bytes behind the answer {data:?} were lost");
            }
            Err(fault) => {
                check_text(&fault);
                // An HTTP proxy that goes on behind its head is no proxy, if its bytes are there by then.
                let goes_on = kind == ProxyKind::Http && fault.kind == FailureKind::NotProxy;
                assert!(expected.is_none_or(|end| goes_on && end < data.len()), "{fault:?} of {data:?}");
            }
        }
    }
}

/// Where a head with a status of 2xx ends; that the head is sound is for httparse to say.
fn end_of_head(data: &[u8]) -> Option<usize> {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(end) = head.parse(data).ok()? else { return None };
    let starts = data.starts_with(b"HTTP/1.") && head.code.is_some_and(|code| (200..300).contains(&code));
    starts.then_some(end)
}

/// Where a SOCKS5 answer that grants the connection ends (RFC 1928 §3 and §6, RFC 1929 §2).
fn end_of_socks_answer(data: &[u8], login: bool) -> Option<usize> {
    let reply = match data {
        [5, 0, ..] => 2,
        [5, 2, 1, 0, ..] if login => 4,
        _ => return None,
    };
    let length = match data.get(reply..)? {
        [5, 0, 0, 1, ..] => 4 + 4,
        [5, 0, 0, 4, ..] => 4 + 16,
        [5, 0, 0, 3, count, name @ ..] => {
            std::str::from_utf8(name.get(..usize::from(*count))?).ok()?;
            5 + usize::from(*count)
        }
        _ => return None,
    };
    let end = reply + length + 2;
    (end <= data.len()).then_some(end)
}

const UPGRADE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: {KEY}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

/// What a WebSocket server may send: its answer and frames, or with an odd first byte any answer at all. However the
/// bytes are cut, what is read is what the binary messages hold by RFC 6455 read slowly.
pub fn web_socket(data: &[u8]) {
    let [choice, data @ ..] = data else { return };
    let answer = if choice & 1 == 0 { [UPGRADE, data].concat() } else { data.to_vec() };
    let plan = WebSocketPlan { path: "/mqtt".into(), headers: vec![("X-Token".into(), Secret::new(PASSWORD))] };
    let address = Address::Tcp { host: "broker".into(), port: 80 };
    for chunk in [usize::from(choice >> 1) + 1, 1 << 20] {
        let read = with_peer(&answer, chunk, async |socket| {
            let mut connection = open_web_socket(socket, &address, &plan).await?;
            let mut read = Vec::new();
            let _ = connection.read_to_end(&mut read).await;
            Ok::<_, Fault>(read)
        });
        match read {
            Ok(read) if choice & 1 == 0 => assert_eq!(read, binary_messages(data), "of {data:?}"),
            Ok(_) => assert!(answer.starts_with(b"HTTP/1.") && answer.windows(5).any(|it| it == b"{KEY}")),
            Err(fault) => {
                check_text(&fault);
                assert_eq!(choice & 1, 1, "{fault:?}");
            }
        }
    }
}

/// What the whole binary messages of a server's frames hold, up to the first that is none, and up to a Close.
fn binary_messages(mut data: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    let mut message: Option<(u8, Vec<u8>)> = None;
    while let Some((first, payload, rest)) = next_frame(data) {
        data = rest;
        let (last, opcode) = (first & 0x80 != 0, first & 0x0F);
        match opcode {
            _ if first & 0x70 != 0 => break,
            8.. if !last || payload.len() > 125 => break,
            9 | 10 => continue,
            0 if message.is_some() => {}
            1 | 2 if message.is_none() => message = Some((opcode, Vec::new())),
            _ => break,
        }
        let Some((kind, bytes)) = &mut message else { break };
        bytes.extend_from_slice(payload);
        if *kind == 1 && last {
            break; // text is no MQTT
        }
        if last && let Some((_, bytes)) = message.take() {
            read.extend(bytes);
        }
    }
    read
}

/// First byte and payload of a whole frame without a mask, and what is behind it.
fn next_frame(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (length, start) = match data {
        [_, short @ ..126, ..] => (u64::from(*short), 2),
        [_, 126, a, b, ..] => (u64::from(u16::from_be_bytes([*a, *b])), 4),
        [_, 127, a, b, c, d, e, f, g, h, ..] => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10),
        _ => return None,
    };
    let end = start + usize::try_from(length).ok().filter(|length| *length <= data.len())?;
    Some((data[0], data.get(start..end)?, &data[end..]))
}
