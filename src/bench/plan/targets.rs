//! Which client connects to which broker and from which local address: by its global number alone, so that the number
//! of threads and machines changes nothing.

use std::net::IpAddr;

use super::{BenchPlan, Routes};
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

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClientKind {
    /// Publishes.
    Publisher,
    /// Subscribes.
    Subscriber,
    /// Answers (`mqbench echo`).
    Responder,
    /// Is connected (`mqbench conn`).
    Idler,
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

impl BenchPlan {
    /// What a client does, and its number among those that do the same.
    pub fn kind_of(&self, client: usize) -> (ClientKind, usize) {
        let mut number = client;
        for (part, count) in [
            (ClientKind::Publisher, self.publishers),
            (ClientKind::Subscriber, self.subscribers),
            (ClientKind::Responder, self.responders),
        ] {
            if number < count {
                return (part, number);
            }
            number -= count;
        }
        (ClientKind::Idler, number)
    }

    /// The global number of the client that has this number among those that do the same.
    pub const fn client_of(&self, part: ClientKind, number: usize) -> usize {
        let before = match part {
            ClientKind::Publisher => 0,
            ClientKind::Subscriber => self.publishers,
            ClientKind::Responder => self.publishers + self.subscribers,
            ClientKind::Idler => self.publishers + self.subscribers + self.responders,
        };
        before + number
    }

    /// The broker of a client. Unless `--pair cross` says otherwise all clients of a stream have the same one.
    pub fn target_of(&self, client: usize) -> usize {
        let targets = self.targets.count();
        if targets == 1 {
            return 0;
        }
        let cross = usize::from(self.targets.cross);
        let place = match self.kind_of(client) {
            (ClientKind::Publisher, number) => lane(&self.routes, number),
            (ClientKind::Subscriber, number) if self.responders > 0 || self.publishers == 0 => number,
            (ClientKind::Subscriber, number) if self.routes.is_everything_for_all() => number + cross,
            (ClientKind::Subscriber, number) => lane(&self.routes, self.routes.streams_of(number).first) + cross,
            (ClientKind::Responder, number) => number + cross,
            (ClientKind::Idler, number) => number,
        };
        place % targets
    }

    /// How a client connects.
    pub fn transport_of(&self, client: usize) -> TransportPlan {
        let mut transport = self.targets.transport(&self.transport, self.target_of(client));
        let sources = self.targets.sources();
        if !sources.is_empty() {
            // Every local address meets every broker.
            transport.bind = Some(sources[client / self.targets.count() % sources.len()]);
        }
        transport
    }
}

/// Streams with the same lane have subscribers in common.
fn lane(routes: &Routes, stream: usize) -> usize {
    let receivers = routes.receivers_of(stream);
    if routes.is_everything_for_all() || receivers.count == 0 { stream } else { receivers.first }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bench::plan::from_options::tests::plan_of;

    #[test]
    fn clients_have_a_role_and_a_number() {
        let plan = plan_of(&["echo", "--clients", "2"]).unwrap();
        let parts: Vec<_> = (0..6).map(|client| plan.kind_of(client)).collect();
        assert_eq!(parts[0], (ClientKind::Publisher, 0));
        assert_eq!(parts[3], (ClientKind::Subscriber, 1));
        assert_eq!(parts[5], (ClientKind::Responder, 1));
        for (client, (part, number)) in parts.into_iter().enumerate() {
            assert_eq!(plan.client_of(part, number), client);
        }
        assert_eq!(plan_of(&["conn", "--clients", "7"]).unwrap().kind_of(6), (ClientKind::Idler, 6));
    }

    #[test]
    fn every_local_address_meets_every_broker() {
        let arguments = ["conn", "--clients", "8", "--hosts", "a:1,b:2", "-A", "127.0.0.1,127.0.0.2"];
        let plan = plan_of(&arguments).unwrap();
        let ways: std::collections::BTreeSet<_> = (0..8)
            .map(|client| plan.transport_of(client))
            .map(|transport| (transport.address.to_string(), transport.bind))
            .collect();
        assert_eq!(ways.len(), 4, "{ways:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// With `same` no message has to get from one broker to another; with `cross` every one has to.
        #[test]
        fn pairs_are_on_the_same_broker_or_on_two(
            publishers in 1usize..9, subscribers in 1usize..9, brokers in 2usize..5, cross in any::<bool>(),
        ) {
            let hosts: Vec<String> = (0..brokers).map(|broker| format!("h{broker}")).collect();
            let (publishers_text, subscribers_text) = (publishers.to_string(), subscribers.to_string());
            let plan = plan_of(&[
                "--hosts", &hosts.join(","), "--pubs", &publishers_text, "--subs", &subscribers_text,
                "--pair", if cross { "cross" } else { "same" },
            ]).unwrap();
            for subscriber in 0..subscribers {
                for stream in plan.routes.streams_of(subscriber).iter() {
                    let publishing = plan.target_of(plan.client_of(ClientKind::Publisher, stream));
                    let subscribing = plan.target_of(plan.client_of(ClientKind::Subscriber, subscriber));
                    prop_assert_eq!(publishing != subscribing, cross);
                }
            }
            let used: std::collections::BTreeSet<_> = (0..plan.clients()).map(|client| plan.target_of(client)).collect();
            prop_assert_eq!(used.len() == brokers, cross && brokers == 2 || publishers.min(subscribers) + usize::from(cross) >= brokers);
        }
    }
}
