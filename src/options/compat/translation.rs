//! What was given, in the words of our own tools: arguments for clap, with every value spelled the strict way.
//!
//! What means nothing to mosquitto, as `--insecure` without TLS, is left out here, since our own tools complain of it.

use std::ffi::{OsStr, OsString};

use super::given::{Given, GivenTls, Payload, V5};
use super::grammar::Flag;
use crate::client::mosquitto::MosquittoClient;
use crate::mqtt::{PropertyContext, PropertyName};
use crate::options::properties::JOINT;

/// Longest time that our tools take, seconds.
const LONGEST_SECONDS: i32 = 1_000 * 86_400;
/// The Receive Maximum that mosquitto's clients state.
const RECEIVE_MAXIMUM: i32 = 20;

/// The arguments of our tool, its name not included.
pub(super) fn arguments(client: MosquittoClient, given: Given) -> Vec<OsString> {
    let mut words = Words::default();
    words.flags(&given);
    words.place(&given);
    words.session(client, &given);
    words.will(&given);
    match client {
        MosquittoClient::Publish => words.message(&given),
        MosquittoClient::Subscribe => words.subscription(&given),
        MosquittoClient::Request => words.request(&given),
    }
    words.0
}

#[derive(Default)]
struct Words(Vec<OsString>);

impl Words {
    /// `--name`
    fn flag(&mut self, name: &str) {
        self.0.push(name.into());
    }

    /// `--name=value`, so that no value is taken for an option.
    fn value(&mut self, name: &str, value: impl AsRef<OsStr>) {
        let mut word = OsString::from(name);
        word.push("=");
        word.push(value);
        self.0.push(word);
    }

    fn values<V: AsRef<OsStr>>(&mut self, name: &str, values: impl IntoIterator<Item = V>) {
        for value in values {
            self.value(name, value);
        }
    }

    /// Our tools have these under the same names.
    fn flags(&mut self, given: &Given) {
        const NAMES: [(Flag, &str); 18] = [
            (Flag::Debug, "--debug"),
            (Flag::DisableCleanSession, "--disable-clean-session"),
            (Flag::ExitAfterSubscribing, "-E"),
            (Flag::Latency, "--latency"),
            (Flag::MessageRate, "--message-rate"),
            (Flag::NoDelay, "--nodelay"),
            (Flag::NoNewline, "-N"),
            (Flag::NoRetained, "-R"),
            (Flag::NoTls, "--no-tls"),
            (Flag::Pretty, "--pretty"),
            (Flag::Quiet, "--quiet"),
            (Flag::RemoveRetained, "--remove-retained"),
            (Flag::Retain, "--retain"),
            (Flag::RetainedOnly, "--retained-only"),
            (Flag::Verbose, "--verbose"),
            (Flag::Watch, "--watch"),
            (Flag::Ws, "--ws"),
            (Flag::WillRetain, "--will-retain"),
        ];
        for (flag, name) in NAMES {
            if given.flags.has(flag) {
                self.flag(name);
            }
        }
        if given.ws_by_url && !given.flags.has(Flag::Ws) {
            self.flag("--ws");
        }
        // Before 5.0 the broker would not see it, and mosquitto says nothing.
        if given.flags.has(Flag::RetainAsPublished) && given.version == Some(V5) {
            self.flag("--retain-as-published");
        }
    }

    fn place(&mut self, given: &Given) {
        let tls = &given.tls;
        let named = tls.cafile.is_some() || tls.capath.is_some() || tls.psk.is_some();
        let port = given.port.unwrap_or(if named && !given.flags.has(Flag::NoTls) { 8883 } else { 1883 });
        let host = given.host.clone().unwrap_or_else(|| "localhost".into());
        if port == 0 {
            self.value("--unix", host);
        } else {
            self.value("--host", host);
            self.value("--port", port.to_string());
        }
        self.values("-A", &given.bind);
        self.values("--proxy", &given.proxy);
        if given.flags.has(Flag::NoTls) {
            return;
        }
        let os_certs = given.flags.has(Flag::TlsUseOsCerts) || given.tls_by_url || port == 8883;
        self.tls(tls, named || os_certs, os_certs, given.flags.has(Flag::Insecure));
    }

    fn tls(&mut self, tls: &GivenTls, on: bool, os_certs: bool, insecure: bool) {
        // An engine is looked for even without TLS.
        self.values("--tls-engine", &tls.engine);
        if !on {
            return;
        }
        for (given, name) in [(os_certs, "--tls-use-os-certs"), (insecure, "--insecure")] {
            if given {
                self.flag(name);
            }
        }
        for (name, value) in [
            ("--cafile", &tls.cafile),
            ("--capath", &tls.capath),
            ("--cert", &tls.cert),
            ("--key", &tls.key),
            ("--keyform", &tls.keyform),
            ("--ciphers", &tls.ciphers),
            ("--tls-version", &tls.version),
            ("--tls-alpn", &tls.alpn),
            ("--tls-keylog", &tls.keylog),
            ("--tls-engine-kpass-sha1", &tls.engine_kpass),
            ("--psk", &tls.psk),
        ] {
            self.values(name, value);
        }
        // An identity without a key means nothing to mosquitto.
        self.values("--psk-identity", tls.psk_identity.as_ref().filter(|_| tls.psk.is_some()));
    }

    fn session(&mut self, client: MosquittoClient, given: &Given) {
        self.values("--protocol-version", given.version);
        self.values("--username", &given.username);
        self.values("--pw", &given.password);
        self.values("--id", &given.id);
        self.values("--id-prefix", &given.id_prefix);
        self.values("--keepalive", given.keepalive.map(|seconds| seconds.to_string()));
        self.values("-M", given.max_inflight.map(|count| count.min(65_535).to_string()));
        if given.version != Some(V5) {
            return;
        }
        for property in &given.properties {
            // A will that is not there has no properties either.
            if property.context != PropertyContext::Will || given.will_topic.is_some() {
                self.property(property.context, property.name, &property.values);
            }
        }
        let missing = |name| {
            let connect = |property: &&super::property::GivenProperty| property.context == PropertyContext::Connect;
            !given.properties.iter().filter(connect).any(|property| property.name == name)
        };
        if let Some(seconds) = given.session_expiry_property()
            && missing(PropertyName::SessionExpiryInterval)
        {
            let seconds = [seconds.to_string().into()];
            self.property(PropertyContext::Connect, PropertyName::SessionExpiryInterval, &seconds);
        }
        if missing(PropertyName::ReceiveMaximum) {
            // No more is asked for than is printed.
            let count = match client {
                MosquittoClient::Publish => RECEIVE_MAXIMUM,
                MosquittoClient::Subscribe => given.count.unwrap_or(RECEIVE_MAXIMUM),
                MosquittoClient::Request => 1,
            };
            let maximum = [count.min(RECEIVE_MAXIMUM).to_string().into()];
            self.property(PropertyContext::Connect, PropertyName::ReceiveMaximum, &maximum);
        }
    }

    fn property(&mut self, context: PropertyContext, name: PropertyName, values: &[OsString]) {
        let command = match context {
            PropertyContext::Connect => "connect",
            PropertyContext::Publish => "publish",
            PropertyContext::Will => "will",
            PropertyContext::Subscribe => "subscribe",
            PropertyContext::Unsubscribe => "unsubscribe",
            _ => "disconnect",
        };
        let mut words = OsString::from(command);
        for word in std::iter::once(OsStr::new(name.text())).chain(values.iter().map(OsString::as_os_str)) {
            words.push(JOINT);
            words.push(word);
        }
        self.value("--property", words);
    }

    fn will(&mut self, given: &Given) {
        self.values("--will-topic", &given.will_topic);
        self.values("--will-payload", &given.will_payload);
        self.values("--will-qos", given.will_qos.map(|qos| qos.to_string()));
    }

    fn message(&mut self, given: &Given) {
        self.payload(given);
        let lines = matches!(given.payload, Some(Payload::Lines));
        // mosquitto does not repeat lines, and says nothing.
        self.values("--repeat", given.repeat.filter(|_| !lines).map(|count| count.to_string()));
        let longest = f64::from(LONGEST_SECONDS);
        let delay = if given.repeat_delay.is_nan() { 0.0 } else { given.repeat_delay.min(longest) };
        self.value("--repeat-delay", format!("{delay:.6}"));
    }

    /// What goes to a topic.
    fn payload(&mut self, given: &Given) {
        self.values("--topic", &given.topics);
        self.value("--qos", given.qos.to_string());
        match &given.payload {
            Some(Payload::File(path)) => self.value("--file", path),
            Some(Payload::Lines) => self.flag("--stdin-line"),
            Some(Payload::Message(text)) => self.value("--message", text),
            Some(Payload::Null) => self.flag("--null-message"),
            Some(Payload::Stdin) => self.flag("--stdin-file"),
            None => {}
        }
    }

    fn request(&mut self, given: &Given) {
        self.payload(given);
        self.values("-e", &given.response_topic);
        self.display(given);
    }

    /// What mosquitto_sub and mosquitto_rr do alike with what comes.
    fn display(&mut self, given: &Given) {
        self.values("-W", given.timeout.map(|seconds| seconds.min(LONGEST_SECONDS).to_string()));
        self.values("--retain-handling", given.retain_handling.filter(|_| given.version == Some(V5)));
        // A rate is shown in place of messages, whatever the format says.
        self.values("-F", given.format.as_ref().filter(|_| !given.flags.has(Flag::MessageRate)));
    }

    fn subscription(&mut self, given: &Given) {
        self.values("--topic", &given.topics);
        self.values("--unsubscribe", &given.unsubscribe);
        self.values("--filter-out", &given.filter_out);
        self.value("--qos", given.qos.to_string());
        self.values("-C", given.count.map(|count| count.to_string()));
        self.values("--random-filter", given.random_filter.map(|tenths| format!("{}.{}", tenths / 10, tenths % 10)));
        self.display(given);
    }
}
