//! Shard 0: waits for all others, and sets the start.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::board::{Board, BoardClock, Event};
use super::clock::ClockOffset;
use super::messages::{Decision, LeadNote, Phase, ShardNote, TimeNote};
use super::{Member, Started, wall_ns};
use crate::terminal::quoted;
use crate::transport::sleep_until;

/// From the decision to the start: every shard has read it by then. More for each shard, because a broker writes to all.
const HEAD_START: Duration = Duration::from_secs(1);
const PER_SHARD: Duration = Duration::from_millis(2);

impl Member {
    /// Waits until all shards are ready and sets the start.
    pub(super) async fn lead(&mut self, board: &mut Board, mut ready: oneshot::Receiver<()>) -> Started {
        self.quoted = Some(self.nonce);
        let count = self.shard.count;
        let mut shards: Vec<Option<ShardNote>> = vec![None; count];
        board.put_lead(&self.decision(Decision::Open, 0, &[], ""));
        let mut deadline = None;
        let fault = loop {
            tokio::select! {
                is_ready = &mut ready, if deadline.is_none() => {
                    if is_ready.is_err() {
                        break "shard 0 could not start".to_owned();
                    }
                    deadline = Some(Instant::now() + self.meeting.timeout);
                    shards[0] = Some(self.report(Phase::Ready, ""));
                }
                () = sleep_until(deadline) => {
                    let absent: Vec<usize> = (0..count).filter(|index| shards[*index].is_none()).collect();
                    break self.not_ready(&absent);
                }
                event = board.next() => match event {
                    Event::Shard(index, Some(note)) if index > 0 && index < count => {
                        if let Err(fault) = self.enter(index, note, &mut shards[index]) {
                            break fault;
                        }
                    }
                    Event::Question(index, question) => {
                        board.answer(index, TimeNote { time_ns: wall_ns(), ..question });
                    }
                    Event::Failed(fault) => break fault,
                    _ => {}
                },
            }
            if shards.iter().all(Option::is_some) {
                return self.start(board, &shards);
            }
        };
        board.put_lead(&self.decision(Decision::Abort, 0, &shards, &fault));
        Started::failed(fault)
    }

    /// Enters what another shard reports; fails where the load cannot begin.
    fn enter(&self, index: usize, note: ShardNote, known: &mut Option<ShardNote>) -> Result<(), String> {
        let is_ours = note.lead == Some(self.nonce);
        let is_known = known.as_ref().is_some_and(|known| known.nonce == note.nonce);
        match note.phase {
            Phase::Ready if is_ours && note.identity != self.identity => Err(format!(
                "shard {index} has another plan, seed or version than shard 0: start all shards with the same options"
            )),
            Phase::Ready if is_ours && known.is_some() && !is_known => {
                Err(format!("there are two shards {index}: each process needs its own --shard"))
            }
            Phase::Failed if is_ours => Err(format!("shard {index} could not start: {}", quoted(&note.text))),
            Phase::Lost if is_known => Err(format!("shard {index} ended before the load began")),
            Phase::Ready | Phase::Sent if is_ours => {
                *known = Some(note);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Sets the start: all shards are ready.
    fn start(&self, board: &Board, shards: &[Option<ShardNote>]) -> Started {
        let clock = match board.clock {
            BoardClock::Asked => ClockOffset::default(),
            BoardClock::Read(clock) => clock.unwrap_or_default(),
        };
        let ahead = HEAD_START + PER_SHARD * u32::try_from(shards.len()).unwrap_or(u32::MAX);
        let now = wall_ns().saturating_add(clock.offset_ns);
        let start_unix_ns = now.saturating_add(i64::try_from(ahead.as_nanos()).unwrap_or(i64::MAX));
        let start = self.decision(Decision::Start, start_unix_ns, shards, "");
        board.put_lead(&start);
        Started::at(start_unix_ns, clock, start.shards)
    }

    fn decision(&self, decision: Decision, start_unix_ns: i64, shards: &[Option<ShardNote>], text: &str) -> LeadNote {
        LeadNote {
            lead: self.nonce,
            decision,
            start_unix_ns,
            shards: shards.iter().map(|note| note.as_ref().map_or(0, |note| note.nonce)).collect(),
            text: text.to_owned(),
        }
    }
}
