#!/usr/bin/env python3
"""What mqbench's engine costs, in one run of some minutes: one command, on a machine that does nothing else.

    python3 benches/engine.py              # builds mqbench, then measures everything
    python3 benches/engine.py --bin DIR    # measures DIR/mqbench
    python3 benches/engine.py cpu idle     # some parts only: self, cpu, idle, lag, e2e

self  `mqbench self`: the engine against plain blocking sockets and its own sink
cpu   CPU seconds a million QoS 1 messages on mosquitto, 10 publishers, with latencies and without, by turns
idle  user memory of an idle client: 5,000 connections against 100
lag   p99 of the scheduling lag at 10,000 messages a second
e2e   p50 of the end-to-end latency at 1,000 messages a second, QoS 0, against a ping-pong of blocking sockets, by turns
      (the probe is Python, which adds some microseconds to it: read a ratio near the limit with care)

Every figure is the median of its rounds, beside what is wanted. Needs mosquitto.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pubsub import ROOT, Broker  # noqa: E402 (the broker is the same one)

PROBES = 3_000


def mqbench(program, *arguments):
    """Runs mqbench and gives back its document."""
    run = subprocess.run([program, *arguments, "--json"], capture_output=True, text=True)
    if not run.stdout:
        sys.exit(f"mqbench {' '.join(arguments)}: {run.stderr}")
    document = json.loads(run.stdout)
    if document["status"] not in ("ok", "invalid"):
        sys.exit(f"mqbench {' '.join(arguments)}: {document['status']}: {run.stderr}")
    for fault in document.get("invalid", []):
        print(f"    not valid: {fault['text']}")
    return document


def show(name, value, wanted):
    print(f"  {name:<58} {value:>12}   {wanted}", flush=True)


def target(broker):
    return ["-h", "127.0.0.1", "-p", str(broker.port)]


def cpu(program, rounds):
    """CPU of the load's threads a million messages."""
    broker = Broker()
    plans = {
        "with latencies": ([], "must 8 s, aim 6 s"),
        "--no-latency": (["--no-latency"], "must 1.5 s, aim 0.48 s"),
    }
    figures = {name: [] for name in plans}
    for _ in range(rounds):
        for name, (options, _) in plans.items():
            document = mqbench(
                program, "pub", *target(broker), "-q", "1", "--pubs", "10", "--flood", "--duration", "4s", *options
            )
            figures[name].append(document["generator"]["cpu_ns"] / document["traffic"]["acked"] / 1e3)
    for name, (_, wanted) in plans.items():
        show(f"CPU a million QoS 1 messages on mosquitto, {name}", f"{statistics.median(figures[name]):.2f} s", wanted)
    broker.stop()


def idle(program, rounds):
    """Resident memory of many connected clients less that of a few."""
    broker = Broker()
    figures = []
    for _ in range(rounds):
        sizes = {}
        for clients in (100, 5_000):
            document = mqbench(program, "conn", *target(broker), "--clients", str(clients), "--hold", "1s")
            sizes[clients] = document["generator"]["rss_bytes"]
        figures.append((sizes[5_000] - sizes[100]) / 4_900)
    show("user memory an idle client (5,000 of them)", f"{statistics.median(figures):.0f} B", "must 1,500 B, aim 500 B")
    broker.stop()


def lag(program, rounds):
    broker = Broker()
    figures = []
    for _ in range(rounds):
        document = mqbench(program, "pub", *target(broker), "--pubs", "10", "--rate", "10k", "--duration", "3s")
        figures.append(document["latency"]["sched_lag"]["p"]["99"] / 1e3)
    show("sched_lag p99 at 10,000 messages/s", f"{statistics.median(figures):.1f} µs", "must 100 µs, aim 30 µs")
    broker.stop()


class Probe:
    """A client of blocking sockets that publishes to itself, one message at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(packet(0x10, b"\0\4MQTT\4\2\0\0" + text("probe")))
        self.read()
        self.socket.sendall(packet(0x82, b"\0\1" + text("probe") + b"\0"))
        self.read()
        self.publish = packet(0x30, text("probe") + bytes(64))

    def read(self):
        """One whole packet; all of them are short."""
        data = b""
        while len(data) < 2 or len(data) < 2 + data[1]:
            more = self.socket.recv(4096)
            if not more:
                sys.exit("mosquitto has closed the probe's connection")
            data += more
        return data

    def round_trips(self):
        """Nanoseconds of each, a millisecond apart, as the paced run has them."""
        times = []
        due = time.monotonic_ns()
        for _ in range(PROBES):
            due += 1_000_000
            while time.monotonic_ns() < due:
                time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
            started = time.monotonic_ns()
            self.socket.sendall(self.publish)
            self.read()
            times.append(time.monotonic_ns() - started)
        return times


def text(word):
    return len(word).to_bytes(2, "big") + word.encode()


def packet(first, body):
    return bytes([first, len(body)]) + body


def e2e(program, rounds):
    broker = Broker()
    pairs = []
    for _ in range(rounds):
        probe = statistics.median(Probe(broker.port).round_trips())
        document = mqbench(
            program, *target(broker), "--clients", "1", "--rate", "1k", "--duration", "3s", "--warmup", "500ms"
        )
        pairs.append((probe, document["latency"]["e2e"]["p"]["50"]))
    show("ping-pong of blocking sockets, p50", f"{statistics.median(p for p, _ in pairs) / 1e3:.1f} µs", "")
    show("e2e p50 at 1,000 messages/s, QoS 0", f"{statistics.median(e for _, e in pairs) / 1e3:.1f} µs", "")
    ratio = statistics.median(e / p for p, e in pairs)
    show("  ratio of the two", f"{ratio:.2f}", "must 1.3, aim 1.1")
    broker.stop()


def own(program, _):
    """Prints its own table."""
    subprocess.run([program, "self"], check=True)


PARTS = {"self": own, "cpu": cpu, "idle": idle, "lag": lag, "e2e": e2e}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="self, cpu, idle, lag, e2e; all when none is named")
    parser.add_argument("--bin", metavar="DIR", help="folder of mqbench; without it, it is built")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}")
    folder = options.bin
    if folder is None:
        subprocess.run(["cargo", "build", "--release", "--bin", "mqbench"], cwd=ROOT, check=True)
        folder = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")
    program = os.path.join(folder, "mqbench")
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"Warning: the load of this machine is {load:.1f}; figures of a busy machine are worth little")
    for name, part in PARTS.items():
        if not options.parts or name in options.parts:
            part(program, options.rounds)


if __name__ == "__main__":
    main()
