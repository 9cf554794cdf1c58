//! What becomes of each message while the session reads: a response is printed into the batch, a stranger is counted,
//! and both are noted for their acknowledgement.

use std::time::{Duration, Instant};

use chrono::Local;

use super::matching::{Exchange, Stranger, Verdict};
use super::plan::RequestPlan;
use crate::client::Diagnostics;
use crate::mqtt::wire::Suback;
use crate::mqtt::{Message, PropertyName, QoS, ReasonCode};
use crate::publish::PayloadSource;
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Outcome};
use crate::subscribe::format::{Escapes, Printer, Style};
use crate::subscribe::{Batch, Printing, ReceivedMessage};
use crate::terminal::escape;

/// What the broker said about the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing yet; at QoS 0 it never will.
    Unknown,
    /// It took it.
    Taken,
    /// It took it, and nobody is subscribed to its topic.
    Nobody,
    /// It refused it, with its own words where it has some.
    Refused(ReasonCode, Option<String>),
    /// The broker that was found after a reconnect does not take it.
    Lost(ReasonCode),
}

/// The ears of mqrr.
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
    /// Messages that came since this was looked at and are no responses.
    pub(super) strangers: Vec<Stranger>,
    pub(super) subacks: Vec<Suback>,
    /// Response Information of the CONNACK.
    pub(super) response_information: Option<String>,
    /// Packet Identifier of the last request, 0 at QoS 0.
    pub(super) packet_identifier: u16,
    /// What became of the last request.
    pub(super) fate: Fate,
    /// Grows with whatever new the broker says about a request.
    pub(super) heard: u64,
}

impl Receiver {
    pub(super) fn new(plan: &RequestPlan, diagnostics: Diagnostics) -> Self {
        Self {
            diagnostics,
            line_each: matches!(plan.source, PayloadSource::Lines(_)) && plan.printer.newline,
            printer: plan.printer.clone().on_stdout(diagnostics.is_mosquitto(), Escapes::Metadata),
            shows_latency: plan.latency,
            exchange: plan.exchange.clone(),
            asked_at: None,
            batch: Batch::default(),
            latencies: Vec::new(),
            strangers: Vec::new(),
            subacks: Vec::new(),
            response_information: None,
            packet_identifier: 0,
            fate: Fate::Unknown,
            heard: 0,
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
            match self.diagnostics.is_mosquitto() {
                true => self.diagnostics.verbatim(&fault.mosquitto_text()),
                false => self.diagnostics.error(fault),
            }
        }
    }
}

impl Printing for Receiver {
    fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }
}

impl Handler<Message> for Receiver {
    fn message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        match self.exchange.judge(delivery.publish) {
            Verdict::Response => self.show(delivery),
            Verdict::Stranger(stranger) => self.strangers.push(stranger),
        }
        // In the order in which they came, so a stranger waits for the response before it.
        if delivery.publish.qos != QoS::AtMostOnce {
            self.batch.receipts.push(delivery.receipt);
        }
        Acknowledge::Later
    }

    fn completed(&mut self, completion: Completion<'_, Message>) {
        self.heard += 1;
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
            Outcome::Refused => {
                let words = properties.text(PropertyName::ReasonString).map(|words| escape(words).into_owned());
                Fate::Refused(reason, words)
            }
            Outcome::Lost => Fate::Lost(reason),
        };
    }

    fn received(&mut self, _: &Message) {
        self.heard += 1;
    }

    fn event(&mut self, event: Event) {
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
