# What the tests of the engines share: a scratch folder, a mosquitto, the plan, and the comparison with one process.
# Sourced by the scripts beside it; each ends by pid what it has started.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mqbench=${MQBENCH:-$root/target/debug/mqbench}
PATH=$(cd "$(dirname "$mqbench")" && pwd):$PATH
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mqbench-engine.XXXXXX")
pids=()
# The user's own options files and ceiling are no part of a test.
export XDG_CONFIG_HOME=$scratch/config XDG_CACHE_HOME=$scratch/cache NO_COLOR=1
unset MQTT_PASSWORD

clean_up() {
    local status=$? pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -9 "$pid" 2>/dev/null || true
    done
    if [ "$status" -eq 0 ]; then rm -rf "$scratch"; else echo "kept: $scratch" >&2; fi
    return "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { echo "FAILED: $*" >&2; exit 1; }

# need PROGRAM PACKAGE...: the packages of Debian that bring the program. No service is started by their installation.
need() {
    local program=$1
    shift
    command -v "$program" >/dev/null && return
    [ "$(id -u)" -eq 0 ] || fail "$program is missing: apt-get install $*"
    local policy=/usr/sbin/policy-rc.d guarded=no
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        guarded=yes
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    [ "$guarded" = no ] || rm "$policy"
}

# A port that was free a moment ago.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_for WHAT COMMAND...: until the command succeeds; a loaded machine is slow.
wait_for() {
    local what=$1
    shift
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "$what did not come up"
}

start_broker() {
    port=$(free_port)
    "$(command -v mosquitto || echo /usr/sbin/mosquitto)" -p "$port" >"$scratch/mosquitto.log" 2>&1 &
    pids+=($!)
    wait_for mosquitto bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
}

# The plan of all runs: 2,000 messages at QoS 1, with a window that a loaded machine does not fill. The name is there to be
# quoted wrongly.
plan=(--rate 500 --duration 4s --clients 8 -q 1 -M 1000 --seed 7 --name "it's {} \$HOME \"%s\"")

# finished COMMAND...: 4 is not valid, as messages that a loaded machine sent late; the counters are.
finished() {
    local status=0
    "$@" || status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq 4 ]
}
one_process() { finished mqbench -h 127.0.0.1 -p "$port" "${plan[@]}" --quiet --out "$1" >/dev/null || fail "one process"; }
job_file() {
    local engine=$1
    shift
    mqbench plan --engine "$engine" --shards 4 -h 127.0.0.1 -p "$port" "${plan[@]}" --quiet "$@"
}

# names_killed STATUS LOG...: how a job ends whose shard 2 was killed.
names_killed() {
    local status=$1
    shift
    tail -n 5 "$@"
    [ "$status" -eq 1 ] || fail "exit status $status, not 1"
    grep -q 'shard 2 of 4' "$@" || fail "the shard is not named: $(cat "$@")"
    echo "exit status $status"
}

# compare ONE OTHER MERGED: counters are equal, and the percentiles of the merged result stand beside those of two runs of
# one process, whose distance is the noise.
compare() {
    local counters='{sent: .traffic.sent, offered: .traffic.offered,
        expected: .delivery.expected, once: .delivery.delivered_once, lost: .delivery.lost,
        duplicates: .delivery.duplicates, reordered: .delivery.reordered, not_sent: .delivery.not_sent,
        e2e: .latency.e2e.count, ack: .latency.ack.count, connected: .clients.connected, name: .run.name}'
    local one merged
    one=$(jq -cS "$counters" "$1")
    merged=$(jq -cS "$counters" "$3")
    echo "one process: $one"
    echo "merged:      $merged"
    echo "status: $(jq -r .status "$1") and $(jq -r .status "$2") of one process, $(jq -r .status "$3") merged"
    [ "$one" = "$merged" ] || fail "the counters differ"
    [ "$(jq .traffic.sent "$3")" -eq 2000 ] || fail "2,000 messages were to be sent"
    [ "$(jq '.run.parts | length' "$3")" -eq 4 ] || fail "four shards were to be merged"
    jq -rn --slurpfile a "$1" --slurpfile b "$2" --slurpfile m "$3" '
        def us: if . == null then "-" else . / 1000 | floor | tostring end;
        ["e2e", "µs:", "one", "process", "again", "merged"] | "\(.[0]) in \(.[1]) one process, one process again, 4 shards merged",
        (("50", "90", "99") as $p |
            "  p\($p)\t\($a[0].latency.e2e.p[$p] | us)\t\($b[0].latency.e2e.p[$p] | us)\t\($m[0].latency.e2e.p[$p] | us)")'
    echo "start errors of the shards in µs: $(jq -rs 'map(.run.shard.start_error_ns / 1000 | floor) | join(" ")' "$(dirname "$3")"/shard-*.json)"
}
