//! The responder of `mqbench echo`: publishes each request back, unchanged, on the response topic. With MQTT 5 the
//! response carries the Correlation Data of the request (§4.10).

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::task::Context;

use bytes::Bytes;

use super::link::{Link, SendRecord};
use super::request::response_topic;
use super::shared::Shared;
use crate::bench::measure::Recorder;
use crate::mqtt::wire::Publish;
use crate::mqtt::{Message, Properties, PropertyName, ProtocolVersion, QoS};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Outcome};

/// Bytes per write to the kernel, roughly.
const BATCH_BYTES: usize = 32 * 1024;

/// Responses wait for the window and the socket up to this many bytes. Further requests get no response and count as
/// lost.
const WAITING_LIMIT: usize = 16 * 1024 * 1024;

/// A responder.
#[derive(Debug)]
pub(super) struct Responder {
    pub(super) number: usize,
    response_topic: String,
    qos: QoS,
    version: ProtocolVersion,
    /// Responses that neither window nor socket has taken.
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

    /// The connection was lost: responses that wait are not sent any more.
    pub(super) fn discard_waiting(&mut self) {
        self.waiting = VecDeque::new();
        self.waiting_bytes = 0;
    }

    /// Whether a response waits that could be sent now.
    fn can_send(&self, link: &Link) -> bool {
        !self.waiting.is_empty()
            && link.is_writable()
            && link.session.is_open()
            && (self.qos == QoS::AtMostOnce || link.session.window_free() > 0)
    }

    /// Sends what waits, as far as window and socket take it.
    pub(super) fn send_responses(
        &mut self,
        link: &mut Link,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        while self.can_send(link) {
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
                    // The request was as large and arrived: this happens where one topic is at the limit.
                    out.truncate(start);
                    identifier.into_iter().for_each(|identifier| link.session.release(identifier));
                }
            }
            link.send(context, out)?;
            link.session.handle_written(super::clock::now(), !link.is_writable());
        }
        Ok(())
    }
}

/// Handles the packets of one read of a responder.
pub(super) struct ResponderHandler<'a> {
    pub(super) responder: &'a mut Responder,
    pub(super) shared: &'a Shared,
    pub(super) recorder: &'a mut Recorder,
    pub(super) measuring: bool,
}

impl Handler<SendRecord> for ResponderHandler<'_> {
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        let publish = delivery.publish;
        let responder = &mut *self.responder;
        let mut properties = Properties::new();
        let mut is_request = !publish.retain;
        if responder.version.is_v5() {
            let asked = publish.properties.to_properties();
            // Anybody may publish here: a request for a response elsewhere is not ours.
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
