//! A run in several processes, the shards: which of its clients belong to which shard. Everything else about a client
//! (id, topic, schedule, broker, local address) follows from its global number and knows nothing of shards.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{BenchPlan, ClientKind, RunTag, WindowRule, lane};
use crate::client::ConnectPlan;
use crate::options::{Moment, Shape, ShardNumber};
use crate::terminal::number::grouped;

/// How the shards of a run start together.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// Name of the run.
    pub job: String,
    /// Where they wait for each other.
    pub place: MeetingPlace,
    /// How long each waits for the others.
    pub timeout: Duration,
}

/// Where shards wait for each other.
#[derive(Clone, Debug)]
pub enum MeetingPlace {
    /// On the broker under test, or on another one.
    Broker(Option<Box<ConnectPlan>>),
    /// In a folder that all share.
    Folder(PathBuf),
    /// Nowhere: they start by their clocks.
    Clock(Moment),
}

impl MeetingPlace {
    /// As the result names it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Broker(_) => "broker",
            Self::Folder(_) => "folder",
            Self::Clock(_) => "none",
        }
    }
}

/// The tag of a run, and the seed where none was typed: the same in all its shards.
pub(super) fn tag_and_seed(job: &str) -> (RunTag, u64) {
    let digest = Sha256::digest(format!("mqbench job {job}").as_bytes());
    let seed = digest.iter().skip(2).take(4).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
    (RunTag(u16::from_be_bytes([digest[0], digest[1]])), seed)
}

impl BenchPlan {
    /// The plans of `count` shards. Together they are this plan.
    pub fn split(&self, count: usize) -> Vec<Self> {
        let part = |index| {
            let mut part = self.clone();
            part.set_shard(ShardNumber { index, count });
            part
        };
        (0..count).map(part).collect()
    }

    /// Makes this the plan of one shard.
    pub(super) fn set_shard(&mut self, shard: ShardNumber) {
        self.shard = Some(shard);
        if self.is_apart() && self.window_rule == WindowRule::Delivery {
            self.window_rule = WindowRule::Acknowledged;
            self.warnings.push(
                "publishers and subscribers are in different shards, so deliveries cannot free the window: \
                 --window ack is used"
                    .into(),
            );
        }
        // Others would take its connection for $SYS away, and all would read the same.
        if shard.index > 0 {
            (self.asks_sys, self.samples_sys) = (false, false);
        }
        self.threads = self.threads.clamp(1, self.own_clients().max(1));
    }

    fn shards(&self) -> usize {
        self.shard.map_or(1, |shard| shard.count)
    }

    fn place(&self, kind: ClientKind, number: usize) -> usize {
        match kind {
            ClientKind::Publisher => lane(&self.routes, number),
            ClientKind::Subscriber if self.publishers == 0 => match self.routes.shape() {
                Shape::Shared { .. } => self.routes.receiver_of(number),
                _ => number,
            },
            // The members of a group share a ledger.
            ClientKind::Subscriber if self.routes.is_everything_for_all() => self.routes.receiver_of(number),
            // With its publisher: one clock times both.
            ClientKind::Subscriber => lane(&self.routes, self.routes.streams_of(number).first),
            ClientKind::Responder | ClientKind::Idler => number,
        }
    }

    /// The shard that a client belongs to, by what it does and its number among those that do the same.
    pub fn shard_of(&self, kind: ClientKind, number: usize) -> usize {
        self.place(kind, number) % self.shards()
    }

    /// Whether a client belongs to this process.
    pub fn owns(&self, kind: ClientKind, number: usize) -> bool {
        self.shard.is_none_or(|shard| self.place(kind, number) % shard.count == shard.index)
    }

    /// How many clients do this, in all shards.
    pub const fn count_of(&self, kind: ClientKind) -> usize {
        match kind {
            ClientKind::Publisher => self.publishers,
            ClientKind::Subscriber => self.subscribers,
            ClientKind::Responder => self.responders,
            ClientKind::Idler => self.idlers,
        }
    }

    /// The numbers of this process's clients that do this.
    pub fn own(&self, kind: ClientKind) -> impl Iterator<Item = usize> {
        let (first, step) = match self.shard {
            Some(shard) if self.is_in_turn(kind) => (shard.index, shard.count),
            _ => (0, 1),
        };
        (first..self.count_of(kind)).step_by(step).filter(move |number| self.owns(kind, *number))
    }

    /// Whether clients that do this belong to the shards in turn, so that those of one are found without a look at ten
    /// million others.
    fn is_in_turn(&self, kind: ClientKind) -> bool {
        let (routes, receivers) = (&self.routes, self.routes.receivers());
        match kind {
            ClientKind::Responder | ClientKind::Idler => true,
            ClientKind::Publisher => routes.is_everything_for_all() || receivers == 0 || receivers >= self.publishers,
            ClientKind::Subscriber if self.publishers == 0 => !matches!(routes.shape(), Shape::Shared { .. }),
            ClientKind::Subscriber => {
                !routes.is_everything_for_all() && self.subscribers == self.publishers && receivers >= self.publishers
            }
        }
    }

    /// How many clients of this process do this.
    pub fn own_count(&self, kind: ClientKind) -> usize {
        let count = self.count_of(kind);
        match self.shard {
            // Most have no shards, and a million clients.
            None => count,
            Some(shard) if self.is_in_turn(kind) => count.saturating_sub(shard.index).div_ceil(shard.count),
            Some(_) => self.own(kind).count(),
        }
    }

    /// The part of a total rate that this process sends.
    pub fn own_rate(&self, rate: f64) -> f64 {
        if self.shard.is_none() {
            return rate;
        }
        rate * self.own_count(ClientKind::Publisher) as f64 / self.publishers.max(1) as f64
    }

    /// All clients of this process.
    pub fn own_clients(&self) -> usize {
        ClientKind::ALL.into_iter().map(|kind| self.own_count(kind)).sum()
    }

    /// The thread that a client of this process runs on. A stream between two clients stays on one thread, except where
    /// a stream has many subscribers: all of them would be on its publisher's thread. The members of a group share one
    /// ledger and stay together.
    pub fn thread_of(&self, kind: ClientKind, number: usize) -> usize {
        let spread = self.routes.is_everything_for_all() || self.subscribers > self.publishers;
        let place = match kind {
            ClientKind::Subscriber if spread => self.routes.receiver_of(number),
            ClientKind::Subscriber => self.routes.streams_of(number).first,
            _ => number,
        };
        (place / self.shards()) % self.threads
    }

    /// Whether publishers and subscribers of a stream may be in different shards. Then each shard knows only one end:
    /// what was lost is known when the results are merged, and what one clock did not time at both ends is not timed.
    pub fn is_apart(&self) -> bool {
        self.shards() > 1 && self.publishers > 0 && self.subscribers > 0 && self.routes.is_everything_for_all()
    }

    /// The first shard that would have no client.
    pub(super) fn idle_shard(&self) -> Option<usize> {
        let shards = self.shards();
        let mut busy = vec![false; shards];
        let mut left = shards;
        for kind in ClientKind::ALL {
            for number in 0..self.count_of(kind) {
                if !std::mem::replace(&mut busy[self.shard_of(kind, number)], true) {
                    left -= 1;
                }
                if left == 0 {
                    return None;
                }
            }
        }
        busy.iter().position(|busy| !busy)
    }
}

pub(in crate::bench) fn named_shards<N: ToString>(shards: &[N], count: impl Display) -> String {
    const MOST: usize = 20;
    let mut numbers: Vec<String> = shards.iter().take(MOST).map(ToString::to_string).collect();
    if shards.len() > MOST {
        numbers.push(format!("{} more", grouped((shards.len() - MOST) as u64)));
    }
    match &numbers[..] {
        [] => format!("no shard of {count}"),
        [one] => format!("shard {one} of {count}"),
        [first @ .., last] => format!("shards {} and {last} of {count}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::bench::plan::from_options::tests::plan_of;
    use crate::bench::plan::{LoadModel, Schedule};

    #[test]
    fn shards_are_named() {
        assert_eq!(named_shards(&[3], 8), "shard 3 of 8");
        assert_eq!(named_shards(&[2, 5], 8), "shards 2 and 5 of 8");
        assert_eq!(named_shards(&[1, 2, 5], 8), "shards 1, 2 and 5 of 8");
        assert!(named_shards(&(0..50).collect::<Vec<_>>(), 60).ends_with("19 and 30 more of 60"));
    }

    #[test]
    fn a_plan_of_shards_names_what_each_of_them_cannot() {
        for (arguments, part) in [
            (&["--shard", "0/3", "--clients", "2", "--rate", "10"][..], "shard 2 of 3 would have no client"),
            (&["--shard", "0/2"], "run --flood first"),
            (&["--shard", "0/2", "--flood", "--runs", "3"], "--runs"),
            (&["--shard", "0/2", "--flood", "--embedded"], "--embedded"),
            (&["find", "--shard", "0/2"], "not for mqbench find"),
            (&["--shard", "0/2", "--flood", "--barrier", "none"], "--start-at"),
            (&["--shard", "0/2", "--flood", "--start-at", "5", "--control", "mqtt://h"], "--control"),
            (&["--flood", "--job", "x"], "add --shard"),
            (&["--flood", "--allow-partial"], "only for mqbench merge"),
            (&["--shard", "0/2", "--flood", "--shape", "fan-in", "-m", "x", "-t", "a/%i"], "needs the stamp"),
            (&["--shard", "0/2", "--flood", "-C", "9", "--shape", "fan-in", "--start-at", "5"], "needs a barrier"),
        ] {
            let error = plan_of(arguments).map(|_| "accepted").unwrap_err().to_string();
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
        let plan = plan_of(&["--shard", "1/2", "--flood", "--shape", "fan-in", "--job", "j"]).unwrap();
        assert_eq!((plan.window_rule, plan.asks_sys), (WindowRule::Acknowledged, false));
        let other = plan_of(&["--shard", "0/2", "--flood", "--shape", "fan-in", "--job", "j"]).unwrap();
        assert_eq!((plan.run, plan.seed), (other.run, other.seed), "shards of one run");
        let next = plan_of(&["--shard", "0/2", "--flood", "--shape", "fan-in", "--job", "k"]).unwrap();
        assert_ne!((plan.run, plan.seed), (next.run, next.seed));
    }

    /// Everything about a client that others can see.
    fn face(plan: &BenchPlan, client: usize) -> (String, String, Vec<String>) {
        let (kind, number) = plan.kind_of(client);
        let transport = plan.transport_of(client);
        let topics = match kind {
            ClientKind::Subscriber => plan.routes.filters_of(number, |client| plan.names_of(client)),
            _ => vec![plan.topic_of(number)],
        };
        let id = plan.session_of(client).client_id;
        (id, format!("{} {:?}", transport.address, transport.bind), topics)
    }

    fn due(plan: &BenchPlan, publisher: usize) -> Vec<u64> {
        let LoadModel::OpenLoop { rate } = plan.stages[0].model else { panic!("a paced plan") };
        let mut slots = Schedule::new(plan.arrival, rate, plan.seed).slots_of(publisher, plan.publishers);
        let mut due = Vec::new();
        for _ in 0..6 {
            due.push(slots.due_ns());
            slots.advance();
        }
        due
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// However many shards there are, together they have each client once, each with the id, topics, addresses and
        /// send times that it has in one process; streams between two clients are in one shard.
        #[test]
        fn shards_together_are_the_run_of_one_process(
            publishers in 1usize..20, subscribers in 0usize..20, shape in 0usize..4, groups in 1usize..5,
            shards in 1usize..9, threads in 1usize..4, arrival in 0usize..3, hosts in any::<bool>(),
        ) {
            let shape = match shape {
                _ if subscribers == 0 => None,
                0 => Some("p2p".to_owned()),
                1 => Some("fan-in".to_owned()),
                2 => Some("fan-out".to_owned()),
                _ => Some(format!("shared:{}", groups.min(subscribers))),
            };
            let numbers = [publishers, subscribers, threads].map(|number| number.to_string());
            let arrival = ["fixed", "poisson", "burst:3"][arrival];
            let mut words = vec![
                "--pubs", &numbers[0], "--subs", &numbers[1], "--threads", &numbers[2], "--rate", "997",
                "--arrival", arrival, "--seed", "7", "--pair", "cross", "-A", "127.0.0.1,127.0.0.2,127.0.0.3",
            ];
            if let Some(shape) = &shape {
                words.extend(["--shape", shape]);
            }
            words.extend(if hosts { ["--hosts", "a,b,c"] } else { ["--hosts", "a"] });
            let whole = plan_of(&words).unwrap();
            let mut seen = BTreeSet::new();
            let mut slots = Vec::new();
            for part in whole.split(shards) {
                for kind in ClientKind::ALL {
                    for number in part.own(kind) {
                        let client = part.client_of(kind, number);
                        prop_assert!(seen.insert(client), "client {} is in two shards", client);
                        prop_assert_eq!(face(&part, client), face(&whole, client));
                        prop_assert!(part.thread_of(kind, number) < part.threads);
                        if kind == ClientKind::Publisher {
                            slots.extend(due(&part, number));
                        }
                        if kind == ClientKind::Subscriber && !part.is_apart() {
                            for stream in part.routes.streams_of(number).iter() {
                                prop_assert!(part.owns(ClientKind::Publisher, stream), "one clock times both");
                            }
                        }
                    }
                }
            }
            prop_assert_eq!(seen.len(), whole.clients());
            let mut expected: Vec<u64> = (0..publishers).flat_map(|publisher| due(&whole, publisher)).collect();
            slots.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(slots, expected);
        }
    }
}
