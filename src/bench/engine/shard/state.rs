//! What the tasks of a shard share: buffers, recorders, the present stage, and how to wake whom.

use std::cell::{Cell, RefCell, RefMut};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use super::super::link::Link;
use super::super::pacer::Pacer;
use super::super::shared::{Shared, StageRun};
use super::{Report, Share};
use crate::bench::measure::{Counters, Outages, Recorder, Span, Spans};
use crate::bench::plan::Schedule;
use crate::transport::TlsClient;

/// One read takes at most this much.
const READ_BUFFER: usize = 128 * 1024;
/// A receive buffer that holds this much may be full, and then the broker waits.
const MUCH_UNREAD: usize = 32 * 1024;

/// What the tasks of a shard share. One thread: cells instead of locks.
pub(in crate::bench::engine) struct ShardState {
    pub(super) number: usize,
    pub(in crate::bench::engine) shared: Arc<Shared>,
    pub(super) input: RefCell<Vec<u8>>,
    pub(super) out: RefCell<Vec<u8>>,
    /// One for each broker, of which there is mostly one.
    pub(super) recorders: Vec<RefCell<Box<Recorder>>>,
    /// What each of several brokers had in earlier seconds of the stage.
    pub(super) shares: RefCell<Vec<Share>>,
    pub(super) outages: RefCell<Outages>,
    /// Clients without a connection that have left something on the broker: global number, and whether they publish.
    pub(super) left_behind: RefCell<Vec<(usize, bool)>>,
    pub(in crate::bench::engine) tls: Option<TlsClient>,
    pub(super) stage: Cell<Option<StageRun>>,
    /// The schedule of the stage, where it is an open loop.
    pub(super) schedule: RefCell<Option<Schedule>>,
    /// When messages were sent, acknowledged and delivered in the measured window.
    pub(super) spans: RefCell<Spans>,
    /// The thread slept too long: a publisher had little in flight any more when it was looked at, or so much lay there for
    /// a subscriber that its receive buffer may have been full.
    pub(super) starved: Cell<bool>,
    pub(super) ending: Cell<bool>,
    /// Clients whose task has not ended, and the word when none is left.
    pub(super) at_work: Cell<usize>,
    pub(super) all_gone: Notify,
    pub(super) wakers: RefCell<Vec<Option<Waker>>>,
    pub(super) pacer: Pacer,
    pub(super) reports: UnboundedSender<Report>,
}

impl ShardState {
    pub(super) fn new(
        number: usize,
        shared: Arc<Shared>,
        tls: Option<TlsClient>,
        reports: UnboundedSender<Report>,
    ) -> Rc<Self> {
        let targets = shared.plan.targets.count();
        Rc::new(Self {
            number,
            shared,
            input: RefCell::new(vec![0; READ_BUFFER]),
            out: RefCell::new(Vec::new()),
            recorders: (0..targets).map(|_| RefCell::default()).collect(),
            shares: RefCell::new(vec![Share::default(); if targets > 1 { targets } else { 0 }]),
            outages: RefCell::default(),
            left_behind: RefCell::default(),
            tls,
            stage: Cell::new(None),
            schedule: RefCell::new(None),
            spans: RefCell::default(),
            starved: Cell::new(false),
            ending: Cell::new(false),
            at_work: Cell::new(0),
            all_gone: Notify::new(),
            wakers: RefCell::default(),
            pacer: Pacer::default(),
            reports,
        })
    }

    pub(in crate::bench::engine) fn report(&self, report: Report) {
        // A coordinator that is gone needs no reports.
        let _ = self.reports.send(report);
    }

    pub(super) fn wake_all(&self) {
        self.wakers.borrow().iter().flatten().for_each(Waker::wake_by_ref);
    }

    /// Counts a read of a subscriber.
    pub(super) fn count_read(counters: &mut Counters, bytes: usize) {
        counters.reads += 1;
        counters.full_reads += u64::from(bytes == READ_BUFFER);
    }

    /// Notes how much one read of a subscriber brought.
    pub(super) fn note_read(&self, bytes: usize) {
        if bytes >= MUCH_UNREAD {
            self.starved.set(true);
        }
    }

    /// Whether this moment is in the measured window, also of a stage that this thread has not been told of yet.
    pub(super) fn measures(&self, now_ns: u64) -> bool {
        self.shared.stage_after(self.stage.get()).is_some_and(|stage| stage.measures(now_ns))
    }

    /// Notes the moment if messages were counted at it: where a count ends the stage, the last one is its end. Bytes that
    /// are none — PINGRESP, somebody else's messages — do not make it longer.
    pub(super) fn note_event(&self, counted: bool, now_ns: u64, of: fn(&mut Spans) -> &mut Span) {
        if counted {
            of(&mut self.spans.borrow_mut()).note(now_ns);
        }
    }

    /// The shard's number.
    pub(in crate::bench::engine) const fn number(&self) -> usize {
        self.number
    }

    /// The present stage.
    pub(in crate::bench::engine) const fn stage(&self) -> Option<StageRun> {
        self.stage.get()
    }

    /// Asks for a wake-up of a client.
    pub(in crate::bench::engine) fn schedule_wake(&self, due_ns: u64, index: usize) {
        self.pacer.schedule(due_ns, index);
    }

    /// Sends what the session of a link has to say.
    pub(in crate::bench::engine) fn send_output(
        &self,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> io::Result<usize> {
        link.send_output(context, &mut self.out.borrow_mut())
    }

    /// The recorder of a broker.
    pub(in crate::bench::engine) fn recorder(&self, target: usize) -> RefMut<'_, Box<Recorder>> {
        self.recorders[target].borrow_mut()
    }

    pub(super) fn take_recorder(&self) -> Box<Recorder> {
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

    /// Remembers how to wake a client.
    pub(super) fn remember(&self, index: usize, context: &Context<'_>) {
        let place = &mut self.wakers.borrow_mut()[index];
        match place {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => *place = Some(context.waker().clone()),
        }
    }
}
