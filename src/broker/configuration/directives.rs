//! What each directive does.

use std::path::PathBuf;
use std::time::Duration;

use super::values::{boolean, choice, expiration, number, port, seconds, text, word};
use super::{
    BindTo, Configuration, ListenerConfiguration, LogDestination, LogTypes, PersistenceSync, SocketDomain,
    TlsConfiguration, TlsVersion, unsupported,
};
use crate::broker::ListenProtocol;
use crate::mqtt::QoS;

/// What a directive is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The broker.
    Global,
    /// A listener that begins here.
    NewListener,
    /// The listener of `port` and `bind_address`, at any position in the file.
    DefaultListener,
    /// The listener above it.
    Listener,
}

const GLOBAL: &[&str] = &[
    "acl_file",
    "allow_anonymous",
    "allow_zero_length_clientid",
    "auto_id_prefix",
    "autosave_interval",
    "autosave_on_changes",
    "connection_messages",
    "global_max_clients",
    "global_max_connections",
    "log_dest",
    "log_timestamp",
    "log_timestamp_format",
    "log_type",
    "max_inflight_bytes",
    "max_inflight_messages",
    "max_keepalive",
    "max_packet_size",
    "max_queued_bytes",
    "max_queued_messages",
    "memory_limit",
    "message_size_limit",
    "password_file",
    "persistence",
    "persistence_file",
    "persistence_location",
    "persistence_sync",
    "persistent_client_expiration",
    "pid_file",
    "queue_qos0_messages",
    "retain_available",
    "set_tcp_nodelay",
    "sys_interval",
    "user",
];

const OF_A_LISTENER: &[&str] = &[
    "listener_allow_anonymous",
    "listener_auto_id_prefix",
    "max_connections",
    "max_qos",
    "maximum_qos",
    "max_topic_alias",
    "max_topic_alias_broker",
    "protocol",
    "socket_domain",
    "websockets_origin",
];

const OF_TLS: &[&str] = &[
    "cafile",
    "capath",
    "certfile",
    "crlfile",
    "keyfile",
    "require_certificate",
    "tls_version",
    "use_identity_as_username",
    "use_subject_as_username",
];

/// All directives but `include_dir`.
pub(in crate::broker) const DIRECTIVES: &[&[&str]] =
    &[GLOBAL, OF_A_LISTENER, OF_TLS, &["listener", "port", "bind_address"]];

/// What this directive is about; none where it is unknown or not supported.
pub(super) fn scope(directive: &str) -> Option<Scope> {
    match directive {
        "listener" => Some(Scope::NewListener),
        "port" | "bind_address" => Some(Scope::DefaultListener),
        _ if GLOBAL.contains(&directive) => Some(Scope::Global),
        _ if OF_A_LISTENER.contains(&directive) || OF_TLS.contains(&directive) => Some(Scope::Listener),
        _ => None,
    }
}

/// Why a directive without a scope is refused.
pub(super) fn refusal(directive: &str) -> String {
    if let Some(reason) = unsupported::reason(directive) {
        return format!("{directive}: {reason}");
    }
    let known = DIRECTIVES.iter().copied().flatten().chain(&["include_dir"]);
    let nearest = known.map(|name| (strsim::damerau_levenshtein(name, directive), name)).min();
    let shown: String = directive.chars().take(60).collect();
    match nearest {
        Some((distance, name)) if distance <= 3 && distance < directive.len() / 2 => {
            format!("unknown directive {shown:?}; did you mean {name}?")
        }
        _ => format!("unknown directive {shown:?}"),
    }
}

pub(super) fn apply_global(configuration: &mut Configuration, directive: &str, value: &str) -> Result<(), String> {
    let Configuration { access, limits, persistence, log, .. } = configuration;
    match directive {
        "allow_anonymous" => access.allow_anonymous = Some(boolean(value)?),
        "password_file" => access.password_file = Some(path(value)?),
        "acl_file" => access.acl_file = Some(path(value)?),
        "allow_zero_length_clientid" => limits.allow_zero_length_clientid = boolean(value)?,
        "auto_id_prefix" => access.auto_id_prefix = text(value)?,

        "global_max_clients" if value == "-1" => limits.global_max_clients = 0,
        "global_max_clients" => limits.global_max_clients = number(value, "a number of clients, or -1 for no limit")?,
        "global_max_connections" if value == "-1" => limits.global_max_connections = 0,
        "global_max_connections" => {
            limits.global_max_connections = number(value, "a number of connections, or -1 for no limit")?;
        }
        "max_inflight_messages" => limits.max_inflight_messages = number(value, "a number from 0 to 65535")?,
        "max_inflight_bytes" => limits.max_inflight_bytes = bytes(value)?,
        "max_queued_messages" => limits.max_queued_messages = number(value, "a number of messages")?,
        "max_queued_bytes" => limits.max_queued_bytes = bytes(value)?,
        "max_packet_size" => limits.max_packet_size = packet_size(value)?,
        "message_size_limit" => limits.message_size_limit = short_bytes(value)?,
        "max_keepalive" => limits.max_keepalive = keep_alive(value)?,
        "memory_limit" => limits.memory_limit = bytes(value)?,
        "queue_qos0_messages" => limits.queue_qos0_messages = boolean(value)?,
        "persistent_client_expiration" => limits.persistent_client_expiration = Some(expiration(value)?),

        "persistence" => persistence.enabled = boolean(value)?,
        "persistence_location" => persistence.location = path(value)?,
        "persistence_file" => persistence.file = Some(text(value)?),
        "persistence_sync" => {
            let choices = [("always", PersistenceSync::Always), ("interval", PersistenceSync::Interval)];
            persistence.sync = choice(value, &choices)?;
        }
        // Every change is saved within a second at the latest, which is more than either setting asks for.
        "autosave_interval" => drop(seconds(value)?),
        "autosave_on_changes" => drop(boolean(value)?),

        "log_dest" => add_log_destination(&mut log.destinations, value)?,
        "log_type" => add_log_type(&mut log.types, value)?,
        "log_timestamp" => log.timestamp = boolean(value)?,
        "log_timestamp_format" => log.timestamp_format = Some(time_format(value)?),
        "connection_messages" => log.connection_messages = boolean(value)?,

        "user" => configuration.user = Some(text(value)?),
        "pid_file" => configuration.pid_file = Some(path(value)?),
        "sys_interval" => limits.sys_interval = sys_interval(value)?,
        "retain_available" => limits.retain_available = boolean(value)?,
        "set_tcp_nodelay" => configuration.set_tcp_nodelay = boolean(value)?,
        _ => return Err(refusal(directive)),
    }
    Ok(())
}

pub(super) fn apply_listener(listener: &mut ListenerConfiguration, directive: &str, value: &str) -> Result<(), String> {
    if OF_TLS.contains(&directive) {
        return apply_tls(listener.tls.get_or_insert_default(), directive, value);
    }
    match directive {
        "port" => listener.port = port(word(value)?)?,
        "bind_address" => listener.bind_to = BindTo::Host(host(word(value)?)),
        "protocol" => listener.protocol = protocol(value)?,
        "socket_domain" => {
            let choices = [("ipv4", SocketDomain::Ipv4), ("ipv6", SocketDomain::Ipv6)];
            listener.socket_domain = Some(choice(value, &choices)?);
        }
        // mosquitto's own way to write "no limit".
        "max_connections" if value == "-1" => listener.max_connections = None,
        "max_connections" => listener.max_connections = Some(number(value, "a number of clients, or -1 for no limit")?),
        // The second is its old name.
        "max_qos" | "maximum_qos" => {
            let choices = [("0", QoS::AtMostOnce), ("1", QoS::AtLeastOnce), ("2", QoS::ExactlyOnce)];
            listener.max_qos = choice(value, &choices)?;
        }
        "max_topic_alias_broker" => {
            listener.max_topic_alias_broker = number(value, "a number from 0 to 65535")?;
        }
        "max_topic_alias" => listener.max_topic_alias = number(value, "a number from 0 to 65535")?,
        "listener_allow_anonymous" => listener.allow_anonymous = Some(boolean(value)?),
        "listener_auto_id_prefix" => listener.auto_id_prefix = Some(text(value)?),
        "websockets_origin" => listener.websockets_origins.push(word(value)?.to_owned()),
        _ => return Err(refusal(directive)),
    }
    Ok(())
}

fn apply_tls(tls: &mut TlsConfiguration, directive: &str, value: &str) -> Result<(), String> {
    match directive {
        "certfile" => tls.certfile = path(value)?,
        "keyfile" => tls.keyfile = path(value)?,
        "cafile" => tls.cafile = Some(path(value)?),
        "capath" => tls.capath = Some(path(value)?),
        "crlfile" => tls.crlfile = Some(path(value)?),
        "require_certificate" => tls.require_certificate = boolean(value)?,
        "use_identity_as_username" => tls.use_identity_as_username = boolean(value)?,
        "use_subject_as_username" => tls.use_subject_as_username = boolean(value)?,
        "tls_version" => {
            tls.version = Some(choice(value, &[("tlsv1.2", TlsVersion::V1_2), ("tlsv1.3", TlsVersion::V1_3)])?);
        }
        _ => return Err(refusal(directive)),
    }
    Ok(())
}

/// `listener PORT [ADDRESS|PATH]`. A port of 0 with a path is a Unix socket, as with mosquitto.
pub(super) fn new_listener(value: &str) -> Result<ListenerConfiguration, String> {
    let (port_text, place) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    if port_text.is_empty() {
        return Err("a port is missing".to_owned());
    }
    let mut listener = ListenerConfiguration::new(port(port_text)?);
    let place = place.trim();
    listener.bind_to = match place {
        "" => BindTo::All,
        path if path.starts_with('/') && listener.port == 0 => BindTo::Unix(PathBuf::from(path)),
        path if path.starts_with('/') => return Err(format!("a unix socket has no port: write \"listener 0 {path}\"")),
        address => BindTo::Host(host(word(address)?)),
    };
    Ok(listener)
}

/// An IPv6 address may stand in brackets, as in a URL.
fn host(value: &str) -> String {
    let bare = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(value).to_owned()
}

fn path(value: &str) -> Result<PathBuf, String> {
    text(value).map(PathBuf::from)
}

fn protocol(value: &str) -> Result<ListenProtocol, String> {
    choice(value, &[("mqtt", ListenProtocol::Mqtt), ("websockets", ListenProtocol::WebSocket)])
}

const BYTES: &str = "a number of bytes";

fn bytes(value: &str) -> Result<usize, String> {
    number(value, BYTES).map(|bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Bytes of something that is at most 4 GiB long.
fn short_bytes(value: &str) -> Result<usize, String> {
    number(value, BYTES).map(|bytes: u32| bytes as usize)
}

fn packet_size(value: &str) -> Result<usize, String> {
    let size = short_bytes(value)?;
    // Below this not even a CONNECT fits; mosquitto refuses it too.
    if size == 0 || size >= 20 { Ok(size) } else { Err("must be at least 20 bytes, or 0 for no limit".to_owned()) }
}

fn keep_alive(value: &str) -> Result<u16, String> {
    let allowed = "a number of seconds from 10 to 65535, or 0";
    match number(value, allowed)? {
        // The longest that a client can ask for is no limit.
        u16::MAX => Ok(0),
        seconds if seconds == 0 || seconds >= 10 => Ok(seconds),
        _ => Err(format!("{value:?} is not {allowed}")),
    }
}

fn sys_interval(value: &str) -> Result<Duration, String> {
    seconds(value)
        .ok()
        .filter(|interval| *interval <= Duration::from_secs(65_535))
        .ok_or_else(|| format!("{value:?} is not a number of seconds from 0 to 65535 (0 turns $SYS off)"))
}

fn time_format(value: &str) -> Result<String, String> {
    use chrono::format::{Item, StrftimeItems};
    if StrftimeItems::new(value).any(|item| item == Item::Error) {
        return Err(format!("{value:?} is not a time format (strftime)"));
    }
    text(value)
}

fn add_log_destination(destinations: &mut Vec<LogDestination>, value: &str) -> Result<(), String> {
    let (kind, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    let destination = match (kind, rest.trim()) {
        ("stdout", "") => LogDestination::Stdout,
        ("stderr", "") => LogDestination::Stderr,
        ("topic", "") => LogDestination::Topic,
        // As with mosquitto: it cancels the lines above it.
        ("none", "") => {
            destinations.clear();
            destinations.push(LogDestination::None);
            return Ok(());
        }
        ("file", "") => return Err("file needs a path".to_owned()),
        ("file", file) => {
            if destinations.iter().any(|other| matches!(other, LogDestination::File(_))) {
                return Err("only one log file is possible".to_owned());
            }
            LogDestination::File(PathBuf::from(file))
        }
        ("syslog", _) => return Err("syslog is not supported; use file, stdout or stderr".to_owned()),
        ("dlt", _) => return Err("dlt is not supported; use file, stdout or stderr".to_owned()),
        _ => return Err(format!("{value:?} is not one of stdout, stderr, file PATH, topic, none")),
    };
    destinations.retain(|other| *other != LogDestination::None);
    if !destinations.contains(&destination) {
        destinations.push(destination);
    }
    Ok(())
}

fn add_log_type(types: &mut Option<LogTypes>, value: &str) -> Result<(), String> {
    // The first log_type of a file replaces the default set, later ones add to it.
    let mut set = types.unwrap_or(LogTypes::NONE);
    match value {
        "all" => set = LogTypes::ALL,
        "none" => set = LogTypes::NONE,
        "debug" => set.debug = true,
        "error" => set.error = true,
        "warning" => set.warning = true,
        "notice" => set.notice = true,
        "information" => set.information = true,
        "subscribe" => set.subscribe = true,
        "unsubscribe" => set.unsubscribe = true,
        // mosquitto's built-in WebSocket server has no lines of this kind, and neither has this one.
        "websockets" => {}
        _ => {
            return Err(format!(
                "{value:?} is not one of debug, error, warning, notice, information, subscribe, unsubscribe, websockets, none, all"
            ));
        }
    }
    *types = Some(set);
    Ok(())
}
