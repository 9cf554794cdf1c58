//! `-L` as mosquitto reads it: split at the first `/`, `@` and `:`, nothing decoded.

use super::numbers::atoi;
use super::refusal::Refusal;

/// The parts of a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Url {
    /// `mqtts` or `wss`.
    pub tls: bool,
    /// `ws` or `wss`.
    pub ws: bool,
    /// User, where one is written.
    pub user: Option<String>,
    /// Password, where one is written.
    pub password: Option<String>,
    /// Host.
    pub host: String,
    /// Port, as a C program reads it, or that of the scheme.
    pub port: i32,
    /// Everything behind the first slash.
    pub topic: String,
}

impl Url {
    /// Reads a URL.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        const SCHEMES: [(&str, bool, bool); 4] =
            [("mqtt://", false, false), ("mqtts://", true, false), ("ws://", false, true), ("wss://", true, true)];
        let scheme = SCHEMES
            .into_iter()
            .find(|(scheme, ..)| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
        let (scheme, tls, ws) = scheme.ok_or_else(|| Refusal::spaced("Error: Unsupported URL scheme."))?;
        let (place, topic) = text[scheme.len()..]
            .split_once('/')
            .ok_or_else(|| Refusal::tight("Error: Invalid URL for -L argument specified - topic missing."))?;
        let (user_info, place) = match place.split_once('@') {
            Some((user_info, place)) => (Some(user_info), place),
            None => (None, place),
        };
        let (user, password) = match user_info.map(|info| info.split_once(':').ok_or(info)) {
            None => (None, None),
            Some(Ok((user, password))) => (Some(user.to_owned()), Some(password.to_owned())),
            Some(Err(user)) => (Some(user.to_owned()), None),
        };
        let (host, port) = match place.split_once(':') {
            Some((host, port)) => (host, atoi(port)),
            None => (place, if tls { 8883 } else { 1883 }),
        };
        Ok(Self { tls, ws, user, password, host: host.to_owned(), port, topic: topic.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_divider_divides() {
        let url = Url::parse("MQTT://us%40er:p:w@h:18/a/#?x%20").unwrap();
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("us%40er"), Some("p:w")));
        assert_eq!((url.host.as_str(), url.port, url.topic.as_str()), ("h", 18, "a/#?x%20"));
        let url = Url::parse("wss://u@h//t").unwrap();
        assert!(url.tls && url.ws);
        assert_eq!((url.user.as_deref(), url.password.as_deref(), url.port), (Some("u"), None, 8883));
        assert_eq!(url.topic, "/t");
        assert_eq!(Url::parse("mqtt://h:x/t").unwrap().port, 0);
        assert_eq!(Url::parse("mqtt:///t").unwrap().host, "");
    }

    #[test]
    fn wrong_urls() {
        let unsupported = Refusal::spaced("Error: Unsupported URL scheme.");
        for text in ["invalid://", "", "mqtt:/h/t", "é://h/t", "tcp://h/t"] {
            assert_eq!(Url::parse(text), Err(unsupported.clone()), "{text}");
        }
        for text in ["mqtt://localhost", "wss://h", "mqtts://u:p@h:1"] {
            let missing = Refusal::tight("Error: Invalid URL for -L argument specified - topic missing.");
            assert_eq!(Url::parse(text), Err(missing), "{text}");
        }
    }
}
