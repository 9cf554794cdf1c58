"""Prints temperatures until Ctrl-C, with paho-mqtt 2.x."""

import json

import paho.mqtt.client as mqtt


def on_connect(client, userdata, flags, reason_code, properties):
    """Runs after each connection, so that the subscription is renewed after a reconnect."""
    if reason_code.is_failure:
        raise SystemExit(str(reason_code))
    client.subscribe("room/+/temperature", qos=1)


def on_subscribe(client, userdata, mid, reason_codes, properties):
    print("Subscribed at QoS", reason_codes[0].value, flush=True)


def on_message(client, userdata, message):
    try:
        celsius = json.loads(message.payload)["celsius"]
    except (ValueError, KeyError, TypeError):
        print(message.topic, "is not a temperature:", message.payload, flush=True)
        return
    print(message.topic, "is", celsius, "°C", flush=True)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="subscriber-2x")
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.connect("localhost", 1883)
try:
    client.loop_forever()  # reconnects by itself
except KeyboardInterrupt:
    client.disconnect()
