//! The bytes of every specifier. What is expected was worked out from mosquitto's rules, and where 2.0 and 2.1 agree
//! seen on a mosquitto_sub 2.0.11.

use bytes::Bytes;
use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::mqtt::wire::Publish;
use crate::mqtt::{Message, Properties, Property, PropertyName, PropertyValue, QoS};

const TIME: &str = "2026-01-02T03:04:05.000678901+01:30";

fn printed_with(printer: &Printer, message: &Message, identifier: u16) -> (Vec<u8>, Vec<RenderFault>) {
    let mut out = Vec::new();
    let received = DateTime::parse_from_rfc3339(TIME).unwrap();
    let faults = printer.print(&ReceivedMessage::new(Publish::of(message, identifier, false), received), &mut out);
    (out, faults)
}

fn templated(format: &str, pretty: bool) -> Printer {
    Printer { style: Style::Template(Template::parse(format).unwrap()), newline: false, pretty, ..Printer::default() }
}

fn rendered(format: &str, message: &Message) -> String {
    let (out, faults) = printed_with(&templated(format, false), message, 0);
    assert_eq!(faults, []);
    String::from_utf8(out).unwrap()
}

fn message(topic: &str, payload: &[u8]) -> Message {
    Message { topic: topic.into(), payload: Bytes::copy_from_slice(payload), ..Message::default() }
}

fn with_properties() -> Message {
    let list = [
        (PropertyName::ContentType, PropertyValue::Utf8("text/plain".into())),
        (PropertyName::CorrelationData, PropertyValue::Binary(Bytes::from_static(b"cd1"))),
        (PropertyName::ResponseTopic, PropertyValue::Utf8("r/t".into())),
        (PropertyName::PayloadFormatIndicator, PropertyValue::Byte(1)),
        (PropertyName::UserProperty, PropertyValue::Pair("k".into(), "v".into())),
        (PropertyName::UserProperty, PropertyValue::Pair("k".into(), "v 2".into())),
        (PropertyName::MessageExpiryInterval, PropertyValue::FourByte(60)),
        (PropertyName::SubscriptionIdentifier, PropertyValue::VarInt(7)),
        (PropertyName::SubscriptionIdentifier, PropertyValue::VarInt(8)),
        (PropertyName::TopicAlias, PropertyValue::TwoByte(12)),
    ];
    let properties = list.into_iter().map(|(name, value)| Property::new(name, value).unwrap()).collect();
    Message { properties, ..message("t/x", b"pp") }
}

fn check(message: &Message, cases: &[(&str, &str)]) {
    for (format, expected) in cases {
        assert_eq!(rendered(&format!("[{format}]"), message), format!("[{expected}]"), "{format:?}");
    }
}

#[test]
fn topic_and_payload() {
    check(
        &message("f/hello", b"hello"),
        &[
            ("%p", "hello"),
            ("%3p", "hel"),
            ("%8p", "   hello"),
            ("%-8p", "hello   "),
            ("%08p", "000hello"),
            ("%-08p", "hello   "),
            ("%.2p", "hello"),
            ("%8.2p", "   hello"),
            ("%0p", "hello"),
            // mosquitto pads by as much as the payload is long.
            ("%-p", "hello     "),
            ("%+p", "hello"),
            ("%t", "f/hello"),
            ("%10t", "   f/hello"),
            ("%-10t", "f/hello   "),
            ("%.3t", "f/h"),
            ("%10.3t", "       f/h"),
            ("%-10.3t", "f/h       "),
            ("%010t", "   f/hello"),
            ("%3t", "f/hello"),
            ("%.0t", ""),
        ],
    );
}

#[test]
fn a_topic_is_cut_by_bytes_and_a_payload_may_be_any() {
    let (out, _) = printed_with(&templated("%.1t|%4p|%X", false), &message("ü", b"a\0\xff"), 0);
    assert_eq!(out, b"\xc3| a\0\xff|6100FF");
}

#[test]
fn hexadecimal() {
    check(
        &message("t", b"hello\xff"),
        &[
            ("%x", "68656c6c6fff"),
            ("%X", "68656C6C6FFF"),
            ("%.2x", "68 65 6c 6c 6f ff"),
            ("%.2:X", "68:65:6C:6C:6F:FF"),
            ("%.1x", "6 8 6 5 6 c 6 c 6 f f f"),
            ("%.3-x", "686-56c-6c6-fff"),
            ("%.4 x", "6865 6c6c 6fff"),
            ("%.5_x", "68656_c6c6f_ff"),
            ("%.12:x", "68656c6c6fff"),
            ("%.0:x", "68656c6c6fff"),
            ("%:x", "68656c6c6fff"),
            // The width counts digits where it pads, bytes where it cuts.
            ("%16x", "    68656c6c6fff"),
            ("%016x", "000068656c6c6fff"),
            ("%-16x", "68656c6c6fff    "),
            ("%016.4:x", "0000:6865:6c6c:6fff"),
            ("%2x", "6865"),
            ("%2.2:x", "68:65"),
            ("%4x", "68656c6c"),
            // And to the right it pads by what is too long as well.
            ("%-4x", "68656c6c    "),
            ("%-x", "68656c6c6fff      "),
        ],
    );
    check(&message("t", b""), &[("%x", ""), ("%04x", "0000"), ("%4.2:x", "  :  :")]);
}

#[test]
fn numbers() {
    let (out, _) = printed_with(
        &templated("%m %5m %05m %-5m| %q %5q %r %5r", false),
        &Message { qos: QoS::AtLeastOnce, retain: true, ..message("t", b"") },
        321,
    );
    assert_eq!(out, b"321   321 00321 321  | 1 1 1 1");
    check(
        &message("t", b"hello"),
        &[
            ("%l", "5"),
            ("%5l", "    5"),
            ("%05l", "00005"),
            ("%00005l", "00005"),
            ("%-5l", "5    "),
            ("%-05l", "5    "),
            ("%.3l", "5"),
            ("%m%q%r", "000"),
        ],
    );
}

#[test]
fn properties() {
    check(
        &with_properties(),
        &[
            ("%A", "12"),
            ("%5A", "   12"),
            ("%E", "60"),
            ("%05E", "00060"),
            ("%-7E", "60     "),
            ("%.2E", "60"),
            ("%3F", "  1"),
            ("%03F", "001"),
            ("%S", "7"),
            ("%04S", "0007"),
            ("%C", "text/plain"),
            ("%12C", "  text/plain"),
            ("%-12C", "text/plain  "),
            ("%.4C", "text"),
            ("%012.4C", "        text"),
            ("%R", "r/t"),
            ("%12R", "         r/t"),
            ("%.1R", "r"),
            ("%D", "cd1"),
            ("%12D", "cd1"),
            ("%P", "k:v k:v 2"),
            ("%20P", "k:v k:v 2"),
        ],
    );
    let long = Property::new(PropertyName::MessageExpiryInterval, PropertyValue::FourByte(u32::MAX)).unwrap();
    let message = Message { properties: [long].into_iter().collect(), ..message("t", b"") };
    check(&message, &[("%E", "4294967295")]);
}

#[test]
fn absent_properties_leave_their_width() {
    for letter in ["A", "E", "F", "S", "C"] {
        check(
            &message("t", b""),
            &[
                (&format!("%{letter}"), ""),
                (&format!("%5{letter}"), "     "),
                (&format!("%05{letter}"), if letter == "C" { "     " } else { "00000" }),
                (&format!("%-5{letter}"), "     "),
            ],
        );
    }
    check(&message("t", b""), &[("%5R", ""), ("%5D", ""), ("%5P", "")]);
}

#[test]
fn time() {
    check(
        &message("t", b""),
        &[
            ("%I", "2026-01-02T03:04:05+0130"),
            ("%26I", "  2026-01-02T03:04:05+0130"),
            ("%-26I", "2026-01-02T03:04:05+0130  "),
            ("%.10I", "2026-01-02"),
            ("%12.10I", "  2026-01-02"),
            ("%U", "1767317645.000678901"),
            ("%30U", "1767317645.000678901"),
            ("@N", "000678901"),
            ("@@", "@"),
            ("@a @A @b @B @h", "Fri Friday Jan January Jan"),
            ("@c", "Fri Jan  2 03:04:05 2026"),
            ("@C @d @D @e @F", "20 02 01/02/26  2 2026-01-02"),
            ("@g @G @H @I @j @k @l", "26 2026 03 03 002  3  3"),
            ("@m @M @p @P", "01 04 AM am"),
            ("@r @R @s @S @T", "03:04:05 AM 03:04 1767317645 05 03:04:05"),
            ("@u @U @V @w @W", "5 00 01 5 00"),
            ("@x @X @y @Y @z", "01/02/26 03:04:05 26 2026 +0130"),
            ("@n@t@%", "\n\t%"),
            ("@E@Q@-@q@v@+@f@:@ü", "%E%Q%-%q%v%+%f%:%ü"),
        ],
    );
    let received = DateTime::parse_from_rfc3339("2026-12-31T12:00:00+00:00").unwrap();
    let message = message("t", b"");
    let received = ReceivedMessage::new(Publish::of(&message, 0, false), received);
    let mut out = Vec::new();
    templated("@Z @z @I @p @U @V", false).print(&received, &mut out);
    assert_eq!(out, b"UTC +0000 12 PM 52 53");
}

#[test]
fn text_and_escapes() {
    check(
        &message("t", b""),
        &[("a\\nb\\tc\\\\\\e\\a\\v\\0\\rd", "a\nb\tc\\\x1b\x07\x0b\0\rd"), ("%%", "%"), ("%5%", "%"), ("äö", "äö")],
    );
}

#[test]
fn floats() {
    let float = |value: f32| message("t", &value.to_ne_bytes());
    let double = |value: f64| message("t", &value.to_ne_bytes());
    check(
        &float(-1.5),
        &[
            ("%f", "-1.500000"),
            ("%.1f", "-1.5"),
            ("%.0f", "-2"),
            ("%10.1f", "      -1.5"),
            ("%010.1f", "-0000001.5"),
            ("%-010.1f", "-1.5      "),
            ("%2f", "-1.500000"),
        ],
    );
    check(&double(0.1), &[("%d", "0.100000"), ("%.20d", "0.10000000000000000555")]);
    check(&double(0.125), &[("%.2d", "0.12")]); // a tie goes to the even digit
    check(&double(-0.0), &[("%d", "-0.000000")]);
    check(&double(f64::NEG_INFINITY), &[("%d", "-inf"), ("%06d", "  -inf")]);
    check(&double(f64::NAN.copysign(1.0)), &[("%.3d", "nan"), ("%-5d", "nan  ")]);
    check(&double(f64::NAN.copysign(-1.0)), &[("%d", "-nan")]);
    let long = rendered("%.70000d", &double(0.5));
    assert_eq!(long, format!("0.5{}", "0".repeat(69_999)));
    assert_eq!(rendered("%.1074d", &double(5e-324)).len(), 1_076);
}

#[test]
fn what_is_no_float_is_reported_and_the_line_goes_on() {
    let (out, faults) = printed_with(&templated("%t %f|%d|%l", false), &message("t", b"12345"), 0);
    assert_eq!(out, b"t ||5");
    assert_eq!(faults, [RenderFault::NotAFloat, RenderFault::NotADouble]);
    assert_eq!(faults[0].mosquitto_text(), "requested float printing, but non-float data received");
    assert_eq!(faults[1].mosquitto_text(), "requested double printing, but non-double data received");
}

const TST: &str = r#"{"tst":"2026-01-02T03:04:05.000678+0130","#;

#[test]
fn the_object_of_mosquitto() {
    let qos1 = Message { qos: QoS::AtLeastOnce, retain: true, ..message("t/x", b"hello") };
    let (out, _) = printed_with(&templated("%j", false), &qos1, 3);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        format!(r#"{TST}"topic":"t/x","qos":1,"retain":true,"payloadlen":5,"mid":3,"payload":"hello"}}"#)
    );
    assert_eq!(
        rendered("%j", &with_properties()),
        format!(
            "{TST}{}",
            concat!(
                r#""topic":"t/x","qos":0,"retain":false,"payloadlen":2,"properties":{"content-type":"text/plain","#,
                r#""correlation-data":"cd1","response-topic":"r/t","payload-format-indicator":1,"#,
                r#""user-properties":[{"k":"v"},{"k":"v 2"}],"message-expiry-interval":60,"#,
                r#""subscription-identifier":7,"subscription-identifier":8,"topic-alias":12},"payload":"pp"}"#
            )
        )
    );
}

/// What `%j` and `%J` print from the payload length on.
fn json_tail(format: &str, payload: &[u8]) -> String {
    let text = rendered(format, &message("t", payload));
    text.strip_prefix(&format!(r#"{TST}"topic":"t","qos":0,"retain":false,"payloadlen":{},"#, payload.len()))
        .unwrap()
        .to_owned()
}

#[test]
fn the_object_is_valid_whatever_the_payload() {
    assert_eq!(json_tail("%j", b""), r#""payload":null}"#);
    assert_eq!(json_tail("%j", b"a\0b\"\\/\x1f\n"), r#""payload":"a\u0000b\"\\/\u001f\n"}"#);
    assert_eq!(json_tail("%j", b"\0\xff\0"), r#""payload":null,"payload_b64":"AP8A"}"#);
    let binary = Property::new(PropertyName::CorrelationData, PropertyValue::Binary(Bytes::from_static(b"\xe9")));
    let properties: Properties = binary.into_iter().collect();
    assert!(
        rendered("%j", &Message { properties, ..message("t", b"x") })
            .ends_with(r#""properties":{"correlation-data":null,"correlation-data_b64":"6Q=="},"payload":"x"}"#)
    );
}

#[test]
fn a_json_payload_is_printed_anew_with_its_numbers_as_they_are() {
    assert_eq!(json_tail("%J", b""), r#""payload":null}"#);
    assert_eq!(
        json_tail("%J", br#" {"n" : 1.50 , "big":12345678901234567890,"s":"\u00e9\/\u001f","a":[ ],"a":{}} "#),
        r#""payload":{"n":1.50,"big":12345678901234567890,"s":"é/\u001f","a":[],"a":{}}}"#
    );
    assert_eq!(json_tail("%J", b"1e999"), r#""payload":1e999}"#);
    for payload in [&b"hello"[..], b"{", b"1 2", b"\"\xff\"", b"\"\\ud800\""] {
        let (out, faults) = printed_with(&templated("[%J]", false), &message("a/b", payload), 0);
        assert_eq!(out, b"[]");
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].mosquitto_text(), "Error: Message payload is not valid JSON on topic a/b.\n");
    }
}

#[test]
fn pretty_is_tabs() {
    let user = [Property::user("k", "v"), Property::user("k2", "v")].into_iter().collect();
    let message = Message { properties: user, ..message("t", br#"{"a":[1,{}]}"#) };
    let (out, _) = printed_with(&templated("%J", true), &message, 0);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\n\t\"tst\":\t\"2026-01-02T03:04:05.000678+0130\",\n\t\"topic\":\t\"t\",\n\t\"qos\":\t0,\n\t\"retain\":\tfalse,\n\
         \t\"payloadlen\":\t12,\n\t\"properties\":\t{\n\t\t\"user-properties\":\t[{\n\t\t\t\t\"k\":\t\"v\"\n\t\t\t}, {\n\
         \t\t\t\t\"k2\":\t\"v\"\n\t\t\t}]\n\t},\n\t\"payload\":\t{\n\t\t\"a\":\t[1, {\n\t\t\t}]\n\t}\n}"
    );
}

#[test]
fn nothing_from_the_network_acts_on_a_terminal() {
    let user = [Property::user("k\x1b", "v\u{202e}")].into_iter().collect();
    let message = Message { properties: user, ..message("a\x1b[2J\u{9b}b", b"p\x1b[31m\xff\n") };
    let print = |style: Style, escapes: Escapes| {
        let printer = Printer { style, escapes, ..Printer::default() };
        String::from_utf8_lossy(&printed_with(&printer, &message, 0).0).into_owned()
    };
    let template = |format: &str| Style::Template(Template::parse(format).unwrap());
    // Off a terminal every byte stays as it is.
    assert!(print(Style::TopicAndPayload, Escapes::Nothing).starts_with("a\x1b[2J\u{9b}b p\x1b[31m"));
    assert_eq!(
        print(Style::TopicAndPayload, Escapes::Metadata),
        "a\\u{1b}[2J\\u{9b}b p\x1b[31m\u{fffd}\n\n",
        "the payload is the user's"
    );
    assert_eq!(print(Style::TopicAndPayload, Escapes::Everything), "a\\u{1b}[2J\\u{9b}b p\\u{1b}[31m\\xff\\n\n");
    assert_eq!(
        print(template("\\e[1m%t|%P|%p"), Escapes::Everything),
        "\x1b[1ma\\u{1b}[2J\\u{9b}b|k\\u{1b}:v\\u{202e}|p\\u{1b}[31m\\xff\\n\n",
        "the text of -F is the user's"
    );
    assert!(print(template("%j"), Escapes::Nothing).contains('\u{9b}'), "as mosquitto prints it");
    assert!(print(template("%j"), Escapes::Metadata).contains("\\u009b"));
    // JSON means the same either way, so it is always safe.
    let json = print(Style::Json { json_payload: false }, Escapes::Nothing);
    assert!(json.contains(r#""topic":"a\u001b[2J\u009bb""#) && json.contains("v\\u202e"), "{json}");
}

#[test]
fn plain_printing() {
    let print = |style: &Style, newline: bool, payload: &[u8]| {
        let printer = Printer { style: style.clone(), newline, ..Printer::default() };
        printed_with(&printer, &message("a b", payload), 0).0
    };
    let (plain, verbose) = (Style::Payload, Style::TopicAndPayload);
    assert_eq!(print(&plain, true, b"x\0\xff"), b"x\0\xff\n");
    assert_eq!(print(&plain, false, b"x"), b"x");
    assert_eq!(print(&plain, true, b""), b"");
    assert_eq!(print(&plain, false, b""), b"");
    assert_eq!(print(&verbose, true, b"x"), b"a b x\n");
    assert_eq!(print(&verbose, false, b"x"), b"a b x");
    assert_eq!(print(&verbose, true, b""), b"a b (null)\n");
    assert_eq!(print(&verbose, false, b""), b"");
    // A template has its line end whatever it prints, and an empty payload is nothing special to it.
    let template = |format: &str| Style::Template(Template::parse(format).unwrap());
    assert_eq!(print(&template("%p"), true, b""), b"\n");
    assert_eq!(print(&template("%p|"), false, b"x"), b"x|");
    assert_eq!(print(&template(""), true, b"x"), b"\n");
    let json = print(&Style::Json { json_payload: true }, true, b"[1]");
    assert!(json.ends_with(b",\"payload_json\":[1]}\n"));
}

proptest! {
    #[test]
    fn no_template_and_no_message_make_the_printer_panic(
        format in r"([%@\\]?[-0]{0,2}[0-9]{0,4}(\.[0-9]{0,4})?[:. ]?[%@tpxXlmqrfdIUjJAEFSCRDPNnabcyz]){0,6}",
        payload in proptest::collection::vec(any::<u8>(), 0..12),
        pretty in any::<bool>(),
    ) {
        if let Ok(template) = Template::parse(&format) {
            let printer = Printer { style: Style::Template(template), pretty, ..Printer::default() };
            for source in [with_properties(), message("t", b"")] {
                let message = Message { payload: payload.clone().into(), ..source };
                let (out, _) = printed_with(&printer, &message, 9);
                prop_assert!(out.ends_with(b"\n"));
                prop_assert!(out.len() < 6 * 20_000);
            }
        }
    }

    #[test]
    fn the_object_of_mosquitto_is_always_json(
        topic in "[^\0+#]{1,9}",
        payload in prop_oneof![proptest::collection::vec(any::<u8>(), 0..30), ".{0,20}".prop_map(String::into_bytes)],
        pretty in any::<bool>(),
    ) {
        let message = message(&topic, &payload);
        let (out, _) = printed_with(&templated("%j", pretty), &message, 0);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(value["topic"].as_str(), Some(topic.as_str()));
        match std::str::from_utf8(&payload) {
            Ok("") => prop_assert!(value["payload"].is_null()),
            Ok(text) => prop_assert_eq!(value["payload"].as_str(), Some(text)),
            Err(_) => prop_assert!(value["payload_b64"].is_string()),
        }
    }
}
