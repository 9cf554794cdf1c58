"""Measures mqbroker against Debian's mosquitto on loopback, alternating in one run: the table of what a broker costs.

mqbench is the load for both alike, the broker's CPU is read from /proc. Every figure is the median of several runs; runs
of the two brokers alternate, so that what else the machine does meets both. A run counts only where mqbench ends with 0
and calls its result ok; one that does not is repeated once, and named at the end.

    python3 benches/broker.py              # builds mqbroker and mqbench, then measures everything (about 20 minutes)
    python3 benches/broker.py --quick      # shorter runs: at most 10 minutes
    python3 benches/broker.py --bin DIR    # measures the binaries in DIR
    python3 benches/broker.py qos1 retained
    python3 benches/broker.py cold         # only by name: builds the first command of the README from nothing

Needs mosquitto, and a machine that does nothing else. mosquitto runs with `max_inflight_messages 0`,
`max_queued_messages 0` and `set_tcp_nodelay true`, without which its floods drop or wait; mqbroker with its defaults.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
TICKS = os.sysconf("SC_CLK_TCK")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """A broker on a free loopback port, in its own folder."""

    def __init__(self, program, more=""):
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="broker-bench-")
        # mosquitto started as root becomes the user mosquitto, who has to write here too.
        os.chmod(self.folder.name, 0o777)
        configuration = os.path.join(self.folder.name, "broker.conf")
        with open(configuration, "w") as file:
            file.write(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n{more.replace('{folder}', self.folder.name)}")
        command = [program, "-c", configuration]
        start = time.perf_counter()
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder.name
        )
        while time.perf_counter() - start < 10:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                self.start_ms = (time.perf_counter() - start) * 1000
                return
            except OSError:
                time.sleep(0.0002)
        sys.exit(f"{program} does not start")

    def cpu(self):
        """CPU seconds so far, of all its threads."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_kb(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))

    def connect(self, client_id, clean=True):
        stream = socket.create_connection(("127.0.0.1", self.port))
        stream.settimeout(300)
        body = b"\0\x04MQTT\x04" + bytes([2 if clean else 0]) + b"\0\0" + struct.pack(">H", len(client_id)) + client_id
        stream.sendall(bytes([0x10, len(body)]) + body)
        connack = stream.recv(4)
        assert connack == b"\x20\2\0\0", connack
        return stream

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


def ping(stream):
    """Waits until the broker has looked at everything sent so far. Only for a client that gets no messages."""
    stream.sendall(b"\xc0\0")
    answer = b""
    while answer[-2:] != b"\xd0\0":
        answer = answer[-2:] + stream.recv(1 << 16)


class Goal:
    """What a ratio, or a figure of ours where `absolute`, is to be."""

    def __init__(self, must=None, aim=None, higher=True, absolute=False):
        self.must, self.aim, self.higher, self.absolute = must, aim, higher, absolute

    def texts(self):
        sign = "≥" if self.higher else "≤"
        return [f"{sign} {limit:g}" if limit is not None else "" for limit in (self.must, self.aim)]

    def verdict(self, ratio, ours):
        value = ours if self.absolute else ratio
        if self.must is None or value is None:
            return ""
        reached = [
            limit is not None and (value >= limit if self.higher else value <= limit) for limit in (self.must, self.aim)
        ]
        return "aim" if reached[1] else "must" if reached[0] else "MISSED"


class Bench:
    def __init__(self, options, folder):
        self.mosquitto = shutil.which("mosquitto", path=PATH)
        if self.mosquitto is None:
            sys.exit("mosquitto is not installed")
        self.folder = folder
        self.quick = options.quick
        self.rounds = options.rounds or 3
        self.seconds = options.seconds or (2 if options.quick else 5)
        self.retained_topics = options.retained
        self.table, self.discarded = [], []

    def makers(self, theirs="", ours=""):
        load = "max_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\n"
        quiet = load + ("" if "persistence" in theirs else "persistence false\n") + "log_dest none\n"
        mqbroker = os.path.join(self.folder, "mqbroker")
        return {
            "mosquitto": lambda: Broker(self.mosquitto, quiet + theirs),
            "mqbroker": lambda: Broker(mqbroker, ours),
        }

    def figures(self, title, makers, measure, rounds=None):
        """Runs `measure(broker)`, which returns figures by name, with each broker in turn. Returns their medians."""
        found = {}
        for number in range(rounds or self.rounds):
            for name, make in makers.items():
                for _ in range(2):
                    broker = make()
                    try:
                        taken = measure(broker)
                    except Discarded as why:
                        self.discarded.append(f"{title}, {name}, run {number + 1}: {why}")
                        continue
                    finally:
                        broker.stop()
                    taken = {key: value for key, value in taken.items() if value is not None}
                    shown = "  ".join(f"{key} {value:,.2f}" for key, value in taken.items())
                    if (rounds or 0) < 10:
                        print(f"  {title} {number + 1} {name:10} {shown}", flush=True)
                    for key, value in taken.items():
                        found.setdefault(key, {}).setdefault(name, []).append(value)
                    break
        if not found:
            self.add(title, "no run counts", None, None, Goal())
        return {key: {name: statistics.median(values) for name, values in by.items()} for key, by in found.items()}

    def compare(self, title, measure, goals, rounds=None, **configurations):
        for key, medians in self.figures(title, self.makers(**configurations), measure, rounds).items():
            self.add(title, key, medians.get("mosquitto"), medians.get("mqbroker"), goals.get(key, Goal()))

    def add(self, title, key, theirs, ours, goal):
        self.table.append((title, key, theirs, ours, goal))

    def load(self, broker, *arguments, delivered=True):
        """A run of mqbench: its result, and the broker's CPU seconds."""
        command = [os.path.join(self.folder, "mqbench"), "-h", "127.0.0.1", "-p", str(broker.port), "--size", "64"]
        command += ["--json", "--no-sys", "--duration", f"{self.seconds}s", *arguments]
        before = broker.cpu()
        done = subprocess.run(command, capture_output=True)
        cpu = broker.cpu() - before
        result = json.loads(done.stdout) if done.stdout else {"status": "missing", "generator": {"reasons": []}}
        if done.returncode != 0 or result["status"] != "ok":
            reasons = result["generator"]["reasons"] or [done.stderr.decode().strip()[-200:]]
            raise Discarded(f"mqbench ended with {done.returncode}, its result is {result['status']}: {reasons}")
        if delivered and result["delivery"]["lost"]:
            raise Discarded(f"{result['delivery']['lost']} messages were lost")
        return result, cpu

    def flood(self, title, arguments, goals):
        def measure(broker):
            # Without a warm-up the CPU is that of the messages that are counted.
            result, cpu = self.load(broker, "--flood", "--warmup", "0s", *arguments)
            delivered = result["delivery"]["delivered_once"]
            return {
                "delivered per CPU second": delivered / max(cpu, 1 / TICKS),
                "delivered per second": result["traffic"]["delivered_per_s"],
            }

        self.compare(title, measure, goals)

    def qos(self, qos):
        per_cpu = {0: Goal(3, 6), 1: Goal(2.5, 4), 2: Goal(2.5, 4)}[qos]
        per_second = {0: Goal(2.3, 3), 1: Goal(2.1, 3), 2: Goal(1.7, 3)}[qos]
        goals = {"delivered per CPU second": per_cpu, "delivered per second": per_second}
        self.flood(f"qos{qos}", ["-q", str(qos), "--clients", "10"], goals)

    def fan_out(self):
        goals = {"delivered per second": Goal(2, 6)}
        self.flood("fanout", ["--pubs", "1", "--subs", "1000", "-t", "fan"], goals)

    def latency(self):
        def measure(broker):
            result, cpu = self.load(broker, "--rate", "1k", "--clients", "10")
            percentiles = result["latency"]["e2e"]["p"]
            return {
                "e2e p50, us": percentiles["50"] and percentiles["50"] / 1000,
                "e2e p99, us": percentiles["99"] and percentiles["99"] / 1000,
                "broker CPU, % of a core": cpu / self.seconds * 100,
            }

        self.compare("latency", measure, {"e2e p50, us": Goal(1.0, 0.8, higher=False)})

    def idle(self):
        for wanted in (900, 6000):
            count = min(wanted, DESCRIPTORS - 100)
            key = f"KB per idle connection, {count:,}"

            def measure(broker):
                before = broker.resident_kb()
                clients = [broker.connect(b"idle%d" % number) for number in range(count)]
                kilobytes = (broker.resident_kb() - before) / count
                for client in clients:
                    client.close()
                return {key: kilobytes}

            self.compare("idle", measure, {key: Goal(1.0, 0.5, higher=False)})

    def retained(self):
        topics = [b"r/%d/%d/v" % (number % 1000, number) for number in range(self.retained_topics)]
        stored = f"MB of {len(topics):,} retained"

        def measure(broker):
            publisher = broker.connect(b"publisher")
            before = broker.resident_kb()
            for start in range(0, len(topics), 1000):
                bodies = (struct.pack(">H", len(topic)) + topic + b"x" * 32 for topic in topics[start : start + 1000])
                publisher.sendall(b"".join(bytes([0x31, len(body)]) + body for body in bodies))
            ping(publisher)
            figures = {stored: (broker.resident_kb() - before) / 1024}
            for name, filters, found in (
                ("1,000 exact filters, ms", topics[:1000], topics[:1000]),
                ("# to the last message, ms", [b"#"], topics),
            ):
                subscriber = broker.connect(b"subscriber")
                body = b"\0\1" + b"".join(struct.pack(">H", len(text)) + text + b"\0" for text in filters)
                # SUBACK, then a PUBLISH of QoS 0 with two bytes of header for each.
                suback = 2 + (1 if len(filters) + 2 > 127 else 0) + 2 + len(filters)
                wanted = suback + sum(2 + 2 + len(topic) + 32 for topic in found)
                start = time.perf_counter()
                subscriber.sendall(b"\x82" + bytes([len(body) & 127 | 128, len(body) >> 7]) + body)
                while wanted > 0:
                    chunk = subscriber.recv(1 << 20)
                    if not chunk:
                        raise Discarded(f"{name}: the broker ended the connection")
                    wanted -= len(chunk)
                figures[name] = (time.perf_counter() - start) * 1000
                subscriber.close()
            return figures

        half = Goal(1.0, 0.5, higher=False)
        goals = {stored: half, "# to the last message, ms": half}
        self.compare("retained", measure, goals, 1 if self.quick else self.rounds)

    def persistence(self):
        """QoS 1 to a session that is away. mosquitto writes when it saves, mqbroker before it acknowledges."""
        unlimited = "max_queued_messages 0\n"
        kept = "persistence true\npersistence_location {folder}/\n"
        makers = {
            "mosquitto, saved at the end": self.makers(theirs=kept)["mosquitto"],
            "in memory": self.makers(ours=unlimited + "max_queued_bytes 0\n")["mqbroker"],
            "sync interval": self.makers(ours=unlimited + "max_queued_bytes 0\npersistence_sync interval\n" + kept)["mqbroker"],
            "sync always": self.makers(ours=unlimited + "max_queued_bytes 0\npersistence_sync always\n" + kept)["mqbroker"],
        }

        def measure(broker):
            session = broker.connect(b"durable", clean=False)
            session.sendall(b"\x82\x0b\0\1\0\6kept/#\1")
            assert session.recv(5) == b"\x90\3\0\1\1"
            session.sendall(b"\xe0\0")
            session.close()
            arguments = ["--flood", "--warmup", "0s", "-q", "1", "--pubs", "10", "--subs", "0", "-t", "kept/%i"]
            result, cpu = self.load(broker, *arguments, delivered=False)
            rate = result["traffic"]["acked_per_s"]
            return {"acknowledged per second": rate, "messages per CPU second": rate * self.seconds / max(cpu, 1 / TICKS)}

        for key, medians in self.figures("persist", makers, measure).items():
            theirs = medians.get("mosquitto, saved at the end")
            for name in list(makers)[1:]:
                self.add("persist", f"{key}, {name}", theirs, medians.get(name), Goal())

    def start(self):
        """From exec to the first connection that is accepted, the loop that looks for it included."""

        def measure(broker):
            return {"start to listening, ms": broker.start_ms}

        goal = {"start to listening, ms": Goal(10, higher=False, absolute=True)}
        self.compare("start", measure, goal, 20 if self.quick else 100)

    def build(self):
        """What a build is made of. Seconds of a cold one: `cold`."""
        tree = ["cargo", "tree", "-e", "normal", "--prefix", "none", "--locked"]
        lines = subprocess.run(tree, cwd=ROOT, capture_output=True, check=True, text=True).stdout.splitlines()
        crates = {line.removesuffix(" (*)") for line in lines}
        self.add("build", "crates", None, len(crates), Goal(180, higher=False, absolute=True))
        with tempfile.TemporaryDirectory() as folder:
            for name in ("mqbench", "mqbroker"):
                stripped = os.path.join(folder, name)
                subprocess.run(["strip", "-o", stripped, os.path.join(self.folder, name)], check=True)
                size = os.path.getsize(stripped) / 1e6
                self.add("build", f"{name} stripped, MB", None, size, Goal(9, higher=False, absolute=True))

    def cold(self):
        with tempfile.TemporaryDirectory(prefix="cold-build-") as folder:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            start = time.monotonic()
            command = ["cargo", "build", "--release", "--locked", "--offline", "--bins"]
            subprocess.run(command, cwd=ROOT, env={**os.environ, "CARGO_TARGET_DIR": folder}, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.add("cold", "build, CPU seconds", None, cpu, Goal())
        self.add("cold", "build, seconds", None, time.monotonic() - start, Goal())

    def report(self):
        def number(value):
            return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.2f}"

        lines = [("", "median", "mosquitto", "mqbroker", "ratio", "must", "aim", "reached")]
        for title, key, theirs, ours, goal in self.table:
            ratio = ours / theirs if ours is not None and theirs else None
            verdict = goal.verdict(ratio, ours)
            lines.append((title, key, number(theirs), number(ours), number(ratio), *goal.texts(), verdict))
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        print()
        for line in lines:
            cells = [
                text.rjust(width) if 2 <= column <= 4 else text.ljust(width)
                for column, (text, width) in enumerate(zip(line, widths))
            ]
            print("  ".join(cells).rstrip())
        for discarded in self.discarded:
            print(f"discarded: {discarded}")


class Discarded(Exception):
    """A run that does not count, and why."""


def build():
    subprocess.run(["cargo", "build", "--release", "--bin", "mqbroker", "--bin", "mqbench"], cwd=ROOT, check=True)
    return os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    rows = {
        "qos0": lambda bench: bench.qos(0),
        "qos1": lambda bench: bench.qos(1),
        "qos2": lambda bench: bench.qos(2),
        "fanout": Bench.fan_out,
        "latency": Bench.latency,
        "idle": Bench.idle,
        "retained": Bench.retained,
        "persist": Bench.persistence,
        "start": Bench.start,
        "build": Bench.build,
        "cold": Bench.cold,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", help="folder of mqbroker and mqbench; without it they are built")
    parser.add_argument("--quick", action="store_true", help="runs of 2 s instead of 5, one run with retained messages")
    parser.add_argument("--rounds", type=int, help="runs of each broker (default 3)")
    parser.add_argument("--seconds", type=float, help="length of a run of mqbench")
    parser.add_argument("--retained", type=int, default=1_000_000, metavar="COUNT", help="retained messages (default 1 M)")
    parser.add_argument("rows", nargs="*", choices=[*rows, []], help=f"of {', '.join(rows)}; all but cold without one")
    options = parser.parse_args()
    bench = Bench(options, os.path.abspath(options.bin or build()))
    began = time.monotonic()
    for name in options.rows or [name for name in rows if name != "cold"]:
        rows[name](bench)
    bench.report()
    print(f"{bench.rounds} runs each, {time.monotonic() - began:.0f} s")
    sys.exit(1 if any(None in row[3:4] for row in bench.table) else 0)


if __name__ == "__main__":
    main()
