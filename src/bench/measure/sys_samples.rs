//! The numbers that a broker publishes under `$SYS` during a run, in bounded memory, and the figures that they have in
//! common across brokers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::figures::rounded;

/// Topics that are kept; mosquitto has about 60.
const MOST_TOPICS: usize = 400;

/// The longest topic that is kept, bytes.
const LONGEST_TOPIC: usize = 256;

/// The longest payload that is a number.
const LONGEST_NUMBER: usize = 64;

/// Samples of a topic; where there would be more, every second one is dropped.
const MOST_SAMPLES: usize = 600;

/// What arrived under `$SYS`.
#[derive(Clone, Debug, Default)]
pub(crate) struct SysSamples {
    topics: BTreeMap<String, Topic>,
    /// Topics were left out.
    has_left_out: bool,
    /// Whether anything arrived after what the broker had retained.
    is_live: bool,
}

#[derive(Clone, Debug, Default)]
struct Topic {
    samples: Vec<Sample>,
    /// Samples that are closer to each other replace the one before.
    least_gap: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    value: f64,
    /// It was retained: older than its arrival, up to the broker's interval.
    is_retained: bool,
}

/// Figures that brokers have in common, from the `$SYS` topics in which each of them publishes them. Null where the
/// broker does not publish the figure, or where fewer values came than it takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SysFigures {
    /// PUBLISH packets that the broker received, per second, from the first to the last value that came during the run.
    pub received_per_s: Option<f64>,
    /// PUBLISH packets that it sent, per second.
    pub sent_per_s: Option<f64>,
    /// Messages that it dropped during the run.
    pub dropped: Option<f64>,
    /// The most connected clients, the connection for `$SYS` included.
    pub clients: Option<f64>,
    /// The most memory that it had allocated, bytes.
    pub heap_bytes: Option<f64>,
}

/// The values of each topic over time, as the document has them: nanoseconds since t0, and the value.
pub(crate) type SysSeries = BTreeMap<String, Vec<(u64, f64)>>;

/// The ends of topics with a figure, in the order in which they are looked for: the first that exists is the figure.
/// mosquitto, mqbroker and HiveMQ publish `$SYS/broker/…`, EMQX `$SYS/brokers/NODE/…`.
const RECEIVED: &[&str] = &["publish/messages/received", "messages/publish/received", "metrics/messages/received"];
const SENT: &[&str] = &["publish/messages/sent", "messages/publish/sent", "metrics/messages/sent"];
const DROPPED: &[&str] = &["publish/messages/dropped", "messages/publish/dropped", "metrics/messages/dropped"];
const CLIENTS: &[&str] = &["clients/connected", "stats/live_connections/count", "stats/connections/count"];
const HEAP: &[&str] = &["heap/current"];

impl SysSamples {
    /// A message arrived. Text that is no number is ignored.
    pub(crate) fn add(&mut self, topic: &str, payload: &[u8], is_retained: bool, at: Instant) {
        self.is_live |= !is_retained;
        let Some(value) = number(payload) else { return };
        if !self.topics.contains_key(topic) && (self.topics.len() >= MOST_TOPICS || topic.len() > LONGEST_TOPIC) {
            self.has_left_out = true;
            return;
        }
        let known = match self.topics.get_mut(topic) {
            Some(known) => known,
            None => self.topics.entry(topic.to_owned()).or_default(),
        };
        known.add(Sample { at, value, is_retained });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// What was left out so that the memory is bounded, in words.
    pub(crate) fn left_out(&self) -> Option<String> {
        let coarse = self.topics.values().filter(|topic| !topic.least_gap.is_zero()).count();
        let mut parts = Vec::new();
        if self.has_left_out {
            parts.push(format!("$SYS has more than {MOST_TOPICS} topics with numbers, or topics that are too long"));
        }
        if coarse > 0 {
            parts.push(format!("{coarse} $SYS topics had more than {MOST_SAMPLES} values, of which some were dropped"));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// The values over time; what came before t0 has the time 0.
    pub(crate) fn series(&self, t0: Instant) -> SysSeries {
        let sample = |sample: &Sample| (sample.at.saturating_duration_since(t0).as_nanos() as u64, sample.value);
        let topic = |(name, topic): (&String, &Topic)| (name.clone(), topic.samples.iter().map(sample).collect());
        self.topics.iter().map(topic).collect()
    }

    pub(crate) fn figures(&self) -> SysFigures {
        let dropped = self.figure(DROPPED, |topic| self.is_live.then(|| topic.increase()));
        SysFigures {
            received_per_s: self.figure(RECEIVED, Topic::per_second).map(rounded),
            sent_per_s: self.figure(SENT, Topic::per_second).map(rounded),
            dropped,
            clients: self.figure(CLIENTS, Topic::highest),
            heap_bytes: self.figure(HEAP, Topic::highest),
        }
    }

    /// The figure of the first of these topics that exists; of a cluster the sum of its nodes.
    fn figure(&self, ends: &[&str], of: impl Fn(&Topic) -> Option<f64>) -> Option<f64> {
        let found = |end: &&str| {
            let is_it = |name: &str| name.strip_suffix(end).is_some_and(|head| head.ends_with('/'));
            let topics: Vec<&Topic> =
                self.topics.iter().filter(|(name, _)| is_it(name)).map(|(_, topic)| topic).collect();
            (!topics.is_empty()).then_some(topics)
        };
        let topics = ends.iter().find_map(found)?;
        topics.into_iter().map(of).try_fold(0.0, |sum, value| Some(sum + value?))
    }
}

impl Topic {
    fn add(&mut self, sample: Sample) {
        if let [.., before, last] = &mut self.samples[..]
            && sample.at.saturating_duration_since(before.at) < self.least_gap
        {
            // The last value is always the latest one.
            *last = sample;
            return;
        }
        self.samples.push(sample);
        if let [first, .., last] = self.samples[..]
            && self.samples.len() > MOST_SAMPLES
        {
            let mut index = 0;
            self.samples.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.least_gap =
                (last.at.saturating_duration_since(first.at) * 2 / MOST_SAMPLES as u32).max(Duration::from_nanos(1));
        }
    }

    /// How much a counter rose; one that begins again at zero has risen by what it then is.
    fn increase(&self) -> f64 {
        increase(&self.samples)
    }

    /// The rise of a counter per second. What was retained has no time, so it takes two values after that.
    fn per_second(&self) -> Option<f64> {
        let live = self.samples.iter().position(|sample| !sample.is_retained)?;
        let [first, .., last] = &self.samples[live..] else { return None };
        let seconds = last.at.saturating_duration_since(first.at).as_secs_f64();
        (seconds > 0.0).then(|| increase(&self.samples[live..]) / seconds)
    }

    fn highest(&self) -> Option<f64> {
        self.samples.iter().map(|sample| sample.value).reduce(f64::max)
    }
}

fn increase(samples: &[Sample]) -> f64 {
    let rise = |pair: &[Sample]| match pair {
        [before, after] if after.value >= before.value => after.value - before.value,
        [_, after] => after.value,
        _ => 0.0,
    };
    samples.windows(2).map(rise).sum()
}

/// A payload as a number: `12`, `12.5`, and `12 seconds` as in `$SYS/broker/uptime`.
fn number(payload: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(payload.get(..LONGEST_NUMBER).unwrap_or(payload)).ok()?.trim();
    if payload.len() > LONGEST_NUMBER {
        return None;
    }
    let digits = text.strip_suffix(" seconds").unwrap_or(text);
    let plain = digits.starts_with(|letter: char| letter.is_ascii_digit() || letter == '-');
    digits.parse().ok().filter(|value: &f64| plain && value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(t0: Instant, seconds: u64) -> Instant {
        t0 + Duration::from_secs(seconds)
    }

    #[test]
    fn rates_are_those_of_live_values_and_losses_those_of_all() {
        let t0 = Instant::now();
        let mut samples = SysSamples::default();
        let mut add = |topic: &str, value: u64, is_retained: bool, seconds: u64| {
            let topic = format!("$SYS/broker/{topic}");
            samples.add(&topic, value.to_string().as_bytes(), is_retained, second(t0, seconds));
        };
        add("publish/messages/received", 5, true, 0);
        add("publish/messages/dropped", 7, true, 0);
        add("clients/connected", 3, true, 0);
        add("publish/messages/received", 1_000, false, 10);
        add("publish/messages/received", 3_000, false, 20);
        // The broker was started again.
        add("publish/messages/received", 500, false, 30);
        add("clients/connected", 22, false, 10);
        add("clients/connected", 1, false, 30);
        let figures = samples.figures();
        assert_eq!((figures.received_per_s, figures.sent_per_s), (Some(125.0), None));
        // Brokers publish a counter again only where it changed.
        assert_eq!((figures.dropped, figures.clients, figures.heap_bytes), (Some(0.0), Some(22.0), None));
        let series = samples.series(second(t0, 5));
        assert_eq!(series["$SYS/broker/clients/connected"], [(0, 3.0), (5_000_000_000, 22.0), (25_000_000_000, 1.0)]);
    }

    #[test]
    fn what_only_was_retained_is_no_loss_of_this_run() {
        let mut samples = SysSamples::default();
        samples.add("$SYS/broker/publish/messages/dropped", b"7", true, Instant::now());
        samples.add("$SYS/broker/publish/messages/received", b"7", true, Instant::now());
        assert_eq!(samples.figures(), SysFigures::default());
    }

    #[test]
    fn the_nodes_of_a_cluster_are_one_broker() {
        let t0 = Instant::now();
        let mut samples = SysSamples::default();
        for (node, rate) in [("emqx@a", 100), ("emqx@b", 20)] {
            for seconds in 0..3 {
                let value = (rate * seconds).to_string();
                let topic = format!("$SYS/brokers/{node}/metrics/messages/sent");
                samples.add(&topic, value.as_bytes(), false, second(t0, seconds));
            }
        }
        assert_eq!(samples.figures().sent_per_s, Some(120.0));
    }

    #[test]
    fn memory_is_bounded_and_the_last_value_is_kept() {
        let t0 = Instant::now();
        let mut samples = SysSamples::default();
        for count in 0..100_000u64 {
            samples.add("$SYS/n", count.to_string().as_bytes(), false, second(t0, count));
            samples.add(&format!("$SYS/{count}"), b"1", false, t0);
        }
        samples.add(&"$SYS/x".repeat(100), b"1", false, t0);
        assert_eq!(samples.topics.len(), MOST_TOPICS);
        let kept = &samples.topics["$SYS/n"].samples;
        assert!((MOST_SAMPLES / 4..=MOST_SAMPLES).contains(&kept.len()), "{}", kept.len());
        assert_eq!((kept[0].value, kept[kept.len() - 1].value), (0.0, 99_999.0));
        let left_out = samples.left_out().unwrap();
        assert!(left_out.contains("400 topics") && left_out.contains("1 $SYS topics"), "{left_out}");
    }

    #[test]
    fn numbers_are_read_and_words_are_not() {
        assert_eq!(number(b" 12.5\n"), Some(12.5));
        assert_eq!(number(b"-3"), Some(-3.0));
        assert_eq!(number(b"42 seconds"), Some(42.0));
        for text in
            [&b""[..], b"mosquitto version 2.0.11", b"inf", b"NaN", b"1e999", b"12 minutes", b"\xFF", &[b'1'; 65]]
        {
            assert_eq!(number(text), None, "{text:?}");
        }
    }
}
