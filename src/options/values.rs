//! Values that several groups read: durations, rates, counts, sizes, ports, QoS. Strict: anything else is
//! an error that describes a valid value.

use std::time::Duration;

use crate::mqtt::QoS;

/// Longest duration that is taken; far below the end of any clock, so that deadlines can be added up.
const LONGEST: Duration = Duration::from_secs(1_000 * 86_400);

const NANOS: u128 = 1_000_000_000;

/// `digits[.digits]` as nanounits; `None` for anything else, signs and exponents too.
fn decimal(text: &str) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    // Twenty digits hold every u64; nine are a nanosecond.
    if !digits(whole) || !digits(fraction) || whole.len() > 20 || fraction.len() > 9 {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let fraction: u128 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_mul(NANOS)?.checked_add(fraction)
}

/// Splits a number from its unit.
fn number_and_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()))
}

/// A duration: `500ms`, `0.5`, `10s`, `2m`, `1h`. A bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = number_and_unit(text);
    let nanos_per_unit: u128 = match unit {
        "ms" => 1_000_000,
        "" | "s" => NANOS,
        "m" => 60 * NANOS,
        "h" => 3_600 * NANOS,
        _ => return Err("must be a number with ms, s, m or h; without a unit it is seconds".into()),
    };
    let nanos = decimal(number)
        .and_then(|number| number.checked_mul(nanos_per_unit))
        .map(|nanos| nanos / NANOS)
        .ok_or("must be a number with ms, s, m or h; without a unit it is seconds")?;
    if nanos > LONGEST.as_nanos() {
        return Err("must be at most 1000 days".into());
    }
    // At most 1000 days of nanoseconds, far below 2^64.
    Ok(Duration::from_nanos(nanos as u64))
}

/// A duration above zero.
pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be above zero".into()),
        time => Ok(time),
    }
}

/// A number with an optional `k` or `M`, in billionths.
fn scaled(text: &str, units: &[(&str, u128)]) -> Option<u128> {
    let (number, unit) = number_and_unit(text);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    decimal(number)?.checked_mul(factor)
}

const THOUSANDS: &[(&str, u128)] = &[("", 1), ("k", 1_000), ("M", 1_000_000)];

/// A rate per second above zero: `0.5`, `50k`, `1.5M`.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let billionths = scaled(text, THOUSANDS).ok_or("must be a number per second, optionally with k or M")?;
    if billionths == 0 {
        return Err("must be above zero".into());
    }
    if billionths > 1_000_000_000 * NANOS {
        return Err("must be at most 1000M".into());
    }
    Ok(billionths as f64 / NANOS as f64)
}

fn whole(text: &str, units: &[(&str, u128)]) -> Option<u64> {
    let billionths = scaled(text, units)?;
    if billionths % NANOS != 0 {
        return None;
    }
    u64::try_from(billionths / NANOS).ok()
}

/// A count: `100`, `10k`, `1.5M`.
pub(super) fn count(text: &str) -> Result<u64, String> {
    whole(text, THOUSANDS).ok_or_else(|| "must be a whole number, optionally with k or M".into())
}

/// A count above zero.
pub(super) fn positive_count(text: &str) -> Result<u64, String> {
    match count(text)? {
        0 => Err("must be above zero".into()),
        number => Ok(number),
    }
}

/// A share in percent: `5`, `2.5`, `5%`.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let billionths = decimal(number).filter(|share| *share <= 100 * NANOS);
    billionths.map(|share| share as f64 / NANOS as f64).ok_or_else(|| "must be a number from 0 to 100".into())
}

/// A number of clients of all machines together; zero is none. What one machine can carry is checked before each run.
pub(super) fn clients(text: &str) -> Result<u32, String> {
    match count(text)? {
        number @ 0..=100_000_000 => Ok(number as u32),
        _ => Err("must be at most 100M clients".into()),
    }
}

/// A number of bytes: `128`, `4k` (4000), `4Ki` (4096), `1M`, `1Mi`. At most what one PUBLISH can carry.
pub(super) fn size(text: &str) -> Result<usize, String> {
    const UNITS: &[(&str, u128)] = &[("", 1), ("k", 1_000), ("M", 1_000_000), ("Ki", 1 << 10), ("Mi", 1 << 20)];
    let bytes = whole(text, UNITS).ok_or("must be a whole number of bytes, optionally with k, M, Ki or Mi")?;
    match usize::try_from(bytes) {
        Ok(bytes) if bytes <= 268_000_000 => Ok(bytes),
        _ => Err("must be at most 268M bytes".into()),
    }
}

/// A number of bytes of a file with its unit: `100M`, `4Gi`.
pub(super) fn file_size(text: &str) -> Option<u64> {
    const UNITS: &[(&str, u128)] =
        &[("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)];
    whole(text, UNITS)
}

/// A size, or a range of sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeRange {
    /// Smallest, bytes.
    pub least: usize,
    /// Largest, bytes.
    pub most: usize,
}

/// A number of bytes as [`size`] takes it, or two of them as in `16..4k`, both included.
pub(super) fn size_range(text: &str) -> Result<SizeRange, String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most) = (size(least)?, size(most)?);
    if least > most {
        return Err("the smaller size must come first, as in 16..4k".into());
    }
    Ok(SizeRange { least, most })
}

/// A TCP port.
pub(super) fn port(text: &str) -> Result<u16, String> {
    match whole_number(text) {
        Some(0) => Err("must be from 1 to 65535; use --unix PATH for a Unix socket".into()),
        Some(port) => Ok(port),
        None if text.bytes().any(|byte| byte.is_ascii_digit()) => Err("must be a number from 1 to 65535".into()),
        None => Err("must be a number from 1 to 65535; use -P for a password".into()),
    }
}

/// A decimal number without sign; `str::parse` alone would take a plus.
pub(super) fn whole_number<N: std::str::FromStr>(text: &str) -> Option<N> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// A Quality of Service.
pub(super) fn qos(text: &str) -> Result<QoS, String> {
    whole_number(text).and_then(QoS::from_number).ok_or_else(|| "must be 0, 1 or 2".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in
            [("10", 10_000), ("0.5", 500), ("500ms", 500), ("1.5s", 1_500), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("0.000001ms"), Ok(Duration::from_nanos(1)));
        for text in
            ["", "s", "-1", "+1", "1e3", "1.", ".5", "1 s", "1d", "1S", "10 ", "∞", "24001h", "99999999999999999999h"]
        {
            assert!(duration(text).is_err(), "{text:?}");
        }
        assert!(positive_duration("0ms").is_err());
    }

    #[test]
    fn rates_counts_and_sizes() {
        assert_eq!(rate("50k"), Ok(50_000.0));
        assert_eq!(rate("0.5"), Ok(0.5));
        assert_eq!(rate("1.5M"), Ok(1_500_000.0));
        assert_eq!(count("10k"), Ok(10_000));
        assert_eq!(count("1.5k"), Ok(1_500));
        assert_eq!(count("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(size("4k"), Ok(4_000));
        assert_eq!(size("4Ki"), Ok(4_096));
        assert_eq!(size("0"), Ok(0));
        for text in ["0", "0.0", "x", "1K", "1m", "-1", "2000M", "1kM"] {
            assert!(rate(text).is_err(), "{text:?}");
        }
        for text in ["1.5", "1.0001k", "18446744073709551616", "", "k", "+1"] {
            assert!(count(text).is_err(), "{text:?}");
        }
        assert!(size("300M").is_err());
        assert_eq!(size_range("16..4k"), Ok(SizeRange { least: 16, most: 4_000 }));
        assert_eq!(size_range("5"), Ok(SizeRange { least: 5, most: 5 }));
        for text in ["", "..", "5..", "..5", "5..4", "1..2..3", "1-2", "1...3"] {
            assert!(size_range(text).is_err(), "{text:?}");
        }
        assert!(clients("100000001").is_err());
    }

    #[test]
    fn percentages() {
        assert_eq!(
            (percent("5"), percent("2.5%"), percent("0"), percent("100%")),
            (Ok(5.0), Ok(2.5), Ok(0.0), Ok(100.0))
        );
        for text in ["", "%", "-1", "101", "5%%", "x", "1e1"] {
            assert!(percent(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ports_and_qos() {
        assert_eq!(port("1883"), Ok(1883));
        for text in ["0", "65536", "-1", "+80", "abc", "", "1883 ", "0x10"] {
            assert!(port(text).is_err(), "{text:?}");
        }
        assert_eq!(qos("2"), Ok(QoS::ExactlyOnce));
        assert!(qos("3").is_err());
        assert!(qos("x").is_err());
    }
}
