//! What the fuzz targets of the codec do with their bytes. The targets in `fuzz/` and the property tests in
//! `tests/properties/codec.rs` include this file, so that a stable compiler runs the same bodies.

use mqtools::mqtt::wire::{
    Ack, AckKind, Auth, Connack, Connect, Disconnect, MAX_PACKET_SIZE, Packet, Publish, PublishTemplate,
    RetainHandling, Scan, Suback, Subscribe, SubscribeFilter, Unsuback, Unsubscribe, WireError, scan,
};
use mqtools::mqtt::{
    Message, Properties, Property, PropertyName, PropertyValue, ProtocolVersion, QoS, ReasonCode, Secret, TopicError,
    TopicFilter, WireType, check_topic_filter, check_topic_name, filter_matches,
};

const VERSIONS: [ProtocolVersion; 3] = [ProtocolVersion::V31, ProtocolVersion::V311, ProtocolVersion::V5];

/// Any bytes are read as packets of every version without a panic; what was read can be written, and is then read
/// as the same.
pub fn wire_decode(data: &[u8]) {
    for version in VERSIONS {
        let mut rest = data;
        while let Ok(Scan::Frame(frame)) = scan(rest, MAX_PACKET_SIZE) {
            assert!(frame.size <= rest.len() && frame.body.len() < frame.size);
            if let Ok(packet) = Packet::decode(frame, version) {
                read_again(&packet, version);
            }
            rest = &rest[frame.size..];
        }
    }
}

fn read_again(packet: &Packet<'_>, version: ProtocolVersion) {
    if let Packet::Connack(connack) = packet
        && !version.is_v5()
        && connack.reason == ReasonCode::UNSPECIFIED_ERROR
    {
        return; // a code that 3.1.1 reserves: it is understood and has no way back
    }
    let mut bytes = Vec::new();
    let encoded = packet.encode(version, &mut bytes);
    if let Packet::Publish(publish) = packet
        && publish.topic.contains(['+', '#'])
    {
        // Some brokers send wildcards in a Topic Name (§3.3.2.1 forbids them): they are read, and never written.
        let error = TopicError::WildcardInName;
        assert_eq!((encoded, bytes.len()), (Err(WireError::Topic { packet: "PUBLISH", error }), 0));
        return;
    }
    assert_eq!(encoded, Ok(()), "{packet:?} was read and cannot be written");
    assert_reads_as(&bytes, packet, version);
}

fn assert_reads_as(bytes: &[u8], packet: &Packet<'_>, version: ProtocolVersion) {
    let Ok(Scan::Frame(frame)) = scan(bytes, MAX_PACKET_SIZE) else { panic!("{packet:?} is not whole") };
    assert_eq!(frame.size, bytes.len());
    match (Packet::decode(frame, version), packet) {
        (Ok(Packet::Publish(read)), Packet::Publish(written)) => {
            assert_eq!(read.to_message(), written.to_message());
            assert_eq!(read.packet_identifier, written.packet_identifier);
            // DUP at QoS 0 is read and not written (MQTT-3.3.1-2).
            assert_eq!(read.dup, written.dup && written.qos != QoS::AtMostOnce);
        }
        (Ok(read), written) => assert_eq!(&read, written),
        (Err(error), written) => panic!("{written:?} was written and cannot be read: {error}"),
    }
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(matches!(scan(&bytes[..cut], MAX_PACKET_SIZE), Ok(Scan::Incomplete(_))), "cut at {cut}");
    }
}

/// A packet put together from the bytes is written and read as the same, or refused without a trace.
pub fn wire_roundtrip(data: &[u8]) {
    let mut source = Source(data);
    let version = VERSIONS[usize::from(source.byte()) % VERSIONS.len()];
    if source.byte() % 3 == 0 {
        return publish_roundtrip(&mut source, version);
    }
    let packet = source.packet(version);
    let mut out = b"before".to_vec();
    match packet.encode(version, &mut out) {
        Ok(()) => assert_reads_as(&out[6..], &packet, version),
        Err(error) => assert_eq!(out, b"before", "{error}"),
    }
}

fn publish_roundtrip(source: &mut Source<'_>, version: ProtocolVersion) {
    let mut message = source.message(version);
    if !version.is_v5() {
        message.properties = Properties::new();
    }
    let identifier = if message.qos == QoS::AtMostOnce { 0 } else { source.identifier() };
    let publish = Publish::of(&message, identifier, source.flag());
    let mut out = b"before".to_vec();
    if let Err(error) = publish.encode(version, &mut out) {
        assert_eq!(out, b"before", "{error}");
        assert!(PublishTemplate::new(&message, version).is_err());
        return;
    }
    assert_reads_as(&out[6..], &Packet::Publish(publish.clone()), version);
    if let Ok(template) = PublishTemplate::new(&message, version) {
        let mut copied = b"before".to_vec();
        template.append(identifier, &message.payload[..message.payload.len().min(4)], &mut copied);
        let mut without_dup = b"before".to_vec();
        let first = Publish { dup: false, ..publish };
        assert_eq!(first.encode(version, &mut without_dup), Ok(()));
        assert_eq!(copied, without_dup);
    } else {
        panic!("{message:?} can be written and has no template");
    }
}

/// Checks and matching of topics never panic and agree with the standard's words read slowly.
pub fn topic(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (filter, name) = text.split_once('\n').unwrap_or((text, "a/b"));
    let valid = check_topic_filter(filter).is_ok();
    assert_eq!(valid, TopicFilter::new(filter).is_ok());
    assert_eq!(valid, slow_filter_check(filter), "{filter:?}");
    let plain = !name.is_empty() && name.len() <= 65_535 && !name.contains(['\0', '+', '#']);
    assert_eq!(check_topic_name(name).is_ok(), plain, "{name:?}");
    let matches = filter_matches(filter, name);
    if valid && plain {
        let levels = filter.strip_prefix("$share/").map_or(filter, |it| it.split_once('/').map_or("", |(_, it)| it));
        let hidden = name.starts_with('$') && levels.starts_with(['+', '#']);
        let (levels, names): (Vec<_>, Vec<_>) = (levels.split('/').collect(), name.split('/').collect());
        assert_eq!(matches, !hidden && slow_match(&levels, &names), "{filter:?} against {name:?}");
    }
}

fn slow_filter_check(filter: &str) -> bool {
    let mut levels: Vec<&str> = filter.split('/').collect();
    if levels[0] == "$share" && levels.len() > 1 {
        let shared = levels.len() > 2 && !levels[1].is_empty() && !levels[1].contains(['+', '#']);
        if !shared || levels[2..].join("/").is_empty() {
            return false;
        }
        levels.drain(..2);
    }
    let good = |(at, level): (usize, &&str)| match *level {
        "+" => true,
        "#" => at == levels.len() - 1,
        other => !other.contains(['+', '#']),
    };
    !filter.is_empty() && filter.len() <= 65_535 && !filter.contains('\0') && levels.iter().enumerate().all(good)
}

fn slow_match(filter: &[&str], name: &[&str]) -> bool {
    match (filter.split_first(), name.split_first()) {
        (Some((&"#", _)), _) | (None, None) => true,
        (Some((level, filter)), Some((part, name))) => (*level == "+" || level == part) && slow_match(filter, name),
        _ => false,
    }
}

/// Bytes as a source of decisions; when they are used up, zeros.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    fn two(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn identifier(&mut self) -> u16 {
        self.two().max(1)
    }

    fn bytes(&mut self) -> Vec<u8> {
        let count = match self.byte() {
            255 => 65_530 + usize::from(self.byte() % 12), // about where lengths end
            short => usize::from(short % 40),
        };
        (0..count).map(|_| self.byte()).collect()
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn qos(&mut self) -> QoS {
        QoS::from_number(self.byte() % 3).unwrap_or_default()
    }

    fn properties(&mut self) -> Properties {
        (0..self.byte() % 6).filter_map(|_| self.property()).collect()
    }

    fn property(&mut self) -> Option<Property> {
        let name = PropertyName::from_id(self.byte() % 43)?;
        let value = match name.wire_type() {
            WireType::Byte => PropertyValue::Byte(self.byte() % 3),
            WireType::TwoByte => PropertyValue::TwoByte(self.two()),
            WireType::FourByte => PropertyValue::FourByte(u32::from(self.two()) << 16 | u32::from(self.two())),
            WireType::VarInt => PropertyValue::VarInt(u32::from(self.two()) << 13 | u32::from(self.two())),
            WireType::Utf8 => PropertyValue::Utf8(self.text()),
            WireType::Binary => PropertyValue::Binary(self.bytes().into()),
            WireType::Pair => PropertyValue::Pair(self.text(), self.text()),
        };
        Property::new(name, value).ok()
    }

    fn message(&mut self, version: ProtocolVersion) -> Message {
        let properties = if version.is_v5() { self.properties() } else { Properties::new() };
        let (topic, payload) = (self.text(), self.bytes().into());
        Message { topic, payload, qos: self.qos(), retain: self.flag(), properties }
    }

    fn packet(&mut self, version: ProtocolVersion) -> Packet<'static> {
        let v5 = version.is_v5();
        let properties = if v5 { self.properties() } else { Properties::new() };
        let reason = if v5 { ReasonCode(self.byte()) } else { ReasonCode::SUCCESS };
        let kinds = [AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp];
        match self.byte() % 10 {
            0 => Packet::Connect(Box::new(Connect {
                version,
                client_id: self.text(),
                clean_start: self.flag(),
                keep_alive: self.two(),
                user_name: self.flag().then(|| self.text()),
                password: self.flag().then(|| Secret::new(self.bytes())),
                will: self.flag().then(|| self.message(version)),
                properties,
            })),
            1 => {
                let reason = if v5 { reason } else { ReasonCode::from_v3_connack(self.byte() % 6) };
                Packet::Connack(Connack { session_present: self.flag(), reason, properties })
            }
            2 => {
                let kind = kinds[usize::from(self.byte() % 4)];
                Packet::Ack(Ack { kind, packet_identifier: self.identifier(), reason, properties })
            }
            3 => {
                let filters = (0..self.byte() % 4).map(|_| self.filter(v5)).collect();
                Packet::Subscribe(Subscribe { packet_identifier: self.identifier(), properties, filters })
            }
            4 => {
                let reasons = (0..self.byte() % 4).map(|_| ReasonCode(self.byte() % 3)).collect();
                Packet::Suback(Suback { packet_identifier: self.identifier(), properties, reasons })
            }
            5 => {
                let filters = (0..self.byte() % 4).map(|_| self.text()).collect();
                Packet::Unsubscribe(Unsubscribe { packet_identifier: self.identifier(), properties, filters })
            }
            6 => {
                let count = if v5 { self.byte() % 4 } else { 0 };
                let reasons = (0..count).map(|_| ReasonCode(self.byte())).collect();
                Packet::Unsuback(Unsuback { packet_identifier: self.identifier(), properties, reasons })
            }
            7 => Packet::Disconnect(Disconnect { reason, properties }),
            8 => Packet::Auth(Auth { reason, properties }),
            _ if self.flag() => Packet::Pingreq,
            _ => Packet::Pingresp,
        }
    }

    fn filter(&mut self, v5: bool) -> SubscribeFilter {
        let (filter, qos) = (self.text(), self.qos());
        if !v5 {
            return SubscribeFilter { filter, qos, ..SubscribeFilter::default() };
        }
        let handling = [RetainHandling::Always, RetainHandling::New, RetainHandling::Never];
        SubscribeFilter {
            filter,
            qos,
            no_local: self.flag(),
            retain_as_published: self.flag(),
            retain_handling: handling[usize::from(self.byte() % 3)],
        }
    }
}
