//! A mosquitto that bridges into our broker, both ways, as it introduces itself: `try_private true` asks with a
//! protocol level of its own.

use mqtools::broker::{BrokerSettings, EmbeddedBroker};

use crate::support::mosquitto::Mosquitto;
use crate::support::tool;

fn run(tool: &str, port: &str, arguments: &[&str]) -> String {
    let ended = tool::run(tool, &[&["-h", "127.0.0.1", "-p", port], arguments].concat(), b"");
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    ended.text()
}

#[test]
fn a_mosquitto_bridges_into_it_both_ways() {
    const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");
    const MQSUB: &str = env!("CARGO_BIN_EXE_mqsub");
    for version in ["mqttv311", "mqttv50"] {
        let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
        let ours = broker.local_addr().port().to_string();
        // Retained, so that nobody needs to know when the bridge stands.
        run(MQPUB, &ours, &["-r", "-q", "1", "-t", "ours/x", "-m", "from ours"]);
        let configuration = format!(
            "allow_anonymous true\nmax_inflight_messages 20\nconnection bridge\naddress 127.0.0.1:{ours}\nbridge_protocol_version {version}\n\
             try_private true\ntopic # both 1\n"
        );
        let Some(mosquitto) = Mosquitto::start_with(&configuration, |_| {}) else { return };
        let theirs = mosquitto.port();
        let subscribe = ["-q", "1", "-C", "1", "-W", "60", "-t"];
        assert_eq!(run(MQSUB, &theirs, &[&subscribe[..], &["ours/x"]].concat()), "from ours\n", "{version}");
        run(MQPUB, &theirs, &["-r", "-q", "1", "-t", "theirs/x", "-m", "from theirs"]);
        assert_eq!(run(MQSUB, &ours, &[&subscribe[..], &["theirs/x"]].concat()), "from theirs\n", "{version}");
    }
}
