//! The cost of recording a message as a subscriber does it: reading its stamp, entering it in the ledger of its stream,
//! and its latency in a histogram. Pure computation, measured in a loop.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::bench::measure::{Recorder, Stamp, StreamLedger, unwrap_sequence};

/// Messages per pass; they fit into the second-level cache, as those of a read do.
const MESSAGES: u32 = 4096;

/// About how long one measurement takes.
const SPAN: Duration = Duration::from_millis(100);

/// Nanoseconds per message: the best of three measurements, since other load can only add to it.
pub(super) fn cost_ns() -> f64 {
    (0..3).map(|_| measure()).fold(f64::INFINITY, f64::min)
}

fn measure() -> f64 {
    let payloads: Vec<_> = (0..MESSAGES).map(|sequence| stamp(sequence).encode()).collect();
    let mut recorder = Recorder::default();
    recorder.latency.e2e.prepare();
    let started = Instant::now();
    let mut messages = 0;
    while started.elapsed() < SPAN {
        let mut ledger = StreamLedger::new();
        for (number, payload) in (0u64..).zip(&payloads) {
            let Some(stamp) = Stamp::decode(black_box(payload)) else { continue };
            let sequence = unwrap_sequence(stamp.sequence, ledger.next());
            let arrival = ledger.observe(sequence, false, true);
            recorder.counters.delivered += 1;
            recorder.counters.payload_bytes_in += payload.len() as u64;
            // A read has one arrival time; its latencies differ by the distances of its messages.
            recorder.latency.e2e.record_between(stamp.intended_ns, 2_000_000 + number / 64 * 6_400);
            black_box(arrival);
        }
        messages += u64::from(MESSAGES);
        black_box(&mut recorder);
    }
    started.elapsed().as_nanos() as f64 / messages as f64
}

/// Stamps of messages that take 100 µs to 2 ms.
fn stamp(sequence: u32) -> Stamp {
    Stamp { run: 1, stream: 2, sequence, intended_ns: u64::from(sequence.wrapping_mul(2_654_435_761) % 1_900_000) }
}
