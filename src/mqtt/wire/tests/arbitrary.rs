//! Random packets that are valid, for property tests.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::mqtt::WireType;

pub(super) fn version() -> impl Strategy<Value = ProtocolVersion> {
    select(vec![V31, V311, V5])
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "\\PC{0,12}", 1 => "[a-z]{100,200}"]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 100..300)]
}

fn topic_name() -> impl Strategy<Value = String> {
    "[a-zäß€😀/$ ]{1,12}"
}

fn topic_filter() -> impl Strategy<Value = String> {
    let level = select(vec!["", "a", "b€", "+", "$x"]);
    (vec(level, 1..5), any::<bool>(), any::<bool>()).prop_map(|(mut levels, hash, shared)| {
        if hash || levels == [""] {
            levels.push("#");
        }
        if shared { format!("$share/group/{}", levels.join("/")) } else { levels.join("/") }
    })
}

fn value(name: PropertyName) -> BoxedStrategy<PropertyValue> {
    use PropertyName::{MaximumPacketSize, ReceiveMaximum, TopicAlias};
    let least = u16::from(matches!(name, ReceiveMaximum | MaximumPacketSize | TopicAlias));
    match name.wire_type() {
        WireType::Byte => (0..=1u8).prop_map(PropertyValue::Byte).boxed(),
        WireType::TwoByte => (least..=u16::MAX).prop_map(PropertyValue::TwoByte).boxed(),
        WireType::FourByte => (u32::from(least)..=u32::MAX).prop_map(PropertyValue::FourByte).boxed(),
        WireType::VarInt => prop_oneof![1..200u32, 1..=268_435_455u32].prop_map(PropertyValue::VarInt).boxed(),
        WireType::Utf8 => text().prop_map(PropertyValue::Utf8).boxed(),
        WireType::Binary => bytes().prop_map(|bytes| PropertyValue::Binary(bytes.into())).boxed(),
        WireType::Pair => (text(), text()).prop_map(|(key, text)| PropertyValue::Pair(key, text)).boxed(),
    }
}

/// A list that may stand there: any of the allowed ones in any order, those that may repeat up to four times.
pub(super) fn properties(context: PropertyContext) -> BoxedStrategy<Properties> {
    let allowed = (0..64).filter_map(PropertyName::from_id).filter(|name| name.allowed_in(context));
    let names: Vec<PropertyName> =
        allowed.flat_map(|name| std::iter::repeat_n(name, if name.may_repeat(context) { 4 } else { 1 })).collect();
    subsequence(names.clone(), 0..=names.len())
        .prop_shuffle()
        .prop_flat_map(|names| names.into_iter().map(|name| (Just(name), value(name))).collect::<Vec<_>>())
        .prop_map(|list| list.into_iter().map(|(name, value)| property(name, value)).collect())
        .boxed()
}

/// None before 5.0.
fn properties_of(version: ProtocolVersion, context: PropertyContext) -> BoxedStrategy<Properties> {
    if version.is_v5() { properties(context) } else { Just(Properties::new()).boxed() }
}

pub(super) fn message(version: ProtocolVersion, context: PropertyContext) -> BoxedStrategy<Message> {
    (topic_name(), bytes(), qos(), any::<bool>(), properties_of(version, context))
        .prop_map(|(topic, payload, qos, retain, properties)| Message {
            topic,
            payload: payload.into(),
            qos,
            retain,
            properties,
        })
        .boxed()
}

pub(super) fn publish(version: ProtocolVersion) -> BoxedStrategy<OwnedPacket> {
    (message(version, PropertyContext::Publish), 1..=u16::MAX, any::<bool>(), any::<bool>())
        .prop_map(|(mut message, identifier, dup, aliased)| {
            if aliased && message.properties.get(PropertyName::TopicAlias).is_some() {
                message.topic.clear();
            }
            match message.qos {
                QoS::AtMostOnce => OwnedPacket::Publish(message, 0, false),
                _ => OwnedPacket::Publish(message, identifier, dup),
            }
        })
        .boxed()
}

fn connect(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let credentials = (proptest::option::of(text()), proptest::option::of(bytes()));
    let will = proptest::option::of(message(version, PropertyContext::Will));
    let properties = properties_of(version, PropertyContext::Connect);
    (text(), any::<bool>(), any::<u16>(), credentials, will, properties)
        .prop_map(move |(client_id, clean_start, keep_alive, (user_name, password), will, properties)| {
            let password = password.filter(|_| version.is_v5() || user_name.is_some()).map(Secret::new);
            let connect =
                Connect { version, client_id, clean_start, keep_alive, user_name, password, will, properties };
            Packet::Connect(Box::new(connect))
        })
        .boxed()
}

fn connack(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let code = if version.is_v5() { any::<u8>().boxed() } else { select(vec![0, 132, 133, 134, 135, 136]).boxed() };
    (any::<bool>(), code.prop_map(ReasonCode), properties_of(version, PropertyContext::Connack))
        .prop_map(|(session_present, reason, properties)| {
            Packet::Connack(Connack { session_present, reason, properties })
        })
        .boxed()
}

/// Success before 5.0.
fn reason(version: ProtocolVersion) -> BoxedStrategy<ReasonCode> {
    if version.is_v5() { any::<u8>().prop_map(ReasonCode).boxed() } else { Just(ReasonCode::SUCCESS).boxed() }
}

fn ack(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    select(vec![AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp])
        .prop_flat_map(move |kind| {
            let context = match kind {
                AckKind::Puback => PropertyContext::Puback,
                AckKind::Pubrec => PropertyContext::Pubrec,
                AckKind::Pubrel => PropertyContext::Pubrel,
                AckKind::Pubcomp => PropertyContext::Pubcomp,
            };
            (Just(kind), 1..=u16::MAX, reason(version), properties_of(version, context))
        })
        .prop_map(|(kind, packet_identifier, reason, properties)| {
            Packet::Ack(Ack { kind, packet_identifier, reason, properties })
        })
        .boxed()
}

fn subscribe(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let handling = select(vec![RetainHandling::Always, RetainHandling::New, RetainHandling::Never]);
    let filter = (topic_filter(), qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(filter, qos, no_local, retain_as_published, retain_handling)| {
            if !version.is_v5() {
                return SubscribeFilter { filter, qos, ..SubscribeFilter::default() };
            }
            let no_local = no_local && !filter.starts_with("$share/");
            SubscribeFilter { filter, qos, no_local, retain_as_published, retain_handling }
        },
    );
    (1..=u16::MAX, properties_of(version, PropertyContext::Subscribe), vec(filter, 1..5))
        .prop_map(|(packet_identifier, properties, filters)| {
            Packet::Subscribe(Subscribe { packet_identifier, properties, filters })
        })
        .boxed()
}

fn suback(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let code = prop_oneof![0..=2u8, 0x80..=0xFFu8].prop_map(ReasonCode);
    (1..=u16::MAX, properties_of(version, PropertyContext::Suback), vec(code, 1..5))
        .prop_map(|(packet_identifier, properties, reasons)| {
            Packet::Suback(Suback { packet_identifier, properties, reasons })
        })
        .boxed()
}

fn unsubscribe(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    (1..=u16::MAX, properties_of(version, PropertyContext::Unsubscribe), vec(topic_filter(), 1..5))
        .prop_map(|(packet_identifier, properties, filters)| {
            Packet::Unsubscribe(Unsubscribe { packet_identifier, properties, filters })
        })
        .boxed()
}

fn unsuback(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let reasons = vec(any::<u8>().prop_map(ReasonCode), if version.is_v5() { 1..5 } else { 0..1 });
    (1..=u16::MAX, properties_of(version, PropertyContext::Unsuback), reasons)
        .prop_map(|(packet_identifier, properties, reasons)| {
            Packet::Unsuback(Unsuback { packet_identifier, properties, reasons })
        })
        .boxed()
}

fn ending(version: ProtocolVersion) -> BoxedStrategy<Packet<'static>> {
    let disconnect = (reason(version), properties_of(version, PropertyContext::Disconnect))
        .prop_map(|(reason, properties)| Packet::Disconnect(Disconnect { reason, properties }));
    if !version.is_v5() {
        return disconnect.boxed();
    }
    let auth = (reason(version), properties(PropertyContext::Auth))
        .prop_map(|(reason, properties)| Packet::Auth(Auth { reason, properties }));
    prop_oneof![disconnect, auth].boxed()
}

/// Any packet of this version.
pub(super) fn packet(version: ProtocolVersion) -> BoxedStrategy<OwnedPacket> {
    let other = prop_oneof![
        3 => connect(version),
        2 => connack(version),
        2 => ack(version),
        2 => subscribe(version),
        1 => suback(version),
        1 => unsubscribe(version),
        1 => unsuback(version),
        1 => ending(version),
        1 => select(vec![Packet::Pingreq, Packet::Pingresp]),
    ];
    prop_oneof![3 => publish(version), 10 => other.prop_map(OwnedPacket::Other)].boxed()
}

/// Any packet with its version.
pub(super) fn any_packet() -> impl Strategy<Value = (ProtocolVersion, OwnedPacket)> {
    version().prop_flat_map(|version| (Just(version), packet(version)))
}
