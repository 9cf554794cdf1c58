//! One stage: warm-up, load, drain, settling, and its outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::super::clock::{Clock, round_to_tick};
use super::super::shard::{Command, Report};
use super::super::shared::{Shared, StageRun};
use super::super::stage_totals::{SecondContext, StageTotals};
use super::super::stream::StreamState;
use super::census::TargetConnections;
use super::pace::cannot_keep_pace;
use super::stall::{QuietWatch, StallWatch};
use super::usage::{Usage, UsageMeter};
use super::{Coordinator, POLL_INTERVAL, RunProgress, SECOND_NS, StageOutcome, StreamOutcome, TargetOutcome};
use crate::bench::measure::{LiveStage, RateWindows, Reach};
use crate::bench::plan::{ClientKind, Stage, StageName};
use crate::mqtt::QoS;

/// From an interruption to the end of the load: by then all threads know it, also on a busy machine, and agree on which
/// messages were measured.
const CUT_DELAY: Duration = Duration::from_millis(200);

/// The drain of messages that are matched by order lasts this much longer: where one arrived twice, the last one is
/// still to arrive when as many have arrived as were sent.
const EXTRA_DRAIN: Duration = Duration::from_millis(250);

/// How long threads may take to settle a stage.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The first streams are reported also where they have no faults, up to this number.
const CLEAN_STREAMS: usize = 100;

/// Drives the threads through one stage.
pub(super) struct StageDriver<'a> {
    pub(super) coordinator: &'a mut Coordinator,
    pub(super) run: StageRun,
    pub(super) totals: StageTotals,
    name: StageName,
    next_second_ns: u64,
}

impl<'a> StageDriver<'a> {
    pub(super) fn new(coordinator: &'a mut Coordinator, run: StageRun, name: StageName) -> Self {
        let next_second_ns = run.from_ns + SECOND_NS;
        Self { coordinator, run, totals: StageTotals::default(), name, next_second_ns }
    }

    /// Runs a stage of load.
    pub(super) async fn run_load(mut self, stage: Stage, progress: &mut impl FnMut(RunProgress)) -> StageOutcome {
        self.coordinator.census.begin_stage();
        self.shared().marks().clear();
        let open_at_start: Vec<u64> = self.coordinator.census.targets().iter().map(|target| target.open).collect();
        self.coordinator.begin(self.run);
        self.warm_up(&stage, progress).await;
        let meter = UsageMeter::start(self.coordinator.read_process());
        self.end_second();
        let clock_back_ns = self.measure(&stage, progress).await;
        self.end_second();
        let usage = meter.usage(self.coordinator.read_process());
        let drain_ns = self.drain(&stage, progress).await;
        self.settle().await;
        let connections = self.coordinator.census.targets().iter().zip(&open_at_start);
        let connections = connections.map(|(target, open)| TargetConnections { open: *open, ..*target }).collect();
        StageOutcome { clock_back_ns, ..self.outcome(stage, usage, drain_ns, connections) }
    }

    fn shared(&self) -> &Shared {
        &self.coordinator.shared
    }

    fn clock(&self) -> Clock {
        self.shared().clock
    }

    /// The load before the measured window.
    async fn warm_up(&mut self, stage: &Stage, progress: &mut impl FnMut(RunProgress)) {
        let clock = self.clock();
        while clock.now_ns() < self.run.from_ns && !self.shared().is_halted() && !self.coordinator.has_collapsed() {
            progress(RunProgress::WarmUp(stage.name));
            let wake_ns = (clock.now_ns() + POLL_INTERVAL.as_nanos() as u64).min(self.run.from_ns);
            self.collect_until(clock.at(wake_ns).into()).await;
        }
    }

    /// The measured window. Returns how far the monotonic clock went back in it.
    async fn measure(&mut self, stage: &Stage, progress: &mut impl FnMut(RunProgress)) -> u64 {
        let clock = self.clock();
        let mut is_cut = false;
        let mut stall = StallWatch::new(self.shared(), &self.run);
        let rate = self.run.rate.map(|rate| self.shared().plan.own_rate(rate));
        let may_step_down = stage.stepped_down(None, Duration::ZERO).is_some();
        let (mut last_ns, mut clock_back_ns) = (0, 0);
        loop {
            let now_ns = clock.now_ns();
            clock_back_ns += last_ns.max(now_ns) - now_ns;
            last_ns = now_ns;
            if !is_cut && self.must_end(stage, &mut stall, may_step_down, now_ns) {
                is_cut = true;
                self.run.to_ns = self.run.to_ns.min(round_to_tick(now_ns + CUT_DELAY.as_nanos() as u64));
                self.coordinator.begin(self.run);
            }
            if now_ns >= self.run.to_ns || self.is_all_sent_everywhere() {
                return clock_back_ns;
            }
            let elapsed = Duration::from_nanos(now_ns.saturating_sub(self.run.from_ns));
            let second = self.totals.watched();
            progress(RunProgress::Measuring { stage: stage.name, elapsed, duration: stage.duration, rate, second });
            if now_ns >= self.next_second_ns {
                self.end_second();
            }
            let wake_ns = now_ns + POLL_INTERVAL.as_nanos() as u64;
            let wake_ns = wake_ns.min(self.run.to_ns).min(self.next_second_ns);
            self.collect_until(clock.at(wake_ns).into()).await;
        }
    }

    /// Whether the load must end before its time: interrupted, without clients, stalled, or too slow for its schedule.
    fn must_end(&mut self, stage: &Stage, stall: &mut StallWatch, may_step_down: bool, now_ns: u64) -> bool {
        if stage.duration.is_none() && !(self.shared().is_apart && self.is_all_sent()) {
            self.coordinator.stalled = stall.check(&self.coordinator.shared, now_ns);
        }
        let all_connected = self.coordinator.census.lost().is_empty();
        self.shared().is_halted()
            || self.coordinator.has_collapsed()
            || self.coordinator.stalled.is_some()
            || may_step_down && cannot_keep_pace(&self.run, &self.totals, all_connected)
    }

    /// A second ends: threads hand over what they recorded in it.
    fn end_second(&mut self) {
        if self.clock().now_ns() >= self.next_second_ns {
            self.next_second_ns += SECOND_NS;
        }
        self.shared().mark_second();
        self.request_second();
    }

    /// Threads hand over what they recorded since the last time, and what the broker's process used is noted.
    pub(super) fn request_second(&mut self) {
        let (now_ns, process) = (self.clock().now_ns(), self.coordinator.read_process());
        self.totals.note_process(now_ns, process);
        self.coordinator.shards.send(&Command::Second);
    }

    /// Whether every publisher has sent everything that the stage asks for.
    fn is_all_sent(&self) -> bool {
        self.shared().plan.publishers > 0
            && self.shared().streams().all(|stream| stream.measured.is_done(self.run.number))
    }

    /// Whether all shards have sent everything, as far as that concerns this one.
    fn is_all_sent_everywhere(&mut self) -> bool {
        let is_all_sent = self.is_all_sent();
        match &mut self.coordinator.together {
            Some(together) if is_all_sent => {
                together.set_sent();
                !self.coordinator.shared.plan.is_apart() || together.is_all_sent()
            }
            _ => is_all_sent,
        }
    }

    /// Waits until everything that was sent has arrived, at most for the drain time of the plan. Returns how long it
    /// took.
    async fn drain(&mut self, stage: &Stage, progress: &mut impl FnMut(RunProgress)) -> u64 {
        let from_ns = self.clock().now_ns();
        if let Some(together) = &mut self.coordinator.together {
            together.set_sent();
        }
        let is_apart = self.shared().plan.is_apart();
        let mut quiet = QuietWatch::new(self.shared(), Instant::now());
        let acknowledged = self.shared().plan.qos != QoS::AtMostOnce;
        let deadline = Instant::now() + self.shared().plan.drain;
        loop {
            let mut outstanding = self.shared().outstanding(acknowledged);
            let is_quiet = quiet.is_quiet(self.shared(), Instant::now());
            if is_apart {
                // What other shards have sent is not known here: messages have arrived when no more come.
                if outstanding == 0 && is_quiet {
                    break;
                }
            } else if outstanding == 0 && (self.is_all_sent() || self.shared().plan.publishers == 0) {
                // Positions show only the last arrival; the ledgers know the gaps below it.
                outstanding = self.count_missing(deadline).await;
                if outstanding == 0 {
                    if !self.shared().plan.payload.is_stamped() && self.shared().plan.subscribers > 0 {
                        self.collect_until((Instant::now() + EXTRA_DRAIN).min(deadline)).await;
                    }
                    break;
                }
            }
            if Instant::now() >= deadline || self.coordinator.has_collapsed() {
                break;
            }
            progress(RunProgress::Draining { stage: stage.name, outstanding });
            self.collect_until((Instant::now() + POLL_INTERVAL).min(deadline)).await;
        }
        self.clock().now_ns() - from_ns
    }

    /// Counts the measured messages that the ledgers still wait for.
    async fn count_missing(&mut self, deadline: Instant) -> u64 {
        self.totals.missing = (0, 0);
        self.coordinator.shards.send(&Command::Missing);
        while self.totals.missing.1 < self.coordinator.shards.running() && Instant::now() < deadline {
            self.collect_until((Instant::now() + POLL_INTERVAL).min(deadline)).await;
        }
        self.totals.missing.0
    }

    /// Settles the stage on all threads. The part of a thread that has ended is missing, and makes the result invalid.
    pub(super) async fn settle(&mut self) {
        // What was sent on one thread is what subscribers on all of them expect.
        self.coordinator.shards.send(&Command::Stop);
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        while self.totals.stopped < self.coordinator.shards.running() && Instant::now() < deadline {
            self.collect_until(Instant::now() + POLL_INTERVAL).await;
        }
        self.shared().end();
        self.coordinator.shards.send(&Command::Settle);
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        while self.totals.settled < self.coordinator.shards.running() && Instant::now() < deadline {
            self.collect_until(Instant::now() + POLL_INTERVAL).await;
        }
        self.totals.sum.deliveries.unbalanced += (self.coordinator.shards.count() - self.totals.settled) as u64;
        let plan = &self.shared().plan;
        let has_deliveries = plan.subscribers > 0 && plan.publishers > 0 && !plan.is_apart();
        let delivery = has_deliveries.then(|| self.totals.sum.deliveries.total());
        self.coordinator.show(|| LiveStage { delivery, ..self.live() });
    }

    /// The stage as it is now.
    fn live(&self) -> LiveStage {
        let row = self.totals.last_second().cloned();
        LiveStage { row, ..LiveStage::of(self.name.text(), self.run.number, &self.totals.sum.recorder) }
    }

    /// Handles reports until a moment, or until all threads have answered the last command.
    pub(super) async fn collect_until(&mut self, moment: Instant) {
        while let Ok(Some(report)) = tokio::time::timeout_at(moment, self.coordinator.shards.report()).await {
            let running = self.coordinator.shards.running();
            match report {
                Report::Second { shard, recorder, cpu, missing } => {
                    self.totals.note_missing(missing);
                    let coordinator = &*self.coordinator;
                    let seconds = self.totals.seconds();
                    let from_ns = self.run.from_ns;
                    self.totals.add_second(shard, &recorder, cpu, |seconds| SecondContext {
                        shards: coordinator.shards.count(),
                        row_ns: from_ns + seconds * SECOND_NS,
                        connections: coordinator.census.open(),
                        backlog: coordinator.shared.outstanding(coordinator.shared.plan.qos != QoS::AtMostOnce),
                    });
                    if self.totals.seconds() > seconds {
                        coordinator.show(|| self.live());
                    }
                }
                Report::Missing(missing) => {
                    self.totals.missing = (self.totals.missing.0 + missing, self.totals.missing.1 + 1);
                    if self.totals.missing.1 >= running {
                        return;
                    }
                }
                Report::Stopped => {
                    self.totals.stopped += 1;
                    if self.totals.stopped >= running {
                        return;
                    }
                }
                Report::Settled(settled) => {
                    self.totals.add_settled(*settled);
                    if self.totals.settled >= running {
                        return;
                    }
                }
                other => self.coordinator.handle_report(other),
            }
        }
    }

    /// What each stream delivered: all streams with faults, and the first of the others.
    fn streams(&self) -> BTreeMap<usize, StreamOutcome> {
        let acknowledged = self.shared().plan.qos != QoS::AtMostOnce;
        let outcome = |(number, stream): (usize, &StreamState)| {
            let unacknowledged = if acknowledged { stream.measured.unanswered(self.run.number) } else { 0 };
            let delivery = self.totals.sum.deliveries.streams.get(&number).copied();
            (number, StreamOutcome { delivery, unacknowledged, refused: stream.measured.refused(self.run.number) })
        };
        let streams = self.shared().numbered_streams().map(outcome);
        streams.filter(|(number, outcome)| *number < CLEAN_STREAMS || !outcome.is_clean()).collect()
    }

    /// Puts the outcome together. `connections` are the brokers' connections: open when the stage began, and lost in
    /// it.
    pub(super) fn outcome(
        self,
        stage: Stage,
        usage: Usage,
        drain_ns: u64,
        connections: Vec<TargetConnections>,
    ) -> StageOutcome {
        let streams = self.streams();
        let Self { coordinator: Coordinator { shared, census, .. }, run, mut totals, .. } = self;
        let plan = &shared.plan;
        // Where a count may have ended the stage, its end is the last event.
        let reach =
            plan.is_apart().then(|| reach(shared, run.number, std::mem::take(&mut totals.sum.deliveries.reach)));
        // Where a count may have ended the stage, its end is the last event.
        let last_ns = totals.sum.spans.last().unwrap_or_default();
        let end_ns = if run.count.is_some() { last_ns.min(run.to_ns) } else { run.to_ns };
        // An interruption may come before the measured window.
        let from_ns = run.from_ns.min(run.to_ns);
        let measured_ns = end_ns.saturating_sub(from_ns);
        let has_deliveries = plan.subscribers > 0 && plan.publishers > 0 && !plan.is_apart();
        let delivery = totals.sum.deliveries.total();
        let (used, busiest_thread) = (totals.used(), totals.busiest());
        let mut series = totals.timeline.into_series(measured_ns);
        if has_deliveries && !totals.sum.deliveries.has_undated {
            let lost = |second: usize| totals.sum.deliveries.lost.get(&second).copied().unwrap_or_default();
            series.rows.iter_mut().enumerate().for_each(|(second, row)| row.lost = Some(lost(second)));
        }
        let sum = |count: fn(&StreamState) -> u64| shared.streams().map(count).sum::<u64>();
        let offered = run.rate.map(|_| sum(|stream| stream.measured.offered()));
        let rate = run.rate.map(|rate| plan.own_rate(rate));
        let schedule_ns =
            offered.zip(rate.filter(|rate| *rate > 0.0)).map(|(offered, rate)| (offered as f64 * 1e9 / rate) as u64);
        let windows = match run.count {
            Some(_) => RateWindows::of_count(&totals.sum.spans, from_ns, schedule_ns, measured_ns),
            None => RateWindows::even(measured_ns),
        };
        let spans = if plan.subscribers > 0 { &totals.sum.spans.delivered } else { &totals.sum.spans.acked };
        let silences = spans.silences(from_ns, from_ns + measured_ns);
        // A closed loop has no schedule; where time may end it, a count is only a limit.
        let is_bounded =
            plan.publishers > 0 && (run.rate.is_some() || (run.count.is_some() && stage.duration.is_none()));
        let targets = totals.sum.shares.into_iter().zip(&connections);
        StageOutcome {
            stage,
            given_up: None,
            rate,
            start_ns: run.start_ns,
            from_ns,
            measured_ns,
            windows,
            drain_ns,
            recorder: totals.sum.recorder,
            series,
            delivery: has_deliveries.then_some(delivery),
            unacknowledged: streams.values().map(|stream| stream.unacknowledged).sum(),
            streams,
            reach,
            unbalanced: totals.sum.deliveries.unbalanced,
            unmatched: totals.sum.deliveries.unmatched,
            offered,
            not_sent: is_bounded.then(|| sum(|stream| stream.measured.not_sent())),
            downgraded: totals.sum.downgraded,
            answered: sum(|stream| stream.measured.answered()),
            // The load's own threads, where the system distinguishes threads: an embedded broker is in this process
            // too.
            usage: Usage { cpu: used.or(usage.cpu), ..usage },
            busiest_thread,
            clients_bytes: None,
            connected: connections.iter().map(|target| target.open).sum(),
            max_open: census.max_open(),
            clock_back_ns: 0,
            lost: census.lost_in_stage().clone(),
            outages: plan.reconnect.map(|_| totals.sum.outages),
            silences,
            targets: targets
                .map(|(share, connections)| TargetOutcome {
                    share,
                    connected: connections.open,
                    lost: connections.lost,
                })
                .collect(),
        }
    }
}

/// What this shard sent and `received` in a stage.
fn reach(shared: &Shared, stage: u32, received: Reach) -> Reach {
    let mut reach = received;
    for (number, stream) in shared.numbered_streams() {
        let measured = stream.measured.range(stage);
        if shared.plan.owns(ClientKind::Publisher, number) && !measured.is_empty() {
            let refused = stream.measured.refused(stage);
            reach.sent.push((number as u64, measured.start, measured.end, refused));
        }
    }
    reach.pack();
    reach
}
