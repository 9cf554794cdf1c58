//! What the fuzz targets of the small languages do with their bytes: templates of `-F` and of mqbench, and gates.
//! `tests/properties/templates.rs` runs the same bodies on a stable compiler.

use std::ffi::OsString;

use chrono::{DateTime, FixedOffset};
use mqtools::bench::Gate;
use mqtools::mqtt::wire::Publish;
use mqtools::mqtt::{Message, Property, PropertyName, PropertyValue, QoS};
use mqtools::options::{Environment, Reading, SubscribeOptions};
use mqtools::subscribe::ReceivedMessage;
use mqtools::subscribe::format::{MAX_TOTAL_WIDTH, Printer, Style, Template, TemplateError};
use mqtools::template::Template as PayloadTemplate;

fn time() -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339("2026-11-26T14:50:42.001234567+01:00").unwrap_or_else(|error| panic!("{error}"))
}

/// A template of `-F`, and behind a line break the payload of a message that it prints. What it accepts mosquitto
/// accepts, what it prints is bounded by its widths, and plain text stands for itself.
pub fn output_template(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let Ok(text) = std::str::from_utf8(parts.next().unwrap_or_default()) else { return };
    let payload = parts.next().unwrap_or_default();
    if text.contains('\0') {
        return; // no argument of a process has one
    }
    let parsed = Template::parse(text);
    let argv = ["mqsub", "--compat", "-t", "t", "-F", text].map(OsString::from);
    let compat = SubscribeOptions::read(&Environment::fixed([], []), argv);
    match &parsed {
        Err(TemplateError::TooWide) => {} // a limit of ours
        _ => assert_eq!(parsed.is_ok(), matches!(compat, Ok(Reading::Options(_))), "{text:?}: {parsed:?}"),
    }
    let Ok(template) = parsed else { return };
    let properties = [
        (PropertyName::ContentType, PropertyValue::Utf8("text/plain".to_owned())),
        (PropertyName::CorrelationData, PropertyValue::Binary(payload.to_vec().into())),
        (PropertyName::UserProperty, PropertyValue::Pair("key".to_owned(), "value".to_owned())),
    ];
    let properties = properties.into_iter().filter_map(|(name, value)| Property::new(name, value).ok()).collect();
    let message = Message {
        topic: "a/b".into(),
        payload: payload.to_vec().into(),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties,
    };
    let message = ReceivedMessage::new(Publish::of(&message, 7, false), time());
    let printer = Printer { style: Style::Template(template), ..Printer::default() };
    let mut out = b"before".to_vec();
    printer.print(&message, &mut out);
    assert!(out.starts_with(b"before") && out.ends_with(b"\n"));
    // A letter may print the message as JSON, in which a byte takes six characters.
    let bound = MAX_TOTAL_WIDTH + text.len() * (7 * payload.len() * 2 + 1000) + 100;
    assert!(out.len() < bound, "{} bytes of {text:?}", out.len());
    if !text.contains(['%', '@', '\\']) {
        assert_eq!(out[b"before".len()..out.len() - 1], *text.as_bytes());
    }
}

/// A template of mqbench's payloads prints what a slow reader of it prints, and no more than was reckoned with. The
/// slow reader does not know the placeholders with a name.
pub fn payload_template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let slow = slow_payload(text);
    match PayloadTemplate::of_payload(text) {
        Ok(template) => {
            let out = template.for_client(42, "id", "user").text_of(7, 1_795_228_242_001_000_000);
            assert!(text.contains("%{") || String::from_utf8(out).ok() == slow, "{text:?}");
        }
        Err(error) => assert_eq!(slow, None, "{text:?}: {error}"),
    }
    if let Ok(template) = PayloadTemplate::new(text) {
        assert!(!template.varies_by_message(), "{text:?}");
        assert_eq!(Some(template.expand(42, "id", "user")), slow, "{text:?}");
    }
}

fn slow_payload(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let place = &rest[at + 1..];
        let digits = place.find(|c: char| !c.is_ascii_digit()).unwrap_or(place.len());
        let width = match &place[..digits] {
            "" => 0,
            number if number.starts_with('0') => {
                number[1..].trim_start_matches('0').parse().ok().filter(|width| (1..=20).contains(width))?
            }
            _ => return None,
        };
        let letter = place[digits..].chars().next()?;
        match letter {
            'i' => out.push_str(&format!("{:0width$}", 42)),
            's' => out.push_str(&format!("{:0width$}", 7)),
            _ if width > 0 => return None,
            '%' => out.push('%'),
            'c' => out.push_str("id"),
            'u' => out.push_str("user"),
            't' => out.push_str("1795228242001"),
            _ => return None,
        }
        rest = &place[digits + letter.len_utf8()..];
    }
    Some(out + rest)
}

/// A gate is read or named in an error; blanks around its parts and conditions that are given apart change nothing.
pub fn gate(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let conditions: Vec<&str> = text.split("&&").collect();
    let apart: Result<Vec<String>, _> = conditions.iter().map(|text| shown(text)).collect();
    match (Gate::parse(text), apart) {
        (Ok(gate), Ok(apart)) => {
            let whole = format!("{gate:?}");
            assert!(apart.iter().all(|one| whole.contains(one.as_str())), "{text:?}: {whole}");
            let wide = conditions.join(" && ").replace("<=", " <= ").replace(">=", " >= ");
            assert!(Gate::parse(&wide).is_ok(), "{wide:?}");
        }
        (Err(error), Err(_)) => {
            let printed = error.to_string();
            assert!(conditions.iter().any(|one| printed.contains(one.trim())), "{printed}");
        }
        (whole, apart) => panic!("{text:?}: {whole:?} together and {apart:?} apart"),
    }
}

/// The one condition of a gate, without the brackets around it.
fn shown(text: &str) -> Result<String, String> {
    let gate = Gate::parse(text).map_err(|error| error.to_string())?;
    let shown = format!("{gate:?}");
    Ok(shown.trim_start_matches("Gate { conditions: [").trim_end_matches("] }").to_owned())
}
