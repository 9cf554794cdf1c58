//! What becomes of each message while the session reads: judged, shown, and noted for its acknowledgement.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Instant;

use chrono::{DateTime, FixedOffset, Local};

use super::ReceivedMessage;
use super::format::{MessageRate, Printer, Watch};
use super::plan::{Display, SubscribePlan};
use super::selection::{Judgement, Selection, Verdict};
use super::stdout::Batch;
use crate::client::Diagnostics;
use crate::mqtt::wire::{Suback, Unsuback};
use crate::mqtt::{Message, QoS, ReasonCode};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Outcome};
use crate::transport::Address;

/// The ears of mqsub.
#[derive(Debug)]
pub(super) struct Receiver {
    diagnostics: Diagnostics,
    selection: Selection,
    screen: Screen,
    /// Time of receipt of what one read brought; none until it is asked for.
    received: Option<DateTime<FixedOffset>>,
    /// What waits to be written.
    pub(super) batch: Batch,
    /// Topics whose retained message is to be removed.
    pub(super) to_remove: VecDeque<String>,
    pub(super) subacks: Vec<Suback>,
    pub(super) unsubacks: Vec<Unsuback>,
    /// The reason for which a retained message could not be removed.
    pub(super) refused: Option<ReasonCode>,
    /// When the last PINGRESP came.
    pub(super) last_pong: Option<Instant>,
    /// Empty messages without RETAIN are what our own removals bring, and end nothing.
    ignores_removals: bool,
}

#[derive(Debug)]
enum Screen {
    Stream(Printer),
    Watch(Printer, Watch),
    Rate(MessageRate),
}

impl Receiver {
    pub(super) fn new(plan: &SubscribePlan, diagnostics: Diagnostics) -> Self {
        let mut batch = Batch::default();
        let screen = match &plan.display {
            Display::Stream(printer) => Screen::Stream(printer.clone()),
            Display::Screen(printer) => {
                let watch = Watch::new(!plan.compat);
                let address = &plan.connect.transport.address;
                match address {
                    Address::Tcp { host, .. } if plan.compat => watch.begin(host, &mut batch.bytes),
                    address => watch.begin(&address.to_string(), &mut batch.bytes),
                }
                Screen::Watch(printer.clone(), watch)
            }
            Display::Rate => Screen::Rate(MessageRate::default()),
        };
        Self {
            diagnostics,
            selection: Selection::new(plan.selection.clone()),
            screen,
            received: None,
            batch,
            to_remove: VecDeque::new(),
            subacks: Vec::new(),
            unsubacks: Vec::new(),
            refused: None,
            last_pong: None,
            ignores_removals: plan.selection.retained_only && plan.selection.remove_retained,
        }
    }

    /// What follows was received now, at one time.
    pub(super) fn begin_read(&mut self) {
        self.received = None;
    }

    /// Whether the last message has come.
    pub(super) fn has_ended(&self) -> bool {
        self.selection.has_ended()
    }

    /// Messages that counted.
    pub(super) fn counted(&self) -> u64 {
        self.selection.counted()
    }

    /// A second of `--message-rate` has passed.
    pub(super) fn tick(&mut self) {
        if let Screen::Rate(rate) = &mut self.screen {
            rate.line(&mut self.batch.bytes);
        }
    }

    fn show(&mut self, message: &ReceivedMessage<'_>) {
        let out = &mut self.batch.bytes;
        let faults = match &mut self.screen {
            Screen::Stream(printer) => printer.print(message, out),
            Screen::Watch(printer, watch) => {
                watch.before(message.publish.topic, out);
                let faults = printer.print(message, out);
                watch.after(out);
                faults
            }
            Screen::Rate(rate) => {
                rate.count();
                return;
            }
        };
        for fault in faults {
            match self.diagnostics.is_mosquitto() {
                true => self.diagnostics.verbatim(&fault.mosquitto_text()),
                false => self.diagnostics.error(fault),
            }
        }
    }
}

/// A receiver that a connection attempt and its owner share; neither holds it while the other is at work.
#[derive(Debug)]
pub(super) struct SharedReceiver<'a, 'b>(pub(super) &'a RefCell<&'b mut Receiver>);

impl Handler<Message> for SharedReceiver<'_, '_> {
    fn message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        self.0.borrow_mut().message(delivery)
    }

    fn completed(&mut self, completion: Completion<'_, Message>) {
        self.0.borrow_mut().completed(completion);
    }

    fn event(&mut self, event: Event) {
        self.0.borrow_mut().event(event);
    }
}

impl Handler<Message> for Receiver {
    fn message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        let received = *self.received.get_or_insert_with(|| Local::now().fixed_offset());
        let message = ReceivedMessage::new(delivery.publish.clone(), received);
        let publish = delivery.publish;
        let echo = self.ignores_removals && !publish.retain && publish.payload.is_empty();
        let judgement: Judgement = if echo { Verdict::Skip.into() } else { self.selection.judge(&message) };
        if judgement.verdict.prints() {
            self.show(&message);
        }
        if judgement.remove {
            self.to_remove.push_back(publish.topic.to_owned());
        }
        if publish.qos != QoS::AtMostOnce && judgement.verdict != Verdict::Beyond {
            self.batch.receipts.push(delivery.receipt);
        }
        Acknowledge::Later
    }

    /// A retained message was removed, or not.
    fn completed(&mut self, completion: Completion<'_, Message>) {
        let Completion { kept, outcome, reason, .. } = completion;
        if matches!(outcome, Outcome::Refused | Outcome::Lost) {
            self.refused.get_or_insert(reason);
            if self.diagnostics.is_mosquitto() {
                return;
            }
            self.diagnostics.error(format_args!("cannot remove the retained message of {}: {reason}", kept.topic));
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Subscribed(suback) => self.subacks.push(suback),
            Event::Unsubscribed(unsuback) => self.unsubacks.push(unsuback),
            Event::Pong => self.last_pong = Some(Instant::now()),
            Event::Connected(_) | Event::Resending { .. } | Event::UnknownAcknowledgement(_) => {}
        }
    }
}
