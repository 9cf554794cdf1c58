//! Receive Maximum (§3.1.2.11.3, §4.9) and Maximum Packet Size (§3.1.2.11.4).

use super::*;
use mqtools::mqtt::wire::MAX_PACKET_SIZE;

#[test]
fn no_more_is_in_flight_to_a_client_than_it_allows() {
    let broker = Broker::any();
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let topic = broker.topic("flow");
        let mut hello = broker.hello(V5, "to");
        hello.properties.push(number(PropertyName::ReceiveMaximum, PropertyValue::TwoByte(3)));
        let (mut client, _) = broker.accept(&hello);
        client.take(&topic, qos);
        let mut publisher = broker.connect(V5, "from");
        (0..10).for_each(|number| publisher.say(&topic, &number.to_string(), qos));
        let mut identifiers: Vec<u16> = (0..3).map(|_| client.receive_publish().1).collect();
        client.expect_nothing();
        for number in 3..10 {
            let identifier = identifiers.remove(0);
            match qos {
                QoS::ExactlyOnce => {
                    client.acknowledge(AckKind::Pubrec, identifier);
                    client.expect_ack(AckKind::Pubrel, identifier);
                    client.expect_nothing();
                    client.acknowledge(AckKind::Pubcomp, identifier);
                }
                _ => client.acknowledge(AckKind::Puback, identifier),
            }
            // One more for each that is completed (MQTT-3.3.4-9).
            let (message, identifier, _) = client.receive_publish();
            assert_eq!(message.payload, number.to_string());
            identifiers.push(identifier);
            client.expect_nothing();
        }
    }
}

#[test]
fn a_client_that_exceeds_receive_maximum_gets_a_reason() {
    let broker = Broker::any();
    let (mut client, connack) = broker.accept(&broker.hello(V5, "many"));
    let Some(most) = connack.properties.number(PropertyName::ReceiveMaximum) else { return };
    let sent = message(&broker.topic("many"), "x", QoS::ExactlyOnce);
    for identifier in 1..=most as u16 {
        client.publish(&sent, identifier, false);
        client.expect_ack(AckKind::Pubrec, identifier);
    }
    client.publish(&sent, most as u16 + 1, false);
    let reason = client.expect_end();
    assert!(reason.is_none_or(|reason| reason == ReasonCode::RECEIVE_MAXIMUM_EXCEEDED), "{reason:?} (§4.9)");
}

#[test]
fn a_message_that_is_too_large_for_a_client_is_not_sent_to_it() {
    let broker = Broker::any();
    let topic = broker.topic("large");
    let mut hello = broker.hello(V5, "to");
    hello.properties.push(number(PropertyName::MaximumPacketSize, PropertyValue::FourByte(100)));
    let (mut client, _) = broker.accept(&hello);
    client.take(&topic, QoS::ExactlyOnce);
    let mut other = broker.connect(V5, "other");
    other.take(&topic, QoS::ExactlyOnce);
    let mut publisher = broker.connect(V5, "from");
    // Fixed header, topic, identifier, property length, payload.
    let payload = 100 - (2 + 2 + topic.len() + 2 + 1);
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for (size, fits) in [(payload, true), (payload + 1, false), (1, true)] {
            let text = "x".repeat(size);
            publisher.say(&topic, &text, qos);
            assert_eq!(other.next_text(), text);
            if fits {
                assert_eq!(client.next_text().len(), size, "MQTT-3.1.2-24");
            }
            client.expect_nothing();
        }
    }
}

#[test]
fn a_packet_above_the_broker_s_maximum_is_refused_before_it_has_come() {
    let broker = Broker::any();
    let (mut client, connack) = broker.accept(&broker.hello(V5, "large"));
    let Some(most) = connack.properties.number(PropertyName::MaximumPacketSize) else { return };
    assert!(most < 1 << 28);
    // The head of a PUBLISH of 200 MiB.
    client.send_bytes(&[0x30, 0x80, 0x80, 0x80, 0x64]);
    let reason = client.expect_end();
    assert!(reason.is_none_or(|reason| reason == ReasonCode::PACKET_TOO_LARGE), "{reason:?} (MQTT-3.2.2-15)");
}

/// With `max_packet_size 0` everything is taken that MQTT can say: 268,435,455 bytes behind a header of five.
#[test]
fn the_largest_packet_there_is() {
    let process = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\nmax_packet_size 0\n");
    let address = process.address();
    let broker = Broker { address, tag: "largest".to_owned(), process: Some(process) };
    let mut client = broker.connect(V311, "to");
    client.take("t", QoS::AtMostOnce);
    let mut publisher = broker.connect(V311, "from");
    let head = [0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, b't'];
    let block: Vec<u8> = (0..1 << 20).map(|byte: u32| (byte % 251) as u8).collect();
    let blocks = block.clone();
    let writer = std::thread::spawn(move || {
        publisher.send_bytes(&head);
        let mut left = MAX_PACKET_SIZE - head.len();
        while left > 0 {
            let size = left.min(blocks.len());
            publisher.send_bytes(&blocks[..size]);
            left -= size;
        }
        publisher
    });
    let packet = client.receive_bytes().unwrap();
    assert_eq!((packet.len(), &packet[..head.len()]), (MAX_PACKET_SIZE, &head[..]));
    for payload in packet[head.len()..].chunks(block.len()) {
        assert!(payload == &block[..payload.len()], "the payload was changed");
    }
    writer.join().unwrap().expect_nothing();
}
