//! The scripted broker is itself tested: what it promises to spoil it spoils, and nothing else.

mod support;

use support::scripted_broker::{Script, ScriptedBroker};

#[test]
fn starts_and_stops() {
    let broker = ScriptedBroker::start(Script::default());
    assert_eq!(broker.stop().counts.connections, 0);
}
