"""The other end of tests/paho.rs: a paho-mqtt client that subscribes or publishes as it is told.

paho_peer.py PORT VERSION receive FILTER COUNT   prints "ready", then a JSON object a message, and ends after COUNT
paho_peer.py PORT VERSION send                   publishes a JSON object a line of stdin, and ends when all are through
paho_peer.py PORT VERSION respond TOPIC COUNT    prints "ready", answers COUNT requests with their payload, and ends;
                                                 before 5 to the topic TOPIC/response
"""

import json
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

TEXTS = {"content-type": "ContentType", "response-topic": "ResponseTopic"}
NUMBERS = {"message-expiry-interval": "MessageExpiryInterval", "payload-format-indicator": "PayloadFormatIndicator"}


def client_of(version):
    arguments = {"protocol": mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311}
    # 2.0 wants to know which of its callback signatures is meant.
    if hasattr(mqtt, "CallbackAPIVersion"):
        arguments["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
    return mqtt.Client(**arguments)


def object_of(message):
    properties = getattr(message, "properties", None)
    found = {}
    for name, attribute in {**TEXTS, **NUMBERS}.items():
        if hasattr(properties, attribute):
            found[name] = getattr(properties, attribute)
    if hasattr(properties, "CorrelationData"):
        found["correlation-data"] = properties.CorrelationData.hex()
    if hasattr(properties, "UserProperty"):
        found["user-properties"] = properties.UserProperty
    return {
        "topic": message.topic,
        "payload": message.payload.hex(),
        "qos": message.qos,
        "retain": bool(message.retain),
        "properties": found,
    }


def receive(client, port, topic_filter, count):
    left = count

    def on_message(client, _userdata, message):
        nonlocal left
        print(json.dumps(object_of(message)), flush=True)
        left -= 1
        if left == 0:
            client.disconnect()

    client.on_connect = lambda client, *_: client.subscribe(topic_filter, 2)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_forever()


def respond(client, port, topic, count):
    left = count

    def on_message(client, _userdata, message):
        nonlocal left
        asked = getattr(message, "properties", None)
        to, arguments = f"{topic}/response", {}
        if hasattr(asked, "ResponseTopic"):
            to = asked.ResponseTopic
            arguments["properties"] = properties = Properties(PacketTypes.PUBLISH)
            if hasattr(asked, "CorrelationData"):
                properties.CorrelationData = asked.CorrelationData
        client.publish(to, message.payload, message.qos, **arguments)
        left -= 1

    def on_publish(client, *_):
        if left == 0:
            client.disconnect()

    client.on_connect = lambda client, *_: client.subscribe(topic, 2)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.on_message = on_message
    client.on_publish = on_publish
    client.connect("127.0.0.1", port)
    client.loop_forever()


def send(client, port):
    client.connect("127.0.0.1", port)
    client.loop_start()
    for line in sys.stdin:
        message = json.loads(line)
        arguments = {}
        if message["properties"]:
            properties = Properties(PacketTypes.PUBLISH)
            for name, value in message["properties"].items():
                if name == "correlation-data":
                    properties.CorrelationData = bytes.fromhex(value)
                elif name == "user-properties":
                    properties.UserProperty = [tuple(pair) for pair in value]
                else:
                    setattr(properties, {**TEXTS, **NUMBERS}[name], value)
            arguments["properties"] = properties
        sent = client.publish(
            message["topic"], bytes.fromhex(message["payload"]), message["qos"], message["retain"], **arguments
        )
        sent.wait_for_publish()
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    port, version, task = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    if task == "receive":
        receive(client_of(version), port, sys.argv[4], int(sys.argv[5]))
    elif task == "respond":
        respond(client_of(version), port, sys.argv[4], int(sys.argv[5]))
    else:
        send(client_of(version), port)
