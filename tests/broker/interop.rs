//! Other people's clients with a mqbroker: paho-mqtt for Python, whatever version of it is there, and mosquitto's own.

use crate::support::mqbroker::Mqbroker;
use crate::support::process::has;
use crate::support::tool;

const OPEN: &str = "listener 0 127.0.0.1\nallow_anonymous true\n";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broker/paho_interop.py");

#[test]
fn paho_at_every_version() {
    let Some(python) = tool::python_with_paho() else { return };
    let broker = Mqbroker::start(OPEN);
    let port = broker.port();
    for version in ["31", "311", "5"] {
        let ended = tool::run(python, &[SCRIPT, &port, version], b"");
        assert!(ended.code == Some(0) && ended.stdout == b"ok\n", "{version}: {ended:?}");
    }
}

#[test]
fn mosquitto_s_clients_at_every_version_and_qos() {
    if !["mosquitto_pub", "mosquitto_sub", "mosquitto_rr"].iter().all(|program| has(program)) {
        return;
    }
    let broker = Mqbroker::start(OPEN);
    let port = broker.port();
    let run = |program: &str, arguments: &[&str]| {
        let ended = tool::run(program, &[&["-h", "127.0.0.1", "-p", &port, "-d"], arguments].concat(), b"");
        assert_eq!(ended.code, Some(0), "{program} {arguments:?}: {ended:?}");
        ended.text()
    };
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for qos in ["0", "1", "2"] {
            let topic = format!("mosquitto/{version}/{qos}");
            let publish = ["-V", version, "-q", qos, "-t", &topic, "-r", "-m", "kept"];
            run("mosquitto_pub", &publish);
            let subscribe = ["-V", version, "-q", qos, "-t", &topic, "-C", "1", "-W", "30", "-F", "%q %r %p"];
            let seen = run("mosquitto_sub", &subscribe);
            assert!(seen.lines().any(|line| line == format!("{qos} 1 kept")), "{seen}");
            run("mosquitto_pub", &["-V", version, "-q", qos, "-t", &topic, "-r", "-n"]);
        }
        // A request that answers itself: its answer topic is the one that it asks at.
        let topic = format!("mosquitto/{version}/rr");
        let seen = run("mosquitto_rr", &["-V", version, "-t", &topic, "-e", &topic, "-m", "echo", "-W", "30"]);
        assert!(seen.lines().any(|line| line == "echo"), "{seen}");
    }
}
