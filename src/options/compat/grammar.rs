//! The options of mosquitto's clients, by name: which clients have them, and what they take.

use crate::client::mosquitto::MosquittoClient;

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing(Flag),
    /// The next argument; the text is for the error where there is none.
    Value(Value, &'static str),
    /// Three or four.
    Property,
    /// The next argument, before all others are read.
    OptionsFile,
    /// The usage, or the version, on stdout.
    Answer(Answer),
}

/// What is answered whatever else is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

/// Options without a value.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::options) enum Flag {
    Debug, DisableCleanSession, ExitAfterSubscribing, Insecure, Latency, MessageRate, NoDelay, NoNewline, NoRetained,
    NoTls, NullMessage, Pretty, Quiet, RemoveRetained, Retain, RetainAsPublished, RetainedOnly, StdinFile, StdinLine,
    TlsUseOsCerts, Verbose, Watch, Ws, WillRetain,
}

/// Options with a value.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bind, CaFile, CaPath, Cert, Ciphers, Count, File, FilterOut, Format, Host, Id, IdPrefix, Keepalive, Key, KeyForm,
    MaxInflight, Message, Password, Port, ProtocolVersion, Proxy, Psk, PskIdentity, Qos, RandomFilter, Repeat,
    RepeatDelay, ResponseTopic, RetainHandling, SessionExpiry, Timeout, TlsAlpn, TlsEngine, TlsEngineKpassSha1, TlsKeylog, TlsVersion,
    Topic, Unix, Unsubscribe, Url, Username, WillPayload, WillQos, WillTopic,
}

/// One option.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its names, the one that errors use first.
    pub names: &'static [&'static str],
    whose: Whose,
    /// What it takes.
    pub takes: Takes,
}

#[derive(Debug, PartialEq, Eq)]
enum Whose {
    All,
    Pub,
    Sub,
    /// Who sends a message of the command line.
    PubRr,
    /// Who prints messages.
    SubRr,
    Rr,
}

const fn flag(whose: Whose, names: &'static [&'static str], flag: Flag) -> Entry {
    Entry { names, whose, takes: Takes::Nothing(flag) }
}

const fn value(whose: Whose, names: &'static [&'static str], value: Value, missing: &'static str) -> Entry {
    Entry { names, whose, takes: Takes::Value(value, missing) }
}

use Whose::{All, Pub, PubRr, Rr, Sub, SubRr};

/// `-S` is missing: mosquitto knows it only where it was built with SRV, which it is not by default.
#[rustfmt::skip]
const TABLE: &[Entry] = &[
    value(All, &["-A"], Value::Bind, "no address specified"),
    value(All, &["--cafile"], Value::CaFile, "no file specified"),
    value(All, &["--capath"], Value::CaPath, "no directory specified"),
    value(All, &["--cert"], Value::Cert, "no file specified"),
    value(All, &["--ciphers"], Value::Ciphers, "no ciphers specified"),
    value(Sub, &["-C"], Value::Count, "no count specified"),
    flag(All, &["-c", "--disable-clean-session"], Flag::DisableCleanSession),
    flag(All, &["-d", "--debug"], Flag::Debug),
    Entry { names: &["-D", "--property"], whose: All, takes: Takes::Property },
    value(Rr, &["-e"], Value::ResponseTopic, "no response topic specified"),
    flag(Sub, &["-E"], Flag::ExitAfterSubscribing),
    value(PubRr, &["-f", "--file"], Value::File, "no file specified"),
    value(SubRr, &["-F"], Value::Format, "no format specified"),
    Entry { names: &["--help"], whose: All, takes: Takes::Answer(Answer::Help) },
    value(All, &["-h", "--host"], Value::Host, "no host specified"),
    value(All, &["-i", "--id"], Value::Id, "no id specified"),
    value(All, &["-I", "--id-prefix"], Value::IdPrefix, "no id prefix specified"),
    flag(All, &["--insecure"], Flag::Insecure),
    value(All, &["-k", "--keepalive"], Value::Keepalive, "no keepalive specified"),
    value(All, &["--key"], Value::Key, "no file specified"),
    value(All, &["--keyform"], Value::KeyForm, "no keyform specified"),
    flag(Rr, &["--latency"], Flag::Latency),
    value(All, &["-L", "--url"], Value::Url, "no URL specified"),
    flag(Pub, &["-l", "--stdin-line"], Flag::StdinLine),
    value(PubRr, &["-m", "--message"], Value::Message, "no message specified"),
    value(All, &["-M"], Value::MaxInflight, "max_inflight not specified"),
    flag(Sub, &["--message-rate"], Flag::MessageRate),
    flag(SubRr, &["-N"], Flag::NoNewline),
    flag(PubRr, &["-n", "--null-message"], Flag::NullMessage),
    flag(All, &["--no-tls"], Flag::NoTls),
    flag(All, &["--nodelay"], Flag::NoDelay),
    Entry { names: &["-o"], whose: All, takes: Takes::OptionsFile },
    value(All, &["-p", "--port"], Value::Port, "no port specified"),
    value(All, &["-P", "--pw"], Value::Password, "no password specified"),
    flag(SubRr, &["--pretty"], Flag::Pretty),
    value(All, &["--protocol-version", "-V"], Value::ProtocolVersion, "no version specified"),
    value(All, &["--proxy"], Value::Proxy, "no proxy url specified"),
    value(All, &["--psk"], Value::Psk, "no key specified"),
    value(All, &["--psk-identity"], Value::PskIdentity, "no identity specified"),
    value(All, &["-q", "--qos"], Value::Qos, "no QoS specified"),
    flag(All, &["--quiet"], Flag::Quiet),
    flag(Pub, &["-r", "--retain"], Flag::Retain),
    flag(SubRr, &["-R"], Flag::NoRetained),
    value(Sub, &["--random-filter"], Value::RandomFilter, "no chance specified"),
    flag(Sub, &["--remove-retained"], Flag::RemoveRetained),
    value(Pub, &["--repeat"], Value::Repeat, "no count specified"),
    value(Pub, &["--repeat-delay"], Value::RepeatDelay, "no time specified"),
    flag(SubRr, &["--retain-as-published"], Flag::RetainAsPublished),
    value(SubRr, &["--retain-handling"], Value::RetainHandling, "no option specified"),
    flag(Sub, &["--retained-only"], Flag::RetainedOnly),
    flag(PubRr, &["-s", "--stdin-file"], Flag::StdinFile),
    value(All, &["-t", "--topic"], Value::Topic, "no topic specified"),
    value(Sub, &["-T", "--filter-out"], Value::FilterOut, "no topic filter specified"),
    value(All, &["--tls-alpn"], Value::TlsAlpn, "no protocol specified"),
    value(All, &["--tls-engine"], Value::TlsEngine, "no engine_id specified"),
    value(All, &["--tls-engine-kpass-sha1"], Value::TlsEngineKpassSha1, "no kpass sha1 specified"),
    value(All, &["--tls-keylog"], Value::TlsKeylog, "no file specified"),
    flag(All, &["--tls-use-os-certs"], Flag::TlsUseOsCerts),
    value(All, &["--tls-version"], Value::TlsVersion, "no version specified"),
    value(All, &["-u", "--username"], Value::Username, "no username specified"),
    value(Sub, &["-U", "--unsubscribe"], Value::Unsubscribe, "no unsubscribe topic specified"),
    value(All, &["--unix"], Value::Unix, "no socket path specified"),
    flag(SubRr, &["-v", "--verbose"], Flag::Verbose),
    Entry { names: &["--version"], whose: All, takes: Takes::Answer(Answer::Version) },
    flag(Sub, &["-w", "--watch"], Flag::Watch),
    value(SubRr, &["-W"], Value::Timeout, "no timeout specified"),
    value(All, &["--will-payload"], Value::WillPayload, "no will payload specified"),
    value(All, &["--will-qos"], Value::WillQos, "no will QoS specified"),
    flag(All, &["--will-retain"], Flag::WillRetain),
    value(All, &["--will-topic"], Value::WillTopic, "no will topic specified"),
    flag(All, &["--ws"], Flag::Ws),
    value(All, &["-x"], Value::SessionExpiry, "no session expiry interval specified"),
];

/// The option of that name, exactly as written.
pub(super) fn find(client: MosquittoClient, name: &str) -> Option<&'static Entry> {
    let entry = TABLE.iter().find(|entry| entry.names.contains(&name))?;
    let knows = match client {
        MosquittoClient::Publish => matches!(entry.whose, All | Pub | PubRr),
        MosquittoClient::Subscribe => matches!(entry.whose, All | Sub | SubRr),
        MosquittoClient::Request => matches!(entry.whose, All | PubRr | SubRr | Rr),
    };
    knows.then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::super::super::{PUBLISH, REQUEST, SUBSCRIBE};
    use super::*;

    /// What mosquitto knows our tools know under the same name, or the translation would have no words for it.
    #[test]
    fn our_tools_know_every_name() {
        for (client, tool) in [
            (MosquittoClient::Publish, &PUBLISH),
            (MosquittoClient::Subscribe, &SUBSCRIBE),
            (MosquittoClient::Request, &REQUEST),
        ] {
            let command = tool.command();
            for entry in TABLE.iter().filter(|entry| find(client, entry.names[0]).is_some()) {
                for name in entry.names {
                    let known = command.get_arguments().any(|argument| match name.strip_prefix("--") {
                        Some(long) => argument.get_long() == Some(long),
                        None => argument.get_short() == name.chars().nth(1),
                    });
                    assert!(known, "{name} of {}", tool.name);
                }
            }
        }
    }

    #[test]
    fn names_are_exact_and_belong_to_a_client() {
        assert!(find(MosquittoClient::Publish, "-l").is_some() && find(MosquittoClient::Subscribe, "-l").is_none());
        assert!(find(MosquittoClient::Subscribe, "-C").is_some() && find(MosquittoClient::Publish, "-C").is_none());
        for name in ["-e", "-m", "-F", "-W", "--latency"] {
            assert!(find(MosquittoClient::Request, name).is_some(), "{name}");
        }
        for name in ["-l", "-r", "-C", "-E", "-T", "-U", "-w", "--repeat", "--retained-only", "--response-topic"] {
            assert!(find(MosquittoClient::Request, name).is_none(), "{name}");
        }
        for name in ["-ta", "--topic=a", "--top", "t", "", "--", "-S", "--json", "--tls"] {
            assert!(find(MosquittoClient::Publish, name).is_none(), "{name}");
        }
    }
}
