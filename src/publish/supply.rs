//! The messages of a run in the order in which they are to be sent: what the source gives, made into messages.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use super::compose::{Composer, Draft};
use super::input::LineInput;
use super::line_fault::LineFault;
use super::lines::Line;
use super::schedule::Schedule;
use super::source::{MOST_READ_AHEAD, Source};
use crate::mqtt::Message;
use crate::options::Speed;
use crate::recording::LONGEST_LINE;

/// The next message of a run.
#[derive(Debug)]
pub(super) enum Next {
    /// It is there.
    Draft(Draft),
    /// Its payload has more bytes than a message can have; they were dropped.
    TooLong {
        /// How many they were.
        length: u64,
    },
    /// A line is not a message.
    Bad(LineFault),
}

/// The messages of a run.
#[derive(Debug)]
pub(super) struct Supply {
    source: Source,
    composer: Composer,
    /// Lines hold more than a payload, so that the limit of a payload is not theirs.
    has_own_limit: bool,
    /// Further messages of the last line, each for another topic.
    more: VecDeque<Message>,
    /// The number of the last line.
    number: u64,
    is_stopped: bool,
    replay: Option<Replay>,
}

/// How a recording is sent.
#[derive(Debug)]
struct Replay {
    input: LineInput,
    schedule: Schedule,
    /// Rounds that are to follow.
    rounds_left: u64,
    /// The next message, which is not due yet.
    held: Option<(u64, Draft, Instant)>,
    /// Why the recording ends before its end.
    fault: Option<String>,
}

impl Supply {
    pub(super) const fn new(source: Source, composer: Composer, has_own_limit: bool) -> Self {
        Self { source, composer, has_own_limit, more: VecDeque::new(), number: 0, is_stopped: false, replay: None }
    }

    /// The same at the times of a recording, `rounds` times.
    pub(super) fn replaying(self, input: LineInput, speed: Speed, rounds: u64) -> Self {
        let schedule = Schedule::new(speed);
        let replay = Replay { input, schedule, rounds_left: rounds.saturating_sub(1), held: None, fault: None };
        Self { replay: Some(replay), ..self }
    }

    /// The next message with the number of its line or repetition, from 1. A payload has at most `limit` bytes.
    pub(super) fn next(&mut self, limit: usize) -> Option<(u64, Next)> {
        if let Some(Replay { held, schedule, .. }) = &mut self.replay
            && held.is_some()
        {
            let now = Instant::now();
            let (number, draft, due) = held.take_if(|(_, _, due)| *due <= now)?;
            schedule.note_sent(due, now);
            return Some((number, Next::Draft(draft)));
        }
        if let Some(message) = self.more.pop_front() {
            return Some((self.number, Next::Draft(Draft::Whole(message))));
        }
        if self.is_stopped {
            return None;
        }
        let limit = if self.has_own_limit { LONGEST_LINE } else { limit };
        let (number, line) = self.source.next(limit)?;
        self.number = number;
        let next = match line {
            Line::Whole(line) => match self.composer.compose(number, line, &mut self.more) {
                Ok((draft, received)) => match &mut self.replay {
                    None => Next::Draft(draft),
                    Some(replay) => Next::Draft(replay.take_due(number, draft, received)?),
                },
                Err(fault) => Next::Bad(fault),
            },
            Line::TooLong { length } if self.has_own_limit => Next::Bad(LineFault::TooLong { length, limit }),
            Line::TooLong { length } => Next::TooLong { length },
        };
        Some((number, next))
    }

    /// Reads no further.
    pub(super) const fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Whether some of the input is not read on purpose.
    pub(super) const fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Waits until there may be more. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// The input cannot be read.
    pub(super) async fn wait(&mut self) -> io::Result<()> {
        let Some(replay) = &mut self.replay else { return self.source.wait().await };
        if let Some((_, _, due)) = replay.held {
            tokio::time::sleep_until(due.into()).await;
            return Ok(());
        }
        if self.source.has_ended() && replay.has_more_rounds(&self.source) {
            if replay.rounds_left != u64::MAX - 1 {
                replay.rounds_left -= 1;
            }
            replay.schedule.begin_round();
            self.source = Source::recording(&replay.input)?;
            return Ok(());
        }
        if let Err(error) = self.source.wait().await {
            // What was read of it is sent all the same.
            replay.fault = Some(error.to_string());
            replay.rounds_left = 0;
            self.source.end();
        }
        Ok(())
    }

    /// Why a recording ends before its end, once everything before is given out.
    pub(super) fn take_fault(&mut self) -> Option<String> {
        let has_ended = self.has_ended();
        self.replay.as_mut().filter(|_| has_ended)?.fault.take()
    }

    /// When messages were due, of a recording.
    pub(super) fn schedule(&self) -> Option<&Schedule> {
        self.replay.as_ref().map(|replay| &replay.schedule)
    }

    fn has_more_rounds(&self) -> bool {
        self.replay.as_ref().is_some_and(|replay| replay.has_more_rounds(&self.source))
    }

    fn holds_one(&self) -> bool {
        self.replay.as_ref().is_some_and(|replay| replay.held.is_some())
    }

    /// Whether the next message of a source that is not lines may be sent now; `is_busy` while earlier ones are under
    /// way.
    pub(super) fn is_due(&mut self, is_busy: bool, now: Instant) -> bool {
        match &mut self.source {
            // The topics of one repetition go together.
            Source::Repeated(repetition) => !self.more.is_empty() || (!is_busy && repetition.is_due(now)),
            Source::Lines(_) => true,
        }
    }

    /// Whether there is nothing more to come, once [`Supply::next`] has given nothing.
    pub(super) fn has_ended(&self) -> bool {
        self.more.is_empty()
            && !self.holds_one()
            && (self.is_stopped || (self.source.has_ended() && !self.has_more_rounds()))
    }

    /// Whether nothing more is read.
    pub(super) fn is_over(&self) -> bool {
        self.is_stopped || (self.source.is_read() && !self.has_more_rounds())
    }

    /// Whether all of the input has been read; some of it may wait to be sent.
    pub(super) fn is_read(&self) -> bool {
        !self.is_stopped && self.source.is_read() && !self.has_more_rounds()
    }

    /// Whether more is surely waiting to be sent than what was given out.
    pub(super) fn has_more(&self) -> bool {
        !self.more.is_empty() || (!self.is_stopped && !self.holds_one() && self.source.has_more())
    }

    /// Whether what was read ahead leaves room for more. A message that waits for its time is followed by nothing.
    pub(super) fn has_room(&self) -> bool {
        !self.is_over() && !self.holds_one() && self.source.held() < MOST_READ_AHEAD
    }

    /// Messages that were taken up, or promised, and have not been given out. It ends the reading, so it is for the end
    /// of a run.
    pub(super) fn left(&mut self) -> u64 {
        // What is not due yet was not taken up.
        if self.replay.is_some() {
            return self.more.len() as u64;
        }
        let lines = if self.is_stopped { 0 } else { self.source.left() };
        self.more.len() as u64 + lines * self.composer.messages_per_line()
    }

    /// How far it is, and how far it goes where that is known: repetitions, or bytes of the input.
    pub(super) fn position(&self) -> (u64, Option<u64>) {
        self.source.position()
    }

    /// Whether it is worth a progress line.
    pub(super) const fn is_long(&self) -> bool {
        self.source.is_long()
    }
}

impl Replay {
    /// The message if it is due; otherwise it is held until then.
    fn take_due(&mut self, number: u64, draft: Draft, received_us: Option<i64>) -> Option<Draft> {
        let now = Instant::now();
        match self.schedule.due(received_us, now) {
            Some(due) if due > now => {
                self.held = Some((number, draft, due));
                None
            }
            due => {
                due.into_iter().for_each(|due| self.schedule.note_sent(due, now));
                Some(draft)
            }
        }
    }

    /// A recording without a message would be read again and again for nothing.
    const fn has_more_rounds(&self, source: &Source) -> bool {
        self.rounds_left > 0 && (source.given() > 0 || !matches!(source, Source::Lines(_)))
    }
}
