//! What the process, the machine and the broker's process used in the measured window of a stage.

use crate::bench::system::{
    CpuGroups, CpuTime, MachineCounters, ProcessUse, Throttling, process_cpu, process_use, resident_bytes,
};

/// Measures what is used from its start on.
pub(super) struct UsageMeter {
    broker_pid: Option<u32>,
    groups: CpuGroups,
    cpu: Option<CpuTime>,
    machine: MachineCounters,
    broker: Option<ProcessUse>,
    throttling: Vec<Throttling>,
}

/// What was used in the measured window.
pub(super) struct Usage {
    pub(super) cpu: Option<CpuTime>,
    /// Resident memory at the end.
    pub(super) resident: Option<u64>,
    pub(super) machine: MachineCounters,
    pub(super) broker: Option<ProcessUse>,
    /// CPU time that control groups allow this process, in cores, where they limit it.
    pub(super) cpu_quota: Option<f64>,
    pub(super) throttling: Option<Throttling>,
}

impl UsageMeter {
    /// `broker_pid` is the broker's process, where it is on this machine and known.
    pub(super) fn start(broker_pid: Option<u32>) -> Self {
        let groups = CpuGroups::of_this_process();
        Self {
            broker_pid,
            cpu: process_cpu(),
            machine: MachineCounters::read(),
            broker: Self::broker(broker_pid),
            throttling: groups.throttling(),
            groups,
        }
    }

    /// The broker may have ended meanwhile.
    fn broker(pid: Option<u32>) -> Option<ProcessUse> {
        process_use(pid?).ok()
    }

    pub(super) fn usage(&self) -> Usage {
        let cpu_quota = self.groups.quota().map(|quota| quota.cores);
        Usage {
            cpu: process_cpu().zip(self.cpu).map(|(now, start)| now.since(start)),
            resident: resident_bytes(),
            machine: MachineCounters::read().since(self.machine),
            broker: Self::broker(self.broker_pid).zip(self.broker.as_ref()).map(|(now, start)| now.since(start)),
            cpu_quota,
            throttling: cpu_quota.map(|_| Throttling::between(&self.throttling, &self.groups.throttling())),
        }
    }
}
