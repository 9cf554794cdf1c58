//! A publisher whose connection is lost: what of its messages was sent, what nobody waits for any more, and how long
//! nothing got through.

use std::sync::atomic::Ordering;

use super::super::link::{BenchSession, SendRecord};
use super::super::packets::Due;
use super::super::shared::{Shared, StreamState};
use super::{Publisher, StageProgress};
use crate::bench::measure::{Outage, Outages, Recorder};
use crate::mqtt::QoS;
use crate::session::Identifiers;

/// After so many connections in a row that were lost without progress the window is halved: a broker that is starting
/// again may cost one.
const BARREN_LOSSES: u32 = 2;

impl Publisher {
    /// Some brokers close the connection where more is in flight than they like, and cannot say so: halves the window
    /// where connections are lost again and again with nothing acknowledged. Gives back the new one.
    pub(in crate::bench::engine) fn reduce_window(&mut self, shared: &Shared, session: &BenchSession) -> Option<u16> {
        let completed = self.counts.completed;
        let is_barren = completed == std::mem::replace(&mut self.completed_at_loss, completed);
        let in_flight = session.in_flight().min(session.allowed());
        if !is_barren || in_flight < 2 || shared.plan.reconnect.is_none() {
            self.barren_losses = 0;
            return None;
        }
        self.barren_losses += 1;
        if self.barren_losses < BARREN_LOSSES {
            return None;
        }
        self.window_limit = u16::try_from(in_flight / 2).ok();
        self.window_limit
    }

    /// The connection is gone. Unless it is sent again nothing of what is under way is waited for, and a publisher that
    /// comes back goes on behind it.
    pub(in crate::bench::engine) fn note_loss(&mut self, shared: &Shared, now_ns: u64) {
        let stream = shared.stream(self.stream);
        if self.sends_again(shared) {
            self.keep_for_resending(stream);
            return self.begin_outage(shared, now_ns);
        }
        self.take_back(stream);
        self.clip_measured(stream);
        stream.sent.store(self.next, Ordering::Release);
        // At QoS 0 nobody says how far the broker had read.
        let unanswered = match self.qos {
            QoS::AtMostOnce => 0,
            _ => self.next.saturating_sub(self.counts.completed),
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
        (self.floor, self.refused_at_floor) = (self.next, self.counts.refused);
        self.begin_outage(shared, now_ns);
    }

    /// Whether what is under way when a connection is lost is sent again on the next one: where the session is to
    /// outlast the connection (MQTT-4.4.0-1).
    fn sends_again(&self, shared: &Shared) -> bool {
        self.qos != QoS::AtMostOnce && !shared.plan.session.clean_start && shared.plan.reconnect.is_some()
    }

    /// Everything stays in the window, also what the kernel has not taken, and is waited for.
    fn keep_for_resending(&mut self, stream: &StreamState) {
        self.waiting_bytes = 0;
        self.packets.forget_unwritten();
        stream.sent.store(self.next, Ordering::Release);
        stream.abandoned_from.store(self.next, Ordering::Release);
        stream.abandoned_to.store(self.next, Ordering::Release);
    }

    /// The number of a message in the window.
    fn sequence_of(&self, packet_identifier: u16) -> u64 {
        let distance =
            |from: u16, to: u16| (u64::from(to) + u64::from(u16::MAX) - u64::from(from)) % u64::from(u16::MAX);
        let (first, sequence) = self.anchor;
        let behind = distance(first, packet_identifier);
        if behind < self.next - sequence {
            sequence + behind
        } else {
            sequence.saturating_sub(distance(packet_identifier, first))
        }
    }

    /// Writes a message of an earlier connection again.
    pub(in crate::bench::engine) fn rewrite(
        &mut self,
        shared: &Shared,
        recorder: &mut Recorder,
        kept: &SendRecord,
        packet: (u16, bool),
        out: &mut Vec<u8>,
    ) -> bool {
        if !self.sends_again(shared) {
            return false;
        }
        let (packet_identifier, dup) = packet;
        let (sequence, intended_ns) = (self.sequence_of(packet_identifier), kept.intended_ns);
        let due = Due { identifiers: Identifiers::one(packet_identifier), sequence, intended_ns };
        let payload = self.packets.append_again(&shared.plan, self.stream, due, dup, out);
        let is_new = sequence >= self.written;
        self.written = self.written.max(sequence + 1);
        if self.measures(shared.clock.now_ns()) {
            let counters = &mut recorder.counters;
            if is_new {
                // The connection was lost before the kernel had taken it.
                counters.sent += 1;
                counters.payload_bytes_out += payload;
            } else {
                counters.sent_again += 1;
            }
        }
        true
    }

    /// A new connection was lost before it was handed over: the next one is as new.
    pub(in crate::bench::engine) fn reset_connection(&mut self) {
        self.packets.forget_unwritten();
    }

    /// Nothing gets through from now on.
    fn begin_outage(&mut self, shared: &Shared, now_ns: u64) {
        let stream = shared.stream(self.stream);
        if let Some(StageProgress { pace: Some(pace), .. }) = &mut self.progress {
            // What is due from here on finds no connection.
            pace.closed = true;
        }
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
    fn take_back(&mut self, stream: &StreamState) {
        let measured = self.next.saturating_sub(self.written.max(stream.measured_from.load(Ordering::Acquire)));
        (self.next, self.waiting_bytes) = (self.written, 0);
        self.packets.forget_unwritten();
        // A slot of a schedule was used up; in a closed loop another message takes its place.
        if let Some(StageProgress { pace: None, left: Some(left), measuring: true, done: false, .. }) =
            &mut self.progress
        {
            *left += measured;
        }
    }

    /// It does not come back: of the stages to come nobody waits for it either. Not `finish`: what of the schedule was
    /// not sent is yet to be counted.
    pub(in crate::bench::engine) fn retire(&mut self, shared: &Shared) {
        shared.stream(self.stream).done.store(u32::MAX, Ordering::Release);
    }

    /// Whether it has lost its connection for good.
    pub(in crate::bench::engine) fn is_retired(&self, shared: &Shared) -> bool {
        shared.stream(self.stream).done.load(Ordering::Acquire) == u32::MAX
    }

    /// Without a connection. Slots that come due are late through no fault of the generator's.
    pub(in crate::bench::engine) fn miss_slots(&mut self, shared: &Shared, now_ns: u64) {
        let Some(StageProgress { pace, run, .. }) = &mut self.progress else { return };
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
        if self.qos == QoS::AtMostOnce { self.written } else { self.counts.completed }
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
    pub(in crate::bench::engine) fn add_open_outage(&self, now_ns: u64, outages: &mut Outages) {
        if let Some((since, _)) = self.down {
            let (stream, dur_ns) = (self.stream as u64, now_ns.saturating_sub(since));
            outages.add(Outage { stream, start_ns: since, dur_ns, ended: false });
        }
    }
}
