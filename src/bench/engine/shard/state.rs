//! What the tasks of a shard share: buffers, recorders, the current stage, and how to wake each client.

use std::cell::{Cell, RefCell, RefMut};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use super::super::clock::now;
use super::super::link::Link;
use super::super::pacer::Pacer;
use super::super::shared::{Shared, StageRun};
use super::super::together::lateness;
use super::messages::{Report, TargetShare};
use crate::bench::measure::{Outages, Recorder, Span, Spans};
use crate::bench::plan::Schedule;
use crate::transport::TlsClient;

/// Most bytes per read.
pub(super) const READ_BUFFER: usize = 128 * 1024;

/// What the tasks of a shard share. They are on one thread: cells instead of locks.
pub(in crate::bench::engine) struct ShardState {
    number: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) tls: Option<TlsClient>,
    pub(super) tasks: ClientTasks,
    pub(super) recorders: TargetRecorders,
    pub(super) coalescing: ReadCoalescing,
    pub(super) pacer: Pacer,
    input: RefCell<Vec<u8>>,
    out: RefCell<Vec<u8>>,
    stage: Cell<Option<StageRun>>,
    /// The schedule of the stage in an open loop.
    schedule: RefCell<Option<Schedule>>,
    /// When messages were sent, acknowledged and delivered in the measured window.
    spans: RefCell<Spans>,
    outages: RefCell<Outages>,
    /// Clients without a connection that left something on the broker: global number, and whether they publish.
    left_behind: RefCell<Vec<(usize, bool)>>,
    reports: UnboundedSender<Report>,
}

impl ShardState {
    pub(super) fn new(
        number: usize,
        shared: Arc<Shared>,
        tls: Option<TlsClient>,
        reports: UnboundedSender<Report>,
    ) -> Rc<Self> {
        let recorders = TargetRecorders::new(shared.plan.targets.count());
        Rc::new(Self {
            number,
            shared,
            tls,
            tasks: ClientTasks::default(),
            recorders,
            coalescing: ReadCoalescing::default(),
            pacer: Pacer::default(),
            input: RefCell::new(vec![0; READ_BUFFER]),
            out: RefCell::default(),
            stage: Cell::new(None),
            schedule: RefCell::default(),
            spans: RefCell::default(),
            outages: RefCell::default(),
            left_behind: RefCell::default(),
            reports,
        })
    }

    pub(super) const fn number(&self) -> usize {
        self.number
    }

    pub(super) fn report(&self, report: Report) {
        // A coordinator that has ended needs no reports.
        let _ = self.reports.send(report);
    }

    /// The buffer for reads.
    pub(super) fn input(&self) -> RefMut<'_, Vec<u8>> {
        self.input.borrow_mut()
    }

    /// The buffer in which packets are built.
    pub(super) fn out(&self) -> RefMut<'_, Vec<u8>> {
        self.out.borrow_mut()
    }

    /// Sends the packets that the session of a link has produced.
    pub(super) fn send_output(&self, link: &mut Link, context: &mut Context<'_>) -> io::Result<usize> {
        link.send_output(context, &mut self.out())
    }

    /// The recorder of a broker.
    pub(super) fn recorder(&self, target: usize) -> RefMut<'_, Box<Recorder>> {
        self.recorders.of(target)
    }

    /// The current stage.
    pub(super) const fn stage(&self) -> Option<StageRun> {
        self.stage.get()
    }

    /// Begins a stage, or changes its end where it is the current one.
    pub(super) fn begin_stage(&self, stage: StageRun) {
        if self.stage.replace(Some(stage)).is_none_or(|before| before.number != stage.number) {
            let plan = &self.shared.plan;
            if plan.shard.is_some() {
                self.time_start(stage.start_ns);
            }
            let schedule = stage.rate.map(|rate| Schedule::new(plan.arrival, rate, plan.seed));
            *self.schedule.borrow_mut() = schedule;
        }
    }

    /// Reports how long after a moment this thread could do anything.
    fn time_start(&self, start_ns: u64) {
        let start = self.shared.clock.at(start_ns);
        let reports = self.reports.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep_until(start.into()).await;
            let _ = reports.send(Report::Begun { late: lateness(start, now()) });
        });
    }

    /// Ends the current stage and returns its number; 0 where there is none.
    pub(super) fn end_stage(&self) -> u32 {
        self.stage.take().map_or(0, |stage| stage.number)
    }

    /// The schedule of the stage in an open loop.
    pub(super) fn schedule(&self) -> Option<Schedule> {
        self.schedule.borrow().clone()
    }

    /// Whether this moment is in the measured window, also of a stage that this thread does not know of yet.
    pub(super) fn measures(&self, now_ns: u64) -> bool {
        self.shared.stage_after(self.stage.get()).is_some_and(|stage| stage.measures(now_ns))
    }

    /// Extends a span to this moment if messages were counted at it: where a count ends the stage, its last message is
    /// the end. PINGRESP and foreign messages do not extend it.
    pub(super) fn extend_span(&self, counted: bool, now_ns: u64, of: fn(&mut Spans) -> &mut Span) {
        if counted {
            of(&mut self.spans.borrow_mut()).note(now_ns);
        }
    }

    pub(super) fn take_spans(&self) -> Spans {
        self.spans.take()
    }

    pub(super) fn outages(&self) -> RefMut<'_, Outages> {
        self.outages.borrow_mut()
    }

    pub(super) fn take_outages(&self) -> Outages {
        self.outages.take()
    }

    /// A client without a connection left something on the broker.
    pub(super) fn add_left_behind(&self, client: usize, publishes: bool) {
        self.left_behind.borrow_mut().push((client, publishes));
    }

    pub(super) fn take_left_behind(&self) -> Vec<(usize, bool)> {
        self.left_behind.take()
    }
}

/// The client tasks of a shard, by index.
#[derive(Default)]
pub(super) struct ClientTasks {
    wakers: RefCell<Vec<Option<Waker>>>,
    running: Cell<usize>,
    all_ended: Notify,
    ending: Cell<bool>,
}

impl ClientTasks {
    /// Adds a task and returns its index.
    pub(super) fn add(&self) -> usize {
        self.running.set(self.running.get() + 1);
        let mut wakers = self.wakers.borrow_mut();
        wakers.push(None);
        wakers.len() - 1
    }

    /// A task has ended.
    pub(super) fn remove_one(&self) {
        let left = self.running.get() - 1;
        self.running.set(left);
        if left == 0 {
            self.all_ended.notify_one();
        }
    }

    /// Remembers how to wake a task.
    pub(super) fn set_waker(&self, index: usize, context: &Context<'_>) {
        let waker = &mut self.wakers.borrow_mut()[index];
        match waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => *waker = Some(context.waker().clone()),
        }
    }

    /// A task is not woken any more.
    pub(super) fn remove_waker(&self, index: usize) {
        self.wakers.borrow_mut()[index] = None;
    }

    pub(super) fn wake(&self, index: usize) {
        if let Some(waker) = &self.wakers.borrow()[index] {
            waker.wake_by_ref();
        }
    }

    pub(super) fn wake_all(&self) {
        self.wakers.borrow().iter().flatten().for_each(Waker::wake_by_ref);
    }

    /// Whether all tasks are to disconnect and end.
    pub(super) fn are_ending(&self) -> bool {
        self.ending.get()
    }

    /// Asks all tasks to disconnect, and waits at most this long until they have.
    pub(super) async fn end_all(&self, timeout: Duration) {
        self.ending.set(true);
        self.wake_all();
        if self.running.get() > 0 {
            let _ = tokio::time::timeout(timeout, self.all_ended.notified()).await;
        }
    }
}

/// What was recorded since the last second, one recorder per broker.
pub(super) struct TargetRecorders {
    recorders: Vec<RefCell<Box<Recorder>>>,
    /// Where there are several brokers: what each had in the earlier seconds of the stage.
    shares: RefCell<Vec<TargetShare>>,
}

impl TargetRecorders {
    fn new(targets: usize) -> Self {
        Self {
            recorders: (0..targets).map(|_| RefCell::default()).collect(),
            shares: RefCell::new(Self::no_shares(targets)),
        }
    }

    fn no_shares(targets: usize) -> Vec<TargetShare> {
        vec![TargetShare::default(); if targets > 1 { targets } else { 0 }]
    }

    fn of(&self, target: usize) -> RefMut<'_, Box<Recorder>> {
        self.recorders[target].borrow_mut()
    }

    /// Takes what was recorded since the last call, all brokers together.
    pub(super) fn take(&self) -> Box<Recorder> {
        if let [only] = &self.recorders[..] {
            return std::mem::take(&mut *only.borrow_mut());
        }
        let mut total = Box::<Recorder>::default();
        for (recorder, share) in self.recorders.iter().zip(&mut *self.shares.borrow_mut()) {
            let recorder = std::mem::take(&mut *recorder.borrow_mut());
            share.recorder.merge(&recorder);
            total.merge(&recorder);
        }
        total
    }

    /// Takes the parts of the brokers in the stage; empty where there is only one.
    pub(super) fn take_shares(&self) -> Vec<TargetShare> {
        self.shares.replace(Self::no_shares(self.recorders.len()))
    }
}

/// Without latencies the time of a read does not matter, and reading acknowledgements in bulk saves most of the CPU
/// time that they cost. The thread sleeps as long as no publisher runs out of messages in flight meanwhile.
pub(super) struct ReadCoalescing {
    /// The thread slept too long: a publisher had little left in flight, or the receive buffer of a subscriber may have
    /// been full.
    starved: Cell<bool>,
    sleep: Cell<Duration>,
}

impl ReadCoalescing {
    const SHORTEST_SLEEP: Duration = Duration::from_micros(50);
    const LONGEST_SLEEP: Duration = Duration::from_millis(10);

    /// A receive buffer that holds this much may be full, and then the broker waits.
    const MUCH_UNREAD: usize = 32 * 1024;

    /// A publisher had little left in flight.
    pub(super) fn note_starved(&self) {
        self.starved.set(true);
    }

    /// A read of a subscriber returned this many bytes.
    pub(super) fn note_read(&self, bytes: usize) {
        if bytes >= Self::MUCH_UNREAD {
            self.starved.set(true);
        }
    }

    /// Lets messages accumulate.
    pub(super) fn sleep(&self) {
        let last = self.sleep.get();
        let next = if self.starved.replace(false) { last / 2 } else { last + last / 8 };
        self.sleep.set(next.clamp(Self::SHORTEST_SLEEP, Self::LONGEST_SLEEP));
        std::thread::sleep(self.sleep.get());
    }
}

impl Default for ReadCoalescing {
    fn default() -> Self {
        Self { starved: Cell::new(false), sleep: Cell::new(Self::SHORTEST_SLEEP) }
    }
}
