//! What the system tells about its limits and its state: `/proc` and `/sys` as texts, and what is made of them.
//! Everything that is not told is `None`, and judged by nobody.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::bench::cgroup::{CpuGroups, Quota};
use crate::bench::engine::{self, MachineCounters, process};
use crate::bench::environment::{self, field};
use crate::bench::report::document::EnvironmentFacts;

/// How long the use of the processors is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Sleeps whose lateness is measured, a millisecond each.
const SLEEPS: usize = 200;

/// Reads of the clock whose cost is measured.
const CLOCK_READS: u32 = 20_000;

/// The machine as far as it tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Machine {
    pub(super) limits: Limits,
    pub(super) state: State,
    pub(super) facts: EnvironmentFacts,
}

/// What bounds a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// Files that this process may open: now, and at the most.
    pub(super) files: Option<(u64, u64)>,
    /// Files that all processes together may still open.
    pub(super) files_left: Option<u64>,
    /// Most files that an administrator may allow a process.
    pub(super) nr_open: Option<u64>,
    /// First and last local port.
    pub(super) ports: Option<(u64, u64)>,
    /// Ports of the range that are not given away.
    pub(super) reserved_ports: u64,
    /// Connections that may wait to be accepted.
    pub(super) somaxconn: Option<u64>,
    /// Memory that can be had without swapping, bytes.
    pub(super) memory: Option<u64>,
    /// CPU time that control groups leave this process.
    pub(super) quota: Option<Quota>,
}

/// What disturbs a measurement.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    pub(super) clock_sources: Vec<String>,
    /// Nanoseconds.
    pub(super) clock_read_ns: Option<f64>,
    /// Time of all processors that was used before any load, percent.
    pub(super) busy_pct: Option<f64>,
    /// Time that the hypervisor took, percent.
    pub(super) steal_pct: Option<f64>,
    /// p99 of how late a sleep of a millisecond ends, nanoseconds.
    pub(super) timer_p99_ns: Option<u64>,
}

impl Limits {
    /// Asks the system.
    pub(super) fn read() -> Self {
        let number = |path| environment::read(path)?.parse().ok();
        let ports = environment::read("/proc/sys/net/ipv4/ip_local_port_range").and_then(|text| port_range(&text));
        let reserved = environment::read("/proc/sys/net/ipv4/ip_local_reserved_ports").unwrap_or_default();
        Self {
            files: process::open_files(),
            files_left: environment::read("/proc/sys/fs/file-nr").and_then(|text| files_left(&text)),
            nr_open: number("/proc/sys/fs/nr_open"),
            reserved_ports: ports.map_or(0, |ports| reserved_in(&reserved, ports)),
            ports,
            somaxconn: number("/proc/sys/net/core/somaxconn"),
            memory: environment::read("/proc/meminfo").and_then(|text| available_memory(&text)),
            quota: CpuGroups::of_this_process().quota(),
        }
    }
}

impl Machine {
    /// Asks the system and measures what it does not tell; takes about a second.
    pub(super) async fn measure() -> Self {
        let sources = environment::read("/sys/devices/system/clocksource/clocksource0/available_clocksource");
        let before = MachineCounters::read();
        tokio::time::sleep(LOOK).await;
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
            facts: environment::facts(),
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

/// `first last`.
fn port_range(text: &str) -> Option<(u64, u64)> {
    let mut bounds = text.split_whitespace().map(str::parse);
    let range = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    (range.0 <= range.1).then_some(range)
}

/// How many ports of a list as `8080,9148-9150` lie in a range.
fn reserved_in(list: &str, (first, last): (u64, u64)) -> u64 {
    let ranges = list.trim().split(',').filter_map(|range| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let (from, to): (u64, u64) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        Some((from.max(first), to.min(last)))
    });
    ranges.map(|(from, to)| (to + 1).saturating_sub(from)).sum()
}

/// `/proc/sys/fs/file-nr`: allocated, unused, most.
fn files_left(text: &str) -> Option<u64> {
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let (used, _, most) = (numbers.next()?.ok()?, numbers.next()?, numbers.next()?.ok()?);
    Some(most.saturating_sub(used))
}

/// `MemAvailable` of `/proc/meminfo`, bytes.
fn available_memory(text: &str) -> Option<u64> {
    Some(field(text, "MemAvailable")?.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_range_is_read_and_reserved_ports_are_counted_in_it() {
        assert_eq!(port_range("32768\t60999\n"), Some((32_768, 60_999)));
        for garbage in ["", "1", "a b", "9 8"] {
            assert_eq!(port_range(garbage), None, "{garbage}");
        }
        let range = (32_768, 60_999);
        assert_eq!(reserved_in("8080,40000,40010-40019,60990-61010\n", range), 1 + 10 + 10);
        assert_eq!((reserved_in("\n", range), reserved_in("x,9-,5-1", range)), (0, 0));
    }

    #[test]
    fn files_and_memory_are_read() {
        assert_eq!(files_left("1984\t0\t9223372036854775807\n"), Some(9_223_372_036_854_775_807 - 1984));
        assert_eq!(files_left("5\t0\t3"), Some(0));
        assert_eq!(files_left("5"), None);
        let text = "MemTotal:       16384000 kB\nMemFree:         1024 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(available_memory(text), Some(2048 * 1024));
        assert_eq!(available_memory("MemTotal: 1 kB"), None);
    }
}
