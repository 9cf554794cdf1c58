//! Malformed packets and protocol errors (§4.13): whatever a client sends, the broker ends that connection at most, and
//! serves the others.

use std::cell::RefCell;

use super::*;
use mqtools::mqtt::wire::{Ack, Publish};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

/// Packets that a client may send, whole and right.
fn right(version: ProtocolVersion) -> Vec<Vec<u8>> {
    let all_qos = |topic: &str| QOS.map(|qos| message(topic, "payload", qos));
    let messages: Vec<Message> = all_qos("malformed/a").into_iter().chain(all_qos("malformed/b/c")).collect();
    let mut packets: Vec<Packet<'_>> =
        messages.iter().map(|message| Packet::Publish(Publish::of(message, 3, false))).collect();
    let filters = vec![filter("malformed/+", QoS::AtLeastOnce), filter("malformed/#", QoS::ExactlyOnce)];
    packets.push(Packet::Subscribe(Subscribe { packet_identifier: 1, filters, ..Subscribe::default() }));
    let filters = vec!["malformed/+".to_owned()];
    packets.push(Packet::Unsubscribe(Unsubscribe { packet_identifier: 2, properties: Properties::new(), filters }));
    for kind in [AckKind::Puback, AckKind::Pubrec, AckKind::Pubrel, AckKind::Pubcomp] {
        packets.push(Packet::Ack(Ack::success(kind, 3)));
    }
    packets.extend([Packet::Pingreq, Packet::Disconnect(Disconnect::default())]);
    packets.push(Packet::Connect(Box::new(raw_client::connect(version, "malformed"))));
    let encode = |packet: &Packet<'_>| {
        let mut bytes = Vec::new();
        packet.encode(version, &mut bytes).unwrap();
        bytes
    };
    packets.iter().map(encode).collect()
}

/// One change to a packet: a byte set, inserted or taken out, the rest cut off, or nothing.
fn change() -> impl Strategy<Value = (u8, Index, u8)> {
    let byte = prop_oneof![3 => 0..4u8, 1 => select(vec![0x7F, 0x80, 0xFF]), 2 => any::<u8>()];
    (0..6u8, any::<Index>(), byte)
}

fn apply(packet: &mut Vec<u8>, (kind, place, byte): (u8, Index, u8)) {
    let place = place.index(packet.len());
    match kind {
        0 => packet[place] = byte,
        1 => packet[place] ^= 1 << (byte % 8),
        2 => packet.insert(place, byte),
        3 if packet.len() > 1 => {
            packet.remove(place);
        }
        4 => packet.truncate(place.max(1)),
        _ => {}
    }
}

#[test]
fn no_bytes_of_a_client_stop_the_broker() {
    let broker = Broker::any();
    let mut watcher = broker.connect(V5, "watcher");
    let topic = broker.topic("alive");
    watcher.take(&topic, QoS::AtLeastOnce);
    let others = RefCell::new((watcher, broker.connect(V5, "publisher")));
    let inputs =
        (select(VERSIONS.to_vec()), any::<bool>(), vec((any::<Index>(), change()), 1..6), vec(any::<u8>(), 0..40));
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&inputs, |(version, admitted, packets, rubbish)| {
        let mut client = if admitted { broker.connect(version, "any") } else { broker.open(version) };
        let right = right(version);
        let mut bytes = Vec::new();
        for (packet, change) in packets {
            let mut packet = right[packet.index(right.len())].clone();
            apply(&mut packet, change);
            bytes.extend(packet);
        }
        bytes.extend(rubbish);
        client.send_bytes(&bytes);
        client.finish_sending();
        client.read_to_end();
        let (watcher, publisher) = &mut *others.borrow_mut();
        publisher.say(&topic, "alive", QoS::AtLeastOnce);
        prop_assert_eq!(watcher.next_text(), "alive");
        Ok(())
    });
    outcome.unwrap();
}

/// What has no length that four bytes can say ends the connection before anything more is read.
#[test]
fn a_remaining_length_of_five_bytes_is_malformed() {
    let broker = Broker::any();
    for version in VERSIONS {
        let mut client = broker.connect(version, "length");
        client.send_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
        let reason = client.expect_end();
        assert!(reason.is_none_or(|reason| reason == ReasonCode::MALFORMED_PACKET), "{reason:?}");
    }
}
