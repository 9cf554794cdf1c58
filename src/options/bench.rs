//! What the user typed after `mqbench`.

use std::ffi::OsString;

use clap::{Command, CommandFactory, Parser};

use super::arguments::OptionTable;
use super::profile;
use super::reading::{self, Reading, ToolOptions};
use super::sections;
use super::{
    CalibrateOptions, ConnectionOptions, EngineName, Environment, FindOptions, GeneralOptions, JobCommand, JobOptions,
    LoadOptions, PropertyOptions, RepeatOptions, ResultOptions, ShardOptions, StageOptions, TargetOptions, TlsOptions,
    Tool, UsageError, Verb, WillOptions,
};
use crate::mqtt::QoS;

/// mqbench.
pub static BENCH: Tool = Tool {
    name: "mqbench",
    mosquitto_name: None,
    replaces_topics: false,
    sections: sections::BENCH,
    definition: BenchOptions::definition,
    profile_reader: Some(profile::read),
};

/// The options of mqbench.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mqbench",
    version,
    about = "Measure the throughput and latency of an MQTT broker",
    long_about = "Runs many publishers and subscribers at once and measures what arrives. Without --flood and --rate it \
                  runs two stages: first it floods the broker to find its maximum throughput, then it sends at half of \
                  that rate and measures latency from the time at which each message was due.",
    override_usage = "mqbench [VERB] [OPTIONS]\n       mqbench doctor [VERB] [OPTIONS]\n       \
                      mqbench report|merge|compare FILE... [OPTIONS]\n       \
                      mqbench plan [VERB] --engine ENGINE --shards COUNT [OPTIONS]",
    max_term_width = 98,
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct BenchOptions {
    /// Clients, topics and rates.
    #[command(flatten)]
    pub load: LoadOptions,
    /// What `mqbench self` measures.
    #[command(flatten)]
    pub calibrate: CalibrateOptions,
    /// How long.
    #[command(flatten)]
    pub stages: StageOptions,
    /// Several brokers, and what happens to connections.
    #[command(flatten)]
    pub targets: TargetOptions,
    /// Several runs, and what they are compared with.
    #[command(flatten)]
    pub repeat: RepeatOptions,
    /// What `mqbench find` looks for.
    #[command(flatten)]
    pub find: FindOptions,
    /// Runs that are larger than one machine.
    #[command(flatten)]
    pub shards: ShardOptions,
    /// What `mqbench plan` prints.
    #[command(flatten)]
    pub job: JobOptions,
    /// What is done with the result.
    #[command(flatten)]
    pub result: ResultOptions,
    /// Where the broker is.
    #[command(flatten)]
    pub connection: ConnectionOptions,
    /// TLS.
    #[command(flatten)]
    pub tls: TlsOptions,
    /// The will.
    #[command(flatten)]
    pub will: WillOptions,
    /// Properties of MQTT 5.
    #[command(flatten)]
    pub properties: PropertyOptions,
    /// Diagnostics, options file, help.
    #[command(flatten)]
    pub general: GeneralOptions,
}

impl BenchOptions {
    /// The definition for clap. -d is refused where the plan is made, so it is not in the help.
    fn definition() -> Command {
        <Self as CommandFactory>::command().mut_args(|argument| match argument.get_id().as_str() {
            "debug" => argument.hide(true),
            _ => argument,
        })
    }

    /// Reads argv, the program's name included, with the options files in front of it.
    pub fn read(
        environment: &Environment,
        argv: impl IntoIterator<Item = OsString>,
    ) -> Result<Reading<Self>, UsageError> {
        reading::read(environment, argv)
    }

    /// A command line of `mqbench plan`, the program's name included, taken apart for a job file.
    ///
    /// # Errors
    /// Those of [`Self::read`], and what must not be in a job file.
    pub fn job_command(
        environment: &Environment,
        argv: impl IntoIterator<Item = OsString>,
    ) -> Result<JobCommand, UsageError> {
        reading::job_command(&BENCH, environment, argv)
    }

    /// Whether the run logs in with something that is not for everybody.
    pub fn has_secret(&self) -> bool {
        let ConnectionOptions { username, pw, pw_file, url, proxy, ws_header, .. } = &self.connection;
        // A user's password may come from MQTT_PASSWORD.
        username.is_some()
            || pw.is_some()
            || pw_file.is_some()
            || url.is_some()
            || proxy.is_some()
            || !ws_header.is_empty()
            || !self.properties.property.is_empty()
    }

    /// A command line, the program's name included, as others may see it: passwords, URLs and values of properties
    /// masked, however they are spelled.
    pub fn masked_command_line(argv: impl IntoIterator<Item = OsString>) -> Vec<String> {
        let command = BENCH.bare_command();
        OptionTable::of(&command).masked(argv)
    }
}

impl ToolOptions for BenchOptions {
    const TOOL: &'static Tool = &BENCH;

    fn connection(&mut self) -> Option<&mut ConnectionOptions> {
        Some(&mut self.connection)
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = self.load.faults();
        faults.extend(self.verb_faults());
        faults.extend(self.faults_of_series());
        faults.extend(self.targets.faults(&self.connection));
        faults.extend(self.repeat.faults(&self.targets));
        faults.extend(self.faults_of_self());
        faults.extend(self.shards.faults(self.load.verb));
        faults.extend(self.faults_of_shards());
        faults.extend(self.faults_of_plan());
        if self.load.embedded {
            let connection = &self.connection;
            for (given, option) in [
                (connection.host.is_some(), "-h"),
                (connection.url.is_some(), "-L"),
                (connection.unix.is_some(), "--unix"),
                (connection.port.is_some(), "-p"),
                (self.targets.hosts.is_some(), "--hosts"),
            ] {
                if given {
                    faults.push(format!("--embedded starts its own broker: remove {option}"));
                }
            }
        }
        faults
    }
}

impl BenchOptions {
    /// The options that a verb does not use.
    fn verb_faults(&self) -> Vec<String> {
        let (load, time, targets) = (&self.load, &self.stages, &self.targets);
        let mut faults = Vec::new();
        let mut refuse = |given: bool, option: &str, why: &str| {
            if given {
                faults.push(format!("{option}: {why}"));
            }
        };
        if load.plan_verb() == Some(Verb::Conn) {
            for (given, option) in [
                (load.flood, "--flood"),
                (load.rate.is_some(), "--rate"),
                (load.rate_per_client.is_some(), "--rate-per-client"),
                (!load.topic.is_empty(), "-t"),
                (load.retain, "-r"),
                (load.size.is_some(), "--size"),
                (load.payload.is_some(), "--payload"),
                (load.shape.is_some(), "--shape"),
                (load.message.is_some(), "-m"),
                (load.file.is_some(), "-f"),
                (time.count.is_some(), "-C"),
                (targets.pair.is_some(), "--pair"),
                (targets.reconnect.is_some(), "--reconnect"),
            ] {
                refuse(given, option, "mqbench conn only connects and pings");
            }
            let why = "mqbench conn sends no messages: use --connect-rate and --hold";
            refuse(time.duration.is_some(), "--duration", why);
            refuse(time.warmup.is_some(), "--warmup", why);
        } else {
            refuse(targets.hold.is_some(), "--hold", "only for mqbench conn; use --duration");
            refuse(targets.ping_interval.is_some(), "--ping-interval", "only for mqbench conn");
        }
        if load.plan_verb() == Some(Verb::Echo) {
            refuse(load.retain, "-r", "a retained request would be answered again in the next run");
            refuse(load.shape.is_some(), "--shape", "mqbench echo always pairs each client with a responder");
        }
        faults
    }

    /// What several runs, comparisons and the search do not go with.
    fn faults_of_series(&self) -> Vec<String> {
        let (load, time, repeat, find) = (&self.load, &self.stages, &self.repeat, &self.find);
        let mut faults = Vec::new();
        let mut refuse = |given: bool, option: &str, why: &str| {
            if given {
                faults.push(format!("{option}: {why}"));
            }
        };
        let verb = load.verb;
        let is_load = matches!(verb, None | Some(Verb::Pub | Verb::Sub | Verb::Conn | Verb::Echo));
        for (given, option) in
            [(repeat.runs.is_some(), "--runs"), (repeat.cool_down.is_some(), "--cool-down"), (repeat.ab, "--ab")]
        {
            refuse(given && !is_load && verb != Some(Verb::Plan), option, "only for a load, which it repeats");
        }
        let is_plan = verb == Some(Verb::Plan);
        let has_baseline = is_load || is_plan || matches!(verb, Some(Verb::Report | Verb::Merge));
        let why = "only for a load, and for mqbench report and merge";
        refuse(repeat.baseline.is_some() && !has_baseline, "--baseline", why);
        let compares = verb == Some(Verb::Compare) || repeat.baseline.is_some();
        refuse(repeat.any_plan && !compares, "--any-plan", "only for mqbench compare and --baseline");
        refuse(repeat.tolerance.is_some() && !compares && !repeat.ab, "--tolerance", "only where results are compared");
        let is_find = verb == Some(Verb::Find);
        for (given, option) in [
            (find.slo.is_some(), "--slo"),
            (find.probe.is_some(), "--probe"),
            (find.find_from.is_some(), "--find-from"),
            (find.find_limit.is_some(), "--find-limit"),
        ] {
            refuse(given && !is_find, option, "only for mqbench find");
        }
        if is_find {
            for (given, option) in [
                (load.flood, "--flood"),
                (load.rate.is_some(), "--rate"),
                (load.rate_per_client.is_some(), "--rate-per-client"),
                (time.count.is_some(), "-C"),
            ] {
                refuse(given, option, "mqbench find chooses the rates itself; --find-from is where it begins");
            }
            refuse(time.duration.is_some(), "--duration", "mqbench find measures each rate for --probe");
            refuse(load.publishers() == 0, "--pubs 0", "mqbench find needs publishers");
        }
        faults
    }

    /// What does not go with `mqbench plan`, and its options without it.
    fn faults_of_plan(&self) -> Vec<String> {
        let JobOptions { engine, shards, image, target } = &self.job;
        let is_plan = self.load.verb == Some(Verb::Plan);
        let mut faults = Vec::new();
        let mut refuse = |given: bool, option: &str, why: &str| {
            if given {
                faults.push(format!("{option}: {why}"));
            }
        };
        for (given, option) in [
            (engine.is_some(), "--engine"),
            (shards.is_some(), "--shards"),
            (image.is_some(), "--image"),
            (target.is_some(), "--target"),
        ] {
            refuse(given && !is_plan, option, "only for mqbench plan");
        }
        if !is_plan {
            return faults;
        }
        refuse(
            engine.is_some() && target.is_some(),
            "--engine",
            "prints a job file, and --target a number of machines",
        );
        refuse(engine.is_some() && shards.is_none(), "--shards", "is missing: the number of shards, one per machine");
        refuse(engine.is_none() && shards.is_some(), "--shards", "needs --engine");
        refuse(image.is_some() && *engine != Some(EngineName::Kubernetes), "--image", "only for --engine kubernetes");
        if engine.is_none() && target.is_none() {
            faults.push(
                "mqbench plan needs --engine slurm|mpi|kubernetes|parallel with --shards, or --target '1M clients, 500k/s'"
                    .into(),
            );
            return faults;
        }
        if let Some(file) = self.load.figures().first().filter(|_| engine.is_some()) {
            faults.push(format!("unexpected argument '{}': a job file is made of options alone", file.display()));
        }
        let mut refuse = |given: bool, option: &str, why: &str| {
            if given {
                faults.push(format!("{option}: {why}"));
            }
        };
        let connection = &self.connection;
        refuse(self.shards.shard.is_some(), "--shard", "the job file sets it");
        refuse(self.shards.job.is_some(), "--job", "the job file sets it, to another name in each run");
        refuse(self.targets.broker_pid.is_some(), "--broker-pid", "a process ID is one of a single machine");
        let port = self.result.prometheus.as_ref().map(|address| address.port);
        refuse(
            port.is_some_and(|port| port > 0),
            "--prometheus",
            "shards on one machine cannot share a port: use port 0",
        );
        refuse(connection.ask_pw, "--ask-pw", "nobody types at a job: use --pw-file");
        refuse(connection.pw_fd.is_some(), "--pw-fd", "a job has no such descriptor: use --pw-file");
        faults
    }

    /// What a run of several processes cannot do.
    fn faults_of_shards(&self) -> Vec<String> {
        let (load, repeat) = (&self.load, &self.repeat);
        // An engine without `plan` is refused elsewhere.
        let makes_job = self.job.engine.is_some() && load.verb == Some(Verb::Plan);
        if self.shards.shard.is_none() && !makes_job {
            return Vec::new();
        }
        let mut faults = Vec::new();
        let verb = load.verb.map_or("", Verb::name);
        let loads = [Verb::Pub, Verb::Sub, Verb::Conn, Verb::Echo, Verb::Doctor, Verb::Plan];
        if load.verb.is_some_and(|verb| !loads.contains(&verb)) {
            faults.push(format!("--shard: only for a load, and not for mqbench {verb}"));
            return faults;
        }
        for (given, option) in [(repeat.runs.is_some(), "--runs"), (repeat.ab, "--ab")] {
            if given {
                faults.push(format!("{option}: the shards of a run make one run: start and merge each run separately"));
            }
        }
        if load.embedded {
            faults.push("--embedded: each shard would have its own broker: start one that all of them reach".into());
        }
        let has_rate = load.flood || load.rate.is_some() || load.rate_per_client.is_some();
        let sends = load.publishers() > 0 && load.plan_verb() != Some(Verb::Echo);
        if sends && !has_rate {
            faults.push(
                "--shard: the second stage of this run follows from what the first one carried in all shards together: \
                 run --flood first, merge, and then --rate with half of its rate"
                    .into(),
            );
        }
        faults
    }

    /// What does not go with `mqbench self`, which brings its own sink and its own load, and --full without it.
    fn faults_of_self(&self) -> Vec<String> {
        let is_self = self.load.verb == Some(Verb::Self_);
        let mut faults = Vec::new();
        if self.calibrate.full && !is_self {
            faults.push("--full: only for mqbench self".into());
        }
        if !is_self {
            return faults;
        }
        let connection = &self.connection;
        for (given, option) in [
            (connection.host.is_some(), "-h"),
            (connection.url.is_some(), "-L"),
            (connection.unix.is_some(), "--unix"),
            (connection.port.is_some(), "-p"),
            (self.load.embedded, "--embedded"),
            (self.targets.hosts.is_some(), "--hosts"),
        ] {
            if given {
                faults.push(format!("mqbench self uses its own sink: remove {option}"));
            }
        }
        for (given, option) in self.choices_of_load() {
            if given {
                faults.push(format!("mqbench self uses its own load: remove {option}"));
            }
        }
        faults
    }

    /// The options that choose a load, and whether each was given.
    fn choices_of_load(&self) -> impl IntoIterator<Item = (bool, &'static str)> {
        // Everything is named here, so that a new option is not forgotten; a default cannot be told from its value.
        let LoadOptions {
            verb: _,
            operands: _,
            threads: _,
            window: _,
            shape,
            clients,
            pubs,
            subs,
            flood,
            rate,
            rate_per_client,
            arrival,
            behind,
            seed,
            topic,
            qos,
            retain,
            size,
            payload,
            message,
            csv,
            file,
            connect_rate,
            busy_poll,
            embedded: _,
        } = &self.load;
        let TargetOptions { hosts: _, pair, reconnect, client, hold: _, ping_interval: _, broker_pid, sys, no_sys } =
            &self.targets;
        let StageOptions { duration, warmup, drain: _, count } = &self.stages;
        [
            (shape.is_some(), "--shape"),
            (clients.is_some(), "--clients"),
            (pubs.is_some(), "--pubs"),
            (subs.is_some(), "--subs"),
            (*flood, "--flood"),
            (rate.is_some(), "--rate"),
            (rate_per_client.is_some(), "--rate-per-client"),
            (arrival.is_some(), "--arrival"),
            (behind.is_some(), "--behind"),
            (seed.is_some(), "--seed"),
            (!topic.is_empty(), "-t"),
            (*qos != QoS::AtMostOnce, "-q"),
            (*retain, "-r"),
            (size.is_some(), "--size"),
            (payload.is_some(), "--payload"),
            (message.is_some(), "-m"),
            (csv.is_some(), "--csv"),
            (file.is_some(), "-f"),
            (connect_rate.is_some(), "--connect-rate"),
            (*busy_poll, "--busy-poll"),
            (duration.is_some(), "--duration"),
            (warmup.is_some(), "--warmup"),
            (count.is_some(), "-C"),
            (!self.result.gate.is_empty(), "--gate"),
            (pair.is_some(), "--pair"),
            (reconnect.is_some(), "--reconnect"),
            (client.is_some(), "--client"),
            (*sys, "--sys"),
            (*no_sys, "--no-sys"),
            (self.result.prometheus.is_some(), "--prometheus"),
            (broker_pid.is_some(), "--broker-pid"),
        ]
    }
}
