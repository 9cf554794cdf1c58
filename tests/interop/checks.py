"""What is tried with each broker. A check returns a cell; `Refused` and `Wrong` end it early."""

import json
import os
import re
import signal
import subprocess
import uuid

# Far above what a step takes.
LIMIT = 60
COUNT = 20
STRAY = "a message comes that the client has not subscribed to"


class Refused(Exception):
    """The broker says no, in the protocol or by closing the connection."""


class Wrong(Exception):
    """What was seen is not what the standard asks for."""


class NotOffered(Exception):
    """The broker has no such feature, or its package lacks it."""


def output(*command):
    return subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, timeout=LIMIT).stdout


def run(check, broker, tools):
    """The cell of a check."""
    clients = Clients(broker, tools)
    try:
        return check(clients) or "works"
    except Refused as refusal:
        return f"refused: {refusal}".replace(clients.tag, "")
    except Wrong as fault:
        return f"wrong: {fault}".replace(clients.tag, "")
    except NotOffered:
        return "not offered"
    finally:
        clients.close()


class Clients:
    """The tools, connected to a broker, with topics and names of their own."""

    def __init__(self, broker, tools):
        self.broker, self.tools, self.tag = broker, tools, uuid.uuid4().hex[:8]
        self.running = []

    def topic(self, name):
        return f"interop{self.tag}/{name}"

    def id(self, name):
        return f"{name}{self.tag}"

    def command(self, tool, *options, port=None, host="127.0.0.1"):
        where = ["-h", host, "-p", port or self.broker.port]
        # No options file of the user.
        return [str(part) for part in [self.tools / tool, "-o", "/dev/null", *where, *self.broker.login, *options]]

    def publish(self, *options, lines=None, **where):
        """Publishes and expects success."""
        text = "".join(f"{line}\n" for line in lines) if lines else None
        with_time = ["--connect-timeout", "10s", *options]
        command = self.command("mqpub", *with_time, **where)
        try:
            done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise Wrong("the publisher waits forever for an acknowledgment") from None
        self.expect(done.returncode, done.stderr)

    @staticmethod
    def expect(status, errors):
        """Turns a failure of a tool into a cell."""
        if status == 0:
            return
        lines = [line for line in errors.splitlines() if line.startswith(("Error", "Warning"))]
        text = (lines or errors.splitlines() or [f"exit status {status}"])[0]
        if "was lost" in text:
            raise Refused("it closes the connection")
        # Neither "Error" nor the address, which differs from run to run.
        text = re.sub(r"^(Error|Warning): (\S+:\d+: )?", "", text)
        if status >= 128 or status == 44 or "closed" in errors or "refused" in errors:
            raise Refused(text)
        raise Wrong(text)

    def subscribe(self, *options, wait=True, **where):
        """Starts a subscriber and waits until it is subscribed."""
        read, write = os.pipe()
        ready = ["--ready-fd", write] if wait else []
        command = self.command("mqsub", "--connect-timeout", "10s", "-W", LIMIT, "--retry", 0, *ready, *options, **where)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=[write])
        self.running.append(process)
        os.close(write)
        with open(read, "rb") as pipe:
            is_ready = not wait or pipe.read(1)
        if not is_ready:
            _, errors = process.communicate(timeout=LIMIT)
            if process.returncode == 0:
                raise Wrong(STRAY)
            if process.returncode == 27:
                raise Wrong("no answer to CONNECT or SUBSCRIBE")
            self.expect(process.returncode, errors)
        return process

    def messages(self, process):
        """What a subscriber with --json printed until its end."""
        printed, _ = process.communicate(timeout=LIMIT + 5)
        messages = [json.loads(line) for line in printed.splitlines()]
        if any(self.tag not in message["topic"] for message in messages):
            raise Wrong(STRAY)
        return messages

    def close(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.communicate()


def round_trip(clients, *options, **where):
    topic = clients.topic("one")
    subscriber = clients.subscribe("-t", topic, "-C", 1, "--json", *options, **where)
    clients.publish("-t", topic, "-m", "hello", *options, **where)
    messages = clients.messages(subscriber)
    if [message.get("payload") for message in messages] != ["hello"]:
        raise Wrong("the message does not arrive")


def version(number):
    return lambda clients: round_trip(clients, "-V", number)


def qos(level):
    def check(clients):
        topic = clients.topic("qos")
        numbers = [str(number) for number in range(COUNT)]
        # One message that ends it, so that a duplicate is seen.
        subscriber = clients.subscribe("-t", topic, "-q", level, "--json", "--until", "=end")
        clients.publish("-t", topic, "-q", level, "-l", lines=[*numbers, "end"])
        messages = clients.messages(subscriber)
        payloads = [message.get("payload") for message in messages][:-1]
        if payloads != numbers:
            raise Wrong(f"{len(set(payloads) & set(numbers))} of {COUNT} arrive, {len(payloads)} in all")
        levels = {message["qos"] for message in messages}
        if levels != {level}:
            raise Wrong(f"arrives at QoS {min(levels)}")
    return check


def retained(wildcard):
    def check(clients):
        topic = clients.topic("kept/1")
        clients.publish("-t", topic, "-m", "kept", "-q", 1, "-r")
        # The message may come before the SUBACK, and then it ends without having been ready.
        pattern = clients.topic("kept/+") if wildcard else topic
        subscriber = clients.subscribe("-t", pattern, "-C", 1, "--json", "-W", 8, wait=False)
        messages = clients.messages(subscriber)
        if not messages:
            raise Wrong("nothing is sent")
        if messages[0]["retain"] is not True:
            raise Wrong("arrives without the retain flag")
    return check


def wildcards(clients):
    published = ["a/b/c", "a/x/c", "a/b", "z/b/c"]
    expected = {"a/+/c": ["a/b/c", "a/x/c"], "a/#": ["a/b/c", "a/x/c", "a/b"], "+/b": ["a/b"]}
    for pattern, topics in expected.items():
        subscriber = clients.subscribe("-t", clients.topic(pattern), "-t", clients.topic("end"), "-q", 1, "--json",
                                       "--until", "=end")
        for topic in published:
            clients.publish("-t", clients.topic(topic), "-m", "x", "-q", 1)
        clients.publish("-t", clients.topic("end"), "-m", "end", "-q", 1)
        messages = clients.messages(subscriber)
        came = [message["topic"] for message in messages][:-1]
        if sorted(came) != sorted(clients.topic(topic) for topic in topics):
            raise Wrong(f"'{pattern}' gets {len(came)} messages, {len(topics)} match")


def will(clients):
    topic = clients.topic("state")
    watcher = clients.subscribe("-t", topic, "-q", 1, "-C", 1, "--json")
    device = clients.subscribe("-t", clients.topic("command"), "--will-topic", topic, "--will-payload", "dead",
                               "--will-qos", 1, "-i", clients.id("device"))
    device.send_signal(signal.SIGKILL)
    messages = clients.messages(watcher)
    if [message.get("payload") for message in messages] != ["dead"]:
        raise Wrong("the will does not come")


def durable(clients):
    topic, name = clients.topic("queue"), clients.id("queue")
    options = ["-t", topic, "-q", 1, "-i", name, "-c", "--json"]
    first = clients.subscribe(*options, "-E", wait=False)
    _, errors = first.communicate(timeout=LIMIT + 5)
    clients.expect(first.returncode, errors)
    clients.publish("-t", topic, "-q", 1, "-l", lines=["1", "2", "3"])
    # The queue may come before the SUBACK, and then it ends without having been ready.
    second = clients.subscribe(*options, "-C", 3, "-W", 8, wait=False)
    messages = clients.messages(second)
    came = [message.get("payload") for message in messages]
    if came != ["1", "2", "3"]:
        raise Wrong(f"{len(came)} of 3 arrive" if len(came) < 3 else "out of order")


def shared(clients):
    topic = clients.topic("work")
    protocol = "5"
    try:
        round_trip(clients, "-V", "5")
    except (Refused, Wrong):
        protocol = "311"
    options = ["-V", protocol, "-t", f"$share/group{clients.tag}/{topic}", "-q", 1, "--json", "-W", 8]
    workers = [clients.subscribe(*options) for _ in range(2)]
    clients.publish("-V", protocol, "-t", topic, "-q", 1, "-l", lines=[str(number) for number in range(COUNT)])
    shares = [[message.get("payload") for message in clients.messages(worker)] for worker in workers]
    total = sum(len(share) for share in shares)
    if protocol == "311" and total in (0, 2 * COUNT):
        raise NotOffered
    if total != COUNT or len(set(shares[0] + shares[1])) != COUNT:
        raise Wrong(f"{total} deliveries of {COUNT} messages")
    return f"works ({'MQTT 5' if protocol == '5' else '3.1.1'})"


def web_socket(clients):
    if not clients.broker.has_web_socket:
        raise NotOffered
    round_trip(clients, "--ws", "--ws-path", clients.broker.path, port=clients.broker.ws_port)


def tls(clients):
    if not clients.broker.has_tls:
        raise NotOffered
    # As a user connects: by the name in the certificate.
    round_trip(clients, "--cafile", clients.broker.folder / "ca.pem", port=clients.broker.tls_port, host="localhost")


def load(clients):
    """mqbench for five seconds at QoS 1: what it carries, and what it lost."""
    command = clients.command("mqbench", "-q", 1, "--duration", "5s", "--json", "--quiet")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        raise Wrong("mqbench does not end in two minutes") from None
    try:
        result = json.loads(done.stdout)
    except ValueError:
        clients.expect(done.returncode or 1, done.stderr)
    delivered, lost = result["traffic"]["delivered_per_s"], result["delivery"]["lost"]
    if not delivered:
        raise Wrong("no figure")
    digits = 10 ** max(0, len(str(int(delivered))) - 2)
    text = f"{round(delivered / digits) * digits:,}/s"
    return f"{text}, {lost} lost" if lost else text


ALL = (
    ("3.1", version("31")),
    ("3.1.1", version("311")),
    ("5", version("5")),
    ("QoS 0", qos(0)),
    ("QoS 1", qos(1)),
    ("QoS 2", qos(2)),
    ("retained", retained(False)),
    ("retained, wildcard", retained(True)),
    ("wildcards", wildcards),
    ("will", will),
    ("durable session", durable),
    ("shared", shared),
    ("WebSocket", web_socket),
    ("TLS", tls),
    ("mqbench -q 1, 5 s", load),
)
