//! Keep Alive (§3.1.2.10) and PINGREQ (§3.12). Times are lower bounds only.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::*;

#[test]
fn a_client_that_is_silent_too_long_is_cut_off_and_its_will_is_sent() {
    let broker = Broker::any();
    for version in [V311, V5] {
        let topic = broker.topic("silent");
        let mut watcher = broker.connect(version, "watcher");
        watcher.take(&topic, QoS::AtMostOnce);
        let will = message(&topic, "silent", QoS::AtMostOnce);
        let hello = Connect { keep_alive: 1, will: Some(will), ..broker.hello(version, "silent") };
        let start = Instant::now();
        let (mut silent, _) = broker.accept(&hello);
        let reason = silent.expect_end();
        // One and a half times the Keep Alive (MQTT-3.1.2-22).
        assert!(start.elapsed() >= Duration::from_millis(1400), "{:?}", start.elapsed());
        assert!(reason.is_none_or(|reason| reason == ReasonCode(0x8D)), "{reason:?}");
        assert_eq!(watcher.next_text(), "silent");
    }
}

#[test]
fn any_packet_keeps_a_connection_alive() {
    let broker = Broker::any();
    let (mut pinging, _) = broker.accept(&Connect { keep_alive: 1, ..broker.hello(V5, "pings") });
    let (mut quiet, _) = broker.accept(&Connect { keep_alive: 0, ..broker.hello(V5, "quiet") });
    // The clock of this test is a client that is cut off for its silence, twice.
    for _ in 0..2 {
        let (mut silent, _) = broker.accept(&Connect { keep_alive: 1, ..broker.hello(V5, "silent") });
        let topic = broker.topic("pings");
        pinging.say(&topic, "x", QoS::AtLeastOnce);
        let (done, ended) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            // Also where this client is not cut off, and the thread panics.
            let _done: mpsc::Sender<()> = done;
            silent.expect_end();
        });
        while ended.recv_timeout(Duration::from_millis(100)) == Err(mpsc::RecvTimeoutError::Timeout) {
            pinging.expect_nothing();
        }
        reader.join().unwrap();
    }
    pinging.expect_nothing();
    quiet.expect_nothing();
}
