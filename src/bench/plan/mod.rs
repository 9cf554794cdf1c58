//! The plan: clients, topics, schedule, stages. Pure: made from the options and validated before anything connects.

mod brokers;
pub(in crate::bench) mod from_options;
mod library;
mod payload;
mod poisson;
mod routes;
mod schedule;
mod shard;
mod stage;
mod targets;

use std::time::Duration;

use crate::mqtt::{Properties, PropertyName, QoS, Secret};
use crate::options::{Arrival, Behind, ClientName, ShardNumber};
use crate::session::SessionConfig;
use crate::template::{Source, Template, TemplateError};
use crate::transport::TransportPlan;

pub(super) use brokers::is_this_machine;
pub(super) use from_options::{Target, bench_plan};
pub(super) use payload::{Filled, Filling, PayloadPlan, place_of};
pub(super) use routes::{Crowd, Routes, SHARE, Streams};
pub(super) use schedule::{PublisherSlots, Schedule, quota};
pub(super) use shard::{Meeting, MeetingPlace};
pub(super) use stage::{LoadModel, Stage, StageName, stages};
pub(super) use targets::Targets;

/// The largest packet that is read from the connection for `$SYS`, whose messages are short texts.
const SYS_PACKET_SIZE: usize = 256 * 1024;

/// When a slot of a publisher's window becomes free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowRule {
    /// When the message was acknowledged and delivered to every subscriber; at QoS 0 when it was delivered.
    Delivery,
    /// When the message was acknowledged; at QoS 0 nothing limits.
    Acknowledged,
    /// Only the session's own limits count: the broker's Receive Maximum and 65,535 identifiers.
    None,
}

/// A checked benchmark plan.
#[derive(Clone, Debug)]
pub struct BenchPlan {
    /// The run's tag: in client ids, topics and stamps, so that runs never meet each other's messages.
    pub run: RunTag,
    /// How to reach the first broker; [`BenchPlan::transport_of`] is how each client does.
    pub transport: TransportPlan,
    /// Warnings to print before anything connects.
    pub warnings: Vec<String>,
    /// The brokers, and local addresses.
    pub targets: Targets,
    /// What all sessions share; client id and user name are filled in per client.
    pub session: SessionConfig,
    /// Client ids.
    pub client_id: Template,
    /// User names, where there are any.
    pub user_name: Option<Template>,
    /// Passwords, where there are any.
    pub password: Option<Password>,
    /// How many publish.
    pub publishers: usize,
    /// How many subscribe.
    pub subscribers: usize,
    /// How many answer (`mqbench echo`): each stream has one.
    pub responders: usize,
    /// How many are only connected (`mqbench conn`).
    pub idlers: usize,
    /// Who publishes and subscribes where.
    pub routes: Routes,
    /// QoS of publishes and subscriptions.
    pub qos: QoS,
    /// RETAIN of publishes.
    pub retain: bool,
    /// Properties of publishes.
    pub publish_properties: Properties,
    /// Properties of subscriptions.
    pub subscribe_properties: Properties,
    /// What is published.
    pub payload: PayloadPlan,
    /// Messages in flight per publisher.
    pub window: u16,
    /// What frees a slot of the window.
    pub window_rule: WindowRule,
    /// The measurements, one after the other.
    pub stages: Vec<Stage>,
    /// When the messages of an open loop are due.
    pub arrival: Arrival,
    /// What becomes of those that are late.
    pub behind: Behind,
    /// Seed of everything random.
    pub seed: u64,
    /// How long to wait at most for what is still in flight at the end of a stage.
    pub drain: Duration,
    /// Threads that make the load.
    pub threads: usize,
    /// Whether latencies are recorded.
    pub latency: bool,
    /// Whether threads stay awake until a message is due.
    pub busy_poll: bool,
    /// Connections per second while connecting; `None` is as fast as possible.
    pub connect_rate: Option<f64>,
    /// How long a client waits before it connects again after a loss; `None`: it does not.
    pub reconnect: Option<Duration>,
    /// How long connections are held (`mqbench conn`).
    pub hold: Duration,
    /// How often each of them pings.
    pub ping_interval: Duration,
    /// The broker's process on this machine.
    pub broker_pid: Option<u32>,
    /// Those of several brokers that take turns.
    pub broker_pids: Vec<Option<u32>>,
    /// Whether the broker is asked for its name; see [`BenchPlan::session_for_sys`].
    pub asks_sys: bool,
    /// The library whose clients carry the load.
    pub client: ClientName,
    /// Whether the numbers that the broker publishes under `$SYS` are recorded.
    pub samples_sys: bool,
    /// Which part of the run this process is, where several processes make it.
    pub shard: Option<ShardNumber>,
    /// How these start together.
    pub meeting: Option<Meeting>,
}

impl BenchPlan {
    /// All clients.
    pub fn clients(&self) -> usize {
        self.publishers + self.subscribers + self.responders + self.idlers
    }

    /// The same plan for another run, with its own tag: no run meets messages or sessions of the one before it.
    pub fn again(&self, run: RunTag) -> Self {
        let default = |run| Template::new(&from_options::default_client_id(run)).unwrap_or_default();
        let is_default = self.client_id == default(self.run);
        let client_id = if is_default { default(run) } else { self.client_id.clone() };
        Self { run, client_id, routes: self.routes.retagged(run), ..self.clone() }
    }

    /// The same plan for one of its brokers alone.
    pub fn for_broker(&self, target: usize) -> Self {
        let mut plan = self.clone();
        if let Some(address) = self.targets.addresses().nth(target) {
            plan.targets = Targets::new([address.clone()], self.targets.sources().to_vec(), false);
            plan.transport.address = address.clone();
            plan.broker_pid = self.broker_pids.get(target).copied().flatten();
        }
        plan
    }

    /// Looks for the processes of brokers on this machine, where there is one broker, or `turns` of several.
    pub(crate) fn find_processes(&mut self, turns: bool) {
        if turns || self.targets.count() == 1 {
            self.broker_pids = self.targets.addresses().map(brokers::local_process).collect();
            self.broker_pid = self.broker_pids.first().copied().flatten();
        }
    }

    /// Client id and user name of a client by its global number; the user name is empty where there is none.
    pub fn names_of(&self, client: usize) -> (String, String) {
        let user_name = self.user_name.as_ref().map_or_else(String::new, |template| template.expand(client, "", ""));
        (self.client_id.expand(client, "", &user_name), user_name)
    }

    /// The topic of a stream.
    pub fn topic_of(&self, stream: usize) -> String {
        let (client_id, user_name) = self.names_of(stream);
        self.routes.topic(stream, &client_id, &user_name)
    }

    /// The session of a client by its global number: publishers first, then subscribers, then the others.
    pub fn session_of(&self, client: usize) -> SessionConfig {
        let mut session = self.session.clone();
        let (client_id, user_name) = self.names_of(client);
        session.client_id = client_id;
        session.user_name = self.user_name.is_some().then_some(user_name);
        session.password = self.password.as_ref().map(|password| {
            password.expand(client, &session.client_id, session.user_name.as_deref().unwrap_or_default())
        });
        session
    }

    /// The session of the connection that reads `$SYS`. Its client id comes from the run and never from `-i`: a device
    /// with that id would lose its connection and, by the clean start, its session. It leaves no session behind, and no
    /// will.
    pub fn session_for_sys(&self) -> SessionConfig {
        let mut session = self.session_of(0);
        session.client_id = format!("mqb-{}-sys", self.run);
        session.clean_start = true;
        session.will = None;
        session.max_packet_size = SYS_PACKET_SIZE;
        session.connect_properties.remove(PropertyName::SessionExpiryInterval);
        session
    }

    /// What a client does, and its number among those that do the same.
    pub fn kind_of(&self, client: usize) -> (ClientKind, usize) {
        let mut number = client;
        for (kind, count) in [
            (ClientKind::Publisher, self.publishers),
            (ClientKind::Subscriber, self.subscribers),
            (ClientKind::Responder, self.responders),
        ] {
            if number < count {
                return (kind, number);
            }
            number -= count;
        }
        (ClientKind::Idler, number)
    }

    /// The global number of the client that has this number among those that do the same.
    pub const fn client_of(&self, kind: ClientKind, number: usize) -> usize {
        let before = match kind {
            ClientKind::Publisher => 0,
            ClientKind::Subscriber => self.publishers,
            ClientKind::Responder => self.publishers + self.subscribers,
            ClientKind::Idler => self.publishers + self.subscribers + self.responders,
        };
        before + number
    }

    /// The broker of a client: it depends on the client's global number alone, so that the number of threads and
    /// machines changes nothing. Without `--pair cross` all clients of a stream have the same one.
    pub fn target_of(&self, client: usize) -> usize {
        let targets = self.targets.count();
        if targets == 1 {
            return 0;
        }
        let cross = usize::from(self.targets.is_cross());
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

    /// How a client connects: to which broker and from which local address.
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

impl ClientKind {
    /// All of them, in the order of their global numbers.
    pub const ALL: [Self; 4] = [Self::Publisher, Self::Subscriber, Self::Responder, Self::Idler];
}

/// The password of all clients, or a template.
#[derive(Clone, Debug)]
pub struct Password {
    secret: Secret,
    template: Option<Template>,
}

impl Password {
    /// A literal password, from a file or a variable.
    pub fn fixed(secret: Secret) -> Self {
        Self { secret, template: None }
    }

    /// A password from the command line, where templates work. Text that is no valid template is taken literally, but
    /// not where it names a column that does not exist.
    ///
    /// # Errors
    /// Such a column.
    pub(crate) fn template(secret: Secret, source: &Source) -> Result<Self, TemplateError> {
        let template = std::str::from_utf8(secret.expose()).ok().map(|text| Template::of_client(text, source));
        match template {
            Some(Err(error @ TemplateError::Column { .. })) => Err(error),
            template => Ok(Self { secret, template: template.and_then(Result::ok) }),
        }
    }

    fn expand(&self, client: usize, client_id: &str, user_name: &str) -> Secret {
        match &self.template {
            Some(template) => Secret::new(template.expand(client, client_id, user_name)),
            None => self.secret.clone(),
        }
    }
}

/// The tag of a run: 16 bits that are part of every stamp, client id and default topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunTag(pub u16);

impl std::fmt::Display for RunTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::from_options::tests::plan_of;
    use super::*;

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
    fn a_run_again_shares_no_name_with_the_one_before_it() {
        for (arguments, of_run) in [
            (&["--pubs", "2", "--subs", "1", "--shape", "fan-in"][..], true),
            (&["--clients", "2"], true),
            (&["--clients", "2", "-i", "c%i", "-t", "t/%i"], false),
        ] {
            let plan = plan_of(arguments).unwrap();
            let other = RunTag(plan.run.0 ^ 1);
            let again = plan.again(other);
            assert_eq!(again.run, other);
            assert_eq!(
                (plan.names_of(1) != again.names_of(1), plan.topic_of(1) != again.topic_of(1)),
                (of_run, of_run)
            );
            let wildcards = again.routes.wildcards().map(<[String]>::to_vec);
            let changed = plan.routes.wildcards().map(<[String]>::to_vec) != wildcards;
            assert_eq!(changed, of_run && wildcards.is_some(), "{arguments:?}");
            assert_eq!((again.seed, &again.stages), (plan.seed, &plan.stages));
        }
    }

    #[test]
    fn one_of_two_brokers_gets_all_clients() {
        let plan = plan_of(&["--hosts", "a:1,b:2", "--clients", "2"]).unwrap();
        for (target, address) in ["a:1", "b:2"].into_iter().enumerate() {
            let one = plan.for_broker(target);
            assert!((0..4).all(|client| one.transport_of(client).address.to_string() == address));
        }
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
