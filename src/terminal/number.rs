//! Numbers for people: grouped counts, SI rates and bytes, durations with three significant digits.
//!
//! Groups are parted by a comma: it is in every font and a program that reads along can drop it.

/// Printed where nothing was measured.
pub(crate) const UNKNOWN: &str = "–";

/// A count in groups of three: `1,234,567`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 message`, `3 messages`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// A size in words: `1 byte`, `1,234 bytes`.
pub(crate) fn byte_count(count: usize) -> String {
    counted(count as u64, "byte", "bytes")
}

/// Events per second, without the unit: whole and grouped from 100 on, three significant digits below. What is far
/// below one an hour is what is left of a rate that has died away.
pub(crate) fn rate(per_second: f64) -> String {
    if !per_second.is_finite() {
        UNKNOWN.to_owned()
    } else if per_second.abs() < 0.00005 {
        "0".to_owned()
    } else if per_second.abs() < 99.95 && per_second != 0.0 {
        three_digits(per_second)
    } else if per_second < 0.0 {
        format!("-{}", grouped(per_second.abs().round() as u64))
    } else {
        grouped(per_second.round() as u64)
    }
}

/// A rate to three digits: more is noise, and hard to read.
pub(crate) fn about(per_second: f64) -> String {
    if per_second < 100.0 || !per_second.is_finite() {
        return rate(per_second);
    }
    let step = 10f64.powi(per_second.log10().floor() as i32 - 2);
    rate((per_second / step).round() * step)
}

/// A number with an SI prefix and three significant digits: `49.9 k`, `1.23 M`, `999`. A unit may follow at once.
pub(crate) fn si(value: f64) -> String {
    if !value.is_finite() {
        return UNKNOWN.to_owned();
    }
    let mut scaled = value;
    for prefix in ["", "k", "M", "G", "T"] {
        if scaled.abs() < 999.5 {
            return format!("{} {prefix}", three_digits(scaled)).trim_end().to_owned();
        }
        scaled /= 1000.0;
    }
    format!("{scaled:.0} P")
}

/// Bytes per second: `6.40 MB/s`.
pub(crate) fn byte_rate(bytes_per_second: f64) -> String {
    format!("{}/s", bytes(bytes_per_second))
}

/// Bytes in powers of 1000: `1.23 MB`, `999 B`.
pub(crate) fn bytes(bytes: f64) -> String {
    let text = si(bytes);
    if text.ends_with(|last: char| last.is_ascii_digit()) { format!("{text} B") } else { format!("{text}B") }
}

/// A duration in nanoseconds with three significant digits: `412 µs`, `1.93 ms`, `12.0 s`.
pub(crate) fn duration(ns: u64) -> String {
    let mut scaled = ns as f64;
    if ns < 1000 {
        return format!("{ns} ns");
    }
    for unit in ["µs", "ms"] {
        scaled /= 1000.0;
        if scaled < 999.5 {
            return format!("{} {unit}", three_digits(scaled));
        }
    }
    format!("{} s", three_digits(scaled / 1000.0))
}

/// A share in percent: `31 %`, `0.42 %`.
pub(crate) fn percent(share: f64) -> String {
    if !share.is_finite() {
        UNKNOWN.to_owned()
    } else if share.abs() >= 9.95 || share == 0.0 {
        format!("{share:.0} %")
    } else {
        // A small share must not look like none.
        format!("{} %", with_digits(share, 1))
    }
}

/// Three significant digits, and no fewer than the whole number.
fn three_digits(value: f64) -> String {
    with_digits(value, 3)
}

fn with_digits(value: f64, digits: i32) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let decimals = |value: f64| (digits - 1 - value.abs().log10().floor() as i32).clamp(0, 12);
    // Rounding may carry into one digit more: 9.996 is 10.0.
    let scale = 10f64.powi(decimals(value));
    let rounded = (value * scale).round() / scale;
    let decimals = if rounded == 0.0 { 0 } else { decimals(rounded) } as usize;
    format!("{rounded:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        for (count, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (u64::MAX, "18,446,744,073,709,551,615")] {
            assert_eq!(grouped(count), text);
        }
    }

    #[test]
    fn sizes_agree_with_their_number() {
        assert_eq!([0, 1, 2, 1_234].map(byte_count), ["0 bytes", "1 byte", "2 bytes", "1,234 bytes"]);
    }

    #[test]
    fn rates_keep_three_digits() {
        let cases = [
            (0.0, "0"),
            (0.0123, "0.0123"),
            (0.0000000425, "0"),
            (-0.00001, "0"),
            (0.000278, "0.000278"),
            (0.5, "0.500"),
            (9.996, "10.0"),
            (99.96, "100"),
            (49_998.4, "49,998"),
            (-1234.0, "-1,234"),
        ];
        for (value, text) in cases {
            assert_eq!(rate(value), text);
        }
        assert_eq!(rate(f64::NAN), UNKNOWN);
    }

    #[test]
    fn prefixes_carry() {
        for (value, text) in [(0.0, "0"), (999.4, "999"), (999.6, "1.00 k"), (49_949.0, "49.9 k"), (1.234e9, "1.23 G")]
        {
            assert_eq!(si(value), text);
        }
        assert_eq!((bytes(512.0), byte_rate(6_400_000.0)), ("512 B".to_owned(), "6.40 MB/s".to_owned()));
    }

    #[test]
    fn durations_carry() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (412_300, "412 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (1_934_000, "1.93 ms"),
            (12_000_000, "12.0 ms"),
            (999_600_000, "1.00 s"),
            (3_600_000_000_000, "3600 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(duration(ns), text);
        }
    }

    #[test]
    fn a_small_share_is_not_none() {
        for (share, text) in [(0.0, "0 %"), (31.2, "31 %"), (9.96, "10 %"), (0.42, "0.4 %"), (0.004, "0.004 %")] {
            assert_eq!(percent(share), text);
        }
    }
}
