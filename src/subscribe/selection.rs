//! Which messages are printed and counted, and which one ends the run: `-T -R -C --retained-only --remove-retained
//! --random-filter`, in the order mosquitto_sub applies them.

use std::num::NonZeroU64;

use super::ReceivedMessage;
use crate::mqtt::TopicFilter;

/// What the options ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectionPlan {
    /// `-T`: messages on these topics are dropped.
    pub filter_out: Vec<TopicFilter>,
    /// `-R`: messages with RETAIN are dropped.
    pub drop_retained: bool,
    /// `--retained-only`: the first message without RETAIN ends the run.
    pub retained_only: bool,
    /// `--retained`: messages without RETAIN are dropped.
    pub only_retained: bool,
    /// `--remove-retained`: retained messages that are not dropped are to be removed from the broker.
    pub remove_retained: bool,
    /// `-C`: the run ends with this many messages.
    pub count: Option<NonZeroU64>,
    /// `--random-filter`: show only some.
    pub random_filter: Option<RandomFilter>,
}

/// Shows a share of the messages, picked at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomFilter {
    /// Messages shown of 10,000.
    shown: u64,
    state: u64,
}

impl RandomFilter {
    /// A filter that shows `percent` of the messages, 0.1 to 100, to a hundredth; the same seed picks the same ones.
    pub fn new(percent: f64, seed: u64) -> Option<Self> {
        // In range, so that the cast loses nothing but the fraction.
        (0.1..=100.0).contains(&percent).then(|| Self { shown: (percent * 100.0).round() as u64, state: seed })
    }

    /// Whether the next message is shown.
    fn shows(&mut self) -> bool {
        // SplitMix64: one addition and a mix; no cryptography is needed to skip a line.
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % 10_000 < self.shown
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is printed.
    Print,
    /// It is taken and not printed.
    Skip,
    /// It is printed, and was the last one.
    PrintAndEnd,
    /// It is taken and not printed, and was the last one.
    End,
    /// It arrived after the last one: neither printed nor acknowledged.
    Beyond,
}

impl Verdict {
    /// Whether the message is printed.
    pub(crate) const fn prints(self) -> bool {
        matches!(self, Self::Print | Self::PrintAndEnd)
    }

    /// The same, but not printed unless `prints`.
    #[must_use]
    pub(crate) const fn printing_if(self, prints: bool) -> Self {
        match self {
            Self::Print if !prints => Self::Skip,
            Self::PrintAndEnd if !prints => Self::End,
            verdict => verdict,
        }
    }
}

/// A verdict, and whether the retained message is to be removed from the broker by an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// What becomes of the message.
    pub verdict: Verdict,
    /// Publish an empty retained message to its topic. A run that ends waits until these are acknowledged.
    pub remove: bool,
}

impl From<Verdict> for Judgement {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, remove: false }
    }
}

/// Judges messages one after the other; a reconnect changes nothing.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    plan: SelectionPlan,
    counted: u64,
    ended: bool,
}

impl Selection {
    /// A selection before the first message.
    pub(crate) const fn new(plan: SelectionPlan) -> Self {
        Self { plan, counted: 0, ended: false }
    }

    /// Judges the next message. Messages dropped by `-T` and `-R` are not counted by `-C`; those the random filter
    /// hides are. A message without RETAIN ends `--retained-only` even on a topic of `-T`.
    pub(crate) fn judge(&mut self, message: &ReceivedMessage<'_>) -> Judgement {
        self.judge_if(message, || true)
    }

    /// The same with a further condition, which is asked last; a message for which it is false is dropped.
    pub(crate) fn judge_if(&mut self, message: &ReceivedMessage<'_>, counts: impl FnOnce() -> bool) -> Judgement {
        let publish = &message.publish;
        if self.ended {
            return Verdict::Beyond.into();
        }
        if self.plan.retained_only && !publish.retain {
            self.ended = true;
            return Verdict::End.into();
        }
        if (publish.retain && self.plan.drop_retained) || (!publish.retain && self.plan.only_retained) {
            return Verdict::Skip.into();
        }
        if self.plan.filter_out.iter().any(|filter| filter.matches(publish.topic)) {
            return Verdict::Skip.into();
        }
        if !counts() {
            return Verdict::Skip.into();
        }
        // An empty retained message would remove what is not there.
        let remove = self.plan.remove_retained && publish.retain && !publish.payload.is_empty();
        self.counted += 1;
        self.ended = self.plan.count.is_some_and(|count| self.counted >= count.get());
        let prints = self.plan.random_filter.as_mut().is_none_or(RandomFilter::shows);
        let verdict = match (prints, self.ended) {
            (true, false) => Verdict::Print,
            (false, false) => Verdict::Skip,
            (true, true) => Verdict::PrintAndEnd,
            (false, true) => Verdict::End,
        };
        Judgement { verdict, remove }
    }

    /// Messages counted: all that were not dropped.
    pub(crate) const fn counted(&self) -> u64 {
        self.counted
    }

    /// The last message has come.
    pub(crate) const fn end(&mut self) {
        self.ended = true;
    }

    /// Whether the last message has come.
    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::mqtt::Message;
    use crate::mqtt::wire::Publish;

    fn judge(selection: &mut Selection, topic: &str, retain: bool) -> Judgement {
        let message = Message { topic: topic.into(), payload: "x".into(), retain, ..Message::default() };
        let received = DateTime::parse_from_rfc3339("2026-11-21T04:00:42+00:00").unwrap();
        selection.judge(&ReceivedMessage::new(Publish::of(&message, 0, false), received))
    }

    fn verdicts(plan: SelectionPlan, messages: &[(&str, bool)]) -> Vec<Verdict> {
        let mut selection = Selection::new(plan);
        messages.iter().map(|(topic, retain)| judge(&mut selection, topic, *retain).verdict).collect()
    }

    fn count(number: u64) -> Option<NonZeroU64> {
        NonZeroU64::new(number)
    }

    #[test]
    fn everything_is_printed_by_default() {
        use Verdict::Print;
        assert_eq!(verdicts(SelectionPlan::default(), &[("a", false), ("a", true), ("$SYS/x", false)]), [Print; 3]);
    }

    #[test]
    fn dropped_messages_are_not_counted() {
        use Verdict::*;
        let filter_out = vec![TopicFilter::new("no/#").unwrap(), TopicFilter::new("+/no").unwrap()];
        let plan = SelectionPlan { filter_out, drop_retained: true, count: count(2), ..SelectionPlan::default() };
        let messages = [
            ("no", false),
            ("yes", true),
            ("yes", false),
            ("a/no", false),
            ("no/x", true),
            ("yes", false),
            ("yes", false),
            ("no", false),
        ];
        assert_eq!(verdicts(plan, &messages), [Skip, Skip, Print, Skip, Skip, PrintAndEnd, Beyond, Beyond]);
    }

    #[test]
    fn the_first_message_without_retain_ends_retained_only() {
        use Verdict::*;
        let filter_out = vec![TopicFilter::new("no").unwrap()];
        let plan = SelectionPlan { filter_out, retained_only: true, ..SelectionPlan::default() };
        assert_eq!(
            verdicts(plan.clone(), &[("a", true), ("no", true), ("no", false), ("a", true)]),
            [Print, Skip, End, Beyond]
        );
        let plan = SelectionPlan { count: count(1), ..plan };
        assert_eq!(verdicts(plan, &[("a", true), ("a", true)]), [PrintAndEnd, Beyond]);
    }

    #[test]
    fn only_retained_messages_that_are_not_dropped_are_removed() {
        let filter_out = vec![TopicFilter::new("no").unwrap()];
        let plan = SelectionPlan { filter_out, remove_retained: true, count: count(3), ..SelectionPlan::default() };
        let mut selection = Selection::new(plan);
        let removed: Vec<bool> = [("a", true), ("a", false), ("no", true), ("b", true), ("c", true)]
            .map(|(topic, retain)| judge(&mut selection, topic, retain).remove)
            .into();
        assert_eq!(removed, [true, false, false, true, false]);
        assert!(selection.has_ended());
        assert_eq!(selection.counted(), 3);
    }

    #[test]
    fn hidden_messages_count() {
        let plan = SelectionPlan {
            count: count(1_000),
            random_filter: RandomFilter::new(25.0, 1),
            ..SelectionPlan::default()
        };
        let mut selection = Selection::new(plan.clone());
        let first: Vec<Verdict> = (0..1_000).map(|_| judge(&mut selection, "a", false).verdict).collect();
        assert!(first[..999].iter().all(|verdict| matches!(verdict, Verdict::Print | Verdict::Skip)));
        assert!(matches!(first[999], Verdict::PrintAndEnd | Verdict::End));
        assert_eq!(selection.counted(), 1_000);
        // A quarter of 1,000 with the seed fixed; 50 is more than three standard deviations.
        let printed = first.iter().filter(|verdict| verdict.prints()).count();
        assert!((200..300).contains(&printed), "{printed}");
        assert_eq!(verdicts(plan, &[("a", false); 1_000]), first);
    }

    #[test]
    fn a_percentage_out_of_range_is_refused() {
        for percent in [0.0, 0.09, 100.1, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(RandomFilter::new(percent, 0), None);
        }
        let mut all = RandomFilter::new(100.0, 0).unwrap();
        assert!((0..10_000).all(|_| all.shows()));
    }
}
