//! Messages, bytes, rate and age, of one topic or of all below a level. Pure: the time is an argument.

/// Microseconds since 1970.
pub(in crate::explore) type Micros = i64;

const SECOND: f64 = 1e6;
/// The rate forgets what is older than this, gradually, seconds.
const WINDOW: f64 = 10.0;
/// With fewer messages than this in the window the rate is that of the last interval.
const FEW: f64 = 3.0;

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::explore) struct Figures {
    /// Messages received.
    pub(in crate::explore) messages: u64,
    /// Bytes of their payloads.
    pub(in crate::explore) bytes: u64,
    /// When the last one was received.
    pub(in crate::explore) last: Micros,
    first: Micros,
    /// Between the last two messages, microseconds.
    interval: Micros,
    messages_in_window: f64,
    bytes_in_window: f64,
}

impl Figures {
    pub(super) fn add(&mut self, bytes: usize, now: Micros) {
        if self.messages == 0 {
            self.first = now;
            self.last = now;
        }
        // The clock of a recording may go back.
        let now = now.max(self.last);
        if now > self.last {
            let left = left_after(now - self.last);
            self.messages_in_window *= left;
            self.bytes_in_window *= left;
        }
        self.interval = now - self.last;
        self.last = now;
        self.messages += 1;
        self.bytes += bytes as u64;
        self.messages_in_window += 1.0;
        self.bytes_in_window += bytes as f64;
    }

    /// Messages per second. One message alone has none.
    pub(in crate::explore) fn rate(&self, now: Micros) -> f64 {
        if self.messages < 2 {
            return 0.0;
        }
        let now = now.max(self.last);
        let in_window = self.messages_in_window * left_after(now - self.last);
        if in_window < FEW && self.interval > 0 {
            // Two messages in a row are no rate that lasts.
            let average = self.messages as f64 / ((now - self.first) as f64 / SECOND).max(1.0);
            return average.min(SECOND / self.interval.max(now - self.last) as f64);
        }
        in_window / self.window(now)
    }

    /// Bytes of payloads per second.
    pub(in crate::explore) fn byte_rate(&self, now: Micros) -> f64 {
        if self.messages < 2 {
            return 0.0;
        }
        let now = now.max(self.last);
        self.bytes_in_window * left_after(now - self.last) / self.window(now)
    }

    /// Since the last message, microseconds.
    pub(in crate::explore) fn age(&self, now: Micros) -> Option<Micros> {
        (self.messages > 0).then(|| (now - self.last).max(0))
    }

    /// Seconds of which something is remembered.
    fn window(&self, now: Micros) -> f64 {
        let seen = ((now - self.first) as f64 / SECOND).max(1.0);
        WINDOW * (1.0 - (-seen / WINDOW).exp())
    }
}

/// The part of what was counted that is left after this time.
fn left_after(time: Micros) -> f64 {
    (-(time as f64) / SECOND / WINDOW).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    #[test]
    fn a_steady_rate_is_seen_soon_and_stays() {
        let mut figures = Figures::default();
        for number in 0..10_000 {
            figures.add(10, number * SECOND / 100);
            let now = number * SECOND / 100;
            if now >= 2 * SECOND {
                assert!((95.0..105.0).contains(&figures.rate(now)), "{} at {now}", figures.rate(now));
                assert!((950.0..1050.0).contains(&figures.byte_rate(now)));
            }
        }
        assert_eq!((figures.messages, figures.bytes), (10_000, 100_000));
        assert!(figures.rate(200 * SECOND) < 0.02, "it dies away");
    }

    #[test]
    fn a_slow_topic_has_the_rate_of_its_interval() {
        let mut figures = Figures::default();
        assert_eq!((figures.rate(0), figures.age(0)), (0.0, None));
        for minute in 0..5 {
            figures.add(1, minute * 60 * SECOND);
        }
        assert!((figures.rate(241 * SECOND) - 1.0 / 60.0).abs() < 1e-9);
        assert!((figures.rate(360 * SECOND) - 1.0 / 120.0).abs() < 1e-9, "it is late");
        assert_eq!(figures.age(250 * SECOND), Some(10 * SECOND));
    }

    #[test]
    fn a_clock_that_goes_back_breaks_nothing() {
        let mut figures = Figures::default();
        figures.add(1, 10 * SECOND);
        figures.add(1, 5 * SECOND);
        assert_eq!((figures.last, figures.age(3 * SECOND)), (10 * SECOND, Some(0)));
        assert!(figures.rate(3 * SECOND).is_finite());
    }
}
