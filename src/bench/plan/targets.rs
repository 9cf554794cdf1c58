//! The brokers of a run, and the local addresses that connections come from.

use std::net::IpAddr;

use crate::transport::{Address, TransportPlan};

/// The brokers of a run and the local addresses that connections come from.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    brokers: Vec<Broker>,
    sources: Vec<IpAddr>,
    /// Subscribers are on the broker after their publisher's.
    cross: bool,
}

/// One broker.
#[derive(Clone, Debug)]
struct Broker {
    address: Address,
    /// Its addresses, once they were looked up.
    resolved: Vec<IpAddr>,
}

impl Targets {
    /// These brokers, at least one, and local addresses; without any the system chooses.
    pub fn new(addresses: impl IntoIterator<Item = Address>, sources: Vec<IpAddr>, cross: bool) -> Self {
        let brokers = addresses.into_iter().map(|address| Broker { address, resolved: Vec::new() }).collect();
        Self { brokers, sources, cross }
    }

    /// How many brokers.
    pub fn count(&self) -> usize {
        self.brokers.len().max(1)
    }

    /// Where they are, in the order in which they were named.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.brokers.iter().map(|broker| &broker.address)
    }

    /// Whether subscribers are on another broker than their publishers.
    pub const fn is_cross(&self) -> bool {
        self.cross
    }

    /// The local addresses.
    pub fn sources(&self) -> &[IpAddr] {
        &self.sources
    }

    /// Notes the addresses of a broker after the look-up.
    pub fn found(&mut self, target: usize, resolved: Vec<IpAddr>) {
        self.brokers[target].resolved = resolved;
    }

    /// How to reach a broker.
    pub fn transport(&self, base: &TransportPlan, target: usize) -> TransportPlan {
        let mut transport = base.clone();
        if let Some(broker) = self.brokers.get(target) {
            transport.address = broker.address.clone();
            transport.resolved.clone_from(&broker.resolved);
        }
        transport
    }
}
