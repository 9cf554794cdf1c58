//! Which message is the response to which request.

use bytes::Bytes;

use crate::message_json::properties_of;
use crate::mqtt::wire::Publish;
use crate::mqtt::{PropertyName, PropertyValue};

/// What makes a message a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The correlation data of the request (5.0 §3.3.2.3.6).
    Correlation,
    /// That it is no older than the request, as far as that is known: it came after it and is not retained.
    Topic {
        /// The flag is passed on as it was published, and so does not mark an old message.
        retain_as_published: bool,
    },
    /// Nothing: mosquitto_rr takes the first message.
    Any,
}

/// What the requests of a run carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorrelationData {
    /// What the user gave, with each of them.
    Given(Bytes),
    /// A unique name, and the number of the request.
    Numbered(String),
}

impl CorrelationData {
    fn of(&self, number: u64) -> Bytes {
        match self {
            Self::Given(data) => data.clone(),
            Self::Numbered(name) => format!("{name}-{number}").into(),
        }
    }

    fn may_be_ours(&self, data: &[u8]) -> bool {
        match self {
            Self::Given(given) => data == given,
            Self::Numbered(name) => data.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"-")),
        }
    }
}

/// What a message on the response topic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A response to the request that is open.
    Response,
    /// Not to be printed.
    Unmatched(Unmatched),
}

/// Why a message is not a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// It has no correlation data.
    NoData,
    /// It has other correlation data.
    OtherData,
    /// It is retained, and so older than the request.
    Retained,
    /// It arrived before the request was sent.
    Early,
    /// It answers a request that already has all its responses.
    Late,
}

/// The number of unmatched messages of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnmatchedCounts {
    /// [`Unmatched::NoData`].
    pub no_data: u64,
    /// [`Unmatched::OtherData`].
    pub other_data: u64,
    /// [`Unmatched::Retained`] and [`Unmatched::Early`].
    pub old: u64,
    /// [`Unmatched::Late`].
    pub late: u64,
}

impl UnmatchedCounts {
    fn count(&mut self, unmatched: Unmatched) {
        *match unmatched {
            Unmatched::NoData => &mut self.no_data,
            Unmatched::OtherData => &mut self.other_data,
            Unmatched::Retained | Unmatched::Early => &mut self.old,
            Unmatched::Late => &mut self.late,
        } += 1;
    }
}

/// Requests one after the other, each with its responses.
#[derive(Clone, Debug)]
pub struct Exchange {
    rule: Rule,
    names: Option<CorrelationData>,
    /// `-R`: retained messages are not responses.
    drops_retained: bool,
    /// Responses to each request.
    wanted: u64,
    /// Requests that were begun.
    asked: u64,
    /// Correlation data of the last of them.
    data: Bytes,
    /// Responses to the last of them.
    come: u64,
    /// Responses to all of them.
    all: u64,
    unmatched: UnmatchedCounts,
}

impl Exchange {
    /// An exchange that wants `wanted` responses to each request. Requests carry correlation data where there are
    /// `names`, by any rule.
    pub fn new(rule: Rule, names: Option<CorrelationData>, drops_retained: bool, wanted: u64) -> Self {
        let unmatched = UnmatchedCounts::default();
        Self { rule, names, drops_retained, wanted, asked: 0, data: Bytes::new(), come: 0, all: 0, unmatched }
    }

    /// The next request goes out: the correlation data that it carries, if any.
    pub fn begin(&mut self) -> Option<Bytes> {
        self.asked += 1;
        // What mosquitto_rr has taken before it has asked stays taken.
        if self.rule != Rule::Any {
            self.come = 0;
        }
        self.data = self.names.as_ref()?.of(self.asked);
        Some(self.data.clone())
    }

    /// Judges the next message.
    pub fn judge(&mut self, publish: &Publish<'_>) -> Verdict {
        let unmatched = self.fault(publish);
        match unmatched {
            None => {
                self.come += 1;
                self.all += 1;
                Verdict::Response
            }
            Some(unmatched) => {
                self.unmatched.count(unmatched);
                Verdict::Unmatched(unmatched)
            }
        }
    }

    fn fault(&self, publish: &Publish<'_>) -> Option<Unmatched> {
        if self.drops_retained && publish.retain {
            return Some(Unmatched::Retained);
        }
        let ours = |data| self.names.as_ref().is_some_and(|names| names.may_be_ours(data));
        let unmatched = match self.rule {
            Rule::Any => None,
            Rule::Correlation => match correlation_data(publish) {
                Some(data) if self.asked > 0 && data == self.data => None,
                Some(data) if ours(data) => Some(Unmatched::Late),
                Some(_) => Some(Unmatched::OtherData),
                None if publish.retain => Some(Unmatched::Retained),
                None => Some(Unmatched::NoData),
            },
            Rule::Topic { retain_as_published } if publish.retain && !retain_as_published => Some(Unmatched::Retained),
            Rule::Topic { .. } => (self.asked == 0).then_some(Unmatched::Early),
        };
        unmatched.or((self.come >= self.wanted).then_some(Unmatched::Late))
    }

    /// Whether no request waits for a response.
    pub fn is_idle(&self) -> bool {
        self.asked == 0 || self.come >= self.wanted
    }

    /// Requests that were begun.
    pub const fn asked(&self) -> u64 {
        self.asked
    }

    /// Responses to the last request.
    pub const fn come(&self) -> u64 {
        self.come
    }

    /// Responses to each request that are enough.
    pub const fn wanted(&self) -> u64 {
        self.wanted
    }

    /// Responses to all requests.
    pub const fn all(&self) -> u64 {
        self.all
    }

    /// Messages that were no responses.
    pub const fn unmatched(&self) -> UnmatchedCounts {
        self.unmatched
    }
}

fn correlation_data<'a>(publish: &Publish<'a>) -> Option<&'a [u8]> {
    properties_of(publish.properties).find_map(|property| match (property.name(), *property.value()) {
        (PropertyName::CorrelationData, PropertyValue::Binary(data)) => Some(data),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mqtt::{Message, Property};

    use Unmatched::{Early, Late, NoData, OtherData, Retained};
    use Verdict::Response;

    fn message(data: Option<&[u8]>, retain: bool) -> Message {
        let mut message = Message { topic: "r".into(), retain, ..Message::default() };
        if let Some(data) = data {
            let data = PropertyValue::Binary(Bytes::copy_from_slice(data));
            message.properties.push(Property::new(PropertyName::CorrelationData, data).unwrap());
        }
        message
    }

    fn judge(exchange: &mut Exchange, data: Option<&[u8]>, retain: bool) -> Verdict {
        exchange.judge(&Publish::of(&message(data, retain), 0, false))
    }

    fn numbered(wanted: u64) -> Exchange {
        Exchange::new(Rule::Correlation, Some(CorrelationData::Numbered("run".into())), false, wanted)
    }

    #[test]
    fn only_the_same_data_is_a_response() {
        let mut exchange = numbered(2);
        // What a kept session brings, or who guesses.
        assert_eq!(judge(&mut exchange, Some(b"run-1"), false), Verdict::Unmatched(Late));
        assert_eq!(exchange.begin().as_deref(), Some(&b"run-1"[..]));
        for (data, retain, verdict) in [
            (None, false, Verdict::Unmatched(NoData)),
            (None, true, Verdict::Unmatched(Retained)),
            (Some(&b""[..]), false, Verdict::Unmatched(OtherData)),
            (Some(b"run-"), false, Verdict::Unmatched(Late)),
            (Some(b"run"), false, Verdict::Unmatched(OtherData)),
            (Some(b"run-11"), false, Verdict::Unmatched(Late)),
            (Some(b"run-1"), false, Response),
            // Correlation data is surer than a flag.
            (Some(b"run-1"), true, Response),
            (Some(b"run-1"), false, Verdict::Unmatched(Late)),
        ] {
            assert_eq!(judge(&mut exchange, data, retain), verdict, "{data:?}");
        }
        assert_eq!(exchange.unmatched(), UnmatchedCounts { no_data: 1, other_data: 2, old: 1, late: 4 });
        assert_eq!((exchange.come(), exchange.all(), exchange.is_idle()), (2, 2, true));
    }

    #[test]
    fn each_request_has_its_own_responses() {
        let mut exchange = numbered(1);
        assert!(exchange.is_idle());
        exchange.begin();
        assert!(!exchange.is_idle());
        assert_eq!(judge(&mut exchange, Some(b"run-1"), false), Response);
        assert_eq!(exchange.begin().as_deref(), Some(&b"run-2"[..]));
        assert_eq!(judge(&mut exchange, Some(b"run-1"), false), Verdict::Unmatched(Late));
        assert_eq!(judge(&mut exchange, Some(b"run-2"), false), Response);
        assert_eq!((exchange.asked(), exchange.all()), (2, 2));
    }

    #[test]
    fn without_data_the_time_decides() {
        let mut exchange = Exchange::new(Rule::Topic { retain_as_published: false }, None, false, 1);
        assert_eq!(judge(&mut exchange, None, true), Verdict::Unmatched(Retained));
        assert_eq!(judge(&mut exchange, None, false), Verdict::Unmatched(Early));
        assert_eq!(exchange.begin(), None);
        assert_eq!(judge(&mut exchange, None, true), Verdict::Unmatched(Retained));
        assert_eq!(judge(&mut exchange, Some(b"x"), false), Response);
        assert_eq!(judge(&mut exchange, None, false), Verdict::Unmatched(Late));
        let mut exchange = Exchange::new(Rule::Topic { retain_as_published: true }, None, false, 1);
        exchange.begin();
        assert_eq!(judge(&mut exchange, None, true), Response);
    }

    #[test]
    fn mosquitto_takes_the_first_message_and_r_leaves_retained_ones_out() {
        let mut exchange = Exchange::new(Rule::Any, None, false, 1);
        assert_eq!(judge(&mut exchange, None, true), Response);
        let mut exchange = Exchange::new(Rule::Any, None, true, 1);
        assert_eq!(judge(&mut exchange, None, true), Verdict::Unmatched(Retained));
        assert_eq!(judge(&mut exchange, None, false), Response);
        let given = CorrelationData::Given(Bytes::from_static(b"\0\xff"));
        let mut exchange = Exchange::new(Rule::Correlation, Some(given), true, 1);
        assert_eq!(exchange.begin().as_deref(), Some(&b"\0\xff"[..]));
        assert_eq!(judge(&mut exchange, Some(b"\0\xff"), true), Verdict::Unmatched(Retained));
        assert_eq!(judge(&mut exchange, Some(b"\0\xff"), false), Response);
    }

    proptest! {
        /// Nothing is counted twice or not at all, and no request has more responses than it wants.
        #[test]
        fn every_message_is_counted_once(
            steps in proptest::collection::vec(
                prop_oneof![Just(None), (proptest::option::of(0u64..4), any::<bool>()).prop_map(Some)], 0..60),
            wanted in 1u64..4,
        ) {
            let mut exchange = numbered(wanted);
            let mut judged = 0;
            for step in steps {
                match step {
                    None => {
                        exchange.begin();
                    }
                    Some((number, retain)) => {
                        let open = exchange.asked();
                        let before = exchange.come();
                        let data = number.map(|number| format!("run-{number}"));
                        let verdict = judge(&mut exchange, data.as_ref().map(String::as_bytes), retain);
                        judged += 1;
                        let expected = open > 0 && number == Some(open) && before < wanted;
                        prop_assert_eq!(verdict == Response, expected);
                    }
                }
                prop_assert!(exchange.come() <= wanted);
            }
            let UnmatchedCounts { no_data, other_data, old, late } = exchange.unmatched();
            prop_assert_eq!(exchange.all() + no_data + other_data + old + late, judged);
        }
    }
}
