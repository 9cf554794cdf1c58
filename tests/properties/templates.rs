//! The bodies of the fuzz targets of the small languages as property tests.

use mqtools::bench::Gate;
use proptest::prelude::*;

use crate::{bodies, cases, pieces};

const FORMAT: &[&str] = &[
    "%", "%t", "%p", "%x", "%X", "%l", "%m", "%q", "%r", "%f", "%d", "%I", "%U", "%j", "%J", "%A", "%C", "%D", "%E",
    "%F", "%P", "%R", "%S", "%Z", "%%", "%-", "%0", "5", "20000", ".", "2", ":", " ", "@Y", "@", "@@", "@N", "@s",
    "\\n", "\\", "\\0", "\\z", "text", "é",
];

const PAYLOAD: &[&str] =
    &["%i", "%s", "%t", "%c", "%u", "%%", "%05i", "%020s", "%021i", "%00i", "%0", "%", "%x", "9", "é", "{"];

const GATE: &[&str] = &[
    "e2e.p99",
    "ack.max",
    "lost",
    "sent_per_s",
    "loss_pct",
    "p99",
    "bogus",
    "vs(",
    ")",
    "<=",
    ">=",
    "==",
    "!=",
    "<",
    ">",
    "=",
    " ",
    "&&",
    "20",
    "1.5",
    "-1",
    "1e3",
    "inf",
    ".",
    "+",
    "ms",
    "us",
    "µs",
    "s",
    "k",
    "M",
    "%",
];

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn payload_template(data in pieces(PAYLOAD, 7)) {
        bodies::templates::payload_template(&data);
    }

    #[test]
    fn gate(data in pieces(GATE, 9)) {
        bodies::templates::gate(&data);
    }

    /// A limit is the number that stands there, in nanoseconds or ones.
    #[test]
    fn a_gate_of_parts(tenths in 0u32..100_000, unit in 0usize..4, blanks in "[ ]{0,2}") {
        let (unit, factor) = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)][unit];
        let number = f64::from(tenths) / 10.0;
        let gate = Gate::parse(&format!("{blanks}e2e.p99{blanks}<={blanks}{number}{blanks}{unit}{blanks}"));
        let limit = f64::from(tenths) * factor / 10.0;
        let shown = format!("{gate:?}");
        prop_assert!(shown.contains(&format!("limit: {limit:?}")), "{number} {unit}: {shown}");
    }
}

proptest! {
    // Each reads a whole command line too.
    #![proptest_config(cases(300))]

    #[test]
    fn output_template(format in pieces(FORMAT, 9), payload in proptest::collection::vec(any::<u8>(), 0..12)) {
        bodies::templates::output_template(&[format, b"\n".to_vec(), payload].concat());
    }
}
