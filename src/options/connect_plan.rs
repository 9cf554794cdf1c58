//! From the four connection groups to a plan, with all faults at once.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use super::connection::{HeaderField, Positions, UrlText};
use super::environment::PASSWORD_VARIABLE;
use super::proxy;
use super::url::{BrokerUrl, web_socket_path, without_zone};
use super::{ConnectionOptions, Environment, PropertyOptions, TlsOptions, Tool, UsageError, WillOptions};
use crate::client::{ConnectPlan, Policy, RetryPlan};
use crate::mqtt::{Properties, Property, PropertyName, PropertyValue, ProtocolVersion, Secret, check_sent_text};
use crate::session::SessionConfig;
use crate::transport::{Address, DEFAULT_WEB_SOCKET_PATH, TlsPlan, TransportPlan, WebSocketPlan};

/// What a tool brings to its connection besides the options.
#[derive(Clone, Copy, Debug)]
pub struct ConnectDefaults<'a> {
    /// Whose options they are.
    pub tool: &'static Tool,
    /// Variables, files and random numbers.
    pub environment: &'a Environment,
    /// Most messages in flight where `-M` is not given.
    pub window: u16,
    /// TCP_NODELAY without `--nodelay`.
    pub no_delay: bool,
    /// The tool names its clients itself: an empty Client Identifier stays empty with 3.1 and with `-c`, and `-I` comes
    /// back as the template `PREFIX%i`.
    pub names_clients: bool,
    /// Where the tool behaves as mosquitto's client.
    pub policy: Policy,
}

/// What the connection groups mean.
#[expect(clippy::too_many_lines, reason = "it fills one plan, field by field")]
pub fn connect_plan(
    connection: &ConnectionOptions,
    tls: &TlsOptions,
    will: &WillOptions,
    properties: &PropertyOptions,
    defaults: ConnectDefaults<'_>,
) -> Result<ConnectPlan, UsageError> {
    // Whole, so that an option that means nothing here does not compile. The URL and the version have readers of their
    // own, which the tools' checks share.
    #[rustfmt::skip]
    let ConnectionOptions {
        host, port, url: _, unix, username, pw, pw_file, pw_fd, ask_pw, id, id_prefix, keepalive, disable_clean_session: kept,
        session_expiry, protocol_version: _, bind, max_inflight, nodelay, connect_timeout, srv, ws, ws_path, ws_header,
        proxy, positions, warnings,
    } = connection;
    let policy = &defaults.policy;
    let mut faults = Vec::new();
    let mut warnings = warnings.clone();
    if *srv {
        faults.push("-S: built without SRV support".into());
    }
    let bind = bind.as_ref().and_then(|sources| {
        if sources.all().len() > 1 && !defaults.names_clients {
            faults.push("-A: only mqbench takes several addresses".into());
        }
        sources.all().first().copied()
    });
    let url = parse_url(connection).map_err(|fault| faults.push(fault)).ok().flatten();
    let url = url.as_ref();
    let commands = properties.by_command().map_err(|wrong| faults.extend(wrong)).unwrap_or_default();
    let version = version(connection, properties, &mut faults);
    let TlsOptions { tls_keylog, psk, no_tls, .. } = tls;
    let endpoint = Endpoint { host: host.as_deref(), port: *port, unix: unix.as_deref(), url, positions };
    let (address, tls) = endpoint.address_and_tls(tls, defaults.environment, &mut faults);
    if matches!(address, Address::Unix(_)) && policy.rejects_tcp_options_of_unix_socket {
        // As -h, one before it is overridden.
        let port = port.is_some() && positions.later("port", if unix.is_some() { "unix" } else { "url" });
        for (given, option) in [(bind.is_some(), "-A"), (*nodelay, "--nodelay"), (port, "-p")] {
            if given {
                faults.push(format!("{option} has no effect with a Unix socket: remove it"));
            }
        }
    }
    let web_socket = web_socket_plan(*ws, ws_path.as_ref(), ws_header, url, positions, &mut faults);
    let proxy = proxy::proxy(proxy.as_ref().map(|text| &text.0), &address, defaults.environment);
    let proxy = proxy.map_err(|fault| faults.push(fault)).ok().flatten();
    let user = username.as_deref();
    let login = Login {
        user,
        password: pw.as_ref(),
        file: pw_file.as_deref(),
        descriptor: *pw_fd,
        is_asked: *ask_pw,
        url,
        positions,
        variable: policy.reads_password_variable,
    };
    let (user_name, password) = login.user_and_password(version, defaults.environment, &mut faults);
    let name = ClientName { id: id.as_deref(), prefix: id_prefix.as_deref(), kept: *kept };
    let session = SessionConfig {
        version,
        client_id: name.client_id(version, defaults, &mut faults),
        clean_start: !kept,
        keep_alive: keepalive.duration(),
        user_name,
        password,
        will: will.plan(commands.will, &mut faults),
        connect_properties: connect_properties(
            *session_expiry,
            *kept && policy.protects_kept_session,
            version,
            commands.connect,
            &mut faults,
        ),
        first_identifier: if *kept && policy.protects_kept_session {
            random_identifier(defaults.environment)
        } else {
            1
        },
        sends_any_alias: policy.sends_any_alias,
        window: max_inflight.unwrap_or(defaults.window),
        connack_timeout: *connect_timeout,
        ..SessionConfig::default()
    };
    let exposed = [("the password file", pw_file), ("the key log", tls_keylog)];
    let exposed = exposed.into_iter().filter_map(|(what, file)| Some((what, file.as_deref()?)));
    faults.extend(exposed.filter_map(|(what, file)| defaults.environment.check_exposed_file(what, file).err()));
    UsageError::check(defaults.tool.name, faults)?;
    let typed = [pw.as_ref(), psk.as_ref(), connection.url.as_ref().map(|url| &url.0)];
    let typed = typed.into_iter().flatten().chain(connection.proxy.as_ref().map(|url| &url.0)).chain(ws_header);
    defaults.environment.hide_arguments(&typed.collect::<Vec<_>>());
    if policy.reads_password_variable && session.password.is_some() && tls.is_none() && !no_tls {
        warnings.extend(clear_text_warning(&address));
    }
    let no_delay = *nodelay || defaults.no_delay;
    let transport = TransportPlan {
        address,
        bind,
        no_delay,
        timeout: *connect_timeout,
        proxy,
        tls,
        web_socket,
        resolved: Vec::new(),
    };
    let topic_of_url = url.and_then(|url| url.topic.clone());
    Ok(ConnectPlan { transport, session, retry: RetryPlan::default(), topic_of_url, warnings })
}

/// What to know before a password goes over a network as it is.
fn clear_text_warning(address: &Address) -> Option<String> {
    let Address::Tcp { host, .. } = address else { return None };
    let is_here = host.eq_ignore_ascii_case("localhost")
        || host.split('%').next()?.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    (!is_here).then(|| format!("the password goes to {host} without encryption: add --tls, or --no-tls to accept that"))
}

/// A Packet Identifier, 1 to 65,535.
fn random_identifier(environment: &Environment) -> u16 {
    (environment.random() % u64::from(u16::MAX)) as u16 + 1
}

/// The WebSocket plan, if WebSocket is requested.
fn web_socket_plan(
    wanted: bool,
    path: Option<&UrlText>,
    headers: &[Secret],
    url: Option<&BrokerUrl>,
    positions: &Positions,
    faults: &mut Vec<String>,
) -> Option<WebSocketPlan> {
    if !wanted && url.is_none_or(|url| !url.web_socket) {
        for (given, option) in [(path.is_some(), "--ws-path"), (!headers.is_empty(), "--ws-header")] {
            if given {
                faults.push(format!("{option} needs WebSocket: add --ws, or use -L ws:// or wss://"));
            }
        }
        return None;
    }
    // Both may hold a token, so they are read here, where no error repeats what was typed.
    let path = path.and_then(|path| match std::str::from_utf8(path.0.expose()) {
        Ok(path) => web_socket_path(path).map_err(|fault| faults.push(format!("--ws-path: {fault}"))).ok(),
        Err(_) => {
            faults.push("--ws-path: the path is not UTF-8".into());
            None
        }
    });
    let headers = headers.iter().filter_map(|text| match HeaderField::read(text.expose()) {
        Ok(HeaderField { name, value }) => Some((name, value)),
        Err(fault) => {
            faults.push(format!("--ws-header: {fault}"));
            None
        }
    });
    let headers = headers.collect();
    let path = later_of(path.as_deref(), "ws_path", url.and_then(|url| url.path.as_deref()), positions);
    Some(WebSocketPlan { path: path.unwrap_or(DEFAULT_WEB_SOCKET_PATH).to_owned(), headers })
}

fn parse_url(connection: &ConnectionOptions) -> Result<Option<BrokerUrl>, String> {
    connection.url.as_ref().map(|url| BrokerUrl::parse(&url.0)).transpose().map_err(|fault| format!("-L: {fault}"))
}

/// The topic of `-L`, or the fault of the URL.
pub(super) fn topic_of_url(connection: &ConnectionOptions) -> Result<Option<String>, String> {
    Ok(parse_url(connection)?.and_then(|url| url.topic))
}

/// An option and the same part of the URL: the one given later holds; without an order, the option.
fn later_of<T>(option: Option<T>, id: &str, of_url: Option<T>, positions: &Positions) -> Option<T> {
    if of_url.is_some() && positions.later("url", id) { of_url } else { option.or(of_url) }
}

/// The options that locate the broker.
struct Endpoint<'a> {
    host: Option<&'a str>,
    port: Option<u16>,
    unix: Option<&'a Path>,
    url: Option<&'a BrokerUrl>,
    positions: &'a Positions,
}

impl Endpoint<'_> {
    fn address_and_tls(
        self,
        tls: &TlsOptions,
        environment: &Environment,
        faults: &mut Vec<String>,
    ) -> (Address, Option<TlsPlan>) {
        let Self { host, port, unix, url, positions } = self;
        let later = |option, other| positions.later(option, other);
        let unix_of_url = url.and_then(|url| url.unix.as_deref()).filter(|_| !later("host", "url"));
        let unix = unix.filter(|_| !later("host", "unix") && !later("url", "unix")).or(unix_of_url);
        let asked = tls.asked_for();
        let (address, by_port) = match unix {
            Some(path) => (Address::Unix(path.to_owned()), false),
            None => {
                let host = later_of(host, "host", url.and_then(|url| url.host.as_deref()), positions);
                let port = later_of(port, "port", url.and_then(|url| url.port), positions);
                let port = port.unwrap_or(if asked { 8883 } else { 1883 });
                (Address::Tcp { host: checked_host(host.unwrap_or("localhost"), faults), port }, port == 8883)
            }
        };
        let by_url = url.is_some_and(|url| url.tls);
        if by_url && tls.no_tls {
            let s = if url.is_some_and(|url| url.web_socket) { "ws" } else { "mqtt" };
            faults.push(format!("--no-tls contradicts {s}s:// of -L: use {s}://"));
        }
        let tls = tls.plan(asked || by_url || by_port, environment, faults);
        if tls.is_some() && unix.is_some() {
            faults.push("--unix does not use TLS: remove the TLS options, or add --no-tls".into());
        }
        (address, tls)
    }
}

/// A host without the brackets of an IPv6 address. `-h host:1883` is a common mistake with a dedicated error.
fn checked_host(host: &str, faults: &mut Vec<String>) -> String {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_ipv6 = bare.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    if host.contains("://") {
        faults.push("-h takes a host only: use -L for a URL".into());
    } else if host.contains('@') {
        // The text before it may be a password.
        faults.push("-h takes a host only: use -u for the user, and -P or --pw-file for the password".into());
    } else if let (Some((name, port)), false) = (host.rsplit_once(':'), is_ipv6) {
        faults.push(match port.bytes().all(|byte| byte.is_ascii_digit()) {
            true => format!("-h takes a host only: use -h {name} -p {port}"),
            false => "-h takes a host only, without a colon: use -p for the port".into(),
        });
    } else if let Some(fault) = without_zone(bare) {
        faults.push(format!("-h: {fault}"));
    } else if bare.is_empty() {
        faults.push("-h: the host is empty".into());
    } else if let Err(error) = check_sent_text(bare) {
        faults.push(format!("-h: invalid host: {error}"));
    }
    bare.to_owned()
}

/// The MQTT version: that of `-V`, or 5 if an option needs it.
pub(super) fn version(
    connection: &ConnectionOptions,
    properties: &PropertyOptions,
    faults: &mut Vec<String>,
) -> ProtocolVersion {
    let asked = connection.protocol_version.map(ProtocolVersion::from);
    let mut version = asked.unwrap_or_default();
    for (given, id, option) in
        [(connection.session_expiry.is_some(), "session_expiry", "-x"), (properties.asked_for(), "property", "-D")]
    {
        if !given {
            continue;
        }
        // As with mosquitto these turn MQTT 5 on; only an older version asked for after them is a contradiction.
        if asked.is_some_and(|version| !version.is_v5()) && connection.positions.later("protocol_version", id) {
            faults.push(format!("{option} needs MQTT 5: remove -V or use -V 5"));
        }
        version = ProtocolVersion::V5;
    }
    version
}

/// The options that identify the user.
struct Login<'a> {
    user: Option<&'a str>,
    password: Option<&'a Secret>,
    file: Option<&'a Path>,
    descriptor: Option<u32>,
    /// Whether somebody types it.
    is_asked: bool,
    url: Option<&'a BrokerUrl>,
    positions: &'a Positions,
    /// Whether `MQTT_PASSWORD` is asked.
    variable: bool,
}

impl Login<'_> {
    fn user_and_password(
        self,
        version: ProtocolVersion,
        environment: &Environment,
        faults: &mut Vec<String>,
    ) -> (Option<String>, Option<Secret>) {
        let Self { user, password, file, descriptor, is_asked, url, positions, variable } = self;
        let user = later_of(user, "username", url.and_then(|url| url.user.as_deref()), positions).map(str::to_owned);
        // The last one wins, and each wins over the environment.
        let ways = [
            ("pw", password.is_some()),
            ("pw_file", file.is_some()),
            ("pw_fd", descriptor.is_some()),
            ("ask_pw", is_asked),
        ];
        let given = ways.into_iter().filter(|(_, given)| *given).map(|(id, _)| id);
        let id = given.reduce(|one, other| if positions.later(one, other) { one } else { other }).unwrap_or("pw");
        let given = match (id, file, descriptor) {
            ("pw_file", Some(file), _) => environment.read_password(file, faults),
            ("pw_fd", _, Some(descriptor)) => environment.read_password_of_descriptor(descriptor, faults),
            // Nobody types a password for a command line that is wrong.
            ("ask_pw", ..) if faults.is_empty() => {
                let user = user.as_deref().map_or_else(String::new, |user| format!(" of {user}"));
                let typed = environment.ask_password(&format!("Password{user}"));
                typed
                    .map_err(|error| faults.push(format!("--ask-pw: no terminal to ask at ({error}): use --pw-file")))
                    .ok()
            }
            ("pw", ..) => password.cloned(),
            _ => None,
        };
        let password = later_of(given, id, url.and_then(|url| url.password.clone()), positions).or_else(|| {
            // Only with a user name: a variable set for another purpose must not be sent to every broker.
            user.as_ref().filter(|_| variable)?;
            environment.variable(PASSWORD_VARIABLE).map(|value| Secret::new(value.as_encoded_bytes()))
        });
        if user.is_none() && password.is_some() && !version.is_v5() {
            faults.push(format!("a password without a user name needs MQTT 5, not {version}: add -u NAME"));
        }
        if let Some(user) = &user {
            check_name("the user name", user, faults);
        }
        check_length("the password", password.as_ref().map_or(0, |password| password.expose().len()), faults);
        (user, password)
    }
}

/// A text that goes out as it was typed.
fn check_name(what: &str, text: &str, faults: &mut Vec<String>) {
    check_length(what, text.len(), faults);
    if let Err(error) = check_sent_text(text) {
        faults.push(format!("{what} '{text}': {error}"));
    }
}

/// Strings and binary data have two bytes for their length (§1.5.4, §1.5.6).
fn check_length(what: &str, length: usize, faults: &mut Vec<String>) {
    if length > usize::from(u16::MAX) {
        faults.push(format!("{what} is longer than 65,535 bytes"));
    }
}

/// The options that name the session.
struct ClientName<'a> {
    id: Option<&'a str>,
    prefix: Option<&'a str>,
    kept: bool,
}

impl ClientName<'_> {
    fn client_id(self, version: ProtocolVersion, defaults: ConnectDefaults<'_>, faults: &mut Vec<String>) -> String {
        let Self { id, prefix, kept } = self;
        let policy = &defaults.policy;
        if id.is_some() && prefix.is_some() {
            faults.push("-i and -I cannot be used together".into());
        }
        let needs_id = kept && policy.protects_kept_session && !defaults.names_clients;
        if needs_id && id.unwrap_or_default().is_empty() {
            faults.push("-c keeps the session, which needs a client identifier: add -i ID".into());
        }
        let client_id = match (id, prefix) {
            (Some(id), _) => id.to_owned(),
            (None, Some(prefix)) if defaults.names_clients => format!("{prefix}%i"),
            (None, Some(prefix)) => format!("{prefix}{}", defaults.environment.process_id()),
            (None, None) => String::new(),
        };
        check_name("the client identifier", &client_id, faults);
        if client_id.is_empty() && version == ProtocolVersion::V31 && !defaults.names_clients {
            // MQTT 3.1 requires 1 to 23 characters and has no server-assigned identifiers.
            return format!("{}-{}", policy.client_id_prefix, defaults.environment.random_letters());
        }
        client_id
    }
}

fn connect_properties(
    session_expiry: Option<u32>,
    kept: bool,
    version: ProtocolVersion,
    mut properties: Properties,
    faults: &mut Vec<String>,
) -> Properties {
    if !version.is_v5() {
        return Properties::new();
    }
    if session_expiry.is_some() && properties.get(PropertyName::SessionExpiryInterval).is_some() {
        faults.push("-x and -D connect session-expiry-interval set the same property: remove one of them".into());
    }
    // A kept session never expires unless -x limits it; without the property 5.0 ends it with the connection
    // (§3.1.2.11.2).
    let seconds = session_expiry.or(kept.then_some(u32::MAX)).map(PropertyValue::FourByte);
    let property = seconds.and_then(|seconds| Property::new(PropertyName::SessionExpiryInterval, seconds).ok());
    if let Some(property) = property {
        properties.push_default(property);
    }
    properties
}
