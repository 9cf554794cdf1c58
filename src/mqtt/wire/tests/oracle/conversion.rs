//! rumqttc's two families of types as ours.

use bytes::Bytes;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

use super::super::*;

fn qos(number: u8) -> QoS {
    QoS::from_number(number).unwrap()
}

/// The code of a reason by its name in the standard, which rumqttc's variants follow with a few shorthands.
fn reason(variant: impl std::fmt::Debug) -> ReasonCode {
    let variant = format!("{variant:?}");
    let plain = |text: &str| text.replace(' ', "").to_lowercase();
    let code = match variant.as_str() {
        "Success(AtMostOnce)" => Some(0),
        "Success(AtLeastOnce)" => Some(1),
        "Success(ExactlyOnce)" => Some(2),
        "NormalDisconnection" => Some(0),
        "PkidInUse" => Some(0x91),
        "Unspecified" | "Failure" => Some(0x80),
        "ImplementationSpecific" => Some(0x83),
        "SubscriptionIdNotSupported" => Some(0xA1),
        "BadUserNamePassword" => Some(0x86),
        name => (0..=255).find(|code| ReasonCode(*code).name().is_some_and(|ours| plain(ours) == plain(name))),
    };
    ReasonCode(code.unwrap_or_else(|| panic!("{variant} is in no table")))
}

fn byte(name: PropertyName, value: Option<u8>) -> Option<Property> {
    value.map(|value| property(name, PropertyValue::Byte(value)))
}

fn two(name: PropertyName, value: Option<u16>) -> Option<Property> {
    value.map(|value| property(name, PropertyValue::TwoByte(value)))
}

fn four(name: PropertyName, value: Option<u32>) -> Option<Property> {
    value.map(|value| property(name, PropertyValue::FourByte(value)))
}

fn text(name: PropertyName, value: Option<String>) -> Option<Property> {
    value.map(|value| property(name, PropertyValue::Utf8(value)))
}

fn binary(name: PropertyName, value: Option<Bytes>) -> Option<Property> {
    value.map(|value| property(name, PropertyValue::Binary(value)))
}

fn identifier(value: usize) -> Property {
    property(PropertyName::SubscriptionIdentifier, PropertyValue::VarInt(value as u32))
}

/// In the order of identifiers.
fn list(some: impl IntoIterator<Item = Option<Property>>, user: Vec<(String, String)>) -> Properties {
    let user = user.into_iter().map(|(key, value)| Property::user(key, value));
    super::sorted(&some.into_iter().flatten().chain(user).collect())
}

/// The four acknowledgements, SUBACK, UNSUBSCRIBE and UNSUBACK have the same two or one.
macro_rules! reason_and_user {
    ($properties:expr) => {
        $properties.map_or_else(Properties::new, |it| {
            list([text(PropertyName::ReasonString, it.reason_string)], it.user_properties)
        })
    };
}

pub(super) fn from_v4(packet: v4::Packet) -> OwnedPacket {
    let none = Properties::new;
    let ack = |kind, identifier| Packet::Ack(Ack::success(kind, identifier));
    OwnedPacket::Other(match packet {
        v4::Packet::Publish(it) => {
            let message = Message {
                topic: it.topic,
                payload: it.payload,
                qos: qos(it.qos as u8),
                retain: it.retain,
                properties: none(),
            };
            return OwnedPacket::Publish(message, it.pkid, it.dup);
        }
        v4::Packet::Connect(it) => {
            assert_eq!(it.protocol, rumqttc::mqttbytes::Protocol::V4);
            let login = it.login.unwrap_or_else(|| v4::Login::new("", ""));
            Packet::Connect(Box::new(Connect {
                version: V311,
                client_id: it.client_id,
                clean_start: it.clean_session,
                keep_alive: it.keep_alive,
                user_name: Some(login.username).filter(|name| !name.is_empty()),
                password: Some(login.password).filter(|password| !password.is_empty()).map(Secret::new),
                will: it.last_will.map(|will| Message {
                    topic: will.topic,
                    payload: will.message,
                    qos: qos(will.qos as u8),
                    retain: will.retain,
                    properties: none(),
                }),
                properties: none(),
            }))
        }
        v4::Packet::ConnAck(it) => {
            let reason = ReasonCode::from_v3_connack(it.code as u8);
            Packet::Connack(Connack { session_present: it.session_present, reason, properties: none() })
        }
        v4::Packet::PubAck(it) => ack(AckKind::Puback, it.pkid),
        v4::Packet::PubRec(it) => ack(AckKind::Pubrec, it.pkid),
        v4::Packet::PubRel(it) => ack(AckKind::Pubrel, it.pkid),
        v4::Packet::PubComp(it) => ack(AckKind::Pubcomp, it.pkid),
        v4::Packet::Subscribe(it) => {
            let filters = it.filters.into_iter().map(|filter| SubscribeFilter {
                filter: filter.path,
                qos: qos(filter.qos as u8),
                ..SubscribeFilter::default()
            });
            Packet::Subscribe(Subscribe { packet_identifier: it.pkid, properties: none(), filters: filters.collect() })
        }
        v4::Packet::SubAck(it) => {
            let reasons = it.return_codes.into_iter().map(reason).collect();
            Packet::Suback(Suback { packet_identifier: it.pkid, properties: none(), reasons })
        }
        v4::Packet::Unsubscribe(it) => {
            Packet::Unsubscribe(Unsubscribe { packet_identifier: it.pkid, properties: none(), filters: it.topics })
        }
        v4::Packet::UnsubAck(it) => {
            Packet::Unsuback(Unsuback { packet_identifier: it.pkid, properties: none(), reasons: Vec::new() })
        }
        v4::Packet::PingReq => Packet::Pingreq,
        v4::Packet::PingResp => Packet::Pingresp,
        v4::Packet::Disconnect => Packet::Disconnect(Disconnect::default()),
    })
}

pub(super) fn from_v5(packet: v5::Packet) -> OwnedPacket {
    let ack =
        |kind, packet_identifier, reason, properties| Packet::Ack(Ack { kind, packet_identifier, reason, properties });
    OwnedPacket::Other(match packet {
        v5::Packet::Publish(it) => return publish(it),
        v5::Packet::Connect(it, will, login) => connect(it, will, login),
        v5::Packet::ConnAck(it) => Packet::Connack(Connack {
            session_present: it.session_present,
            reason: reason(it.code),
            properties: it.properties.map_or_else(Properties::new, connack_properties),
        }),
        v5::Packet::PubAck(it) => ack(AckKind::Puback, it.pkid, reason(it.reason), reason_and_user!(it.properties)),
        v5::Packet::PubRec(it) => ack(AckKind::Pubrec, it.pkid, reason(it.reason), reason_and_user!(it.properties)),
        v5::Packet::PubRel(it) => ack(AckKind::Pubrel, it.pkid, reason(it.reason), reason_and_user!(it.properties)),
        v5::Packet::PubComp(it) => ack(AckKind::Pubcomp, it.pkid, reason(it.reason), reason_and_user!(it.properties)),
        v5::Packet::Subscribe(it) => subscribe(it),
        v5::Packet::SubAck(it) => Packet::Suback(Suback {
            packet_identifier: it.pkid,
            properties: reason_and_user!(it.properties),
            reasons: it.return_codes.into_iter().map(reason).collect(),
        }),
        v5::Packet::Unsubscribe(it) => Packet::Unsubscribe(Unsubscribe {
            packet_identifier: it.pkid,
            properties: it.properties.map_or_else(Properties::new, |it| list([], it.user_properties)),
            filters: it.filters,
        }),
        v5::Packet::UnsubAck(it) => Packet::Unsuback(Unsuback {
            packet_identifier: it.pkid,
            properties: reason_and_user!(it.properties),
            reasons: it.reasons.into_iter().map(reason).collect(),
        }),
        v5::Packet::PingReq(_) => Packet::Pingreq,
        v5::Packet::PingResp(_) => Packet::Pingresp,
        v5::Packet::Disconnect(it) => Packet::Disconnect(Disconnect {
            reason: ReasonCode(it.reason_code as u8),
            properties: it.properties.map_or_else(Properties::new, |it| {
                let some = [
                    four(PropertyName::SessionExpiryInterval, it.session_expiry_interval),
                    text(PropertyName::ReasonString, it.reason_string),
                    text(PropertyName::ServerReference, it.server_reference),
                ];
                list(some, it.user_properties)
            }),
        }),
        v5::Packet::Auth(_) => panic!("rumqttc reads no AUTH"),
    })
}

fn publish(it: v5::Publish) -> OwnedPacket {
    let properties = it.properties.map_or_else(Properties::new, |it| {
        let some = [
            byte(PropertyName::PayloadFormatIndicator, it.payload_format_indicator),
            four(PropertyName::MessageExpiryInterval, it.message_expiry_interval),
            two(PropertyName::TopicAlias, it.topic_alias),
            text(PropertyName::ResponseTopic, it.response_topic),
            binary(PropertyName::CorrelationData, it.correlation_data),
            text(PropertyName::ContentType, it.content_type),
        ];
        let identifiers = it.subscription_identifiers.into_iter().map(|id| Some(identifier(id)));
        list(some.into_iter().chain(identifiers), it.user_properties)
    });
    let topic = String::from_utf8(it.topic.to_vec()).unwrap();
    let message = Message { topic, payload: it.payload, qos: qos(it.qos as u8), retain: it.retain, properties };
    OwnedPacket::Publish(message, it.pkid, it.dup)
}

fn connect(it: v5::Connect, will: Option<v5::LastWill>, login: Option<v5::Login>) -> Packet<'static> {
    let login = login.unwrap_or_else(|| v5::Login::new("", ""));
    let properties = it.properties.map_or_else(Properties::new, |it| {
        let some = [
            four(PropertyName::SessionExpiryInterval, it.session_expiry_interval),
            two(PropertyName::ReceiveMaximum, it.receive_maximum),
            four(PropertyName::MaximumPacketSize, it.max_packet_size),
            two(PropertyName::TopicAliasMaximum, it.topic_alias_max),
            byte(PropertyName::RequestResponseInformation, it.request_response_info),
            byte(PropertyName::RequestProblemInformation, it.request_problem_info),
            text(PropertyName::AuthenticationMethod, it.authentication_method),
            binary(PropertyName::AuthenticationData, it.authentication_data),
        ];
        list(some, it.user_properties)
    });
    Packet::Connect(Box::new(Connect {
        version: V5,
        client_id: it.client_id,
        clean_start: it.clean_start,
        keep_alive: it.keep_alive,
        user_name: Some(login.username).filter(|name| !name.is_empty()),
        password: Some(login.password).filter(|password| !password.is_empty()).map(Secret::new),
        will: will.map(|will| Message {
            topic: String::from_utf8(will.topic.to_vec()).unwrap(),
            payload: will.message,
            qos: qos(will.qos as u8),
            retain: will.retain,
            properties: will.properties.map_or_else(Properties::new, |it| {
                let some = [
                    four(PropertyName::WillDelayInterval, it.delay_interval),
                    byte(PropertyName::PayloadFormatIndicator, it.payload_format_indicator),
                    four(PropertyName::MessageExpiryInterval, it.message_expiry_interval),
                    text(PropertyName::ContentType, it.content_type),
                    text(PropertyName::ResponseTopic, it.response_topic),
                    binary(PropertyName::CorrelationData, it.correlation_data),
                ];
                list(some, it.user_properties)
            }),
        }),
        properties,
    }))
}

fn connack_properties(it: v5::ConnAckProperties) -> Properties {
    let some = [
        four(PropertyName::SessionExpiryInterval, it.session_expiry_interval),
        two(PropertyName::ReceiveMaximum, it.receive_max),
        byte(PropertyName::MaximumQos, it.max_qos),
        byte(PropertyName::RetainAvailable, it.retain_available),
        four(PropertyName::MaximumPacketSize, it.max_packet_size),
        text(PropertyName::AssignedClientIdentifier, it.assigned_client_identifier),
        two(PropertyName::TopicAliasMaximum, it.topic_alias_max),
        text(PropertyName::ReasonString, it.reason_string),
        byte(PropertyName::WildcardSubscriptionAvailable, it.wildcard_subscription_available),
        byte(PropertyName::SubscriptionIdentifierAvailable, it.subscription_identifiers_available),
        byte(PropertyName::SharedSubscriptionAvailable, it.shared_subscription_available),
        two(PropertyName::ServerKeepAlive, it.server_keep_alive),
        text(PropertyName::ResponseInformation, it.response_information),
        text(PropertyName::ServerReference, it.server_reference),
        text(PropertyName::AuthenticationMethod, it.authentication_method),
        binary(PropertyName::AuthenticationData, it.authentication_data),
    ];
    list(some, it.user_properties)
}

fn subscribe(it: v5::Subscribe) -> Packet<'static> {
    let filters = it.filters.into_iter().map(|filter| SubscribeFilter {
        filter: filter.path,
        qos: qos(filter.qos as u8),
        no_local: filter.nolocal,
        retain_as_published: filter.preserve_retain,
        retain_handling: match filter.retain_forward_rule {
            v5::RetainForwardRule::OnEverySubscribe => RetainHandling::Always,
            v5::RetainForwardRule::OnNewSubscribe => RetainHandling::New,
            v5::RetainForwardRule::Never => RetainHandling::Never,
        },
    });
    Packet::Subscribe(Subscribe {
        packet_identifier: it.pkid,
        properties: it.properties.map_or_else(Properties::new, |it| list([it.id.map(identifier)], it.user_properties)),
        filters: filters.collect(),
    })
}
