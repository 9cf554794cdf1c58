//! The progress line of a run over messages: how many messages, how fast, and how long it will take.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::number::{grouped, rate};
use super::progress::Progress;

/// Between two drawings.
const BEAT: Duration = Duration::from_millis(100);
/// A run that is over by then draws no line.
const SETTLING: Duration = Duration::from_millis(300);
/// The rate shown is that of about the last two seconds.
const MEMORY: f64 = 2.0;

/// The progress line, and the pace that it shows.
#[derive(Debug)]
pub(crate) struct ProgressLine {
    progress: Rc<Progress>,
    noun: &'static str,
    total: Option<u64>,
    due: Option<Instant>,
    pace: Pace,
}

impl ProgressLine {
    /// Of a run that begins now; nothing is drawn where `progress` is not visible.
    pub(crate) fn new(progress: Rc<Progress>, noun: &'static str, total: Option<u64>, now: Instant) -> Self {
        let due = progress.is_visible().then_some(now + SETTLING);
        Self { progress, noun, total, due, pace: Pace::new(now) }
    }

    /// When to draw next.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Draws when it is time to: `done` messages are finished, and the source is at `position` of the total. `note` is
    /// what it waits for.
    pub(crate) fn draw(&mut self, now: Instant, done: u64, position: u64, note: Option<&str>) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = Some(now + BEAT);
        self.pace.note(now, done, position);
        let mut line = format!("{} {}  {}/s", grouped(done), self.noun, rate(self.pace.messages));
        match (note, self.total.and_then(|total| self.pace.left(position, total))) {
            (Some(note), _) => line = format!("{line}  {note}"),
            (None, Some(left)) => line = format!("{line}  {} left", words(left)),
            (None, None) => {}
        }
        self.progress.advance(self.total, position, &line);
    }

    /// Removes the line.
    pub(crate) fn clear(&self) {
        self.progress.clear();
    }
}

/// A moving average of the rates.
#[derive(Debug)]
struct Pace {
    last: (Instant, u64, u64),
    /// Messages per second.
    messages: f64,
    /// What the total counts, per second.
    position: f64,
    begun: bool,
}

impl Pace {
    const fn new(now: Instant) -> Self {
        Self { last: (now, 0, 0), messages: 0.0, position: 0.0, begun: false }
    }

    fn note(&mut self, now: Instant, done: u64, position: u64) {
        let (then, done_then, position_then) = self.last;
        let seconds = now.saturating_duration_since(then).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let weight = if self.begun { (-seconds / MEMORY).exp() } else { 0.0 };
        let mix = |old: f64, new: f64| old * weight + new * (1.0 - weight);
        self.messages = mix(self.messages, done.saturating_sub(done_then) as f64 / seconds);
        self.position = mix(self.position, position.saturating_sub(position_then) as f64 / seconds);
        self.last = (now, done, position);
        self.begun = true;
    }

    /// Time left at this pace; none while nothing moves.
    fn left(&self, position: u64, total: u64) -> Option<Duration> {
        let seconds = total.saturating_sub(position) as f64 / self.position;
        (self.position > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
    }
}

/// `7 s`, `2 min 05 s`, `3 h 12 min`.
fn words(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_follows_what_happens() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pace = Pace::new(start);
        assert_eq!(pace.left(0, 100), None);
        pace.note(at(1000), 50, 4000);
        assert_eq!((pace.messages, pace.left(4000, 12_000)), (50.0, Some(Duration::from_secs(2))));
        for second in 2..30 {
            pace.note(at(second * 1000), 50, 4000);
        }
        assert!(pace.messages < 0.01, "{}", pace.messages);
        pace.note(at(29_000), 50, 4000);
        assert_eq!(pace.last.0, at(29_000));
    }

    #[test]
    fn time_is_printed_in_words() {
        for (ms, expected) in [(0, "0 s"), (100, "1 s"), (59_000, "59 s"), (125_000, "2 min 05 s")] {
            assert_eq!(words(Duration::from_millis(ms)), expected);
        }
        assert_eq!(words(Duration::from_secs(3 * 3600 + 12 * 60 + 40)), "3 h 12 min");
    }
}
