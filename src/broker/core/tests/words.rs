//! What the log is told, in the order of mosquitto's `-v`.

use super::super::{Event, Log};
use super::*;

impl Log for Notes {
    fn event(&mut self, event: &Event<'_>) {
        self.0.lock().unwrap().push(match event {
            Event::Connected { client_id, .. } => format!("{client_id} connected"),
            Event::AlreadyConnected { client_id } => format!("{client_id} already connected"),
            Event::Received { client, packet } => format!("{client} > {packet:?}"),
            Event::Sending { client, packet } => format!("{client} < {packet:?}"),
            Event::Disconnected { client_id, cause, .. } => format!("{client_id:?} gone: {cause:?}"),
            other => format!("{other:?}"),
        });
    }
}

#[test]
fn a_qos_2_message_in_mosquitto_s_order() {
    let notes = Notes::default();
    let mut desk = Desk::new();
    let subscriber = desk.connect(V5, "S1");
    desk.subscribed(subscriber, "test", QOS[2]);
    let publisher = desk.connect(V5, "P1");
    desk.core.set_log(Some(Box::new(notes.clone())));
    desk.say(publisher, "test", "hi", QOS[2], false);
    desk.acknowledge(subscriber, AckKind::Pubrec, 1);
    desk.acknowledge(subscriber, AckKind::Pubcomp, 1);
    let publish = |identifier| {
        format!(
            "Publish {{ dup: false, qos: ExactlyOnce, retain: false, packet_identifier: {identifier}, topic: \"test\", \
             size: 2 }}"
        )
    };
    assert_eq!(
        notes.take(),
        [
            format!("P1 > {}", publish(9)),
            "P1 < Pubrec(9, 0)".into(),
            "P1 > Pubrel(9)".into(),
            format!("S1 < {}", publish(1)),
            "P1 < Pubcomp(9, 0)".into(),
            "S1 > Pubrec(1, 0)".into(),
            "S1 < Pubrel(1)".into(),
            "S1 > Pubcomp(1, 0)".into(),
        ]
    );
    let second = desk.connect(V5, "S1");
    desk.leave(second);
    assert_eq!(
        notes.take(),
        [
            "S1 already connected",
            "S1 < Disconnect(142)",
            "Some(\"S1\") gone: TakenOver",
            "S1 connected",
            "S1 < Connack { session_present: false, code: 0 }",
            "S1 > Disconnect(0)",
            "Some(\"S1\") gone: Disconnect",
        ]
    );
}
