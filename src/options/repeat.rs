//! The groups of mqbench about several runs: repeats, comparisons, the search for the highest rate.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::targets::{BrokerPid, TargetOptions};
use super::values::{duration, percent, positive_duration, rate, whole_number};

/// Most runs of a series.
const MOST_RUNS: u32 = 1000;

/// Repeats and comparisons.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Repeat and compare")]
pub struct RepeatOptions {
    /// Run COUNT times, and report medians with 95 % confidence intervals [default: 1; with --ab 5].
    ///
    /// Each run has its own clients, topics and tag, and the same --seed. The result shows the run in the middle,
    /// and lists the figures of all. Gates compare the median, and of what went wrong (lost, duplicates) the worst run.
    #[arg(long, value_name = "COUNT", value_parser = runs)]
    pub runs: Option<u32>,

    /// Wait TIME between two runs [default: 1s].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub cool_down: Option<Duration>,

    /// With --hosts A,B: measure A and B alternately, --runs each, and compare B with A.
    ///
    /// Which of the two begins is drawn anew for each pair of runs, from --seed. Exits with status 5 if B is worse.
    #[arg(long)]
    pub ab: bool,

    /// Compare with the result in FILE; in --gate, 'vs(e2e.p99) <= +10%' is the change against it.
    ///
    /// The result has a verdict for each figure: better, same, worse or cannot say. Exits with status 5 if a figure
    /// that counts is worse. Use --runs 5 for both results: with a single run a difference may be chance.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub baseline: Option<PathBuf>,

    /// Treat changes of up to PERCENT as no difference [default: 5].
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub tolerance: Option<f64>,

    /// Compare results of different plans too, for example QoS 1 with QoS 2.
    #[arg(long)]
    pub any_plan: bool,
}

/// The search for the highest rate.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Find")]
pub struct FindOptions {
    /// mqbench find: what a rate must meet [default: 'e2e.p99 < 10ms && lost == 0'].
    ///
    /// The conditions of --gate, joined by &&. Without subscribers the default is 'ack.p99 < 10ms'.
    #[arg(long, value_name = "EXPR", value_hint = ValueHint::Other)]
    pub slo: Option<String>,

    /// mqbench find: measure each rate for TIME [default: 10s]; the answer is confirmed for three times as long.
    ///
    /// Low rates are measured longer, where a percentile of --slo needs more messages: p99 needs 1,000.
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub probe: Option<Duration>,

    /// mqbench find: begin at RATE messages per second [default: a quarter of what a short flood delivers].
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub find_from: Option<f64>,

    /// mqbench find: stop after TIME, with what was found by then [default: 15m].
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub find_limit: Option<Duration>,
}

/// Percent up to which a change is no difference unless a number is given.
const DEFAULT_TOLERANCE: f64 = 5.0;

/// Runs that are made against each side unless a number is given.
const DEFAULT_AB_RUNS: u32 = 5;

impl RepeatOptions {
    /// How many runs, against each side.
    pub fn count(&self) -> u32 {
        self.runs.unwrap_or(if self.ab { DEFAULT_AB_RUNS } else { 1 })
    }

    /// Percent up to which a change is no difference.
    pub fn tolerance_pct(&self) -> f64 {
        self.tolerance.unwrap_or(DEFAULT_TOLERANCE)
    }

    /// What is wrong within the group, and with it and the brokers.
    pub(super) fn faults(&self, targets: &TargetOptions) -> Vec<String> {
        let mut faults = Vec::new();
        if self.ab {
            match targets.hosts.as_ref().map(|hosts| hosts.all().len()) {
                Some(2) => {}
                Some(_) => faults.push("--ab compares two brokers: give two with --hosts A,B".into()),
                None => faults.push("--ab needs the two brokers that it compares: add --hosts A,B".into()),
            }
            if targets.pair.is_some() {
                faults.push("--ab measures one broker at a time: remove --pair".into());
            }
            if let Some(BrokerPid::Pid(_)) = targets.broker_pid {
                faults.push("--ab has two brokers, and --broker-pid PID is one of them: use --broker-pid auto".into());
            }
            if self.baseline.is_some() {
                faults.push("--ab and --baseline are two comparisons: use one of them".into());
            }
        }
        if self.cool_down.is_some() && self.count() == 1 {
            faults.push("--cool-down is between the runs of --runs: add --runs".into());
        }
        faults
    }
}

fn runs(text: &str) -> Result<u32, String> {
    whole_number(text)
        .filter(|count| (1..=MOST_RUNS).contains(count))
        .ok_or_else(|| format!("must be a number from 1 to {MOST_RUNS}"))
}
