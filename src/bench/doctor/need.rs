//! What a plan needs from the machine.

use std::collections::BTreeSet;

use crate::bench::engine::concurrent_connects;
use crate::bench::plan::{BenchPlan, ClientKind, is_this_machine};
use crate::transport::Address;

/// Files next to the connections: standard streams, event loops and timers of the threads, results.
const OTHER_FILES: u64 = 32;
/// More of them per thread.
const FILES_PER_THREAD: u64 = 8;
/// User memory per client, rounded up.
const CLIENT_BYTES: u64 = 2 * 1024;
/// Kernel memory of one end of an idle TCP connection, about.
const SOCKET_BYTES: u64 = 4 * 1024;
/// User memory of a TLS connection, about.
const TLS_BYTES: u64 = 48 * 1024;
/// User memory of a message in flight.
const IN_FLIGHT_BYTES: u64 = 48;

/// Distinct pairs of a source address and a target.
fn paths(plan: &BenchPlan) -> u64 {
    let sources: BTreeSet<_> = plan.targets.sources().iter().collect();
    let targets: BTreeSet<String> = plan.targets.addresses().map(ToString::to_string).collect();
    // A proxy has one address, whatever its targets are.
    let targets = if plan.transport.proxy.is_some() { 1 } else { targets.len().max(1) };
    (sources.len().max(1) * targets) as u64
}

/// What a plan needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::bench) struct Need {
    pub(in crate::bench) clients: u64,
    pub(in crate::bench) threads: u64,
    pub(in crate::bench) files: u64,
    /// Pairs of source address and target, each with the whole range of ports. None where no ports are needed.
    pub(in crate::bench) paths: Option<u64>,
    /// Connects in progress at once.
    pub(in crate::bench) at_once: u64,
    pub(in crate::bench) memory: u64,
    /// The broker is on this machine.
    pub(in crate::bench) same_host: bool,
    /// It is in this process.
    pub(in crate::bench) embedded: bool,
    /// It is at a loopback address.
    pub(in crate::bench) loopback: bool,
    /// Messages are sent on a schedule.
    pub(in crate::bench) paced: bool,
}

impl Need {
    pub(in crate::bench) fn of(plan: &BenchPlan, embedded: bool) -> Self {
        let (clients, publishers) = (plan.own_clients() as u64, plan.own_count(ClientKind::Publisher) as u64);
        let same_host = plan.targets.addresses().any(is_this_machine);
        let is_tcp = matches!(plan.transport.address, Address::Tcp { .. });
        let payload = plan.payload.bytes(0, "", "").len() as u64;
        let ends = if same_host { 2 } else { 1 };
        let tls = if plan.transport.tls.is_some() { TLS_BYTES } else { 0 };
        let threads = plan.threads as u64;
        Self {
            clients,
            threads,
            // Both ends of each connection, where the broker is in this process.
            files: clients * if embedded { 2 } else { 1 } + OTHER_FILES + FILES_PER_THREAD * threads,
            paths: is_tcp.then(|| paths(plan)),
            at_once: clients.min(threads * concurrent_connects(plan) as u64),
            memory: clients * (CLIENT_BYTES + tls + ends * SOCKET_BYTES)
                + publishers * (payload + u64::from(plan.window) * IN_FLIGHT_BYTES),
            same_host,
            embedded,
            loopback: same_host && is_tcp,
            paced: plan.stages.iter().any(|stage| stage.model != crate::bench::plan::LoadModel::ClosedLoop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::from_options::tests::plan_of;

    #[test]
    fn each_verb_has_its_needs() {
        let need = |words: &[&str]| Need::of(&plan_of(words).unwrap(), false);
        let conn = need(&["doctor", "conn", "--clients", "20000", "--connect-rate", "1k", "--hold", "60s"]);
        assert_eq!((conn.clients, conn.at_once), (20_000, 1024 * conn.threads));
        assert_eq!(conn, need(&["conn", "--clients", "20000", "--connect-rate", "1k", "--hold", "60s"]));
        assert_eq!(need(&["doctor", "pub", "--clients", "7"]).clients, 7);
        assert_eq!(need(&["doctor", "sub", "--clients", "7", "-t", "a"]).clients, 7);
        assert_eq!(need(&["doctor", "echo", "--clients", "7"]).clients, 21);
        assert_eq!(need(&["doctor", "--clients", "7"]).clients, 14);
        assert_eq!(need(&["--clients", "5000"]).at_once, 64 * need(&["--clients", "5000"]).threads);
    }

    #[test]
    fn only_possible_paths_count() {
        let paths = |words: &[&str]| Need::of(&plan_of(words).unwrap(), false).paths;
        assert_eq!(paths(&["-A", "127.0.0.1,127.0.0.1,127.0.0.2"]), Some(2));
        assert_eq!(paths(&["--hosts", "a,b", "-A", "127.0.0.1,127.0.0.2"]), Some(4));
        let proxy = ["--hosts", "a,b", "-A", "127.0.0.1,127.0.0.2", "--proxy", "socks5h://127.0.0.1:1080"];
        assert_eq!(paths(&proxy), Some(2), "everything goes to the proxy");
        for (words, part) in [
            (&["--hosts", "a,b,a:1883"][..], "a:1883 is listed twice"),
            (&["-h", "127.0.0.1", "-A", "127.0.0.1,::1"], "::1 is IPv6 and cannot reach 127.0.0.1"),
        ] {
            let error = plan_of(words).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(paths(&["-h", "localhost", "-A", "127.0.0.1,::1"]), Some(2));
    }

    #[test]
    fn an_embedded_broker_has_the_other_ends_here() {
        let plan = plan_of(&["--clients", "400"]).unwrap();
        let (typed, embedded) = (Need::of(&plan, false), Need::of(&plan, true));
        assert_eq!((typed.clients, embedded.files - typed.files), (800, 800));
        assert!(embedded.embedded && !typed.embedded);
    }
}
