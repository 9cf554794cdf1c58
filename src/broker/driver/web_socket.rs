//! MQTT over WebSocket: the server's half of the handshake, read as it comes, and frames without blocking.

use std::io::{self, IoSlice, Write};

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message, WebSocket};

use super::socket::{ReadStep, Socket};
use crate::broker::WEB_SOCKET_PATH;

/// Longest request that is read.
const MOST_REQUEST: usize = 16 * 1024;
const MOST_FIELDS: usize = 100;
/// Most bytes of MQTT in a message that we send.
const MOST_MESSAGE: usize = 64 * 1024;

/// Which web pages may connect. A browser names the page's origin; other clients name none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OriginRule {
    /// The origins that may (`websockets_origin`); none names no restriction but the next.
    pub allowed: Vec<String>,
    /// Without a list, only pages of this machine: the listener is on the loopback interface, and what is reached there
    /// is meant for this machine, not for every page that its browser shows.
    pub loopback: bool,
}

impl OriginRule {
    fn allows(&self, origin: &str, host: Option<&str>) -> bool {
        if !self.allowed.is_empty() {
            return self.allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin));
        }
        if !self.loopback {
            return true;
        }
        let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
        let name = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        let is_loopback = name.eq_ignore_ascii_case("localhost")
            || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        // A page of the same host and port cannot be foreign, unless the name was bent to point here.
        is_loopback || (host.is_none() && origin == "null")
    }
}

enum State {
    /// The request, as far as it has come.
    Request(Socket, Vec<u8>),
    Open(Box<WebSocket<Socket>>),
}

/// A connection of a WebSocket listener.
pub(super) struct WebSocketStream {
    /// Nothing only within a call.
    state: Option<State>,
    rule: OriginRule,
    /// MQTT of a message that did not fit into the reader's buffer.
    rest: Bytes,
    /// The last write is not complete.
    unflushed: bool,
    limit: usize,
}

impl WebSocketStream {
    pub(super) fn new(socket: Socket, rule: OriginRule) -> Self {
        let state = Some(State::Request(socket, Vec::new()));
        Self { state, rule, rest: Bytes::new(), unflushed: false, limit: 0 }
    }

    pub(super) fn socket(&mut self) -> &mut Socket {
        match &mut self.state {
            Some(State::Request(socket, _)) => socket,
            Some(State::Open(web_socket)) => web_socket.get_mut(),
            None => unreachable!("the state is put back in the same call"),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8], limit: usize) -> io::Result<ReadStep> {
        if let Some(State::Request(..)) = self.state
            && let Some(step) = self.read_request(buffer)?
        {
            return Ok(step);
        }
        let Some(State::Open(web_socket)) = &mut self.state else { return Ok(ReadStep::Closed) };
        if self.limit != limit {
            self.limit = limit;
            // A message may hold several packets, but need not.
            let most = limit.saturating_add(MOST_MESSAGE);
            web_socket.set_config(|config| {
                config.max_message_size = Some(most);
                config.max_frame_size = Some(most);
            });
        }
        while self.rest.is_empty() {
            match web_socket.read() {
                Ok(Message::Binary(bytes)) => self.rest = bytes,
                // An answer to a ping goes out with the next flush.
                Ok(Message::Ping(_)) => self.unflushed = true,
                Ok(Message::Pong(_) | Message::Frame(_)) => {}
                // MQTT comes in binary messages only (MQTT-6.0.0-1).
                Ok(Message::Text(_)) => return Err(invalid("a text message")),
                Ok(Message::Close(_)) => {
                    let _ = web_socket.flush();
                    return Ok(ReadStep::Closed);
                }
                Err(tungstenite::Error::Io(error)) if super::would_block(&error) => return Ok(ReadStep::Blocked),
                Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => {
                    return Ok(ReadStep::Closed);
                }
                Err(tungstenite::Error::Io(error)) => return Err(error),
                Err(tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                    return Ok(ReadStep::Closed);
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest = self.rest.slice(count..);
        Ok(ReadStep::Some(count))
    }

    /// Reads the request; nothing when the WebSocket is open.
    fn read_request(&mut self, buffer: &mut [u8]) -> io::Result<Option<ReadStep>> {
        let Some(State::Request(socket, request)) = &mut self.state else { return Ok(None) };
        loop {
            match io::Read::read(socket, buffer) {
                Ok(0) => return Ok(Some(ReadStep::Closed)),
                Ok(count) => request.extend_from_slice(&buffer[..count]),
                Err(error) if super::would_block(&error) => return Ok(Some(ReadStep::Blocked)),
                Err(error) => return Err(error),
            }
            match answer(request, &self.rule) {
                Answer::Wait if request.len() > MOST_REQUEST => return Err(invalid("a request without an end")),
                Answer::Wait => {}
                Answer::Open { head, used } => {
                    // The socket's buffer is empty, so the answer fits.
                    socket.write_all(head.as_bytes())?;
                    let rest = request[used..].to_vec();
                    if let Some(State::Request(socket, _)) = self.state.take() {
                        let config = WebSocketConfig::default()
                            .read_buffer_size(4 * 1024)
                            .write_buffer_size(0)
                            .max_message_size(Some(2 * MOST_MESSAGE))
                            .max_frame_size(Some(2 * MOST_MESSAGE));
                        let web_socket = WebSocket::from_partially_read(socket, rest, Role::Server, Some(config));
                        self.state = Some(State::Open(Box::new(web_socket)));
                    }
                    return Ok(None);
                }
                Answer::Refuse { head, why } => {
                    socket.write_all(head.as_bytes())?;
                    return Err(invalid(&why));
                }
            }
        }
    }

    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let Some(State::Open(web_socket)) = &mut self.state else { return Ok(0) };
        let mut message = Vec::new();
        for slice in slices {
            let count = slice.len().min(MOST_MESSAGE - message.len());
            message.extend_from_slice(&slice[..count]);
        }
        let count = message.len();
        match web_socket.write(Message::Binary(message.into())) {
            Ok(()) => {}
            Err(tungstenite::Error::Io(error)) if super::would_block(&error) => {}
            Err(error) => return Err(other(error)),
        }
        self.unflushed = true;
        self.flush()?;
        Ok(count)
    }

    /// Writes what is left; whether that was all.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        if let (true, Some(State::Open(web_socket))) = (self.unflushed, &mut self.state) {
            match web_socket.flush() {
                Ok(()) => self.unflushed = false,
                Err(tungstenite::Error::Io(error)) if super::would_block(&error) => {}
                Err(error) => return Err(other(error)),
            }
        }
        Ok(!self.unflushed)
    }

    pub(super) fn close(&mut self) {
        if let Some(State::Open(web_socket)) = &mut self.state {
            let _ = web_socket.close(None);
            let _ = web_socket.flush();
        }
    }
}

fn other(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

enum Answer {
    Wait,
    Open { head: String, used: usize },
    Refuse { head: String, why: String },
}

/// What a request is answered with (RFC 6455 §4.2).
fn answer(request: &[u8], rule: &OriginRule) -> Answer {
    let refuse = |status: &str, why: &str| {
        let more = if status.starts_with("426") { "Sec-WebSocket-Version: 13\r\n" } else { "" };
        let length = why.len() + 1;
        let head = format!(
            "HTTP/1.1 {status}\r\n{more}Content-Type: text/plain\r\nContent-Length: {length}\r\nConnection: \
             close\r\n\r\n{why}\n"
        );
        Answer::Refuse { head, why: why.to_owned() }
    };
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let used = match head.parse(request) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Answer::Wait,
        Err(error) => return refuse("400 Bad Request", &error.to_string()),
    };
    let field = |name: &str| {
        let found = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok().map(str::trim)
    };
    let lists = |name: &str, word: &str| {
        let mut found = head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        found.any(|field| {
            let text = std::str::from_utf8(field.value).unwrap_or_default();
            text.split(',').any(|item| item.trim().eq_ignore_ascii_case(word))
        })
    };
    let path = head.path.unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    if path.trim_end_matches('/') != WEB_SOCKET_PATH {
        return refuse("404 Not Found", "MQTT over WebSocket is at the path /mqtt");
    }
    if head.method != Some("GET") || !lists("Connection", "upgrade") || !lists("Upgrade", "websocket") {
        return refuse("400 Bad Request", "this port serves MQTT over WebSocket");
    }
    if field("Sec-WebSocket-Version") != Some("13") {
        return refuse("426 Upgrade Required", "only version 13 of the WebSocket protocol is supported");
    }
    let Some(key) = field("Sec-WebSocket-Key") else {
        return refuse("400 Bad Request", "Sec-WebSocket-Key is missing");
    };
    if let Some(origin) = field("Origin")
        && !rule.allows(origin, field("Host"))
    {
        return refuse("403 Forbidden", "web pages of this origin may not connect (websockets_origin)");
    }
    // The name does not matter: the version is in the CONNECT. Clients before 3.1.1 send the last one.
    let protocol = ["mqtt", "mqttv3.1"].into_iter().find(|name| lists("Sec-WebSocket-Protocol", name));
    let protocol = protocol.map_or(String::new(), |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    let accept = derive_accept_key(key.as_bytes());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \
         {accept}\r\n{protocol}\r\n"
    );
    Answer::Open { head, used }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(request: &str, rule: &OriginRule) -> String {
        match answer(request.as_bytes(), rule) {
            Answer::Wait => "wait".to_owned(),
            Answer::Open { head, .. } | Answer::Refuse { head, .. } => head[9..12].to_owned(),
        }
    }

    fn request(more: &str) -> String {
        format!(
            "GET /mqtt HTTP/1.1\r\nHost: localhost:9001\r\nUpgrade: websocket\r\nConnection: keep-alive, \
             Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        )
    }

    #[test]
    fn foreign_pages_may_not_connect_to_the_loopback_interface() {
        let loopback = OriginRule { allowed: vec![], loopback: true };
        let open = OriginRule::default();
        let listed = OriginRule { allowed: vec!["https://good.example".into()], loopback: true };
        for (origin, expected) in [
            ("http://localhost:8080", ["101", "101", "403"]),
            ("http://127.0.0.1", ["101", "101", "403"]),
            ("http://[::1]:3000", ["101", "101", "403"]),
            ("https://evil.example", ["403", "101", "403"]),
            ("https://localhost.evil.example", ["403", "101", "403"]),
            ("null", ["403", "101", "403"]),
            ("https://good.example", ["403", "101", "101"]),
        ] {
            let request = request(&format!("Origin: {origin}\r\n"));
            let got = [&loopback, &open, &listed].map(|rule| status(&request, rule));
            assert_eq!(got, expected, "{origin}");
        }
        assert_eq!(status(&request(""), &listed), "101");
    }

    #[test]
    fn a_request_is_read_in_pieces_and_refused_for_what_it_is() {
        let rule = OriginRule::default();
        let whole = request("Sec-WebSocket-Protocol: mqtt\r\n");
        for end in 0..whole.len() {
            assert_eq!(status(&whole[..end], &rule), "wait");
        }
        let Answer::Open { head, used } = answer(whole.as_bytes(), &rule) else { panic!() };
        assert!(head.contains("Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") && head.contains("Protocol: mqtt\r\n"));
        assert_eq!(used, whole.len());
        assert_eq!(status(&whole.replace("/mqtt ", "/other "), &rule), "404");
        assert_eq!(status(&whole.replace("/mqtt ", "/mqtt?x=1 "), &rule), "101");
        assert_eq!(status(&whole.replace("Version: 13", "Version: 8"), &rule), "426");
        assert_eq!(status(&whole.replace("GET", "POST"), &rule), "400");
        assert_eq!(status("\u{1}\u{2}\r\n\r\n", &rule), "400");
    }
}
