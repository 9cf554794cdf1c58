//! The URL of `-L`: `mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC]`, `ws[s]://HOST[:PORT][/PATH]`, `unix:PATH`. No
//! error repeats a part that may hold a password.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use percent_encoding::{CONTROLS, percent_decode_str, utf8_percent_encode};

use super::values::port;
use crate::mqtt::Secret;

/// A URL, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BrokerUrl {
    /// `mqtts` or `wss`.
    pub tls: bool,
    /// `ws` or `wss`.
    pub web_socket: bool,
    /// Path and query of a WebSocket, where one is written.
    pub path: Option<String>,
    /// Path of a Unix socket; then there is nothing else.
    pub unix: Option<PathBuf>,
    /// Host, IPv6 without brackets.
    pub host: Option<String>,
    /// Port, the scheme's where none is written.
    pub port: Option<u16>,
    /// User, decoded.
    pub user: Option<String>,
    /// Password, decoded.
    pub password: Option<Secret>,
    /// All after the first `/`, decoded; `None` when nothing is there.
    pub topic: Option<String>,
}

const FORM: &str =
    "the form is mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC], ws[s]://HOST[:PORT][/PATH] or unix:PATH";

impl BrokerUrl {
    /// Reads a URL. The error is the end of a sentence that begins with `-L`.
    pub(super) fn parse(url: &Secret) -> Result<Self, String> {
        let text = std::str::from_utf8(url.expose()).map_err(|_| "the URL is not UTF-8")?;
        if let Some((_, path)) = text.split_once(':').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("unix")) {
            return Self::of_unix(path);
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("the URL has no scheme; {FORM}"))?;
        let (tls, web_socket, port_of_scheme) = match scheme.to_ascii_lowercase().as_str() {
            // tcp and ssl are the names that Paho's clients have for these.
            "mqtt" | "tcp" => (false, false, 1883),
            "mqtts" | "ssl" => (true, false, 8883),
            "ws" => (false, true, 80),
            "wss" => (true, true, 443),
            _ => return Err("the scheme of the URL must be mqtt, mqtts, ws, wss or unix".into()),
        };
        // A topic may begin with a ?, but the query of a path may follow the host at once.
        let end = rest.find(if web_socket { &['/', '?', '#'][..] } else { &['/'][..] }).unwrap_or(rest.len());
        let (authority, behind) = rest.split_at(end);
        let Authority { user, password, host, port } = Authority::parse(authority)?;
        let mut url = Self {
            tls,
            web_socket,
            host: Some(host),
            port: Some(port.unwrap_or(port_of_scheme)),
            user,
            password,
            ..Self::default()
        };
        if !web_socket {
            let topic = behind.strip_prefix('/').unwrap_or(behind);
            url.topic = Some(decode(topic, "topic")?).filter(|topic| !topic.is_empty());
        } else if !behind.is_empty() {
            let slash = if behind.starts_with('?') { "/" } else { "" };
            url.path =
                Some(web_socket_path(&format!("{slash}{behind}")).map_err(|fault| format!("the path: {fault}"))?);
        }
        Ok(url)
    }

    /// `unix:PATH`, and `unix:///PATH` as some write it.
    fn of_unix(path: &str) -> Result<Self, String> {
        let path = match path.strip_prefix("//") {
            Some(path) if path.starts_with('/') => path,
            Some(_) => return Err("a Unix socket has no host: the form is unix:PATH or unix:///PATH".into()),
            None => path,
        };
        if path.is_empty() {
            return Err("the path of the Unix socket is missing: the form is unix:PATH".into());
        }
        Ok(Self { unix: Some(decode(path, "path")?.into()), ..Self::default() })
    }
}

/// The part of a URL between `//` and the path: `[USER[:PASSWORD]@]HOST[:PORT]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authority {
    /// User, decoded and not empty.
    pub user: Option<String>,
    /// Password, decoded.
    pub password: Option<Secret>,
    /// Host, IPv6 without brackets.
    pub host: String,
    /// Port, where one is written.
    pub port: Option<u16>,
}

impl Authority {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // The last @ ends the user part, so a password may contain one, although RFC 3986 requires %40.
        let (user_info, place) = match text.rsplit_once('@') {
            Some((user_info, place)) => (Some(user_info), place),
            None => (None, text),
        };
        let (user, password) = match user_info.map(|info| info.split_once(':').ok_or(info)) {
            None => (None, None),
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
        };
        let (host, port) = split_place(place)?;
        Ok(Self {
            user: user.map(|user| decode(user, "user")).transpose()?.filter(|user| !user.is_empty()),
            password: password.map(|text| Secret::new(percent_decode_str(text).collect::<Vec<u8>>())),
            host,
            port,
        })
    }
}

/// The path of a WebSocket, fit for an HTTP request: what is not ASCII is percent-encoded.
pub(super) fn web_socket_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("the path of a WebSocket must begin with /".into());
    }
    if text.contains(|c: char| c.is_ascii_control() || c == ' ') {
        return Err("the path of a WebSocket contains a space or a control character; write %20 for a space".into());
    }
    if text.contains('#') {
        return Err("write %23 for # in the path of a WebSocket; use -t for the topic".into());
    }
    Ok(utf8_percent_encode(text, CONTROLS).to_string())
}

fn decode(text: &str, part: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| format!("the {part} of the URL is not UTF-8 after percent-decoding"))?;
    if decoded.contains('\0') {
        return Err(format!("the {part} of the URL contains a NUL character"));
    }
    Ok(decoded.into_owned())
}

/// The fault of a link-local address without an interface (RFC 4007).
pub(super) fn without_zone(address: &str) -> Option<String> {
    let is_link_local = address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_unicast_link_local());
    is_link_local.then(|| format!("{address} is a link-local address and needs an interface, as in {address}%eth0"))
}

fn split_place(place: &str) -> Result<(String, Option<u16>), String> {
    let read_port = |text: &str| port(text).map_err(|fault| format!("the port of the URL {fault}"));
    if let Some(bracketed) = place.strip_prefix('[') {
        let (address, behind) = bracketed.split_once(']').ok_or("the URL has a [ without a ]")?;
        let port = match behind.strip_prefix(':') {
            Some(port) => Some(read_port(port)?),
            None if behind.is_empty() => None,
            None => return Err("only :PORT may follow the ] in the URL".into()),
        };
        // RFC 6874 writes the % of a zone as %25.
        let address = address.replacen("%25", "%", 1);
        if address.split('%').next().is_none_or(|address| address.parse::<Ipv6Addr>().is_err()) {
            return Err("the text in the brackets of the URL is not an IPv6 address".into());
        }
        if let Some(fault) = without_zone(&address) {
            return Err(format!("the host of the URL: {fault}"));
        }
        return Ok((address, port));
    }
    let (host, port) = match place.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            return Err("an IPv6 address in a URL needs brackets, as in //[::1]:1883/; \
                        write %2F for / in a password"
                .into());
        }
        Some((host, port)) => (host, Some(read_port(port)?)),
        None => (place, None),
    };
    let host = decode(host, "host")?;
    if host.is_empty() {
        return Err("the URL has no host".into());
    }
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || "?#\\[]@%/".contains(c)) {
        return Err("the host of the URL contains an invalid character".into());
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BrokerUrl, String> {
        BrokerUrl::parse(&Secret::new(text))
    }

    #[test]
    fn parts_of_a_url() {
        let url = parse("MQTTS://us%40er:p%2Fw%3A@example.org:8884/a%20b/#?x").unwrap();
        assert!(url.tls);
        assert_eq!((url.host.as_deref(), url.port), (Some("example.org"), Some(8884)));
        assert_eq!(url.user.as_deref(), Some("us@er"));
        assert_eq!(url.password, Some(Secret::new("p/w:")));
        assert_eq!(url.topic.as_deref(), Some("a b/#?x"));
        for (text, host, port, topic) in [
            ("mqtt://h", "h", 1883, None),
            ("tcp://h/t", "h", 1883, Some("t")),
            ("SSL://h/t", "h", 8883, Some("t")),
            ("mqtt://h/", "h", 1883, None),
            ("mqtts://h//a", "h", 8883, Some("/a")),
            ("mqtt://[::1]:18/t", "::1", 18, Some("t")),
            ("mqtt://[fe80::1%25eth0]/t", "fe80::1%eth0", 1883, Some("t")),
            ("mqtt://a@b:c@h/t", "h", 1883, Some("t")),
            ("mqtt://h/bench/%i", "h", 1883, Some("bench/%i")),
        ] {
            let url = parse(text).unwrap();
            assert_eq!((url.host.as_deref(), url.port), (Some(host), Some(port)), "{text}");
            assert_eq!(url.topic.as_deref(), topic, "{text}");
        }
        assert_eq!(parse("mqtt://:pw@h").unwrap().user, None);
        assert_eq!(parse("mqtt://u:@h").unwrap().password, Some(Secret::new("")));
        assert_eq!(parse("mqtt://u@h").unwrap().password, None);
    }

    #[test]
    fn a_web_socket_has_a_path_and_no_topic() {
        for (text, tls, host, port, path) in [
            ("ws://h", false, "h", 80, None),
            ("WSS://h", true, "h", 443, None),
            ("ws://h/", false, "h", 80, Some("/")),
            ("ws://h:8083/mqtt", false, "h", 8083, Some("/mqtt")),
            ("wss://u:p@[::1]:8084/a/b?token=%40&x=1", true, "::1", 8084, Some("/a/b?token=%40&x=1")),
            ("ws://h?x", false, "h", 80, Some("/?x")),
            ("ws://h/\u{fc}", false, "h", 80, Some("/%C3%BC")),
        ] {
            let url = parse(text).unwrap();
            assert_eq!((url.tls, url.web_socket, url.host.as_deref(), url.port), (tls, true, Some(host), Some(port)));
            assert_eq!((url.path.as_deref(), url.topic), (path, None), "{text}");
        }
        assert_eq!(parse("wss://u:p@h").unwrap().password, Some(Secret::new("p")));
    }

    #[test]
    fn a_unix_socket_is_a_path() {
        for (text, path) in
            [("unix:/run/m.sock", "/run/m.sock"), ("unix:///run/m.sock", "/run/m.sock"), ("unix:a%20b", "a b")]
        {
            let url = parse(text).unwrap();
            assert_eq!(url, BrokerUrl { unix: Some(path.into()), ..BrokerUrl::default() }, "{text}");
        }
    }

    #[test]
    fn wrong_urls_are_named_without_their_password() {
        for (text, cause) in [
            ("h/t", "no scheme"),
            ("http://u:hunter2@h/t", "must be mqtt, mqtts, ws, wss"),
            ("ws://u:hunter2@h/a b", "space"),
            ("ws://u:hunter2@h/a#b", "%23"),
            ("ws://u:hunter2@h#b", "must begin with /"),
            ("wss:///p", "no host"),
            ("unix://tmp/s", "no host"),
            ("unix:", "missing"),
            ("mqtt:///t", "no host"),
            ("mqtt://u:hunter2@/t", "no host"),
            ("mqtt://u:hunter2@h:x/t", "port"),
            ("mqtt://u:hunter2@h:0/t", "port"),
            ("mqtt://u:hunter2@h:65536", "port"),
            ("mqtt://::1/t", "brackets"),
            ("mqtt://[::1/t", "without a ]"),
            ("mqtt://[::1]x/t", "only :PORT"),
            ("mqtt://[hunter2]/t", "not an IPv6"),
            ("mqtt://u:hunter2@[fe80::1]/t", "needs an interface, as in fe80::1%eth0"),
            ("mqtt://u:hunter2 h/t", "port"),
            ("mqtt://h?x/t", "invalid character"),
            ("mqtt://%ff:hunter2@h/t", "not UTF-8"),
            ("mqtt://h/%00", "NUL"),
            ("", "no scheme"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(cause), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
    }
}
