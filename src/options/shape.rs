//! The shape of mqbench's load, and the payload contents.

use std::fmt;
use std::path::PathBuf;

use super::values::whole_number;

/// Which messages each subscriber receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// A subscriber for each publisher.
    #[default]
    P2p,
    /// Every message of many publishers to each of few subscribers.
    FanIn,
    /// Every message of few publishers to each of many subscribers.
    FanOut,
    /// Shared subscriptions (§4.8.2): every message to one member of each group.
    Shared {
        /// How many groups, at least one.
        groups: usize,
    },
}

impl Shape {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let groups = |text| whole_number(text).filter(|groups| (1..=1_000_000).contains(groups));
        match text {
            "p2p" => Ok(Self::P2p),
            "fan-in" => Ok(Self::FanIn),
            "fan-out" => Ok(Self::FanOut),
            _ => match text.strip_prefix("shared:").and_then(groups) {
                Some(groups) => Ok(Self::Shared { groups }),
                None => Err("must be p2p, fan-in, fan-out, or shared: with a number of groups, as in shared:2".into()),
            },
        }
    }
}

/// As it is typed.
impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P2p => formatter.write_str("p2p"),
            Self::FanIn => formatter.write_str("fan-in"),
            Self::FanOut => formatter.write_str("fan-out"),
            Self::Shared { groups } => write!(formatter, "shared:{groups}"),
        }
    }
}

/// What fills the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadName {
    /// Zero bytes.
    Zero,
    /// Bytes that do not compress.
    Random,
    /// Readable text.
    Text,
    /// A file with places to be filled in.
    Template(PathBuf),
}

impl PayloadName {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "zero" => Ok(Self::Zero),
            "random" => Ok(Self::Random),
            "text" => Ok(Self::Text),
            _ => match text.strip_prefix("template:").filter(|path| !path.is_empty()) {
                Some(path) => Ok(Self::Template(path.into())),
                None => Err("must be zero, random, text, or template: with a file, as in template:reading.json".into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_payloads_are_read_as_they_are_written() {
        for text in ["p2p", "fan-in", "fan-out", "shared:1", "shared:12"] {
            assert_eq!(Shape::parse(text).map(|shape| shape.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "P2P", "fan", "shared", "shared:", "shared:0", "shared:x", "shared:+1", "shared:1000001"] {
            assert!(Shape::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(PayloadName::parse("template:a:b"), Ok(PayloadName::Template("a:b".into())));
        for text in ["", "zeros", "template", "template:"] {
            assert!(PayloadName::parse(text).is_err(), "{text:?}");
        }
    }
}
