#!/usr/bin/env python3
"""mqbroker against Debian's mosquitto, alternating, in one run.

Prints the median of each and the ratio of the medians. The load is mqbench; CPU is user + system time of the broker's
process alone (from /proc), over the whole run of mqbench, for both alike. Run by hand, on a machine that does nothing else:

    python3 benches/broker.py              # builds mqbroker and mqbench, then measures everything
    python3 benches/broker.py --bin DIR    # measures the binaries in DIR
    python3 benches/broker.py qos1 retained

Needs mosquitto. It runs with `max_inflight_messages 0`, `max_queued_messages 0` and `set_tcp_nodelay true`; mqbroker with
its defaults, which are mosquitto's.
"""

import argparse
import json
import os
import resource
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SECONDS = 4
RETAINED = 1_000_000
# As many idle clients as descriptors allow, so that what a broker has of its own is little beside them.
DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
IDLE = min(6_000, DESCRIPTORS - 100)
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """A broker on a free loopback port."""

    def __init__(self, name, program, more=""):
        self.name = name
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory()
        configuration = os.path.join(self.folder.name, "broker.conf")
        with open(configuration, "w") as file:
            file.write(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n{more}")
        start = time.monotonic()
        self.process = subprocess.Popen([program, "-c", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(5000):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                self.start_ms = (time.monotonic() - start) * 1000
                return
            except OSError:
                time.sleep(0.001)
        sys.exit(f"{name} does not start")

    def cpu(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_kb(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))

    def connect(self, client_id):
        stream = socket.create_connection(("127.0.0.1", self.port))
        stream.settimeout(300)
        body = b"\0\x04MQTT\x04\x02\0\0" + struct.pack(">H", len(client_id)) + client_id
        stream.sendall(bytes([0x10, len(body)]) + body)
        assert stream.recv(4) == b"\x20\2\0\0"
        return stream

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


class Bench:
    def __init__(self, folder, rounds):
        mosquitto = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        if mosquitto is None:
            sys.exit("mosquitto is not installed")
        self.mqbench = os.path.join(folder, "mqbench")
        load = "max_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\npersistence false\nlog_dest none\n"
        self.makers = [
            lambda: Broker("mosquitto", mosquitto, load),
            lambda: Broker("mqbroker", os.path.join(folder, "mqbroker")),
        ]
        self.rounds = rounds

    def compare(self, title, measure, wanted, rounds=None):
        """Runs `measure(broker)` alternating; it returns figures by name. Prints medians and ratios."""
        figures = {}
        for _ in range(rounds or self.rounds):
            for make in self.makers:
                broker = make()
                try:
                    for key, value in measure(broker).items():
                        figures.setdefault(key, {}).setdefault(broker.name, []).append(value)
                finally:
                    broker.stop()
        for key, by_name in figures.items():
            theirs, ours = (statistics.median(by_name[name]) for name in ("mosquitto", "mqbroker"))
            ratio = ours / theirs if theirs else float("nan")
            goal = wanted.get(key, "")
            print(f"{title:9} {key:28} mosquitto {theirs:14,.2f}  mqbroker {ours:14,.2f}  x {ratio:7.2f}  {goal}", flush=True)

    def load(self, broker, *arguments):
        before = broker.cpu()
        command = [self.mqbench, "-h", "127.0.0.1", "-p", str(broker.port), "--size", "64", "--json", "--no-sys"]
        done = subprocess.run([*command, "--duration", f"{SECONDS}s", *arguments], capture_output=True)
        result = json.loads(done.stdout)
        return result, broker.cpu() - before

    def flood(self, title, arguments, wanted):
        def measure(broker):
            result, cpu = self.load(broker, "--flood", *arguments)
            delivered = result["delivery"]["delivered_once"]
            return {"delivered per CPU second": delivered / cpu, "delivered per second": result["traffic"]["delivered_per_s"]}

        self.compare(title, measure, wanted)

    def qos(self, qos):
        wanted = {0: "must 3, aim 6", 1: "must 2.5, aim 4", 2: "must 2.5, aim 4"}[qos]
        rate = {0: "must 2.3, aim 3", 1: "must 2.1, aim 3", 2: "must 1.7, aim 3"}[qos]
        goals = {"delivered per CPU second": wanted, "delivered per second": rate}
        self.flood(f"qos{qos}", ["-q", str(qos), "--clients", "10"], goals)

    def fan_out(self):
        goals = {"delivered per CPU second": "", "delivered per second": "must 2, aim 6"}
        self.flood("fanout", ["--pubs", "1", "--subs", "1000", "-t", "fan"], goals)

    def latency(self):
        def measure(broker):
            result, _ = self.load(broker, "--rate", "1k", "--clients", "10")
            percentiles = result["latency"]["e2e"]["p"]
            return {"e2e p50, us": percentiles["50"] / 1000, "e2e p99, us": percentiles["99"] / 1000}

        self.compare("latency", measure, {"e2e p50, us": "must 1.0, aim 0.8"})

    def idle(self):
        def measure(broker):
            before = broker.resident_kb()
            clients = [broker.connect(b"idle%d" % number) for number in range(IDLE)]
            kilobytes = (broker.resident_kb() - before) / IDLE
            for client in clients:
                client.close()
            return {"KB per idle connection": kilobytes, "start to listening, ms": broker.start_ms}

        goals = {"KB per idle connection": "must 1.0, aim 0.5", "start to listening, ms": "must 10 ms"}
        self.compare("idle", measure, goals)

    def retained(self):
        def measure(broker):
            publisher = broker.connect(b"publisher")
            before = broker.resident_kb()
            topics = [b"r/%d/%d/v" % (number % 1000, number) for number in range(RETAINED)]
            for start in range(0, RETAINED, 1000):
                bodies = (struct.pack(">H", len(topic)) + topic + b"x" * 32 for topic in topics[start : start + 1000])
                publisher.sendall(b"".join(bytes([0x31, len(body)]) + body for body in bodies))
            publisher.sendall(b"\xc0\0")
            while publisher.recv(2) != b"\xd0\0":
                pass
            figures = {"MB of 1 M retained": (broker.resident_kb() - before) / 1024}
            for name, filters in (("1,000 exact filters, ms", topics[:1000]), ("# to the last message, ms", [b"#"])):
                subscriber = broker.connect(b"subscriber")
                body = b"\0\1" + b"".join(struct.pack(">H", len(text)) + text + b"\0" for text in filters)
                found = topics[:1000] if len(filters) > 1 else topics
                wanted = sum(4 + len(topic) + 32 for topic in found)
                start = time.monotonic()
                subscriber.sendall(b"\x82" + bytes([len(body) & 127 | 128, len(body) >> 7]) + body)
                while wanted > 0:
                    wanted -= len(subscriber.recv(1 << 20))
                figures[name] = (time.monotonic() - start) * 1000
                subscriber.close()
            return figures

        goals = {"MB of 1 M retained": "must 1.0, aim 0.5", "# to the last message, ms": "must 1.0, aim 0.5"}
        self.compare("retained", measure, goals, 1)


def build():
    subprocess.run(["cargo", "build", "--release", "--bin", "mqbroker", "--bin", "mqbench"], cwd=ROOT, check=True)
    return os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    rows = {
        "qos0": lambda bench: bench.qos(0),
        "qos1": lambda bench: bench.qos(1),
        "qos2": lambda bench: bench.qos(2),
        "fanout": lambda bench: bench.fan_out(),
        "latency": lambda bench: bench.latency(),
        "idle": lambda bench: bench.idle(),
        "retained": lambda bench: bench.retained(),
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", help="folder of mqbroker and mqbench; without it they are built")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run (default 3)")
    parser.add_argument("rows", nargs="*", choices=[*rows, []], help=f"of {', '.join(rows)}; all without one")
    options = parser.parse_args()
    bench = Bench(os.path.abspath(options.bin or build()), options.rounds)
    for name in options.rows or rows:
        rows[name](bench)


if __name__ == "__main__":
    main()
