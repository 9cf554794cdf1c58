//! A script for GNU parallel, on this machine or over ssh. It calls itself for each shard: parallel joins the words of a
//! command for one more shell, and replaces what looks like `{}` in them.

use super::{EXIT_STATUS, Job};

/// The script.
pub(super) fn file(job: &Job) -> String {
    let shards = job.shards;
    let last = shards.saturating_sub(1);
    let own = [
        format!(r#"--shard "$2/{shards}" --job "$3" --out "mqbench-$3/shard-%s.json""#),
        r#"> "mqbench-$3/shard-$2.txt""#.to_owned(),
    ];
    let command = job.command(&own.each_ref().map(String::as_str), "        ");
    let merge = job.merge_command("\"$results\"");
    let notes = job.notes();
    format!(
        r#"#!/bin/bash
# mqbench under GNU parallel: {shards} shards of one plan, and one result.
set -u
if [ "${{1-}}" = --shard ]; then
    mkdir -p "mqbench-$3"
    exec {command}
fi

job=$(date +%s)-$$
results=mqbench-$job
mkdir -p "$results"
cp "$0" "$results/job.sh"
run=(bash "$results/job.sh" --shard '{{}}' "$job")
# All shards run at the same time, meet at a barrier and begin together. One that fails does not end the others.
if [ $# -eq 0 ]; then
    parallel --will-cite --jobs {shards} "${{run[@]}}" ::: $(seq 0 {last})
else
    logins=()
    for login; do logins+=(--sshlogin "$login"); done
    # In their own folder on each machine; results come back, the rest is removed.
    parallel --will-cite --jobs $((({shards} + $# - 1) / $#)) "${{logins[@]}}" --workdir mqbench-jobs \
        --transferfile "$results/job.sh" --return "$results/shard-{{}}.json" \
        --return "$results/shard-{{}}.txt" --cleanup "${{run[@]}}" ::: $(seq 0 {last})
fi

{merge}
exit $?

{notes}# Run:     bash FILE                         all shards on this machine
#          bash FILE ann@node1 ann@node2     over ssh, evenly; each machine has mqbench in its PATH, and rsync
# Collect: GNU parallel brings the results of all machines into mqbench-JOB/ here.
# Merge:   the last command above; again with: mqbench merge mqbench-JOB/shard-*.json --out result.json
# Gate:    give mqbench plan --gate 'e2e.p99 <= 20ms && lost == 0'.
{EXIT_STATUS}"#
    )
}
