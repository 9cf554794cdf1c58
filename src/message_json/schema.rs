//! The JSON Schema of the object, made from the table of properties.

use serde_json::{Map, Value, json};

use crate::mqtt::{PropertyContext, PropertyName, WireType};

/// The JSON Schema of one line of `mqsub --json`, `mqpub --json` and a recording.
pub fn schema() -> Value {
    let text = json!({"type": "string"});
    let base64 = json!({
        "type": "string", "contentEncoding": "base64",
        "pattern": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
    });
    let described = |value: &Value, text: &str| {
        let mut value = value.clone();
        value["description"] = text.into();
        value
    };
    let payloads = ["payload", "payload_b64", "payload_json"];
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An MQTT message",
        "description": "One line of mqsub --json, mqpub --json and a recording. mqpub ignores time, ts, mid, latency_ms and \
                        keys that are not listed, and takes a missing topic, qos and retain from -t, -q and -r.",
        "type": "object",
        "properties": {
            "time": {"type": "string", "format": "date-time", "description": "When it was received, in microseconds, with offset."},
            "ts": {"type": "number", "description": "The same in Unix seconds."},
            "topic": {
                "type": "string", "minLength": 1, "maxLength": 65535, "pattern": "^[^+#\\u0000]*$",
                "description": "Topic Name, at most 65,535 bytes of UTF-8.",
            },
            "qos": {"enum": [0, 1, 2], "description": "Quality of Service."},
            "retain": {"type": "boolean", "description": "The RETAIN flag."},
            "mid": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "Packet Identifier, at QoS 1 and 2."},
            "payload": described(&text, "The payload, if it is UTF-8; an empty one is \"\"."),
            "payload_b64": described(&base64, "The payload in base64, if it is not UTF-8."),
            "payload_json": {"description": "The payload as it is, if it is JSON and was asked for."},
            "latency_ms": {"type": "number", "minimum": 0, "description": "mqrr: time from the request to this response."},
            "properties": {
                "type": "object", "properties": properties(&text, &base64), "additionalProperties": false,
                "not": {"required": ["correlation-data", "correlation-data_b64"]},
                "description": "Properties of MQTT 5, in their order.",
            },
        },
        "oneOf": payloads.map(|key| json!({"required": [key]})),
    })
}

/// The properties of a PUBLISH, in the order of their identifiers.
fn properties(text: &Value, base64: &Value) -> Value {
    let number = |least: u32, most: u32| json!({"type": "integer", "minimum": least, "maximum": most});
    let mut properties = Map::new();
    for name in (0..=u8::MAX).filter_map(PropertyName::from_id) {
        if !name.allowed_in(PropertyContext::Publish) {
            continue;
        }
        let value = match name.wire_type() {
            WireType::Byte => number(0, 1),
            // The only one of a PUBLISH is Topic Alias, which cannot be 0.
            WireType::TwoByte => number(1, u16::MAX.into()),
            WireType::FourByte => number(0, u32::MAX),
            WireType::VarInt => {
                let one = number(1, 268_435_455);
                json!({"anyOf": [one, {"type": "array", "items": one}]})
            }
            WireType::Utf8 => json!({"type": "string", "maxLength": 65535, "pattern": "^[^\\u0000]*$"}),
            WireType::Binary => {
                properties.insert(format!("{}_b64", name.text()), base64.clone());
                text.clone()
            }
            WireType::Pair => {
                let pair = json!({
                    "type": "object", "minProperties": 1, "maxProperties": 1,
                    "additionalProperties": {"type": "string", "maxLength": 65535, "pattern": "^[^\\u0000]*$"},
                });
                properties.insert("user-properties".into(), json!({"type": "array", "items": pair}));
                continue;
            }
        };
        properties.insert(name.text().into(), value);
    }
    Value::Object(properties)
}
