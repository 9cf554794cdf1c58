//! The measurement of one round of one case.

/// What one round of one case took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) messages: u64,
    pub(super) wall_ns: u64,
    /// CPU time of the sending threads; none where the system does not distinguish threads.
    pub(super) cpu_ns: Option<u64>,
}

impl Measured {
    pub(super) fn per_s(&self) -> f64 {
        self.messages as f64 * 1e9 / self.wall_ns.max(1) as f64
    }

    pub(super) fn cpu_ns_per_message(&self) -> Option<f64> {
        Some(self.cpu_ns? as f64 / self.messages as f64).filter(|cpu| cpu.is_finite())
    }
}
