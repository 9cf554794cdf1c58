//! What the doctor knows of this machine: its limits and facts, and what it measures of their state.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::bench::engine;
use crate::bench::system::{EnvironmentFacts, Limits, MachineCounters, read_text};

/// How long the CPU usage is observed.
const OBSERVATION: Duration = Duration::from_millis(500);

/// Sleeps of one millisecond whose lateness is measured.
const SLEEPS: usize = 200;

/// Clock reads whose cost is measured.
const CLOCK_READS: u32 = 20_000;

/// The machine, as far as the system reports.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Machine {
    pub(super) limits: Limits,
    pub(super) state: State,
    pub(super) facts: EnvironmentFacts,
}

/// What affects a measurement.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    pub(super) clock_sources: Vec<String>,
    /// Nanoseconds.
    pub(super) clock_read_ns: Option<f64>,
    /// CPU time used before any load, percent of all cores.
    pub(super) busy_pct: Option<f64>,
    /// CPU time that the hypervisor took, percent.
    pub(super) steal_pct: Option<f64>,
    /// p99 of how late a sleep of a millisecond ends, nanoseconds.
    pub(super) timer_p99_ns: Option<u64>,
}

impl Machine {
    /// Reads what the system reports and measures the rest; takes about a second.
    pub(super) async fn measure() -> Self {
        let sources = read_text("/sys/devices/system/clocksource/clocksource0/available_clocksource");
        let before = MachineCounters::read();
        tokio::time::sleep(OBSERVATION).await;
        let used = MachineCounters::read().since(before);
        let mut late = engine::sleep_lateness(Duration::from_millis(1), SLEEPS).await.unwrap_or_default();
        late.sort_unstable();
        Self {
            limits: Limits::read(),
            state: State {
                clock_sources: sources
                    .map(|text| text.split_whitespace().map(str::to_owned).collect())
                    .unwrap_or_default(),
                clock_read_ns: Some(clock_read_ns()),
                busy_pct: used.busy_pct(),
                steal_pct: used.steal_pct(),
                timer_p99_ns: late.get(late.len() * 99 / 100).copied(),
            },
            facts: EnvironmentFacts::read(),
        }
    }
}

fn clock_read_ns() -> f64 {
    let started = Instant::now();
    for _ in 0..CLOCK_READS {
        black_box(Instant::now());
    }
    started.elapsed().as_nanos() as f64 / f64::from(CLOCK_READS)
}
