//! A publisher whose connection is lost: what of its messages was sent, what nobody waits for any more, and how long
//! nothing got through.

use std::sync::atomic::Ordering;

use super::super::shared::{Shared, Stream};
use super::{Progress, Publisher};
use crate::bench::measure::{Outage, Outages};
use crate::mqtt::QoS;

impl Publisher {
    /// The connection is gone: nothing of what is under way is waited for, and a publisher that comes back goes on
    /// behind it.
    pub(in crate::bench::engine) fn note_loss(&mut self, shared: &Shared, now_ns: u64) {
        let stream = shared.stream(self.stream);
        self.take_back(stream);
        self.clip_measured(stream);
        stream.sent.store(self.next, Ordering::Release);
        // At QoS 0 nobody says how far the broker had read.
        let unanswered = match self.qos {
            QoS::AtMostOnce => 0,
            _ => self.next.saturating_sub(self.ears.completed),
        };
        let under_way = match self.qos {
            QoS::AtMostOnce => self.next - shared.delivered_floor(self.stream).unwrap_or(0).min(self.next),
            // Those of an earlier loss are never answered and not under way any more.
            _ => unanswered.saturating_sub(stream.abandoned.load(Ordering::Acquire)),
        };
        let from = self.next - under_way.min(self.next);
        stream.abandoned.store(unanswered, Ordering::Release);
        stream.abandoned_from.store(from, Ordering::Release);
        stream.abandoned_to.store(self.next, Ordering::Release);
        if stream.excused.fetch_add(under_way, Ordering::AcqRel) == 0 {
            stream.excused_from.store(from, Ordering::Release);
        }
        if let Some(Progress { pace: Some(pace), .. }) = &mut self.progress {
            // What is due from here on finds no connection.
            pace.closed = true;
        }
        (self.floor, self.refused_at_floor) = (self.next, self.ears.refused);
        self.timed = None;
        if shared.plan.reconnect.is_none() {
            return;
        }
        if shared.plan.subscribers == 0 {
            self.down = self.down.or(Some((now_ns, self.through())));
        } else {
            // An outage that goes on began earlier.
            let _ = stream.down_since.compare_exchange(0, now_ns.max(1), Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// Takes back what the kernel has not taken wholly: it was never sent, and its numbers are free.
    fn take_back(&mut self, stream: &Stream) {
        let measured = self.next.saturating_sub(self.written.max(stream.measured_from.load(Ordering::Acquire)));
        (self.next, self.waiting_bytes) = (self.written, 0);
        self.packets.forget_unwritten();
        // A slot of a schedule was used up; in a closed loop another message takes its place.
        if let Some(Progress { pace: None, left: Some(left), measuring: true, done: false, .. }) = &mut self.progress {
            *left += measured;
        }
    }

    /// It does not come back: of the stages to come nobody waits for it either. Not `finish`: what of the schedule was
    /// not sent is yet to be counted.
    pub(in crate::bench::engine) fn go(&mut self, shared: &Shared) {
        shared.stream(self.stream).done.store(u32::MAX, Ordering::Release);
    }

    /// Whether it has lost its connection for good.
    pub(in crate::bench::engine) fn is_gone(&self, shared: &Shared) -> bool {
        shared.stream(self.stream).done.load(Ordering::Acquire) == u32::MAX
    }

    /// Without a connection. Slots that come due are late through no fault of the generator's.
    pub(in crate::bench::engine) fn miss(&mut self, shared: &Shared, now_ns: u64) {
        let Some(Progress { pace, run, .. }) = &mut self.progress else { return };
        if let Some(pace) = pace {
            pace.closed = true;
        }
        if now_ns >= run.to_ns {
            // Not `finish`: what of the schedule was not sent is yet to be counted.
            shared.stream(self.stream).done.fetch_max(run.number, Ordering::AcqRel);
        }
    }

    /// What has got through where nobody subscribes: acknowledged messages, at QoS 0 those that the socket took.
    fn through(&self) -> u64 {
        if self.qos == QoS::AtMostOnce { self.written } else { self.ears.completed }
    }

    /// Ends an outage where something has got through again. Where somebody subscribes, the subscriber does.
    pub(in crate::bench::engine) fn end_outage(&mut self, now_ns: u64, outages: &mut Outages) {
        if let Some((since, through)) = self.down
            && self.through() > through
        {
            self.down = None;
            let (stream, dur_ns) = (self.stream as u64, now_ns.saturating_sub(since));
            outages.add(Outage { stream, start_ns: since, dur_ns, ended: true });
        }
    }

    /// Enters an outage that is not over.
    pub(in crate::bench::engine) fn note_open_outage(&self, now_ns: u64, outages: &mut Outages) {
        if let Some((since, _)) = self.down {
            let (stream, dur_ns) = (self.stream as u64, now_ns.saturating_sub(since));
            outages.add(Outage { stream, start_ns: since, dur_ns, ended: false });
        }
    }
}
