//! From when to when something happened: what rates are over where a count, and no clock, ends a stage.

/// The first and the last moment at which something happened, nanoseconds since t0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span(Option<(u64, u64)>);

impl Span {
    /// It happens at this moment; moments only rise.
    #[inline]
    pub fn note(&mut self, now_ns: u64) {
        match &mut self.0 {
            Some((_, last)) => *last = now_ns,
            None => self.0 = Some((now_ns, now_ns)),
        }
    }

    /// The last moment.
    pub fn last(self) -> Option<u64> {
        self.0.map(|(_, last)| last)
    }

    /// From the first to the last moment; 0 where it never happened.
    pub fn length_ns(self) -> u64 {
        self.0.map_or(0, |(first, last)| last - first)
    }

    /// Adds another thread's records.
    pub fn merge(&mut self, other: Self) {
        self.0 = match (self.0, other.0) {
            (Some(own), Some(other)) => Some((own.0.min(other.0), own.1.max(other.1))),
            (own, other) => own.or(other),
        };
    }
}

/// When messages of the measured window were sent, acknowledged and delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
        [self.sent, self.acked, self.delivered].into_iter().filter_map(Span::last).max()
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
        let since_start = |span: Span| span.last().map_or(window_ns, |last| last.saturating_sub(from_ns));
        let own = |span: Span| match schedule_ns {
            Some(schedule_ns) => span.length_ns().max(schedule_ns),
            None => since_start(span),
        };
        Self {
            sent_ns: schedule_ns.unwrap_or(0).max(since_start(spans.sent)),
            acked_ns: own(spans.acked),
            delivered_ns: own(spans.delivered),
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

    #[test]
    fn a_schedule_is_as_long_as_its_gaps_and_a_flood_as_what_happened() {
        // Ten messages one second apart, each 3 s in flight.
        let spans = Spans { sent: span(100, 109), acked: Span::default(), delivered: span(103, 112) };
        let open = RateWindows::of_count(&spans, 100, Some(10), 12);
        assert_eq!(open, RateWindows { sent_ns: 10, acked_ns: 10, delivered_ns: 10, all_ns: 12, by_events: false });
        // The path took four times as long.
        let slow = Spans { sent: span(100, 140), delivered: span(103, 143), ..spans };
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
