"""A day of a paho-mqtt client with a broker, at one version of MQTT: each QoS, retained messages, a will, a session that is
kept, and with 5.0 properties and a shared subscription. Prints "ok", or fails with what went wrong.

paho_interop.py PORT 31|311|5
"""

import queue
import socket
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PORT, VERSION = int(sys.argv[1]), sys.argv[2]
PROTOCOL = {"31": mqtt.MQTTv31, "311": mqtt.MQTTv311, "5": mqtt.MQTTv5}[VERSION]
V5 = VERSION == "5"


class Client:
    """A client whose callbacks put what they are given into queues."""

    def __init__(self, name, durable=False, will=None):
        arguments = {"client_id": f"paho-{VERSION}-{name}", "protocol": PROTOCOL}
        if not V5:
            arguments["clean_session"] = not durable
        # 2.x wants to know which of its callback signatures is meant.
        if hasattr(mqtt, "CallbackAPIVersion"):
            arguments["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
        self.client = mqtt.Client(**arguments)
        self.messages, self.granted, self.connected = queue.Queue(), queue.Queue(), queue.Queue()
        self.client.on_connect = lambda _client, _data, flags, code, *_: self.connected.put((flags, code))
        self.client.on_subscribe = lambda *_: self.granted.put(None)
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        if will:
            self.client.will_set(will, "gone", 1)
        more = {}
        if V5:
            more["clean_start"] = not durable
            if durable:
                more["properties"] = Properties(PacketTypes.CONNECT)
                more["properties"].SessionExpiryInterval = 600
        self.client.connect("127.0.0.1", PORT, **more)
        self.client.loop_start()
        flags, code = self.connected.get(timeout=30)
        assert code == 0, code
        self.session_present = bool(flags["session present"])

    def subscribe(self, topic_filter, qos=2):
        self.client.subscribe(topic_filter, qos)
        self.granted.get(timeout=30)

    def publish(self, topic, payload, qos, retain=False, properties=None):
        more = {"properties": properties} if properties else {}
        self.client.publish(topic, payload, qos, retain, **more).wait_for_publish()

    def next(self):
        return self.messages.get(timeout=30)

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()


def expect(message, topic, payload, qos, retain=False):
    found = (message.topic, message.payload.decode(), message.qos, bool(message.retain))
    assert found == (topic, payload, qos, retain), found


def main():
    base = f"paho/{VERSION}"
    watcher, publisher = Client("watcher"), Client("publisher")
    watcher.subscribe(f"{base}/#")
    for qos in range(3):
        publisher.publish(f"{base}/q", f"q{qos}", qos)
        expect(watcher.next(), f"{base}/q", f"q{qos}", qos)

    publisher.publish(f"{base}/kept", "kept", 1, retain=True)
    expect(watcher.next(), f"{base}/kept", "kept", 1)
    late = Client("late")
    late.subscribe(f"{base}/kept")
    expect(late.next(), f"{base}/kept", "kept", 1, retain=True)
    publisher.publish(f"{base}/kept", "", 1, retain=True)
    expect(watcher.next(), f"{base}/kept", "", 1)

    mortal = Client("mortal", will=f"{base}/will")
    mortal.client.loop_stop()
    mortal.client.socket().shutdown(socket.SHUT_RDWR)
    expect(watcher.next(), f"{base}/will", "gone", 1)

    away = Client("away", durable=True)
    away.subscribe(f"{base}/away")
    away.leave()
    for number in range(3):
        publisher.publish(f"{base}/away", str(number), number)
        expect(watcher.next(), f"{base}/away", str(number), number)
    away = Client("away", durable=True)
    # 3.1 has no such flag.
    assert away.session_present == (VERSION != "31")
    for number in (1, 2):
        expect(away.next(), f"{base}/away", str(number), number)
    away.leave()
    Client("away").leave()

    if V5:
        shared = Client("shared")
        shared.subscribe(f"$share/group/{base}/properties")
        sent = Properties(PacketTypes.PUBLISH)
        sent.ContentType = "text/plain"
        sent.CorrelationData = b"\0\xff"
        sent.UserProperty = [("b", "1"), ("a", "2"), ("b", "3")]
        publisher.publish(f"{base}/properties", "x", 2, properties=sent)
        for client in (watcher, shared):
            got = client.next().properties.json()
            assert got == sent.json(), got
    print("ok")


main()
