//! What this process and this thread have used: CPU time, context switches, memory.

/// CPU time in nanoseconds, and how often the CPU went to somebody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
    /// Context switches, asked for or not.
    pub switches: u64,
}

impl CpuTime {
    /// User and system time.
    pub const fn total_ns(self) -> u64 {
        self.user_ns + self.system_ns
    }

    /// The time of both.
    pub const fn plus(self, other: Self) -> Self {
        Self {
            user_ns: self.user_ns + other.user_ns,
            system_ns: self.system_ns + other.system_ns,
            switches: self.switches + other.switches,
        }
    }

    /// What was used since an earlier reading.
    pub const fn since(self, earlier: Self) -> Self {
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
    pub fn process_cpu() -> Option<CpuTime> {
        read(UsageWho::RUSAGE_SELF)
    }

    /// CPU time of the calling thread, where the system tells.
    pub fn thread_cpu() -> Option<CpuTime> {
        #[cfg(any(target_os = "linux", target_os = "freebsd"))]
        return read(UsageWho::RUSAGE_THREAD);
        #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
        None
    }

    /// How many files this process may open: now, and when it raises its limit.
    pub fn open_files() -> Option<(u64, u64)> {
        getrlimit(Resource::RLIMIT_NOFILE).ok()
    }

    /// Raises the limit of open files as far as this user may, and says what it is then.
    pub fn raise_open_files() -> Option<u64> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
            return Some(hard);
        }
        Some(soft)
    }
}

#[cfg(unix)]
pub use unix::{open_files, process_cpu, raise_open_files, thread_cpu};

/// CPU time of the whole process.
#[cfg(not(unix))]
pub fn process_cpu() -> Option<CpuTime> {
    None
}

/// CPU time of the calling thread.
#[cfg(not(unix))]
pub fn thread_cpu() -> Option<CpuTime> {
    None
}

/// How many files this process may open.
#[cfg(not(unix))]
pub fn open_files() -> Option<(u64, u64)> {
    None
}

/// The limit of open files.
#[cfg(not(unix))]
pub fn raise_open_files() -> Option<u64> {
    None
}

/// Resident memory in bytes, where the system tells (Linux).
pub fn resident_bytes() -> Option<u64> {
    resident_bytes_of("self")
}

/// The same of another process, by its number.
pub fn resident_bytes_of(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
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
}
