//! Parses arguments as mosquitto's clients do: each is checked in order, and a later one overrides.

use std::ffi::OsString;

use super::format;
use super::grammar::{Answer, Flag, Takes, Value, find};
use super::numbers::{atof, atoi, whole_strtoll};
use super::property::{self, GivenProperty};
use super::refusal::Refusal;
use super::text::valid_text;
use super::url::Url;
use crate::client::mosquitto::MosquittoClient;
use crate::mqtt::{check_topic_filter, check_topic_name};
use crate::options::{ProtocolVersionName, RetainHandlingName};

/// Why reading ends before the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A fault.
    Refused(Refusal),
    /// Help or version.
    Answer(Answer),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(super) const V5: ProtocolVersionName = ProtocolVersionName::V5;

/// Where the payload comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// `-f`
    File(OsString),
    /// `-l`
    Lines,
    /// `-m`
    Message(OsString),
    /// `-n`
    Null,
    /// `-s`
    Stdin,
}

/// All that was given. Texts are as typed, numbers as mosquitto read them and in the range that it takes.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub flags: Flags,
    pub host: Option<OsString>,
    pub port: Option<i32>,
    /// `-L` asks for TLS.
    pub tls_by_url: bool,
    /// `-L` asks for WebSocket.
    pub ws_by_url: bool,
    pub username: Option<OsString>,
    pub password: Option<OsString>,
    pub id: Option<OsString>,
    pub id_prefix: Option<OsString>,
    pub bind: Option<OsString>,
    pub keepalive: Option<i32>,
    pub max_inflight: Option<i32>,
    pub version: Option<ProtocolVersionName>,
    pub session_expiry: Option<u32>,
    pub proxy: Option<OsString>,
    pub qos: i32,
    pub topics: Vec<String>,
    pub payload: Option<Payload>,
    pub repeat: Option<i32>,
    pub repeat_delay: f64,
    pub unsubscribe: Vec<String>,
    pub filter_out: Vec<String>,
    pub count: Option<i32>,
    pub timeout: Option<i32>,
    pub format: Option<OsString>,
    /// Tenths of a percent.
    pub random_filter: Option<i32>,
    pub response_topic: Option<String>,
    pub retain_handling: Option<RetainHandlingName>,
    pub properties: Vec<GivenProperty>,
    pub will_topic: Option<String>,
    pub will_payload: Option<OsString>,
    pub will_qos: Option<i32>,
    pub tls: GivenTls,
}

/// TLS options, as typed.
#[derive(Debug, Default)]
pub(super) struct GivenTls {
    pub cafile: Option<OsString>,
    pub capath: Option<OsString>,
    pub cert: Option<OsString>,
    pub key: Option<OsString>,
    pub keyform: Option<OsString>,
    pub ciphers: Option<OsString>,
    pub version: Option<OsString>,
    pub alpn: Option<OsString>,
    pub engine: Option<OsString>,
    pub engine_kpass: Option<OsString>,
    pub keylog: Option<OsString>,
    pub psk: Option<OsString>,
    pub psk_identity: Option<OsString>,
}

/// Which flags were given.
#[derive(Debug, Default)]
pub(super) struct Flags(Vec<Flag>);

impl Flags {
    /// Whether it was given.
    pub(super) fn has(&self, flag: Flag) -> bool {
        self.0.contains(&flag)
    }
}

impl Given {
    /// Nothing given yet. A request is made of MQTT 5 by default.
    pub(super) fn nothing(client: MosquittoClient) -> Self {
        Self { version: (client == MosquittoClient::Request).then_some(V5), ..Self::default() }
    }

    /// Reads arguments, the program's name not included.
    pub(super) fn read(&mut self, client: MosquittoClient, arguments: &[OsString]) -> Result<(), Stop> {
        let mut rest = arguments;
        while let [name, behind @ ..] = rest {
            rest = behind;
            let Some(entry) = name.to_str().and_then(|name| find(client, name)) else {
                return Err(Refusal::tight(format!("Error: Unknown option '{}'.", name.to_string_lossy())).into());
            };
            match entry.takes {
                Takes::Answer(answer) => return Err(Stop::Answer(answer)),
                Takes::Nothing(flag) => self.take_flag(flag)?,
                Takes::Value(value, missing) => {
                    self.before_value(value)?;
                    let [text, behind @ ..] = rest else {
                        let label = entry.names.first().copied().unwrap_or_default();
                        return Err(Refusal::spaced(format!("Error: {label} argument given but {missing}.")).into());
                    };
                    self.take_value(client, value, text)?;
                    rest = behind;
                }
                Takes::Property => {
                    let (property, count) = property::read(rest)?;
                    self.properties.push(property);
                    self.version = Some(V5);
                    rest = &rest[count..];
                }
                // Read before everything else.
                Takes::OptionsFile => rest = rest.get(1..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// The Session Expiry Interval that `-x` and `-c` send: none before MQTT 5, and none for zero, which is the same.
    pub(super) fn session_expiry_property(&self) -> Option<u32> {
        if self.version != Some(V5) {
            return None;
        }
        let kept = self.flags.has(Flag::DisableCleanSession).then_some(u32::MAX);
        self.session_expiry.or(kept).filter(|seconds| *seconds > 0)
    }

    fn take_flag(&mut self, flag: Flag) -> Result<(), Refusal> {
        match flag {
            Flag::StdinLine => self.set_payload(Payload::Lines),
            Flag::StdinFile => self.set_payload(Payload::Stdin),
            Flag::NullMessage => self.set_payload(Payload::Null),
            flag => {
                self.flags.0.push(flag);
                Ok(())
            }
        }
    }

    fn set_payload(&mut self, payload: Payload) -> Result<(), Refusal> {
        self.check_single_payload()?;
        self.payload = Some(payload);
        Ok(())
    }

    fn check_single_payload(&self) -> Result<(), Refusal> {
        match self.payload {
            None => Ok(()),
            Some(_) => Err(Refusal::spaced("Error: Only one type of message can be sent at once.")),
        }
    }

    /// What is judged even where the value is missing.
    fn before_value(&self, value: Value) -> Result<(), Refusal> {
        match value {
            Value::Message | Value::File => self.check_single_payload(),
            Value::Id if self.id_prefix.is_some() => Err(id_and_prefix()),
            Value::IdPrefix if self.id.is_some() => Err(id_and_prefix()),
            _ => Ok(()),
        }
    }

    #[rustfmt::skip]
    fn take_value(&mut self, client: MosquittoClient, value: Value, text: &OsString) -> Result<(), Refusal> {
        let owned = || Some(text.clone());
        let shown = text.to_string_lossy();
        match value {
            Value::Bind => self.bind = owned(),
            Value::CaFile => self.tls.cafile = owned(),
            Value::CaPath => self.tls.capath = owned(),
            Value::Cert => self.tls.cert = owned(),
            Value::Ciphers => self.tls.ciphers = owned(),
            Value::Count => self.count = Some(positive(&shown, |n| Refusal::spaced(format!("Error: Invalid message count \"{n}\".")))?),
            Value::File => self.set_payload(Payload::File(text.clone()))?,
            Value::FilterOut => self.filter_out.push(filter(text, "-T", "filter")?),
            Value::Format => {
                format::check(&shown)?;
                self.format = owned();
            }
            Value::Host => self.host = owned(),
            Value::Id => self.id = owned(),
            Value::IdPrefix => self.id_prefix = owned(),
            Value::Keepalive => self.keepalive = Some(keepalive(&shown)?),
            Value::Key => self.tls.key = owned(),
            Value::KeyForm => self.tls.keyform = owned(),
            Value::MaxInflight => self.max_inflight = Some(positive(&shown, |_| Refusal::spaced("Error: Maximum inflight messages must be greater than 0."))?),
            Value::Message => self.set_payload(Payload::Message(text.clone()))?,
            Value::Password => self.password = owned(),
            Value::Port => self.port = Some(port(&shown)?),
            Value::ProtocolVersion => self.version = Some(version(&shown)?),
            Value::Proxy => self.proxy = Some(proxy(text)?),
            Value::Psk => self.tls.psk = owned(),
            Value::PskIdentity => self.tls.psk_identity = owned(),
            Value::Qos => self.qos = qos(&shown, |n| Refusal::tight(format!("Error: Invalid QoS given: {n}")))?,
            Value::RandomFilter => self.random_filter = Some(tenths(&shown)?),
            Value::Repeat => self.repeat = Some(positive(&shown, |_| Refusal::spaced("Error: --repeat argument must be >0."))?),
            Value::RepeatDelay => self.repeat_delay = repeat_delay(&shown)?,
            Value::ResponseTopic => self.response_topic = Some(topic_name(text, "-e", "response")?),
            Value::RetainHandling => self.retain_handling = Some(retain_handling(&shown)?),
            Value::SessionExpiry => {
                self.session_expiry = Some(session_expiry(&shown)?);
                self.version = Some(V5);
            }
            Value::Timeout => self.timeout = Some(positive(&shown, |n| Refusal::spaced(format!("Error: Invalid timeout \"{n}\".")))?),
            Value::TlsAlpn => self.tls.alpn = owned(),
            Value::TlsEngine => self.tls.engine = owned(),
            Value::TlsEngineKpassSha1 => self.tls.engine_kpass = owned(),
            Value::TlsKeylog => self.tls.keylog = owned(),
            Value::TlsVersion => self.tls.version = owned(),
            Value::Topic => self.take_topic(client, text)?,
            Value::Unix => (self.host, self.port) = (owned(), Some(0)),
            Value::Unsubscribe => self.unsubscribe.push(filter(text, "-U", "unsubscribe")?),
            Value::Url => self.take_url(client, &shown)?,
            Value::Username => self.username = owned(),
            Value::WillPayload => self.will_payload = owned(),
            Value::WillQos => self.will_qos = Some(qos(&shown, |n| Refusal::spaced(format!("Error: Invalid will QoS {n}.")))?),
            Value::WillTopic => self.will_topic = Some(topic_name(text, "--will-topic", "will")?),
        }
        Ok(())
    }

    fn take_topic(&mut self, client: MosquittoClient, text: &OsString) -> Result<(), Refusal> {
        match client {
            MosquittoClient::Publish | MosquittoClient::Request => {
                self.topics = vec![topic_name(text, "-t", "publish")?]
            }
            MosquittoClient::Subscribe => self.topics.push(filter(text, "-t", "subscription")?),
        }
        Ok(())
    }

    fn take_url(&mut self, client: MosquittoClient, text: &str) -> Result<(), Refusal> {
        let url = Url::parse(text)?;
        self.host = Some(url.host.into());
        self.port = Some(url.port);
        self.tls_by_url = url.tls;
        self.ws_by_url = url.ws;
        if let Some(user) = url.user {
            self.username = Some(user.into());
        }
        if let Some(password) = url.password {
            self.password = Some(password.into());
        }
        self.take_topic(client, &url.topic.into())
    }
}

fn id_and_prefix() -> Refusal {
    Refusal::spaced("Error: -i and -I argument cannot be used together.")
}

fn positive(text: &str, refusal: impl Fn(i32) -> Refusal) -> Result<i32, Refusal> {
    let number = atoi(text);
    if number < 1 { Err(refusal(number)) } else { Ok(number) }
}

fn qos(text: &str, refusal: impl Fn(i32) -> Refusal) -> Result<i32, Refusal> {
    let number = atoi(text);
    if (0..=2).contains(&number) { Ok(number) } else { Err(refusal(number)) }
}

fn keepalive(text: &str) -> Result<i32, Refusal> {
    let seconds = atoi(text);
    if (5..=65_535).contains(&seconds) {
        return Ok(seconds);
    }
    Err(Refusal::spaced("Error: Invalid keepalive given, it must be between 5 and 65535 inclusive."))
}

fn port(text: &str) -> Result<i32, Refusal> {
    let port = atoi(text);
    if (0..=65_535).contains(&port) {
        Ok(port)
    } else {
        Err(Refusal::tight(format!("Error: Invalid port given: {port}")))
    }
}

fn version(text: &str) -> Result<ProtocolVersionName, Refusal> {
    Ok(match text {
        "mqttv31" | "31" => ProtocolVersionName::V31,
        "mqttv311" | "311" => ProtocolVersionName::V311,
        "mqttv5" | "5" => V5,
        _ => return Err(Refusal::spaced("Error: Invalid protocol version argument given.")),
    })
}

fn proxy(text: &OsString) -> Result<OsString, Refusal> {
    let shown = text.to_string_lossy();
    match shown.strip_prefix("socks5h://") {
        None => Err(Refusal::tight(format!("Error: Unsupported proxy protocol: {shown}"))),
        Some("") => Err(Refusal::tight("Error: Invalid proxy.")),
        Some(rest) => match proxy_port(rest) {
            Some(port) if !(1..=65_535).contains(&port) => {
                Err(Refusal::tight(format!("Error: Invalid proxy port {port}")))
            }
            _ => Ok(text.clone()),
        },
    }
}

/// The port of `[USER[:PASSWORD]@]HOST[:PORT]`, where one is written.
fn proxy_port(authority: &str) -> Option<i32> {
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let behind_address = place.rsplit_once(']').map_or(place, |(_, behind)| behind);
    behind_address.split_once(':').map(|(_, port)| atoi(port))
}

fn tenths(text: &str) -> Result<i32, Refusal> {
    // A float to integer cast of Rust stops at the ends, and makes nothing of what is no number.
    let tenths = (atof(text) * 10.0) as i32;
    if tenths < 1 {
        return Err(Refusal::spaced("Error: --random-filter chance must be between 0.1-100.0"));
    }
    Ok(tenths.min(1_000))
}

fn repeat_delay(text: &str) -> Result<f64, Refusal> {
    let seconds = atof(text);
    if seconds < 0.0 { Err(Refusal::spaced("Error: --repeat-delay argument must be >=0.0.")) } else { Ok(seconds) }
}

fn retain_handling(text: &str) -> Result<RetainHandlingName, Refusal> {
    Ok(match text {
        "always" => RetainHandlingName::Always,
        "new" => RetainHandlingName::New,
        "never" => RetainHandlingName::Never,
        _ => return Err(Refusal::spaced(format!("Error: Unknown value '{text}' for --retain-handling."))),
    })
}

fn session_expiry(text: &str) -> Result<u32, Refusal> {
    if text == "∞" {
        return Ok(u32::MAX);
    }
    match whole_strtoll(text) {
        None => Err(Refusal::spaced("Error: session-expiry-interval not a number.")),
        Some(-1) => Ok(u32::MAX),
        Some(seconds) => {
            u32::try_from(seconds).map_err(|_| Refusal::spaced("Error: session-expiry-interval out of range."))
        }
    }
}

fn malformed(option: &str) -> Refusal {
    Refusal::spaced(format!("Error: Malformed UTF-8 in {option} argument."))
}

fn topic_name(text: &OsString, option: &str, kind: &str) -> Result<String, Refusal> {
    let topic = valid_text(text).ok_or_else(|| malformed(option))?;
    check_topic_name(topic)
        .map_err(|_| Refusal::tight(format!("Error: Invalid {kind} topic '{topic}', does it contain '+' or '#'?")))?;
    Ok(topic.to_owned())
}

fn filter(text: &OsString, option: &str, kind: &str) -> Result<String, Refusal> {
    let topic = valid_text(text).ok_or_else(|| malformed(option))?;
    check_topic_filter(topic).map_err(|_| {
        Refusal::tight(format!("Error: Invalid {kind} topic '{topic}', are all '+' and '#' wildcards correct?"))
    })?;
    Ok(topic.to_owned())
}
