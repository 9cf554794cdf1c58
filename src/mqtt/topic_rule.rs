//! `--map 'from/#=to/#'`: topics written anew. Pure.

use thiserror::Error;

use super::topic::{TopicError, check_sent_topic_name, check_topic_filter};

/// Why a rule means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// There are not two sides.
    #[error("it must have the form FROM=TO, as in 'site/#=copy/site/#'")]
    NoSides,
    /// What it is for is not a Topic Filter.
    #[error("'{filter}' is not a topic filter: {error}")]
    From {
        /// The left side.
        filter: String,
        /// What is wrong with it.
        error: TopicError,
    },
    /// What it makes is not a topic.
    #[error("'{topic}' does not make a topic: {error}")]
    To {
        /// The right side.
        topic: String,
        /// What is wrong with it.
        error: TopicError,
    },
    /// A wildcard on the right has no partner on the left.
    #[error("'{to}' has {wanted} of {wildcard}, and '{from}' only {there}")]
    Unmatched {
        /// The left side.
        from: String,
        /// The right side.
        to: String,
        /// Which wildcard.
        wildcard: char,
        /// How many the right side has.
        wanted: usize,
        /// How many the left side has.
        there: usize,
    },
}

/// One level of the new topic.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// As it is.
    Level(String),
    /// What the `+` of this number matched.
    One(usize),
    /// What `#` matched: any number of levels.
    Rest,
}

/// From one shape of topics to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRule {
    from: Vec<String>,
    to: Vec<Piece>,
}

impl TopicRule {
    /// Reads `FROM=TO`: FROM is a Topic Filter, and TO takes what its wildcards matched, in their order.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let (from, to) = text.split_once('=').ok_or(RuleError::NoSides)?;
        let levels = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        check_topic_filter(from).map_err(|error| RuleError::From { filter: from.to_owned(), error })?;
        // Its wildcards stand where those of a filter may stand, and what is around them is a topic.
        let faulty = |error| RuleError::To { topic: to.to_owned(), error };
        check_topic_filter(to).map_err(faulty)?;
        check_sent_topic_name(&to.replace(['+', '#'], "x")).map_err(faulty)?;
        let (from, to_levels) = (levels(from), levels(to));
        for wildcard in ['+', '#'] {
            let count = |levels: &[String]| levels.iter().filter(|level| level.starts_with(wildcard)).count();
            let (wanted, there) = (count(&to_levels), count(&from));
            if wanted > there {
                let (from, to) = (from.join("/"), to.to_owned());
                return Err(RuleError::Unmatched { from, to, wildcard, wanted, there });
            }
        }
        let mut ones = 0..;
        let pieces = to_levels.into_iter().map(|level| match level.as_str() {
            "+" => Piece::One(ones.next().unwrap_or_default()),
            "#" => Piece::Rest,
            _ => Piece::Level(level),
        });
        Ok(Self { to: pieces.collect(), from })
    }

    /// The new topic, where this rule is for it. It may be empty.
    fn apply(&self, topic: &str) -> Option<String> {
        // As a subscription, a wildcard in front is not for `$SYS` and the like (MQTT-4.7.2-1).
        if topic.starts_with('$') && matches!(self.from[0].as_str(), "+" | "#") {
            return None;
        }
        let (mut ones, mut rest) = (Vec::new(), None);
        let mut levels = Some(topic);
        for level in &self.from {
            if level == "#" {
                rest = levels.take();
                break;
            }
            let (first, more) =
                levels.map(|text| text.split_once('/').map_or((text, None), |(first, more)| (first, Some(more))))?;
            match level.as_str() {
                "+" => ones.push(first),
                level if level == first => {}
                _ => return None,
            }
            levels = more;
        }
        if levels.is_some() {
            return None;
        }
        let made: Vec<&str> = self
            .to
            .iter()
            .filter_map(|piece| match piece {
                Piece::Level(level) => Some(level.as_str()),
                Piece::One(number) => ones.get(*number).copied(),
                // `a/#` is also for `a`, and makes no level of it.
                Piece::Rest => rest,
            })
            .collect();
        Some(made.join("/"))
    }
}

/// The topic to use in place of this one: what the first rule that is for it makes of it. Another topic stays as it is.
pub(crate) fn apply_rules(rules: &[TopicRule], topic: String) -> String {
    rules.iter().find_map(|rule| rule.apply(&topic)).unwrap_or(topic)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mqtt::filter_matches;

    fn map(rules: &[&str], topic: &str) -> String {
        let rules: Vec<TopicRule> = rules.iter().map(|rule| TopicRule::parse(rule).unwrap()).collect();
        apply_rules(&rules, topic.to_owned())
    }

    #[test]
    fn wildcards_carry_over_what_they_matched() {
        for (rules, topic, expected) in [
            (&["site/#=copy/#"][..], "site/a/b", "copy/a/b"),
            (&["site/#=copy/#"], "site", "copy"),
            (&["site/#=copy/#"], "site/", "copy/"),
            (&["site/#=copy/#"], "sites/a", "sites/a"),
            (&["#=old/#"], "a//b", "old/a//b"),
            (&["#=old/#"], "$SYS/uptime", "$SYS/uptime"),
            (&["$SYS/#=sys/#"], "$SYS/uptime", "sys/uptime"),
            (&["+/temp/+=t/+/+"], "kitchen/temp/1", "t/kitchen/1"),
            (&["+/temp/+=t/+/+"], "kitchen/temp", "kitchen/temp"),
            (&["+/temp/+=t/+/+"], "kitchen/temp/1/2", "kitchen/temp/1/2"),
            (&["a/+/#=b/#"], "a/1/2/3", "b/2/3"),
            (&["a/b=c", "a/#=d/#"], "a/b", "c"),
            (&["a/b=c", "a/#=d/#"], "a/c", "d/c"),
            (&["a=b=c"], "a", "b=c"),
        ] {
            assert_eq!(map(rules, topic), expected, "{rules:?} {topic}");
        }
    }

    #[test]
    fn a_rule_that_means_nothing_is_refused() {
        for (rule, expected) in [
            ("a/#", "it must have the form FROM=TO"),
            ("a#=b", "'a#' is not a topic filter: # is only allowed at the end"),
            ("=b", "'' is not a topic filter: it is empty"),
            ("a/#=", "'' does not make a topic: it is empty"),
            ("a/#=b#", "'b#' does not make a topic: # is only allowed at the end"),
            ("a/#=#/b", "'#/b' does not make a topic: # is only allowed at the end"),
            ("a/+=b+", "'b+' does not make a topic: + must be a whole level"),
            ("a=b/#", "'b/#' has 1 of #, and 'a' only 0"),
            ("a/+=b/+/+", "'b/+/+' has 2 of +, and 'a/+' only 1"),
            ("a=b\u{1}", "does not make a topic"),
        ] {
            let error = TopicRule::parse(rule).unwrap_err().to_string();
            assert!(error.contains(expected), "{rule}: {error}");
        }
    }

    proptest! {
        /// A rule is for what its filter matches, and one that keeps every wildcard loses nothing: the way back exists.
        #[test]
        fn a_map_can_be_turned_around(
            levels in prop::collection::vec(prop::sample::select(vec!["a", "b", "+"]), 1..4),
            hash: bool,
            topic in prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$x"]), 1..6),
        ) {
            let mut filter = levels.join("/");
            if hash { filter.push_str("/#"); }
            let wildcards = filter.split('/').filter(|level| matches!(*level, "+" | "#"));
            let to = std::iter::once("to").chain(wildcards).collect::<Vec<_>>().join("/");
            let topic = topic.join("/");
            prop_assume!(!topic.is_empty());
            let there = TopicRule::parse(&format!("{filter}={to}")).unwrap();
            let back = TopicRule::parse(&format!("{to}={filter}")).unwrap();
            let mapped = there.apply(&topic);
            prop_assert_eq!(mapped.is_some(), filter_matches(&filter, &topic));
            if let Some(mapped) = mapped {
                prop_assert!(filter_matches(&to, &mapped));
                prop_assert_eq!(back.apply(&mapped), Some(topic));
            }
        }
    }
}
