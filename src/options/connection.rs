//! The connection group: where the broker is and how we introduce ourselves.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueEnum, ValueHint};

use super::source_addresses::SourceAddresses;
use super::values::{port, positive_duration, whole_number};
use crate::mqtt::{ProtocolVersion, Secret};

/// Where the broker is and how we introduce ourselves there.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionOptions {
    /// Host name or IP address of the broker [default: localhost].
    #[arg(short = 'h', long, value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub host: Option<String>,

    /// Port of the broker [default: 1883, or 8883 with TLS]; 8883 turns TLS on.
    #[arg(short, long, value_name = "PORT", value_parser = port)]
    pub port: Option<u16>,

    /// Broker, user and topic as a URL: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC], ws[s]://... or unix:PATH.
    ///
    /// Percent-encoding is decoded in user, password and topic: write %40 for @ and %2F for / in a password. An IPv6
    /// address needs brackets. Everything after the first / that follows the host is the topic, including # and ?. -h,
    /// -p, -u and -P override the parts of a URL that comes before them.
    ///
    /// With ws:// and wss:// (MQTT over WebSocket, without and with TLS) the host is followed by the path of the
    /// WebSocket endpoint instead, as in ws://HOST:8083/mqtt?token=x, and -t gives the topic. The default port is 80
    /// for ws:// and 443 for wss://, the default path /mqtt.
    #[arg(short = 'L', long, value_name = "URL", value_hint = ValueHint::Url, value_parser = url_text())]
    pub url: Option<UrlText>,

    /// Connect to a Unix domain socket.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub unix: Option<PathBuf>,

    /// User name.
    #[arg(short, long, value_name = "NAME", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub username: Option<String>,

    /// Password; better --pw-file, --pw-fd, --ask-pw or MQTT_PASSWORD, which no process list shows.
    ///
    /// On Linux the tool overwrites it in the process list when it starts, but it stays in the shell's history.
    #[arg(short = 'P', long, value_name = "PASSWORD", allow_hyphen_values = true, value_hint = ValueHint::Other,
          value_parser = secret())]
    pub pw: Option<Secret>,

    /// Read the password from FILE; a trailing newline is ignored.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub pw_file: Option<PathBuf>,

    /// Read the password from the open file descriptor NUMBER, as in --pw-fd 3 3<FILE.
    #[arg(long, value_name = "NUMBER", value_parser = descriptor)]
    pub pw_fd: Option<u32>,

    /// Ask for the password on the terminal.
    #[arg(long)]
    pub ask_pw: bool,

    /// Client identifier.
    #[arg(short, long, value_name = "ID", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub id: Option<String>,

    /// Use PREFIX and the process ID as the client identifier (mqbench: PREFIX and the client number).
    #[arg(short = 'I', long, value_name = "PREFIX", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub id_prefix: Option<String>,

    /// Keep Alive in seconds, 5 to 65535; 0 turns it off.
    #[arg(short, long, value_name = "SECONDS", default_value = "60", value_parser = KeepAlive::parse)]
    pub keepalive: KeepAlive,

    /// Keep the session and its queued messages when the connection ends; needs -i.
    #[arg(short = 'c', long)]
    pub disable_clean_session: bool,

    /// Session Expiry Interval in seconds; -1 or ∞ means never. Implies -V 5.
    #[arg(short = 'x', value_name = "SECONDS", allow_hyphen_values = true, value_parser = session_expiry)]
    pub session_expiry: Option<u32>,

    /// MQTT version [default: 311].
    ///
    /// mqttv5, mqttv311 and mqttv31 are accepted too. -D and -x imply 5.
    #[arg(short = 'V', long, value_name = "VERSION", value_enum)]
    pub protocol_version: Option<ProtocolVersionName>,

    /// Local IP address to connect from; mqbench also takes several, as in A,B,10.0.0.0/28, and rotates them.
    ///
    /// The address family selects between the broker's IPv4 and IPv6 addresses.
    #[arg(short = 'A', value_name = "ADDRESS", value_hint = ValueHint::Other, value_parser = SourceAddresses::parse)]
    pub bind: Option<SourceAddresses>,

    /// Maximum number of QoS 1 and 2 messages in flight [default: 20, mqbench: 100].
    #[arg(short = 'M', value_name = "COUNT", value_parser = max_inflight)]
    pub max_inflight: Option<u16>,

    /// Send each packet immediately (TCP_NODELAY).
    ///
    /// mqsub then also reads each message immediately. Without it, above about 10,000 messages per second at QoS 0,
    /// mqsub reads about once per millisecond, which takes a tenth of the CPU time.
    #[arg(long)]
    pub nodelay: bool,

    /// Give up if there is no connection within TIME.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = positive_duration)]
    pub connect_timeout: Duration,

    /// Find the broker by an SRV record; refused, as mosquitto refuses it unless built for it.
    #[arg(short = 'S', hide = true)]
    pub srv: bool,

    /// Use MQTT over WebSocket; the port stays 1883, or 8883 with TLS, unless -p or a URL sets it.
    #[arg(long)]
    pub ws: bool,

    /// Path of the WebSocket endpoint [default: /mqtt].
    #[arg(long, value_name = "PATH", value_hint = ValueHint::Other, value_parser = url_text())]
    pub ws_path: Option<UrlText>,

    /// Add a header to the WebSocket request, as in 'Authorization: Bearer x'; may be repeated.
    ///
    /// Use it to send a cookie or a token. It is visible in the process list, so prefer a line in an options file (-o).
    #[arg(long, value_name = "NAME: VALUE", value_hint = ValueHint::Other, value_parser = secret())]
    pub ws_header: Vec<Secret>,

    /// Connect through a proxy: socks5h://, socks5:// or http://[USER:PASSWORD@]HOST[:PORT], or "env".
    ///
    /// With socks5h the proxy resolves the name of the broker, with socks5 mqtools does. http uses CONNECT, which many
    /// proxies allow for port 443 only. The default port is 1080, for http 80. TLS and WebSocket work as without a
    /// proxy. "env" takes the proxy from https_proxy, HTTPS_PROXY, all_proxy or ALL_PROXY, and connects directly if
    /// no_proxy (NO_PROXY) lists the broker; without "env" these variables are ignored.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = url_text())]
    pub proxy: Option<UrlText>,

    /// Which option came after which.
    #[arg(skip)]
    pub positions: Positions,

    /// What was noticed in options files.
    #[arg(skip)]
    pub warnings: Vec<String>,
}

impl ConnectionOptions {
    /// Default time limit for connecting.
    pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
}

/// A password from the command line: any bytes, never refused, so that no error repeats it.
pub(super) fn secret() -> impl TypedValueParser<Value = Secret> {
    OsStringValueParser::new().map(|text| Secret::new(text.into_encoded_bytes()))
}

pub(super) fn url_text() -> impl TypedValueParser<Value = UrlText> {
    OsStringValueParser::new().map(|text| UrlText(Secret::new(text.into_encoded_bytes())))
}

/// A URL as typed. It may hold a password, so it is not shown, and it is read where no error repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlText(pub(super) Secret);

/// A header field as typed: its name, and a value that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeaderField {
    pub(super) name: String,
    pub(super) value: Secret,
}

impl HeaderField {
    /// Reads what was typed; no error repeats any of it.
    pub(super) fn read(text: &[u8]) -> Result<Self, HeaderFault> {
        let colon = text.iter().position(|byte| *byte == b':').ok_or(HeaderFault("must be 'NAME: VALUE'"))?;
        let (name, value) = (&text[..colon], text[colon + 1..].trim_ascii());
        // RFC 9110 §5.1 and §5.5.
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty() && name.bytes().all(|b| is_token(&b)));
        let name = name.ok_or(HeaderFault("the text before the colon must be a header name, such as Authorization"))?;
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(HeaderFault("the value contains a line break or another control character"));
        }
        let lower = name.to_ascii_lowercase();
        if matches!(lower.as_str(), "upgrade" | "connection" | "content-length" | "transfer-encoding")
            || lower.starts_with("sec-websocket-")
        {
            return Err(HeaderFault("this header is part of the WebSocket handshake"));
        }
        Ok(Self { name: name.to_owned(), value: Secret::new(value) })
    }
}

/// Why a header field cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeaderFault(&'static str);

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for HeaderFault {}

/// Keep Alive, zero for off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive(u16);

impl KeepAlive {
    fn parse(text: &str) -> Result<Self, String> {
        match whole_number(text) {
            Some(seconds) if seconds == 0 || seconds >= 5 => Ok(Self(seconds)),
            _ => Err("must be 5 to 65535 seconds, or 0 to turn it off".into()),
        }
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }

    /// Whole seconds; the caller has checked them.
    pub(super) const fn of_seconds(seconds: u16) -> Self {
        Self(seconds)
    }
}

/// A version as `-V` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProtocolVersionName {
    /// MQTT 5.0.
    #[value(name = "5", alias = "mqttv5")]
    V5,
    /// MQTT 3.1.1.
    #[value(name = "311", alias = "mqttv311")]
    V311,
    /// MQTT 3.1.
    #[value(name = "31", alias = "mqttv31")]
    V31,
}

impl From<ProtocolVersionName> for ProtocolVersion {
    fn from(name: ProtocolVersionName) -> Self {
        match name {
            ProtocolVersionName::V5 => Self::V5,
            ProtocolVersionName::V311 => Self::V311,
            ProtocolVersionName::V31 => Self::V31,
        }
    }
}

fn session_expiry(text: &str) -> Result<u32, String> {
    match text {
        "-1" | "∞" => Ok(u32::MAX),
        _ => whole_number(text).ok_or_else(|| "must be 0 to 4294967294 seconds, or -1 or ∞ for never".into()),
    }
}

fn descriptor(text: &str) -> Result<u32, String> {
    // The first three are the input and the output.
    whole_number(text).filter(|number| *number > 2).ok_or_else(|| "must be a number from 3".into())
}

fn max_inflight(text: &str) -> Result<u16, String> {
    whole_number(text).filter(|count| *count > 0).ok_or_else(|| "must be a number from 1 to 65535".into())
}

/// The place of the last mention of each option, file arguments included. An URL and the options that say the same
/// thing override each other by place, as with mosquitto.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<String, usize>);

impl Positions {
    /// Whether `option` was given.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.0.contains_key(option)
    }

    /// Whether `option` came after `other`; false when either is missing.
    pub(super) fn later(&self, option: &str, other: &str) -> bool {
        matches!((self.0.get(option), self.0.get(other)), (Some(option), Some(other)) if option > other)
    }
}

impl FromIterator<(String, usize)> for Positions {
    fn from_iter<I: IntoIterator<Item = (String, usize)>>(places: I) -> Self {
        Self(places.into_iter().collect())
    }
}

impl fmt::Debug for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_expiry_is_strict() {
        for (text, expiry) in [
            ("0", Some(0)),
            ("60", Some(60)),
            ("-1", Some(u32::MAX)),
            ("∞", Some(u32::MAX)),
            ("4294967295", Some(u32::MAX)),
            ("-2", None),
            ("4294967296", None),
            ("x", None),
            ("", None),
            ("1.5", None),
        ] {
            assert_eq!(session_expiry(text).ok(), expiry, "{text:?}");
        }
    }

    #[test]
    fn a_header_field_is_a_name_and_a_value() {
        let field = HeaderField::read(b"X-Token:  a: b\t ").unwrap();
        assert_eq!((field.name.as_str(), field.value.expose()), ("X-Token", &b"a: b"[..]));
        assert_eq!(HeaderField::read("X: \u{fc}".as_bytes()).unwrap().value.expose(), "\u{fc}".as_bytes());
        assert!(HeaderField::read(b"X:").unwrap().value.expose().is_empty());
        for text in ["hunter2", ": hunter2", "a b: hunter2", "\u{fc}: hunter2", "X: hunter2\r\nY: z", "X: hunter2\0"] {
            let fault = HeaderField::read(text.as_bytes()).unwrap_err().to_string();
            assert!(!fault.contains("hunter2"), "{text:?}: {fault}");
        }
        for name in ["Upgrade", "CONNECTION", "Sec-WebSocket-Key", "sec-websocket-protocol", "Content-Length"] {
            assert!(HeaderField::read(format!("{name}: x").as_bytes()).is_err(), "{name}");
        }
    }

    #[test]
    fn keep_alive_is_off_or_five_and_more() {
        for (text, good) in [("0", true), ("5", true), ("65535", true), ("4", false), ("65536", false), ("x", false)] {
            assert_eq!(KeepAlive::parse(text).is_ok(), good, "{text:?}");
        }
    }
}
