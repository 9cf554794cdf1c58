//! What becomes of each message while the session reads: a response is printed into the batch, a unmatched is counted,
//! and both are noted for their acknowledgement.

use std::time::{Duration, Instant};

use chrono::Local;

use super::matching::{Exchange, Unmatched, Verdict};
use super::plan::RequestPlan;
use crate::client::Diagnostics;
use crate::mqtt::wire::Suback;
use crate::mqtt::{Message, PropertyName, QoS, ReasonCode};
use crate::publish::PayloadSource;
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Outcome};
use crate::subscribe::format::{Escapes, Printer, Style};
use crate::subscribe::{Batch, ReceivedMessage};

/// What the broker has answered to the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing yet; at QoS 0 it never will.
    Unknown,
    /// It took it.
    Taken,
    /// It accepted it, but no client is subscribed to its topic.
    Nobody,
    /// It refused it, with its own words where it has some.
    Refused(ReasonCode, Option<String>),
    /// The broker that was found after a reconnect does not take it.
    Lost(ReasonCode),
}

/// The handler of mqrr.
#[derive(Debug)]
pub(super) struct Receiver {
    diagnostics: Diagnostics,
    printer: Printer,
    /// Every response has a line, even an empty one.
    line_each: bool,
    shows_latency: bool,
    pub(super) exchange: Exchange,
    /// When the last request went out.
    pub(super) asked_at: Option<Instant>,
    /// What waits to be written.
    pub(super) batch: Batch,
    /// How long the responses took that came since this was looked at.
    pub(super) latencies: Vec<Duration>,
    /// Messages that came since this was looked at and are not responses.
    pub(super) unmatched: Vec<Unmatched>,
    pub(super) subacks: Vec<Suback>,
    /// Response Information of the CONNACK.
    pub(super) response_information: Option<String>,
    /// Packet Identifier of the last request, 0 at QoS 0.
    pub(super) packet_identifier: u16,
    /// The outcome of the last request.
    pub(super) fate: Fate,
    /// Grows with every new answer of the broker about a request.
    pub(super) answers: u64,
}

impl Receiver {
    pub(super) fn new(plan: &RequestPlan, diagnostics: Diagnostics) -> Self {
        Self {
            diagnostics,
            line_each: matches!(plan.source, PayloadSource::Lines { .. }) && plan.printer.newline,
            printer: plan.printer.clone().on_stdout(&plan.client.policy, Escapes::Metadata),
            shows_latency: plan.latency,
            exchange: plan.exchange.clone(),
            asked_at: None,
            batch: Batch::default(),
            latencies: Vec::new(),
            unmatched: Vec::new(),
            subacks: Vec::new(),
            response_information: None,
            packet_identifier: 0,
            fate: Fate::Unknown,
            answers: 0,
        }
    }

    fn show(&mut self, delivery: &Delivery<'_>) {
        let latency = self.asked_at.map(|asked| asked.elapsed()).filter(|_| self.shows_latency);
        self.latencies.extend(latency);
        let received = Local::now().fixed_offset();
        let message = ReceivedMessage { latency, ..ReceivedMessage::new(delivery.publish.clone(), received) };
        let faults = self.printer.print(&message, &mut self.batch.bytes);
        if self.line_each && self.printer.style == Style::Payload && delivery.publish.payload.is_empty() {
            self.batch.bytes.push(b'\n');
        }
        for fault in faults {
            self.diagnostics.error_or(&fault, fault.mosquitto_text());
        }
    }
}

impl Handler<Message> for Receiver {
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        match self.exchange.judge(delivery.publish) {
            Verdict::Response => self.show(delivery),
            Verdict::Unmatched(unmatched) => self.unmatched.push(unmatched),
        }
        // In the order in which they came, so a unmatched waits for the response before it.
        if delivery.publish.qos != QoS::AtMostOnce {
            self.batch.receipts.push(delivery.receipt);
        }
        Acknowledge::Later
    }

    fn on_completed(&mut self, completion: Completion<'_, Message>) {
        self.answers += 1;
        let Completion { outcome, reason, properties, packet_identifier, .. } = completion;
        // The acknowledgement of a request may come after its response, when the next one is out.
        if packet_identifier != self.packet_identifier {
            return;
        }
        self.fate = match outcome {
            Outcome::Acknowledged | Outcome::Downgraded if reason == ReasonCode::NO_MATCHING_SUBSCRIBERS => {
                Fate::Nobody
            }
            Outcome::Acknowledged | Outcome::Downgraded => Fate::Taken,
            Outcome::Refused => Fate::Refused(reason, properties.text(PropertyName::ReasonString).map(str::to_owned)),
            Outcome::Lost => Fate::Lost(reason),
        };
    }

    fn on_received(&mut self, _: &Message, _: ReasonCode) {
        self.answers += 1;
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected(connack) => {
                self.response_information =
                    connack.properties.text(PropertyName::ResponseInformation).map(str::to_owned);
            }
            Event::Subscribed(suback) => self.subacks.push(suback),
            Event::Unsubscribed(_) | Event::Resending { .. } | Event::Pong | Event::UnknownAcknowledgement(_) => {}
        }
    }
}
