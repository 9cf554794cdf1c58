//! What a broker on this machine uses, read from /proc by its process number (`--broker-pid`).

use std::io;

/// What a process has used up to now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessUse {
    /// Its name, at most 15 bytes as the kernel keeps it.
    pub name: String,
    /// CPU time since it began, user and system, nanoseconds; the kernel counts in steps of (mostly) 10 ms.
    pub cpu_ns: u64,
    /// Resident memory, bytes.
    pub rss_bytes: Option<u64>,
}

impl ProcessUse {
    /// What was used since an earlier look; the memory is that of now.
    pub fn since(&self, earlier: &Self) -> Self {
        Self { cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns), ..self.clone() }
    }
}

/// Reads what a process has used.
///
/// # Errors
/// When there is no such process, or the system does not tell (anything but Linux).
#[cfg(target_os = "linux")]
pub fn process_use(pid: u32) -> io::Result<ProcessUse> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => io::Error::new(error.kind(), "there is no such process on this machine"),
        _ => error,
    })?;
    let ticks_per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)
        .ok()
        .flatten()
        .and_then(|ticks| u64::try_from(ticks).ok());
    let mut used = parse_stat(&stat, ticks_per_second.filter(|ticks| *ticks > 0).unwrap_or(100))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its /proc entry cannot be read"))?;
    used.rss_bytes = super::engine::process::resident_bytes_of(&pid.to_string());
    Ok(used)
}

/// Not told here.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn process_use(_pid: u32) -> io::Result<ProcessUse> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system does not tell; it works on Linux"))
}

/// proc(5): the name stands in parentheses and may hold some itself; utime and stime are fields 14 and 15.
#[cfg(target_os = "linux")]
fn parse_stat(stat: &str, ticks_per_second: u64) -> Option<ProcessUse> {
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let total = ticks()?.checked_add(ticks()?)?;
    let cpu_ns = u128::from(total) * 1_000_000_000 / u128::from(ticks_per_second);
    Some(ProcessUse { name, cpu_ns: u64::try_from(cpu_ns).ok()?, rss_bytes: None })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let line = "42 (a) b (c)) S 1 1 1 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 1 0 9 1 2 18446744073709551615";
        let used = parse_stat(line, 100).unwrap();
        assert_eq!((used.name.as_str(), used.cpu_ns), ("a) b (c)", 4_000_000_000));
        assert_eq!(parse_stat("42 (x", 100), None);
        assert_eq!(parse_stat("42 (x) S 1", 100), None);
    }

    #[test]
    fn this_process_is_found_and_nobody_is_not() {
        assert!(process_use(std::process::id()).unwrap().rss_bytes.unwrap() > 100_000);
        // Above the largest process number that Linux gives.
        assert!(process_use(u32::MAX).unwrap_err().to_string().contains("no such process"));
    }
}
