//! CONNECT and CONNACK (§3.1, §3.2).

use super::*;

#[test]
fn every_version_is_let_in() {
    let broker = Broker::any();
    for version in VERSIONS {
        let (_client, connack) = broker.connect_as(&broker.hello(version, "hello"));
        assert!(!connack.reason.is_error() && !connack.session_present, "{version:?}: {connack:?}");
    }
}
