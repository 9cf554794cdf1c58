//! What the broker says while mqrr runs: its answers to SUBSCRIBE and request, messages that are no response, and a
//! connection that it closes.

use std::io::{self, Write};
use std::time::Instant;

use super::latency;
use super::matching::Stranger;
use super::receiver::Fate;
use super::run::{End, Failure, Requester};
use super::telling;
use crate::client::ClientError;
use crate::mqtt::QoS;
use crate::publish::PayloadSource;
use crate::subscribe::format::Style;
use crate::subscribe::shortfall;

/// Why a broker may hang up on a SUBSCRIBE or a request.
const SENT_AWAY_HINT: &str = "the broker closed the connection instead of answering: this user may not be allowed to \
                              subscribe to the response topic (-e) or to publish to the request topic (-t), or the \
                              broker is just starting (--retry tries again)";

impl Requester<'_> {
    pub(super) fn look_at_subacks(&mut self) -> Result<(), End> {
        for suback in std::mem::take(&mut self.receiver.subacks) {
            let target = self.outlet.client.target().to_owned();
            let [reason] = suback.reasons[..] else {
                return Err(self.outlet.miscounted().into());
            };
            if reason.is_error() {
                return Err(ClientError::SubscribeRefused { target, filter: self.topic.clone(), reason }.into());
            }
            if let (false, Some(warning)) = (self.told.grants, shortfall(&self.filter(), reason)) {
                self.diagnostics.warning(warning);
            }
            (self.told.grants, self.subscribed) = (true, true);
            // One that went out on an earlier connection goes out again now.
            let waits = self.waits_for_acknowledgement() || self.held;
            self.clocks.answer = waits.then(|| self.answer_timer(Instant::now()));
        }
        Ok(())
    }

    pub(super) fn waits_for_acknowledgement(&self) -> bool {
        self.receiver.packet_identifier != 0 && self.receiver.fate == Fate::Unknown && !self.receiver.exchange.is_idle()
    }

    pub(super) fn look_at_fate(&mut self) -> Result<(), End> {
        if self.receiver.exchange.is_idle() {
            return Ok(());
        }
        match &self.receiver.fate {
            Fate::Unknown => return Ok(()),
            Fate::Taken => {}
            Fate::Nobody => {
                if !std::mem::replace(&mut self.told.nobody, true) {
                    self.diagnostics.warning(telling::nobody(&self.plan.request.topic));
                }
            }
            // mosquitto_rr does not notice.
            Fate::Refused(..) | Fate::Lost(_) if self.plan.compat => {}
            Fate::Refused(reason, words) => return Err(End::Own(Failure::Refused(*reason, words.clone()))),
            Fate::Lost(reason) => return Err(End::Own(Failure::Refused(*reason, None))),
        }
        if self.subscribed {
            self.clocks.answer = None;
        }
        Ok(())
    }

    /// What came, for stderr and the log.
    pub(super) fn look_at_messages(&mut self) {
        for stranger in std::mem::take(&mut self.receiver.strangers) {
            if self.plan.compat {
                continue;
            }
            let what = match stranger {
                Stranger::NoData => "has no correlation data",
                Stranger::OtherData => "has other correlation data",
                Stranger::Retained => "is retained",
                Stranger::Early => "came before the request was sent",
                Stranger::Late => "answers a request that has all its responses",
            };
            self.outlet.client.note(&format!("a message on {} is left out: it {what}", self.topic));
            if stranger == Stranger::NoData && !std::mem::replace(&mut self.told.no_data, true) {
                self.diagnostics.warning(telling::first_without_data(&self.topic));
                self.diagnostics.hint(telling::WITHOUT_DATA_HINT);
            }
        }
        let in_json = matches!(self.plan.printer.style, Style::Json { .. });
        for took in std::mem::take(&mut self.receiver.latencies) {
            self.round_trips.enter(took);
            if self.plan.compat {
                self.receiver.batch.bytes.extend_from_slice(latency::mosquittos(took).as_bytes());
                self.receiver.batch.bytes.push(b'\n');
            } else if !in_json {
                let _ = writeln!(io::stderr(), "{}", latency::one(took));
            }
        }
        let waits_for_input = self.receiver.exchange.asked() > 0 || matches!(self.plan.source, PayloadSource::Lines(_));
        if self.receiver.exchange.is_idle() && self.subscribed && waits_for_input {
            self.rest_or_hold();
        }
    }

    /// Reports that the connection was lost. A broker that closes it instead of answering would do so every time: at the
    /// first SUBSCRIBE that is known at once, at the request when it happens again. Who says `--retry` knows better.
    pub(super) fn on_loss(&mut self, error: ClientError) -> Result<(), End> {
        let again = self.is_sent_again();
        self.told.losses = if again || !self.subscribed { self.told.losses + 1 } else { 0 };
        let retry = self.plan.connect.retry;
        let attempts = if self.told.grants { retry.at_the_same_packet() } else { retry.for_first_connection() };
        if self.told.losses > attempts {
            return Err(error.hinting(SENT_AWAY_HINT).into());
        }
        self.outlet.client.report_loss(&error);
        if self.plan.request.qos == QoS::AtMostOnce && !self.receiver.exchange.is_idle() && !again {
            self.diagnostics
                .warning("the request is not sent again at QoS 0; its response may be lost with the connection");
            self.diagnostics.hint("with -q 1 a request that was not acknowledged is sent again");
        }
        Ok(())
    }

    /// Whether the open request goes out once more over the next connection: at QoS 1 and 2 where it is not
    /// acknowledged, at QoS 0 where not all of it went out.
    pub(super) fn is_sent_again(&mut self) -> bool {
        if self.receiver.exchange.is_idle() {
            return false;
        }
        let request = self.at_most_once.take();
        if self.outlet.client.written_total() < self.request_end {
            self.again = request.or(self.again.take());
        }
        self.again.is_some() || self.waits_for_acknowledgement()
    }
}
