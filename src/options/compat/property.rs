//! `-D` as mosquitto reads it: names in any case, numbers as `atol` reads them, checked against the width they have on
//! the wire.

use std::ffi::{OsStr, OsString};

use super::numbers::atol;
use super::refusal::Refusal;
use super::text::valid_text;
use crate::mqtt::{PropertyContext, PropertyName, WireType};

/// One property for one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GivenProperty {
    /// Where it goes.
    pub context: PropertyContext,
    /// Which it is.
    pub name: PropertyName,
    /// Its value; with a user property, key and value.
    pub values: Vec<OsString>,
}

/// What a command may do here.
enum Command {
    Supported(PropertyContext),
    Unsupported(PropertyContext),
}

fn command(name: &OsStr) -> Option<Command> {
    use Command::{Supported, Unsupported};
    Some(match name.to_str()?.to_ascii_lowercase().as_str() {
        "connect" => Supported(PropertyContext::Connect),
        "publish" => Supported(PropertyContext::Publish),
        "will" => Supported(PropertyContext::Will),
        "subscribe" => Supported(PropertyContext::Subscribe),
        "unsubscribe" => Supported(PropertyContext::Unsubscribe),
        "disconnect" => Supported(PropertyContext::Disconnect),
        "auth" => Unsupported(PropertyContext::Auth),
        "puback" => Unsupported(PropertyContext::Puback),
        "pubrec" => Unsupported(PropertyContext::Pubrec),
        "pubrel" => Unsupported(PropertyContext::Pubrel),
        "pubcomp" => Unsupported(PropertyContext::Pubcomp),
        "suback" => Unsupported(PropertyContext::Suback),
        "unsuback" => Unsupported(PropertyContext::Unsuback),
        _ => return None,
    })
}

/// Reads the words behind a `-D`, and returns how many they are.
pub(super) fn read(words: &[OsString]) -> Result<(GivenProperty, usize), Refusal> {
    let too_few = || Refusal::spaced("Error: --property argument given but not enough arguments specified.");
    let [command_word, name_word, first, ..] = words else { return Err(too_few()) };
    let (shown_command, shown_name) = (command_word.to_string_lossy(), name_word.to_string_lossy());
    let command = command(command_word).ok_or_else(|| {
        Refusal::spaced(format!("Error: Invalid command {shown_command} given in --property argument."))
    })?;
    let name = name_word.to_str().and_then(PropertyName::from_text).ok_or_else(|| {
        Refusal::spaced(format!("Error: Invalid property name {shown_name} given in --property argument."))
    })?;
    let (context, supported) = match command {
        Command::Supported(context) => (context, true),
        Command::Unsupported(context) => (context, false),
    };
    let no = |what: &str| {
        let text = format!("Error: {shown_name} property not {what} for {shown_command} in --property argument.");
        Err(Refusal::spaced(text))
    };
    // The man page forbids a Reason String in a will, and so does the standard.
    if !name.allowed_in(context) {
        return no("allowed");
    }
    let values = match (name.wire_type(), words) {
        (WireType::Pair, [_, _, key, value, ..]) => vec![key.clone(), value.clone()],
        (WireType::Pair, _) => return Err(too_few()),
        _ => vec![first.clone()],
    };
    // In PUBLISH the Subscription Identifier is the server's (MQTT-3.3.4-6).
    if !supported || (context == PropertyContext::Publish && name == PropertyName::SubscriptionIdentifier) {
        return no("supported");
    }
    let values = checked(name, values)?;
    let count = 2 + values.len();
    Ok((GivenProperty { context, name, values }, count))
}

fn checked(name: PropertyName, values: Vec<OsString>) -> Result<Vec<OsString>, Refusal> {
    let highest = match name.wire_type() {
        WireType::Byte => i64::from(u8::MAX),
        WireType::TwoByte => i64::from(u16::MAX),
        WireType::FourByte | WireType::VarInt => i64::from(u32::MAX),
        kind @ (WireType::Utf8 | WireType::Binary | WireType::Pair) => {
            let fits = |value: &OsString| {
                value.len() <= usize::from(u16::MAX) && (kind == WireType::Binary || valid_text(value).is_some())
            };
            return if values.iter().all(fits) { Ok(values) } else { Err(cannot_add(name)) };
        }
    };
    let number = values.iter().map(|value| atol(&value.to_string_lossy())).next().unwrap_or_default();
    if !(0..=highest).contains(&number) {
        let text = format!("Error: Property value ({number}) out of range for property {}.", name.text());
        return Err(Refusal::spaced(text));
    }
    if name.wire_type() == WireType::VarInt && number > 268_435_455 {
        return Err(cannot_add(name));
    }
    Ok(vec![number.to_string().into()])
}

/// mosquitto shows the number that its library has for the kind of the value.
fn cannot_add(name: PropertyName) -> Refusal {
    let kind = match name.wire_type() {
        WireType::Byte => 1,
        WireType::TwoByte => 2,
        WireType::FourByte => 3,
        WireType::VarInt => 4,
        WireType::Binary => 5,
        WireType::Utf8 => 6,
        WireType::Pair => 7,
    };
    Refusal::tight(format!("Error adding property {} {kind}", name.text()))
}

/// What is wrong with all properties of one packet together, which mosquitto finds last. That of `-x` is one of them.
pub(super) fn check_together(properties: &[GivenProperty], session_expiry: Option<u32>) -> Result<(), Refusal> {
    const PACKETS: [(PropertyContext, &str); 6] = [
        (PropertyContext::Connect, "CONNECT"),
        (PropertyContext::Publish, "PUBLISH"),
        (PropertyContext::Subscribe, "SUBSCRIBE"),
        (PropertyContext::Unsubscribe, "UNSUBSCRIBE"),
        (PropertyContext::Disconnect, "DISCONNECT"),
        (PropertyContext::Will, "Will"),
    ];
    for (context, packet) in PACKETS {
        let mut seen = Vec::new();
        if context == PropertyContext::Connect && session_expiry.is_some() {
            seen.push(PropertyName::SessionExpiryInterval);
        }
        for property in properties.iter().filter(|property| property.context == context) {
            if is_forbidden(property) {
                let text = "A network protocol error occurred when communicating with the broker.";
                return Err(Refusal::tight(format!("Error in {packet} properties: {text}")));
            }
            if seen.contains(&property.name) && property.name != PropertyName::UserProperty {
                return Err(Refusal::tight(format!(
                    "Error in {packet} properties: Duplicate property in property list"
                )));
            }
            seen.push(property.name);
        }
    }
    Ok(())
}

/// Numbers that the standard forbids although they fit.
fn is_forbidden(property: &GivenProperty) -> bool {
    let number = || atol(&property.values.first().map(|value| value.to_string_lossy()).unwrap_or_default());
    match property.name {
        PropertyName::ReceiveMaximum
        | PropertyName::MaximumPacketSize
        | PropertyName::TopicAlias
        | PropertyName::SubscriptionIdentifier => number() == 0,
        name => name.wire_type() == WireType::Byte && number() > 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_words(words: &[&str]) -> Result<(GivenProperty, usize), Refusal> {
        read(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn words_are_taken_as_the_name_needs() {
        let (property, count) = read_words(&["PUBLISH", "User-Property", "k", "v", "-q"]).unwrap();
        assert_eq!((property.name, count), (PropertyName::UserProperty, 4));
        let (property, count) = read_words(&["connect", "receive-maximum", "7x", "-q"]).unwrap();
        assert_eq!((property.values, count), (vec![OsString::from("7")], 3));
    }

    #[test]
    fn errors_in_mosquittos_words() {
        for (words, text) in [
            (&["connect", "receive-maximum"][..], "--property argument given but not enough arguments specified."),
            (&["connect", "user-property", "k"], "--property argument given but not enough arguments specified."),
            (&["invalid", "receive-maximum", "1"], "Invalid command invalid given in --property argument."),
            (&["connect", "invalid", "1"], "Invalid property name invalid given in --property argument."),
            (&["Connect", "Topic-Alias", "1"], "Topic-Alias property not allowed for Connect in --property argument."),
            (
                &["publish", "subscription-identifier", "1"],
                "subscription-identifier property not supported for publish in --property argument.",
            ),
            (
                &["puback", "reason-string", "1"],
                "reason-string property not supported for puback in --property argument.",
            ),
            (
                &["connect", "request-problem-information", "256"],
                "Property value (256) out of range for property request-problem-information.",
            ),
            (&["connect", "receive-maximum", "-1"], "Property value (-1) out of range for property receive-maximum."),
        ] {
            assert_eq!(read_words(words), Err(Refusal::spaced(format!("Error: {text}"))), "{words:?}");
        }
    }
}
