//! Will messages (§3.1.2.5, §3.1.3.2, §3.14.4). Times are lower bounds only.

use std::time::{Duration, Instant};

use super::*;

fn with_will(connect: Connect, topic: &str, delay: Option<u32>) -> Connect {
    let properties =
        delay.map(|seconds| number(PropertyName::WillDelayInterval, PropertyValue::FourByte(seconds))).into_iter();
    let will = Message { properties: properties.collect(), ..message(topic, "gone", QoS::AtLeastOnce) };
    Connect { will: Some(will), ..connect }
}

#[test]
fn a_will_is_sent_for_who_is_cut_off_and_not_for_who_leaves() {
    let broker = Broker::any();
    let topic = broker.topic("will");
    for version in VERSIONS {
        let mut watcher = broker.connect(version, "watcher");
        watcher.take(&topic, QoS::ExactlyOnce);
        let hello = with_will(broker.hello(version, "mortal"), &topic, None);
        broker.accept(&hello).0.leave();
        watcher.expect_nothing();
        broker.accept(&hello).0.cut();
        let got = watcher.next_message();
        assert_eq!((&got.payload[..], got.qos, got.retain), (&b"gone"[..], QoS::AtLeastOnce, false));
        // A protocol error is no good-bye either (MQTT-3.1.2-8).
        let (mut client, _) = broker.accept(&hello);
        client.send_bytes(b"\x36\x06\x00\x01a\x00\x01x");
        client.expect_end();
        assert_eq!(watcher.next_text(), "gone");
        // Nor is the end of a connection that another takes over.
        let (_first, _) = broker.accept(&hello);
        broker.connect(version, "mortal").leave();
        assert_eq!(watcher.next_text(), "gone");
        watcher.expect_nothing();
    }
}

#[test]
fn disconnect_with_will_sends_it() {
    let broker = Broker::any();
    let topic = broker.topic("asked");
    let mut watcher = broker.connect(V5, "watcher");
    watcher.take(&topic, QoS::AtLeastOnce);
    for reason in [ReasonCode::DISCONNECT_WITH_WILL, ReasonCode::UNSPECIFIED_ERROR] {
        let (mut client, _) = broker.accept(&with_will(broker.hello(V5, "asked"), &topic, None));
        client.send(&Packet::Disconnect(Disconnect { reason, properties: Properties::new() }));
        client.read_to_end();
        assert_eq!(watcher.next_text(), "gone", "{reason} (MQTT-3.14.4-3)");
    }
}

#[test]
fn a_retained_will_is_kept_and_carries_its_properties() {
    let broker = Broker::any();
    let topic = broker.topic("kept");
    let mut hello = with_will(broker.hello(V5, "kept"), &topic, None);
    if let Some(will) = &mut hello.will {
        will.retain = true;
        will.properties.push(Property::user("k", "v"));
    }
    let mut watcher = broker.connect(V5, "watcher");
    watcher.take(&topic, QoS::AtLeastOnce);
    broker.accept(&hello).0.cut();
    assert!(!watcher.next_message().retain, "MQTT-3.1.2-14");
    let mut late = broker.connect(V5, "late");
    late.take(&topic, QoS::AtLeastOnce);
    let got = late.next_message();
    assert!(got.retain, "MQTT-3.1.2-15");
    assert_eq!(got.properties, [Property::user("k", "v")].into_iter().collect(), "MQTT-3.1.3-10");
    broker.connect(V5, "from").retain(&topic, "", QoS::AtLeastOnce);
}

#[test]
fn a_will_waits_for_its_delay_and_is_forgotten_when_its_client_comes_back() {
    let broker = Broker::any();
    let (late, never) = (broker.topic("late"), broker.topic("never"));
    let mut watcher = broker.connect(V5, "watcher");
    watcher.take(&broker.topic("+"), QoS::AtLeastOnce);
    // That of the one who comes back would be due first (MQTT-3.1.3-9).
    let back = with_will(broker.durable(V5, "back"), &never, Some(1));
    broker.accept(&back).0.cut();
    let start = Instant::now();
    broker.accept(&with_will(broker.durable(V5, "away"), &late, Some(2))).0.cut();
    let (back, connack) = broker.accept(&Connect { will: None, ..back });
    assert!(connack.session_present);
    assert_eq!(watcher.next_message().topic, late);
    assert!(start.elapsed() >= Duration::from_millis(1900), "{:?}", start.elapsed());
    watcher.expect_nothing();
    back.leave();
    // The end of the session ends the delay: one second before a delay of a thousand.
    let mut short = with_will(broker.hello(V5, "short"), &late, Some(1000));
    short.properties.push(number(PropertyName::SessionExpiryInterval, PropertyValue::FourByte(1)));
    let start = Instant::now();
    broker.accept(&short).0.cut();
    assert_eq!(watcher.next_message().topic, late);
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    for name in ["back", "away"] {
        broker.connect(V5, name).leave();
    }
}
