"""Prints temperatures until Ctrl-C, with paho-mqtt 1.x."""

import json

import paho.mqtt.client as mqtt


def on_connect(client, userdata, flags, rc):
    """Runs after each connection, so that the subscription is renewed after a reconnect."""
    if rc != 0:
        raise SystemExit(mqtt.connack_string(rc))
    client.subscribe("room/+/temperature", qos=1)


def on_subscribe(client, userdata, mid, granted_qos):
    print("Subscribed at QoS", granted_qos[0], flush=True)


def on_message(client, userdata, message):
    try:
        celsius = json.loads(message.payload)["celsius"]
    except (ValueError, KeyError, TypeError):
        print(message.topic, "is not a temperature:", message.payload, flush=True)
        return
    print(message.topic, "is", celsius, "°C", flush=True)


client = mqtt.Client(client_id="subscriber-1x")
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.connect("localhost", 1883)
try:
    client.loop_forever()  # reconnects by itself
except KeyboardInterrupt:
    client.disconnect()
