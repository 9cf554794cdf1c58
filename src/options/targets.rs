//! The group of mqbench about its connections: several brokers, how long they are held, what happens when one is lost.

use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::ConnectionOptions;
use super::url::without_zone;
use super::values::{port, positive_duration, whole_number};
use crate::mqtt::check_sent_text;

/// Most brokers of one run; each has a row in the result.
const MOST_HOSTS: usize = 1000;

/// Several brokers, and what happens to connections.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Clients")]
pub struct TargetOptions {
    /// Several brokers, HOST[:PORT] separated by commas; assigned to the clients in rotation.
    ///
    /// A host without a port uses that of -p. An IPv6 address with a port needs brackets. The result has a row per
    /// broker.
    #[arg(long, value_name = "HOSTS", value_hint = ValueHint::Other, value_parser = HostList::parse)]
    pub hosts: Option<HostList>,

    /// With --hosts: a publisher and its subscribers on the same broker, or on two (cross) [default: same].
    ///
    /// cross needs brokers that forward messages to each other: a cluster or a bridge.
    #[arg(long, value_name = "HOW", value_enum)]
    pub pair: Option<PairName>,

    /// Reconnect every TIME after a connection is lost, and measure the outage [default: 1s].
    ///
    /// Messages in flight are not sent again: the result reports how many of them were lost.
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1s",
          value_parser = positive_duration)]
    pub reconnect: Option<Duration>,

    /// Client library to use: mqbench's own engine, or rumqttc for a second opinion [default: mqbench].
    ///
    /// rumqttc runs the same plan, stamps and ledger through that library's own client and event loop: what an
    /// application on it would see. A message counts as sent when the library has written it; latencies from the actual
    /// send begin when it was handed to the library. What rumqttc or this adapter cannot do is an error.
    #[arg(long, value_name = "NAME", value_enum)]
    pub client: Option<ClientName>,

    /// mqbench conn: hold the connections for TIME [default: 10s].
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub hold: Option<Duration>,

    /// mqbench conn: time between the pings of a client [default: Keep Alive, with at least one ping].
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub ping_interval: Option<Duration>,

    /// Report CPU time and memory of the broker's process, by its PID, auto or none (Linux).
    ///
    /// auto looks for the process on this machine that listens on the broker's port; without root it finds only
    /// processes of the same user. All threads of the process are counted, its child processes are not. With --ab, auto
    /// finds that of each broker. By default mqbench looks for it like that if the broker's address is a loopback
    /// address, and reports nothing if it finds none.
    #[arg(long, value_name = "PID", value_parser = BrokerPid::parse, value_hint = ValueHint::Other)]
    pub broker_pid: Option<BrokerPid>,

    /// Record the broker's own figures: the numbers that it publishes under $SYS/.
    ///
    /// They are read over one more connection (see --no-sys), with --hosts from the first broker, and are no part of
    /// any count. Most brokers publish them every 10 s, so rates need a run of 20 s or more; mosquitto and mqbroker
    /// have sys_interval. Gates: broker.sys.received_per_s, sent_per_s, dropped, clients and heap_bytes.
    #[arg(long)]
    pub sys: bool,

    /// Do not query the name and version of the broker.
    ///
    /// By default mqbench reads $SYS/broker/version after the load, over one more connection, with the client
    /// identifier mqb-RUN-sys (RUN is the tag in the run's topics) and the user name and password of client 0.
    #[arg(long)]
    pub no_sys: bool,
}

/// Which process the broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerPid {
    /// This one.
    Pid(u32),
    /// The one that listens on the broker's port.
    Auto,
    /// It is not looked at.
    None,
}

impl BrokerPid {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        if text == "none" {
            return Ok(Self::None);
        }
        let pid = whole_number(text).filter(|pid| *pid > 0);
        pid.map(Self::Pid).ok_or_else(|| "must be a process ID, auto or none".into())
    }
}

/// The client library that carries the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ClientName {
    /// The engine of mqbench.
    #[default]
    Mqbench,
    /// The crate rumqttc.
    Rumqttc,
}

impl ClientName {
    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mqbench => "mqbench",
            Self::Rumqttc => "rumqttc",
        }
    }
}

/// Where a publisher's subscribers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PairName {
    /// On the same broker.
    #[default]
    Same,
    /// On the next broker.
    Cross,
}

/// One broker of `--hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    /// Host, IPv6 without brackets.
    pub host: String,
    /// Port, where one is written.
    pub port: Option<u16>,
}

/// The brokers of `--hosts`, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostList(Vec<HostName>);

impl HostList {
    /// All of them.
    pub fn all(&self) -> &[HostName] {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let hosts: Vec<HostName> = text.split(',').map(|part| host(part.trim())).collect::<Result<_, _>>()?;
        if hosts.len() > MOST_HOSTS {
            return Err(format!("more than {MOST_HOSTS} brokers"));
        }
        Ok(Self(hosts))
    }
}

fn host(text: &str) -> Result<HostName, String> {
    if text.contains('@') {
        return Err("only HOST[:PORT] is allowed; use -u for the user, and -P or --pw-file for the password".into());
    }
    if text.contains("://") {
        return Err("only HOST[:PORT] is allowed; use --tls or --cafile for TLS".into());
    }
    // An IPv6 address without brackets contains colons and has no port.
    let (name, digits) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) => (name, None),
        Some((name, rest)) => (name, Some(rest.strip_prefix(':').ok_or("only :PORT may follow the ] of an address")?)),
        None => match text.split_once(':') {
            Some((_, rest)) if rest.contains(':') => (text, None),
            Some((name, digits)) => (name, Some(digits)),
            None => (text, None),
        },
    };
    if name.is_empty() {
        return Err("a host is empty; the form is HOST[:PORT],HOST[:PORT]…".into());
    }
    if let Some(fault) = without_zone(name) {
        return Err(fault);
    }
    check_sent_text(name).map_err(|error| format!("invalid host: {error}"))?;
    Ok(HostName {
        host: name.to_owned(),
        port: digits.map(port).transpose().map_err(|fault| format!("the port {fault}"))?,
    })
}

impl TargetOptions {
    pub(super) fn faults(&self, connection: &ConnectionOptions) -> Vec<String> {
        let mut faults = Vec::new();
        if self.hosts.is_some() {
            for (given, option) in [
                (connection.host.is_some(), "-h"),
                (connection.url.is_some(), "-L"),
                (connection.unix.is_some(), "--unix"),
            ] {
                if given {
                    faults.push(format!("--hosts cannot be used with {option}"));
                }
            }
        } else if self.pair.is_some() {
            faults.push("--pair needs several brokers: add --hosts".into());
        }
        if self.sys && self.no_sys {
            faults.push("--sys and --no-sys cannot be used together".into());
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_ports() {
        let list = HostList::parse("a:1884, b,[::1]:1885,fe80::1%eth0,[::2]").unwrap();
        let all: Vec<(&str, Option<u16>)> = list.all().iter().map(|host| (host.host.as_str(), host.port)).collect();
        assert_eq!(all, [("a", Some(1884)), ("b", None), ("::1", Some(1885)), ("fe80::1%eth0", None), ("::2", None)]);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "a,", "mqtt://a", "a:0", "a:x", "[::1]x", ":1883", "u:p@h", "u@h:1", "fe80::1", "a\u{7f}b"] {
            assert!(HostList::parse(text).is_err(), "{text}");
        }
    }
}
