//! Where the load goes: the brokers of a run, and their processes where these are on this machine.

use std::net::IpAddr;

use super::Targets;
use crate::bench::system::{listener, process_use};
use crate::options::{BrokerPid, ConnectionOptions, HostName, PairName, TargetOptions};
use crate::transport::{Address, TransportPlan};

/// The brokers of the run. `--hosts` takes the place of the one address; a host without a port has the port that one
/// would have had.
pub(super) fn brokers(
    targets: &TargetOptions,
    connection: &ConnectionOptions,
    transport: &mut TransportPlan,
    faults: &mut Vec<String>,
) -> Targets {
    let sources = connection.bind.as_ref().map_or_else(Vec::new, |sources| sources.all().to_vec());
    let cross = targets.pair == Some(PairName::Cross);
    let addresses = match (&targets.hosts, &transport.address) {
        (Some(hosts), Address::Tcp { port, .. }) => {
            let address = |name: &HostName| Address::Tcp { host: name.host.clone(), port: name.port.unwrap_or(*port) };
            let addresses: Vec<Address> = hosts.all().iter().map(address).collect();
            for (place, address) in addresses.iter().enumerate() {
                if addresses[..place].contains(address) {
                    faults.push(format!("--hosts: {address} is listed twice"));
                }
            }
            let secure = |address: &Address| matches!(address, Address::Tcp { port: 8883, .. });
            if transport.tls.is_none() && addresses.iter().any(secure) {
                faults.push("--hosts: port 8883 is MQTT over TLS: add --tls or --cafile".into());
            }
            addresses
        }
        (_, address) => vec![address.clone()],
    };
    if transport.proxy.is_none() {
        check_families(&addresses, &sources, faults);
    }
    if let Some(first) = addresses.first() {
        transport.address = first.clone();
    }
    Targets::new(addresses, sources, cross)
}

/// Programs that listen for another process, which may be anywhere.
const RELAYS: &[&str] = &[
    "conmon",
    "docker-proxy",
    "envoy",
    "haproxy",
    "kubectl",
    "nginx",
    "pasta",
    "passt",
    "rootlesskit",
    "rootlessport",
    "slirp4netns",
    "socat",
    "ssh",
    "sshd",
    "systemd",
    "toxiproxy",
];

/// The broker's process behind a loopback address, where it is plain which one that is.
pub(super) fn local_process(address: &Address) -> Option<u32> {
    let Address::Tcp { port, .. } = address else { return None };
    let pid = listener(*port).ok().filter(|_| is_this_machine(address))?;
    let name = process_use(pid).ok()?.name;
    (pid != std::process::id() && !RELAYS.iter().any(|relay| name.starts_with(relay))).then_some(pid)
}

/// The processes of `--broker-pid`; with `--ab` (`each`) that of each broker.
pub(super) fn broker_processes(
    targets: &TargetOptions,
    brokers: &Targets,
    embedded: bool,
    each: bool,
    faults: &mut Vec<String>,
) -> Vec<Option<u32>> {
    let Some(pid) = targets.broker_pid.filter(|pid| *pid != BrokerPid::None) else { return Vec::new() };
    let looked_at = if each { brokers.count() } else { 1 };
    let process = |address| broker_process(pid, embedded, address).map_err(|fault| faults.push(fault)).ok();
    brokers.addresses().take(looked_at).map(process).collect()
}

fn broker_process(pid: BrokerPid, embedded: bool, address: &Address) -> Result<u32, String> {
    match (pid, address) {
        (BrokerPid::None, _) => Err("--broker-pid none: nothing is looked at".into()),
        (BrokerPid::Pid(pid), _) => match process_use(pid) {
            Ok(_) => Ok(pid),
            Err(error) => Err(format!("--broker-pid {pid}: {error}")),
        },
        (BrokerPid::Auto, _) if embedded => Err("--broker-pid auto: the embedded broker is a part of mqbench".into()),
        (BrokerPid::Auto, Address::Tcp { port, .. }) if is_this_machine(address) => {
            listener(*port).map_err(|error| format!("--broker-pid auto: {error}"))
        }
        (BrokerPid::Auto, _) => Err(format!(
            "--broker-pid auto: {address} is no TCP port of this machine: give the process ID of the broker"
        )),
    }
}

/// A local address reaches only addresses of the same family. Which family a name has is known after the look-up.
fn check_families(addresses: &[Address], sources: &[IpAddr], faults: &mut Vec<String>) {
    let family = |address: &IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" };
    for address in addresses {
        let Address::Tcp { host, .. } = address else { continue };
        let Ok(broker) = host.parse::<IpAddr>() else { continue };
        if let Some(other) = sources.iter().find(|source| source.is_ipv4() != broker.is_ipv4()) {
            let (own, other_family) = (family(&broker), family(other));
            faults.push(format!("-A: {other} is {other_family} and cannot reach {broker}, which is {own}"));
        }
    }
}

/// Whether a broker is on this machine, judged by its address.
pub(crate) fn is_this_machine(address: &Address) -> bool {
    match address {
        Address::Unix(_) => true,
        Address::Tcp { host, .. } => {
            host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    }
}
