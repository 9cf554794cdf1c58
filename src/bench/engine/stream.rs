//! One publisher's stream of messages as all threads see it. A publisher and its subscribers may be on different
//! threads, so positions are atomic: written once per batch and read once per batch.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use atomic_waker::AtomicWaker;
use bytes::Bytes;

use crate::bench::measure::STAMP_TICK_NS;

/// One publisher's stream. The publisher writes what it sent and lost; subscribers write their positions.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    sent: AtomicU64,
    /// Messages whose last acknowledgement arrived (QoS 1 and 2), and of these the refused ones.
    completed: AtomicU64,
    refused: AtomicU64,
    /// The measured messages of the stage.
    pub(super) measured: MeasuredMessages,
    /// What was lost together with connections.
    pub(super) losses: LossLog,
    /// The time during which nothing gets through.
    pub(super) outage: OutageClock,
    /// The positions of its receivers.
    pub(super) receivers: Receivers,
    /// Wakes the publisher when it waits for deliveries.
    pub(super) room: AtomicWaker,
    /// The payload, where messages have no stamp and are all the same.
    pub(super) content: Option<Bytes>,
    /// When messages were due, where payloads have no room for a stamp.
    pub(super) intended: SendTimes,
    /// When they were handed to the socket, where latencies are recorded in an open loop and this process receives
    /// them.
    pub(super) written: SendTimes,
}

/// What a publisher knows from acknowledgements.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AckTotals {
    /// Messages whose handshake is over, with any outcome.
    pub(super) completed: u64,
    /// Of these, refused by the broker: they are not delivered, and nobody waits for them.
    pub(super) refused: u64,
    /// Of the stage's measured messages, those that were acknowledged or refused.
    pub(super) answered: u64,
    /// Of these, those that were refused.
    pub(super) measured_refused: u64,
}

impl StreamState {
    pub(super) fn new(receivers: usize) -> Self {
        Self { receivers: Receivers::new(receivers), ..Self::default() }
    }

    /// Messages that were handed to the socket.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    pub(super) fn set_sent(&self, sent: u64) {
        self.sent.store(sent, Ordering::Release);
    }

    /// Shows what the publisher learned from acknowledgements.
    pub(super) fn set_acknowledged(&self, acks: &AckTotals) {
        self.measured.answered.store(acks.answered, Ordering::Release);
        self.measured.refused.store(acks.measured_refused, Ordering::Release);
        self.refused.store(acks.refused, Ordering::Release);
        self.completed.store(acks.completed, Ordering::Release);
    }

    /// A number that changes whenever a message is sent, acknowledged or delivered.
    pub(super) fn progress(&self) -> u64 {
        let completed = self.completed.load(Ordering::Acquire);
        self.sent().wrapping_add(completed).wrapping_add(self.receivers.progress())
    }

    /// Sent messages that are still to be delivered or, where `acknowledged`, acknowledged.
    pub(super) fn outstanding(&self, acknowledged: bool) -> u64 {
        let sent = self.sent();
        let delivered = self.receivers.lowest().unwrap_or(sent);
        let completed = self.completed.load(Ordering::Acquire);
        let unacknowledged = sent.saturating_sub(self.losses.unanswered()).saturating_sub(completed);
        let undelivered = self.losses.undelivered(sent, delivered);
        let refused = self.refused.load(Ordering::Acquire);
        (if acknowledged { unacknowledged } else { 0 }).max(undelivered.saturating_sub(refused))
    }
}

/// Which messages of a stream a stage measures, and what became of them.
#[derive(Debug, Default)]
pub(super) struct MeasuredMessages {
    /// The number of the stage.
    stage: AtomicU32,
    from: AtomicU64,
    to: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
    offered: AtomicU64,
    not_sent: AtomicU64,
    /// The last stage for which the publisher sent everything; `RETIRED` where it lost its connection for good.
    done: AtomicU32,
}

const RETIRED: u32 = u32::MAX;

impl MeasuredMessages {
    /// Begins a stage at the next sequence number of the publisher.
    pub(super) fn begin(&self, stage: u32, next: u64) {
        self.stage.store(stage, Ordering::Release);
        self.from.store(next, Ordering::Release);
        self.to.store(next, Ordering::Release);
    }

    /// The first measured message has this sequence number.
    pub(super) fn set_from(&self, sequence: u64) {
        self.from.store(sequence, Ordering::Release);
    }

    /// The last measured message precedes this sequence number.
    pub(super) fn set_to(&self, end: u64) {
        self.to.store(end, Ordering::Release);
    }

    /// The first measured sequence number.
    pub(super) fn from(&self) -> u64 {
        self.from.load(Ordering::Acquire)
    }

    /// Leaves out what was not sent. Returns whether no measured message is left.
    pub(super) fn clip(&self, written: u64) -> bool {
        if self.to.load(Ordering::Acquire) <= written {
            return false;
        }
        self.to.store(written, Ordering::Release);
        self.from.fetch_min(written, Ordering::AcqRel) >= written
    }

    /// The sequence numbers that a stage measured; empty where the publisher was lost before.
    pub(super) fn range(&self, stage: u32) -> Range<u64> {
        let from = self.from();
        let to = self.to.load(Ordering::Acquire);
        from..if self.is_of(stage) { to.max(from) } else { from }
    }

    fn is_of(&self, stage: u32) -> bool {
        self.stage.load(Ordering::Acquire) == stage
    }

    /// Of the messages that a stage measured, those that the broker refused.
    pub(super) fn refused(&self, stage: u32) -> u64 {
        if self.is_of(stage) { self.refused.load(Ordering::Acquire) } else { 0 }
    }

    /// Those that were acknowledged or refused, also after the measured window.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    /// Those that were neither acknowledged nor refused.
    pub(super) fn unanswered(&self, stage: u32) -> u64 {
        let measured = self.range(stage);
        (measured.end - measured.start).saturating_sub(self.answered())
    }

    /// Settles the stage: slots of the schedule in the measured window, and messages that should have been sent.
    pub(super) fn settle(&self, offered: u64, not_sent: u64) {
        self.offered.store(offered, Ordering::Release);
        self.not_sent.store(not_sent, Ordering::Release);
    }

    pub(super) fn offered(&self) -> u64 {
        self.offered.load(Ordering::Acquire)
    }

    pub(super) fn not_sent(&self) -> u64 {
        self.not_sent.load(Ordering::Acquire)
    }

    /// The publisher has sent everything for a stage. Never goes back: a retired publisher stays so.
    pub(super) fn set_done(&self, stage: u32) {
        self.done.fetch_max(stage, Ordering::AcqRel);
    }

    /// The publisher has lost its connection for good.
    pub(super) fn retire(&self) {
        self.set_done(RETIRED);
    }

    pub(super) fn is_done(&self, stage: u32) -> bool {
        self.done.load(Ordering::Acquire) >= stage
    }

    pub(super) fn is_retired(&self) -> bool {
        self.is_done(RETIRED)
    }
}

/// Messages of a stream that were in flight when the publisher lost its connection: nobody waits for them.
#[derive(Debug, Default)]
pub(super) struct LossLog {
    /// Messages of all losses that will never be acknowledged.
    unanswered: AtomicU64,
    /// The sequence numbers that were in flight at the last loss.
    from: AtomicU64,
    to: AtomicU64,
    /// In the stage: how many messages were lost with connections, and the sequence number of the first.
    in_stage: AtomicU64,
    in_stage_from: AtomicU64,
}

impl LossLog {
    pub(super) fn begin_stage(&self) {
        self.in_stage.store(0, Ordering::Release);
    }

    /// A connection was lost with these messages in flight; `unanswered` counts those of all losses.
    pub(super) fn add(&self, in_flight: Range<u64>, unanswered: u64) {
        let count = in_flight.end - in_flight.start;
        self.unanswered.store(unanswered, Ordering::Release);
        self.from.store(in_flight.start, Ordering::Release);
        self.to.store(in_flight.end, Ordering::Release);
        if self.in_stage.fetch_add(count, Ordering::AcqRel) == 0 {
            self.in_stage_from.store(in_flight.start, Ordering::Release);
        }
    }

    /// A connection was lost, and everything in flight is sent again.
    pub(super) fn add_without_loss(&self, next: u64) {
        self.from.store(next, Ordering::Release);
        self.to.store(next, Ordering::Release);
    }

    /// Messages that will never be acknowledged.
    pub(super) fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Acquire)
    }

    /// Messages from this sequence number on were sent after the last loss.
    pub(super) fn end(&self) -> u64 {
        self.to.load(Ordering::Acquire)
    }

    /// Where the messages lost in the stage are, and how many they are; there may be others between them.
    pub(super) fn in_stage(&self) -> (Range<u64>, u64) {
        let range = self.in_stage_from.load(Ordering::Acquire)..self.end();
        (range, self.in_stage.load(Ordering::Acquire))
    }

    /// How many of the sent messages are still to arrive where everything below `delivered` has arrived.
    fn undelivered(&self, sent: u64, delivered: u64) -> u64 {
        let (from, to) = (self.from.load(Ordering::Acquire), self.end());
        if delivered >= to {
            return sent.saturating_sub(delivered);
        }
        from.saturating_sub(delivered) + sent.saturating_sub(to)
    }
}

/// Since when the publisher has had no connection and nothing has got through.
#[derive(Debug, Default)]
pub(super) struct OutageClock {
    /// Nanoseconds since t0; 0 while there is no outage.
    since_ns: AtomicU64,
}

impl OutageClock {
    /// Starts an outage, unless an earlier one is not over.
    pub(super) fn start(&self, now_ns: u64) {
        let _ = self.since_ns.compare_exchange(0, now_ns.max(1), Ordering::AcqRel, Ordering::Acquire);
    }

    /// When the present outage began.
    pub(super) fn since_ns(&self) -> Option<u64> {
        Some(self.since_ns.load(Ordering::Acquire)).filter(|since| *since > 0)
    }

    /// Ends the outage. Returns when it began, to the first caller only.
    pub(super) fn end(&self) -> Option<u64> {
        self.since_ns()?;
        Some(self.since_ns.swap(0, Ordering::AcqRel)).filter(|since| *since > 0)
    }
}

/// The receivers of a stream, and the lowest of their positions: the sequence number below which nothing is missing or
/// waited for.
#[derive(Debug, Default)]
pub(super) struct Receivers {
    /// One per receiver: the number after the highest that arrived. `GONE` for one without a connection.
    positions: Box<[AtomicU64]>,
    /// The lowest position at the last look, and whose it was.
    lowest: AtomicU64,
    slowest: AtomicUsize,
}

/// The position of a receiver without a connection: nobody waits for it.
const GONE: u64 = u64::MAX;

impl Receivers {
    fn new(count: usize) -> Self {
        Self { positions: (0..count).map(|_| AtomicU64::new(0)).collect(), ..Self::default() }
    }

    /// The position of a receiver rises to this. Nobody else writes it.
    #[inline]
    pub(super) fn raise(&self, receiver: usize, position: u64) {
        // A kept session delivers old messages after newer ones: positions only rise.
        let current = &self.positions[receiver];
        if current.load(Ordering::Relaxed) < position {
            current.store(position, Ordering::Release);
        }
    }

    /// A receiver lost its connection.
    pub(super) fn leave(&self, receiver: usize) {
        self.positions[receiver].store(GONE, Ordering::Release);
    }

    /// A receiver is connected again, and waits for what is sent from now on. Where other members of its group were
    /// connected all the time, its position is theirs.
    pub(super) fn rejoin(&self, receiver: usize, sent: u64) {
        let _ = self.positions[receiver].compare_exchange(GONE, sent, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The lowest position; none where there are no receivers.
    pub(super) fn lowest(&self) -> Option<u64> {
        // While the slowest of before has not moved, no other can be behind it: positions only rise, except for
        // receivers that come back, and those are behind nobody who stayed. All are looked at only after a change, or
        // where all were gone.
        let known = self.lowest.load(Ordering::Relaxed);
        let slowest = self.positions.get(self.slowest.load(Ordering::Relaxed))?;
        if known != GONE && slowest.load(Ordering::Acquire) == known {
            return Some(known);
        }
        let positions = self.positions.iter().map(|position| position.load(Ordering::Acquire)).enumerate();
        let (slowest, lowest) = positions.min_by_key(|(_, position)| *position)?;
        self.slowest.store(slowest, Ordering::Relaxed);
        self.lowest.store(lowest, Ordering::Relaxed);
        Some(lowest)
    }

    /// A number that changes whenever a position rises.
    fn progress(&self) -> u64 {
        let positions = self.positions.iter().map(|position| position.load(Ordering::Acquire));
        positions.filter(|position| *position < GONE).fold(0, u64::wrapping_add)
    }
}

/// The times of a stream's last messages by sequence number: 16 bits of the number (those above its slot) and 48 bits
/// of time. Empty where nobody asks. One store and one load per message, no lock: whoever asks for a message has
/// received it, so its time is there.
#[derive(Debug, Default)]
pub(super) struct SendTimes(Box<[AtomicU64]>);

const TIME_BITS: u32 = 48;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

impl SendTimes {
    /// Room for at least this many of the last messages; zero for none.
    pub(super) fn of_last(messages: usize) -> Self {
        let slots = if messages == 0 { 0 } else { messages.next_power_of_two() };
        Self((0..slots).map(|_| AtomicU64::new(u64::MAX)).collect())
    }

    fn slot(&self, sequence: u64) -> Option<&AtomicU64> {
        // The length is a power of two, or zero, where the mask is all ones and finds nothing.
        self.0.get(sequence as usize & self.0.len().wrapping_sub(1))
    }

    /// The part of a sequence number that is stored beside the time. With the slot it distinguishes messages whose
    /// numbers are less than 65,536 times the number of slots apart.
    fn tag(&self, sequence: u64) -> u64 {
        (sequence >> self.0.len().trailing_zeros()) & 0xFFFF
    }

    /// Stores the time of a message.
    #[inline]
    pub(super) fn set(&self, sequence: u64, ns: u64) {
        if let Some(slot) = self.slot(sequence) {
            slot.store(self.tag(sequence) << TIME_BITS | ((ns / STAMP_TICK_NS) & TIME_MASK), Ordering::Release);
        }
    }

    /// The time of a message, to 100 ns; none when a newer message took its slot.
    #[inline]
    pub(super) fn get(&self, sequence: u64) -> Option<u64> {
        let entry = self.slot(sequence)?.load(Ordering::Acquire);
        (entry >> TIME_BITS == self.tag(sequence)).then_some((entry & TIME_MASK) * STAMP_TICK_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lost_with_a_connection_are_not_waited_for() {
        let losses = LossLog::default();
        assert_eq!(losses.undelivered(10, 4), 6);
        losses.add(6..10, 4);
        // Of 10 the last 4 were in flight: two are still to arrive, then none; messages sent afterwards are waited for.
        assert_eq!([4, 6, 8].map(|delivered| losses.undelivered(10, delivered)), [2, 0, 0]);
        assert_eq!([6, 12, 15].map(|delivered| losses.undelivered(15, delivered)), [5, 3, 0]);
        losses.add(12..15, 7);
        assert_eq!((losses.in_stage(), losses.unanswered()), ((6..15, 7), 7));
        losses.begin_stage();
        losses.add(20..21, 8);
        assert_eq!(losses.in_stage(), (20..21, 1));
    }

    #[test]
    fn a_receiver_that_comes_back_is_waited_for_when_all_were_gone() {
        let receivers = Receivers::new(2);
        receivers.raise(0, 5);
        receivers.raise(1, 7);
        assert_eq!(receivers.lowest(), Some(5));
        receivers.raise(0, 3);
        assert_eq!(receivers.lowest(), Some(5), "positions only rise");
        receivers.leave(0);
        receivers.leave(1);
        assert_eq!(receivers.lowest(), Some(GONE));
        // Not the one that was the slowest.
        receivers.rejoin(1, 9);
        assert_eq!(receivers.lowest(), Some(9));
        assert_eq!(Receivers::new(0).lowest(), None);
    }

    #[test]
    fn an_outage_is_started_and_ended_once() {
        let outage = OutageClock::default();
        assert_eq!(outage.end(), None);
        outage.start(0);
        outage.start(9);
        assert_eq!((outage.since_ns(), outage.end(), outage.end()), (Some(1), Some(1), None));
    }

    #[test]
    fn times_are_known_while_they_have_a_slot() {
        let times = SendTimes::of_last(5);
        for sequence in 0..20 {
            times.set(sequence, sequence * 1000 + 99);
        }
        assert_eq!(times.get(19), Some(19_000));
        assert_eq!(times.get(12), Some(12_000));
        assert_eq!(times.get(11), None, "overwritten");
        assert_eq!(times.get(20), None, "not sent yet");
        times.set(12 + 0x1_0000, 7);
        assert_eq!(times.get(12), None, "a message that is 65,536 later is another one");
        let unused = SendTimes::of_last(0);
        unused.set(0, 1);
        assert_eq!(unused.get(0), None);
    }
}
