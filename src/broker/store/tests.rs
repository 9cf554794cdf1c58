use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::broker::core::{DeliveryOptions, MessageParts, StoredMessage};
use crate::mqtt::QoS;
use crate::mqtt::wire::{RetainHandling, SubscribeFilter};

fn message(topic: &str, payload: &str) -> Arc<StoredMessage> {
    let (payload, properties) = (payload.as_bytes(), &b"\x03\x00\x01x"[..]);
    let parts = MessageParts { topic, payload, properties, qos: QoS::ExactlyOnce, retain: true, expires: None };
    Arc::new(StoredMessage::new(&parts))
}

/// What a store holds, as text that can be compared: one line per row.
type Rows = BTreeMap<String, String>;

fn text(message: &StoredMessage) -> String {
    let MessageParts { topic, payload, properties, qos, retain, expires } = message.parts();
    format!("{topic} {payload:?} {properties:?} {qos:?} {retain} {}", expires.is_some())
}

/// The reference: each change applied at once to plain maps.
fn apply(rows: &mut Rows, change: &Change<'_>) {
    let row = |table: &str, client: &str, rest: String| format!("{table}|{client}|{rest}");
    match change {
        Change::Session { client_id, expiry, user_name } => {
            rows.insert(row("session", client_id, String::new()), format!("{expiry} {user_name:?}"));
        }
        Change::SessionRemoved { client_id } => {
            rows.retain(|key, _| key.starts_with("retained|") || key.split('|').nth(1) != Some(*client_id));
        }
        Change::Subscribed { client_id, filter, identifier } => {
            rows.insert(row("filter", client_id, filter.filter.clone()), format!("{filter:?} {identifier}"));
        }
        Change::Unsubscribed { client_id, filter } => {
            rows.remove(&row("filter", client_id, (*filter).to_owned()));
        }
        Change::Queued { client_id, number, message, delivery } => {
            rows.insert(row("queue", client_id, number.to_string()), format!("{} {delivery:?}", text(message)));
        }
        Change::Sent { client_id, number, packet_identifier } => {
            if rows.contains_key(&row("queue", client_id, number.to_string())) {
                rows.insert(row("sent", client_id, number.to_string()), packet_identifier.to_string());
            }
        }
        Change::Received { client_id, number } => {
            if rows.contains_key(&row("sent", client_id, number.to_string())) {
                rows.insert(row("received", client_id, number.to_string()), String::new());
            }
        }
        Change::Done { client_id, number } => {
            for table in ["queue", "sent", "received"] {
                rows.remove(&row(table, client_id, number.to_string()));
            }
        }
        Change::Held { client_id, packet_identifier, message } => {
            rows.insert(row("held", client_id, packet_identifier.to_string()), text(message));
        }
        Change::Released { client_id, packet_identifier } => {
            rows.remove(&row("held", client_id, packet_identifier.to_string()));
        }
        Change::Retained { message } => {
            rows.insert(format!("retained|{}", message.topic()), text(message));
        }
        Change::RetainedCleared { topic } => {
            rows.remove(&format!("retained|{topic}"));
        }
    }
}

fn loaded(store: &Store) -> Rows {
    let mut rows = Rows::new();
    let transaction = store.database.as_ref().unwrap().begin_read().unwrap();
    load::load(&transaction, &Clock::new(Instant::now()), &mut |change| apply(&mut rows, change)).unwrap();
    rows
}

/// How many messages the database keeps for queues.
fn kept_messages(store: &Store) -> u64 {
    use redb::ReadableTableMetadata;
    let transaction = store.database.as_ref().unwrap().begin_read().unwrap();
    let messages = transaction.open_table(tables::MESSAGES).unwrap().len().unwrap();
    assert_eq!(messages, transaction.open_table(tables::REFERENCES).unwrap().len().unwrap());
    messages
}

#[derive(Clone, Debug)]
enum Step {
    Session(u32),
    Removed,
    Subscribed(u8),
    Unsubscribed(u8),
    Queued(bool),
    Sent(u64),
    Received(u64),
    Done(u64),
    Held(u16),
    Released(u16),
    Retained(u8, u8),
    Cleared(u8),
    Commit,
    Reopen,
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let step = prop_oneof![
        1 => (0..3u32).prop_map(Step::Session),
        1 => Just(Step::Removed),
        1 => (0..3u8).prop_map(Step::Subscribed),
        1 => (0..3u8).prop_map(Step::Unsubscribed),
        6 => any::<bool>().prop_map(Step::Queued),
        3 => (0..9u64).prop_map(Step::Sent),
        2 => (0..9u64).prop_map(Step::Received),
        4 => (0..9u64).prop_map(Step::Done),
        2 => (1..4u16).prop_map(Step::Held),
        2 => (1..4u16).prop_map(Step::Released),
        1 => (0..3u8, any::<u8>()).prop_map(|(topic, payload)| Step::Retained(topic, payload)),
        1 => (0..3u8).prop_map(Step::Cleared),
        2 => Just(Step::Commit),
        1 => Just(Step::Reopen),
    ];
    (0..3usize, step)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens and whenever it is written: what is read back is what was recorded, and no message is kept that
    /// nothing needs.
    #[test]
    fn what_is_read_back_is_what_was_recorded(steps in proptest::collection::vec(step(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.db");
        let mut store = Store::open(&path).unwrap();
        let mut rows = Rows::new();
        let clients = ["a", "ab", "a/#"];
        // The next number, and the numbers that are owed, of each client.
        let mut queues: [(u64, Vec<u64>); 3] = Default::default();
        let mut last = message("t", "first");
        let now = Instant::now();
        for (client, step) in steps {
            let client_id = clients[client];
            let (next, owed) = &mut queues[client];
            let pick = |index: u64| owed.get(index as usize % owed.len().max(1)).copied();
            let mut record = |store: &mut Store, change: &Change<'_>| {
                apply(&mut rows, change);
                store.record(change);
            };
            match step {
                Step::Session(expiry) => {
                    let user_name = (expiry == 1).then_some("ann");
                    record(&mut store, &Change::Session { client_id, expiry, user_name });
                }
                Step::Removed => {
                    (*next, *owed) = (0, Vec::new());
                    record(&mut store, &Change::SessionRemoved { client_id });
                }
                Step::Subscribed(which) => {
                    let filter = SubscribeFilter {
                        filter: format!("f/{which}"),
                        qos: QoS::AtLeastOnce,
                        no_local: which == 1,
                        retain_as_published: which == 2,
                        retain_handling: RetainHandling::New,
                    };
                    record(&mut store, &Change::Subscribed { client_id, filter: &filter, identifier: u32::from(which) });
                }
                Step::Unsubscribed(which) => {
                    record(&mut store, &Change::Unsubscribed { client_id, filter: &format!("f/{which}") });
                }
                Step::Queued(is_new) => {
                    if is_new {
                        last = message("t", &format!("{client_id} {next}"));
                    }
                    let delivery = DeliveryOptions { qos: QoS::ExactlyOnce, retain: is_new, identifier: 7 };
                    record(&mut store, &Change::Queued { client_id, number: *next, message: &last, delivery });
                    owed.push(*next);
                    *next += 1;
                }
                Step::Sent(index) => if let Some(number) = pick(index) {
                    record(&mut store, &Change::Sent { client_id, number, packet_identifier: index as u16 + 1 });
                },
                Step::Received(index) => if let Some(number) = pick(index) {
                    record(&mut store, &Change::Sent { client_id, number, packet_identifier: 9 });
                    record(&mut store, &Change::Received { client_id, number });
                },
                Step::Done(index) => if let Some(number) = pick(index) {
                    owed.retain(|other| *other != number);
                    record(&mut store, &Change::Done { client_id, number });
                },
                Step::Held(packet_identifier) => {
                    // An identifier that is held is not held again before it is released.
                    record(&mut store, &Change::Released { client_id, packet_identifier });
                    record(&mut store, &Change::Held { client_id, packet_identifier, message: &last });
                }
                Step::Released(packet_identifier) => {
                    record(&mut store, &Change::Released { client_id, packet_identifier });
                }
                Step::Retained(topic, payload) => {
                    let message = message(&format!("r/{topic}"), &payload.to_string());
                    record(&mut store, &Change::Retained { message: &message });
                }
                Step::Cleared(topic) => record(&mut store, &Change::RetainedCleared { topic: &format!("r/{topic}") }),
                Step::Commit => store.commit(now).unwrap(),
                Step::Reopen => {
                    store.commit(now).unwrap();
                    drop(store);
                    store = Store::open(&path).unwrap();
                }
            }
        }
        store.commit(now).unwrap();
        prop_assert!(!store.has_changes());
        prop_assert_eq!(loaded(&store), rows.clone());
        let needed: std::collections::BTreeSet<&String> =
            rows.iter().filter(|(key, _)| key.starts_with("queue|") || key.starts_with("held|")).map(|row| row.0).collect();
        prop_assert!(kept_messages(&store) <= needed.len() as u64);
        prop_assert_eq!(kept_messages(&store) == 0, needed.is_empty());
    }
}

#[test]
fn a_message_for_many_sessions_is_kept_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("b.db")).unwrap();
    let message = message("t", "x");
    let delivery = DeliveryOptions { qos: QoS::AtLeastOnce, retain: false, identifier: 0 };
    for client_id in ["a", "b", "c"] {
        store.record(&Change::Queued { client_id, number: 0, message: &message, delivery });
    }
    store.commit(Instant::now()).unwrap();
    assert_eq!(kept_messages(&store), 1);
    for client_id in ["a", "b", "c"] {
        store.record(&Change::Done { client_id, number: 0 });
    }
    store.commit(Instant::now()).unwrap();
    assert_eq!(kept_messages(&store), 0);
}

#[test]
fn what_comes_and_goes_between_two_commits_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("b.db")).unwrap();
    let delivery = DeliveryOptions { qos: QoS::AtLeastOnce, retain: false, identifier: 0 };
    store.record(&Change::Queued { client_id: "a", number: 0, message: &message("t", "x"), delivery });
    store.record(&Change::Sent { client_id: "a", number: 0, packet_identifier: 1 });
    store.record(&Change::Done { client_id: "a", number: 0 });
    store.commit(Instant::now()).unwrap();
    assert_eq!((kept_messages(&store), loaded(&store).len()), (0, 0));
}

#[test]
fn an_expiry_lasts_over_the_restart() {
    let now = Instant::now();
    let clock = Clock::new(now);
    for seconds in [0, 1, 3600] {
        let later = now + Duration::from_secs(seconds);
        assert_eq!(clock.to_instant(clock.to_unix(later)), later);
    }
    let day = 86_400_000;
    assert!(clock.to_instant(clock.to_unix(now) - day) <= now);
}

#[test]
fn a_file_that_is_no_database_or_in_use_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("mosquitto.db");
    let text = "\u{0}\u{b5}\u{0}mosquitto db".repeat(1000);
    std::fs::write(&foreign, &text).unwrap();
    let error = Store::open(&foreign).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("move it away to start with an empty one"), "{error}");
    assert_eq!(std::fs::read_to_string(&foreign).unwrap(), text);

    let used = folder.path().join("used.db");
    let _store = Store::open(&used).unwrap();
    let error = Store::open(&used).unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)), "{error}");

    let other = folder.path().join("other.db");
    let database = Database::create(&other).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<&str, &str>::new("theirs")).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(Store::open(&other).unwrap_err(), StoreError::Version { found: 0, .. }));
}

#[test]
#[cfg(unix)]
fn only_the_broker_reads_what_clients_sent() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/b.db");
    drop(Store::open(&path).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
