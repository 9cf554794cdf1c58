//! Topic Names and Topic Filters (§4.7, §4.8.2).

use thiserror::Error;

use super::{RejectedCharacter, check_sent_text};

/// Why a text is no Topic Name or Topic Filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TopicError {
    /// MQTT-4.7.3-1.
    #[error("it is empty")]
    Empty,
    /// MQTT-4.7.3-3.
    #[error("it is longer than 65,535 bytes")]
    TooLong,
    /// MQTT-4.7.3-2.
    #[error("it contains a NUL character")]
    Nul,
    /// MQTT-3.3.2-2.
    #[error("a topic to publish to must not contain the wildcards + and #")]
    WildcardInName,
    /// MQTT-4.7.1-1.
    #[error("# is only allowed at the end, alone or after a /")]
    MisplacedMultiLevel,
    /// MQTT-4.7.1-2.
    #[error("+ must be a whole level, as in a/+/b")]
    MisplacedSingleLevel,
    /// MQTT-4.8.2-1, MQTT-4.8.2-2.
    #[error(
        "a shared subscription has the form $share/GROUP/FILTER, where GROUP is not empty and contains no wildcard"
    )]
    BadShare,
    /// A character that brokers may reject (§1.5.4); only what is sent is checked for it.
    #[error(transparent)]
    Rejected(#[from] RejectedCharacter),
}

const SHARE: &str = "$share/";

fn check_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > usize::from(u16::MAX) {
        return Err(TopicError::TooLong);
    }
    if text.as_bytes().contains(&0) {
        return Err(TopicError::Nul);
    }
    Ok(())
}

/// Checks a Topic Name as a PUBLISH may carry it.
pub fn check_topic_name(name: &str) -> Result<(), TopicError> {
    check_text(name)?;
    if name.bytes().any(|byte| byte == b'+' || byte == b'#') {
        return Err(TopicError::WildcardInName);
    }
    Ok(())
}

/// Checks a Topic Filter, shared ones included.
pub fn check_topic_filter(filter: &str) -> Result<(), TopicError> {
    check_text(filter)?;
    let levels = match filter.strip_prefix(SHARE) {
        None => filter,
        Some(shared) => {
            let (group, rest) = shared.split_once('/').ok_or(TopicError::BadShare)?;
            if group.is_empty() || group.contains(['+', '#']) || rest.is_empty() {
                return Err(TopicError::BadShare);
            }
            rest
        }
    };
    let mut rest = levels.split('/').peekable();
    while let Some(level) = rest.next() {
        if level.contains('#') && (level != "#" || rest.peek().is_some()) {
            return Err(TopicError::MisplacedMultiLevel);
        }
        if level.contains('+') && level != "+" {
            return Err(TopicError::MisplacedSingleLevel);
        }
    }
    Ok(())
}

/// Checks a Topic Name that the user typed: valid, and without characters that a broker may reject.
pub fn check_sent_topic_name(name: &str) -> Result<(), TopicError> {
    check_topic_name(name)?;
    Ok(check_sent_text(name)?)
}

/// Checks a Topic Filter that the user typed: valid, and without characters that a broker may reject.
pub fn check_sent_topic_filter(filter: &str) -> Result<(), TopicError> {
    check_topic_filter(filter)?;
    Ok(check_sent_text(filter)?)
}

/// Whether a Topic Name matches a valid Topic Filter (§4.7.1). Of a shared subscription only the filter part counts.
/// A filter that begins with a wildcard does not match a topic that begins with `$` (MQTT-4.7.2-1).
pub fn filter_matches(filter: &str, name: &str) -> bool {
    let filter = match filter.strip_prefix(SHARE) {
        Some(shared) => shared.split_once('/').map_or("", |(_, rest)| rest),
        None => filter,
    };
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut names = name.split('/');
    for level in filter.split('/') {
        match (level, names.next()) {
            // "a/#" also matches its parent "a" (MQTT-4.7.1-2), so # is looked at before the names run out.
            ("#", _) => return true,
            (_, None) => return false,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

/// A Topic Filter that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicFilter(String);

impl TopicFilter {
    /// Takes a filter if it is valid.
    pub fn new(filter: impl Into<String>) -> Result<Self, TopicError> {
        let filter = filter.into();
        check_topic_filter(&filter)?;
        Ok(Self(filter))
    }

    /// Whether a Topic Name matches.
    pub fn matches(&self, name: &str) -> bool {
        filter_matches(&self.0, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn filters_of_section_4_7() {
        for (filter, name, matches) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "a/b", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("$share/g/a/+", "a/b", true),
            ("a//b", "a//b", true),
            ("a/b", "a/b/c", false),
        ] {
            assert_eq!(filter_matches(filter, name), matches, "{filter} against {name}");
        }
    }

    #[test]
    fn what_is_no_filter_and_no_name() {
        use TopicError::*;
        for (filter, error) in [
            ("", Empty),
            ("a#", MisplacedMultiLevel),
            ("a/#/b", MisplacedMultiLevel),
            ("a+/b", MisplacedSingleLevel),
            ("$share/g", BadShare),
            ("$share//a", BadShare),
            ("$share/g+/a", BadShare),
            ("$share/g/", BadShare),
            ("a\0b", Nul),
        ] {
            assert_eq!(check_topic_filter(filter), Err(error), "{filter:?}");
        }
        assert_eq!(check_topic_name("a/+"), Err(WildcardInName));
        assert_eq!(check_topic_name(&"a".repeat(65_536)), Err(TooLong));
        assert_eq!(check_topic_name("/"), Ok(()));
        // A broker may send such names, a client must not.
        for text in ["a\r", "a/\u{fffe}", "\u{9b}"] {
            assert_eq!((check_topic_name(text), check_topic_filter(text)), (Ok(()), Ok(())));
            assert!(matches!(check_sent_topic_name(text), Err(Rejected(_))), "{text:?}");
            assert!(matches!(check_sent_topic_filter(text), Err(Rejected(_))), "{text:?}");
        }
        assert_eq!(check_sent_topic_name("a/+"), Err(WildcardInName));
        assert_eq!(check_sent_topic_filter("a#"), Err(MisplacedMultiLevel));
    }

    /// The rule as the standard words it, level by level and slowly.
    fn slow_matches(filter: &[&str], name: &[&str]) -> bool {
        match (filter.first(), name.first()) {
            (Some(&"#"), _) => true,
            (None, None) => true,
            (Some(&"+"), Some(_)) => slow_matches(&filter[1..], &name[1..]),
            (Some(f), Some(n)) => f == n && slow_matches(&filter[1..], &name[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_slow_reading(
            filter in prop::collection::vec(prop::sample::select(vec!["a", "b", "", "+"]), 1..5),
            hash in any::<bool>(),
            name in prop::collection::vec(prop::sample::select(vec!["a", "b", ""]), 1..6),
        ) {
            let mut filter = filter;
            if hash { filter.push("#"); }
            let (text, topic) = (filter.join("/"), name.join("/"));
            prop_assert_eq!(check_topic_filter(&text).is_ok(), !text.is_empty());
            prop_assert_eq!(filter_matches(&text, &topic), slow_matches(&filter, &name));
        }
    }
}
