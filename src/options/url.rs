//! The URL of `-L`: `mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC]`. No error repeats a part that may hold a password.

use std::net::Ipv6Addr;

use percent_encoding::percent_decode_str;

use super::values::port;
use crate::mqtt::Secret;

/// A URL, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BrokerUrl {
    /// `mqtts`.
    pub tls: bool,
    /// Host, IPv6 without brackets.
    pub host: String,
    /// Port, where one is written.
    pub port: Option<u16>,
    /// User, decoded.
    pub user: Option<String>,
    /// Password, decoded.
    pub password: Option<Secret>,
    /// All after the first `/`, decoded; `None` when nothing is there.
    pub topic: Option<String>,
}

impl BrokerUrl {
    /// Port of the scheme where none is written.
    pub(super) fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(if self.tls { 8883 } else { 1883 })
    }

    /// Reads a URL. The error is the end of a sentence that begins with `-L`.
    pub(super) fn parse(url: &Secret) -> Result<Self, String> {
        let text = std::str::from_utf8(url.expose()).map_err(|_| "the URL is not UTF-8")?;
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("the URL has no scheme; it is written mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC]")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => false,
            "mqtts" => true,
            "ws" | "wss" => return Err("MQTT over WebSocket is not built yet; use mqtt:// or mqtts://".into()),
            "unix" => return Err("unix:// is not built yet; use --unix PATH".into()),
            _ => return Err("the scheme of the URL is neither mqtt nor mqtts".into()),
        };
        let (authority, topic) = rest.split_once('/').unwrap_or((rest, ""));
        // The last @ ends the user part, so a password that holds one works although RFC 3986 wants %40 there.
        let (user_info, place) = match authority.rsplit_once('@') {
            Some((user_info, place)) => (Some(user_info), place),
            None => (None, authority),
        };
        let (user, password) = match user_info.map(|info| info.split_once(':').ok_or(info)) {
            None => (None, None),
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
        };
        let (host, port) = split_place(place)?;
        Ok(Self {
            tls,
            host,
            port,
            user: user.map(|user| decode(user, "user")).transpose()?.filter(|user| !user.is_empty()),
            password: password.map(|text| Secret::new(percent_decode_str(text).collect::<Vec<u8>>())),
            topic: Some(decode(topic, "topic")?).filter(|topic| !topic.is_empty()),
        })
    }
}

fn decode(text: &str, part: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| format!("the {part} of the URL is not UTF-8 once its percent-encoding is decoded"))?;
    if decoded.contains('\0') {
        return Err(format!("the {part} of the URL holds a NUL character"));
    }
    Ok(decoded.into_owned())
}

fn split_place(place: &str) -> Result<(String, Option<u16>), String> {
    let read_port = |text: &str| port(text).map_err(|fault| format!("the port of the URL is wrong: {fault}"));
    if let Some(bracketed) = place.strip_prefix('[') {
        let (address, behind) = bracketed.split_once(']').ok_or("the URL has a [ without its ]")?;
        let port = match behind.strip_prefix(':') {
            Some(port) => Some(read_port(port)?),
            None if behind.is_empty() => None,
            None => return Err("after the ] of the URL only :PORT may stand".into()),
        };
        // RFC 6874 writes the % of a zone as %25.
        let address = address.replacen("%25", "%", 1);
        if address.split('%').next().is_none_or(|address| address.parse::<Ipv6Addr>().is_err()) {
            return Err("what stands in the brackets of the URL is not an IPv6 address".into());
        }
        return Ok((address, port));
    }
    let (host, port) = match place.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            return Err("an IPv6 address stands in brackets in a URL, as in mqtt://[::1]:1883/topic; \
                        a / in a password is written %2F"
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
        return Err("the host of the URL holds a character that no host name has".into());
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
        assert_eq!((url.host.as_str(), url.port), ("example.org", Some(8884)));
        assert_eq!(url.user.as_deref(), Some("us@er"));
        assert_eq!(url.password, Some(Secret::new("p/w:")));
        assert_eq!(url.topic.as_deref(), Some("a b/#?x"));
        for (text, host, port, topic) in [
            ("mqtt://h", "h", 1883, None),
            ("mqtt://h/", "h", 1883, None),
            ("mqtts://h//a", "h", 8883, Some("/a")),
            ("mqtt://[::1]:18/t", "::1", 18, Some("t")),
            ("mqtt://[fe80::1%25eth0]/t", "fe80::1%eth0", 1883, Some("t")),
            ("mqtt://a@b:c@h/t", "h", 1883, Some("t")),
            ("mqtt://h/bench/%i", "h", 1883, Some("bench/%i")),
        ] {
            let url = parse(text).unwrap();
            assert_eq!((url.host.as_str(), url.port_or_default(), url.topic.as_deref()), (host, port, topic), "{text}");
        }
        assert_eq!(parse("mqtt://:pw@h").unwrap().user, None);
        assert_eq!(parse("mqtt://u:@h").unwrap().password, Some(Secret::new("")));
        assert_eq!(parse("mqtt://u@h").unwrap().password, None);
    }

    #[test]
    fn wrong_urls_are_named_without_their_password() {
        for (text, cause) in [
            ("h/t", "no scheme"),
            ("http://u:hunter2@h/t", "neither mqtt nor mqtts"),
            ("ws://u:hunter2@h/t", "not built yet"),
            ("unix:///tmp/s", "--unix"),
            ("mqtt:///t", "no host"),
            ("mqtt://u:hunter2@/t", "no host"),
            ("mqtt://u:hunter2@h:x/t", "port"),
            ("mqtt://u:hunter2@h:0/t", "port"),
            ("mqtt://u:hunter2@h:65536", "port"),
            ("mqtt://::1/t", "brackets"),
            ("mqtt://[::1/t", "without its ]"),
            ("mqtt://[::1]x/t", "only :PORT"),
            ("mqtt://[hunter2]/t", "not an IPv6"),
            ("mqtt://u:hunter2 h/t", "port"),
            ("mqtt://h?x/t", "no host name has"),
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
