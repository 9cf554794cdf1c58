//! All shards but the first: each reports that it is ready, and waits for the start.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::board::{Board, BoardClock, Event};
use super::clock::ClockOffset;
use super::messages::{Decision, LeadNote, Phase, TimeNote};
use super::{FAREWELL, Member, Started, wall_ns};
use crate::terminal::quoted;
use crate::transport::sleep_until;

/// Questions for the time; the quickest answer counts.
const QUESTIONS: usize = 7;
/// How long to wait for each.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// How long after its own time-out a shard waits for shard 0 to name the missing shards.
const GRACE: Duration = Duration::from_secs(5);
/// How long the notes of all shards take to arrive.
const LOOK: Duration = Duration::from_millis(500);

impl Member {
    /// Reports that this shard is ready, and waits for the start.
    pub(super) async fn follow(&mut self, board: &mut Board, mut ready: oneshot::Receiver<()>) -> Started {
        let mut deadline = None;
        let mut clock: Option<ClockOffset> = match board.clock {
            BoardClock::Asked => None,
            BoardClock::Read(clock) => clock,
        };
        loop {
            tokio::select! {
                is_ready = &mut ready, if deadline.is_none() => {
                    if is_ready.is_err() {
                        self.say_farewell(board).await;
                        return Started::failed(String::new());
                    }
                    deadline = Some(Instant::now() + self.meeting.timeout + GRACE);
                    if self.quoted.is_some() {
                        clock = self.compare_clocks(board, clock).await;
                        self.post(board, Phase::Ready, "");
                    }
                }
                () = sleep_until(deadline) => return Started::failed(self.missing(board).await),
                event = board.next() => match event {
                    Event::Lead(note) => {
                        if self.quoted != Some(note.lead) && note.decision == Decision::Open {
                            self.quoted = Some(note.lead);
                            if deadline.is_some() {
                                clock = self.compare_clocks(board, clock).await;
                                self.post(board, Phase::Ready, "");
                            }
                        } else if let Some(started) = self.decided(note, clock) {
                            return started;
                        }
                    }
                    Event::Failed(fault) => return Started::failed(fault),
                    _ => {}
                },
            }
        }
    }

    /// What shard 0 has decided about this process, and about no other one with its number.
    fn decided(&self, note: LeadNote, clock: Option<ClockOffset>) -> Option<Started> {
        if self.quoted != Some(note.lead) {
            return None;
        }
        let is_named = note.shards.get(self.shard.index) == Some(&self.nonce);
        match note.decision {
            Decision::Start if is_named && note.shards.len() == self.shard.count => {
                Some(Started::at(note.start_unix_ns, clock.unwrap_or_default(), note.shards))
            }
            Decision::Start if self.note.is_some() => Some(Started::failed(format!(
                "another process is shard {} of this run: each process needs its own --shard, and each run its own --job",
                self.shard.index
            ))),
            Decision::Abort => Some(Started::failed(quoted(&note.text))),
            _ => None,
        }
    }

    /// Compares the clock of this machine with that of shard 0.
    async fn compare_clocks(&self, board: &mut Board, known: Option<ClockOffset>) -> Option<ClockOffset> {
        if board.clock != BoardClock::Asked {
            return known;
        }
        let (mut best, mut others) = (known, Vec::new());
        'questions: for _ in 0..QUESTIONS {
            let asked_ns = wall_ns();
            board.ask(TimeNote { asked_ns, time_ns: 0 });
            let deadline = Instant::now() + ANSWER_TIMEOUT;
            while let Ok(event) = timeout_at(deadline, board.next()).await {
                match event {
                    Event::Answer(answer) if answer.asked_ns == asked_ns => {
                        best = Some(ClockOffset::of_echo(asked_ns, answer.time_ns, wall_ns()).better(best));
                        break;
                    }
                    Event::Answer(_) => {}
                    Event::Failed(_) => {
                        others.push(event);
                        break 'questions;
                    }
                    event => others.push(event),
                }
            }
        }
        board.put_back(others);
        best
    }

    /// Reports that this shard cannot start, if shard 0 is there to read it.
    async fn say_farewell(&mut self, board: &mut Board) {
        let deadline = Instant::now() + FAREWELL;
        while self.quoted.is_none() {
            match timeout_at(deadline, board.next()).await {
                Ok(Event::Lead(note)) if note.decision == Decision::Open => self.quoted = Some(note.lead),
                Ok(Event::Failed(_)) | Err(_) => return,
                Ok(_) => {}
            }
        }
        self.post(board, Phase::Failed, "its clients could not connect; its own messages say why");
    }

    /// Which shards are not there.
    async fn missing(&self, board: &mut Board) -> String {
        board.watch_all();
        let mut is_here = vec![false; self.shard.count];
        is_here[self.shard.index] = true;
        let deadline = Instant::now() + LOOK;
        while let Ok(event) = timeout_at(deadline, board.next()).await {
            match event {
                Event::Shard(index, Some(note)) if note.phase == Phase::Ready && self.quoted == note.lead => {
                    if let Some(here) = is_here.get_mut(index) {
                        *here = true;
                    }
                }
                Event::Lead(note) if self.quoted == Some(note.lead) => is_here[0] = true,
                Event::Failed(fault) => return fault,
                _ => {}
            }
        }
        let timeout = self.timeout();
        if self.quoted.is_none() {
            return format!("shard 0 of {}, which starts the others, did not come within {timeout}", self.shard.count);
        }
        let absent: Vec<usize> = (0..self.shard.count).filter(|index| !is_here[*index]).collect();
        if absent.is_empty() {
            return format!("shard 0 of {} did not start the load within {timeout}", self.shard.count);
        }
        self.not_ready(&absent)
    }
}
