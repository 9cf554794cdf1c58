//! Takes each message while the session reads.

use std::time::Instant;

use chrono::{DateTime, FixedOffset, Local, TimeDelta};

use super::app::App;
use super::model::Micros;
use crate::mqtt::Message;
use crate::mqtt::ReasonCode;
use crate::mqtt::wire::{Suback, Unsuback};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Outcome};
use crate::subscribe::ReceivedMessage;
use crate::subscribe::selection::Selection;

/// What became of the messages that the user has published.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) messages: u64,
    pub(super) removals: u64,
    /// The first reason for which one was refused, and how many were.
    pub(super) refused: Option<(ReasonCode, u64)>,
}

/// The handler of the explorer.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) app: App,
    selection: Selection,
    /// The clock on the wall at the beginning, which goes on evenly.
    began: (Instant, DateTime<FixedOffset>),
    /// Time of receipt of what one read brought.
    received: DateTime<FixedOffset>,
    pub(super) messages: u64,
    pub(super) subacks: Vec<Suback>,
    pub(super) unsubacks: Vec<Unsuback>,
    pub(super) published: Published,
}

impl Receiver {
    pub(super) fn new(app: App, selection: Selection) -> Self {
        let now = Local::now().fixed_offset();
        let mut receiver = Self {
            app,
            selection,
            began: (Instant::now(), now),
            received: now,
            messages: 0,
            subacks: Vec::new(),
            unsubacks: Vec::new(),
            published: Published::default(),
        };
        receiver.set_time();
        receiver
    }

    /// What follows is received now.
    pub(super) fn set_time(&mut self) {
        let (instant, time) = self.began;
        self.received = time + TimeDelta::from_std(instant.elapsed()).unwrap_or_default();
        let micros: Micros = self.received.timestamp_micros();
        self.app.wall = micros;
        self.app.model.set_now(micros);
    }
}

impl Handler<Message> for Receiver {
    fn on_message(&mut self, delivery: &Delivery<'_>) -> Acknowledge {
        self.messages += 1;
        let message = ReceivedMessage::new(delivery.publish.clone(), self.received);
        if self.selection.judge(&message).verdict.prints() {
            self.app.model.add(delivery.publish, self.app.wall);
        }
        Acknowledge::Now
    }

    fn on_completed(&mut self, completion: Completion<'_, Message>) {
        let Completion { kept, outcome, reason, .. } = completion;
        let published = &mut self.published;
        match outcome {
            Outcome::Acknowledged | Outcome::Downgraded if kept.retain && kept.payload.is_empty() => {
                published.removals += 1;
            }
            Outcome::Acknowledged | Outcome::Downgraded => published.messages += 1,
            Outcome::Refused | Outcome::Lost => {
                published.refused.get_or_insert((reason, 0)).1 += 1;
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Subscribed(suback) => self.subacks.push(suback),
            Event::Unsubscribed(unsuback) => self.unsubacks.push(unsuback),
            Event::Pong | Event::Connected(_) | Event::Resending { .. } | Event::UnknownAcknowledgement(_) => {}
        }
    }
}
