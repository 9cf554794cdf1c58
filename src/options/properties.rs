//! The property group: `-D COMMAND NAME VALUE`, and `-D COMMAND user-property KEY VALUE`.
//!
//! clap cannot take three or four values depending on the second, so `arguments` joins them with NUL, which no argument
//! of a process can hold, and this file takes them apart.

use bytes::Bytes;
use clap::{Args, ValueHint};

use super::values::whole_number;
use crate::mqtt::{
    Properties, Property, PropertyContext, PropertyError, PropertyName, PropertyValue, WireType, check_sent_text,
};

/// The separator between the joined values of one `-D`.
pub(super) const JOINT: &str = "\0";

/// Properties of MQTT 5.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Properties")]
pub struct PropertyOptions {
    /// Add an MQTT 5 property to a packet, or a user-property KEY VALUE; may be repeated. Implies -V 5.
    ///
    /// COMMAND is connect, publish, will, subscribe, unsubscribe or disconnect. NAME is the name of the property in the
    /// standard, with dashes: content-type, message-expiry-interval, response-topic and so on.
    #[arg(short = 'D', long, value_name = "COMMAND NAME VALUE", allow_hyphen_values = true,
          value_hint = ValueHint::Other, value_parser = PropertyArgument::parse)]
    pub property: Vec<PropertyArgument>,
}

/// The words behind one `-D`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyArgument(pub(super) Vec<String>);

impl PropertyArgument {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.split(JOINT).map(str::to_owned).collect()))
    }
}

/// How many words a `-D` has that begins with these.
pub(super) fn words_of(name: &str) -> usize {
    if name.eq_ignore_ascii_case(PropertyName::UserProperty.text()) { 4 } else { 3 }
}

/// What was given for each packet, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandProperties {
    /// CONNECT.
    pub connect: Properties,
    /// PUBLISH.
    pub publish: Properties,
    /// The will.
    pub will: Properties,
    /// SUBSCRIBE.
    pub subscribe: Properties,
    /// UNSUBSCRIBE.
    pub unsubscribe: Properties,
    /// DISCONNECT.
    pub disconnect: Properties,
}

impl CommandProperties {
    fn command(&mut self, name: &str) -> Result<(PropertyContext, &mut Properties), String> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "connect" => (PropertyContext::Connect, &mut self.connect),
            "publish" => (PropertyContext::Publish, &mut self.publish),
            "will" => (PropertyContext::Will, &mut self.will),
            "subscribe" => (PropertyContext::Subscribe, &mut self.subscribe),
            "unsubscribe" => (PropertyContext::Unsubscribe, &mut self.unsubscribe),
            "disconnect" => (PropertyContext::Disconnect, &mut self.disconnect),
            "auth" | "puback" | "pubrec" | "pubrel" | "pubcomp" | "suback" | "unsuback" => {
                return Err(format!("-D {name}: a client cannot set properties of this packet"));
            }
            _ => {
                return Err(format!(
                    "-D {name}: unknown command; use connect, publish, will, subscribe, unsubscribe or disconnect"
                ));
            }
        })
    }
}

impl PropertyOptions {
    /// Whether any property is given, which asks for MQTT 5.
    pub(super) fn asked_for(&self) -> bool {
        !self.property.is_empty()
    }

    /// The properties by packet, or all faults.
    pub fn by_command(&self) -> Result<CommandProperties, Vec<String>> {
        let Self { property } = self;
        let mut commands = CommandProperties::default();
        let faults: Vec<String> =
            property.iter().filter_map(|argument| put(&argument.0, &mut commands).err()).collect();
        if faults.is_empty() { Ok(commands) } else { Err(faults) }
    }
}

fn put(words: &[String], commands: &mut CommandProperties) -> Result<(), String> {
    let [command, name, values @ ..] = words else {
        return Err("-D needs COMMAND NAME VALUE, or COMMAND user-property KEY VALUE".into());
    };
    let (context, properties) = commands.command(command)?;
    let property =
        PropertyName::from_text(name).ok_or_else(|| format!("-D {command} {name}: MQTT 5 has no such property"))?;
    let says = |fault: &str| format!("-D {command} {name}: {fault}");
    // The standard allows a Subscription Identifier in PUBLISH from a server only (MQTT-3.3.4-6).
    if !property.allowed_in(context)
        || (property == PropertyName::SubscriptionIdentifier && context == PropertyContext::Publish)
    {
        return Err(says("this property is not allowed in this packet"));
    }
    if values.len() + 2 != words_of(name) {
        return Err(says(
            if property == PropertyName::UserProperty { "KEY and VALUE are missing" } else { "VALUE is missing" }
                .trim_end(),
        ));
    }
    properties.push(read_property(property, values).map_err(|fault| says(&fault))?);
    match properties.check(context) {
        Err(PropertyError::Duplicate(_)) => Err(says("it is given twice")),
        Err(other) => Err(says(&other.to_string())),
        Ok(()) => Ok(()),
    }
}

fn read_property(name: PropertyName, values: &[String]) -> Result<Property, String> {
    // The caller has counted the values, so the default is never used.
    let text = values.first().map(String::as_str).unwrap_or_default();
    if values.iter().any(|value| value.len() > usize::from(u16::MAX)) {
        return Err("a value can have at most 65,535 bytes".into());
    }
    if matches!(name.wire_type(), WireType::Utf8 | WireType::Pair) {
        for (value, what) in values.iter().zip(["", "the key: ", "the value: "].iter().skip(values.len() - 1)) {
            check_sent_text(value).map_err(|error| format!("{what}{error}"))?;
        }
    }
    let number = |highest: u32| match whole_number::<u32>(text) {
        Some(number) if number <= highest => Ok(number),
        _ => Err(format!("must be a number from 0 to {highest}")),
    };
    let value = match name.wire_type() {
        WireType::Byte => PropertyValue::Byte(number(1)? as u8),
        WireType::TwoByte => PropertyValue::TwoByte(number(u32::from(u16::MAX))? as u16),
        WireType::FourByte => PropertyValue::FourByte(number(u32::MAX)?),
        WireType::VarInt => PropertyValue::VarInt(number(268_435_455)?),
        WireType::Utf8 => PropertyValue::Utf8(text.to_owned()),
        WireType::Binary => PropertyValue::Binary(Bytes::copy_from_slice(text.as_bytes())),
        WireType::Pair => PropertyValue::Pair(text.to_owned(), values.last().cloned().unwrap_or_default()),
    };
    Property::new(name, value).map_err(|_| "0 is not allowed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&[&str]]) -> Result<CommandProperties, Vec<String>> {
        let property = arguments.iter().map(|words| PropertyArgument::parse(&words.join(JOINT)).unwrap()).collect();
        PropertyOptions { property }.by_command()
    }

    #[test]
    fn order_is_kept_and_names_ignore_case() {
        let commands = read(&[
            &["PUBLISH", "User-Property", "k", "1"],
            &["publish", "content-type", "text/plain"],
            &["publish", "user-property", "k", "2"],
            &["connect", "receive-maximum", "7"],
            &["will", "correlation-data", ""],
        ])
        .unwrap();
        let names: Vec<&str> = commands.publish.iter().map(|property| property.name().text()).collect();
        assert_eq!(names, ["user-property", "content-type", "user-property"]);
        assert_eq!(commands.connect.number(PropertyName::ReceiveMaximum), Some(7));
        assert_eq!(commands.will.binary(PropertyName::CorrelationData).map(|data| data.len()), Some(0));
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let faults = read(&[
            &["publish", "content-type"],
            &["publish", "user-property", "k"],
            &["fly", "content-type", "x"],
            &["puback", "user-property", "k", "v"],
            &["publish", "color", "x"],
            &["publish", "subscription-identifier", "1"],
            &["connect", "content-type", "x"],
            &["connect", "receive-maximum", "65536"],
            &["connect", "receive-maximum", "0"],
            &["connect", "request-problem-information", "2"],
            &["subscribe", "subscription-identifier", "268435456"],
            &["publish", "message-expiry-interval", "x"],
            &["disconnect", "reason-string", "a"],
            &["disconnect", "reason-string", "b"],
            &["connect"],
        ])
        .unwrap_err();
        assert_eq!(
            faults,
            [
                "-D publish content-type: VALUE is missing",
                "-D publish user-property: KEY and VALUE are missing",
                "-D fly: unknown command; use connect, publish, will, subscribe, unsubscribe or disconnect",
                "-D puback: a client cannot set properties of this packet",
                "-D publish color: MQTT 5 has no such property",
                "-D publish subscription-identifier: this property is not allowed in this packet",
                "-D connect content-type: this property is not allowed in this packet",
                "-D connect receive-maximum: must be a number from 0 to 65535",
                "-D connect receive-maximum: 0 is not allowed",
                "-D connect request-problem-information: must be a number from 0 to 1",
                "-D subscribe subscription-identifier: must be a number from 0 to 268435455",
                "-D publish message-expiry-interval: must be a number from 0 to 4294967295",
                "-D disconnect reason-string: it is given twice",
                "-D needs COMMAND NAME VALUE, or COMMAND user-property KEY VALUE",
            ]
        );
    }
}
