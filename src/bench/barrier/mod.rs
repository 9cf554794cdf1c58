//! How the shards of a run start together: each reports that it is ready, shard 0 sets the moment, and all begin then.
//! They exchange notes on a board: retained messages of a broker, or files in a folder that all share.
//!
//! Nothing of an earlier run opens a barrier: shard 0 has its own number, drawn for this run, each shard quotes it
//! together with its own number, and the start names the numbers of all shards.

mod board;
mod clock;
mod folder;
mod follow;
mod lead;
mod messages;
mod topics;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::board::Board;
pub(super) use self::clock::ClockOffset;
use self::messages::{Phase, ShardNote};
use super::engine::{StartSignal, Together, TogetherRemote, together};
use super::plan::{BenchPlan, Meeting, MeetingPlace};
use crate::options::ShardNumber;
use crate::terminal::number;
use crate::transport::TlsClient;

/// How long a shard that fails looks for shard 0 to report it.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the barrier knows when the run is over.
#[derive(Clone, Debug, Default)]
pub(super) struct BarrierReport {
    /// When the load was to begin by the clock that all shards agree on, nanoseconds since 1970.
    pub start_unix_ns: Option<i64>,
    /// What was added to this machine's clock for that, where it was compared.
    pub clock: Option<ClockOffset>,
    /// Shards that ended without a word while the load was on.
    pub lost: Vec<usize>,
}

/// A barrier of one run.
pub(super) struct Barrier {
    over: oneshot::Sender<()>,
    task: JoinHandle<BarrierReport>,
}

impl Barrier {
    /// Starts it. `identity` is what all shards must have in common: plan, seed, version. `nonce` is a number that is
    /// drawn for this process.
    pub(super) fn start(
        plan: &BenchPlan,
        tls: Option<&TlsClient>,
        identity: String,
        nonce: u64,
    ) -> Option<(Self, Together)> {
        let (shard, meeting) = plan.shard.zip(plan.meeting.clone())?;
        let (own, remote) = together();
        let (over, is_over) = oneshot::channel();
        // Shard 0 waits for all others, and a receiver for all that send to it.
        let watches_all = plan.is_apart() || shard.index == 0;
        let board = match &meeting.place {
            // Nobody to wait for.
            _ if shard.count == 1 => None,
            MeetingPlace::Broker(control) => {
                Some(topics::open(plan, tls, control.as_deref(), watches_all, &identity, nonce))
            }
            MeetingPlace::Folder(path) => Some(folder::open(path, shard, &meeting.job, watches_all)),
            MeetingPlace::Clock(_) => None,
        };
        let member = Member { shard, meeting, identity, nonce, remote: Some(remote), note: None, quoted: None };
        let task = tokio::spawn(member.run(board, is_over));
        Some((Self { over, task }, own))
    }

    /// Ends it: what this shard left on the board is removed.
    pub(super) async fn finish(self) -> BarrierReport {
        let _ = self.over.send(());
        self.task.await.unwrap_or_default()
    }
}

/// Now, nanoseconds since 1970.
fn wall_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The moment at which this machine's clock shows a time; now where that is over.
fn moment_of(wall: i64) -> Instant {
    let (now, now_wall) = (Instant::now(), wall_ns());
    let ahead = Duration::from_nanos(wall.saturating_sub(now_wall).unsigned_abs());
    if wall >= now_wall { now + ahead } else { now.checked_sub(ahead).unwrap_or(now) }
}

/// "shard 3 of 8", "shards 2 and 5 of 8".
pub(super) fn named(shards: &[usize], count: usize) -> String {
    const MOST: usize = 20;
    let mut numbers: Vec<String> = shards.iter().take(MOST).map(ToString::to_string).collect();
    if shards.len() > MOST {
        numbers.push(format!("{} more", shards.len() - MOST));
    }
    let list = match &numbers[..] {
        [] => "no shard".to_owned(),
        [one] => format!("shard {one}"),
        [first @ .., last] => format!("shards {} and {last}", first.join(", ")),
    };
    format!("{list} of {count}")
}

/// This shard at the barrier.
struct Member {
    shard: ShardNumber,
    meeting: Meeting,
    identity: String,
    nonce: u64,
    remote: Option<TogetherRemote>,
    /// What it has posted about itself.
    note: Option<ShardNote>,
    /// The number of shard 0 that it quotes.
    quoted: Option<u64>,
}

/// What the wait for the start came to.
struct Started {
    start: StartSignal,
    start_unix_ns: Option<i64>,
    clock: Option<ClockOffset>,
    /// The numbers of all shards, by which their later notes are known.
    nonces: Vec<u64>,
}

impl Started {
    fn failed(fault: String) -> Self {
        Self { start: Err(fault), start_unix_ns: None, clock: None, nonces: Vec::new() }
    }

    /// At a moment of the clock that all agree on.
    fn at(start_unix_ns: i64, clock: ClockOffset, nonces: Vec<u64>) -> Self {
        let start = moment_of(start_unix_ns.saturating_sub(clock.offset_ns));
        Self { start: Ok(start), start_unix_ns: Some(start_unix_ns), clock: Some(clock), nonces }
    }
}

impl Member {
    async fn run(mut self, board: Option<Board>, is_over: oneshot::Receiver<()>) -> BarrierReport {
        let Some(remote) = self.remote.take() else { return BarrierReport::default() };
        let TogetherRemote { ready, start, sent, all_sent } = remote;
        let Some(mut board) = board else {
            let _ = ready.await;
            let begin = match self.meeting.place {
                MeetingPlace::Clock(moment) if self.shard.count > 1 => moment.0,
                _ => wall_ns(),
            };
            let signal = match wall_ns().checked_sub(begin) {
                Some(late) if late > 1_000_000_000 => Err(format!(
                    "--start-at was {} before the clients were connected: choose a later moment",
                    number::duration(late.unsigned_abs())
                )),
                _ => Ok(moment_of(begin)),
            };
            let _ = start.send(signal);
            if self.shard.count == 1 {
                all_sent.send_replace(true);
            }
            let _ = is_over.await;
            return BarrierReport { start_unix_ns: Some(begin), ..BarrierReport::default() };
        };
        let started = if self.shard.index == 0 {
            self.lead(&mut board, ready).await
        } else {
            self.follow(&mut board, ready).await
        };
        let Started { start: signal, start_unix_ns, clock, nonces } = started;
        let is_started = signal.is_ok();
        let _ = start.send(signal);
        let lost = if is_started {
            self.watch(&mut board, &nonces, sent, &all_sent, is_over).await
        } else {
            let _ = is_over.await;
            Vec::new()
        };
        board.close().await;
        BarrierReport { start_unix_ns, clock, lost }
    }

    /// How long it waits, as texts name it.
    fn timeout(&self) -> String {
        number::duration(self.meeting.timeout.as_nanos() as u64)
    }

    /// Why the load does not begin: these shards are missing.
    fn not_ready(&self, absent: &[usize]) -> String {
        let verb = if absent.len() == 1 { "was" } else { "were" };
        format!("{} {verb} not ready within {}", named(absent, self.shard.count), self.timeout())
    }

    /// What this shard reports about itself.
    fn report(&self, phase: Phase, text: &str) -> ShardNote {
        ShardNote {
            nonce: self.nonce,
            lead: self.quoted,
            phase,
            identity: self.identity.clone(),
            text: text.to_owned(),
        }
    }

    /// Posts what this shard does.
    fn post(&mut self, board: &Board, phase: Phase, text: &str) {
        let note = self.report(phase, text);
        board.put_shard(self.shard.index, &note);
        self.note = Some(note);
    }

    /// While the load is on: reports when this shard has sent everything, and notes which others have, or are gone.
    async fn watch(
        &mut self,
        board: &mut Board,
        nonces: &[u64],
        mut sent: oneshot::Receiver<()>,
        all_sent: &tokio::sync::watch::Sender<bool>,
        mut is_over: oneshot::Receiver<()>,
    ) -> Vec<usize> {
        let mut done = vec![false; self.shard.count];
        let (mut lost, mut has_sent) = (Vec::new(), false);
        loop {
            if done.iter().all(|done| *done) {
                all_sent.send_replace(true);
            }
            tokio::select! {
                _ = &mut is_over => break,
                _ = &mut sent, if !has_sent => {
                    has_sent = true;
                    done[self.shard.index] = true;
                    self.post(board, Phase::Sent, "");
                }
                event = board.next() => match event {
                    board::Event::Shard(index, note) => {
                        let is_of_run = |note: &ShardNote| nonces.get(index) == Some(&note.nonce);
                        let phase = note.as_ref().filter(|note| is_of_run(note)).map(|note| note.phase);
                        let has_ended = note.is_none()
                            || matches!(phase, Some(Phase::Sent | Phase::Failed | Phase::Lost));
                        if has_ended && let Some(done) = done.get_mut(index) {
                            *done = true;
                        }
                        if phase == Some(Phase::Lost) && !lost.contains(&index) {
                            lost.push(index);
                        }
                    }
                    // Without the board nobody knows about the others: this shard goes by what it sees itself.
                    board::Event::Failed(_) => board.detach(),
                    _ => {}
                },
            }
        }
        lost.sort_unstable();
        lost
    }
}

#[cfg(test)]
mod tests;
