//! The options that mosquitto's clients know, by name: whose they are, and what they take.

/// Which of the two clients it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// mosquitto_pub.
    Publish,
    /// mosquitto_sub.
    Subscribe,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing.
    Nothing(Flag),
    /// The next argument; the text says what is missing where there is none.
    Value(Value, &'static str),
    /// Three or four.
    Property,
    /// The next argument, before all others are read.
    OptionsFile,
    /// The usage, or the version, on stdout.
    Answer(Answer),
}

/// What is answered whatever else stands there.
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
pub(super) enum Flag {
    Debug, DisableCleanSession, ExitAfterSubscribing, Insecure, MessageRate, NoDelay, NoNewline, NoRetained, NoTls,
    NullMessage, Pretty, Quiet, RemoveRetained, Retain, RetainAsPublished, RetainedOnly, StdinFile, StdinLine,
    TlsUseOsCerts, Verbose, Watch, Ws, WillRetain,
}

/// Options with a value.
#[rustfmt::skip]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bind, CaFile, CaPath, Cert, Ciphers, Count, File, FilterOut, Format, Host, Id, IdPrefix, Keepalive, Key, KeyForm,
    MaxInflight, Message, Password, Port, ProtocolVersion, Proxy, Psk, PskIdentity, Qos, RandomFilter, Repeat,
    RepeatDelay, RetainHandling, SessionExpiry, Timeout, TlsAlpn, TlsEngine, TlsEngineKpassSha1, TlsKeylog, TlsVersion,
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
    Both,
    Pub,
    Sub,
}

const fn flag(whose: Whose, names: &'static [&'static str], flag: Flag) -> Entry {
    Entry { names, whose, takes: Takes::Nothing(flag) }
}

const fn value(whose: Whose, names: &'static [&'static str], value: Value, missing: &'static str) -> Entry {
    Entry { names, whose, takes: Takes::Value(value, missing) }
}

use Whose::{Both, Pub, Sub};

/// `-S` is missing: mosquitto knows it only where it was built with SRV, which it is not by default.
#[rustfmt::skip]
const TABLE: &[Entry] = &[
    value(Both, &["-A"], Value::Bind, "no address specified"),
    value(Both, &["--cafile"], Value::CaFile, "no file specified"),
    value(Both, &["--capath"], Value::CaPath, "no directory specified"),
    value(Both, &["--cert"], Value::Cert, "no file specified"),
    value(Both, &["--ciphers"], Value::Ciphers, "no ciphers specified"),
    value(Sub, &["-C"], Value::Count, "no count specified"),
    flag(Both, &["-c", "--disable-clean-session"], Flag::DisableCleanSession),
    flag(Both, &["-d", "--debug"], Flag::Debug),
    Entry { names: &["-D", "--property"], whose: Both, takes: Takes::Property },
    flag(Sub, &["-E"], Flag::ExitAfterSubscribing),
    value(Pub, &["-f", "--file"], Value::File, "no file specified"),
    value(Sub, &["-F"], Value::Format, "no format specified"),
    Entry { names: &["--help"], whose: Both, takes: Takes::Answer(Answer::Help) },
    value(Both, &["-h", "--host"], Value::Host, "no host specified"),
    value(Both, &["-i", "--id"], Value::Id, "no id specified"),
    value(Both, &["-I", "--id-prefix"], Value::IdPrefix, "no id prefix specified"),
    flag(Both, &["--insecure"], Flag::Insecure),
    value(Both, &["-k", "--keepalive"], Value::Keepalive, "no keepalive specified"),
    value(Both, &["--key"], Value::Key, "no file specified"),
    value(Both, &["--keyform"], Value::KeyForm, "no keyform specified"),
    value(Both, &["-L", "--url"], Value::Url, "no URL specified"),
    flag(Pub, &["-l", "--stdin-line"], Flag::StdinLine),
    value(Pub, &["-m", "--message"], Value::Message, "no message specified"),
    value(Both, &["-M"], Value::MaxInflight, "max_inflight not specified"),
    flag(Sub, &["--message-rate"], Flag::MessageRate),
    flag(Sub, &["-N"], Flag::NoNewline),
    flag(Pub, &["-n", "--null-message"], Flag::NullMessage),
    flag(Both, &["--no-tls"], Flag::NoTls),
    flag(Both, &["--nodelay"], Flag::NoDelay),
    Entry { names: &["-o"], whose: Both, takes: Takes::OptionsFile },
    value(Both, &["-p", "--port"], Value::Port, "no port specified"),
    value(Both, &["-P", "--pw"], Value::Password, "no password specified"),
    flag(Sub, &["--pretty"], Flag::Pretty),
    value(Both, &["--protocol-version", "-V"], Value::ProtocolVersion, "no version specified"),
    value(Both, &["--proxy"], Value::Proxy, "no proxy url specified"),
    value(Both, &["--psk"], Value::Psk, "no key specified"),
    value(Both, &["--psk-identity"], Value::PskIdentity, "no identity specified"),
    value(Both, &["-q", "--qos"], Value::Qos, "no QoS specified"),
    flag(Both, &["--quiet"], Flag::Quiet),
    flag(Pub, &["-r", "--retain"], Flag::Retain),
    flag(Sub, &["-R"], Flag::NoRetained),
    value(Sub, &["--random-filter"], Value::RandomFilter, "no chance specified"),
    flag(Sub, &["--remove-retained"], Flag::RemoveRetained),
    value(Pub, &["--repeat"], Value::Repeat, "no count specified"),
    value(Pub, &["--repeat-delay"], Value::RepeatDelay, "no time specified"),
    flag(Sub, &["--retain-as-published"], Flag::RetainAsPublished),
    value(Sub, &["--retain-handling"], Value::RetainHandling, "no option specified"),
    flag(Sub, &["--retained-only"], Flag::RetainedOnly),
    flag(Pub, &["-s", "--stdin-file"], Flag::StdinFile),
    value(Both, &["-t", "--topic"], Value::Topic, "no topic specified"),
    value(Sub, &["-T", "--filter-out"], Value::FilterOut, "no topic filter specified"),
    value(Both, &["--tls-alpn"], Value::TlsAlpn, "no protocol specified"),
    value(Both, &["--tls-engine"], Value::TlsEngine, "no engine_id specified"),
    value(Both, &["--tls-engine-kpass-sha1"], Value::TlsEngineKpassSha1, "no kpass sha1 specified"),
    value(Both, &["--tls-keylog"], Value::TlsKeylog, "no file specified"),
    flag(Both, &["--tls-use-os-certs"], Flag::TlsUseOsCerts),
    value(Both, &["--tls-version"], Value::TlsVersion, "no version specified"),
    value(Both, &["-u", "--username"], Value::Username, "no username specified"),
    value(Sub, &["-U", "--unsubscribe"], Value::Unsubscribe, "no unsubscribe topic specified"),
    value(Both, &["--unix"], Value::Unix, "no socket path specified"),
    flag(Sub, &["-v", "--verbose"], Flag::Verbose),
    Entry { names: &["--version"], whose: Both, takes: Takes::Answer(Answer::Version) },
    flag(Sub, &["-w", "--watch"], Flag::Watch),
    value(Sub, &["-W"], Value::Timeout, "no timeout specified"),
    value(Both, &["--will-payload"], Value::WillPayload, "no will payload specified"),
    value(Both, &["--will-qos"], Value::WillQos, "no will QoS specified"),
    flag(Both, &["--will-retain"], Flag::WillRetain),
    value(Both, &["--will-topic"], Value::WillTopic, "no will topic specified"),
    flag(Both, &["--ws"], Flag::Ws),
    value(Both, &["-x"], Value::SessionExpiry, "no session expiry interval specified"),
];

/// The option of that name, exactly as written.
pub(super) fn find(client: Client, name: &str) -> Option<&'static Entry> {
    let entry = TABLE.iter().find(|entry| entry.names.contains(&name))?;
    match (&entry.whose, client) {
        (Both, _) | (Pub, Client::Publish) | (Sub, Client::Subscribe) => Some(entry),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{PUBLISH, SUBSCRIBE};
    use super::*;

    /// What mosquitto knows our tools know under the same name, or the translation would have no words for it.
    #[test]
    fn our_tools_know_every_name() {
        for (client, tool) in [(Client::Publish, &PUBLISH), (Client::Subscribe, &SUBSCRIBE)] {
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
        assert!(find(Client::Publish, "-l").is_some() && find(Client::Subscribe, "-l").is_none());
        assert!(find(Client::Subscribe, "-C").is_some() && find(Client::Publish, "-C").is_none());
        for name in ["-ta", "--topic=a", "--top", "t", "", "--", "-S", "--json", "--tls"] {
            assert!(find(Client::Publish, name).is_none(), "{name}");
        }
    }
}
