//! What is recorded, read back into another broker, is the same broker.

use super::super::{Change, Journal, StoredMessage};
use super::*;

/// A change that owns its data.
#[derive(Clone)]
enum Owned {
    Session(String, u32),
    Removed(String),
    Subscribed(String, SubscribeFilter, u32),
    Unsubscribed(String, String),
    Queued(String, u64, Arc<StoredMessage>, super::super::DeliveryOptions),
    Sent(String, u64, u16),
    Received(String, u64),
    Done(String, u64),
    Held(String, u16, Arc<StoredMessage>),
    Released(String, u16),
    Retained(Arc<StoredMessage>),
    Cleared(String),
}

#[derive(Clone, Default)]
struct Store(Arc<Mutex<Vec<Owned>>>);

impl Journal for Store {
    fn record(&mut self, change: &Change<'_>) {
        let owned = match *change {
            Change::Session { client_id, expiry, .. } => Owned::Session(client_id.into(), expiry),
            Change::SessionRemoved { client_id } => Owned::Removed(client_id.into()),
            Change::Subscribed { client_id, filter, identifier } => {
                Owned::Subscribed(client_id.into(), filter.clone(), identifier)
            }
            Change::Unsubscribed { client_id, filter } => Owned::Unsubscribed(client_id.into(), filter.into()),
            Change::Queued { client_id, number, message, delivery } => {
                Owned::Queued(client_id.into(), number, Arc::clone(message), delivery)
            }
            Change::Sent { client_id, number, packet_identifier } => {
                Owned::Sent(client_id.into(), number, packet_identifier)
            }
            Change::Received { client_id, number } => Owned::Received(client_id.into(), number),
            Change::Done { client_id, number } => Owned::Done(client_id.into(), number),
            Change::Held { client_id, packet_identifier, message } => {
                Owned::Held(client_id.into(), packet_identifier, Arc::clone(message))
            }
            Change::Released { client_id, packet_identifier } => Owned::Released(client_id.into(), packet_identifier),
            Change::Retained { message } => Owned::Retained(Arc::clone(message)),
            Change::RetainedCleared { topic } => Owned::Cleared(topic.into()),
        };
        self.0.lock().unwrap().push(owned);
    }
}

fn change(owned: &Owned) -> Change<'_> {
    match owned {
        Owned::Session(client_id, expiry) => Change::Session { client_id, expiry: *expiry, user_name: None },
        Owned::Removed(client_id) => Change::SessionRemoved { client_id },
        Owned::Subscribed(client_id, filter, identifier) => {
            Change::Subscribed { client_id, filter, identifier: *identifier }
        }
        Owned::Unsubscribed(client_id, filter) => Change::Unsubscribed { client_id, filter },
        Owned::Queued(client_id, number, message, delivery) => {
            Change::Queued { client_id, number: *number, message, delivery: *delivery }
        }
        Owned::Sent(client_id, number, identifier) => {
            Change::Sent { client_id, number: *number, packet_identifier: *identifier }
        }
        Owned::Received(client_id, number) => Change::Received { client_id, number: *number },
        Owned::Done(client_id, number) => Change::Done { client_id, number: *number },
        Owned::Held(client_id, identifier, message) => {
            Change::Held { client_id, packet_identifier: *identifier, message }
        }
        Owned::Released(client_id, identifier) => Change::Released { client_id, packet_identifier: *identifier },
        Owned::Retained(message) => Change::Retained { message },
        Owned::Cleared(topic) => Change::RetainedCleared { topic },
    }
}

#[test]
fn a_broker_that_is_read_back_goes_on_where_the_other_stood() {
    for version in VERSIONS {
        let store = Store::default();
        let mut desk = Desk::new();
        desk.core.set_journal(Some(Box::new(store.clone())));
        let (client, ..) = desk.durable(version, "client");
        for (filter, qos) in [("a/#", QOS[2]), ("b", QOS[1]), ("gone", QOS[1])] {
            desk.subscribed(client, filter, qos);
        }
        desk.send(
            client,
            &Packet::Unsubscribe(crate::mqtt::wire::Unsubscribe {
                packet_identifier: 1,
                filters: vec!["gone".into()],
                ..Default::default()
            }),
        );
        let (removed, ..) = desk.durable(version, "removed");
        desk.subscribed(removed, "#", QOS[1]);
        desk.leave(removed);
        desk.connect(version, "removed");
        let publisher = desk.connect(version, "publisher");
        for number in 0..30 {
            desk.say(publisher, "a/x", &number.to_string(), QOS[2], number == 3);
        }
        desk.say(publisher, "kept", "k", QOS[1], true);
        desk.say(publisher, "cleared", "k", QOS[1], true);
        desk.say(publisher, "cleared", "", QOS[1], true);
        desk.take(client);
        for identifier in [1, 2, 4] {
            desk.acknowledge(client, AckKind::Pubrec, identifier);
        }
        desk.acknowledge(client, AckKind::Pubcomp, 1);
        desk.publish(client, &message("b", "held", QOS[2]), 77);
        desk.publish(client, &message("b", "released", QOS[2]), 78);
        desk.acknowledge(client, AckKind::Pubrel, 78);
        desk.take(client);

        let mut other = Desk::new();
        for owned in store.0.lock().unwrap().iter() {
            other.core.restore(&change(owned), other.now);
        }
        // The same comes again from both.
        desk.cut(client);
        let (_, present, expected) = desk.durable(version, "client");
        let (client, present_too, got) = other.durable(version, "client");
        assert_eq!((present_too, &got), (present, &expected));
        assert!(got.len() >= 20);
        assert_eq!(other.core.retained.count(), desk.core.retained.count());
        assert_eq!(other.core.subscriptions.count(), desk.core.subscriptions.count());
        assert_eq!(other.core.statistics().stored_messages, desk.core.statistics().stored_messages);
        assert_eq!(other.core.statistics().stored_bytes, desk.core.statistics().stored_bytes);
        other.acknowledge(client, AckKind::Pubrel, 77);
        other.expect_ack(client, AckKind::Pubcomp, 77);
        assert!(other.core.by_client_id.get("removed").is_none());
    }
}
