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
    /// Broker, a name or an IP address [default: localhost].
    #[arg(short = 'h', long, value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub host: Option<String>,

    /// Port [default: 1883, with TLS 8883]; 8883 turns TLS on.
    #[arg(short, long, value_name = "PORT", value_parser = port)]
    pub port: Option<u16>,

    /// Broker, user and topic in one: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC].
    ///
    /// Percent-encoding is decoded in user, password and topic; write %40 for an @ and %2F for a / in a password. An
    /// IPv6 address stands in brackets. All after the first / behind the host is the topic, # and ? included. -h, -p,
    /// -u and -P win over the parts of a URL that stands before them.
    #[arg(short = 'L', long, value_name = "URL", value_hint = ValueHint::Url, value_parser = url_text())]
    pub url: Option<UrlText>,

    /// Connect to a unix domain socket.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub unix: Option<PathBuf>,

    /// User name.
    #[arg(short, long, value_name = "NAME", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub username: Option<String>,

    /// Password; others can see it in the list of processes, so prefer --pw-file or MQTT_PASSWORD.
    #[arg(short = 'P', long, value_name = "PASSWORD", allow_hyphen_values = true, value_hint = ValueHint::Other,
          value_parser = secret())]
    pub pw: Option<Secret>,

    /// Read the password from FILE; a newline at its end is not part of it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub pw_file: Option<PathBuf>,

    /// Client identifier.
    #[arg(short, long, value_name = "ID", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub id: Option<String>,

    /// Client identifier of PREFIX and the process number; mqbench counts its clients instead.
    #[arg(short = 'I', long, value_name = "PREFIX", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub id_prefix: Option<String>,

    /// Keep Alive in seconds, 5 to 65535; 0 turns it off.
    #[arg(short, long, value_name = "SECONDS", default_value = "60", value_parser = KeepAlive::parse)]
    pub keepalive: KeepAlive,

    /// Keep the session (and what is queued for it) when the connection ends; needs -i.
    #[arg(short = 'c', long)]
    pub disable_clean_session: bool,

    /// Session Expiry Interval; -1 or ∞ is never. Implies -V 5.
    #[arg(short = 'x', value_name = "SECONDS", allow_hyphen_values = true, value_parser = session_expiry)]
    pub session_expiry: Option<u32>,

    /// MQTT version [default: 311].
    ///
    /// mqttv5, mqttv311 and mqttv31 are understood too. -D and -x imply 5.
    #[arg(short = 'V', long, value_name = "VERSION", value_enum)]
    pub protocol_version: Option<ProtocolVersionName>,

    /// Local IP address to connect from; mqbench takes several, A,B,10.0.0.0/28, its clients in turn.
    #[arg(short = 'A', value_name = "ADDRESS", value_hint = ValueHint::Other, value_parser = SourceAddresses::parse)]
    pub bind: Option<SourceAddresses>,

    /// Most messages of QoS 1 and 2 in flight [default: 20, mqbench 100].
    #[arg(short = 'M', value_name = "COUNT", value_parser = max_inflight)]
    pub max_inflight: Option<u16>,

    /// Send every packet at once (TCP_NODELAY).
    #[arg(long)]
    pub nodelay: bool,

    /// Give up when there is no connection after this time.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = positive_duration)]
    pub connect_timeout: Duration,

    /// Find the broker by an SRV record; refused, as mosquitto refuses it unless built for it.
    #[arg(short = 'S', hide = true)]
    pub srv: bool,

    /// MQTT over WebSocket; refused for now.
    #[arg(long, hide = true)]
    pub ws: bool,

    /// SOCKS5 proxy; refused for now.
    #[arg(long, hide = true, value_name = "URL", value_parser = url_text())]
    pub proxy: Option<UrlText>,

    /// Which option came after which.
    #[arg(skip)]
    pub positions: Positions,

    /// The tool was called by mosquitto's name, which asks no variable for a password.
    #[arg(skip)]
    pub compat: bool,
}

/// A password from the command line: any bytes, never refused, so that no error repeats it.
pub(super) fn secret() -> impl TypedValueParser<Value = Secret> {
    OsStringValueParser::new().map(|text| Secret::new(text.into_encoded_bytes()))
}

fn url_text() -> impl TypedValueParser<Value = UrlText> {
    OsStringValueParser::new().map(|text| UrlText(Secret::new(text.into_encoded_bytes())))
}

/// A URL as typed. It may hold a password, so it is not shown, and it is read where no error repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlText(pub(super) Secret);

/// Keep Alive, zero for off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive(u16);

impl KeepAlive {
    fn parse(text: &str) -> Result<Self, String> {
        match whole_number(text) {
            Some(seconds) if seconds == 0 || seconds >= 5 => Ok(Self(seconds)),
            _ => Err("Keep Alive is 5 to 65535 seconds, or 0 for off".into()),
        }
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
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
        _ => whole_number(text)
            .ok_or_else(|| "it is a number of seconds up to 4294967294; 4294967295, -1 and ∞ are never".into()),
    }
}

fn max_inflight(text: &str) -> Result<u16, String> {
    whole_number(text).filter(|count| *count > 0).ok_or_else(|| "it is a number from 1 to 65535".into())
}

/// The place of the last mention of each option, file arguments included. An URL and the options that say the same
/// thing override each other by place, as with mosquitto.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<String, usize>);

impl Positions {
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
    fn keep_alive_is_off_or_five_and_more() {
        for (text, good) in [("0", true), ("5", true), ("65535", true), ("4", false), ("65536", false), ("x", false)] {
            assert_eq!(KeepAlive::parse(text).is_ok(), good, "{text:?}");
        }
    }
}
