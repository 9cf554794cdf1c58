//! What the process, the machine and the broker's process used in the measured window of a stage.

use crate::bench::system::{
    CpuGroups, CpuTime, MachineCounters, ProcessUse, Throttling, process_cpu, process_use, resident_bytes,
};

/// Reads what the broker's process uses, until it ends.
#[derive(Debug)]
pub(super) struct ProcessWatch {
    pid: u32,
    started: u64,
    has_ended: bool,
}

impl ProcessWatch {
    pub(super) fn start(pid: u32) -> Self {
        let first = process_use(pid).ok();
        Self { pid, started: first.as_ref().map_or(0, |first| first.started), has_ended: first.is_none() }
    }

    /// What it has used up to now; none once it has ended, also where another process has its number.
    pub(super) fn read(&mut self) -> Option<ProcessUse> {
        if self.has_ended {
            return None;
        }
        let now = process_use(self.pid).ok().filter(|now| now.started == self.started);
        self.has_ended = now.is_none();
        now
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }
}

/// Measures what is used from its start on.
pub(super) struct UsageMeter {
    groups: CpuGroups,
    cpu: Option<CpuTime>,
    machine: MachineCounters,
    broker: Option<ProcessUse>,
    throttling: Vec<Throttling>,
}

/// What was used in the measured window.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// CPU time of the load's threads; of the process where threads are not distinguished.
    pub(crate) cpu: Option<CpuTime>,
    /// Resident memory at its end.
    pub(crate) resident_bytes: Option<u64>,
    /// The counters of the machine.
    pub(crate) machine: MachineCounters,
    /// What the broker's process used, where it is on this machine and known.
    pub(crate) broker: Option<ProcessUse>,
    /// CPU time that control groups allow this process, in cores, where they limit it.
    pub(crate) cpu_quota: Option<f64>,
    /// How often they stopped it, where they limit it.
    pub(crate) throttling: Option<Throttling>,
}

impl UsageMeter {
    /// `broker` is what the broker's process has used, where it is on this machine and known.
    pub(super) fn start(broker: Option<ProcessUse>) -> Self {
        let groups = CpuGroups::of_this_process();
        Self { cpu: process_cpu(), machine: MachineCounters::read(), broker, throttling: groups.throttling(), groups }
    }

    /// `broker` is what the broker's process has used by now.
    pub(super) fn usage(&self, broker: Option<ProcessUse>) -> Usage {
        let cpu_quota = self.groups.quota().map(|quota| quota.cores);
        Usage {
            cpu: process_cpu().zip(self.cpu).map(|(now, start)| now.since(start)),
            resident_bytes: resident_bytes(),
            machine: MachineCounters::read().since(self.machine),
            broker: broker.zip(self.broker.as_ref()).map(|(now, start)| now.since(start)),
            cpu_quota,
            throttling: cpu_quota.map(|_| Throttling::between(&self.throttling, &self.groups.throttling())),
        }
    }
}
