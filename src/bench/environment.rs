//! What machine makes the load: facts for the result document, read from the system. What it does not tell stays empty.

use std::fs;

use super::report::document::EnvironmentFacts;

/// Reads what the system tells about itself (most of it on Linux only).
pub fn facts() -> EnvironmentFacts {
    let cpu_info = read("/proc/cpuinfo");
    let cpu_model = cpu_info.as_deref().and_then(|text| field(text, "model name"));
    let is_virtual = cpu_info.as_deref().is_some_and(|text| text.contains(" hypervisor"));
    let memory = read("/proc/meminfo").as_deref().and_then(|text| field(text, "MemTotal"));
    EnvironmentFacts {
        host: host(),
        os: Some(format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        kernel: read("/proc/sys/kernel/osrelease"),
        cpu_model,
        cores: std::thread::available_parallelism().ok().map(|cores| cores.get() as u64),
        mem_bytes: memory.and_then(|text| Some(text.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)),
        virt: is_virtual.then(|| read("/sys/class/dmi/id/product_name").unwrap_or_else(|| "yes".to_owned())),
        clocksource: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        nofile: super::engine::process::raise_open_files(),
        ip_port_range: read("/proc/sys/net/ipv4/ip_local_port_range").and_then(|text| {
            let mut bounds = text.split_whitespace().filter_map(|bound| bound.parse().ok());
            Some([bounds.next()?, bounds.next()?])
        }),
        container: Some(fs::exists("/.dockerenv").unwrap_or(false)),
        ntp_offset_ns: None,
    }
}

/// A file of the system as text, without the blanks around it; none when there is nothing.
pub(super) fn read(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The value of the first `name: value` line.
pub(super) fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

#[cfg(unix)]
fn host() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

#[cfg(not(unix))]
fn host() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_name() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t: fpu hypervisor\n";
        assert_eq!(field(text, "model name").as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(field(text, "flag"), None);
    }
}
