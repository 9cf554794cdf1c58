//! Which connections are open, which were lost, and why.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::bench::plan::{BenchPlan, ClientKind};
use crate::client::ClientError;

/// The cause that is counted for a thread that ended without a command.
const THREAD_ENDED: &str = "a thread of mqbench ended unexpectedly; please report this as a bug";

/// Counts the connections of a run.
#[derive(Default)]
pub(super) struct Census {
    /// Open connections by kind of client.
    open: BTreeMap<ClientKind, u64>,
    targets: Vec<TargetConnections>,
    max_open: u64,
    /// Clients that connected while connecting was measured, and those that could not.
    connected: u64,
    failed: u64,
    first_failure: Option<(usize, ClientError)>,
    /// Lost connections by cause: in the run, and in the current stage.
    lost: BTreeMap<String, u64>,
    lost_in_stage: BTreeMap<String, u64>,
    /// Since when all publishers, or all receivers, have had no connection.
    side_gone_since: Option<Instant>,
    /// The smallest window to which losses reduced a publisher.
    smallest_window: Option<u16>,
}

/// Connections to one broker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TargetConnections {
    pub(super) open: u64,
    /// Lost in the current stage.
    pub(super) lost: u64,
}

impl Census {
    /// Every client that carries load is connected when the load begins; idlers are counted as they connect.
    pub(super) fn new(plan: &BenchPlan) -> Self {
        let kinds = [
            (ClientKind::Publisher, plan.own_count(ClientKind::Publisher)),
            (ClientKind::Subscriber, plan.own_count(ClientKind::Subscriber)),
            (ClientKind::Responder, plan.own_count(ClientKind::Responder)),
        ];
        let open = kinds.into_iter().filter(|(_, clients)| *clients > 0).map(|(kind, clients)| (kind, clients as u64));
        let mut targets = vec![TargetConnections::default(); plan.targets.count()];
        for kind in ClientKind::ALL.into_iter().filter(|kind| *kind != ClientKind::Idler) {
            plan.own(kind).for_each(|number| targets[plan.target_of(plan.client_of(kind, number))].open += 1);
        }
        Self { open: open.collect(), targets, ..Self::default() }
    }

    /// Begins to count the losses of a stage.
    pub(super) fn begin_stage(&mut self) {
        self.lost_in_stage.clear();
        self.targets.iter_mut().for_each(|target| target.lost = 0);
        self.max_open = self.open();
    }

    pub(super) fn on_lost(&mut self, kind: ClientKind, target: usize, cause: String) {
        self.count_lost(cause);
        self.targets[target].lost += 1;
        self.targets[target].open = self.targets[target].open.saturating_sub(1);
        if let Some(open) = self.open.get_mut(&kind) {
            *open = open.saturating_sub(1);
        }
        if self.open.values().any(|open| *open == 0) {
            self.side_gone_since.get_or_insert_with(Instant::now);
        }
    }

    /// A thread ended without a command: its clients are gone.
    pub(super) fn on_thread_ended(&mut self) {
        self.count_lost(THREAD_ENDED.to_owned());
    }

    fn count_lost(&mut self, cause: String) {
        *self.lost.entry(cause.clone()).or_default() += 1;
        *self.lost_in_stage.entry(cause).or_default() += 1;
    }

    pub(super) fn on_reconnected(&mut self, kind: ClientKind, target: usize) {
        self.targets[target].open += 1;
        if let Some(open) = self.open.get_mut(&kind) {
            *open += 1;
        }
        self.max_open = self.max_open.max(self.open());
        if self.open.values().all(|open| *open > 0) {
            self.side_gone_since = None;
        }
    }

    /// An idler has connected.
    pub(super) fn on_connected(&mut self, target: usize) {
        self.connected += 1;
        self.open.entry(ClientKind::Idler).or_insert(0);
        self.on_reconnected(ClientKind::Idler, target);
    }

    /// A client could not connect.
    pub(super) fn on_failed(&mut self, client: usize, error: ClientError) {
        self.failed += 1;
        self.first_failure.get_or_insert((client, error));
    }

    pub(super) fn on_window_reduced(&mut self, window: u16) {
        self.smallest_window = Some(self.smallest_window.map_or(window, |smallest| smallest.min(window)));
    }

    /// Open connections.
    pub(super) fn open(&self) -> u64 {
        self.open.values().sum()
    }

    pub(super) fn targets(&self) -> &[TargetConnections] {
        &self.targets
    }

    /// Most connections that were open at once in the stage.
    pub(super) const fn max_open(&self) -> u64 {
        self.max_open
    }

    pub(super) const fn connected(&self) -> u64 {
        self.connected
    }

    pub(super) const fn failed(&self) -> u64 {
        self.failed
    }

    pub(super) fn take_first_failure(&mut self) -> Option<(usize, ClientError)> {
        self.first_failure.take()
    }

    /// Lost connections by cause.
    pub(super) const fn lost(&self) -> &BTreeMap<String, u64> {
        &self.lost
    }

    /// Those of the current stage.
    pub(super) const fn lost_in_stage(&self) -> &BTreeMap<String, u64> {
        &self.lost_in_stage
    }

    pub(super) const fn smallest_window(&self) -> Option<u16> {
        self.smallest_window
    }

    /// How long all publishers, or all receivers, have had no connection.
    pub(super) fn side_gone_for(&self) -> Option<Duration> {
        self.side_gone_since.map(|since| since.elapsed())
    }
}
