//! What makes a stream's message a request (`mqbench echo`): its topics, and with MQTT 5 Response Topic and Correlation
//! Data (§4.10).

use bytes::Bytes;

use crate::mqtt::{Message, Property, PropertyName, PropertyValue, ProtocolVersion};

/// The topic of the requests of the stream with this topic.
pub(super) fn request_topic(topic: &str) -> String {
    format!("{topic}/request")
}

/// The topic of their responses.
pub(super) fn response_topic(topic: &str) -> String {
    format!("{topic}/response")
}

/// Turns the message of a stream into a request.
pub(super) fn make_request(message: &mut Message, version: ProtocolVersion, stream: usize) {
    if version.is_v5() {
        let correlation = Bytes::copy_from_slice(&(stream as u32).to_be_bytes());
        for (name, value) in [
            (PropertyName::ResponseTopic, PropertyValue::Utf8(response_topic(&message.topic))),
            (PropertyName::CorrelationData, PropertyValue::Binary(correlation)),
        ] {
            // Both values have the type of their property.
            if let Ok(property) = Property::new(name, value) {
                message.properties.remove(name);
                message.properties.push(property);
            }
        }
    }
    message.topic = request_topic(&message.topic);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_response_topic() {
        let mut message = Message { topic: "a/7".to_owned(), ..Message::default() };
        make_request(&mut message, ProtocolVersion::V5, 7);
        assert_eq!(message.topic, "a/7/request");
        assert_eq!(message.properties.text(PropertyName::ResponseTopic), Some("a/7/response"));
        assert_eq!(message.properties.binary(PropertyName::CorrelationData).unwrap().as_ref(), [0, 0, 0, 7]);
        let mut older = Message { topic: "a".to_owned(), ..Message::default() };
        make_request(&mut older, ProtocolVersion::V311, 0);
        assert_eq!((older.topic.as_str(), older.properties.is_empty()), ("a/request", true));
    }
}
