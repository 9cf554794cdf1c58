//! Shard 0: waits for all others, and sets the start.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::board::{Board, BoardClock, Event};
use super::clock::ClockOffset;
use super::messages::{Decision, LeadNote, Phase, ShardNote, TimeNote};
use super::{Member, Started, named, wall_ns};
use crate::terminal::{number, quoted};

/// From the decision to the start: every shard has read it by then. More for each shard, because a broker writes to all.
const HEAD_START: Duration = Duration::from_secs(1);
const PER_SHARD: Duration = Duration::from_millis(2);

impl Member {
    /// Waits until all shards are ready and sets the start.
    pub(super) async fn lead(&mut self, board: &mut Board, mut ready: oneshot::Receiver<()>) -> Started {
        self.quoted = Some(self.nonce);
        let count = self.shard.count;
        let mut shards: Vec<Option<ShardNote>> = vec![None; count];
        let note = |decision, start_unix_ns, shards: &[Option<ShardNote>], text: &str| LeadNote {
            lead: self.nonce,
            decision,
            start_unix_ns,
            shards: shards.iter().map(|note| note.as_ref().map_or(0, |note| note.nonce)).collect(),
            text: text.to_owned(),
        };
        board.put_lead(&note(Decision::Open, 0, &[], ""));
        let mut deadline = None;
        let mut missing = count;
        let fault = loop {
            let out_of_time = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                is_ready = &mut ready, if deadline.is_none() => {
                    if is_ready.is_err() {
                        break "shard 0 could not start".to_owned();
                    }
                    deadline = Some(Instant::now() + self.meeting.timeout);
                    shards[0] = Some(ShardNote {
                        nonce: self.nonce,
                        lead: Some(self.nonce),
                        phase: Phase::Ready,
                        identity: self.identity.clone(),
                        text: String::new(),
                    });
                    missing -= 1;
                }
                () = out_of_time => {
                    let absent: Vec<usize> = (0..count).filter(|index| shards[*index].is_none()).collect();
                    let timeout = number::duration(self.meeting.timeout.as_nanos() as u64);
                    let verb = if absent.len() == 1 { "was" } else { "were" };
                    break format!("{} {verb} not ready within {timeout}", named(&absent, count));
                }
                event = board.next() => match event {
                    Event::Shard(index, Some(note)) if index > 0 && index < count => {
                        let is_ours = note.lead == Some(self.nonce);
                        let is_known = shards[index].as_ref().is_some_and(|known| known.nonce == note.nonce);
                        match note.phase {
                            Phase::Ready if is_ours && note.identity != self.identity => {
                                break format!(
                                    "shard {index} has another plan, seed or version than shard 0: start all shards with \
                                     the same options"
                                );
                            }
                            Phase::Ready if is_ours && shards[index].is_some() && !is_known => {
                                break format!("there are two shards {index}: each process needs its own --shard");
                            }
                            Phase::Ready | Phase::Sent if is_ours => {
                                missing -= usize::from(shards[index].is_none());
                                shards[index] = Some(note);
                            }
                            Phase::Failed if is_ours => {
                                break format!("shard {index} could not start: {}", quoted(&note.text));
                            }
                            Phase::Lost if is_known => break format!("shard {index} ended before the load began"),
                            _ => {}
                        }
                    }
                    Event::Question(index, question) => {
                        board.answer(index, TimeNote { time_ns: wall_ns(), ..question });
                    }
                    Event::Failed(fault) => break fault,
                    _ => {}
                },
            }
            if missing == 0 {
                let clock = match board.clock {
                    BoardClock::Asked => ClockOffset::default(),
                    BoardClock::Read(clock) => clock.unwrap_or_default(),
                };
                let ahead = HEAD_START + PER_SHARD * u32::try_from(count).unwrap_or(u32::MAX);
                let now = wall_ns().saturating_add(clock.offset_ns);
                let start_unix_ns = now.saturating_add(i64::try_from(ahead.as_nanos()).unwrap_or(i64::MAX));
                let start = note(Decision::Start, start_unix_ns, &shards, "");
                board.put_lead(&start);
                return Started::at(start_unix_ns, clock, start.shards);
            }
        };
        board.put_lead(&note(Decision::Abort, 0, &shards, &fault));
        Started::failed(fault)
    }
}
