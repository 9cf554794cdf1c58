//! Reading in moderation, as network drivers do under load: a broker that writes every message by itself wakes its
//! reader once for each, and the wake-up costs far more than the message. In a dense stream the reader waits a moment
//! after a read that found little, so that the next one finds more.

use std::time::{Duration, Instant};

/// A stream is dense above 10,000 messages per second.
const SPARSE_INTERVAL: Duration = Duration::from_micros(100);
/// A stream that has been denser than that by this many messages is waited for; a pause uses them up again.
const LEAST_SURPLUS: u64 = 64;
/// A stream that was dense for long is taken for sparse after a pause of 13 ms.
const MOST_SURPLUS: u64 = 128;

/// With the time in which the system wakes a thread it stays below a millisecond.
const LONGEST_PAUSE: Duration = Duration::from_micros(800);
const SHORTEST_PAUSE: Duration = Duration::from_micros(100);

/// A pause is longer after reads that found less than this, and shorter after more than twice as much: a receive buffer
/// is never to fill up meanwhile.
const ENOUGH: usize = 12 * 1024;

/// How long the reader of one connection pauses.
#[derive(Debug)]
pub(crate) struct ReadModeration {
    /// Messages by which the stream was denser than it has to be.
    surplus: u64,
    last_read: Option<Instant>,
    pause: Duration,
}

impl Default for ReadModeration {
    /// Of a new connection.
    fn default() -> Self {
        Self { surplus: 0, last_read: None, pause: SHORTEST_PAUSE }
    }
}

impl ReadModeration {
    /// Notes what one read brought, and returns how long the next one may wait.
    pub(crate) fn after_read(&mut self, bytes: usize, messages: u64, now: Instant) -> Option<Duration> {
        let since = self.last_read.replace(now).map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        let sparse = since.as_nanos() / SPARSE_INTERVAL.as_nanos();
        self.surplus = (self.surplus + messages).min(MOST_SURPLUS);
        self.surplus = self.surplus.saturating_sub(u64::try_from(sparse).unwrap_or(u64::MAX));
        if self.surplus < LEAST_SURPLUS {
            self.pause = SHORTEST_PAUSE;
            return None;
        }
        if bytes > 2 * ENOUGH {
            self.pause = (self.pause / 2).max(SHORTEST_PAUSE);
            return None;
        }
        if bytes < ENOUGH {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        Some(self.pause)
    }

    /// Somebody waits for what was read, as a sender for its acknowledgement: the stream counts as sparse.
    pub(crate) const fn reset(&mut self) {
        self.surplus = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: usize = 80;

    /// What happens to a reader of messages that arrive at the given times.
    struct Reading {
        reads: u64,
        /// The longest that a message lay there because of a pause.
        longest_wait: Duration,
        /// The first message, counted from 0, that found the reader pausing.
        first_to_wait: Option<usize>,
    }

    fn read(arrivals: &[Duration], size: usize) -> Reading {
        let (start, mut moderation) = (Instant::now(), ReadModeration::default());
        let mut reading = Reading { reads: 0, longest_wait: Duration::ZERO, first_to_wait: None };
        let (mut next, mut now, mut resumed) = (0, Duration::ZERO, Duration::ZERO);
        while next < arrivals.len() {
            if arrivals[next] < resumed {
                reading.longest_wait = reading.longest_wait.max(resumed - arrivals[next]);
                reading.first_to_wait.get_or_insert(next);
            }
            now = now.max(arrivals[next]);
            let first = next;
            while next < arrivals.len() && arrivals[next] <= now {
                next += 1;
            }
            reading.reads += 1;
            let pause = moderation.after_read((next - first) * size, (next - first) as u64, start + now);
            assert!(pause.is_none_or(|pause| pause < Duration::from_millis(1)));
            // A wake-up costs something too.
            now += pause.unwrap_or_default() + Duration::from_micros(5);
            resumed = if pause.is_some() { now } else { Duration::ZERO };
        }
        reading
    }

    fn every(interval: Duration, count: u32) -> Vec<Duration> {
        (0..count).map(|number| interval * number).collect()
    }

    #[test]
    fn a_paced_stream_is_read_at_once() {
        for interval in [1_000, 500, 250, 150] {
            let reading = read(&every(Duration::from_micros(interval), 20_000), MESSAGE);
            assert_eq!((reading.reads, reading.first_to_wait), (20_000, None), "{interval} us");
        }
        // 1,000 per second in bursts.
        let bursts: Vec<_> = (0..20_000).map(|number| Duration::from_millis(number / 50 * 50)).collect();
        assert_eq!(read(&bursts, MESSAGE).first_to_wait, None);
    }

    #[test]
    fn a_dense_stream_wakes_the_reader_about_once_per_millisecond() {
        let arrivals = every(Duration::from_micros(10), 300_000);
        let reading = read(&arrivals, MESSAGE);
        assert!(reading.reads < 300_000 / 50, "{} reads", reading.reads);
        assert!(reading.longest_wait < Duration::from_millis(1), "{:?}", reading.longest_wait);
        assert!(reading.first_to_wait.is_some_and(|first| first >= LEAST_SURPLUS as usize));
    }

    #[test]
    fn after_a_pause_the_first_messages_do_not_wait() {
        let dense = every(Duration::from_micros(10), 1_000);
        let later = dense[999] + Duration::from_millis(14);
        let again = dense.iter().map(|time| later + *time).take(LEAST_SURPLUS as usize);
        let arrivals: Vec<_> = dense.iter().copied().chain(again).collect();
        let waited = read(&arrivals, MESSAGE).reads - read(&dense, MESSAGE).reads;
        assert_eq!(waited, LEAST_SURPLUS, "each was read by itself");
    }

    #[test]
    fn a_receive_buffer_does_not_fill_up() {
        // 8 KiB each, 160 MB/s: a read that takes more than a buffer holds would have kept the sender waiting.
        let arrivals = every(Duration::from_micros(50), 20_000);
        let reading = read(&arrivals, 8 * 1024);
        assert!(reading.longest_wait <= Duration::from_micros(410), "{:?}", reading.longest_wait);
        // Reads that find much are not waited for at all.
        let mut moderation = ReadModeration::default();
        for _ in 0..100 {
            assert_eq!(moderation.after_read(64 * 1024, 800, Instant::now()), None);
        }
    }

    #[test]
    fn what_somebody_waits_for_is_read_at_once() {
        let (start, mut moderation) = (Instant::now(), ReadModeration::default());
        assert!(moderation.after_read(100 * MESSAGE, 100, start).is_some());
        moderation.reset();
        assert_eq!(moderation.after_read(MESSAGE, 1, start), None);
    }
}
