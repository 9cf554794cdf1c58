//! The texts behind the options: EXAMPLES, EXIT STATUS, FILES, ENVIRONMENT and SEE ALSO of every tool, for both
//! `--help` and the man pages.

use std::fmt::Write;

/// One section.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its heading, in capitals.
    pub title: &'static str,
    /// What it lists.
    pub entries: &'static [Entry],
}

/// One entry: a command, a number, a file, a variable, and its description.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it is about.
    pub term: &'static str,
    /// Its description.
    pub text: &'static str,
}

const fn entry(term: &'static str, text: &'static str) -> Entry {
    Entry { term, text }
}

/// Sections that only the man pages have.
const ONLY_IN_MAN_PAGES: [&str; 2] = ["CONFIGURATION", "SEE ALSO"];

/// The sections as `--help` prints them below the options.
pub(super) fn as_help(sections: &[Section]) -> String {
    let mut help = String::new();
    for section in sections.iter().filter(|section| !ONLY_IN_MAN_PAGES.contains(&section.title)) {
        if !help.is_empty() {
            help.push('\n');
        }
        let _ = writeln!(help, "{}:", section.title);
        // Short terms share a line with their text; commands are above it.
        let width = section.entries.iter().map(|entry| entry.term.chars().count()).max().unwrap_or(0);
        for Entry { term, text } in section.entries {
            let _ = if width <= 12 {
                writeln!(help, "  {term:<width$}  {text}")
            } else {
                writeln!(help, "  {term}\n      {text}")
            };
        }
    }
    help.truncate(help.trim_end().len());
    help
}

const PASSWORD: Entry = entry("MQTT_PASSWORD", "Password, if -u is given and no option gives a password.");
const PROXY: Entry = entry(
    "https_proxy",
    "Proxy, used with --proxy env only; likewise HTTPS_PROXY, all_proxy, ALL_PROXY, and no_proxy and NO_PROXY for \
     hosts to connect to directly.",
);
const PROFILES: Entry = entry("~/.config/mqtools/profiles.toml", "The profiles of --profile, for all client tools.");
const CONFIG_HOME: Entry = entry("XDG_CONFIG_HOME", "Folder of the options files; $HOME/.config if not set.");
const DONE: Entry = entry("0", "Success: everything was measured as requested; --help and --version.");
const FAILED: Entry =
    entry("1", "Failed: file, DNS, TCP, proxy, TLS or WebSocket error, connection lost, protocol error.");
const USAGE: Entry = entry("2", "Usage error; nothing was done.");
const REFUSED: Entry =
    entry("128-162", "Refused by the broker: the MQTT 5 reason code; return codes of MQTT 3.1.1 are mapped to it.");
const INTERRUPTED: Entry = entry(
    "130, 143, 129",
    "Ended by SIGINT, SIGTERM or SIGHUP: the tool cleans up, then dies from the signal, which a shell reports as one of \
     these numbers.",
);

/// The placeholders of all templates.
const TEMPLATES: Section = Section {
    title: "TEMPLATES",
    entries: &[
        entry("%%", "A percent sign."),
        entry(
            "%i %c %u",
            "mqbench: number of the client, its client identifier, its user name; %05i has leading zeros.",
        ),
        entry("%s", "Number of the message, from 0; %05s has leading zeros."),
        entry("%t", "Unix time in milliseconds."),
        entry("%{count:START:STEP}", "START, START + STEP and so on; %{count} is 0, 1, 2."),
        entry(
            "%{time:FORM}",
            "Time in s, ms, us or ns, or as in %{time:%Y-%m-%d} (strftime, UTC); %{time} is RFC 3339.",
        ),
        entry("%{int:1..6}", "A random whole number of a range, both ends included."),
        entry("%{float:18..24:1}", "A random number of a range, with one decimal; without :1 with three."),
        entry("%{choice:on|off}", "One of the texts, at random."),
        entry("%{uuid}", "A random UUID."),
        entry(
            "%{csv:COLUMN}",
            "The value of a column of --csv, from the row of the message; mqbench: in names and topics, from the row of the client.",
        ),
        entry("%{line}", "mqpub: the line of -l, in topics and in -m."),
        entry(
            "Where",
            "mqpub with --template: topics and messages. mqbench: -m and --payload template:FILE; in -t, -i, -u and -P \
             all but %s, %t and %{time}, with a value per client. Random values follow from --seed.",
        ),
    ],
};

pub(super) const PUBLISH: &[Section] = &[
    Section {
        title: "EXAMPLES",
        entries: &[
            entry("mqpub -h broker -t lamp/kitchen -m on", "Publish one message."),
            entry("mqpub -h broker -t lamp/kitchen -n -r", "Remove the retained message of a topic."),
            entry("tail -f log | mqpub -h broker -t log -l -q 1", "Publish each line as a message, at QoS 1."),
            entry(
                "mqsub -h one -t 'site/#' -q 1 --json | jq -c --unbuffered '.topic |= \"copy/\" + .' | mqpub -h two --json",
                "Mirror topics to another broker, changed on the way; each line has topic, QoS and retain flag.",
            ),
            entry(
                "printf 'a/1\\ton\\na/2\\toff\\n' | mqpub -h broker --topic-sep TAB",
                "Publish lines of the form topic, tab, payload.",
            ),
            entry(
                "mqpub -h test --replay site.ndjson.zst --speed 10 --map 'site/#=test/#'",
                "Replay what mqsub --record recorded, ten times as fast, under other topics.",
            ),
            entry(
                "mqpub -h broker --template -t 'room/%{int:1..9}' -m '{\"n\":%s,\"at\":%{time:ms}}' --repeat 100",
                "Publish 100 generated messages; --seed makes them the same each time.",
            ),
            entry(
                "mqpub -h broker --template --csv rooms.csv -t 'room/%{csv:id}' -m '%{csv:name}' -r -q 1",
                "Publish a retained message per row of a CSV file.",
            ),
            entry(
                "mqpub -h broker -t cmd/reboot -m now -q 1 -V 5 --require-subscriber",
                "Fail if no client is subscribed to the topic.",
            ),
            entry("mqpub -L mqtts://user@broker/photo --pw-file secret -f a.jpg", "Publish a file over TLS."),
            entry("mqpub -h broker -t a -m hello -D publish user-property from me", "Add an MQTT 5 user property."),
            entry(
                "mqpub -h broker -t log -l -f log.txt -q 1 --retry forever --backoff 1s..30s --summary text",
                "Publish a file line by line, waiting for the broker as long as needed, and print a summary at the end.",
            ),
            entry("mqpub -L wss://broker/mqtt -t a -m hello", "Use WebSocket over TLS; without TLS use ws:// or --ws."),
            entry("mqpub -h broker -t a -m hello --proxy socks5h://proxy:1080", "Connect through a proxy."),
            entry(
                "mqpub --compat -t a -m hello",
                "Behave as mosquitto_pub: its syntax, messages and exit status. A link of that name does the same.",
            ),
        ],
    },
    TEMPLATES,
    Section {
        title: "EXIT STATUS",
        entries: &[
            entry("0", "Success: every message was sent and, at QoS 1 and 2, acknowledged; --help and --version."),
            entry(
                "1",
                "Failed: file, DNS, TCP, proxy, TLS or WebSocket error, connection lost, protocol error, or a line that is \
                 not a message.",
            ),
            USAGE,
            entry("43", "No acknowledgement arrived in time."),
            entry(
                "44",
                "The broker did less than requested: it acknowledged QoS 2 as QoS 1, or with --require-subscriber a \
                 message had no subscriber.",
            ),
            REFUSED,
            INTERRUPTED,
        ],
    },
    Section {
        title: "FILES",
        entries: &[
            entry(
                "~/.config/mosquitto_pub",
                "Options, one per line; the other options files and the command line override them. See -o.",
            ),
            entry("~/.config/mqpub", "The same, read by mqpub only; the command line overrides them."),
            PROFILES,
        ],
    },
    Section { title: "ENVIRONMENT", entries: &[PASSWORD, PROXY, CONFIG_HOME] },
    Section {
        title: "SEE ALSO",
        entries: &[entry("mqsub(1), mqrr(1), mqbench(1), mqbroker(1)", "The other tools of the suite.")],
    },
];

pub(super) const SUBSCRIBE: &[Section] = &[
    Section {
        title: "EXAMPLES",
        entries: &[
            entry("mqsub -h broker -t 'sensor/+/temperature' -v", "Print each message with its topic."),
            entry("mqsub -h broker -t status -C 1 -W 5", "Wait up to five seconds for one message."),
            entry(
                "mqsub -h broker -t 'home/#' -V 5 -q 2 --retained --once --json",
                "Print all retained messages of a tree and exit: a dump, one JSON object per line.",
            ),
            entry(
                "mqsub -h broker -t 'old/#' --retained --once --remove-retained --dry-run",
                "List the topics of the retained messages that the same command without --dry-run removes.",
            ),
            entry("mqsub -h broker -t '#' --stats", "Show count, rate, bytes and last payload of each topic."),
            entry("mqsub -h broker --tree", "Explore all topics on the terminal; ? shows the keys."),
            entry("mqsub --tree --from day.ndjson.zst", "Explore a recording, forward and back in time."),
            entry("mqsub -h broker -t '#' --json | jq .topic", "Print one JSON object per line."),
            entry(
                "mqsub -h broker -t 'room/+' -v --filter '.payload_json.temp > 30'",
                "Print messages whose JSON payload has a temperature above 30.",
            ),
            entry(
                "mqsub -h broker -t device/1/state --expect '=online' --within 30s",
                "Wait for this payload. If it does not come in time, print what came instead, and exit with status 40.",
            ),
            entry("mqsub -h broker -t 'sensor/#' --silent-after 1m --each-topic", "Exit when a sensor falls silent."),
            entry(
                "mqsub -h broker -t 'sensor/#' --silent-after 1m --each-topic --silent-exec 'logger silent: {topic}'",
                "Run a command whenever a sensor falls silent.",
            ),
            entry(
                "mqsub -h broker -t '#' -q 1 --record day.ndjson.zst --rotate 1h",
                "Record everything to compressed files of one hour: day-0001.ndjson.zst and so on.",
            ),
            entry(
                "mqsub -h broker --topic-qos 'log/#=0' --topic-qos 'order/#=2'",
                "Use a different QoS for each subscription.",
            ),
            entry(
                "mqsub -h broker -t result -C 1 -W 30 --wait 60s --exec './device --self-test'",
                "Wait for the broker, subscribe, then start a device and wait for its message.",
            ),
            entry(
                "mqsub -h broker -t 'photo/+' -q 1 --jobs 4 --run 'convert - -resize 800 -- small-{topic[2]}.jpg'",
                "Run a command for each message, four at a time, with the payload on its stdin.",
            ),
            entry("mqsub -h broker -t 'config/#' --to-dir config", "Keep the last payload of each topic in a file."),
            entry(
                "mqsub --compat -t '#' -v",
                "Behave as mosquitto_sub: its syntax, messages and exit status. A link of that name does the same.",
            ),
        ],
    },
    Section {
        title: "EXIT STATUS",
        entries: &[
            entry(
                "0",
                "Success: -C, -E, --once, --until or --expect was reached, or the reader closed stdout; --help and --version.",
            ),
            entry(
                "1",
                "Failed: file, DNS, TCP, proxy, TLS or WebSocket error, connection lost, protocol error, or a command of \
                 --run failed.",
            ),
            USAGE,
            entry(
                "1-255",
                "With --exec: the status of its command if that is not 0, or 128 plus the number of the signal that ended it.",
            ),
            entry("27", "The time limit of -W was reached."),
            entry("40", "Messages came, but none that matches --expect, or one that --none-within excludes."),
            entry("41", "No message came within the time of --within or --silent-after."),
            entry("42", "Fewer messages than --count matched --expect."),
            entry("43", "The broker did not answer a SUBSCRIBE or UNSUBSCRIBE in time."),
            REFUSED,
            INTERRUPTED,
        ],
    },
    Section {
        title: "FILES",
        entries: &[
            entry(
                "~/.config/mosquitto_sub",
                "Options, one per line; the other options files and the command line override them. See -o.",
            ),
            entry("~/.config/mqsub", "The same, read by mqsub only; the command line overrides them."),
            PROFILES,
        ],
    },
    Section { title: "ENVIRONMENT", entries: &[PASSWORD, PROXY, CONFIG_HOME] },
    Section {
        title: "SEE ALSO",
        entries: &[entry("mqpub(1), mqrr(1), mqbench(1), mqbroker(1)", "The other tools of the suite.")],
    },
];

pub(super) const REQUEST: &[Section] = &[
    Section {
        title: "EXAMPLES",
        entries: &[
            entry("mqrr -h broker -t lamp/get -m state -W 5", "Send one request and print the response."),
            entry(
                "mqsub -t echo -V 5 -F '%R %D %p' | while read -r topic data text; do mqpub -t \"$topic\" -m \"$text\" \
                 -D publish correlation-data \"$data\"; done",
                "A responder to try it with: it returns each request to its response topic with its correlation data.",
            ),
            entry("mqrr -t echo -m hello -W 5", "Send a request to that responder."),
            entry(
                "mqrr -t echo -m ping --repeat 10 --repeat-delay 1 --latency",
                "Measure the latency of ten requests.",
            ),
            entry(
                "mqrr -t discover -n -C 3 -W 2 --json",
                "Print the responses of three responders, one JSON object per line.",
            ),
            entry(
                "jq -c .job jobs.json | mqrr -h broker -t work -q 1 -l",
                "Send one request per input line, print one response per line.",
            ),
            entry(
                "mqrr -t cmd -e answers -m status -V 311 -W 5",
                "Use MQTT 3.1.1; the responder must know the topic of -e.",
            ),
            entry(
                "mqrr --compat -t cmd -e answers -m status",
                "Behave as mosquitto_rr: its syntax, messages and exit status. A link of that name does the same.",
            ),
        ],
    },
    Section {
        title: "EXIT STATUS",
        entries: &[
            entry("0", "Success: all responses arrived, or the reader closed stdout; --help and --version."),
            FAILED,
            USAGE,
            entry("27", "The time limit of -W was reached and no response had arrived."),
            entry("42", "The time limit of -W was reached and fewer responses than -C had arrived."),
            entry("43", "The broker did not answer the SUBSCRIBE or acknowledge the request in time."),
            REFUSED,
            INTERRUPTED,
        ],
    },
    Section {
        title: "FILES",
        entries: &[
            entry(
                "~/.config/mosquitto_rr",
                "Options, one per line; the other options files and the command line override them. See -o.",
            ),
            entry("~/.config/mqrr", "The same, read by mqrr only; the command line overrides them."),
            PROFILES,
        ],
    },
    Section { title: "ENVIRONMENT", entries: &[PASSWORD, PROXY, CONFIG_HOME] },
    Section {
        title: "SEE ALSO",
        entries: &[entry("mqpub(1), mqsub(1), mqbench(1), mqbroker(1)", "The other tools of the suite.")],
    },
];

pub(super) const BENCH: &[Section] = &[
    Section {
        title: "EXAMPLES",
        entries: &[
            entry("mqbench -h broker -q 1", "Measure the maximum throughput at QoS 1, and the latency at half of it."),
            entry("mqbench --embedded", "Measure a broker inside this process."),
            entry(
                "mqbench -h broker --rate 10k --pubs 100 --subs 10 --duration 60s",
                "Send 10,000 messages per second from 100 publishers to 10 subscribers for a minute.",
            ),
            entry(
                "mqbench -h broker --rate 1k --gate 'e2e.p99 <= 20ms && lost == 0'",
                "For CI: exit with status 3 unless both hold.",
            ),
            entry(
                "mqbench -h broker --rate 1k --baseline last.json --gate 'vs(e2e.p99) <= +10%'",
                "Compare with a saved result, and exit with status 3 if the 99th percentile rose by more than 10 %.",
            ),
            entry(
                "mqbench --hosts old:1883,new:1883 --ab --runs 5 --rate 1k",
                "Measure two brokers alternately, five times each, and compare them with confidence intervals.",
            ),
            entry(
                "mqbench compare last-*.json vs today-*.json",
                "Compare saved results; the exit status is 5 if a figure that counts is worse.",
            ),
            entry(
                "mqbench find -h broker -q 1 --slo 'e2e.p99 < 10ms && lost == 0'",
                "Find the highest rate at which both hold.",
            ),
            entry("mqbench -h broker --shape fan-out --subs 100 --rate 50", "Use one publisher and 100 subscribers."),
            entry(
                "mqbench -h broker --shape shared:2 --pubs 10 --subs 8 --rate 1k -q 1",
                "Use shared subscriptions: two groups of four subscribers.",
            ),
            entry(
                "mqbench -h broker --rate 1k --arrival poisson --size 100..2Ki --payload random --seed 7",
                "Use random times and sizes, the same for the same seed.",
            ),
            entry(
                "mqbench -L mqtts://user@broker --pw-file secret --flood -q 2 -C 1M",
                "Send a million messages at QoS 2 over TLS, as fast as the window allows.",
            ),
            entry(
                "mqbench --hosts node1,node2:1884 --pair cross --rate 1k --reconnect",
                "Publish to one node of a cluster, receive from the next, and reconnect lost connections.",
            ),
            entry(
                "mqbench conn -h broker --clients 50k --connect-rate 1k --hold 5m -A 10.0.0.0/28",
                "Hold 50,000 connections from the addresses of a network, and measure connecting and pings.",
            ),
            entry(
                "mqbench --broker-pid auto --sys --gate 'broker.sys.dropped == 0 && broker.cpu_pct < 90'",
                "Record what the broker on this machine uses and reports, and fail if it dropped a message.",
            ),
            entry(
                "mqbench -h broker --rate 1k --duration 1h --prometheus 127.0.0.1:9100",
                "Run for an hour and serve the figures to Prometheus meanwhile.",
            ),
            entry(
                "mqbench -h broker -q 1 --client rumqttc",
                "Run the same load through the client library rumqttc, for a second opinion.",
            ),
            entry("mqbench echo -h broker --rate 100", "Measure the round trip through a responder."),
            entry("mqbench pub -h broker -q 1 --flood", "Only publish; use sub to only receive."),
            entry(
                "mqbench report result.json --out report.html",
                "Print a saved result, and write it in another format.",
            ),
            entry(
                "mqbench merge a.json b.json --out all.json",
                "Add the results of one plan that ran on two machines.",
            ),
            entry(
                "mpirun -np 4 mqbench -h broker -q 1 --clients 20k --rate 100k --shard auto --job \"$(date +%s)\" --out 'shard-%s.json'",
                "Run one load in four processes that start together; then add them: mqbench merge shard-*.json --out all.json.",
            ),
            entry(
                "mqbench plan --engine slurm --shards 8 -h broker -q 1 --rate 400k --gate 'lost == 0' > job.sbatch",
                "Print the job file for eight machines: run, merge and gate. Also mpi, kubernetes and parallel.",
            ),
            entry(
                "mqbench plan --target '1M clients, 500k/s' -q 1",
                "Compute how many machines like this one that takes, and name the limit.",
            ),
            entry(
                "mqbench doctor -h broker --clients 25k",
                "Check whether this machine can run 50,000 clients, and print the command that raises each limit.",
            ),
            entry(
                "mqbench self",
                "Measure the ceiling of mqbench on this machine; later results report their headroom.",
            ),
        ],
    },
    TEMPLATES,
    Section {
        title: "EXIT STATUS",
        entries: &[
            DONE,
            entry(
                "1",
                "Failed: file, DNS, TCP, proxy, TLS or WebSocket error, connection lost, protocol error, no message \
                 delivered, or this machine cannot run the plan.",
            ),
            USAGE,
            entry("3", "A gate failed, or no rate met --slo."),
            entry(
                "4",
                "The measurement is not valid, or mqbench find reached the limit of mqbench or of this machine.",
            ),
            entry("5", "A figure that counts is worse than in the result that it was compared with."),
            entry("43", "The broker did not answer a SUBSCRIBE in time."),
            entry("44", "The broker granted a lower QoS than requested, or acknowledged QoS 2 with PUBACK."),
            REFUSED,
            INTERRUPTED,
        ],
    },
    Section {
        title: "FILES",
        entries: &[
            entry("~/.config/mqbench", "Options, one per line; the command line overrides them. See -o."),
            PROFILES,
            entry("~/.cache/mqtools/self.json", "The ceiling measured by mqbench self."),
        ],
    },
    Section {
        title: "ENVIRONMENT",
        entries: &[
            entry("MQBENCH_SHARDS", "Number of shards for --shard auto, where the engine has no variable for it."),
            entry("MQBENCH_JOB", "Name of the run, where --job is not given."),
            PASSWORD,
            PROXY,
            CONFIG_HOME,
            entry("XDG_CACHE_HOME", "Folder of the saved ceiling; $HOME/.cache if not set."),
        ],
    },
    Section {
        title: "SEE ALSO",
        entries: &[entry("mqpub(1), mqsub(1), mqrr(1), mqbroker(1)", "The other tools of the suite.")],
    },
];

pub(super) const BROKER: &[Section] = &[
    Section {
        title: "EXAMPLES",
        entries: &[
            entry("mqbroker", "Run a broker on port 1883, for this machine only."),
            entry("mqbroker -p 0 -v", "Use a free port and log each packet; -vv also logs each byte."),
            entry("mqbroker --ws-port 8080", "Serve WebSocket too, at ws://localhost:8080/mqtt."),
            entry("mqbroker -c broker.conf -d", "Run in the background with a configuration file."),
            entry("mqbroker passwd users.txt ann", "Set ann's password in a file for password_file."),
            entry("mqbroker --compat -v", "Print mosquitto's lines at start and end, as a link named mosquitto does."),
        ],
    },
    Section {
        title: "LIMITS",
        entries: &[
            entry(
                "CONNECT",
                "At most 384 KiB, which fits a will, a user name and a password of 65,535 bytes each. It must arrive \
                 within 10 s. Incomplete CONNECT packets use at most 64 MiB in total.",
            ),
            entry(
                "$SYS/broker/heap/current",
                "Resident memory of the process in bytes (Linux), updated every sys_interval; heap/maximum is the \
                 highest value so far.",
            ),
            entry(
                "disk full",
                "Clients are still served; the log reports that nothing is saved. Saving resumes when there is room.",
            ),
        ],
    },
    Section {
        title: "CONFIGURATION",
        entries: &[
            entry(
                "Listeners",
                "listener PORT [ADDRESS|PATH], port, bind_address, socket_domain, protocol mqtt|websockets, \
                 max_connections, max_qos, max_topic_alias, max_topic_alias_broker, listener_allow_anonymous, \
                 listener_auto_id_prefix, websockets_origin. TLS: certfile, keyfile, cafile, capath, crlfile, \
                 require_certificate, use_identity_as_username, use_subject_as_username, tls_version.",
            ),
            entry(
                "Access",
                "allow_anonymous, allow_zero_length_clientid, auto_id_prefix, password_file (hashes $6$, $7$ and \
                 $argon2id$, as mosquitto_passwd writes them), acl_file.",
            ),
            entry(
                "Persistence",
                "persistence, persistence_location, persistence_file, persistence_sync always|interval. With always, the \
                 default, a message is on disk before it is acknowledged; with interval, within a second.",
            ),
            entry(
                "Limits",
                "global_max_clients, global_max_connections, max_inflight_messages, max_inflight_bytes, \
                 max_queued_messages, max_queued_bytes (64 MiB), queue_qos0_messages, max_packet_size, \
                 message_size_limit, max_keepalive, memory_limit, persistent_client_expiration, retain_available, \
                 with the names and defaults of mosquitto.",
            ),
            entry(
                "Logging",
                "log_dest stdout|stderr|file|topic|none, log_type, log_timestamp, log_timestamp_format, \
                 connection_messages.",
            ),
            entry("Process", "user, pid_file (with -d), include_dir, set_tcp_nodelay, sys_interval."),
        ],
    },
    Section {
        title: "SIGNALS",
        entries: &[
            entry("SIGHUP", "Reload passwords, access lists, certificates and log types, and reopen the log file."),
            entry("SIGUSR1", "Save the persistent state."),
            entry("SIGUSR2", "Log the subscriptions."),
        ],
    },
    Section {
        title: "EXIT STATUS",
        entries: &[
            entry("0", "Success of --test-config and passwd; --help and --version."),
            entry("1", "Failed: for example, the port is in use, or the database or log file is not usable."),
            USAGE,
            INTERRUPTED,
        ],
    },
    Section {
        title: "FILES",
        entries: &[
            entry("FILE", "The configuration file given with -c; there is no default file."),
            entry("mqbroker.db", "The database in persistence_location, with persistence true."),
        ],
    },
    Section { title: "ENVIRONMENT", entries: &[entry("NO_COLOR", "No colors in the log if set.")] },
    Section {
        title: "SEE ALSO",
        entries: &[entry("mqpub(1), mqsub(1), mqrr(1), mqbench(1)", "The other tools of the suite.")],
    },
];
