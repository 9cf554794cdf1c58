//! The checks: what the plan needs against what the machine has, with the commands that fix it.

use serde::{Deserialize, Serialize};

use super::machine::{Machine, State};
use super::need::Need;
use crate::bench::system::{EnvironmentFacts, Limits, Quota};
use crate::terminal::number::{bytes, counted, duration, grouped, percent};

/// A clock read that takes longer than this matters where every message needs one, nanoseconds.
const CLOCK_READ_NS: f64 = 100.0;
/// CPU time taken by the hypervisor that affects a run, percent (as in the verdict of a run).
const STEAL_PCT: f64 = 2.0;
/// CPU time used by other processes that affects a run, percent of all cores.
const BUSY_PCT: f64 = 10.0;
/// Timers later than this show in latencies, nanoseconds.
const TIMER_NS: u64 = 200_000;
/// The share of a limit above which it is near, percent.
pub(in crate::bench) const NEAR_PCT: u64 = 80;
/// Ports from 1024 on.
const MOST_PORTS: u64 = 64_512;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Enough.
    Ok,
    /// The plan can run; its figures may suffer.
    Warn,
    /// The plan cannot run.
    Fail,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Check {
    /// The name, for people and scripts.
    pub(super) name: String,
    pub(super) level: Level,
    /// What was found, and what is needed.
    pub(super) found: String,
    /// Commands that fix it.
    pub(super) remedies: Vec<String>,
}

impl Check {
    fn new(name: &str, level: Level, found: String) -> Self {
        Self { name: name.to_owned(), level, found, remedies: Vec::new() }
    }

    /// Adds a command, unless everything is fine.
    fn fix(mut self, command: impl Into<String>) -> Self {
        if self.level > Level::Ok {
            self.remedies.push(command.into());
        }
        self
    }
}

/// The limits that a plan needs; only these checks can fail.
pub(super) fn limits(need: &Need, limits: &Limits) -> Vec<Check> {
    [files(need, limits), all_files(need, limits), ports(need, limits), memory(need, limits)]
        .into_iter()
        .flatten()
        .collect()
}

pub(super) fn all(need: &Need, machine: &Machine) -> Vec<Check> {
    let mut checks = limits(need, &machine.limits);
    checks.extend(backlog(need, &machine.limits));
    checks.extend(processors(need, &machine.facts));
    checks.extend(quota(need, &machine.limits));
    checks.extend(clock(&machine.state, &machine.facts));
    checks.extend(governor(&machine.facts));
    checks.extend(virtualisation(&machine.facts));
    checks.extend(usage(&machine.state));
    checks.extend(timer(need, &machine.state, &machine.facts));
    checks
}

/// Enough, near, or beyond.
fn level(needed: u64, there: u64) -> Level {
    if needed > there {
        Level::Fail
    } else if needed.saturating_mul(100) > there.saturating_mul(NEAR_PCT) {
        Level::Warn
    } else {
        Level::Ok
    }
}

fn files(need: &Need, limits: &Limits) -> Option<Check> {
    let (soft, hard) = limits.files?;
    let level = level(need.files, hard);
    // mqbench raises the soft limit itself.
    let raised = if soft < hard { format!(" ({} before mqbench raises it)", grouped(soft)) } else { String::new() };
    let found = format!("{} for this process{raised}; the plan needs {}", grouped(hard), grouped(need.files));
    let mut check = Check::new("open files", level, found);
    let wanted = (need.files * 5 / 4).next_multiple_of(1024);
    if limits.nr_open.is_some_and(|nr_open| wanted > nr_open) {
        check = check.fix(format!("sudo sysctl -w fs.nr_open={wanted}"));
    }
    Some(check.fix(format!("sudo prlimit --pid $$ --nofile={wanted}:{wanted}   # in this shell")))
}

fn all_files(need: &Need, limits: &Limits) -> Option<Check> {
    let left = limits.files_left?;
    // Both ends are on this machine if the broker is.
    let needed = need.files + if need.same_host && !need.embedded { need.clients } else { 0 };
    let level = level(needed, left);
    if level == Level::Ok {
        return None;
    }
    let found = format!("{} left for all processes; the plan needs {}", grouped(left), grouped(needed));
    let wanted = (needed * 2).next_multiple_of(1024);
    Some(Check::new("files of the system", level, found).fix(format!("sudo sysctl -w fs.file-max={wanted}")))
}

fn ports(need: &Need, limits: &Limits) -> Option<Check> {
    let paths = need.paths?;
    let (first, last) = limits.ports?;
    let each = (last + 1 - first).saturating_sub(limits.reserved_ports);
    let level = level(need.clients, each.saturating_mul(paths));
    let mut found = format!("{} from {first} to {last} per source address and target", grouped(each));
    if limits.reserved_ports > 0 {
        found.push_str(&format!(", {} reserved", grouped(limits.reserved_ports)));
    }
    if paths > 1 {
        found.push_str(&format!(", {} such pairs", grouped(paths)));
    }
    found.push_str(&format!("; the plan needs {}", grouped(need.clients)));
    let mut check = Check::new("local ports", level, found);
    if need.clients <= MOST_PORTS.saturating_mul(paths) && each < MOST_PORTS {
        check = check.fix("sudo sysctl -w net.ipv4.ip_local_port_range='1024 65535'");
    }
    let sources = need.clients.div_ceil(each.max(1));
    if sources > 1 && level == Level::Fail {
        check = check.fix(if need.loopback {
            format!("# or {sources} source addresses, used in turn: -A 127.0.0.1,127.0.0.2 and so on")
        } else {
            format!("sudo ip addr add 10.0.0.2/24 dev eth0   # or {sources} source addresses; pass them to -A")
        });
    }
    Some(check)
}

fn memory(need: &Need, limits: &Limits) -> Option<Check> {
    let there = limits.memory?;
    let level = level(need.memory, there);
    let both = if need.same_host { " (without the broker's own)" } else { "" };
    let found = format!(
        "{} available; {} about {}{both}",
        bytes(there as f64),
        counted(need.clients, "client needs", "clients need"),
        bytes(need.memory as f64)
    );
    let clients = (need.clients * there / need.memory.max(1)) * NEAR_PCT / 100;
    Some(Check::new("memory", level, found).fix(format!("mqbench --clients {clients}   # the maximum in total")))
}

fn backlog(need: &Need, limits: &Limits) -> Option<Check> {
    let somaxconn = limits.somaxconn.filter(|_| need.same_host)?;
    let at_once = need.at_once;
    let level = if at_once > somaxconn { Level::Warn } else { Level::Ok };
    let found =
        format!("{} connects may wait at the broker; up to {} are made at once", grouped(somaxconn), grouped(at_once));
    Some(Check::new("listen backlog", level, found).fix("sudo sysctl -w net.core.somaxconn=4096"))
}

fn processors(need: &Need, facts: &EnvironmentFacts) -> Option<Check> {
    let cores = facts.cores?;
    let level = if need.threads > cores { Level::Warn } else { Level::Ok };
    let found = format!("{cores}; the plan uses {}", counted(need.threads, "thread", "threads"));
    Some(Check::new("processors", level, found).fix(format!("mqbench --threads {cores}")))
}

/// A process that has used up its quota stands still until the period is over, mostly 100 ms.
fn quota(need: &Need, limits: &Limits) -> Option<Check> {
    let Quota { cores, file, lifted_by } = limits.quota.as_ref()?;
    // Next to the load's threads there are the main thread and an embedded broker.
    let threads = need.threads + 1 + u64::from(need.embedded);
    let level = if *cores < threads as f64 { Level::Warn } else { Level::Ok };
    let found = format!("a control group limits this process to {cores:.2} cores");
    Some(Check::new("CPU quota", level, found).fix(format!("echo {lifted_by} | sudo tee {}", file.display())))
}

fn clock(state: &State, facts: &EnvironmentFacts) -> Option<Check> {
    let cost = state.clock_read_ns?;
    let source = facts.clocksource.as_deref().unwrap_or("unknown source");
    let level = if cost > CLOCK_READ_NS { Level::Warn } else { Level::Ok };
    let check = Check::new("clock", level, format!("{source}, {cost:.0} ns per read"));
    let better = state.clock_sources.iter().find(|other| other.as_str() == "tsc" && source != "tsc");
    Some(match better {
        Some(better) => check
            .fix(format!("echo {better} | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource")),
        None => check,
    })
}

fn governor(facts: &EnvironmentFacts) -> Option<Check> {
    let governor = facts.governor.as_deref()?;
    let level = if governor == "performance" { Level::Ok } else { Level::Warn };
    Some(Check::new("governor", level, governor.to_owned()).fix("sudo cpupower frequency-set -g performance"))
}

fn virtualisation(facts: &EnvironmentFacts) -> Option<Check> {
    let found = match (&facts.virt, facts.container) {
        (Some(virt), _) => {
            // "yes" where the name is not known.
            let name = if virt == "yes" { String::new() } else { format!(" ({virt})") };
            format!("a virtual machine{name}: other guests of its host can take its CPU time")
        }
        (None, Some(true)) => "a container".to_owned(),
        (None, _) => return None,
    };
    Some(Check::new("virtualisation", Level::Ok, found))
}

fn usage(state: &State) -> impl Iterator<Item = Check> {
    let level = |share: f64, limit: f64| if share > limit { Level::Warn } else { Level::Ok };
    let steal = state.steal_pct.map(|share| {
        Check::new("steal", level(share, STEAL_PCT), format!("{} of the CPU time", percent(share)))
            .fix("# use another machine: no command can fix this")
    });
    let others = state.busy_pct.map(|share| {
        let found = format!("{} of all cores busy before any load", percent(share));
        Check::new("other load", level(share, BUSY_PCT), found).fix("top -o %CPU   # find and stop it")
    });
    steal.into_iter().chain(others)
}

fn timer(need: &Need, state: &State, facts: &EnvironmentFacts) -> Option<Check> {
    let p99 = state.timer_p99_ns?;
    let level = if p99 > TIMER_NS && need.paced { Level::Warn } else { Level::Ok };
    // A guest has no idle states to disable.
    let fix = if facts.virt.is_some() || state.busy_pct.is_some_and(|busy| busy > BUSY_PCT) {
        "top -o %CPU   # stop other programs: timers wait for a core"
    } else {
        "sudo cpupower idle-set -D 0   # disable deep idle states"
    };
    let found = format!("p99 {} late after a sleep of 1 ms", duration(p99));
    Some(Check::new("timer", level, found).fix(fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(clients: u64) -> Need {
        Need {
            clients,
            threads: 2,
            files: clients + 48,
            at_once: clients.min(128),
            paths: Some(1),
            memory: clients * 6_000,
            paced: true,
            ..Need::default()
        }
    }

    fn roomy() -> Limits {
        Limits {
            files: Some((1024, 1_048_576)),
            files_left: Some(u64::MAX),
            nr_open: Some(1_048_576),
            ports: Some((32_768, 60_999)),
            reserved_ports: 0,
            somaxconn: Some(4096),
            memory: Some(16 << 30),
            quota: None,
        }
    }

    fn failed(checks: &[Check]) -> Vec<&str> {
        checks.iter().filter(|check| check.level == Level::Fail).map(|check| check.name.as_str()).collect()
    }

    #[test]
    fn the_default_range_carries_28232_clients_and_not_one_more() {
        assert_eq!(failed(&limits(&need(28_232), &roomy())), Vec::<&str>::new());
        let checks = limits(&need(28_233), &roomy());
        assert_eq!(failed(&checks), ["local ports"]);
        let ports = checks.iter().find(|check| check.name == "local ports").unwrap();
        assert!(
            ports.found.contains("28,232 from 32768 to 60999") && ports.found.contains("28,233"),
            "{}",
            ports.found
        );
        assert_eq!(ports.remedies[0], "sudo sysctl -w net.ipv4.ip_local_port_range='1024 65535'");
        let reserved = Limits { reserved_ports: 1, ..roomy() };
        assert_eq!(failed(&limits(&need(28_232), &reserved)), ["local ports"]);
        let two_sources = Need { paths: Some(2), ..need(50_000) };
        assert_eq!(failed(&limits(&two_sources, &roomy())), Vec::<&str>::new());
        let unix = Need { paths: None, ..need(50_000) };
        assert_eq!(failed(&limits(&unix, &roomy())), Vec::<&str>::new(), "a unix socket has no ports");
    }

    #[test]
    fn files_count_against_the_hard_limit() {
        let tight = Limits { files: Some((256, 1024)), ..roomy() };
        assert_eq!(failed(&limits(&need(900), &tight)), Vec::<&str>::new(), "the soft limit is raised");
        let checks = limits(&need(1000), &tight);
        assert_eq!(failed(&checks), ["open files"]);
        assert_eq!(checks[0].remedies, ["sudo prlimit --pid $$ --nofile=2048:2048   # in this shell"]);
        let most = Limits { files: Some((256, 1024)), nr_open: Some(1024), ..roomy() };
        assert!(limits(&need(1000), &most)[0].remedies[0].contains("fs.nr_open=2048"));
        let none_left = Limits { files_left: Some(10), ..roomy() };
        assert_eq!(failed(&limits(&need(100), &none_left)), ["files of the system"]);
    }

    #[test]
    fn missing_memory_fails() {
        let small = Limits { memory: Some(1 << 20), ..roomy() };
        assert_eq!(failed(&limits(&need(1_000), &small)), ["memory"]);
        assert_eq!(limits(&need(1_000), &Limits::default()), [], "what is unknown is not judged");
    }

    #[test]
    fn what_only_affects_figures_warns_with_a_command() {
        let facts = EnvironmentFacts {
            cores: Some(1),
            clocksource: Some("hpet".into()),
            governor: Some("powersave".into()),
            ..EnvironmentFacts::default()
        };
        let state = State {
            clock_sources: vec!["hpet".into(), "tsc".into()],
            clock_read_ns: Some(800.0),
            busy_pct: Some(50.0),
            steal_pct: Some(7.0),
            timer_p99_ns: Some(900_000),
        };
        let file = "/sys/fs/cgroup/job/cpu.max".into();
        let quota = Some(Quota { cores: 2.5, file, lifted_by: "max" });
        let limits = Limits { somaxconn: Some(16), quota, ..roomy() };
        let checks = all(&Need { same_host: true, ..need(100) }, &Machine { limits, state, facts });
        let warned: Vec<&str> =
            checks.iter().filter(|check| check.level == Level::Warn).map(|check| check.name.as_str()).collect();
        assert_eq!(
            warned,
            ["listen backlog", "processors", "CPU quota", "clock", "governor", "steal", "other load", "timer"],
            "{checks:#?}"
        );
        for check in checks.iter().filter(|check| check.level == Level::Warn) {
            assert_eq!(check.remedies.len(), 1, "{check:?}");
        }
        assert_eq!(failed(&checks), Vec::<&str>::new());
    }
}
