//! What the system allows: files, ports, memory, CPU time. What it does not report is `None`.

use serde::{Deserialize, Serialize};

use super::cgroup::{CpuGroups, Quota};
use super::{field, process, read_text};

/// The limits of this process and machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Limits {
    /// Files that this process may open: now, and when it raises its limit.
    pub files: Option<(u64, u64)>,
    /// Files that all processes together may still open.
    pub files_left: Option<u64>,
    /// Most files that an administrator may allow a process.
    pub nr_open: Option<u64>,
    /// First and last local port.
    pub ports: Option<(u64, u64)>,
    /// Ports of the range that are reserved.
    pub reserved_ports: u64,
    /// Connections that may wait to be accepted.
    pub somaxconn: Option<u64>,
    /// Memory available without swapping, bytes.
    pub memory: Option<u64>,
    /// The smallest CPU quota of this process's control groups; the facts about the machine have its size.
    #[serde(skip)]
    pub quota: Option<Quota>,
}

impl Limits {
    /// Reads them.
    pub(crate) fn read() -> Self {
        let number = |path| read_text(path)?.parse().ok();
        let ports = read_text("/proc/sys/net/ipv4/ip_local_port_range").and_then(|text| port_range(&text));
        let reserved = read_text("/proc/sys/net/ipv4/ip_local_reserved_ports").unwrap_or_default();
        Self {
            files: process::open_files(),
            files_left: read_text("/proc/sys/fs/file-nr").and_then(|text| files_left(&text)),
            nr_open: number("/proc/sys/fs/nr_open"),
            reserved_ports: ports.map_or(0, |ports| reserved_in(&reserved, ports)),
            ports,
            somaxconn: number("/proc/sys/net/core/somaxconn"),
            memory: read_text("/proc/meminfo").and_then(|text| available_memory(&text)),
            quota: CpuGroups::of_this_process().quota(),
        }
    }
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
