//! The subscription group of mqsub: which messages are asked for, which of them count, and when to stop.

use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::values::{positive_count, positive_duration, qos};
use crate::mqtt::{ProtocolVersion, QoS, check_sent_topic_filter};

/// Which messages, and when to stop.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Subscription")]
pub struct SubscriptionOptions {
    /// Topic filter to subscribe to, '#' in quotes; may be repeated.
    #[arg(short, long, value_name = "FILTER", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub topic: Vec<String>,

    /// Subscribe to FILTER at this QoS, as in 'a/#=1'; may be repeated.
    ///
    /// These subscriptions are in addition to those of -t. The last = separates filter and QoS, so a filter may contain
    /// one.
    #[arg(long, value_name = "FILTER=QOS", allow_hyphen_values = true, value_hint = ValueHint::Other,
          value_parser = TopicQos::parse)]
    pub topic_qos: Vec<TopicQos>,

    /// Unsubscribe from FILTER, to end a subscription of a kept session; may be repeated.
    #[arg(short = 'U', long, value_name = "FILTER", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub unsubscribe: Vec<String>,

    /// Ignore messages whose topic matches FILTER; they do not count for -C. May be repeated.
    #[arg(short = 'T', long, value_name = "FILTER", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub filter_out: Vec<String>,

    /// QoS of the subscriptions of -t.
    #[arg(short, long, value_name = "QOS", default_value = "0", value_parser = qos)]
    pub qos: QoS,

    /// Exit after COUNT messages.
    #[arg(short = 'C', value_name = "COUNT", value_parser = positive_count)]
    pub count: Option<u64>,

    /// Exit with status 27 after TIME, as in 5, 0.5 or 500ms.
    #[arg(short = 'W', value_name = "TIME", value_parser = positive_duration)]
    pub timeout: Option<Duration>,

    /// Exit as soon as the broker has acknowledged the subscriptions.
    #[arg(short = 'E')]
    pub exit_after_subscribing: bool,

    /// Do not print retained messages.
    #[arg(short = 'R')]
    pub no_retained: bool,

    /// Print retained messages, and exit at the first other message, or when no message comes for a second.
    #[arg(long)]
    pub retained_only: bool,

    /// Ignore messages that are not retained; with --once, exit when all retained messages have come.
    ///
    /// Unlike with --retained-only, a message that is not retained is ignored and ends nothing.
    #[arg(long)]
    pub retained: bool,

    /// With --retained: exit when all retained messages have come.
    ///
    /// After subscribing, mqsub publishes a message to mqsub/ID/end-of-retained. It exits when that message has come
    /// back and no retained message has come for 250 ms, or for four times the round trip if that is longer. If the
    /// broker does not allow that, mqsub exits when no retained message has come for a second. -d prints which it was.
    /// With -V 5 --json, a dump has the properties of the messages too, such as their remaining expiry interval.
    #[arg(long)]
    pub once: bool,

    /// With --once: publish nothing, and end when no retained message has come for a second.
    #[arg(long)]
    pub no_marker: bool,

    /// Remove each retained message received from the broker.
    ///
    /// Each is printed as any other message, with -v with its topic, and at the end how many were removed.
    #[arg(long)]
    pub remove_retained: bool,

    /// With --remove-retained: remove nothing, and print what would be removed.
    ///
    /// It prints what the removal would print: payloads, with -v the topics too, and at the end their number.
    #[arg(long)]
    pub dry_run: bool,

    /// Ask the broker to pass on the retain flag as published; needs -V 5.
    #[arg(long)]
    pub retain_as_published: bool,

    /// When the broker sends retained messages; needs -V 5.
    #[arg(long, value_name = "WHEN", value_enum)]
    pub retain_handling: Option<RetainHandlingName>,

    /// Do not receive messages that this connection publishes; needs -V 5.
    #[arg(long)]
    pub no_local: bool,

    /// Print only PERCENT % of the messages, chosen at random.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub random_filter: Option<f64>,
}

/// A topic filter with its own QoS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicQos {
    /// Topic filter, not checked yet.
    pub filter: String,
    /// Most that the broker may send with.
    pub qos: QoS,
}

impl TopicQos {
    fn parse(text: &str) -> Result<Self, String> {
        let (filter, number) = text.rsplit_once('=').ok_or("must be FILTER=QOS, as in 'a/#=1'")?;
        Ok(Self { filter: filter.to_owned(), qos: qos(number)? })
    }
}

/// When the broker sends retained messages (§3.8.3.1, Retain Handling).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RetainHandlingName {
    /// At each subscription.
    Always,
    /// Only if the subscription does not exist yet.
    New,
    /// Never.
    Never,
}

/// Strict, as the rest: `f64` alone would take `inf` and `1e1`.
fn percent(text: &str) -> Result<f64, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.parse() {
        Ok(percent) if plain && (0.1..=100.0).contains(&percent) => Ok(percent),
        _ => Err("must be a number from 0.1 to 100".into()),
    }
}

impl SubscriptionOptions {
    /// What is wrong within the group; `topic_of_url` is what `-L` brings.
    pub(super) fn faults(
        &self,
        topic_of_url: Option<&str>,
        version: ProtocolVersion,
        needs_topic: bool,
    ) -> Vec<String> {
        let mut faults = Vec::new();
        let asked = || {
            let with_qos = self.topic_qos.iter().map(|topic| topic.filter.as_str());
            self.topic.iter().map(String::as_str).chain(with_qos).chain(topic_of_url)
        };
        if needs_topic && asked().next().is_none() && self.unsubscribe.is_empty() {
            faults.push("no topic given: add -t FILTER to subscribe, or -U FILTER to unsubscribe".into());
        }
        let subscribed = asked().map(|filter| (filter, "subscription"));
        let unsubscribed = self.unsubscribe.iter().map(|filter| (filter.as_str(), "unsubscribe"));
        let left_out = self.filter_out.iter().map(|filter| (filter.as_str(), "filter-out"));
        for (filter, kind) in subscribed.chain(unsubscribed).chain(left_out) {
            if let Err(error) = check_sent_topic_filter(filter) {
                faults.push(format!("invalid {kind} topic '{filter}': {error}"));
            }
        }
        for (one, option, other, with) in [
            (self.no_retained, "-R", self.retained_only, "--retained-only"),
            (self.no_retained, "-R", self.retained, "--retained"),
            (self.retained, "--retained", self.retained_only, "--retained-only"),
            // What is published now would have the flag of a retained message too.
            (self.retained, "--retained", self.retain_as_published, "--retain-as-published"),
            (self.once, "--once", self.retain_handling == Some(RetainHandlingName::Never), "--retain-handling never"),
        ] {
            if one && other {
                faults.push(format!("{option} and {with} cannot be used together"));
            }
        }
        for (given, option, needed, with) in [
            (self.once, "--once", self.retained, "--retained"),
            (self.no_marker, "--no-marker", self.once, "--once"),
            (self.dry_run, "--dry-run", self.remove_retained, "--remove-retained"),
        ] {
            if given && !needed {
                faults.push(format!("{option} needs {with}"));
            }
        }
        if self.retained && asked().any(|filter| filter.starts_with("$share/")) {
            faults.push("--retained: a shared subscription receives no retained messages".into());
        }
        for (given, option) in [
            (self.retain_as_published, "--retain-as-published"),
            (self.retain_handling.is_some(), "--retain-handling"),
            (self.no_local, "--no-local"),
        ] {
            if given && !version.is_v5() {
                faults.push(format!("{option} needs MQTT 5: add -V 5"));
            }
        }
        // MQTT-3.8.3-4.
        if self.no_local && asked().any(|filter| filter.starts_with("$share/")) {
            faults.push("--no-local is not allowed for a shared subscription".into());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_equals_sign_divides() {
        let read = |text: &str| TopicQos::parse(text).map(|topic| (topic.filter, topic.qos.number())).ok();
        assert_eq!(read("a/#=1"), Some(("a/#".into(), 1)));
        assert_eq!(read("a=b=2"), Some(("a=b".into(), 2)));
        assert_eq!(read("a/#"), None);
        assert_eq!(read("a=3"), None);
        assert_eq!(read("a="), None);
    }

    #[test]
    fn percents_are_plain_numbers() {
        for (text, good) in
            [("0.1", true), ("100.0", true), ("50", true), ("0", false), ("101", false), ("nan", false), ("1e1", false)]
        {
            assert_eq!(percent(text).is_ok(), good, "{text}");
        }
    }
}
