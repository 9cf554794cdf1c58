//! CPU time, context switches and memory of this process, this thread and another process; how many files may be open.

use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// CPU time in nanoseconds, and context switches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
    /// Context switches, asked for or not.
    pub switches: u64,
}

impl CpuTime {
    /// User and system time.
    pub(crate) const fn total_ns(self) -> u64 {
        self.user_ns + self.system_ns
    }

    /// The time of both.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            user_ns: self.user_ns + other.user_ns,
            system_ns: self.system_ns + other.system_ns,
            switches: self.switches + other.switches,
        }
    }

    /// What was used since an earlier reading.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            user_ns: self.user_ns.saturating_sub(earlier.user_ns),
            system_ns: self.system_ns.saturating_sub(earlier.system_ns),
            switches: self.switches.saturating_sub(earlier.switches),
        }
    }
}

#[cfg(unix)]
mod unix {
    use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
    use nix::sys::time::TimeVal;

    use super::CpuTime;

    fn read(who: UsageWho) -> Option<CpuTime> {
        let ns =
            |time: TimeVal| u64::try_from(time.tv_sec() * 1_000_000_000 + time.tv_usec() * 1_000).unwrap_or_default();
        let usage = getrusage(who).ok()?;
        let switches = usage.voluntary_context_switches() + usage.involuntary_context_switches();
        Some(CpuTime {
            user_ns: ns(usage.user_time()),
            system_ns: ns(usage.system_time()),
            switches: u64::try_from(switches).unwrap_or_default(),
        })
    }

    /// CPU time of the whole process.
    pub(crate) fn process_cpu() -> Option<CpuTime> {
        read(UsageWho::RUSAGE_SELF)
    }

    /// CPU time of the calling thread, on Linux and FreeBSD.
    pub(crate) fn thread_cpu() -> Option<CpuTime> {
        #[cfg(any(target_os = "linux", target_os = "freebsd"))]
        return read(UsageWho::RUSAGE_THREAD);
        #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
        None
    }

    /// How many files this process may open: now, and when it raises its limit.
    pub(crate) fn open_files() -> Option<(u64, u64)> {
        getrlimit(Resource::RLIMIT_NOFILE).ok()
    }

    /// Raises the limit of open files as far as this user may, and returns it.
    pub(crate) fn raise_open_files() -> Option<u64> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
            return Some(hard);
        }
        Some(soft)
    }
}

#[cfg(unix)]
pub(crate) use unix::{open_files, process_cpu, raise_open_files, thread_cpu};

/// CPU time of the whole process.
#[cfg(not(unix))]
pub(crate) fn process_cpu() -> Option<CpuTime> {
    None
}

/// CPU time of the calling thread.
#[cfg(not(unix))]
pub(crate) fn thread_cpu() -> Option<CpuTime> {
    None
}

/// How many files this process may open.
#[cfg(not(unix))]
pub(crate) fn open_files() -> Option<(u64, u64)> {
    None
}

/// The limit of open files.
#[cfg(not(unix))]
pub(crate) fn raise_open_files() -> Option<u64> {
    None
}

/// Resident memory in bytes, on Linux.
pub(crate) fn resident_bytes() -> Option<u64> {
    resident_bytes_of("self")
}

fn resident_bytes_of(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// What a process, such as a broker on this machine (`--broker-pid`), has used up to now, or since an earlier reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessUse {
    /// Its name, at most 15 bytes as the kernel keeps it.
    pub name: String,
    /// CPU time, user and system, nanoseconds; the kernel counts in steps of (mostly) 10 ms.
    pub cpu_ns: u64,
    /// The same as a share of the time in which it was used, percent of one core; set by who knows that time.
    pub cpu_pct: Option<f64>,
    /// Resident memory at the end, bytes.
    pub rss_bytes: Option<u64>,
    /// When it was started, in the kernel's clock: another process may have its number later.
    #[serde(skip)]
    pub(crate) started: u64,
}

impl ProcessUse {
    /// What was used since an earlier reading; the memory is that of now.
    pub fn since(&self, earlier: &Self) -> Self {
        Self { cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns), ..self.clone() }
    }
}

/// Reads what a process has used, all its threads together.
///
/// # Errors
/// When there is no such process or it has ended, and always on systems other than Linux.
#[cfg(target_os = "linux")]
pub(crate) fn process_use(pid: u32) -> io::Result<ProcessUse> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::new(error.kind(), "there is no such process on this machine"),
        _ => error,
    })?;
    let ticks_per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)
        .ok()
        .flatten()
        .and_then(|ticks| u64::try_from(ticks).ok());
    let mut used = parse_stat(&stat, ticks_per_second.filter(|ticks| *ticks > 0).unwrap_or(100))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it has ended, or its /proc entry cannot be read"))?;
    used.rss_bytes = resident_bytes_of(&pid.to_string());
    Ok(used)
}

/// Not available on this system.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub(crate) fn process_use(_pid: u32) -> io::Result<ProcessUse> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only available on Linux"))
}

/// proc(5): the name stands in parentheses and may hold some itself; the state is field 3, utime and stime are 14 and
/// 15, the time of the start is 22. None for a process that has ended and that its parent has not collected yet.
#[cfg(target_os = "linux")]
fn parse_stat(stat: &str, ticks_per_second: u64) -> Option<ProcessUse> {
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if matches!(fields.first(), None | Some(&"Z" | &"X")) {
        return None;
    }
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let total = ticks(14)?.checked_add(ticks(15)?)?;
    let cpu_ns = u128::from(total) * 1_000_000_000 / u128::from(ticks_per_second);
    let (cpu_ns, started) = (u64::try_from(cpu_ns).ok()?, ticks(22)?);
    Some(ProcessUse { name, cpu_ns, started, ..ProcessUse::default() })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn work_takes_cpu_time_and_memory() {
        let before = process_cpu().unwrap();
        let mut sum = 0u64;
        while process_cpu().unwrap().since(before).total_ns() == 0 {
            sum = (0..100_000u64).fold(sum, |sum, number| std::hint::black_box(sum ^ number));
        }
        assert!(thread_cpu().unwrap().total_ns() <= process_cpu().unwrap().total_ns());
        assert!(resident_bytes().unwrap() > 100_000);
    }

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let line = "42 (a) b (c)) S 1 1 1 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 1 0 9 1 2 18446744073709551615";
        let used = parse_stat(line, 100).unwrap();
        assert_eq!((used.name.as_str(), used.cpu_ns, used.started), ("a) b (c)", 4_000_000_000, 9));
        assert_eq!(parse_stat(&line.replace(" S 1 1 1", " Z 1 1 1"), 100), None, "it has ended");
        assert_eq!(parse_stat("42 (x", 100), None);
        assert_eq!(parse_stat("42 (x) S 1", 100), None);
    }

    #[test]
    fn this_process_is_found_and_a_missing_one_is_not() {
        assert!(process_use(std::process::id()).unwrap().rss_bytes.unwrap() > 100_000);
        // Above the largest process number that Linux gives.
        assert!(process_use(u32::MAX).unwrap_err().to_string().contains("no such process"));
    }
}
