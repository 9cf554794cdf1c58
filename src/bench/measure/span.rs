//! From when to when something happened, and when it did not for long: what rates are over where a count, and no clock,
//! ends a stage, and where a broker stood still.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A silence is at least this long.
pub(crate) const SILENCE_NS: u64 = 500_000_000;

/// With more silences than this it is the load that is slow, and they are no account of anything.
const MOST_SILENCES: usize = 64;

/// A time in which nothing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Silence {
    /// Since the start of the measured window.
    pub start_ns: u64,
    /// How long.
    pub dur_ns: u64,
}

/// The first and the last moment at which something happened, nanoseconds since t0, and the silences between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    ends: Option<(u64, u64)>,
    /// From and to; none where there were too many.
    silences: Option<Vec<(u64, u64)>>,
}

impl Span {
    /// It happens at this moment; moments only rise.
    #[inline]
    pub fn note(&mut self, now_ns: u64) {
        match &mut self.ends {
            Some((_, last)) => {
                let before_ns = std::mem::replace(last, now_ns);
                if now_ns.saturating_sub(before_ns) >= SILENCE_NS {
                    self.note_silence(before_ns, now_ns);
                }
            }
            None => *self = Self { ends: Some((now_ns, now_ns)), silences: Some(Vec::new()) },
        }
    }

    #[cold]
    fn note_silence(&mut self, from_ns: u64, to_ns: u64) {
        if let Some(silences) = self.silences.as_mut().filter(|silences| silences.len() < MOST_SILENCES) {
            silences.push((from_ns, to_ns));
        } else {
            self.silences = None;
        }
    }

    /// The last moment.
    pub fn last(&self) -> Option<u64> {
        self.ends.map(|(_, last)| last)
    }

    /// From the first to the last moment; 0 where it never happened.
    pub fn length_ns(&self) -> u64 {
        self.ends.map_or(0, |(first, last)| last - first)
    }

    /// The silences of a window; none where it never happened, or where there were too many.
    pub fn silences(&self, from_ns: u64, to_ns: u64) -> Option<Vec<Silence>> {
        let clipped = self.quiet()?.into_iter().map(|(from, to)| (from.max(from_ns), to.min(to_ns)));
        let long = clipped.filter(|(from, to)| to.saturating_sub(*from) >= SILENCE_NS);
        Some(long.map(|(from, to)| Silence { start_ns: from - from_ns, dur_ns: to - from }).collect())
    }

    /// All silences, with the time before the first moment and that after the last one.
    fn quiet(&self) -> Option<Vec<(u64, u64)>> {
        let ((first, last), silences) = self.ends.zip(self.silences.as_ref())?;
        Some(std::iter::once((0, first)).chain(silences.iter().copied()).chain([(last, u64::MAX)]).collect())
    }

    /// Adds another thread's records: silence is where both are silent.
    pub fn merge(&mut self, other: Self) {
        let (Some(own), Some(others)) = (self.ends, other.ends) else {
            if self.ends.is_none() {
                *self = other;
            }
            return;
        };
        let ends = (own.0.min(others.0), own.1.max(others.1));
        let silences = self.quiet().zip(other.quiet()).map(|(own, others)| {
            let mut common = in_common(&own, &others);
            common.retain(|(from, to)| *from >= ends.0 && *to <= ends.1 && to - from >= SILENCE_NS);
            common
        });
        *self = Self { ends: Some(ends), silences };
    }
}

/// The parts that lie in an interval of both lists; each is in order.
fn in_common(one: &[(u64, u64)], other: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let (mut at, mut at_other, mut common) = (0, 0, Vec::new());
    while let (Some(own), Some(others)) = (one.get(at), other.get(at_other)) {
        let (from, to) = (own.0.max(others.0), own.1.min(others.1));
        if from < to {
            common.push((from, to));
        }
        if own.1 <= others.1 { at += 1 } else { at_other += 1 }
    }
    common
}

/// The silences of parts that ran at the same time: where all of them are silent.
pub(crate) fn common_silences(one: &[Silence], other: &[Silence]) -> Vec<Silence> {
    let ends = |silence: &Silence| (silence.start_ns, silence.start_ns.saturating_add(silence.dur_ns));
    let [one, other] = [one, other].map(|all| all.iter().map(ends).collect::<Vec<_>>());
    let common = in_common(&one, &other).into_iter().map(|(from, to)| Silence { start_ns: from, dur_ns: to - from });
    common.filter(|silence| silence.dur_ns >= SILENCE_NS).collect()
}

/// When messages of the measured window were sent, acknowledged and delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// Handed to the socket.
    pub sent: Span,
    /// Acknowledged.
    pub acked: Span,
    /// Delivered.
    pub delivered: Span,
}

impl Spans {
    /// Adds another thread's records.
    pub fn merge(&mut self, other: Self) {
        let Self { sent, acked, delivered } = other;
        self.sent.merge(sent);
        self.acked.merge(acked);
        self.delivered.merge(delivered);
    }

    /// The last of all moments.
    pub fn last(&self) -> Option<u64> {
        [&self.sent, &self.acked, &self.delivered].into_iter().filter_map(Span::last).max()
    }
}

/// The times over which the rates of a stage are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateWindows {
    /// For what was sent.
    pub sent_ns: u64,
    /// For what was acknowledged.
    pub acked_ns: u64,
    /// For what was delivered.
    pub delivered_ns: u64,
    /// For everything else.
    pub all_ns: u64,
    /// What happened ends the times, and neither a clock nor a schedule: one event alone has no rate.
    pub by_events: bool,
}

impl RateWindows {
    /// The same time for all: where it is a clock that ends the stage.
    pub const fn even(window_ns: u64) -> Self {
        Self { sent_ns: window_ns, acked_ns: window_ns, delivered_ns: window_ns, all_ns: window_ns, by_events: false }
    }

    /// The times for these counts: none where there are too few events for a rate.
    pub const fn of_events(self, sent: u64, acked: u64, delivered: u64) -> Self {
        const fn of(window_ns: u64, events: u64) -> u64 {
            if events < 2 { 0 } else { window_ns }
        }
        if !self.by_events {
            return self;
        }
        Self {
            sent_ns: of(self.sent_ns, sent),
            acked_ns: of(self.acked_ns, acked),
            delivered_ns: of(self.delivered_ns, delivered),
            ..self
        }
    }

    /// Where a count ends the stage. In an open loop messages are sent over their schedule, of which the last gap is a
    /// part, and come back over another time, which is never shorter; how long one message is in flight makes
    /// neither longer. A closed loop has only its beginning and what happened last.
    pub fn of_count(spans: &Spans, from_ns: u64, schedule_ns: Option<u64>, window_ns: u64) -> Self {
        let since_start = |span: &Span| span.last().map_or(window_ns, |last| last.saturating_sub(from_ns));
        let own = |span: &Span| match schedule_ns {
            Some(schedule_ns) => span.length_ns().max(schedule_ns),
            None => since_start(span),
        };
        Self {
            sent_ns: schedule_ns.unwrap_or(0).max(since_start(&spans.sent)),
            acked_ns: own(&spans.acked),
            delivered_ns: own(&spans.delivered),
            all_ns: window_ns,
            by_events: schedule_ns.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(first: u64, last: u64) -> Span {
        let mut span = Span::default();
        span.note(first);
        span.note(last);
        span
    }

    #[test]
    fn spans_of_threads_are_one() {
        let mut all = span(5, 9);
        all.merge(Span::default());
        all.merge(span(3, 4));
        assert_eq!((all.length_ns(), all.last(), Span::default().length_ns()), (6, Some(9), 0));
        let mut none = Span::default();
        none.merge(span(2, 2));
        assert_eq!(none, span(2, 2));
    }

    /// Moments in tenths of a second.
    fn moments(tenths: &[u64]) -> Span {
        let mut span = Span::default();
        tenths.iter().for_each(|at| span.note(at * 100_000_000));
        span
    }

    fn silences(span: &Span, from: u64, to: u64) -> Option<Vec<(u64, u64)>> {
        let tenths = |ns: u64| ns / 100_000_000;
        let found = span.silences(from * 100_000_000, to * 100_000_000)?;
        Some(found.iter().map(|it| (tenths(it.start_ns), tenths(it.dur_ns))).collect())
    }

    #[test]
    fn a_silence_is_where_every_thread_is_silent() {
        let mut all = moments(&[0, 2, 4, 20, 22, 60]);
        assert_eq!(silences(&all, 0, 60), Some(vec![(4, 16), (22, 38)]));
        assert_eq!(silences(&all, 2, 70), Some(vec![(2, 16), (20, 38), (58, 10)]), "to the end of the window too");
        // Begins late, and is busy for a moment in the middle of the second one.
        all.merge(moments(&[8, 21, 30, 33]));
        assert_eq!(silences(&all, 0, 60), Some(vec![(8, 12), (22, 8), (33, 27)]));
        let (mut one, other) = (moments(&[1, 3]), moments(&[40, 42]));
        one.merge(other.clone());
        assert_eq!(silences(&one, 0, 50), Some(vec![(3, 37), (42, 8)]), "between two that never meet");
        let mut reversed = other;
        reversed.merge(moments(&[1, 3]));
        assert_eq!(reversed, one);
        assert_eq!(silences(&Span::default(), 0, 9), None);
    }

    #[test]
    fn a_slow_load_has_no_silences() {
        let each_second: Vec<u64> = (0..100).map(|second| second * 10).collect();
        assert_eq!(silences(&moments(&each_second), 0, 1_000), None);
    }

    #[test]
    fn silences_of_parts_are_those_in_common() {
        let of = |all: &[(u64, u64)]| {
            let all = all.iter().map(|(start, dur)| Silence { start_ns: start * SILENCE_NS, dur_ns: dur * SILENCE_NS });
            all.collect::<Vec<_>>()
        };
        assert_eq!(common_silences(&of(&[(0, 3), (5, 4)]), &of(&[(2, 4), (8, 2)])), of(&[(2, 1), (5, 1), (8, 1)]));
        assert_eq!(common_silences(&of(&[]), &of(&[(1, 9)])), of(&[]));
    }

    #[test]
    fn a_schedule_is_as_long_as_its_gaps_and_a_flood_as_what_happened() {
        // Ten messages one second apart, each 3 s in flight.
        let spans = Spans { sent: span(100, 109), acked: Span::default(), delivered: span(103, 112) };
        let open = RateWindows::of_count(&spans, 100, Some(10), 12);
        assert_eq!(open, RateWindows { sent_ns: 10, acked_ns: 10, delivered_ns: 10, all_ns: 12, by_events: false });
        // The path took four times as long.
        let slow = Spans { sent: span(100, 140), delivered: span(103, 143), ..spans.clone() };
        let open = RateWindows::of_count(&slow, 100, Some(10), 43);
        assert_eq!((open.sent_ns, open.delivered_ns), (40, 40));
        let closed = RateWindows::of_count(&spans, 100, None, 12);
        assert_eq!((closed.sent_ns, closed.acked_ns, closed.delivered_ns), (9, 12, 12));
        // One event alone has no rate, whatever its time.
        let one = closed.of_events(1, 2, 0);
        assert_eq!((one.sent_ns, one.acked_ns, one.delivered_ns, one.all_ns), (0, 12, 0, 12));
        assert_eq!(open.of_events(1, 1, 1), open);
    }
}
