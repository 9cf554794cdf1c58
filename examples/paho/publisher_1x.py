"""Publishes three temperatures as JSON, with paho-mqtt 1.x."""

import json

import paho.mqtt.client as mqtt

client = mqtt.Client(client_id="publisher-1x")
client.connect("localhost", 1883)
client.loop_start()  # a thread that sends and receives
for celsius in (21.5, 22.0, 22.5):
    message = client.publish("room/1/temperature", json.dumps({"celsius": celsius}), qos=1)
    message.wait_for_publish()  # until the broker has acknowledged it
    print("published", celsius)
client.disconnect()
client.loop_stop()
