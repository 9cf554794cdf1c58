//! Leading the threads through a stage: load, drain, settling, and what all of it comes to.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::super::clock::round_to_tick;
use super::super::shard::{Command, Report, TargetShare};
use super::super::shared::StageRun;
use super::super::stage_totals::{SecondContext, StageTotals};
use super::super::stream::StreamState;
use super::super::subscriber::Deliveries;
use super::stall::StallWatch;
use super::{Coordinator, LOOK, RunProgress, SECOND_NS, StageOutcome, StreamOutcome, TargetOutcome, pace};
use crate::bench::measure::{Delivery, RateWindows};
use crate::bench::plan::Stage;
use crate::bench::system::{
    CpuGroups, CpuTime, MachineCounters, ProcessUse, Throttling, process_cpu, process_use, resident_bytes,
};
use crate::mqtt::QoS;

/// From an interruption to the end of the load: all threads have heard of it by then, also on a busy machine, and agree
/// on which messages were measured.
const CUT_LEAD: Duration = Duration::from_millis(200);

/// Messages that are matched by order are listened for a little longer: where one came twice, the last one is still to
/// come when as many have arrived as were sent.
const LISTEN: Duration = Duration::from_millis(250);

/// Streams without faults whose account is kept by itself.
const CLEAN_STREAMS: usize = 100;

/// What process and machine have used in the measured window.
pub(super) struct Usage {
    pub(super) cpu: Option<CpuTime>,
    pub(super) resident: Option<u64>,
    pub(super) machine: MachineCounters,
}

impl Coordinator {
    pub(super) async fn carry_out(
        &mut self,
        stage: Stage,
        mut run: StageRun,
        progress: &mut impl FnMut(RunProgress),
    ) -> StageOutcome {
        let clock = self.shared.clock;
        let mut totals = StageTotals::default();
        let open_at_start = self.begin_stage();
        self.tell(Command::Begin(run));
        self.warm_up(&stage, &run, &mut totals, progress).await;
        let groups = CpuGroups::of_this_process();
        let cpu_quota = groups.quota().map(|quota| quota.cores);
        let (cpu_at_start, machine_at_start, broker_at_start, throttling_at_start) =
            (process_cpu(), MachineCounters::read(), self.broker_use(), groups.throttling());
        self.next_second();
        let mut cut = false;
        let mut next_second_ns = run.from_ns + SECOND_NS;
        let mut stall = StallWatch::watch(&self.shared, &run);
        let may_step_down = stage.stepped_down(None, Duration::ZERO).is_some();
        let (mut last_ns, mut clock_back_ns) = (0, 0);
        loop {
            let now_ns = clock.now_ns();
            clock_back_ns += last_ns.max(now_ns) - now_ns;
            last_ns = now_ns;
            if stage.duration.is_none() && !cut {
                self.stalled = stall.since(&self.shared, now_ns);
            }
            let is_hopeless = may_step_down && !cut && pace::is_hopeless(&run, &totals, self.lost.is_empty());
            if (self.shared.is_halted() || self.has_collapsed() || self.stalled.is_some() || is_hopeless) && !cut {
                cut = true;
                run.to_ns = run.to_ns.min(round_to_tick(now_ns + CUT_LEAD.as_nanos() as u64));
                self.tell(Command::Begin(run));
            }
            if now_ns >= run.to_ns || self.all_sent(&run) {
                break;
            }
            if now_ns >= next_second_ns {
                self.next_second();
                next_second_ns += SECOND_NS;
            }
            let elapsed = Duration::from_nanos(now_ns.saturating_sub(run.from_ns));
            let row = totals.last_second;
            progress(RunProgress::Measuring { stage: stage.name, elapsed, duration: stage.duration, row });
            let wake_ns = (now_ns + LOOK.as_nanos() as u64).min(run.to_ns).min(next_second_ns);
            self.collect_until(clock.at(wake_ns).into(), &run, &mut totals).await;
        }
        self.next_second();
        let cpu = process_cpu().zip(cpu_at_start).map(|(now, start)| now.since(start));
        let usage = Usage { cpu, machine: MachineCounters::read().since(machine_at_start), resident: resident_bytes() };
        let throttling = cpu_quota.map(|_| Throttling::between(&throttling_at_start, &groups.throttling()));
        let broker = self.broker_use().zip(broker_at_start).map(|(now, start)| now.since(&start));
        let drain_from_ns = clock.now_ns();
        self.drain(&stage, &run, &mut totals, progress).await;
        let drain_ns = clock.now_ns() - drain_from_ns;
        self.settle(&run, &mut totals).await;
        let outcome = self.outcome(stage, run, totals, usage, drain_ns);
        StageOutcome { broker, clock_back_ns, cpu_quota, throttling, ..self.with_clients(outcome, &open_at_start) }
    }

    /// A second ends: threads hand over what they recorded in it.
    fn next_second(&self) {
        self.shared.mark_second();
        self.tell(Command::Second);
    }

    /// Begins to count losses anew. Gives back how many clients of each broker are connected.
    fn begin_stage(&mut self) -> Vec<u64> {
        self.lost_in_stage.clear();
        self.shared.marks().clear();
        self.targets.iter_mut().for_each(|(_, lost)| *lost = 0);
        self.max_open = self.open();
        self.targets.iter().map(|(open, _)| *open).collect()
    }

    /// Adds what became of the clients in the stage.
    fn with_clients(&self, mut outcome: StageOutcome, open_at_start: &[u64]) -> StageOutcome {
        outcome.connected = open_at_start.iter().sum();
        outcome.max_open = self.max_open;
        outcome.lost = self.lost_in_stage.clone();
        for ((target, connected), (_, lost)) in outcome.targets.iter_mut().zip(open_at_start).zip(&self.targets) {
            (target.connected, target.lost) = (*connected, *lost);
        }
        outcome
    }

    /// What the broker's process has used up to now.
    pub(super) fn broker_use(&self) -> Option<ProcessUse> {
        // It may have ended meanwhile.
        self.shared.plan.broker_pid.and_then(|pid| process_use(pid).ok())
    }

    /// The load before the measurement.
    async fn warm_up(
        &mut self,
        stage: &Stage,
        run: &StageRun,
        totals: &mut StageTotals,
        progress: &mut impl FnMut(RunProgress),
    ) {
        let clock = self.shared.clock;
        while clock.now_ns() < run.from_ns && !self.shared.is_halted() && !self.has_collapsed() {
            progress(RunProgress::WarmUp(stage.name));
            let wake_ns = (clock.now_ns() + LOOK.as_nanos() as u64).min(run.from_ns);
            self.collect_until(clock.at(wake_ns).into(), run, totals).await;
        }
    }

    /// Whether every publisher has sent all that the stage asks for.
    fn all_sent(&self, run: &StageRun) -> bool {
        self.shared.plan.publishers > 0 && self.shared.streams().all(|stream| stream.measured.is_done(run.number))
    }

    /// Waits until everything that was sent has come where it is to, or the plan's patience ends.
    async fn drain(
        &mut self,
        stage: &Stage,
        run: &StageRun,
        totals: &mut StageTotals,
        progress: &mut impl FnMut(RunProgress),
    ) {
        let acknowledged = self.shared.plan.qos != QoS::AtMostOnce;
        let deadline = Instant::now() + self.shared.plan.drain;
        loop {
            let mut outstanding = self.shared.outstanding(acknowledged);
            if outstanding == 0 && (self.all_sent(run) || self.shared.plan.publishers == 0) {
                // Positions only tell the last one that came; the ledgers know the gaps below it.
                outstanding = self.missing(run, totals, deadline).await;
                if outstanding == 0 {
                    if !self.shared.plan.payload.is_stamped() && self.shared.plan.subscribers > 0 {
                        self.collect_until((Instant::now() + LISTEN).min(deadline), run, totals).await;
                    }
                    return;
                }
            }
            if Instant::now() >= deadline || self.has_collapsed() {
                return;
            }
            progress(RunProgress::Draining { stage: stage.name, outstanding });
            let look = (Instant::now() + LOOK).min(deadline);
            self.collect_until(look, run, totals).await;
        }
    }

    /// Measured messages that the ledgers still wait for.
    async fn missing(&mut self, run: &StageRun, totals: &mut StageTotals, deadline: Instant) -> u64 {
        totals.missing = (0, 0);
        self.tell(Command::Missing);
        while totals.missing.1 < self.alive() && Instant::now() < deadline {
            self.collect_until((Instant::now() + LOOK).min(deadline), run, totals).await;
        }
        totals.missing.0
    }

    pub(super) async fn settle(&mut self, run: &StageRun, totals: &mut StageTotals) {
        // A thread answers soon; the part of one that has ended is missing in the account, and makes it invalid.
        let deadline = || Instant::now() + Duration::from_secs(5);
        // What was sent on one thread is what subscribers on all of them expect.
        self.tell(Command::Stop);
        let stopped_by = deadline();
        while totals.stopped < self.alive() && Instant::now() < stopped_by {
            self.collect_until(Instant::now() + LOOK, run, totals).await;
        }
        self.shared.end();
        self.tell(Command::Settle);
        let settled_by = deadline();
        while totals.settled < self.alive() && Instant::now() < settled_by {
            self.collect_until(Instant::now() + LOOK, run, totals).await;
        }
        totals.deliveries.unbalanced += (self.shards.len() - totals.settled) as u64;
    }

    /// Threads that have not ended.
    pub(super) const fn alive(&self) -> usize {
        self.shards.len() - self.ended
    }

    /// Takes reports until a moment.
    pub(super) async fn collect_until(&mut self, moment: Instant, run: &StageRun, totals: &mut StageTotals) {
        while let Ok(Some(report)) = tokio::time::timeout_at(moment, self.reports.recv()).await {
            match report {
                Report::Second { shard, recorder, cpu } => {
                    totals.take_second(shard, &recorder, cpu, |totals| self.moment(run, totals));
                }
                Report::Missing(missing) => {
                    totals.missing = (totals.missing.0 + missing, totals.missing.1 + 1);
                    if totals.missing.1 >= self.alive() {
                        return;
                    }
                }
                Report::Stopped => {
                    totals.stopped += 1;
                    if totals.stopped >= self.alive() {
                        return;
                    }
                }
                Report::Settled { recorder, deliveries, downgraded, spans, outages, shares } => {
                    totals.outages.merge(&outages);
                    totals.shares.resize_with(shares.len(), TargetShare::default);
                    for (total, share) in totals.shares.iter_mut().zip(&shares) {
                        total.recorder.merge(&share.recorder);
                        total.delivery.merge(&share.delivery);
                    }
                    totals.total.merge(&recorder);
                    totals.deliveries.merge(&deliveries);
                    totals.downgraded += downgraded;
                    totals.spans.merge(spans);
                    totals.settled += 1;
                    if totals.settled >= self.alive() {
                        return;
                    }
                }
                other => self.note(other),
            }
        }
    }

    fn moment(&self, run: &StageRun, totals: &StageTotals) -> SecondContext {
        SecondContext {
            shards: self.shards.len(),
            row_ns: run.from_ns + totals.rounds.saturating_sub(1) * SECOND_NS,
            connections: self.open(),
            backlog: self.shared.outstanding(self.shared.plan.qos != QoS::AtMostOnce),
        }
    }

    /// The account of each stream: those with faults, and so many of the others that small runs show all.
    fn streams(&self, run: &StageRun, deliveries: &Deliveries) -> BTreeMap<usize, StreamOutcome> {
        let acknowledged = self.shared.plan.qos != QoS::AtMostOnce;
        let outcome = |(number, stream): (usize, &StreamState)| {
            let unacknowledged = if acknowledged { stream.measured.unanswered(run.number) } else { 0 };
            (number, StreamOutcome { delivery: deliveries.streams.get(&number).copied(), unacknowledged })
        };
        let streams = self.shared.streams().enumerate().map(outcome);
        streams.filter(|(number, outcome)| *number < CLEAN_STREAMS || !outcome.is_clean()).collect()
    }

    pub(super) fn outcome(
        &self,
        stage: Stage,
        run: StageRun,
        totals: StageTotals,
        usage: Usage,
        drain_ns: u64,
    ) -> StageOutcome {
        // Where a count may have ended the stage, the last event is the end.
        let last_ns = totals.spans.last().unwrap_or_default();
        let end_ns = if run.count.is_some() { last_ns.min(run.to_ns) } else { run.to_ns };
        // An interruption may come before measuring has begun.
        let from_ns = run.from_ns.min(run.to_ns);
        let plan = &self.shared.plan;
        // A closed loop has no schedule; where time may end it, a count is only a limit.
        let is_bounded =
            plan.publishers > 0 && (run.rate.is_some() || (run.count.is_some() && stage.duration.is_none()));
        let streams = self.streams(&run, &totals.deliveries);
        let mut delivery = Delivery::default();
        totals.deliveries.streams.values().for_each(|stream| delivery.merge(stream));
        let (used, busiest_thread) = (totals.used(), totals.busiest());
        let mut rows = totals.timeline.into_rows(end_ns.saturating_sub(from_ns));
        if plan.subscribers > 0 && plan.publishers > 0 && !totals.deliveries.has_undated {
            let lost = |second: usize| totals.deliveries.lost.get(&second).copied().unwrap_or_default();
            rows.iter_mut().enumerate().for_each(|(second, row)| row.lost = Some(lost(second)));
        }
        let measured_ns = end_ns.saturating_sub(from_ns);
        let offered: Option<u64> =
            run.rate.map(|_| self.shared.streams().map(|stream| stream.measured.offered()).sum());
        let schedule_ns = offered.zip(run.rate).map(|(offered, rate)| (offered as f64 * 1e9 / rate) as u64);
        let windows = match run.count {
            Some(_) => RateWindows::of_count(&totals.spans, from_ns, schedule_ns, measured_ns),
            None => RateWindows::even(measured_ns),
        };
        StageOutcome {
            rate: run.rate,
            windows,
            start_ns: run.start_ns,
            from_ns,
            measured_ns,
            drain_ns,
            recorder: totals.total,
            rows,
            delivery: (plan.subscribers > 0 && plan.publishers > 0).then_some(delivery),
            unbalanced: totals.deliveries.unbalanced,
            unmatched: totals.deliveries.unmatched,
            cpu_quota: None,
            throttling: None,
            offered,
            not_sent: is_bounded.then(|| self.shared.streams().map(|stream| stream.measured.not_sent()).sum()),
            downgraded: totals.downgraded,
            answered: self.shared.streams().map(|stream| stream.measured.answered()).sum(),
            unacknowledged: streams.values().map(|stream| stream.unacknowledged).sum(),
            streams,
            // The load's own threads, where the system tells them apart: an embedded broker is in this process too.
            cpu: used.or(usage.cpu),
            busiest_thread,
            resident_bytes: usage.resident,
            machine: usage.machine,
            clients_bytes: None,
            connected: 0,
            max_open: 0,
            clock_back_ns: 0,
            lost: BTreeMap::new(),
            outages: self.shared.plan.reconnect.map(|_| totals.outages),
            targets: totals
                .shares
                .into_iter()
                .map(|share| TargetOutcome { share, ..TargetOutcome::default() })
                .collect(),
            broker: None,
            given_up: None,
            stage,
        }
    }
}
