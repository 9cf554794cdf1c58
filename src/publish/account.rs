//! What became of each message, and how the tool ends for it.

use crate::client::Diagnostics;
use crate::client::mosquitto::publish_failed;
use crate::exit_status::ExitStatus;
use crate::mqtt::{Message, PropertyName, ReasonCode};
use crate::session::{Acknowledge, Completion, Delivery, Event, Handler, Outcome};
use crate::terminal::escape;

/// Of refused messages so many are named one by one; the rest is counted.
const NAMED: u64 = 5;

/// The account of all messages.
#[derive(Debug)]
pub struct DeliveryAccount {
    diagnostics: Diagnostics,
    done: u64,
    refused: u64,
    lost: u64,
    downgraded: u64,
    first_refusal: Option<ReasonCode>,
    /// Counts whatever the broker says about a message, for who waits for it to say something.
    heard: u64,
}

impl DeliveryAccount {
    /// An empty account that tells what goes wrong at once.
    pub const fn new(diagnostics: Diagnostics) -> Self {
        Self { diagnostics, done: 0, refused: 0, lost: 0, downgraded: 0, first_refusal: None, heard: 0 }
    }

    /// Messages of which the broker has the responsibility: acknowledged, at whatever QoS.
    pub const fn done(&self) -> u64 {
        self.done
    }

    /// Grows with everything that the broker says about a message.
    pub const fn heard(&self) -> u64 {
        self.heard
    }

    /// Enters a message of QoS 0 that was written.
    pub const fn wrote(&mut self, count: u64) {
        self.done += count;
    }

    /// Enters a message that is refused, by the broker or in its name before it was sent.
    pub fn refuse(&mut self, why: impl std::fmt::Display, reason: ReasonCode) {
        self.refused += 1;
        self.first_refusal.get_or_insert(reason);
        if self.refused <= NAMED {
            self.diagnostics.error(format_args!("message {} was refused: {why}", self.entered()));
        }
    }

    /// Messages that are through, one way or the other.
    pub const fn entered(&self) -> u64 {
        self.done + self.refused + self.lost
    }

    /// Says what did not come through, with `open` messages that were taken up and are not done, and how the tool ends
    /// when nothing else ended it.
    /// mosquitto_pub counts nothing.
    pub fn close(&self, open: u64) -> ExitStatus {
        if self.diagnostics.is_mosquitto() {
            return ExitStatus::Done;
        }
        let all = self.entered() + open;
        if self.refused > NAMED {
            self.diagnostics.error(format_args!("{} of {all} messages were refused", self.refused));
        }
        if open + self.lost > 0 {
            let left = open + self.lost;
            self.diagnostics.error(format_args!("{left} of {all} messages did not get through to the broker"));
        }
        if self.downgraded > 1 {
            self.diagnostics.warning(format_args!("{} messages were delivered at QoS 1 only", self.downgraded));
        }
        match self.first_refusal {
            Some(reason) => ExitStatus::Refused(reason),
            None if open + self.lost > 0 => ExitStatus::Failed,
            None if self.downgraded > 0 => ExitStatus::Downgraded,
            None => ExitStatus::Done,
        }
    }
}

impl Handler<Message> for DeliveryAccount {
    /// A kept session may have messages for us. They are not ours to take, so the broker keeps them.
    fn message(&mut self, _: &Delivery<'_>) -> Acknowledge {
        Acknowledge::Later
    }

    fn completed(&mut self, completion: Completion<'_, Message>) {
        self.heard += 1;
        let Completion { outcome, reason, properties, packet_identifier, .. } = completion;
        match outcome {
            Outcome::Acknowledged => self.done += 1,
            Outcome::Downgraded => {
                self.done += 1;
                self.downgraded += 1;
                if self.downgraded == 1 {
                    self.diagnostics.warning(
                        "the broker answered a message of QoS 2 with PUBACK: it was delivered at QoS 1, so it may \
                         arrive twice",
                    );
                }
            }
            Outcome::Refused if self.diagnostics.is_mosquitto() => {
                let words = properties.text(PropertyName::ReasonString);
                self.diagnostics.verbatim(&publish_failed(packet_identifier, reason, words));
            }
            Outcome::Refused => match properties.text(PropertyName::ReasonString) {
                Some(words) => self.refuse(format_args!("{reason}: {}", escape(words)), reason),
                None => self.refuse(reason, reason),
            },
            Outcome::Lost => {
                self.lost += 1;
                if self.lost == 1 {
                    self.diagnostics
                        .error(format_args!("a message cannot be sent again after the reconnect: {reason}"));
                }
            }
        }
    }

    fn received(&mut self, _: &Message) {
        self.heard += 1;
    }

    fn event(&mut self, event: Event) {
        if let Event::Resending { uncertain, .. } = event
            && uncertain > 0
        {
            self.diagnostics.warning(format_args!(
                "the broker has lost the session: {uncertain} messages of QoS 2 are sent again and may arrive twice"
            ));
            self.diagnostics.hint("-c with -i ID keeps the session");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Properties;

    fn completed(account: &mut DeliveryAccount, outcome: Outcome, reason: ReasonCode) {
        let properties = Properties::new();
        let kept = Message::default();
        account.completed(Completion { kept, packet_identifier: 1, outcome, reason, properties: &properties });
    }

    #[test]
    fn the_worst_decides() {
        let mut account = DeliveryAccount::new(Diagnostics::new(true));
        assert_eq!(account.close(0), ExitStatus::Done);
        completed(&mut account, Outcome::Acknowledged, ReasonCode::NO_MATCHING_SUBSCRIBERS);
        assert_eq!(account.close(0), ExitStatus::Done);
        completed(&mut account, Outcome::Downgraded, ReasonCode::SUCCESS);
        assert_eq!(account.close(0), ExitStatus::Downgraded);
        assert_eq!(account.close(1), ExitStatus::Failed);
        completed(&mut account, Outcome::Refused, ReasonCode::NOT_AUTHORIZED);
        completed(&mut account, Outcome::Refused, ReasonCode::PACKET_TOO_LARGE);
        assert_eq!(account.close(1), ExitStatus::Refused(ReasonCode::NOT_AUTHORIZED));
        assert_eq!((account.done(), account.heard()), (2, 4));
    }

    #[test]
    fn a_lost_message_is_a_failure() {
        let mut account = DeliveryAccount::new(Diagnostics::new(true));
        completed(&mut account, Outcome::Lost, ReasonCode::PACKET_TOO_LARGE);
        assert_eq!(account.close(0), ExitStatus::Failed);
    }
}
