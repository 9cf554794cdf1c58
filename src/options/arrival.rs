//! When the messages of an open loop are due, and what becomes of late ones, as it is typed.

use std::fmt;

use clap::ValueEnum;

use super::values::{positive_count, whole_number};

/// When the slots of an open loop are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrival {
    /// Evenly spread.
    #[default]
    Fixed,
    /// Random and independent: a Poisson process.
    Poisson,
    /// Several at once.
    Burst(u64),
}

impl Arrival {
    /// How many messages are due at one moment.
    pub const fn slots_at_once(self) -> u64 {
        match self {
            Self::Fixed | Self::Poisson => 1,
            Self::Burst(count) => count,
        }
    }
}

/// As it is typed.
impl fmt::Display for Arrival {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed => formatter.write_str("fixed"),
            Self::Poisson => formatter.write_str("poisson"),
            Self::Burst(size) => write!(formatter, "burst:{size}"),
        }
    }
}

/// What happens to late slots of an open loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Behind {
    /// Send them late, and measure from when they were due.
    #[default]
    Queue,
    /// Drop and count them when the next message of the publisher is due.
    Skip,
}

/// Most messages of one burst.
const LARGEST_BURST: u64 = 1_000_000;

/// What `--arrival` takes.
pub(super) fn arrival(text: &str) -> Result<Arrival, String> {
    const WRONG: &str = "must be fixed, poisson or burst:N, with N from 1 to 1M messages";
    match text {
        "fixed" => Ok(Arrival::Fixed),
        "poisson" => Ok(Arrival::Poisson),
        _ => {
            let size = text.strip_prefix("burst:").and_then(|size| positive_count(size).ok());
            size.filter(|size| *size <= LARGEST_BURST).map(Arrival::Burst).ok_or_else(|| WRONG.into())
        }
    }
}

/// What `--seed` takes.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    whole_number(text).ok_or_else(|| "must be a whole number below 2^64".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrival_is_typed_as_it_is_shown() {
        for text in ["fixed", "poisson", "burst:1", "burst:1000000"] {
            assert_eq!(arrival(text).unwrap().to_string(), text);
        }
        assert_eq!(arrival("burst:2k"), Ok(Arrival::Burst(2_000)));
        for text in ["", "burst", "burst:", "burst:0", "burst:1000001", "burst:1.5", "Poisson", "fixed "] {
            assert!(arrival(text).is_err(), "{text:?}");
        }
        assert_eq!(seed("18446744073709551615"), Ok(u64::MAX));
        for text in ["", "-1", "1k", "0x1", "18446744073709551616"] {
            assert!(seed(text).is_err(), "{text:?}");
        }
    }
}
