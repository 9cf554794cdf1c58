//! The opening handshake (RFC 6455 §4.1) and the causes of its failure.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::stream::WebSocket;
use crate::transport::error::{FailureKind, Fault, explain_socket_error};
use crate::transport::http::{Head, HeadError, shown};
use crate::transport::plan::{Address, WebSocketPlan};
use crate::transport::tls::{explain_tls_loss, looks_like_tls};

/// The sub-protocol of MQTT, all versions [MQTT-6.0.0-3].
const SUB_PROTOCOL: &str = "mqtt";

const PATH_HINT: &str = "is the path right? set it with --ws-path or in the URL; most brokers use /mqtt";
const PORT_HINT: &str = "is this the broker's WebSocket port? for plain MQTT, usually on port 1883, remove --ws or ws://; with TLS use wss://";
const TLS_HINT: &str = "use wss:// instead of ws://, or add --tls or --cafile FILE to --ws";

/// Opens a WebSocket for MQTT over a stream, which may be a TLS connection (`tls`).
pub(in crate::transport) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    tls: bool,
    address: &Address,
    plan: &WebSocketPlan,
) -> Result<WebSocket<S>, Fault> {
    let key = generate_key();
    let request = request(address, tls, plan, &key);
    stream.write_all(&request).await.map_err(|error| lost(&error))?;
    stream.flush().await.map_err(|error| lost(&error))?;
    let head = match Head::read(&mut stream).await {
        Ok(head) => head,
        Err(HeadError::Io(error)) => return Err(lost(&error)),
        Err(other) => return Err(no_answer(&other)),
    };
    check(&head, &key)?;
    Ok(WebSocket::new(stream, head.rest).await)
}

/// A connection that broke: over TLS 1.3 this is also where a server refuses our certificate.
fn lost(error: &std::io::Error) -> Fault {
    let fault = explain_tls_loss(error).unwrap_or_else(|| explain_socket_error(error));
    if fault.kind == FailureKind::Closed { no_answer(&HeadError::Closed(0)) } else { fault }
}

fn request(address: &Address, tls: bool, plan: &WebSocketPlan, key: &str) -> Vec<u8> {
    let host = match address {
        Address::Tcp { host, port } if *port == if tls { 443 } else { 80 } => bracketed(host),
        Address::Tcp { .. } => address.to_string(),
        Address::Unix(_) => "localhost".to_owned(),
    };
    let mut request = format!("GET {} HTTP/1.1\r\n", plan.path).into_bytes();
    let mut field = |name: &str, value: &[u8]| {
        request.extend_from_slice(name.as_bytes());
        request.extend_from_slice(b": ");
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
    };
    // A virtual host goes by this name, so a header given by the user wins.
    if !plan.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        field("Host", host.as_bytes());
    }
    field("Upgrade", b"websocket");
    field("Connection", b"Upgrade");
    field("Sec-WebSocket-Key", key.as_bytes());
    field("Sec-WebSocket-Version", b"13");
    field("Sec-WebSocket-Protocol", SUB_PROTOCOL.as_bytes());
    for (name, value) in &plan.headers {
        field(name, value.expose());
    }
    request.extend_from_slice(b"\r\n");
    request
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn no_answer(error: &HeadError) -> Fault {
    let not = |cause: &str| Fault::new(FailureKind::NotWebSocket, cause);
    match error {
        HeadError::NotHttp(first) if looks_like_tls(first) => not("this port uses TLS").hint(TLS_HINT),
        HeadError::NotHttp(first) => {
            let first = shown(&first[..first.len().min(24)]);
            not(&format!("the server does not speak HTTP: it answered \"{first}\"")).hint(PORT_HINT)
        }
        HeadError::TooLong => not("the server's response is too long: more than 16 KiB of HTTP header").hint(PORT_HINT),
        // A plain MQTT port closes, for it reads our request as a broken packet; so does a TLS port now and then.
        HeadError::Closed(0) => Fault::new(
            FailureKind::Closed,
            "the server closed the connection instead of answering the WebSocket request",
        )
        .hint(PORT_HINT),
        HeadError::Closed(_) | HeadError::Io(_) => {
            Fault::new(FailureKind::Closed, "the server closed the connection in the middle of its response")
                .hint(PORT_HINT)
        }
    }
}

/// Checks the server's response (RFC 6455 §4.1).
fn check(head: &Head, key: &str) -> Result<(), Fault> {
    if head.status != 101 {
        return Err(refused(head));
    }
    let not = |cause: String, hint: &str| Err(Fault::new(FailureKind::NotWebSocket, cause).hint(hint));
    const BETWEEN: &str = "a proxy in between may not support WebSocket; wss:// usually works";
    if !head.lists("Upgrade", "websocket") || !head.lists("Connection", "upgrade") {
        return not("the server answered 101 without upgrading to WebSocket".into(), BETWEEN);
    }
    if head.field("Sec-WebSocket-Accept") != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        return not("the server's response does not match the request (wrong Sec-WebSocket-Accept)".into(), BETWEEN);
    }
    if let Some(extensions) = head.field("Sec-WebSocket-Extensions") {
        return not(format!("the server uses an extension that was not requested: {}", shown(extensions)), BETWEEN);
    }
    // The server must answer with it [MQTT-6.0.0-4], and browsers insist as well: without it anything may be behind
    // the path, such as a chat.
    const OTHER_SERVICE: &str = "is there an MQTT broker at this path? set the path with --ws-path or in the URL";
    match head.field("Sec-WebSocket-Protocol") {
        Some(protocol) if protocol == SUB_PROTOCOL.as_bytes() => Ok(()),
        Some(other) => {
            not(format!("the server chose the subprotocol \"{}\", not \"mqtt\"", shown(other)), OTHER_SERVICE)
        }
        None => not("the server does not support the subprotocol \"mqtt\"".into(), OTHER_SERVICE),
    }
}

/// Another status than 101.
fn refused(head: &Head) -> Fault {
    let status = head.status_text();
    let of = |kind, hint: &str| Fault::new(kind, format!("the server answered {status}")).hint(hint);
    match head.status {
        300..400 => {
            let target = head.field("Location").map(|target| format!(" to {}", shown(target))).unwrap_or_default();
            let hint = "redirects are not followed: use the new address with -L if you trust it";
            Fault::new(FailureKind::WebSocketRefused, format!("the server answered {status}{target}")).hint(hint)
        }
        400 | 426 => of(
            FailureKind::WebSocketRefused,
            "this port may require TLS (wss://), another path (--ws-path), or a header \
             such as Origin (--ws-header)",
        ),
        401 | 403 => of(
            FailureKind::WebSocketRefused,
            "the server requires authentication before MQTT begins: --ws-header 'Authorization: …' or 'Cookie: …'; \
             some servers accept known origins only: --ws-header 'Origin: https://…'",
        ),
        429 | 502..=504 => of(
            FailureKind::Unavailable,
            "this response is from a server in front of the broker; is the broker running?",
        ),
        _ => of(FailureKind::WebSocketRefused, PATH_HINT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Secret;

    fn plan(headers: &[(&str, &str)]) -> WebSocketPlan {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        WebSocketPlan { path: "/mqtt?x=1".into(), headers }
    }

    fn sent(host: &str, port: u16, tls: bool, plan: &WebSocketPlan) -> String {
        String::from_utf8(request(&Address::Tcp { host: host.into(), port }, tls, plan, "KEY")).unwrap()
    }

    #[test]
    fn a_request_has_what_servers_want() {
        assert_eq!(
            sent("broker", 8083, false, &plan(&[("X-Api", "hunter2")])),
            "GET /mqtt?x=1 HTTP/1.1\r\nHost: broker:8083\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: KEY\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\
             X-Api: hunter2\r\n\r\n"
        );
        for (host, port, tls, line) in [
            ("broker", 80, false, "Host: broker\r\n"),
            ("broker", 443, true, "Host: broker\r\n"),
            ("broker", 443, false, "Host: broker:443\r\n"),
            ("::1", 80, false, "Host: [::1]\r\n"),
            ("::1", 81, false, "Host: [::1]:81\r\n"),
        ] {
            assert!(sent(host, port, tls, &plan(&[])).contains(line), "{host} {port} {tls}");
        }
        let own = sent("broker", 80, false, &plan(&[("host", "tenant.example")]));
        assert!(own.contains("host: tenant.example\r\n") && !own.contains("Host: broker"), "{own}");
        let unix = request(&Address::Unix("/s".into()), false, &plan(&[]), "KEY");
        assert!(String::from_utf8(unix).unwrap().contains("Host: localhost\r\n"));
    }

    #[test]
    fn debug_output_shows_no_header() {
        let text = format!("{:?}", plan(&[("Authorization", "hunter2")]));
        assert!(text.contains("Authorization") && !text.contains("hunter2"), "{text}");
    }
}
