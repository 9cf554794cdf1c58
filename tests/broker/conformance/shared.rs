//! Shared Subscriptions (§4.8.2).

use super::*;

#[test]
fn each_message_goes_to_one_of_a_group_and_to_every_group() {
    let broker = Broker::any();
    for version in [V311, V5] {
        let topic = broker.topic("work");
        let share = |group: &str| format!("$share/{group}/{topic}");
        let mut members: Vec<Client> = (0..3)
            .map(|number| {
                let mut client = broker.connect(version, &format!("m{number}"));
                client.take(&share("group"), QoS::AtLeastOnce);
                client
            })
            .collect();
        let mut alone = broker.connect(version, "alone");
        alone.take(&share("other"), QoS::AtLeastOnce);
        let mut plain = broker.connect(version, "plain");
        plain.take(&topic, QoS::AtLeastOnce);
        let mut publisher = broker.connect(version, "from");
        for number in 0..30 {
            publisher.say(&topic, &number.to_string(), QoS::AtLeastOnce);
        }
        for client in [&mut alone, &mut plain] {
            (0..30).for_each(|number| assert_eq!(client.next_text(), number.to_string()));
            client.expect_nothing();
        }
        let mut all = Vec::new();
        for client in &mut members {
            // What is there before the answer to a PINGREQ was this member's share.
            client.send(&Packet::Pingreq);
            loop {
                let bytes = client.receive_bytes().unwrap();
                let Packet::Publish(publish) = client.decode(&bytes) else { break };
                all.push(std::str::from_utf8(publish.payload).unwrap().parse::<u32>().unwrap());
                let identifier = publish.packet_identifier;
                client.acknowledge(AckKind::Puback, identifier);
            }
        }
        all.sort_unstable();
        assert_eq!(all, (0..30).collect::<Vec<_>>());
    }
}

#[test]
fn a_group_gets_no_retained_messages_and_goes_on_without_who_left() {
    let broker = Broker::any();
    let topic = broker.topic("left");
    let share = format!("$share/group/{topic}");
    let mut publisher = broker.connect(V5, "from");
    publisher.retain(&topic, "kept", QoS::AtLeastOnce);
    let mut stays = broker.connect(V5, "stays");
    stays.take(&share, QoS::AtLeastOnce);
    stays.expect_nothing();
    let mut leaves = broker.connect(V5, "leaves");
    leaves.take(&share, QoS::AtLeastOnce);
    leaves.leave();
    for number in 0..10 {
        publisher.say(&topic, &number.to_string(), QoS::AtLeastOnce);
        assert_eq!(stays.next_text(), number.to_string());
    }
    let unsuback = stays.unsubscribe(&[&share]);
    assert_eq!(unsuback.reasons, [ReasonCode::SUCCESS]);
    publisher.retain(&topic, "", QoS::AtLeastOnce);
    stays.expect_nothing();
}

#[test]
fn a_share_without_a_name_or_a_filter_is_none() {
    let broker = Broker::any();
    for wrong in ["$share/", "$share/group", "$share//topic", "$share/gr+up/topic", "$share/#/topic", "$share/group/"] {
        let mut client = broker.connect(V5, "wrong");
        let body = [&[0, 1, 0, 0, wrong.len() as u8], wrong.as_bytes(), &[0]].concat();
        client.send_bytes(&[&[0x82, body.len() as u8], &body[..]].concat());
        assert!(client.expect_end().is_none_or(ReasonCode::is_error), "{wrong} (MQTT-4.8.2-1)");
    }
}
