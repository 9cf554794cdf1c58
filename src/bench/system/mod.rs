//! What this process and machine are, may use and have used, as the operating system reports it. The lowest room: it
//! uses none of the others.

mod cgroup;
mod environment;
mod limits;
mod listener;
mod machine;
mod process;

pub(super) use cgroup::{CpuGroups, Quota, Throttling};
pub(super) use environment::EnvironmentFacts;
pub(super) use limits::Limits;
pub(super) use listener::listener;
pub(super) use machine::MachineCounters;
pub(super) use process::{CpuTime, ProcessUse, process_cpu, process_use, raise_open_files, resident_bytes, thread_cpu};

/// A file of the system as text, trimmed; `None` when it is missing or empty.
pub(super) fn read_text(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The value of the first `name: value` line.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
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
