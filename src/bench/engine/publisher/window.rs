//! How many messages a publisher may have in flight.

use std::time::Duration;

use super::super::stream::StreamState;

/// A window that frees slot by slot is refilled by at least this part of it: a broker that acknowledges one message per
/// packet would otherwise cost one write per message. An eighth holds a slot back for a sixteenth of the round trip on
/// average, where the round trip is the limit.
const REFILL_PART: u64 = 8;

/// The most messages that a refill waits for.
const MOST_REFILL: u64 = 32;

/// A refill waits at most this long: what freed too few slots may free no more.
const REFILL_TIMEOUT_NS: u64 = 10_000_000;

/// The shortest silence after which messages in flight count as lost and the window continues.
const SHORTEST_SILENCE_NS: u64 = 1_000_000_000;

/// The silence lasts at least this many round trips.
const SILENT_ROUND_TRIPS: u64 = 4;

/// After this many connections in a row that were lost without progress the window is halved: a broker that restarts
/// may cost one.
const FRUITLESS_LOSSES: u32 = 2;

/// The window over messages that are not delivered to all receivers.
#[derive(Debug)]
pub(super) struct DeliveryWindow {
    /// Below this sequence number everything was delivered, or is not waited for.
    floor: u64,
    /// Messages that had been refused when the floor last rose.
    refused_at_floor: u64,
    last_progress_ns: u64,
    last_fill_ns: u64,
    /// How long messages take to all receivers: rises at once, falls slowly. Before the first was timed, the time from
    /// CONNECT to CONNACK.
    round_trip_ns: u64,
    /// The message that is being timed: the number after it, and when it was sent.
    timed: Option<(u64, u64)>,
    /// Slots freed by silence that were not recorded yet.
    freed_by_silence: u64,
}

impl DeliveryWindow {
    /// `round_trip` is what is known about the path beforehand.
    pub(super) fn new(round_trip: Duration) -> Self {
        Self {
            floor: 0,
            refused_at_floor: 0,
            last_progress_ns: 0,
            last_fill_ns: 0,
            round_trip_ns: round_trip.as_nanos() as u64,
            timed: None,
            freed_by_silence: 0,
        }
    }

    /// A stage begins: nobody looked at deliveries since the last one.
    pub(super) fn begin_stage(&mut self, now_ns: u64) {
        self.last_progress_ns = now_ns;
        self.timed = None;
    }

    /// The connection was lost, and messages in flight are not waited for.
    pub(super) fn restart(&mut self, next: u64, refused: u64) {
        (self.floor, self.refused_at_floor) = (next, refused);
    }

    /// Times no message that was sent before a loss.
    pub(super) fn stop_timing(&mut self) {
        self.timed = None;
    }

    /// Messages up to this one were sent.
    #[inline]
    pub(super) fn note_sent(&mut self, next: u64, now_ns: u64) {
        if self.timed.is_none() {
            self.timed = Some((next, now_ns));
        }
    }

    pub(super) fn note_fill(&mut self, now_ns: u64) {
        self.last_fill_ns = now_ns;
    }

    /// How many slots a refill waits for in a closed loop, of a window of this size.
    pub(super) const fn refill(size: u64) -> u64 {
        let part = size / REFILL_PART;
        if part < MOST_REFILL { part } else { MOST_REFILL }
    }

    /// Whether a refill may still wait for more slots.
    pub(super) const fn may_wait(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.last_fill_ns) < REFILL_TIMEOUT_NS
    }

    /// Slots freed by silence since the last call.
    pub(super) fn take_freed_by_silence(&mut self) -> u64 {
        std::mem::take(&mut self.freed_by_silence)
    }

    /// The slots that deliveries leave free in a window of `size`, with `next` the next sequence number and `refused`
    /// the refused messages. Subscribers on other threads are looked at only where fewer than `wanted` slots are known.
    pub(super) fn free_slots(
        &mut self,
        size: u64,
        (next, refused): (u64, u64),
        wanted: u64,
        stream: &StreamState,
        now_ns: u64,
    ) -> u64 {
        // A refused message frees its slot at once.
        let size = size + refused - self.refused_at_floor;
        let known = (self.floor + size).saturating_sub(next);
        if known > 0 {
            self.last_progress_ns = now_ns;
        }
        if known >= wanted.max(1) {
            return known;
        }
        // Receivers without a connection do not hold up the window.
        let floor = stream.receivers.lowest().unwrap_or(next).min(next);
        let silence_ns = SHORTEST_SILENCE_NS.max(self.round_trip_ns.saturating_mul(SILENT_ROUND_TRIPS));
        let is_silent = known == 0 && now_ns.saturating_sub(self.last_progress_ns) >= silence_ns;
        self.note_round_trip(floor, now_ns);
        if floor > self.floor || is_silent {
            if floor > self.floor {
                self.floor = floor;
            } else {
                self.freed_by_silence += next - self.floor;
                self.floor = next;
            }
            self.refused_at_floor = refused;
            self.last_progress_ns = now_ns;
        }
        // With the size from before the floor rose: messages refused below it are left out at the next look.
        (self.floor + size).saturating_sub(next)
    }

    /// Ends the timing of a message that was delivered everywhere, also after its slot was freed.
    fn note_round_trip(&mut self, floor: u64, now_ns: u64) {
        if let Some((end, sent_ns)) = self.timed
            && floor >= end
        {
            let took_ns = now_ns.saturating_sub(sent_ns);
            self.round_trip_ns = took_ns.max(self.round_trip_ns - self.round_trip_ns / 8 + took_ns / 8);
            self.timed = None;
        }
    }
}

/// The limit that losses put on the window. Some brokers close the connection where more is in flight than they accept,
/// without a reason: the window is halved where connections are lost again and again without progress.
#[derive(Debug, Default)]
pub(super) struct WindowLimit {
    limit: Option<u16>,
    /// Connections in a row that were lost without progress.
    fruitless_losses: u32,
    /// Messages whose handshake was over at the last loss.
    completed: u64,
}

impl WindowLimit {
    /// The most messages in flight, where it is less than planned.
    pub(super) const fn get(&self) -> Option<u16> {
        self.limit
    }

    /// A window of the planned size with this limit.
    pub(super) fn apply(&self, planned: u16) -> u64 {
        u64::from(self.limit.map_or(planned, |limit| limit.min(planned)))
    }

    /// A connection was lost. Returns the new limit where it was halved.
    pub(super) fn note_loss(&mut self, completed: u64, in_flight: usize) -> Option<u16> {
        let is_fruitless = completed == std::mem::replace(&mut self.completed, completed);
        if !is_fruitless || in_flight < 2 {
            self.fruitless_losses = 0;
            return None;
        }
        self.fruitless_losses += 1;
        if self.fruitless_losses < FRUITLESS_LOSSES {
            return None;
        }
        self.limit = u16::try_from(in_flight / 2).ok();
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_freed_by_deliveries_refusals_and_silence() {
        let stream = StreamState::new(1);
        let mut window = DeliveryWindow::new(Duration::from_millis(1));
        assert_eq!(window.free_slots(10, (0, 0), 1, &stream, 0), 10);
        assert_eq!(window.free_slots(10, (10, 0), 1, &stream, 1), 0);
        stream.receivers.raise(0, 4);
        assert_eq!(window.free_slots(10, (10, 0), 1, &stream, 2), 4);
        assert_eq!(window.free_slots(10, (14, 2), 1, &stream, 3), 2, "refused messages are not in flight");
        assert_eq!(window.free_slots(10, (16, 2), 1, &stream, 4), 0);
        assert_eq!(window.free_slots(10, (16, 2), 1, &stream, SHORTEST_SILENCE_NS), 0);
        assert_eq!(window.free_slots(10, (16, 2), 1, &stream, SHORTEST_SILENCE_NS + 4), 12);
        assert_eq!((window.take_freed_by_silence(), window.take_freed_by_silence()), (12, 0));
        assert_eq!(window.free_slots(10, (16, 2), 1, &stream, SHORTEST_SILENCE_NS + 5), 10);
    }

    #[test]
    fn the_window_is_halved_by_losses_without_progress() {
        let mut limit = WindowLimit::default();
        assert_eq!(limit.note_loss(5, 100), None, "5 messages were acknowledged");
        assert_eq!([limit.note_loss(5, 100), limit.note_loss(5, 100)], [None, Some(50)]);
        assert_eq!((limit.apply(100), limit.apply(20)), (50, 20));
        assert_eq!(limit.note_loss(6, 50), None);
        assert_eq!([limit.note_loss(6, 1), limit.note_loss(6, 50), limit.get()], [None, None, Some(50)]);
    }
}
