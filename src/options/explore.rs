//! The explorer group of mqsub: the tree of topics on the terminal.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::values::file_size;
use super::{
    ConditionOptions, EachOptions, OutputOptions, ReadyOptions, RecordOptions, ScreenOptions, SubscriptionOptions,
};

/// The least that an explorer can work with, bytes.
const LEAST_MEMORY: u64 = 1_000_000;

/// The topic explorer.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Explorer")]
pub struct ExploreOptions {
    /// Explore the topics on the terminal: a tree with last values, rates and histories.
    ///
    /// Without -t all topics are subscribed to: '#' and '$SYS/#'. ? shows the keys. Nothing is published unless
    /// --allow-write is given. With -V 5 the properties of messages are shown, and the mark of retained messages is exact.
    #[arg(long)]
    pub tree: bool,

    /// With --tree: explore a recording of --record instead of a broker.
    ///
    /// FILE may be compressed (.gz, .zst). -t shows only topics that match.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub from: Option<PathBuf>,

    /// With --tree: memory for topics, payloads and histories [default: 256M].
    ///
    /// k, M, G, Ki, Mi or Gi, at least 1M. When it is used up the oldest histories are dropped first, then long payloads
    /// are shortened, and then new topics are only counted; the screen shows which. Of a payload at most 1 MiB is kept,
    /// and of a topic at most the last 200 messages.
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub max_memory: Option<usize>,

    /// With --tree: allow to publish, and to remove retained messages.
    #[arg(long)]
    pub allow_write: bool,
}

fn memory(text: &str) -> Result<usize, String> {
    const WRONG: &str = "must be a size with its unit as in 256M (k, M, G, Ki, Mi, Gi), at least 1M";
    let size = file_size(text).filter(|size| *size >= LEAST_MEMORY);
    size.and_then(|size| usize::try_from(size).ok()).ok_or_else(|| WRONG.to_owned())
}

/// The groups of mqsub that an explorer has no use for.
#[derive(Clone, Copy, Debug)]
pub(super) struct OtherOptions<'a> {
    pub(super) subscription: &'a SubscriptionOptions,
    pub(super) conditions: &'a ConditionOptions,
    pub(super) output: &'a OutputOptions,
    pub(super) screen: &'a ScreenOptions,
    pub(super) record: &'a RecordOptions,
    pub(super) each: &'a EachOptions,
    pub(super) ready: &'a ReadyOptions,
}

impl ExploreOptions {
    /// What is wrong within the group, and between it and the others.
    pub(super) fn faults(&self, others: OtherOptions<'_>) -> Vec<String> {
        let Self { tree, from, max_memory, allow_write } = self;
        let mut faults = Vec::new();
        if !tree {
            for (given, option) in [
                (from.is_some(), "--from FILE"),
                (max_memory.is_some(), "--max-memory"),
                (*allow_write, "--allow-write"),
            ] {
                if given {
                    faults.push(format!("{option} needs --tree"));
                }
            }
            return faults;
        }
        if from.is_some() && *allow_write {
            faults.push("--allow-write and --from cannot be used together: a recording is only shown".into());
        }
        let given: Vec<&str> = others.given();
        if !given.is_empty() {
            faults.push(format!("{} cannot be used with --tree", given.join(" and ")));
        }
        faults
    }
}

impl OtherOptions<'_> {
    /// The options that make no sense with the explorer.
    fn given(self) -> Vec<&'static str> {
        let Self { subscription, conditions, output, screen, record, each, ready } = self;
        let ConditionOptions {
            filter,
            until,
            expect,
            within: _,
            expect_count: _,
            none_within: _,
            silent_after,
            each_topic: _,
            silent_exec: _,
        } = conditions;
        let OutputOptions { verbose, no_newline, format, json, json_payload, pretty } = output;
        let ScreenOptions { watch, message_rate, stats } = screen;
        let list = [
            (subscription.count.is_some(), "-C"),
            (subscription.exit_after_subscribing, "-E"),
            (subscription.retained_only, "--retained-only"),
            (subscription.once, "--once"),
            (subscription.remove_retained, "--remove-retained"),
            (!filter.is_empty(), "--filter"),
            (until.is_some(), "--until"),
            (!expect.is_empty(), "--expect"),
            (silent_after.is_some(), "--silent-after"),
            (*verbose, "-v"),
            (*no_newline, "-N"),
            (format.is_some(), "-F"),
            (*json, "--json"),
            (*json_payload, "--json-payload"),
            (*pretty, "--pretty"),
            (*watch, "-w"),
            (*message_rate, "--message-rate"),
            (stats.is_some(), "--stats"),
            (record.record.is_some(), "--record"),
            (each.run.is_some(), "--run"),
            (each.to_dir.is_some(), "--to-dir"),
            (ready.exec.is_some(), "--exec"),
            (ready.ready_fd.is_some(), "--ready-fd"),
            (ready.ready_file.is_some(), "--ready-file"),
        ];
        list.into_iter().filter_map(|(given, option)| given.then_some(option)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_a_unit_and_a_least() {
        for (text, expected) in [
            ("256M", Some(256_000_000)),
            ("1Gi", Some(1 << 30)),
            ("1M", Some(1_000_000)),
            ("1000000", None),
            ("999k", None),
            ("-1", None),
            ("", None),
            ("many", None),
        ] {
            assert_eq!(memory(text).ok(), expected, "{text}");
        }
    }
}
