"""The brokers: how each is installed, started on free ports and ended."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time


class NotStarted(Exception):
    """A broker that does not answer on its ports."""


HERE = pathlib.Path(__file__).resolve().parent
# A broker may start while the machine is busy.
PATIENCE = 600


def free_port():
    """A port below those that the system gives to clients, so that nobody takes it before the broker does."""
    for port in range(20_000 + os.getpid() % 5_000, 32_000):
        if port in free_port.given:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            free_port.given.add(port)
            return port
    raise SystemExit("no free port")


free_port.given = set()


def first_line(*command):
    """The first line that a program prints."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
    return (done.stdout.splitlines() or [""])[0]


class Broker:
    """A broker that runs as its own process group."""

    name = ""
    source = ""
    packages = ()
    # Options with which every client of this broker connects.
    login = ()
    # What users should know; the page prints it below the table.
    quirks = ()
    has_web_socket = True
    has_tls = True
    # The path of the WebSocket endpoint.
    path = "/mqtt"

    def __init__(self, folder, installed, tools):
        self.folder, self.installed, self.tools = folder, installed, tools
        self.port, self.ws_port, self.tls_port = free_port(), free_port(), free_port()

    def is_installed(self):
        return all(self.deb_version(package) for package in self.packages)

    def install(self):
        """Installs Debian packages; their services do not start."""
        missing = [package for package in self.packages if not self.deb_version(package)]
        if not missing:
            return
        policy = pathlib.Path("/usr/sbin/policy-rc.d")
        guarded = not policy.exists()
        if guarded:
            policy.write_text("#!/bin/sh\nexit 101\n")
            policy.chmod(0o755)
        try:
            command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
            subprocess.run(command, check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        finally:
            if guarded:
                policy.unlink()

    @staticmethod
    def deb_version(package):
        command = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", package]
        text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        return text[3:].split("-")[0].split("+")[0].strip() if text.startswith("ii") else ""

    def version(self):
        return self.deb_version(self.packages[0])

    def command(self):
        """The command, and the variables that it needs. Called in the folder of the broker, after `files`."""
        raise NotImplementedError

    def environment(self):
        return {}

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def __enter__(self):
        certificates = HERE.parents[1] / "examples/secure/make-certificates"
        subprocess.run([certificates, "localhost"], cwd=self.folder, check=True, stdout=subprocess.DEVNULL)
        self.log = open(self.folder / "log", "wb")
        environment = {**os.environ, "HOME": str(self.folder), **self.environment()}
        self.process = subprocess.Popen(
            [str(part) for part in self.command()], cwd=self.folder, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait(self):
        """Waits until all ports answer."""
        ports = [self.port] + [self.ws_port] * self.has_web_socket + [self.tls_port] * self.has_tls
        deadline = time.monotonic() + PATIENCE
        for port in ports:
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
                    break
                if self.process.poll() is not None or time.monotonic() > deadline:
                    logs = [path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*log*") if path.is_file()]
                    raise NotStarted(f"no answer on port {port}\n" + "\n".join(logs))
                time.sleep(0.1)
        # Some brokers listen before they answer.
        command = [self.tools / "mqpub", "-o", "/dev/null", "-h", "127.0.0.1", "-p", self.port, *self.login]
        command += ["-t", "interop/ready", "-m", "ready", "--connect-timeout", "10s", "--wait", f"{PATIENCE}s"]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode != 0:
            raise NotStarted(f"no CONNACK: {done.stderr}")

    def __exit__(self, *_):
        for name in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, name)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)
        self.log.close()


class Mqbroker(Broker):
    name, source = "mqbroker", "this repository"

    def version(self):
        return first_line(self.tools / "mqbroker", "--version").split()[-1]

    def command(self):
        return [self.tools / "mqbroker", "-c", self.file("broker.conf", MOSQUITTO_CONF.format(**vars(self)))]


MOSQUITTO_CONF = """\
allow_anonymous true
log_dest none
listener {port} 127.0.0.1
listener {ws_port} 127.0.0.1
protocol websockets
listener {tls_port} 127.0.0.1
certfile server.pem
keyfile server.key
"""


class Mosquitto(Broker):
    name, source, packages = "mosquitto", "apt", ("mosquitto",)

    def command(self):
        # As root it would become another user, who may not read the key.
        conf = "user root\n" + MOSQUITTO_CONF.format(**vars(self))
        return [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", self.file("broker.conf", conf)]


class RabbitMq(Broker):
    name, source, packages = "RabbitMQ", "apt", ("rabbitmq-server",)
    path = "/ws"
    quirks = (
        "Its WebSocket endpoint is `/ws` (`--ws-path /ws`).",
        "Publish at QoS 1: it acknowledges QoS 2 with a PUBACK, which mqpub reports with exit status 44.",
    )

    def environment(self):
        return {
            "RABBITMQ_NODENAME": f"rabbit{self.port}@localhost", "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(free_port()), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"), "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            # The rest of Debian's script that starts it as another user.
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
        }

    def command(self):
        self.file("plugins", "[rabbitmq_mqtt,rabbitmq_web_mqtt].\n")
        self.file("rabbitmq.conf", f"""\
listeners.tcp = none
mqtt.listeners.tcp.1 = 127.0.0.1:{self.port}
mqtt.listeners.ssl.1 = 127.0.0.1:{self.tls_port}
mqtt.allow_anonymous = true
ssl_options.certfile = {self.folder}/server.pem
ssl_options.keyfile = {self.folder}/server.key
ssl_options.verify = verify_none
web_mqtt.tcp.ip = 127.0.0.1
web_mqtt.tcp.port = {self.ws_port}
""")
        return ["/usr/lib/rabbitmq/bin/rabbitmq-server"]


class ActiveMq(Broker):
    name, source, packages = "ActiveMQ", "apt", ("activemq", "libmqtt-client-java")
    has_web_socket = False
    quirks = (
        "Debian's package lacks the library mqtt-client; without it every client hangs.",
        "Debian's package has no WebSocket transport.",
    )

    def command(self):
        folder = self.folder
        subprocess.run(["openssl", "pkcs12", "-export", "-in", "server.pem", "-inkey", "server.key", "-out", "server.p12",
                        "-passout", "pass:interop"], cwd=folder, check=True)
        xml = self.file("activemq.xml", f"""\
<beans xmlns="http://www.springframework.org/schema/beans" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans.xsd
  http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="interop" persistent="false" useJmx="false"
    dataDirectory="{folder}">
    <sslContext><sslContext keyStore="file:{folder}/server.p12" keyStorePassword="interop" keyStoreType="PKCS12"/></sslContext>
    <transportConnectors>
      <transportConnector name="mqtt" uri="mqtt://127.0.0.1:{self.port}"/>
      <transportConnector name="tls" uri="mqtt+ssl://127.0.0.1:{self.tls_port}"/>
    </transportConnectors>
  </broker>
</beans>
""")
        jars = ["/usr/share/activemq/lib/*", "/usr/share/activemq/lib/optional/*"]
        jars += [str(path) for pattern in ("mqtt-client.jar", "hawt*.jar") for path in pathlib.Path("/usr/share/java").glob(pattern)]
        return ["java", f"-Dactivemq.data={folder}", "-cp", ":".join(jars), "org.apache.activemq.console.Main", "start",
                f"xbean:file:{xml}"]


class Nats(Broker):
    name, source, packages = "NATS", "apt", ("nats-server",)

    quirks = ("Its MQTT listener is with TLS or without, not both: the run has a server for each.",)

    def command(self):
        return ["sh", "-c", 'nats-server -c "$1" & exec nats-server -c "$2"', "sh",
                self.server("tls", self.tls_port, 'tls { cert_file: "server.pem", key_file: "server.key" }', free_port()),
                self.server("plain", self.port, "", self.ws_port)]

    def server(self, name, port, tls, ws_port):
        return self.file(f"{name}.conf", f"""\
server_name: {name}
listen: 127.0.0.1:{free_port()}
jetstream {{ store_dir: "{self.folder}/{name}" }}
mqtt {{ host: 127.0.0.1, port: {port}, {tls} }}
websocket {{ host: 127.0.0.1, port: {ws_port}, no_tls: true }}
""")


class Ejabberd(Broker):
    name, source, packages = "ejabberd", "apt", ("ejabberd",)
    login = ("-u", "user@localhost", "-P", "any")
    quirks = ("Every client needs a user name such as `user@localhost`.",)

    def environment(self):
        return {"ERL_LIBS": "/usr/lib/x86_64-linux-gnu", "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
                "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log")}

    def command(self):
        folder = self.folder
        (folder / "both.pem").write_text((folder / "server.pem").read_text() + (folder / "server.key").read_text())
        self.file("ejabberd.yml", f"""\
hosts: [localhost]
auth_method: [anonymous]
anonymous_protocol: both
allow_multiple_connections: true
certfiles: ["{folder}/both.pem"]
listen:
  - {{ip: "127.0.0.1", port: {self.port}, module: mod_mqtt}}
  - {{ip: "127.0.0.1", port: {self.tls_port}, module: mod_mqtt, tls: true}}
  - {{ip: "127.0.0.1", port: {self.ws_port}, module: ejabberd_http, request_handlers: {{"/mqtt": mod_mqtt}}}}
modules:
  mod_mqtt: {{}}
""")
        return ["erl", "-noinput", "-mnesia", "dir", f'"{folder}/mnesia"', "-s", "ejabberd"]


class NodeBroker(Broker):
    """A broker of npm; the packages are shared."""

    npm = ()

    @property
    def modules(self):
        return self.installed / f"npm-{self.name}"

    def install(self):
        if not self.is_installed():
            self.modules.mkdir(exist_ok=True)
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", *self.npm], cwd=self.modules, check=True)

    def is_installed(self):
        return (self.modules / "node_modules" / self.name).exists()

    def version(self):
        return json.loads((self.modules / "node_modules" / self.name / "package.json").read_text())["version"]

    def environment(self):
        return {"NODE_PATH": str(self.modules / "node_modules"), "PORT": str(self.port), "WS_PORT": str(self.ws_port),
                "TLS_PORT": str(self.tls_port)}

    def command(self):
        return ["node", HERE / f"{self.name}.js"]


class Aedes(NodeBroker):
    name, source, npm = "aedes", "npm", ("aedes", "ws")


class Mosca(NodeBroker):
    name, source, npm = "mosca", "npm", ("mosca", "jsonschema@1.2.6")
    quirks = ("Not maintained since 2020; aedes replaces it.",)


class PythonBroker(Broker):
    """A broker of PyPI, in a virtual environment."""

    pip = ""

    @property
    def python(self):
        return self.installed / f"venv-{self.name}" / "bin/python"

    def install(self):
        if not self.is_installed():
            subprocess.run(["python3", "-m", "venv", self.installed / f"venv-{self.name}"], check=True)
            subprocess.run([self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", self.pip], check=True)

    def is_installed(self):
        return self.python.exists()

    def version(self):
        code = f"import importlib.metadata as m; print(m.version('{self.pip}'))"
        return first_line(self.python, "-c", code)


class Amqtt(PythonBroker):
    name, source, pip = "amqtt", "PyPI", "amqtt"
    path = "/"
    quirks = (
        "Its WebSocket endpoint is `/` (`--ws-path /`).",
        "A retained message that one client has received can come again to another, which has not subscribed to it.",
    )

    def command(self):
        conf = self.file("amqtt.yaml", f"""\
listeners:
  default: {{type: tcp, bind: "127.0.0.1:{self.port}"}}
  ws: {{type: ws, bind: "127.0.0.1:{self.ws_port}"}}
  tls: {{type: tcp, bind: "127.0.0.1:{self.tls_port}", ssl: true, certfile: server.pem, keyfile: server.key}}
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin: {{allow_anonymous: true}}
""")
        return [self.python.parent / "amqtt", "-c", conf]


class IotCore(PythonBroker):
    name, source, pip = "iotcore", "PyPI", "iotcore"
    has_web_socket = has_tls = False
    quirks = ("rumqttd inside; its Python interface offers plain TCP only.",)

    def command(self):
        code = f"import iotcore; iotcore.Broker(port={self.port}, listen='127.0.0.1').run_forever()"
        return [self.python, "-c", code]


ALL = (Mqbroker, Mosquitto, RabbitMq, ActiveMq, Nats, Ejabberd, Aedes, Mosca, Amqtt, IotCore)
