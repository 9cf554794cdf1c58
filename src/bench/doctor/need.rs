//! What a plan needs of the machine.

use crate::bench::plan::{BenchPlan, is_this_machine};
use crate::transport::Address;

/// Files beside the connections: standard streams, event loops and timers of the threads, results.
const OTHER_FILES: u64 = 32;
/// More of them a thread.
const FILES_A_THREAD: u64 = 8;
/// User memory of a client, rounded up.
const CLIENT_BYTES: u64 = 2 * 1024;
/// Kernel memory of one end of an idle TCP connection, about.
const SOCKET_BYTES: u64 = 4 * 1024;
/// User memory of a TLS connection, about.
const TLS_BYTES: u64 = 48 * 1024;
/// User memory of a message in flight.
const IN_FLIGHT_BYTES: u64 = 48;

/// What a plan needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) clients: u64,
    pub(super) threads: u64,
    pub(super) files: u64,
    /// Pairs of source address and target; each has the whole range of ports. None where no ports are needed.
    pub(super) paths: Option<u64>,
    /// The local addresses were named, so each could be another one.
    pub(super) has_sources: bool,
    pub(super) memory: u64,
    /// The broker is on this machine.
    pub(super) same_host: bool,
    /// It is at a loopback address.
    pub(super) loopback: bool,
    /// Messages are sent at times.
    pub(super) paced: bool,
}

impl Need {
    pub(super) fn of(plan: &BenchPlan) -> Self {
        let (clients, publishers) = (plan.clients() as u64, plan.publishers as u64);
        let same_host = plan.targets.addresses().any(is_this_machine);
        let is_tcp = matches!(plan.transport.address, Address::Tcp { .. });
        let payload = plan.payload.bytes(0, "", "").len() as u64;
        let ends = if same_host { 2 } else { 1 };
        let tls = if plan.transport.tls.is_some() { TLS_BYTES } else { 0 };
        let threads = plan.threads as u64;
        Self {
            clients,
            threads,
            files: clients + OTHER_FILES + FILES_A_THREAD * threads,
            paths: is_tcp.then_some((plan.targets.count() * plan.targets.sources().len().max(1)) as u64),
            has_sources: !plan.targets.sources().is_empty(),
            memory: clients * (CLIENT_BYTES + tls + ends * SOCKET_BYTES)
                + publishers * (payload + u64::from(plan.window) * IN_FLIGHT_BYTES),
            same_host,
            loopback: same_host && is_tcp,
            paced: plan.stages.iter().any(|stage| stage.model != crate::bench::plan::LoadModel::ClosedLoop),
        }
    }
}
