//! Facts about this machine for the result document.

use std::fs;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::Limits;
use super::{field, process, read_text};

/// The machine that generated the load, as a result document has it. What the system does not report is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnvironmentFacts {
    /// Name of the machine.
    pub host: Option<String>,
    /// Operating system and processor type, as `linux x86_64`.
    pub os: Option<String>,
    /// Version of the kernel.
    pub kernel: Option<String>,
    /// The processor's name.
    pub cpu_model: Option<String>,
    /// Processors that this process may use.
    pub cores: Option<u64>,
    /// CPU time that control groups leave this process, in processors; null where nothing limits it.
    pub cpu_quota_cores: Option<f64>,
    /// Memory of the machine.
    pub mem_bytes: Option<u64>,
    /// Of it, what is available without swapping.
    pub mem_available_bytes: Option<u64>,
    /// The virtual machine's product name, or `yes`; null on a machine that is none.
    pub virt: Option<String>,
    /// The kernel's clock source.
    pub clocksource: Option<String>,
    /// How the processor's frequency is chosen.
    pub governor: Option<String>,
    /// Files that this process may open.
    pub nofile: Option<u64>,
    /// Connections that may wait to be accepted by a broker on this machine.
    pub somaxconn: Option<u64>,
    /// First and last local port.
    pub ip_port_range: Option<[u64; 2]>,
    /// Whether it runs in a container, as far as one can see.
    pub container: Option<bool>,
}

impl EnvironmentFacts {
    /// Reads them, most of them on Linux only. Raises the limit of open files, so that `nofile` is what a run has.
    pub fn read() -> Self {
        let limits = Limits::read();
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
            cpu_quota_cores: limits.quota.map(|quota| quota.cores),
            mem_available_bytes: limits.memory,
            somaxconn: limits.somaxconn,
            mem_bytes: memory.and_then(|text| Some(text.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)),
            virt: is_virtual.then(|| read_text("/sys/class/dmi/id/product_name").unwrap_or_else(|| "yes".to_owned())),
            clocksource: read_text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            governor: read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            nofile: process::raise_open_files(),
            ip_port_range: limits.ports.map(|(first, last)| [first, last]),
            container: Some(
                ["/.dockerenv", "/run/.containerenv"].into_iter().any(|file| fs::exists(file).unwrap_or(false)),
            ),
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
