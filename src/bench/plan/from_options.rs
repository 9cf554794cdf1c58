//! Turns options into a plan. All faults are reported at once, before anything connects.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::brokers::{broker_processes, brokers, is_this_machine};
use super::library::faults_of_rumqttc;
use super::shard::{self, Meeting, MeetingPlace};
use super::{
    BenchPlan, Crowd, Filled, Filling, LoadModel, Password, PayloadPlan, Routes, RunTag, StageName, WindowRule, stages,
};
use crate::bench::measure::STAMP_SIZE;
use crate::client::Policy;
use crate::options::{
    Arrival, BENCH, BarrierName, BenchOptions, ClientName, ConnectDefaults, Environment, LoadOptions, PairName,
    PayloadName, PropertyOptions, ShardOptions, SizeRange, StageOptions, TargetOptions, UsageError, Verb, WillOptions,
    WindowName, connect_plan,
};
use crate::session::SessionConfig;
use crate::template::{Source, Table, TableError, Template};
use crate::transport::Address;

/// Messages in flight per publisher, where `-M` is not given.
const DEFAULT_WINDOW: u16 = 100;

/// Payload bytes, where nothing is given.
const DEFAULT_SIZE: usize = 64;

/// Measured time, where neither time nor count is given.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);

/// Load before each stage.
const DEFAULT_WARMUP: Duration = Duration::from_secs(1);

/// How long connections are held.
const DEFAULT_HOLD: Duration = Duration::from_secs(10);

/// How long before the end of Keep Alive a client that only holds its connection pings.
const PING_BEFORE: Duration = Duration::from_millis(500);

/// How long a shard waits for the others.
const DEFAULT_BARRIER_TIMEOUT: Duration = Duration::from_secs(120);

/// The highest rate at which the gaps of a Poisson process are drawn.
const FASTEST_POISSON: f64 = 1e7;

/// Where the load goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To the broker that the options name.
    AsTyped,
    /// To the embedded broker at this address.
    Embedded(std::net::SocketAddr),
}

/// What the options mean.
///
/// # Errors
/// Options that contradict each other, and values that are impossible.
pub(crate) fn bench_plan(
    options: &BenchOptions,
    environment: &Environment,
    target: &Target,
) -> Result<BenchPlan, UsageError> {
    let BenchOptions {
        load,
        stages: time,
        result,
        targets,
        connection,
        tls,
        will,
        properties,
        calibrate: _,
        repeat,
        find: _,
        job: _,
        shards,
        general,
    } = options;
    // Round trips are measured one at a time.
    let is_ping_pong =
        load.plan_verb() == Some(Verb::Echo) && load.rate.or(load.rate_per_client).is_none() && !load.flood;
    let window = if is_ping_pong { 1 } else { DEFAULT_WINDOW };
    let policy = Policy::OWN;
    let defaults = ConnectDefaults { tool: &BENCH, environment, window, no_delay: true, names_clients: true, policy };
    let mut connect = connect_plan(connection, tls, will, properties, defaults)?;
    if let Target::Embedded(address) = target {
        connect.transport.address = Address::Tcp { host: address.ip().to_string(), port: address.port() };
        connect.transport.tls = None;
    }
    let mut faults = Vec::new();
    if general.debug > 0 {
        faults.push(
            "-d: mqbench does not log packets, which would disturb the measurement; use mqsub -d or mqbroker -v".into(),
        );
    }
    let brokers = brokers(targets, connection, &mut connect.transport, &mut faults);
    let broker_pids = broker_processes(targets, &brokers, load.embedded, repeat.ab, &mut faults);
    // Its own options were checked by `connect_plan`.
    let commands = properties.by_command().unwrap_or_default();
    let shard = shards.number(environment, &mut faults);
    let job = shards.job_name(environment);
    let (run, default_seed) = if shards.shard.is_some() {
        shard::tag_and_seed(&job)
    } else {
        // 32 bits are quickly typed, and every JSON reader can hold them.
        (RunTag(environment.random() as u16), environment.random() & u64::from(u32::MAX))
    };
    let (publishers, subscribers) = (load.publishers() as usize, load.subscribers() as usize);
    let topics: Vec<&str> = if load.topic.is_empty() {
        connect.topic_of_url.iter().map(String::as_str).collect()
    } else {
        load.topic.iter().map(String::as_str).collect()
    };
    let seed = load.seed.unwrap_or(default_seed);
    let source = Source { table: table(load.csv.as_deref())?, seed };
    let names = ClientNames::new(&connect.session, run, &source, &mut faults);
    let clients = publishers + subscribers + (load.responders() + load.idlers()) as usize;
    faults.extend(names.fault(clients));
    let crowd = Crowd { shape: load.shape(), run, publishers, subscribers };
    let routes =
        Routes::new(crowd, &topics, &source, |client| names.of(client)).map_err(|error| fault(error.to_string()))?;
    let payload = payload(load, &source, &mut faults);
    if publishers == 0 && subscribers > 0 {
        check_subscribers_alone(load, time, topics.is_empty(), &mut faults);
    }
    let responders = load.responders() as usize;
    check_pairs(targets, brokers.count(), &routes, &payload, publishers.min(subscribers), responders, &mut faults);
    let rate = total_rate(load, publishers).unwrap_or_default();
    if load.arrival == Some(Arrival::Poisson) && rate > FASTEST_POISSON {
        faults.push("--arrival poisson works up to 10M messages per second: lower the rate".into());
    }
    let window_rule = match load.window {
        WindowName::Delivery => WindowRule::Delivery,
        WindowName::Ack => WindowRule::Acknowledged,
        WindowName::None => WindowRule::None,
    };
    let window = connect.session.window;
    if window_rule == WindowRule::None {
        connect.session.window = u16::MAX;
    }
    let password = connect.session.password.take();
    let is_typed = connection.pw.is_some();
    let password = password.and_then(|secret| match is_typed {
        true => Password::template(secret, &source).map_err(|error| faults.push(format!("-P: {error}"))).ok(),
        false => Some(Password::fixed(secret)),
    });
    let meeting = shard.map(|_| {
        let place = meeting_place(shards, options, defaults, &mut faults);
        Meeting { job, place, timeout: shards.barrier_timeout.unwrap_or(DEFAULT_BARRIER_TIMEOUT) }
    });
    let mut plan = BenchPlan {
        run,
        threads: threads(load, &connect.transport.address),
        transport: connect.transport,
        warnings: connect.warnings,
        targets: brokers,
        client_id: names.client_id,
        user_name: names.user_name,
        password,
        publishers,
        subscribers,
        responders,
        idlers: load.idlers() as usize,
        routes,
        qos: load.qos,
        retain: load.retain,
        publish_properties: commands.publish,
        subscribe_properties: commands.subscribe,
        payload,
        window,
        window_rule,
        stages: planned_stages(load, time, publishers),
        arrival: load.arrival.unwrap_or_default(),
        behind: load.behind.unwrap_or_default(),
        seed,
        drain: time.drain,
        latency: !result.no_latency,
        busy_poll: load.busy_poll,
        connect_rate: load.connect_rate,
        reconnect: targets.reconnect,
        hold: targets.hold.unwrap_or(DEFAULT_HOLD),
        ping_interval: ping_interval(targets, connect.session.keep_alive),
        broker_pid: broker_pids.first().copied().flatten(),
        broker_pids,
        asks_sys: !targets.no_sys,
        samples_sys: targets.sys,
        client: targets.client.unwrap_or_default(),
        session: connect.session,
        shard: None,
        meeting,
    };
    if let Some(shard) = shard {
        plan.set_shard(shard);
        check_shards(&plan, &mut faults);
    }
    if plan.client == ClientName::Rumqttc {
        faults.extend(faults_of_rumqttc(&plan));
    }
    UsageError::check(BENCH.name, faults)?;
    Ok(plan)
}

/// The templates of the client ids and user names.
struct ClientNames {
    client_id: Template,
    user_name: Option<Template>,
}

impl ClientNames {
    fn new(session: &SessionConfig, run: RunTag, source: &Source, faults: &mut Vec<String>) -> Self {
        let client_id = template("-i", &session.client_id, &default_client_id(run), source, faults);
        let user_name = session.user_name.as_ref().map(|text| template("-u", text, "", source, faults));
        Self { client_id, user_name }
    }

    /// Client id and user name of a client.
    fn of(&self, client: usize) -> (String, String) {
        let user_name = self.user_name.as_ref().map_or_else(String::new, |template| template.expand(client, "", ""));
        (self.client_id.expand(client, "", &user_name), user_name)
    }

    /// Why two clients would have the same id. Templates differ from client to client only if what they make does: %u
    /// is the same for one user.
    fn fault(&self, clients: usize) -> Option<String> {
        if clients > 1 && self.of(0).0 == self.of(1).0 {
            return Some("-i: each client needs its own id: include %i, the client number".into());
        }
        if !self.client_id.may_repeat() && !self.user_name.as_ref().is_some_and(Template::may_repeat) {
            return None;
        }
        let mut known = HashSet::new();
        let id = (0..clients).map(|client| self.of(client).0).find(|id| !known.insert(id.clone()))?;
        Some(format!(
            "-i: two of the {clients} clients would have the id '{id}', and a broker disconnects the first: include %i, \
             the client number, or give --csv a row for each client"
        ))
    }
}

/// Where the shards of the run wait for each other.
fn meeting_place(
    shards: &ShardOptions,
    options: &BenchOptions,
    defaults: ConnectDefaults<'_>,
    faults: &mut Vec<String>,
) -> MeetingPlace {
    match (shards.barrier(), shards.start_at) {
        (BarrierName::Folder(path), _) => MeetingPlace::Folder(path),
        (BarrierName::None, Some(moment)) => MeetingPlace::Clock(moment),
        _ => MeetingPlace::Broker(shards.control.as_ref().and_then(|url| {
            let mut connection = options.connection.clone();
            (connection.url, connection.id, connection.id_prefix) = (Some(url.clone()), None, None);
            (connection.host, connection.port, connection.unix, connection.bind) = (None, None, None, None);
            (connection.username, connection.pw, connection.pw_file) = (None, None, None);
            let (will, properties) = (WillOptions::default(), PropertyOptions::default());
            let plan = connect_plan(&connection, &options.tls, &will, &properties, defaults);
            plan.map_err(|error| faults.push(format!("--control: {error}"))).ok().map(Box::new)
        })),
    }
}

/// What the shards of a run cannot do.
fn check_shards(plan: &BenchPlan, faults: &mut Vec<String>) {
    let count = plan.shard.map_or(1, |shard| shard.count);
    if let Some(idle) = plan.idle_shard() {
        faults.push(format!("--shard: shard {idle} of {count} would have no client: use fewer shards or more clients"));
    }
    if !plan.is_apart() {
        return;
    }
    if !plan.payload.is_stamped() {
        faults.push(
            "--shard: where publishers and subscribers are in different shards, each message needs the stamp: omit -m, -f, \
             --payload template and sizes below 16 bytes, or give each publisher its own subscriber (--shape p2p)"
                .into(),
        );
    }
    let ends_by_count = plan.stages.iter().any(|stage| stage.duration.is_none());
    if ends_by_count && plan.meeting.as_ref().is_some_and(|meeting| matches!(meeting.place, MeetingPlace::Clock(_))) {
        faults.push(
            "--start-at: a shard that only receives needs a barrier to learn when -C messages were sent: add --duration, or \
             use --barrier broker"
                .into(),
        );
    }
}

/// Without publishers a topic is required, and options about publishing are errors.
fn check_subscribers_alone(load: &LoadOptions, time: &StageOptions, has_no_topic: bool, faults: &mut Vec<String>) {
    if has_no_topic {
        faults.push("without publishers mqbench needs a topic to subscribe to: add -t".into());
    }
    let options = [
        (time.count.is_some(), "-C"),
        (load.rate.is_some(), "--rate"),
        (load.rate_per_client.is_some(), "--rate-per-client"),
        (load.arrival.is_some(), "--arrival"),
        (load.behind.is_some(), "--behind"),
        (load.retain, "-r"),
        (load.message.is_some(), "-m"),
        (load.file.is_some(), "-f"),
        (load.size.is_some(), "--size"),
        (load.payload.is_some(), "--payload"),
    ];
    let what = if load.verb == Some(Verb::Sub) { "'mqbench sub'" } else { "with --pubs 0 mqbench" };
    for (_, option) in options.into_iter().filter(|(is_given, _)| *is_given) {
        let instead = if option == "-C" { "; --duration sets how long it counts" } else { "" };
        faults.push(format!("{option} applies to published messages, but {what} publishes none{instead}"));
    }
}

/// What is impossible with several brokers, with an echo, and without a stamp.
fn check_pairs(
    targets: &TargetOptions,
    brokers: usize,
    routes: &Routes,
    payload: &PayloadPlan,
    both_sides: usize,
    responders: usize,
    faults: &mut Vec<String>,
) {
    if brokers > 1 && both_sides > 0 && routes.is_everything_for_all() && targets.pair != Some(PairName::Cross) {
        faults.push(
            "here each subscriber receives every message, so the brokers of --hosts must forward messages to each other: add \
             --pair cross if they do, or give each publisher a topic (-t 'TOPIC/%i')"
                .into(),
        );
    }
    if targets.reconnect.is_some() && !payload.is_stamped() && both_sides > 0 {
        faults.push(
            "--reconnect: messages without a stamp cannot be matched once some are lost: omit -m, -f and sizes below 16 \
             bytes"
                .into(),
        );
    }
    if responders > 1 && routes.has_crowded_topic() {
        faults.push("-t: each client of mqbench echo needs its own topic: include %i, the client number".into());
    }
    if !payload.is_stamped() && routes.has_crowded_topic() && both_sides > 0 {
        faults.push(
            "without a stamp in the payload, messages of several publishers on one topic cannot be distinguished: give each \
             publisher a topic (-t 'TOPIC/%i'), or omit -m, -f, --payload template and sizes below 16 bytes"
                .into(),
        );
    }
}

/// Where Keep Alive is off, or longer than the time that connections are held, each client pings once.
fn ping_interval(targets: &TargetOptions, keep_alive: Duration) -> Duration {
    let hold = targets.hold.unwrap_or(DEFAULT_HOLD);
    // Shortly before Keep Alive runs out, or the session would ping as well.
    let before = keep_alive.saturating_sub(PING_BEFORE).max(keep_alive / 2);
    let by_keep_alive = if keep_alive.is_zero() { hold } else { before.min(hold) };
    targets.ping_interval.unwrap_or(by_keep_alive)
}

/// The client ids of a run, where nothing else is asked for.
pub(super) fn default_client_id(run: RunTag) -> String {
    format!("mqb-{run}-%i")
}

fn fault(text: String) -> UsageError {
    UsageError::new(BENCH.name, vec![text])
}

/// The rows of `--csv`. Where they cannot be read, nothing can be said about placeholders.
fn table(file: Option<&Path>) -> Result<Arc<Table>, UsageError> {
    let Some(file) = file else { return Ok(Arc::default()) };
    let read = File::open(file).map_err(TableError::from).and_then(Table::read);
    read.map(Arc::new).map_err(|error| fault(format!("--csv {}: {error}", file.display())))
}

fn template(option: &str, text: &str, default: &str, source: &Source, faults: &mut Vec<String>) -> Template {
    let text = if text.is_empty() { default } else { text };
    Template::of_client(text, source).unwrap_or_else(|error| {
        faults.push(format!("{option} {text}: {error}"));
        Template::default()
    })
}

fn payload(load: &LoadOptions, source: &Source, faults: &mut Vec<String>) -> PayloadPlan {
    if let Some(text) = &load.message {
        return text_payload(text, &format!("-m {text}"), source, faults);
    }
    if let Some(path) = &load.file {
        let bytes = std::fs::read(path).unwrap_or_else(|error| {
            faults.push(format!("-f {}: {error}", path.display()));
            Vec::new()
        });
        return PayloadPlan::Fixed(bytes.into());
    }
    let filling = match &load.payload {
        None | Some(PayloadName::Zero) => Filling::Zero,
        Some(PayloadName::Random) => Filling::Random,
        Some(PayloadName::Text) => Filling::Text,
        Some(PayloadName::Template(path)) => {
            let named = format!("--payload template:{}", path.display());
            let text = std::fs::read_to_string(path).unwrap_or_else(|error| {
                faults.push(format!("{named}: {error}"));
                String::new()
            });
            return text_payload(&text, &named, source, faults);
        }
    };
    let SizeRange { least, most } = load.size.unwrap_or(SizeRange { least: DEFAULT_SIZE, most: DEFAULT_SIZE });
    if least < STAMP_SIZE && most >= STAMP_SIZE {
        faults.push(format!(
            "--size {least}..{most}: some payloads would have room for the stamp of {STAMP_SIZE} bytes and others not: start the range at {STAMP_SIZE}, or end it below that"
        ));
    }
    PayloadPlan::Filled(Filled::new(least, most, filling, source.seed))
}

/// A payload of text; `named` is its name in an error.
fn text_payload(text: &str, named: &str, source: &Source, faults: &mut Vec<String>) -> PayloadPlan {
    let template = Template::of_messages(text, source).unwrap_or_else(|error| {
        faults.push(format!("{named}: {error}"));
        Template::default()
    });
    if template.varies() {
        PayloadPlan::Text(template)
    } else {
        PayloadPlan::Fixed(Bytes::from(template.expand(0, "", "")))
    }
}

fn planned_stages(load: &LoadOptions, time: &StageOptions, publishers: usize) -> Vec<super::Stage> {
    let model = match total_rate(load, publishers) {
        Some(rate) => Some(LoadModel::OpenLoop { rate }),
        // Without publishers there is nothing to pace.
        None if load.flood || publishers == 0 || load.plan_verb() == Some(Verb::Echo) => Some(LoadModel::ClosedLoop),
        None => None,
    };
    let warmup = time.warmup.unwrap_or(if time.count.is_some() { Duration::ZERO } else { DEFAULT_WARMUP });
    let duration = time.duration.or(time.count.is_none().then_some(DEFAULT_DURATION));
    let mut stages = stages(model, warmup, duration, time.count);
    if load.plan_verb() == Some(Verb::Echo) {
        stages.iter_mut().for_each(|stage| stage.name = StageName::Echo);
    }
    if publishers == 0 {
        stages.iter_mut().for_each(|stage| stage.name = StageName::Receive);
    }
    stages
}

/// The rate of all publishers together, where one was given.
fn total_rate(load: &LoadOptions, publishers: usize) -> Option<f64> {
    load.rate.or(load.rate_per_client.map(|rate| rate * publishers as f64))
}

/// One thread per processor; a broker on this machine needs the other half of them.
fn threads(load: &LoadOptions, address: &Address) -> usize {
    let clients = (load.publishers() + load.subscribers() + load.responders() + load.idlers()).max(1) as usize;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let default = if is_this_machine(address) { cores.div_ceil(2) } else { cores };
    load.threads.map_or(default, usize::from).clamp(1, clients)
}

#[cfg(test)]
pub(in crate::bench) mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::bench::plan::StageName;
    use crate::options::Reading;

    pub(in crate::bench) fn plan_of(arguments: &[&str]) -> Result<BenchPlan, UsageError> {
        let environment = Environment::fixed([("MQTT_PASSWORD", "p%i")], []);
        let argv = std::iter::once("mqbench").chain(arguments.iter().copied()).map(OsString::from);
        let Reading::Options(options) = BenchOptions::read(&environment, argv)? else { panic!("no options") };
        bench_plan(&options, &environment, &Target::AsTyped)
    }

    #[test]
    fn a_bare_run_is_ten_pairs_in_two_stages() {
        let plan = plan_of(&[]).unwrap();
        assert_eq!((plan.publishers, plan.subscribers, plan.window), (10, 10, 100));
        let names: Vec<_> = plan.stages.iter().map(|stage| stage.name).collect();
        assert_eq!(names, [StageName::Flood, StageName::Paced]);
        assert_eq!(plan.payload, PayloadPlan::Filled(Filled::new(64, 64, Filling::Zero, plan.seed)));
    }

    #[test]
    fn templates_name_the_clients() {
        let plan = plan_of(&["-i", "c%i", "-u", "u%i", "-P", "x%u", "--clients", "2"]).unwrap();
        let session = plan.session_of(3);
        assert_eq!((session.client_id.as_str(), session.user_name.as_deref()), ("c3", Some("u3")));
        assert_eq!(session.password.unwrap().expose(), b"xu3");
        let from_variable = plan_of(&["-u", "u"]).unwrap();
        assert_eq!(from_variable.session_of(1).password.unwrap().expose(), b"p%i", "only -P is a template");
    }

    #[test]
    fn rows_of_a_csv_file_name_the_clients() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("devices.csv");
        std::fs::write(&file, "id,key,room\nann,k1,hall\nbob,k2,attic\ncid,k3,a/b\n").unwrap();
        let file = file.to_str().unwrap();
        let with = |more: &[&str]| plan_of(&[&["--csv", file, "--pubs", "2", "--subs", "1"][..], more].concat());
        let plan = with(&["-i", "%{csv:id}", "-u", "%{csv:id}", "-P", "%{csv:key}", "-t", "room/%{csv:room}"]).unwrap();
        let session = plan.session_of(1);
        assert_eq!((session.client_id.as_str(), session.user_name.as_deref()), ("bob", Some("bob")));
        assert_eq!(session.password.unwrap().expose(), b"k2");
        assert_eq!((plan.topic_of(0), plan.topic_of(1)), ("room/hall".to_owned(), "room/attic".to_owned()));
        for (more, fault) in [
            (&["-i", "%{csv:id}", "--subs", "2"][..], "two of the 4 clients would have the id 'ann'"),
            (&["-i", "%{int:1..1}%{int:1..1}"], "each client needs its own id"),
            (&["-t", "x/%{csv:id}", "--pubs", "4"], "several publishers would send to x/ann"),
            (&["-t", "x/%{choice:#}"], "must not contain the wildcards + and #"),
            (&["-u", "u", "-P", "%{csv:kye}"], "-P: the CSV file has no column 'kye'; it has id, key, room"),
            (&["-t", "x/%{time}"], "is not a placeholder here"),
            (&["--csv", "/missing.csv"], "--csv /missing.csv: "),
        ] {
            let error = with(more).unwrap_err().to_string();
            assert!(error.contains(fault), "{more:?}: {error}");
        }
    }

    #[test]
    fn the_connection_for_sys_takes_no_name_of_a_client() {
        let words =
            ["-i", "device-%i", "-c", "-u", "u%i", "-P", "x%u", "--clients", "2", "--will-topic", "w", "-x", "60"];
        let plan = plan_of(&[&words[..], &["-V", "5"]].concat()).unwrap();
        let session = plan.session_for_sys();
        assert_eq!(session.client_id, format!("mqb-{}-sys", plan.run));
        assert_eq!(session.user_name.as_deref(), Some("u0"));
        assert_eq!(session.password.map(|password| password.expose().to_vec()), Some(b"xu0".to_vec()));
        assert!(session.clean_start && session.will.is_none());
        assert!(session.connect_properties.iter().next().is_none(), "its session ends with its connection");
        assert!(plan.asks_sys && !plan_of(&["--no-sys"]).unwrap().asks_sys);
    }

    #[test]
    fn the_seed_is_the_given_one_or_a_short_random_one() {
        assert_eq!(plan_of(&["--seed", "18446744073709551615"]).unwrap().seed, u64::MAX);
        assert_eq!(plan_of(&[]).unwrap().seed, 0x89ab_cdef);
        let plan = plan_of(&["--arrival", "burst:2k", "--behind", "skip"]).unwrap();
        assert_eq!((plan.arrival, plan.behind), (Arrival::Burst(2_000), crate::options::Behind::Skip));
    }

    #[test]
    fn a_count_needs_no_time_and_no_warm_up() {
        let plan = plan_of(&["-C", "10k", "--flood"]).unwrap();
        assert_eq!((plan.stages[0].count, plan.stages[0].duration), (Some(10_000), None));
        assert_eq!(plan.stages[0].warmup, Duration::ZERO);
    }

    #[test]
    fn shapes_have_their_numbers() {
        for (arguments, publishers, subscribers, copies) in [
            (&["--shape", "p2p"][..], 10, 10, (1, 1)),
            (&["--shape", "fan-in"], 10, 1, (1, 1)),
            (&["--shape", "fan-in", "--clients", "7", "--subs", "2"], 7, 2, (2, 2)),
            (&["--shape", "fan-out"], 1, 10, (10, 10)),
            (&["--shape", "fan-out", "--clients", "3", "--pubs", "2"], 2, 3, (3, 3)),
            (&["--shape", "shared:2"], 10, 10, (2, 2)),
            (&["--shape", "shared:12"], 10, 12, (12, 12)),
        ] {
            let plan = plan_of(arguments).unwrap();
            assert_eq!((plan.publishers, plan.subscribers), (publishers, subscribers), "{arguments:?}");
            assert_eq!(plan.routes.copies(), copies, "{arguments:?}");
        }
    }

    #[test]
    fn payloads_without_a_stamp_need_a_topic_per_publisher() {
        for arguments in [
            &["-m", "x", "-t", "one", "--pubs", "1"][..],
            &["-m", "x", "-t", "a", "-t", "b", "--pubs", "2"],
            &["-m", "x %s %t", "--shape", "fan-in", "--pubs", "3"],
            &["--size", "1..15", "--shape", "fan-out"],
            &["-m", "x", "-t", "one", "--subs", "0"],
        ] {
            assert!(!plan_of(arguments).unwrap().payload.is_stamped(), "{arguments:?}");
        }
    }

    #[test]
    fn impossible_plans_are_rejected_before_anything_connects() {
        for (arguments, part) in [
            (&["-i", "same"][..], "include %i"),
            (&["-m", "x", "-t", "one"], "-t 'TOPIC/%i'"),
            (&["-t", "a/%x"], "is not a placeholder here"),
            (&["--pubs", "0"], "add -t"),
            (&["-t", "#"], "wildcards"),
            (&["-f", "/nowhere/at/all"], "/nowhere/at/all"),
            (&["--payload", "template:/nowhere/at/all"], "/nowhere/at/all"),
            (&["-m", "%x"], "%s (number of the message)"),
            (&["--size", "8..64"], "start the range at 16"),
            (&["--size", "64..16"], "smaller size"),
            (&["--size", "64", "-m", "x"], "cannot be used together"),
            (&["--payload", "random", "-m", "x"], "cannot be used together"),
            (&["--payload", "noise"], "must be zero, random, text"),
            (&["-t", "a/%i", "-t", "a/2"], "expand to the same topic"),
            (&["-t", "$share/g/a"], "--shape shared:G"),
            (&["--shape", "ring"], "fan-in"),
            (&["--shape", "shared:3", "--subs", "2"], "at least 3 subscribers are needed"),
            (&["--shape", "fan-in", "--pubs", "0", "-t", "x"], "needs publishers and subscribers"),
            (&["-m", "x", "-t", "a", "-t", "b", "--pubs", "3"], "-t 'TOPIC/%i'"),
            (&["--seed", "x"], "whole number"),
            (&["--arrival", "poisson", "--rate", "11M"], "10M"),
            (&["--arrival", "burst:0"], "burst:N"),
            (&["--behind", "skip", "--flood"], "--flood does not have"),
            (&["--behind", "skip", "--pubs", "0", "-t", "x"], "publishes none"),
        ] {
            let error = plan_of(arguments).unwrap_err().to_string();
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
    }
}
