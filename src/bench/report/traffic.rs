//! Network traffic in the measured window.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bench::measure::{Counters, RateWindows, rounded};
use crate::bench::plan::BenchPlan;
use crate::mqtt::QoS;

/// Network traffic in the measured window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// What the schedule asked for; null for a closed loop.
    pub offered_per_s: Option<f64>,
    /// PUBLISH packets that the kernel accepted, per second.
    pub sent_per_s: Option<f64>,
    /// Messages acknowledged without an error, per second; null at QoS 0.
    pub acked_per_s: Option<f64>,
    /// PUBLISH packets that arrived at subscribers, per second, all subscribers together.
    pub delivered_per_s: Option<f64>,
    /// Messages due by the schedule; null for a closed loop.
    pub offered: Option<u64>,
    /// PUBLISH packets sent: in a closed loop those that left in the window, with a schedule those that were due in it.
    pub sent: Option<u64>,
    /// PUBLISH packets that went out again after a connection was lost, which are no part of `sent`; null where
    /// sessions do not outlast their connections.
    pub sent_again: Option<u64>,
    /// Messages acknowledged.
    pub acked: Option<u64>,
    /// PUBLISH packets that arrived.
    pub delivered: Option<u64>,
    /// Slots of the schedule that were given up (`--behind skip`); null for a closed loop.
    pub skipped: Option<u64>,
    /// Slots of the schedule that waited for a window or a socket.
    pub held_back: Option<u64>,
    /// Bytes of all packets with their headers, out; what TLS and WebSocket add is not in them.
    pub bytes_out: Option<u64>,
    /// The same, in.
    pub bytes_in: Option<u64>,
    /// Payload bytes of what was sent.
    pub payload_bytes_out: Option<u64>,
    /// Payload bytes of what was delivered.
    pub payload_bytes_in: Option<u64>,
    /// `bytes_out` per second.
    pub bytes_out_per_s: Option<f64>,
    /// `bytes_in` per second.
    pub bytes_in_per_s: Option<f64>,
    /// Payload bytes sent per second.
    pub payload_out_per_s: Option<f64>,
    /// Payload bytes delivered per second.
    pub goodput_bytes_per_s: Option<f64>,
    /// PUBLISH packets and their acknowledgements by type and direction, as this stage's QoS has them (`publish_out`,
    /// `puback_in`, …). A type is null where it is not known exactly, because retained, refused, corrupt or foreign
    /// messages blur it. Null for `mqbench conn` and `mqbench echo`.
    pub packets: Option<BTreeMap<String, Option<u64>>>,
}

/// Which sides of a stage exist, and so what was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// Something publishes.
    pub publishers: bool,
    /// Something publishes with QoS 1 or 2.
    pub acknowledged: bool,
    /// Something subscribes.
    pub subscribers: bool,
    /// Something answers.
    pub responders: bool,
    /// The QoS of what is published.
    pub qos: u8,
}

impl Sides {
    /// The sides of a plan.
    pub fn of(plan: &BenchPlan) -> Self {
        Self {
            publishers: plan.publishers > 0,
            acknowledged: plan.publishers > 0 && plan.qos != QoS::AtMostOnce,
            subscribers: plan.subscribers > 0,
            responders: plan.responders > 0,
            qos: plan.qos.number(),
        }
    }
}

impl Traffic {
    /// The traffic of counters, with rates over these times. `offered` is what the schedule had in the window.
    pub fn of(counters: &Counters, windows: RateWindows, sides: Sides, offered: Option<u64>) -> Self {
        let windows = windows.of_events(counters.sent, counters.acked, counters.delivered);
        let out = |count: u64| sides.publishers.then_some(count);
        let arrived = |count: u64| sides.subscribers.then_some(count);
        // Those of clients that only connect are not counted.
        let wire = |count: u64| (sides.publishers || sides.subscribers).then_some(count);
        let out_ns = if sides.publishers { windows.sent_ns } else { windows.all_ns };
        let in_ns = if sides.subscribers { windows.delivered_ns } else { windows.all_ns };
        let per_second = |count: Option<u64>, window_ns: u64| {
            let seconds = window_ns as f64 / 1e9;
            count.filter(|_| window_ns > 0).map(|count| rounded(count as f64 / seconds))
        };
        let acked = sides.acknowledged.then_some(counters.acked);
        let (bytes_out, bytes_in) = (wire(counters.wire_bytes_out), wire(counters.wire_bytes_in));
        let (payload_out, payload_in) = (out(counters.payload_bytes_out), arrived(counters.payload_bytes_in));
        Self {
            offered_per_s: per_second(offered, windows.all_ns),
            sent_per_s: per_second(out(counters.sent), windows.sent_ns),
            acked_per_s: per_second(acked, windows.acked_ns),
            delivered_per_s: per_second(arrived(counters.delivered), windows.delivered_ns),
            offered,
            sent: out(counters.sent),
            sent_again: None,
            acked,
            delivered: arrived(counters.delivered),
            skipped: offered.map(|_| counters.skipped),
            held_back: offered.map(|_| counters.held_back),
            bytes_out,
            bytes_in,
            payload_bytes_out: payload_out,
            payload_bytes_in: payload_in,
            bytes_out_per_s: per_second(bytes_out, out_ns),
            bytes_in_per_s: per_second(bytes_in, in_ns),
            payload_out_per_s: per_second(payload_out, windows.sent_ns),
            goodput_bytes_per_s: per_second(payload_in, windows.delivered_ns),
            // The packets of responders are not counted.
            packets: (!sides.responders && (sides.publishers || sides.subscribers)).then(|| packets(counters, sides)),
        }
    }
}

/// Packets by type, from counts that are there anyway.
fn packets(counters: &Counters, sides: Sides) -> BTreeMap<String, Option<u64>> {
    let publish_in = counters.delivered + counters.foreign + counters.corrupt_in;
    let mut packets = BTreeMap::new();
    let mut enter = |name: &str, count: Option<u64>| {
        packets.insert(name.to_owned(), count);
    };
    if sides.publishers {
        enter("publish_out", Some(counters.sent));
        match sides.qos {
            0 => {}
            1 => enter("puback_in", Some(counters.acked + counters.refusals_in)),
            _ => {
                enter("pubrec_in", Some(counters.pubrec_in));
                enter("pubrel_out", Some(counters.pubrel_out));
                enter("pubcomp_in", Some(counters.pubcomp_in));
            }
        }
    }
    if sides.subscribers {
        enter("publish_in", Some(publish_in).filter(|_| counters.retained == 0));
        match sides.qos {
            0 => {}
            // What others publish may have any QoS.
            1 => enter("puback_out", Some(publish_in).filter(|_| sides.publishers && counters.foreign == 0)),
            _ => {
                enter("pubrec_out", Some(counters.pubrec_out));
                enter("pubrel_in", Some(counters.pubrel_in));
                enter("pubcomp_out", Some(counters.pubcomp_out));
            }
        }
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_is_not_known_exactly_is_null() {
        let counters = Counters { sent: 10, acked: 9, delivered: 8, ..Counters::default() };
        let of = |counters: &Counters, qos, publishers| {
            let sides = Sides { publishers, acknowledged: qos > 0, subscribers: true, responders: false, qos };
            let packets = packets(counters, sides);
            packets.into_iter().map(|(name, count)| format!("{name} {count:?}")).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(of(&counters, 0, true), "publish_in Some(8), publish_out Some(10)");
        let all = "puback_in Some(9), puback_out Some(8), publish_in Some(8), publish_out Some(10)";
        assert_eq!(of(&counters, 1, true), all);
        assert_eq!(of(&counters, 1, false), "puback_out None, publish_in Some(8)");
        assert!(of(&Counters { pubcomp_in: 7, ..counters.clone() }, 2, true).contains("pubcomp_in Some(7)"));
        assert!(of(&Counters { retained: 1, ..counters.clone() }, 0, false).contains("publish_in None"));
        // Those of another's, and spoilt and refused ones, by when they came.
        let more = Counters { corrupt_in: 1, foreign: 2, refusals_in: 3, ..counters.clone() };
        let all = "puback_in Some(12), puback_out None, publish_in Some(11), publish_out Some(10)";
        assert_eq!(of(&more, 1, true), all);
        let echo = Sides { publishers: true, acknowledged: true, subscribers: true, responders: true, qos: 1 };
        assert_eq!(Traffic::of(&counters, RateWindows::even(1), echo, None).packets, None);
    }
}
