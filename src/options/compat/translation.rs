//! What was given, as the options of our own tools.
//!
//! Every field of every group is named here, so that an option that is added does not compile until somebody has
//! decided what it is under mosquitto's names. What means nothing to mosquitto, as `--insecure` without TLS, is left
//! out, since our own tools reject it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;

use super::given::{Given, GivenTls, Payload, V5};
use super::grammar::Flag;
use super::property::GivenProperty;
use crate::client::Policy;
use crate::client::mosquitto::MosquittoClient;
use crate::mqtt::{PropertyContext, PropertyName, QoS, Secret};
use crate::options::connection::{KeepAlive, Positions, UrlText};
use crate::options::properties::PropertyArgument;
use crate::options::source_addresses::SourceAddresses;
use crate::options::tls::alpn_protocol;
use crate::options::{
    ConnectionOptions, GeneralOptions, MessageOptions, OutputOptions, PropertyOptions, RetainHandlingName,
    RetainOptions, ScreenOptions, SubscriptionOptions, TlsOptions, WillOptions,
};
use crate::terminal::escape_bytes;

/// Longest time that our tools take, seconds.
const LONGEST_SECONDS: i32 = 1_000 * 86_400;
/// The Receive Maximum that mosquitto's clients state.
const RECEIVE_MAXIMUM: i32 = 20;

/// The options of a tool that mosquitto has a client for.
pub(in crate::options) trait ClientOptions: Sized {
    /// That client.
    const CLIENT: MosquittoClient;

    /// The options that were given.
    fn of(translation: &mut Translation) -> Self;
}

/// Makes options of what was given, and collects what our tools cannot take of it.
pub(in crate::options) struct Translation {
    client: MosquittoClient,
    given: Given,
    /// The port, 0 for a Unix socket.
    port: i32,
    /// A certificate authority or a key is named, which asks for TLS.
    is_tls_named: bool,
    has_will: bool,
    faults: Vec<String>,
}

impl Translation {
    /// The options, or all faults.
    pub(super) fn options<T: ClientOptions>(given: Given) -> Result<T, Vec<String>> {
        let GivenTls { cafile, capath, psk, .. } = &given.tls;
        let is_tls_named = cafile.is_some() || capath.is_some() || psk.is_some();
        let is_secure = is_tls_named && !given.flags.has(Flag::NoTls);
        let mut translation = Self {
            client: T::CLIENT,
            port: given.port.unwrap_or(if is_secure { 8883 } else { 1883 }),
            is_tls_named,
            has_will: given.will_topic.is_some(),
            given,
            faults: Vec::new(),
        };
        let options = T::of(&mut translation);
        if translation.faults.is_empty() { Ok(options) } else { Err(translation.faults) }
    }

    pub(in crate::options) fn has(&self, flag: Flag) -> bool {
        self.given.flags.has(flag)
    }

    fn is_v5(&self) -> bool {
        self.given.version == Some(V5)
    }

    /// A value that our tools take as text.
    fn text(&mut self, option: &str, value: Option<OsString>) -> Option<String> {
        let value = value?.into_string();
        let fault = |value: OsString| {
            format!("the value of {option} is not UTF-8: '{}'", escape_bytes(value.as_encoded_bytes()))
        };
        value.map_err(|value| self.faults.push(fault(value))).ok()
    }

    pub(in crate::options) fn connection(&mut self) -> ConnectionOptions {
        let port = self.port;
        let host = self.given.host.take().unwrap_or_else(|| "localhost".into());
        let (host, unix) = match port {
            0 => (None, Some(PathBuf::from(host))),
            _ => (self.text("--host", Some(host)), None),
        };
        let bind = self.given.bind.take();
        let bind = self.text("-A", bind).and_then(|bind| {
            SourceAddresses::parse(&bind).map_err(|fault| self.faults.push(format!("-A: {fault}"))).ok()
        });
        let (username, id, id_prefix) = (self.given.username.take(), self.given.id.take(), self.given.id_prefix.take());
        ConnectionOptions {
            host,
            port: u16::try_from(port).ok().filter(|port| *port > 0),
            url: None,
            unix,
            username: self.text("--username", username),
            pw: self.given.password.take().map(secret),
            pw_file: None,
            pw_fd: None,
            ask_pw: false,
            id: self.text("--id", id),
            id_prefix: self.text("--id-prefix", id_prefix),
            keepalive: KeepAlive::of_seconds(
                self.given.keepalive.and_then(|seconds| seconds.try_into().ok()).unwrap_or(60),
            ),
            disable_clean_session: self.has(Flag::DisableCleanSession),
            session_expiry: None,
            protocol_version: self.given.version,
            bind,
            max_inflight: self.given.max_inflight.map(|count| u16::try_from(count).unwrap_or(u16::MAX)),
            nodelay: self.has(Flag::NoDelay),
            connect_timeout: ConnectionOptions::CONNECT_TIMEOUT,
            srv: false,
            ws: self.has(Flag::Ws) || self.given.ws_by_url,
            ws_path: None,
            ws_header: Vec::new(),
            proxy: self.given.proxy.take().map(|url| UrlText(secret(url))),
            positions: Positions::default(),
            warnings: Vec::new(),
        }
    }

    pub(in crate::options) fn tls(&mut self) -> TlsOptions {
        if self.has(Flag::NoTls) {
            return TlsOptions { no_tls: true, ..TlsOptions::default() };
        }
        let tls_use_os_certs = self.has(Flag::TlsUseOsCerts) || self.given.tls_by_url || self.port == 8883;
        let GivenTls {
            cafile,
            capath,
            cert,
            key,
            keyform,
            ciphers,
            version,
            alpn,
            engine,
            engine_kpass,
            keylog,
            psk,
            psk_identity,
        } = std::mem::take(&mut self.given.tls);
        // An engine is looked for even without TLS.
        let tls_engine = self.text("--tls-engine", engine);
        if !self.is_tls_named && !tls_use_os_certs {
            return TlsOptions { tls_engine, ..TlsOptions::default() };
        }
        let alpn = self.text("--tls-alpn", alpn).and_then(|protocol| {
            alpn_protocol(&protocol).map_err(|fault| self.faults.push(format!("--tls-alpn: {fault}"))).ok()
        });
        TlsOptions {
            tls: false,
            no_tls: false,
            cafile: cafile.map(PathBuf::from),
            capath: capath.map(PathBuf::from),
            tls_use_os_certs,
            cert: cert.map(PathBuf::from),
            key: key.map(PathBuf::from),
            key_pw_file: None,
            tls_version: version.as_deref().and_then(name),
            tls_alpn: alpn.into_iter().collect(),
            tls_keylog: keylog.map(PathBuf::from),
            insecure: self.has(Flag::Insecure),
            // An identity without a key means nothing to mosquitto.
            psk_identity: self.text("--psk-identity", psk_identity.filter(|_| psk.is_some())),
            psk: psk.map(secret),
            ciphers: self.text("--ciphers", ciphers),
            tls_backend: None,
            keyform: keyform.as_deref().and_then(name),
            tls_engine,
            tls_engine_kpass_sha1: engine_kpass.map(secret),
        }
    }

    pub(in crate::options) fn will(&mut self) -> WillOptions {
        let (topic, payload) = (self.given.will_topic.take(), self.given.will_payload.take());
        WillOptions {
            will_topic: topic,
            will_payload: payload.map(bytes),
            will_qos: self.given.will_qos.map(qos),
            will_retain: self.has(Flag::WillRetain),
        }
    }

    pub(in crate::options) fn properties(&mut self) -> PropertyOptions {
        if !self.is_v5() {
            return PropertyOptions::default();
        }
        let mut properties = std::mem::take(&mut self.given.properties);
        // A will that is not there has no properties either.
        let has_will = self.has_will;
        properties.retain(|property| property.context != PropertyContext::Will || has_will);
        let is_missing = |properties: &[GivenProperty], name| {
            !properties.iter().any(|property| property.context == PropertyContext::Connect && property.name == name)
        };
        if let Some(seconds) = self.given.session_expiry_property()
            && is_missing(&properties, PropertyName::SessionExpiryInterval)
        {
            properties.push(connect_property(PropertyName::SessionExpiryInterval, seconds));
        }
        if is_missing(&properties, PropertyName::ReceiveMaximum) {
            // No more is asked for than is printed.
            let count = match self.client {
                MosquittoClient::Publish => RECEIVE_MAXIMUM,
                MosquittoClient::Subscribe => self.given.count.unwrap_or(RECEIVE_MAXIMUM),
                MosquittoClient::Request => 1,
            };
            properties.push(connect_property(PropertyName::ReceiveMaximum, count.min(RECEIVE_MAXIMUM)));
        }
        PropertyOptions { property: properties.into_iter().filter_map(|property| self.property(property)).collect() }
    }

    fn property(&mut self, GivenProperty { context, name, values }: GivenProperty) -> Option<PropertyArgument> {
        let command = match context {
            PropertyContext::Connect => "connect",
            PropertyContext::Publish => "publish",
            PropertyContext::Will => "will",
            PropertyContext::Subscribe => "subscribe",
            PropertyContext::Unsubscribe => "unsubscribe",
            _ => "disconnect",
        };
        let mut words = vec![command.to_owned(), name.text().to_owned()];
        for value in values {
            words.push(self.text("-D", Some(value))?);
        }
        Some(PropertyArgument(words))
    }

    pub(in crate::options) fn general(&self) -> GeneralOptions {
        GeneralOptions {
            debug: u8::from(self.has(Flag::Debug)),
            quiet: self.has(Flag::Quiet),
            options_file: None,
            profile: Vec::new(),
            show_config: false,
            policy: Policy::of(self.client),
            help: None,
            version: None,
        }
    }

    pub(in crate::options) fn message(&mut self) -> MessageOptions {
        let payload = self.given.payload.take();
        let (mut message, mut file) = (None, None);
        let (mut stdin_line, mut stdin_file, mut null_message) = (false, false, false);
        match payload {
            Some(Payload::File(path)) => file = Some(path.into()),
            Some(Payload::Lines) => stdin_line = true,
            Some(Payload::Message(text)) => message = Some(bytes(text)),
            Some(Payload::Null) => null_message = true,
            Some(Payload::Stdin) => stdin_file = true,
            None => {}
        }
        let seconds = self.given.repeat_delay.clamp(0.0, f64::from(LONGEST_SECONDS));
        MessageOptions {
            // Of several topics mosquitto takes the last.
            topic: self.given.topics.pop().into_iter().collect(),
            message,
            file,
            stdin_line,
            stdin_file,
            null_message,
            qos: qos(self.given.qos),
            // mosquitto does not repeat lines, and prints nothing about it.
            repeat: self.given.repeat.filter(|_| !stdin_line).map_or(1, positive),
            // What is no number is no delay.
            repeat_delay: Duration::try_from_secs_f64(seconds).unwrap_or_default(),
        }
    }

    pub(in crate::options) fn output(&mut self) -> OutputOptions {
        // A rate is printed in place of messages, with any format.
        let format = self.given.format.take().filter(|_| !self.has(Flag::MessageRate));
        OutputOptions {
            verbose: self.has(Flag::Verbose),
            no_newline: self.has(Flag::NoNewline),
            format: self.text("-F", format),
            json: false,
            json_payload: false,
            pretty: self.has(Flag::Pretty),
        }
    }

    pub(in crate::options) fn timeout(&self) -> Option<Duration> {
        self.given.timeout.map(|seconds| Duration::from_secs(positive(seconds.min(LONGEST_SECONDS))))
    }

    pub(in crate::options) fn retain(&self) -> RetainOptions {
        RetainOptions { retain: self.has(Flag::Retain) }
    }

    pub(in crate::options) fn screen(&self) -> ScreenOptions {
        ScreenOptions { watch: self.has(Flag::Watch), message_rate: self.has(Flag::MessageRate), stats: None }
    }

    pub(in crate::options) fn subscription(&mut self) -> SubscriptionOptions {
        SubscriptionOptions {
            topic: std::mem::take(&mut self.given.topics),
            topic_qos: Vec::new(),
            unsubscribe: std::mem::take(&mut self.given.unsubscribe),
            filter_out: std::mem::take(&mut self.given.filter_out),
            qos: qos(self.given.qos),
            count: self.given.count.map(positive),
            timeout: self.timeout(),
            exit_after_subscribing: self.has(Flag::ExitAfterSubscribing),
            no_retained: self.has(Flag::NoRetained),
            retained_only: self.has(Flag::RetainedOnly),
            remove_retained: self.has(Flag::RemoveRetained),
            retained: false,
            once: false,
            no_marker: false,
            dry_run: false,
            retain_as_published: self.retain_as_published(),
            retain_handling: self.retain_handling(),
            no_local: false,
            random_filter: self.given.random_filter.map(|tenths| f64::from(tenths) / 10.0),
        }
    }

    pub(in crate::options) fn response_topic(&mut self) -> Option<String> {
        self.given.response_topic.take()
    }

    /// Before 5.0 the broker would not see it, and mosquitto prints nothing about it.
    pub(in crate::options) fn retain_as_published(&self) -> bool {
        self.has(Flag::RetainAsPublished) && self.is_v5()
    }

    pub(in crate::options) fn retain_handling(&self) -> Option<RetainHandlingName> {
        self.given.retain_handling.filter(|_| self.is_v5())
    }
}

fn connect_property(name: PropertyName, number: impl ToString) -> GivenProperty {
    GivenProperty { context: PropertyContext::Connect, name, values: vec![number.to_string().into()] }
}

/// A value of a list, which was checked.
fn name<T: ValueEnum>(text: &OsStr) -> Option<T> {
    T::from_str(text.to_str()?, false).ok()
}

fn secret(text: OsString) -> Secret {
    Secret::new(text.into_encoded_bytes())
}

fn bytes(text: OsString) -> Bytes {
    text.into_encoded_bytes().into()
}

/// 0 to 2, which was checked.
fn qos(number: i32) -> QoS {
    u8::try_from(number).ok().and_then(QoS::from_number).unwrap_or_default()
}

/// A positive number, which was checked.
fn positive(number: i32) -> u64 {
    number.unsigned_abs().into()
}
