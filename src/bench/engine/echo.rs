//! The responder of `mqbench echo`: what comes on its request topic goes back, unchanged, on the response topic. With
//! MQTT 5 the request says where the answer goes and what it belongs to (Response Topic, Correlation Data, §4.10).

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::task::Context;

use bytes::Bytes;

use super::link::{Link, SendRecord};
use super::shared::Shared;
use crate::bench::measure::Recorder;
use crate::mqtt::wire::Publish;
use crate::mqtt::{Message, Properties, Property, PropertyName, PropertyValue, ProtocolVersion, QoS};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Outcome};

/// Bytes that go to the kernel in one write, roughly.
const BATCH_BYTES: usize = 32 * 1024;

/// Answers wait for the window and the socket up to this many bytes; requests beyond are not answered, and so are lost.
const WAITING_LIMIT: usize = 16 * 1024 * 1024;

/// Where the requests of a stream go; `topic` is the stream's.
pub(super) fn request_topic(topic: &str) -> String {
    format!("{topic}/request")
}

/// Where their answers go.
pub(super) fn response_topic(topic: &str) -> String {
    format!("{topic}/response")
}

/// Makes a stream's message a request.
pub(super) fn make_request(message: &mut Message, version: ProtocolVersion, stream: usize) {
    if version.is_v5() {
        let correlation = Bytes::copy_from_slice(&(stream as u32).to_be_bytes());
        for (name, value) in [
            (PropertyName::ResponseTopic, PropertyValue::Utf8(response_topic(&message.topic))),
            (PropertyName::CorrelationData, PropertyValue::Binary(correlation)),
        ] {
            // Both are what their names ask for.
            if let Ok(property) = Property::new(name, value) {
                message.properties.remove(name);
                message.properties.push(property);
            }
        }
    }
    message.topic = request_topic(&message.topic);
}

/// A responder.
#[derive(Debug)]
pub(super) struct Responder {
    pub(super) number: usize,
    response_topic: String,
    qos: QoS,
    version: ProtocolVersion,
    /// Answers that neither window nor socket has taken.
    waiting: VecDeque<Message>,
    waiting_bytes: usize,
}

impl Responder {
    pub(super) fn new(number: usize, shared: &Shared) -> Self {
        let plan = &shared.plan;
        let response_topic = response_topic(&plan.topic_of(number));
        let (qos, version) = (plan.qos, plan.session.version);
        Self { number, response_topic, qos, version, waiting: VecDeque::new(), waiting_bytes: 0 }
    }

    /// What was to be answered on a connection that is gone is not answered any more.
    pub(super) fn forget(&mut self) {
        self.waiting = VecDeque::new();
        self.waiting_bytes = 0;
    }

    /// Whether answers wait that could be sent now.
    fn may_answer(&self, link: &Link) -> bool {
        !self.waiting.is_empty()
            && link.is_writable()
            && link.session.is_open()
            && (self.qos == QoS::AtMostOnce || link.session.window_free() > 0)
    }

    /// Sends what waits as far as window and socket take it.
    pub(super) fn answer(&mut self, link: &mut Link, context: &mut Context<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        while self.may_answer(link) {
            out.clear();
            link.session.take_output(out);
            let limit = link.session.limits().maximum_packet_size;
            while out.len() < BATCH_BYTES {
                let Some(message) = self.waiting.pop_front() else { break };
                self.waiting_bytes -= message.payload.len();
                let record = SendRecord { intended_ns: 0, written_ns: 0, received_ns: Cell::new(0) };
                let identifier = link.session.reserve(self.qos, record);
                if identifier.is_none() && self.qos != QoS::AtMostOnce {
                    self.waiting_bytes += message.payload.len();
                    self.waiting.push_front(message);
                    break;
                }
                let start = out.len();
                let encoded = Publish::of(&message, identifier.unwrap_or(0), false).encode(self.version, out);
                if encoded.is_err() || out.len() - start > limit {
                    // The request was as large and came through: this happens where one topic is at the limit.
                    out.truncate(start);
                }
            }
            link.send(context, out)?;
            link.session.handle_written(super::clock::now(), !link.is_writable());
        }
        Ok(())
    }
}

/// The ears of a responder during one batch.
pub(super) struct ResponderEars<'a> {
    pub(super) responder: &'a mut Responder,
    pub(super) shared: &'a Shared,
    pub(super) recorder: &'a mut Recorder,
    pub(super) measuring: bool,
}

impl Handler<SendRecord> for ResponderEars<'_> {
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        let publish = delivery.publish;
        let responder = &mut *self.responder;
        let mut properties = Properties::new();
        let mut is_request = !publish.retain;
        if responder.version.is_v5() {
            let asked = publish.properties.to_properties();
            // Anybody may publish here; what asks for an answer elsewhere is somebody else's.
            is_request &= asked.text(PropertyName::ResponseTopic) == Some(&responder.response_topic);
            let correlation = asked.iter().find(|property| property.name() == PropertyName::CorrelationData);
            correlation.into_iter().for_each(|property| properties.push(property.clone()));
        }
        if !is_request {
            self.recorder.counters.foreign += u64::from(self.measuring);
        } else if responder.waiting_bytes < WAITING_LIMIT {
            responder.waiting_bytes += publish.payload.len();
            responder.waiting.push_back(Message {
                topic: responder.response_topic.clone(),
                payload: Bytes::copy_from_slice(publish.payload),
                qos: self.shared.plan.qos,
                retain: false,
                properties,
            });
        }
        Acknowledge::Now
    }

    fn on_completed(&mut self, completion: Completion<'_, SendRecord>) {
        if completion.outcome == Outcome::Refused && self.measuring {
            self.recorder.counters.count_rejected(completion.reason.0);
        }
    }

    fn on_event(&mut self, _event: Event) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_where_its_answer_goes() {
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
