//! What mqrr reports about requests without responses. Pure: text for stderr.

use std::time::Duration;

use super::matching::{Exchange, Unmatched, UnmatchedCounts};
use super::receiver::Fate;

/// How far a run has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is no connection.
    Connecting,
    /// CONNECT is out and not answered.
    Unanswered,
    /// The subscription is not granted yet.
    Subscribing,
    /// The request is out.
    Asked,
    /// The next request waits for the acknowledgement of an earlier one.
    Held,
}

/// All that is known when the responses do not come.
pub(super) struct Situation<'a> {
    pub(super) stage: Stage,
    pub(super) exchange: &'a Exchange,
    pub(super) fate: &'a Fate,
    pub(super) request_topic: &'a str,
    pub(super) response_topic: &'a str,
    /// The request is acknowledged: QoS 1 or 2.
    pub(super) acknowledged: bool,
    /// MQTT 5, where an acknowledgement shows whether anybody is subscribed.
    pub(super) v5: bool,
}

impl Situation<'_> {
    /// What was received: `no response arrived`, `1 of 3 responses to request 2 came`.
    pub(super) fn received(&self) -> String {
        let exchange = self.exchange;
        let request = if exchange.asked() > 1 { format!(" to request {}", exchange.asked()) } else { String::new() };
        match (exchange.come(), exchange.wanted()) {
            _ if self.stage == Stage::Held => format!("request {} was not sent", exchange.asked() + 1),
            (0, _) if exchange.asked() == 0 => "no request was sent".to_owned(),
            (0, _) => format!("no response{request} arrived"),
            (come, wanted) => format!("{come} of {wanted} responses{request} arrived"),
        }
    }

    /// The error when `-W` has run out.
    pub(super) fn timed_out(&self, waited: Duration) -> String {
        let stage = match (self.stage, self.fate) {
            (Stage::Connecting, _) => ", there is no connection to the broker",
            (Stage::Unanswered, _) => ", the broker has not answered CONNECT",
            (Stage::Subscribing, _) => ", the broker has not granted the subscription yet",
            (Stage::Held, _) => ", the broker has not acknowledged an earlier one that fills the window (-M)",
            (Stage::Asked, Fate::Unknown) if self.acknowledged => ", the broker has not acknowledged the request",
            (Stage::Asked, Fate::Nobody) => ", no client is subscribed to the topic of the request",
            (Stage::Asked, _) => "",
        };
        format!("timed out after {} s: {}{stage}", waited.as_secs_f64(), self.received())
    }

    /// What may be the cause, and what to do about it.
    pub(super) fn hints(&self) -> Vec<String> {
        let Self { request_topic, response_topic, .. } = self;
        let UnmatchedCounts { no_data, other_data, old, late } = self.exchange.unmatched();
        let mut hints = Vec::new();
        if no_data > 0 {
            hints.push(format!("{} {NO_DATA}", messages(no_data, response_topic)));
        }
        for (count, what) in [
            (other_data, "with other correlation data: they answer other requests"),
            (old, "that are older than the request"),
            (late, "to requests that already have all their responses"),
        ] {
            if count > 0 {
                hints.push(format!("{} {what}", messages(count, response_topic)));
            }
        }
        let may_be_unheard = self.stage == Stage::Asked && self.exchange.all() == 0 && !self.acknowledged && self.v5;
        if hints.is_empty() && may_be_unheard {
            hints.push(format!("with -q 1 the broker reports whether any client is subscribed to '{request_topic}'"));
        }
        hints
    }
}

const NO_DATA: &str =
    "without correlation data: if the responder does not return it, use --no-correlation-check to accept them";

fn messages(count: u64, topic: &str) -> String {
    match count {
        1 => format!("1 message arrived on '{topic}'"),
        _ => format!("{count} messages arrived on '{topic}'"),
    }
}

/// The first message without correlation data.
pub(super) fn first_without_data(response_topic: &str) -> String {
    format!("a message arrived on '{response_topic}' without the correlation data of the request; it is ignored")
}

/// What to do about it.
pub(super) const WITHOUT_DATA_HINT: &str =
    "if the responder does not return it, use --no-correlation-check to accept every message";

/// A message that is not a response, for the log.
pub(super) fn unmatched(response_topic: &str, unmatched: Unmatched) -> String {
    let what = match unmatched {
        Unmatched::NoData => "has no correlation data",
        Unmatched::OtherData => "has other correlation data",
        Unmatched::Retained => "is retained",
        Unmatched::Early => "arrived before the request was sent",
        Unmatched::Late => "answers a request that already has all its responses",
    };
    format!("ignored a message on {response_topic}: it {what}")
}

/// The broker accepted the request, but no client is subscribed to its topic.
pub(super) fn nobody(request_topic: &str) -> String {
    format!("no client is subscribed to '{request_topic}' to receive the request: is the responder running?")
}

#[cfg(test)]
mod tests {
    use super::super::matching::{CorrelationData, Rule};
    use super::*;
    use crate::mqtt::Message;
    use crate::mqtt::wire::Publish;

    fn exchange(asked: u64, wanted: u64, unmatched: u64) -> Exchange {
        let names = CorrelationData::Numbered("n".into());
        let mut exchange = Exchange::new(Rule::Correlation, Some(names), false, wanted);
        (0..asked).for_each(|_| drop(exchange.begin()));
        (0..unmatched).for_each(|_| {
            exchange.judge(&Publish::of(&Message::default(), 0, false));
        });
        exchange
    }

    fn situation<'a>(stage: Stage, exchange: &'a Exchange, fate: &'a Fate) -> Situation<'a> {
        Situation { stage, exchange, fate, request_topic: "q", response_topic: "r", acknowledged: true, v5: true }
    }

    #[test]
    fn the_error_names_what_came_and_how_far_it_got() {
        for (stage, asked, fate, text) in [
            (
                Stage::Connecting,
                0,
                Fate::Unknown,
                "timed out after 1.5 s: no request was sent, there is no connection to the broker",
            ),
            (
                Stage::Unanswered,
                0,
                Fate::Unknown,
                "timed out after 1.5 s: no request was sent, the broker has not answered CONNECT",
            ),
            (
                Stage::Subscribing,
                0,
                Fate::Unknown,
                "timed out after 1.5 s: no request was sent, the broker has not granted the subscription yet",
            ),
            (
                Stage::Asked,
                1,
                Fate::Unknown,
                "timed out after 1.5 s: no response arrived, the broker has not acknowledged the request",
            ),
            (
                Stage::Asked,
                1,
                Fate::Nobody,
                "timed out after 1.5 s: no response arrived, no client is subscribed to the topic of the request",
            ),
            (Stage::Asked, 4, Fate::Taken, "timed out after 1.5 s: no response to request 4 arrived"),
        ] {
            let exchange = exchange(asked, 2, 0);
            assert_eq!(situation(stage, &exchange, &fate).timed_out(Duration::from_millis(1_500)), text);
        }
    }

    #[test]
    fn hints_name_what_came_instead() {
        let exchange = exchange(1, 1, 2);
        let hints = situation(Stage::Asked, &exchange, &Fate::Nobody).hints();
        assert_eq!(hints.len(), 1);
        assert!(hints[0].starts_with("2 messages arrived on 'r' without correlation data"), "{hints:?}");
        assert!(hints[0].contains("--no-correlation-check"), "{hints:?}");
        let quiet = self::exchange(1, 1, 0);
        let at_most_once = Situation { acknowledged: false, ..situation(Stage::Asked, &quiet, &Fate::Unknown) };
        assert_eq!(at_most_once.hints(), ["with -q 1 the broker reports whether any client is subscribed to 'q'"]);
        assert!(situation(Stage::Asked, &quiet, &Fate::Taken).hints().is_empty());
    }
}
