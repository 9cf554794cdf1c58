//! What the machine as a whole did while the load ran: CPU time that a hypervisor took, TCP segments sent again (Linux;
//! all processes of the machine batch).

/// Counters of the machine at a moment, or their growth since an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MachineCounters {
    /// CPU time of all kinds, in ticks.
    pub cpu_ticks: Option<u64>,
    /// Of it, idle time.
    pub idle_ticks: Option<u64>,
    /// Of it, time that the hypervisor gave to other guests.
    pub stolen_ticks: Option<u64>,
    /// TCP segments sent.
    pub tcp_sent: Option<u64>,
    /// TCP segments sent again.
    pub tcp_sent_again: Option<u64>,
}

impl MachineCounters {
    /// Reads them; `None` where the system does not report them.
    pub(crate) fn read() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/proc/stat"), &read("/proc/net/snmp"))
    }

    fn parse(stat: &str, snmp: &str) -> Self {
        // user nice system idle iowait irq softirq steal; guest times behind them are part of user and nice.
        let cpu: Vec<u64> = stat
            .lines()
            .find_map(|line| line.strip_prefix("cpu "))
            .map(|line| line.split_whitespace().take(8).map_while(|ticks| ticks.parse().ok()).collect())
            .unwrap_or_default();
        let mut tcp = snmp.lines().filter_map(|line| line.strip_prefix("Tcp:"));
        let (names, values) = (tcp.next().unwrap_or_default(), tcp.next().unwrap_or_default());
        let tcp = |name| {
            let mut fields = names.split_whitespace().zip(values.split_whitespace());
            fields.find(|(known, _)| *known == name).and_then(|(_, value)| value.parse().ok())
        };
        Self {
            cpu_ticks: (cpu.len() == 8).then(|| cpu.iter().sum()),
            // idle and iowait.
            idle_ticks: cpu.get(3).zip(cpu.get(4)).map(|(idle, waiting)| idle + waiting),
            stolen_ticks: cpu.get(7).copied(),
            tcp_sent: tcp("OutSegs"),
            tcp_sent_again: tcp("RetransSegs"),
        }
    }

    /// What was added since an earlier reading.
    pub(crate) fn since(self, earlier: Self) -> Self {
        let grown = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        Self {
            cpu_ticks: grown(self.cpu_ticks, earlier.cpu_ticks),
            idle_ticks: grown(self.idle_ticks, earlier.idle_ticks),
            stolen_ticks: grown(self.stolen_ticks, earlier.stolen_ticks),
            tcp_sent: grown(self.tcp_sent, earlier.tcp_sent),
            tcp_sent_again: grown(self.tcp_sent_again, earlier.tcp_sent_again),
        }
    }

    /// CPU time that was used on this machine, percent of all.
    pub(crate) fn busy_pct(&self) -> Option<f64> {
        let (stolen, idle) = self.stolen_ticks.zip(self.idle_ticks)?;
        let all = self.cpu_ticks.filter(|all| *all > 0)?;
        Some(100.0 * all.saturating_sub(stolen + idle) as f64 / all as f64)
    }

    /// Stolen CPU time, percent of all.
    pub(crate) fn steal_pct(&self) -> Option<f64> {
        let (stolen, all) = self.stolen_ticks.zip(self.cpu_ticks)?;
        (all > 0).then(|| 100.0 * stolen as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_read_from_the_kernels_tables() {
        let snmp = |sent, again| {
            format!("Ip: A\nIp: 1\nTcp: RtoMin OutSegs RetransSegs\nTcp: 200 {sent} {again}\nUdp: OutSegs\nUdp: 9\n")
        };
        let before = MachineCounters::parse("cpu  10 0 10 70 0 0 0 10 5 0\ncpu0 1 1 1 1 1 1 1 1\n", &snmp(100, 1));
        let after = MachineCounters::parse("cpu  20 0 20 130 0 0 0 30 5 0\n", &snmp(1_100, 4));
        let grown = after.since(before);
        assert_eq!((grown.cpu_ticks, grown.stolen_ticks), (Some(100), Some(20)));
        assert_eq!(grown.busy_pct(), Some(20.0));
        assert_eq!((grown.tcp_sent, grown.tcp_sent_again, grown.steal_pct()), (Some(1_000), Some(3), Some(20.0)));
        assert_eq!(MachineCounters::parse("", "Tcp:\n"), MachineCounters::default());
        assert_eq!(after.since(MachineCounters::default()).steal_pct(), None);
    }
}
