//! The object as it must look, what is refused and with which words, and that what is written can be read.

use bytes::Bytes;
use chrono::{DateTime, FixedOffset};
use proptest::prelude::*;

use super::*;
use crate::mqtt::wire::Publish;
use crate::mqtt::{Message, Properties, PropertyName, PropertyValue, ProtocolVersion, QoS};

fn time() -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339("2026-11-21T04:00:42.001234999+01:30").unwrap()
}

fn property(name: PropertyName, value: PropertyValue) -> Property {
    Property::new(name, value).unwrap()
}

fn written(message: &Message, options: MessageJsonOptions) -> String {
    let mut out = Vec::new();
    write_message(&Publish::of(message, 7, false), time(), options, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_text_fits_by_what_its_escapes_take() {
    for (text, limit, expected) in [
        ("abcdef", 6, true),
        ("abcdefg", 6, false),
        ("\n\t", 12, true),
        ("\n\t", 11, false),
        ("\"\\", 4, true),
        ("\"\\", 3, false),
        ("", 0, true),
    ] {
        assert_eq!(write::fits(text, limit), expected, "{text:?}, {limit}");
    }
}

fn line(message: &Message) -> String {
    written(message, MessageJsonOptions::default())
}

fn json_payload(payload: &'static [u8]) -> String {
    let message = Message { topic: "t".into(), payload: Bytes::from_static(payload), ..Message::default() };
    let line = written(&message, MessageJsonOptions { json_payload: true, ..MessageJsonOptions::default() });
    line.split_once("\"retain\":false,").unwrap().1.to_owned()
}

fn full() -> Message {
    let properties = [
        property(PropertyName::ContentType, PropertyValue::Utf8("text/plain".into())),
        Property::user("k", "v"),
        property(PropertyName::SubscriptionIdentifier, PropertyValue::VarInt(7)),
        property(PropertyName::CorrelationData, PropertyValue::Binary(Bytes::from_static(b"\xff\0"))),
        Property::user("k", "v\"2"),
        property(PropertyName::SubscriptionIdentifier, PropertyValue::VarInt(9)),
        property(PropertyName::MessageExpiryInterval, PropertyValue::FourByte(u32::MAX)),
    ];
    Message {
        topic: "a/ü\"".into(),
        payload: Bytes::from_static(b"hi\n\0"),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: properties.into_iter().collect(),
    }
}

#[test]
fn the_object_on_one_line() {
    assert_eq!(
        line(&full()),
        concat!(
            r#"{"time":"2026-11-21T04:00:42.001234+01:30","ts":1795228242.001234,"topic":"a/ü\"","qos":1,"retain":true,"#,
            r#""mid":7,"payload":"hi\n\u0000","properties":{"content-type":"text/plain","#,
            r#""user-properties":[{"k":"v"},{"k":"v\"2"}],"subscription-identifier":[7,9],"#,
            r#""correlation-data_b64":"/wA=","message-expiry-interval":4294967295}}"#
        )
    );
    let bare = Message { topic: "t".into(), payload: Bytes::from_static(b"\xe9"), ..Message::default() };
    assert_eq!(
        line(&bare),
        concat!(
            r#"{"time":"2026-11-21T04:00:42.001234+01:30","ts":1795228242.001234,"topic":"t","qos":0,"#,
            r#""retain":false,"payload_b64":"6Q=="}"#
        )
    );
}

#[test]
fn the_object_indented() {
    let properties = [Property::user("k", "v")].into_iter().collect();
    let message = Message { topic: "t".into(), properties, ..Message::default() };
    let options = MessageJsonOptions { layout: JsonLayout::Indented, ..MessageJsonOptions::default() };
    assert_eq!(
        written(&message, options),
        "{\n  \"time\": \"2026-11-21T04:00:42.001234+01:30\",\n  \"ts\": 1795228242.001234,\n  \"topic\": \"t\",\n  \
         \"qos\": 0,\n  \"retain\": false,\n  \"payload\": \"\",\n  \"properties\": {\n    \"user-properties\": [\n      \
         {\n        \"k\": \"v\"\n      }\n    ]\n  }\n}"
    );
}

#[test]
fn a_time_before_1970_keeps_its_sign() {
    let before = DateTime::parse_from_rfc3339("1969-12-31T23:59:58.5+00:00").unwrap();
    let message = Message { topic: "t".into(), ..Message::default() };
    let mut out = Vec::new();
    write_message(&Publish::of(&message, 0, false), before, MessageJsonOptions::default(), &mut out);
    assert!(String::from_utf8(out).unwrap().contains("\"ts\":-1.500000,"));
}

#[test]
fn a_json_payload_is_put_in_verbatim() {
    assert_eq!(json_payload(br#"{"n" : 1.50, "big":12345678901234567890}"#), {
        r#""payload_json":{"n" : 1.50, "big":12345678901234567890}}"#
    });
    assert_eq!(json_payload(b" [1,\r\n 2]\n"), r#""payload_json":[1, 2]}"#);
    assert_eq!(json_payload(b"null"), r#""payload_json":null}"#);
    // Not JSON, too deep, or what many readers choke on: the string it is.
    assert_eq!(json_payload(b""), r#""payload":""}"#);
    assert_eq!(json_payload(b"{]"), r#""payload":"{]"}"#);
    assert_eq!(json_payload(b"1e999"), r#""payload":"1e999"}"#);
    assert_eq!(json_payload(b"\"\\ud800\""), r#""payload":"\"\\ud800\""}"#);
    assert_eq!(json_payload(b"\xff"), r#""payload_b64":"/w=="}"#);
}

fn v5() -> MessageDefaults {
    MessageDefaults { version: ProtocolVersion::V5, wants_time: true, ..MessageDefaults::default() }
}

fn read(line: &[u8], defaults: &MessageDefaults) -> Result<JsonMessage, ReadError> {
    read_message(&Bytes::copy_from_slice(line), defaults)
}

#[test]
fn what_a_line_leaves_out_comes_from_the_defaults() {
    let defaults = MessageDefaults { topic: Some("d".into()), qos: QoS::ExactlyOnce, retain: true, ..v5() };
    let read = |text: &str| read(text.as_bytes(), &defaults).unwrap();
    let message = |topic: &str, payload: &'static [u8]| Message {
        topic: topic.into(),
        payload: Bytes::from_static(payload),
        qos: QoS::ExactlyOnce,
        retain: true,
        properties: Properties::new(),
    };
    assert_eq!(
        read(r#"{"payload":"x"}"#),
        JsonMessage { message: message("d", b"x"), received_us: None, names_topic: false }
    );
    assert_eq!(
        read(r#" {"ts":12.5,"mid":"?","time":[],"more":{"a":1},"topic":"a/b","payload":"","properties":{}} "#),
        JsonMessage { message: message("a/b", b""), received_us: Some(12_500_000), names_topic: true }
    );
    assert_eq!(read(r#"{"payload_b64":"AP8=","ts":"?"}"#).message, message("d", b"\0\xff"));
    assert_eq!(read(r#"{"payload_json": {"n" : 1.50} }"#).message, message("d", br#"{"n" : 1.50}"#));
    assert_eq!(read(r#"{"payload_json":null}"#).message, message("d", b"null"));
    let low = read(r#"{"payload":"","qos":0,"retain":false}"#).message;
    assert_eq!((low.qos, low.retain), (QoS::AtMostOnce, false));
}

#[test]
fn a_time_is_read_where_it_is_wanted() {
    let received = |members: &str| {
        let line = format!(r#"{{"topic":"t","payload":"",{members}}}"#);
        read(line.as_bytes(), &v5()).unwrap().received_us
    };
    assert_eq!(received(r#""time":"2026-11-21T04:00:42.001234+01:30","ts":1.5"#), Some(1_500_000));
    assert_eq!(received(r#""time":"2026-11-21T04:00:42.001234+01:30""#), Some(1_795_228_242_001_234));
    assert_eq!(received(r#""ts":1795228242.001234"#), Some(1_795_228_242_001_234));
    assert_eq!(received(r#""ts":1e300,"time":"yesterday""#), None);
    let unasked = MessageDefaults { wants_time: false, ..v5() };
    assert_eq!(read(br#"{"topic":"t","payload":"","ts":1}"#, &unasked).unwrap().received_us, None);
}

#[test]
fn a_fault_has_its_column() {
    let column = |line: &str| {
        let error = read(line.as_bytes(), &v5()).unwrap_err();
        (error.column, line.chars().nth(error.column - 1))
    };
    assert_eq!(column(r#"{"topic":"é","qos":3,"payload":""}"#), (20, Some('3')));
    assert_eq!(column(r#"{"topic":"é","payload":"","qos":"x"}"#), (33, Some('"')));
    assert_eq!(column(r#"{"payload":"","topic":"a/#"}"#), (23, Some('"')));
    assert_eq!(column(r#"{"topic":"t","payload":"","properties":{"content-type":7}}"#), (56, Some('7')));
    assert_eq!(column(r#"{"topic":"t","payload":"x}"#), (26, Some('}')));
    assert_eq!(column(r#"{"topic":"t" "payload":"x"}"#), (14, Some('"')));
    assert_eq!(column("  [1]"), (3, Some('[')));
    assert_eq!(column(r#"{"topic":"a","topic":"b"}"#), (22, Some('"')));
    // Of a record that spans lines, from its beginning.
    assert_eq!(column("{\"topic\":\"t\",\n\"payload\":1}"), (25, Some('1')));
    assert_eq!(column("{\"topic\":\"t\",\n\"payload\" 1}"), (25, Some('1')));
    assert_eq!(read(b"{\"topic\":\"\xc3\xa9\xff", &v5()).unwrap_err().column, 12);
}

#[test]
fn properties_are_read_in_their_order() {
    let text = concat!(
        r#"{"topic":"t","payload":"","properties":{"subscription-identifier":[7,9],"topic-alias":3,"#,
        r#""user-properties":[{"k":"1"},{"k":"2"}],"correlation-data_b64":"/wA=","#,
        r#""payload-format-indicator":1,"message-expiry-interval":4294967295,"response-topic":"r"}}"#
    );
    let expected: Properties = [
        Property::user("k", "1"),
        Property::user("k", "2"),
        property(PropertyName::CorrelationData, PropertyValue::Binary(Bytes::from_static(b"\xff\0"))),
        property(PropertyName::PayloadFormatIndicator, PropertyValue::Byte(1)),
        property(PropertyName::MessageExpiryInterval, PropertyValue::FourByte(u32::MAX)),
        property(PropertyName::ResponseTopic, PropertyValue::Utf8("r".into())),
    ]
    .into_iter()
    .collect();
    assert_eq!(read(text.as_bytes(), &v5()).unwrap().message.properties, expected);
}

#[test]
fn faults_of_a_line_are_named() {
    let error = |line: &[u8]| read(line, &v5()).unwrap_err().to_string();
    let property = |text: &str| error(format!(r#"{{"topic":"t","payload":"","properties":{text}}}"#).as_bytes());
    let cases = [
        (error(b"\xff"), "it is not UTF-8"),
        (error(b""), "not one JSON object"),
        (error(b"[1]"), "does not begin with {"),
        (error(b" \t"), "the line is empty"),
        (error(b"\xef\xbb\xbf{}"), "byte order mark"),
        (error(br#"{"topic":"#), "not one JSON object: it ends too early"),
        (error(br#"{"topic":"t","topic":"t"}"#), "`topic` is given twice"),
        (error(br#"{"topic":"t","payload":""} 1"#), "trailing characters"),
        (error(br#"{"payload":""}"#), "no `topic`, and -t is not given"),
        (error(br#"{"topic":1,"payload":""}"#), "`topic` must be a string"),
        (error(br#"{"topic":"a/#","payload":""}"#), "`topic` \"a/#\" cannot be published to: a topic to publish to"),
        (error(br#"{"topic":"t","payload":"","qos":3}"#), "`qos` must be 0, 1 or 2"),
        (error(br#"{"topic":"t","payload":"","retain":1}"#), "`retain` must be true or false"),
        (error(br#"{"topic":"t"}"#), "no payload: give one of"),
        (error(br#"{"topic":"t","payload":"","payload_json":1}"#), "more than one of"),
        (error(br#"{"topic":"t","payload":{}}"#), "`payload` must be a string (JSON goes into `payload_json`)"),
        (error(br#"{"topic":"t","payload_b64":"?"}"#), "`payload_b64` must be a string in base64"),
        (property("[]"), "`properties` must be an object"),
        (property(r#"{"color":1}"#), "\"color\", which is not a property of MQTT 5"),
        (property(r#"{"user-property":{"a":"b"}}"#), "\"user-property\", which is not a property"),
        (property(r#"{"topic-alias":65536}"#), "`topic-alias` must be a number from 0 to 65535"),
        (property(r#"{"topic-alias":0}"#), "the value of topic-alias is out of range"),
        (property(r#"{"receive-maximum":1}"#), "receive-maximum is not allowed in this packet"),
        (property(r#"{"content-type":"a","content-type":"b"}"#), "content-type occurs twice"),
        (property(r#"{"content-type":"a\u0000"}"#), "`content-type` must be a string of at most 65535 bytes"),
        (property(r#"{"correlation-data":"a","correlation-data_b64":"YQ=="}"#), "correlation-data occurs twice"),
        (property(r#"{"user-properties":{"a":"b"}}"#), "`user-properties` must be an array of objects with one key"),
        (property(r#"{"user-properties":[{"a":"b","c":"d"}]}"#), "`user-properties` must be an array"),
        (property(r#"{"subscription-identifier":"x"}"#), "must be a number or an array of numbers"),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected), "{said:?} does not say {expected:?}");
    }
    let with_properties = br#"{"topic":"t","payload":"","properties":{"content-type":"a"}}"#;
    let old = MessageDefaults { version: ProtocolVersion::V311, ..MessageDefaults::default() };
    let fault = ReadFault::PropertiesNeedV5;
    assert!(fault.to_string().contains("-V 5"));
    assert_eq!(read(with_properties, &old), Err(ReadError { column: 40, fault }));
}

fn any_property() -> impl Strategy<Value = Property> {
    prop_oneof![
        (".{0,8}", ".{0,8}").prop_map(|(key, value)| Property::user(key.replace('\0', ""), value.replace('\0', ""))),
        (1u32..=268_435_455)
            .prop_map(|number| property(PropertyName::SubscriptionIdentifier, PropertyValue::VarInt(number))),
    ]
}

prop_compose! {
    fn any_message()(
        topic in prop_oneof![
            "[^\0+#]{1,12}",
            // As long as a topic can be.
            ("[^\0+#]", 65_500usize..=65_535).prop_map(|(letter, length)| letter.repeat(length / letter.len())),
        ],
        payload in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            ".{0,20}".prop_map(String::into_bytes),
            Just(br#"{"a":[1.0,"\u00e9"]}"#.to_vec()),
        ],
        qos in 0u8..3,
        retain in any::<bool>(),
        list in proptest::collection::vec(any_property(), 0..5),
        binary in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)),
        text in proptest::option::of("[^\0]{0,9}"),
    ) -> Message {
        // User properties stay together in the object, so they are put at the front for the comparison.
        let mut properties: Vec<Property> = list;
        properties.sort_by_key(|property| property.name() != PropertyName::UserProperty);
        properties.extend(binary.map(|bytes| property(PropertyName::CorrelationData, PropertyValue::Binary(bytes.into()))));
        properties.extend(text.map(|text| property(PropertyName::ResponseTopic, PropertyValue::Utf8(text))));
        Message {
            topic,
            payload: payload.into(),
            qos: QoS::from_number(qos).unwrap(),
            retain,
            properties: properties.into_iter().collect(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_valid_json_on_one_line_and_reads_back(message in any_message(), json_payload in any::<bool>()) {
        for layout in [JsonLayout::Line, JsonLayout::Indented, JsonLayout::Tabbed] {
            let text = written(&message, MessageJsonOptions { layout, json_payload, latency: None });
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(value["topic"].as_str(), Some(message.topic.as_str()));
            prop_assert_eq!(layout == JsonLayout::Line, !text.contains('\n'));
        }
        let mut expected = message.clone();
        expected.properties.remove(PropertyName::SubscriptionIdentifier);
        let read = read(line(&message).as_bytes(), &v5()).unwrap();
        prop_assert_eq!(read.message, expected);
        prop_assert_eq!((read.received_us, read.names_topic), (Some(1_795_228_242_001_234), true));
    }

    #[test]
    fn no_line_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in r#"\{"(topic|payload|payload_b64|properties|qos)":[\[\]{}",:a-z0-9-]{0,30}\}"#) {
        let _ = read(&bytes, &v5());
        let _ = read(text.as_bytes(), &v5());
    }
}

/// The schema, ready to judge.
struct Judge {
    schemas: boon::Schemas,
    index: boon::SchemaIndex,
}

impl Judge {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler.enable_format_assertions();
        compiler.add_resource("message.json", schema()).unwrap();
        let index = compiler.compile("message.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn fault(&self, line: &str) -> Option<String> {
        let value = serde_json::from_str(line).unwrap();
        self.schemas.validate(&value, self.index).err().map(|error| error.to_string())
    }
}

#[test]
fn the_schema_takes_what_is_read_and_refuses_what_is_not() {
    let judge = Judge::new();
    for (line, is_message) in [
        (r#"{"topic":"t","payload":""}"#, true),
        (r#"{"payload":"","unknown":1}"#, true),
        (r#"{"topic":"t","payload_b64":"AP8="}"#, true),
        (r#"{"topic":"t","payload_json":null,"qos":2,"retain":true}"#, true),
        (r#"{"topic":"t","payload":"","properties":{"user-properties":[{"k":"v"},{"k":"w"}]}}"#, true),
        (r#"{"topic":"t","payload":"","properties":{"subscription-identifier":[1,2],"topic-alias":3}}"#, true),
        (r#"{"topic":"t","payload":"","properties":{"correlation-data_b64":"AP8="}}"#, true),
        (r#"{"topic":"t"}"#, false),
        (r#"{"topic":"t","payload":"","payload_json":1}"#, false),
        (r#"{"topic":"t","payload":1}"#, false),
        (r#"{"topic":"a/+","payload":""}"#, false),
        (r#"{"topic":"","payload":""}"#, false),
        (r#"{"topic":"t","payload":"","qos":3}"#, false),
        (r#"{"topic":"t","payload":"","retain":1}"#, false),
        (r#"{"topic":"t","payload_b64":"?"}"#, false),
        (r#"{"topic":"t","payload_b64":"AP8"}"#, false),
        (r#"{"topic":"t","payload":"","properties":[]}"#, false),
        (r#"{"topic":"t","payload":"","properties":{"color":1}}"#, false),
        (r#"{"topic":"t","payload":"","properties":{"receive-maximum":1}}"#, false),
        (r#"{"topic":"t","payload":"","properties":{"topic-alias":0}}"#, false),
        (r#"{"topic":"t","payload":"","properties":{"user-properties":[{"k":"v","l":"w"}]}}"#, false),
        (r#"{"topic":"t","payload":"","properties":{"correlation-data":"a","correlation-data_b64":"YQ=="}}"#, false),
        (r#"{"topic":"t","payload":"","properties":{"content-type":"a\u0000"}}"#, false),
    ] {
        let defaults = MessageDefaults { topic: Some("d".into()), ..v5() };
        assert_eq!(read(line.as_bytes(), &defaults).is_ok(), is_message, "the reader: {line}");
        assert_eq!(judge.fault(line).is_none(), is_message, "the schema: {line}: {:?}", judge.fault(line));
    }
}

#[test]
fn the_schema_takes_what_is_written() {
    let judge = Judge::new();
    let mut runner = proptest::test_runner::TestRunner::default();
    let all = (any_message(), any::<bool>());
    let checked = runner.run(&all, |(message, json_payload)| {
        let line = written(&message, MessageJsonOptions { json_payload, ..MessageJsonOptions::default() });
        prop_assert_eq!(judge.fault(&line), None, "{}", line);
        Ok(())
    });
    checked.unwrap();
}
