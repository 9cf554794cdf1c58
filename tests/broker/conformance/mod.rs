//! The rules of both standards, one module per section. Section numbers are those of MQTT 5.0 unless a version is named.
//!
//! Each test runs against a mqbroker of its own, or against the broker that `MQTOOLS_CONFORMANCE_BROKER` names
//! (`host:port`, anonymous clients allowed). Client ids and topics carry a tag, so that tests can share a broker that
//! keeps what it was sent.

mod connect;

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU32, Ordering};

use mqtools::mqtt::ProtocolVersion;
use mqtools::mqtt::wire::{Connack, Connect};

use crate::process::Mqbroker;
use crate::support::raw_client::{self, RawClient};

const V31: ProtocolVersion = ProtocolVersion::V31;
const V311: ProtocolVersion = ProtocolVersion::V311;
const V5: ProtocolVersion = ProtocolVersion::V5;
const VERSIONS: [ProtocolVersion; 3] = [V31, V311, V5];

/// The broker under test, and the tag of this test.
struct Broker {
    address: SocketAddr,
    tag: String,
    /// Ours, where no other was named.
    process: Option<Mqbroker>,
}

impl Broker {
    /// The broker that was named, or a mqbroker with its defaults.
    fn any() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let tag = format!("{:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        match std::env::var("MQTOOLS_CONFORMANCE_BROKER") {
            Ok(name) => {
                let address = name.to_socket_addrs().unwrap_or_else(|error| panic!("{name}: {error}")).next().unwrap();
                Self { address, tag, process: None }
            }
            Err(_) => {
                let process = Mqbroker::start("listener 0 127.0.0.1\nallow_anonymous true\n");
                Self { address: process.address(), tag, process: Some(process) }
            }
        }
    }

    /// A client id that no other test has.
    fn id(&self, name: &str) -> String {
        // 3.1 allows 23 characters.
        format!("{}-{name}", self.tag)
    }

    /// A topic that no other test has.
    fn topic(&self, name: &str) -> String {
        format!("conformance/{}/{name}", self.tag)
    }

    /// A CONNECT with a clean session.
    fn hello(&self, version: ProtocolVersion, name: &str) -> Connect {
        raw_client::connect(version, &self.id(name))
    }

    /// A client with a clean session that was let in.
    fn connect(&self, version: ProtocolVersion, name: &str) -> RawClient {
        RawClient::connect(self.address, version, &self.id(name))
    }

    fn connect_as(&self, connect: &Connect) -> (RawClient, Connack) {
        RawClient::connect_as(self.address, connect)
    }

    /// A connection on which nothing was sent.
    fn open(&self, version: ProtocolVersion) -> RawClient {
        RawClient::open(self.address, version)
    }
}
