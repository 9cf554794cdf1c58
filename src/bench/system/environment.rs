//! Facts about this machine for the result document.

use std::fs;

use serde::{Deserialize, Serialize};

use super::{field, process, read_text};

/// The machine that generated the load, as a result document has it. What the system does not report is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentFacts {
    pub host: Option<String>,
    pub os: Option<String>,
    pub kernel: Option<String>,
    pub cpu_model: Option<String>,
    pub cores: Option<u64>,
    pub mem_bytes: Option<u64>,
    pub virt: Option<String>,
    pub clocksource: Option<String>,
    pub governor: Option<String>,
    pub nofile: Option<u64>,
    pub ip_port_range: Option<[u64; 2]>,
    pub container: Option<bool>,
    pub ntp_offset_ns: Option<i64>,
}

impl EnvironmentFacts {
    /// Reads them, most of them on Linux only. Raises the limit of open files, so that `nofile` is what a run has.
    pub fn read() -> Self {
        let cpu_info = read_text("/proc/cpuinfo");
        let cpu_model = cpu_info.as_deref().and_then(|text| field(text, "model name"));
        let is_virtual = cpu_info.as_deref().is_some_and(|text| text.contains(" hypervisor"));
        let memory = read_text("/proc/meminfo").as_deref().and_then(|text| field(text, "MemTotal"));
        Self {
            host: host(),
            os: Some(format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
            kernel: read_text("/proc/sys/kernel/osrelease"),
            cpu_model,
            cores: std::thread::available_parallelism().ok().map(|cores| cores.get() as u64),
            mem_bytes: memory.and_then(|text| Some(text.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)),
            virt: is_virtual.then(|| read_text("/sys/class/dmi/id/product_name").unwrap_or_else(|| "yes".to_owned())),
            clocksource: read_text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            governor: read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            nofile: process::raise_open_files(),
            ip_port_range: read_text("/proc/sys/net/ipv4/ip_local_port_range").and_then(|text| {
                let mut bounds = text.split_whitespace().filter_map(|bound| bound.parse().ok());
                Some([bounds.next()?, bounds.next()?])
            }),
            container: Some(fs::exists("/.dockerenv").unwrap_or(false)),
            ntp_offset_ns: None,
        }
    }
}

#[cfg(unix)]
fn host() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

#[cfg(not(unix))]
fn host() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}
