//! The texts behind the options: EXAMPLES, EXIT STATUS, FILES, ENVIRONMENT and SEE ALSO of every tool, said once for
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

/// One entry: a command, a number, a file, a variable, and what is to be said of it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it is about.
    pub term: &'static str,
    /// What is to be said.
    pub text: &'static str,
}

const fn entry(term: &'static str, text: &'static str) -> Entry {
    Entry { term, text }
}

/// The sections as they stand below the options in `--help`; SEE ALSO is for the man pages.
pub(super) fn as_help(sections: &[Section]) -> String {
    let mut help = String::new();
    for section in sections.iter().filter(|section| section.title != "SEE ALSO") {
        if !help.is_empty() {
            help.push('\n');
        }
        let _ = writeln!(help, "{}:", section.title);
        // Short terms stand in a column; commands stand above their text.
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

const PASSWORD: Entry = entry("MQTT_PASSWORD", "Password, when -u is given without -P and --pw-file.");
const PROXY: Entry = entry(
    "https_proxy",
    "Proxy, read with --proxy env only; so are HTTPS_PROXY, all_proxy, ALL_PROXY, and no_proxy, NO_PROXY for hosts \
     without one.",
);
const CONFIG_HOME: Entry = entry("XDG_CONFIG_HOME", "Folder of the options files; $HOME/.config when it is not set.");
const DONE: Entry = entry("0", "Done: everything asked for was delivered, received or measured; --help and --version.");
const FAILED: Entry =
    entry("1", "Failed here: file, DNS, TCP, proxy, TLS, WebSocket, connection lost, broken protocol.");
const USAGE: Entry = entry("2", "Wrong usage; nothing was done.");
const REFUSED: Entry =
    entry("128-162", "Refused by the broker: the MQTT 5 reason code, to which those of 3.1.1 are mapped.");
const INTERRUPTED: Entry = entry(
    "130, 143, 129",
    "Ended by SIGINT, SIGTERM or SIGHUP: the tool cleans up, then dies by the signal, which a shell shows as one of these numbers.",
);

pub(super) const PUBLISH: &[Section] = &[
    Section {
        title: "EXAMPLES",
        entries: &[
            entry("mqpub -h broker -t lamp/kitchen -m on", "One message."),
            entry("mqpub -h broker -t lamp/kitchen -n -r", "Remove the retained message of a topic."),
            entry("tail -f log | mqpub -h broker -t log -l -q 1", "Every line as a message, each acknowledged."),
            entry("mqpub -L mqtts://user@broker/photo --pw-file secret -f a.jpg", "A file, over TLS."),
            entry("mqpub -h broker -t a -m hello -D publish user-property from me", "With a property of MQTT 5."),
            entry(
                "mqpub -h broker -t log -l -f log.txt -q 1 --retry forever --backoff 1s..30s --summary text",
                "A file line by line; waits for the broker when it is away, and says at the end what became of it.",
            ),
            entry("mqpub -L wss://broker/mqtt -t a -m hello", "Over WebSocket and TLS; plain: ws://, or --ws."),
            entry("mqpub -h broker -t a -m hello --proxy socks5h://proxy:1080", "Through a proxy."),
            entry(
                "mqpub --compat -t a -m hello",
                "As mosquitto_pub does it, with its grammar, texts and exit status; so does a link of that name.",
            ),
        ],
    },
    Section {
        title: "EXIT STATUS",
        entries: &[
            entry("0", "Done: every message was sent and, at QoS 1 and 2, acknowledged; --help and --version."),
            FAILED,
            USAGE,
            entry("43", "No acknowledgement came in time."),
            entry("44", "The broker did less than was asked: it acknowledged QoS 2 as QoS 1."),
            REFUSED,
            INTERRUPTED,
        ],
    },
    Section {
        title: "FILES",
        entries: &[
            entry("~/.config/mosquitto_pub", "Options, one a line, that stand in front of all others; see -o."),
            entry(
                "~/.config/mqpub",
                "The same for mqpub alone; stands behind the first and in front of the command line.",
            ),
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
            entry("mqsub -h broker -t 'sensor/+/temperature' -v", "Print every message behind its topic."),
            entry("mqsub -h broker -t status -C 1 -W 5", "Wait at most five seconds for one message."),
            entry("mqsub -h broker -t '#' --retained-only -v -W 2", "The retained messages of a broker."),
            entry("mqsub -h broker -t '#' --json | jq .topic", "One JSON object a line."),
            entry("mqsub -h broker --topic-qos 'log/#=0' --topic-qos 'order/#=2'", "A QoS for each subscription."),
            entry(
                "mqsub --compat -t '#' -v",
                "As mosquitto_sub does it, with its grammar, texts and exit status; so does a link of that name.",
            ),
        ],
    },
    Section {
        title: "EXIT STATUS",
        entries: &[
            entry("0", "Done: -C or -E reached, stdout closed by its reader; --help and --version."),
            FAILED,
            USAGE,
            entry("27", "The time of -W ran out."),
            entry("43", "The broker did not answer a SUBSCRIBE or UNSUBSCRIBE in time."),
            REFUSED,
            INTERRUPTED,
        ],
    },
    Section {
        title: "FILES",
        entries: &[
            entry("~/.config/mosquitto_sub", "Options, one a line, that stand in front of all others; see -o."),
            entry(
                "~/.config/mqsub",
                "The same for mqsub alone; stands behind the first and in front of the command line.",
            ),
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
            entry("mqrr -h broker -t lamp/get -m state -W 5", "One request, whose response is printed."),
            entry(
                "mqsub -t echo -V 5 -F '%R %D %p' | while read -r topic data text; do mqpub -t \"$topic\" -m \"$text\" \
                 -D publish correlation-data \"$data\"; done",
                "A responder to try it with: it sends back what it gets, to the topic and with the data of the request.",
            ),
            entry("mqrr -t echo -m hello -W 5", "Asks that one."),
            entry("mqrr -t echo -m ping --repeat 10 --repeat-delay 1 --latency", "How long do ten requests take?"),
            entry("mqrr -t discover -n -C 3 -W 2 --json", "The responses of three responders, one JSON object a line."),
            entry(
                "jq -c .job jobs.json | mqrr -h broker -t work -q 1 -l",
                "A request a line in, a response a line out.",
            ),
            entry(
                "mqrr -t cmd -e answers -m status -V 311 -W 5",
                "MQTT 3.1.1: the responder has to know the topic of -e.",
            ),
            entry(
                "mqrr --compat -t cmd -e answers -m status",
                "As mosquitto_rr does it, with its grammar, texts and exit status; so does a link of that name.",
            ),
        ],
    },
    Section {
        title: "EXIT STATUS",
        entries: &[
            entry("0", "Done: all responses came, or stdout was closed by its reader; --help and --version."),
            FAILED,
            USAGE,
            entry("27", "The time of -W ran out and no response had come."),
            entry("42", "The time of -W ran out and fewer responses than -C asks for had come."),
            entry("43", "The broker did not answer the SUBSCRIBE or acknowledge the request in time."),
            REFUSED,
            INTERRUPTED,
        ],
    },
    Section {
        title: "FILES",
        entries: &[
            entry("~/.config/mosquitto_rr", "Options, one a line, that stand in front of all others; see -o."),
            entry(
                "~/.config/mqrr",
                "The same for mqrr alone; stands behind the first and in front of the command line.",
            ),
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
            entry("mqbench -h broker -q 1", "What the broker carries at QoS 1, and its latency at half of that."),
            entry("mqbench --embedded", "The same against a broker inside this process."),
            entry(
                "mqbench -h broker --rate 10k --pubs 100 --subs 10 --duration 60s",
                "10,000 messages a second from 100 publishers to 10 subscribers, for a minute.",
            ),
            entry(
                "mqbench -h broker --rate 1k --gate 'e2e.p99 <= 20ms && lost == 0'",
                "For CI: exit status 3 unless both hold.",
            ),
            entry("mqbench -h broker --shape fan-out --subs 100 --rate 50", "One publisher, 100 subscribers."),
            entry(
                "mqbench -h broker --shape shared:2 --pubs 10 --subs 8 --rate 1k -q 1",
                "Two groups of four subscribers, each message once to each group.",
            ),
            entry(
                "mqbench -h broker --rate 1k --arrival poisson --size 100..2Ki --payload random --seed 7",
                "Random times and sizes, the same ones again with the same seed.",
            ),
            entry(
                "mqbench -L mqtts://user@broker --pw-file secret --flood -q 2 -C 1M",
                "A million messages of QoS 2 over TLS, as fast as the window allows.",
            ),
            entry(
                "mqbench --hosts node1,node2:1884 --pair cross --rate 1k --reconnect",
                "Through a cluster: published on one node, received on the next; lost connections come back.",
            ),
            entry(
                "mqbench conn -h broker --clients 50k --connect-rate 1k --hold 5m -A 10.0.0.0/28",
                "Hold 50,000 connections from the addresses of a network; how long do connecting and a ping take?",
            ),
            entry("mqbench echo -h broker --rate 100", "The round trip through a responder."),
            entry("mqbench pub -h broker -q 1 --flood", "Publishing alone; sub is receiving alone."),
            entry(
                "mqbench doctor -h broker --clients 25k",
                "Can this machine hold 50,000 clients? Each limit with the command that mends it; nothing connects.",
            ),
            entry("mqbench self", "What mqbench itself can on this machine; later results tell their headroom by it."),
        ],
    },
    Section {
        title: "EXIT STATUS",
        entries: &[
            DONE,
            entry(
                "1",
                "Failed here: file, DNS, TCP, proxy, TLS, WebSocket, connection lost, nothing carried, broken \
                 protocol; a plan that does not fit this machine.",
            ),
            USAGE,
            entry("3", "A gate failed."),
            entry("4", "The measurement is not valid."),
            entry("43", "The broker did not answer a SUBSCRIBE in time."),
            entry("44", "The broker granted a lower QoS than was asked for, or acknowledged QoS 2 with PUBACK."),
            INTERRUPTED,
            REFUSED,
        ],
    },
    Section {
        title: "FILES",
        entries: &[
            entry("~/.config/mqbench", "Options, one a line, that stand in front of the command line; see -o."),
            entry("~/.cache/mqtools/self.json", "The ceiling that mqbench self has measured."),
        ],
    },
    Section {
        title: "ENVIRONMENT",
        entries: &[
            PASSWORD,
            PROXY,
            CONFIG_HOME,
            entry("XDG_CACHE_HOME", "Folder of what mqbench self saves; $HOME/.cache when it is not set."),
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
            entry("mqbroker", "A broker on port 1883 of this machine."),
            entry("mqbroker -p 0 -v", "One on a free port that logs every packet; -vv logs every byte."),
            entry("mqbroker --ws-port 8080", "One that speaks WebSocket too, at ws://localhost:8080/mqtt."),
            entry("mqbroker -c broker.conf -d", "One as the file describes it, in the background."),
            entry("mqbroker passwd users.txt ann", "Set ann's password in a file for password_file."),
            entry(
                "mqbroker --compat -v",
                "Start and end with mosquitto's lines and exit status, as a link named mosquitto does.",
            ),
        ],
    },
    Section {
        title: "LIMITS",
        entries: &[
            entry(
                "CONNECT",
                "At most 384 KiB, so that a will, user name and password of 65,535 bytes each fit; it must arrive within 10 s. CONNECT packets that have not arrived whole may hold 64 MiB in total.",
            ),
            entry(
                "$SYS/broker/heap/current",
                "The resident memory of the process in bytes (Linux), updated every sys_interval; heap/maximum is the most so far.",
            ),
            entry(
                "disk full",
                "Clients are served, and the log reports that nothing is saved; saving resumes by itself when there is room.",
            ),
        ],
    },
    Section {
        title: "EXIT STATUS",
        entries: &[
            entry("0", "--help and --version."),
            entry("1", "Failed: the port is taken, the database or the log file cannot be used."),
            USAGE,
            INTERRUPTED,
        ],
    },
    Section {
        title: "FILES",
        entries: &[
            entry("FILE", "The configuration, where -c names one; no file is read by itself."),
            entry("mqbroker.db", "The database, in persistence_location, where persistence is true."),
        ],
    },
    Section { title: "ENVIRONMENT", entries: &[entry("NO_COLOR", "No colours in the log when it is set.")] },
    Section {
        title: "SEE ALSO",
        entries: &[entry("mqpub(1), mqsub(1), mqrr(1), mqbench(1)", "The other tools of the suite.")],
    },
];
