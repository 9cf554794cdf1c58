#!/usr/bin/env python3
"""mqpub and mqsub against Debian's mosquitto_pub and mosquitto_sub, in one run, by turns.

Prints the median of each and the ratio of the medians; CPU is user + system time of the client process alone (from
wait4), wall is start to exit. The broker is its own mosquitto on a free loopback port. Run by hand, on a machine
that does nothing else:

    python3 benches/pubsub.py              # builds mqpub and mqsub, then measures everything
    python3 benches/pubsub.py --bin DIR    # measures the binaries in DIR
    python3 benches/pubsub.py qos1 flood   # some rows only

On a machine that does something else, `chrt -r 1 python3 benches/pubsub.py` (as root) gives broker and clients the
processors before all others, and figures like those of a quiet one.

Needs mosquitto and mosquitto-clients. mosquitto_pub 2.0 drops lines above 65,535 at QoS 1 and 2 and says nothing, so it
is never given more than 60,000.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

LINES = 60_000
MANY_LINES = 1_000_000
FLOOD = 300_000
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Broker:
    """A mosquitto that is set for load."""

    def __init__(self):
        program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        if program is None:
            sys.exit("mosquitto is not installed")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = tempfile.TemporaryDirectory()
        configuration = os.path.join(self.folder.name, "mosquitto.conf")
        with open(configuration, "w") as file:
            file.write(
                f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\n"
                "max_queued_messages 0\nset_tcp_nodelay true\npersistence false\nlog_dest none\n"
            )
        self.process = subprocess.Popen([program, "-c", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.01)
        sys.exit("mosquitto does not start")

    def cpu(self):
        """CPU seconds it has used so far."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


class Blaster(threading.Thread):
    """A server that sends one subscriber QoS 0 messages in blocks as large as TCP takes: reading and printing alone, without
    the wake-ups that a broker causes by writing each message by itself."""

    def __init__(self, count):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        topic, payload = b"bench/flood", b"x" * 64
        body = len(topic).to_bytes(2, "big") + topic + payload
        self.flood = (bytes([0x30, len(body)]) + body) * count
        self.start()

    def run(self):
        client, _ = self.listener.accept()
        client.recv(1000)
        client.sendall(b"\x20\x02\x00\x00")
        subscribe = client.recv(1000)
        client.sendall(b"\x90\x03" + subscribe[2:4] + b"\x00")
        try:
            client.sendall(self.flood)
            while client.recv(1000):
                pass
        except OSError:
            pass  # mosquitto_sub -C closes with bytes unread
        client.close()
        self.listener.close()


def measure(argv, stdin=None, stdout=None, memory=False):
    """Runs a program to its end: wall seconds, CPU seconds, exit status, peak resident bytes."""
    null = os.open(os.devnull, os.O_RDWR)
    actions = [
        (os.POSIX_SPAWN_DUP2, stdin if stdin is not None else null, 0),
        (os.POSIX_SPAWN_DUP2, stdout if stdout is not None else null, 1),
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    began = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, environment, file_actions=actions)
    peak = 0
    if memory:
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            peak = max(peak, resident(pid, "VmHWM"))
            time.sleep(0.01)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    os.close(null)
    return wall, usage.ru_utime + usage.ru_stime, os.waitstatus_to_exitcode(status), peak


def resident(pid, key):
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def lines_file(folder, count):
    path = os.path.join(folder, f"lines-{count}")
    with open(path, "w") as file:
        for number in range(count):
            file.write(f"{number:064}\n")
    return path


class Table:
    """Rows as they come."""

    def __init__(self):
        print(f"{'':34}{'mosquitto':>12}{'ours':>12}{'ratio':>9}   must   aim")

    def row(self, name, theirs, ours, unit, scale, must=None, aim=None):
        theirs, ours = statistics.median(theirs) * scale, statistics.median(ours) * scale
        limits = "".join(f"{limit:>7}" if limit is not None else f"{'':7}" for limit in (must, aim))
        print(f"{name:34}{theirs:>9.3f} {unit:<2}{ours:>9.3f} {unit:<2}{ours / theirs:>8.3f}{limits}", flush=True)

    def fact(self, name, value):
        print(f"{name:34}{value}", flush=True)


class Bench:
    def __init__(self, tools, rounds):
        self.rounds = rounds
        self.mqpub, self.mqsub = tools
        self.mosquitto_pub, self.mosquitto_sub = shutil.which("mosquitto_pub"), shutil.which("mosquitto_sub")
        if not (self.mosquitto_pub and self.mosquitto_sub):
            sys.exit("mosquitto-clients is not installed")
        self.broker = Broker()
        self.folder = tempfile.TemporaryDirectory()
        self.table = Table()

    def to_broker(self, program, *more, topic="bench/topic"):
        return [program, "-h", "127.0.0.1", "-p", str(self.broker.port), "-t", topic, *more]

    def by_turns(self, rounds, theirs, ours):
        """Both, one after the other, so that what disturbs the machine disturbs both."""
        results = ([], [])
        for _ in range(rounds):
            for index, run in enumerate((theirs, ours)):
                wall, cpu, code, _ = run()
                if code != 0:
                    sys.exit(f"exit status {code} of {'mqpub/mqsub' if index else 'mosquitto'}")
                results[index].append((wall, cpu))
        return [[run[i] for run in side] for i in (0, 1) for side in results]

    def one(self):
        rounds = 30 * self.rounds
        arguments = ["-m", "hello", "-q", "1"]
        runs = [lambda p=p: measure(self.to_broker(p, *arguments)) for p in (self.mosquitto_pub, self.mqpub)]
        walls_theirs, walls, cpus_theirs, cpus = self.by_turns(rounds, *runs)
        self.table.row("one QoS 1 publish: wall", walls_theirs, walls, "ms", 1e3, 0.9, 0.7)
        self.table.row("one QoS 1 publish: CPU", cpus_theirs, cpus, "ms", 1e3)
        topic = "bench/retained"
        measure(self.to_broker(self.mqpub, "-m", "kept", "-r", "-q", "1", topic=topic))
        subs = (self.mosquitto_sub, self.mqsub)
        runs = [lambda p=p: measure(self.to_broker(p, "-C", "1", topic=topic)) for p in subs]
        walls_theirs, walls, cpus_theirs, cpus = self.by_turns(rounds, *runs)
        self.table.row("sub -C 1 of a retained: wall", walls_theirs, walls, "ms", 1e3, 0.9, 0.7)
        self.table.row("sub -C 1 of a retained: CPU", cpus_theirs, cpus, "ms", 1e3)

    def lines(self, qos):
        path = lines_file(self.folder.name, LINES)

        def run(program):
            stdin = os.open(path, os.O_RDONLY)
            try:
                return measure(self.to_broker(program, "-l", "-q", str(qos)), stdin=stdin)
            finally:
                os.close(stdin)

        result = self.by_turns(self.rounds, lambda: run(self.mosquitto_pub), lambda: run(self.mqpub))
        walls_theirs, walls, cpus_theirs, cpus = result
        limits = {0: ((0.3, 0.1), (None, None))}.get(qos, ((0.6, 0.2), (0.8, 0.6)))
        self.table.row(f"-l QoS {qos}, a line: CPU", cpus_theirs, cpus, "us", 1e6 / LINES, *limits[0])
        self.table.row(f"-l QoS {qos}, a line: wall", walls_theirs, walls, "us", 1e6 / LINES, *limits[1])

    def many(self):
        path = lines_file(self.folder.name, MANY_LINES)
        session = self.to_broker(self.mqsub, "-q", "1", "-c", "-i", "bench-many", topic="bench/many")
        # The broker keeps what comes from here on, so nothing has to wait until the subscriber reads.
        subprocess.run([*session, "-E"], check=True)
        read, write = os.pipe()
        subscriber = subprocess.Popen([*session, "-C", str(MANY_LINES), "-W", "300"], stdout=write)
        os.close(write)
        missing = set(range(MANY_LINES))
        strange = []

        def count():
            with os.fdopen(read) as lines:
                for line in lines:
                    try:
                        missing.remove(int(line))
                    except (KeyError, ValueError):
                        strange.append(line)  # it came twice, or was never sent

        counter = threading.Thread(target=count)
        counter.start()
        stdin = os.open(path, os.O_RDONLY)
        publisher = self.to_broker(self.mqpub, "-l", "-q", "1", topic="bench/many")
        wall, cpu, code, peak = measure(publisher, stdin=stdin, memory=True)
        os.close(stdin)
        subscriber.wait()
        counter.join()
        delivered = MANY_LINES - len(missing)
        self.table.fact(
            "-l QoS 1, 1,000,000 lines",
            f"exit {code}, {delivered:,} delivered, {len(strange)} twice or foreign, peak {peak / 1e6:.1f} MB (must 20, aim 8), "
            f"{wall:.1f} s, {cpu / MANY_LINES * 1e6:.2f} us CPU a line",
        )

    def flood(self):
        path = lines_file(self.folder.name, FLOOD)
        topic = "bench/flood"

        def run(program):
            read, write = os.pipe()
            argv = self.to_broker(program, "-v", "-C", str(FLOOD + 1), topic=topic)
            result = []
            subscriber = threading.Thread(target=lambda: result.append(measure(argv, stdout=write)))
            subscriber.start()
            # Retained messages come once the subscription stands; the live ones are counted behind this one.
            lines = open(read, "rb")
            lines.readline()
            counter = threading.Thread(target=lambda: [None for _ in lines])
            counter.start()
            with open(path) as stdin:
                subprocess.run(self.to_broker(self.mosquitto_pub, "-l", topic=topic), stdin=stdin, check=True)
            subscriber.join()
            os.close(write)
            counter.join()
            return result[0]

        measure(self.to_broker(self.mosquitto_pub, "-m", "first", "-r", "-q", "1", topic=topic))
        result = self.by_turns(self.rounds, lambda: run(self.mosquitto_sub), lambda: run(self.mqsub))
        _, _, cpus_theirs, cpus = result
        self.table.row("sub -v of a live flood: CPU", cpus_theirs, cpus, "us", 1e6 / FLOOD, 0.35, 0.15)

    def blocks(self):
        def run(program):
            server = Blaster(FLOOD)
            read, write = os.pipe()
            reader = subprocess.Popen(["cat"], stdin=read, stdout=subprocess.DEVNULL)
            os.close(read)
            argv = [program, "-h", "127.0.0.1", "-p", str(server.port), "-t", "bench/flood", "-v", "-C", str(FLOOD)]
            result = measure(argv, stdout=write)
            os.close(write)
            reader.wait()
            server.join()
            return result

        result = self.by_turns(self.rounds, lambda: run(self.mosquitto_sub), lambda: run(self.mqsub))
        walls_theirs, walls, cpus_theirs, cpus = result
        self.table.row("sub -v of ready blocks: CPU", cpus_theirs, cpus, "us", 1e6 / FLOOD, 0.10, 0.02)
        self.table.row("sub -v of ready blocks: wall", walls_theirs, walls, "us", 1e6 / FLOOD)

    def idle(self):
        for name, argv in (
            ("mqsub, idle: resident", self.to_broker(self.mqsub)),
            ("mqpub -l, idle: resident", self.to_broker(self.mqpub, "-l", "-q", "1")),
            ("mosquitto_sub, idle: resident", self.to_broker(self.mosquitto_sub)),
        ):
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            time.sleep(0.5)
            self.table.fact(name, f"{resident(process.pid, 'VmRSS') / 1e6:.1f} MB")
            process.terminate()
            process.wait()
            process.stdin.close()

    def size(self):
        stripped = os.path.join(self.folder.name, "stripped")
        for tool in (self.mqpub, self.mqsub):
            subprocess.run(["strip", "-o", stripped, tool], check=True)
            name = os.path.basename(tool)
            self.table.fact(f"{name}, stripped", f"{os.path.getsize(stripped) / 1e6:.2f} MB")

    def stop(self):
        self.broker.stop()
        self.folder.cleanup()


def build():
    subprocess.run(
        ["cargo", "build", "--release", "--bin", "mqpub", "--bin", "mqsub"], cwd=ROOT, check=True
    )
    return os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")


def main():
    rows = {
        "one": lambda bench: bench.one(),
        "qos0": lambda bench: bench.lines(0),
        "qos1": lambda bench: bench.lines(1),
        "qos2": lambda bench: bench.lines(2),
        "many": lambda bench: bench.many(),
        "flood": lambda bench: bench.flood(),
        "blocks": lambda bench: bench.blocks(),
        "idle": lambda bench: bench.idle(),
        "size": lambda bench: bench.size(),
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", help="folder of mqpub and mqsub; without it they are built")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is run (default 5; short ones 30 times that)")
    parser.add_argument("rows", nargs="*", choices=[*rows, []], help=f"of {', '.join(rows)}; all without one")
    options = parser.parse_args()
    folder = options.bin or build()
    bench = Bench([os.path.join(os.path.abspath(folder), tool) for tool in ("mqpub", "mqsub")], options.rounds)
    try:
        for name in options.rows or rows:
            rows[name](bench)
    finally:
        bench.stop()


if __name__ == "__main__":
    main()
