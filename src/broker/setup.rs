//! Turns a configuration into the parts of a broker: listeners, limits, access, TLS. All faults of the files are found
//! here, before a port is opened.

use std::path::PathBuf;

use super::access::{AccessFiles, FileAccess};
use super::configuration::{
    AccessConfiguration, BindTo, Configuration, ConfigurationFault, ListenerConfiguration, LogConfiguration,
    PersistenceConfiguration, SocketDomain, TlsConfiguration, TlsVersion,
};
use super::core::{ListenerSettings, Settings};
use super::{AddressFamily, CertificateName, ListenHost, ListenProtocol, Listener, ServePlan};
use crate::transport::{ClientAuthorities, ServerTlsPlan, TlsServer, TlsVersions};

/// What a broker is made of, as data; the files that it names are read apart.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) listeners: Vec<Listener>,
    pub(super) limits: Settings,
    pub(super) no_delay: bool,
    pub(super) user: Option<String>,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) persistence: Option<PersistenceConfiguration>,
    pub(super) log: LogConfiguration,
}

/// The files that a configuration names.
#[derive(Debug)]
struct Files {
    /// Those of each listener.
    tls: Vec<Option<ServerTlsPlan>>,
    access: AccessFiles,
}

impl Setup {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// Everything that is wrong with them, one text per fault.
    pub(super) fn new(configuration: &Configuration, plan: &ServePlan) -> Result<(Self, FileAccess), Vec<String>> {
        let (mut setup, files) = describe(configuration, plan);
        let (servers, access) = files.read()?;
        for (listener, server) in setup.listeners.iter_mut().zip(servers) {
            listener.tls = server;
        }
        Ok((setup, access))
    }

    /// What can change while the broker runs, read again: passwords and access lists, and certificates for `listeners`.
    ///
    /// # Errors
    /// Everything that is wrong with the files; then nothing has changed.
    pub(super) fn reload(
        configuration: &Configuration,
        plan: &ServePlan,
        listeners: &[Option<TlsServer>],
    ) -> Result<FileAccess, Vec<String>> {
        let (servers, access) = describe(configuration, plan).1.read()?;
        for (server, new) in listeners.iter().zip(&servers) {
            if let (Some(server), Some(new)) = (server, new) {
                server.replace(new);
            }
        }
        Ok(access)
    }
}

impl Files {
    /// Reads all of them, whatever is wrong with one.
    fn read(&self) -> Result<(Vec<Option<TlsServer>>, FileAccess), Vec<String>> {
        let (mut servers, mut faults) = (Vec::new(), Vec::new());
        for plan in &self.tls {
            match plan.as_ref().map(TlsServer::new).transpose() {
                Ok(server) => servers.push(server),
                Err(error) => faults.push(match &error.hint {
                    Some(hint) => format!("{error} ({hint})"),
                    None => error.to_string(),
                }),
            }
        }
        match FileAccess::load(&self.access) {
            Ok(access) if faults.is_empty() => return Ok((servers, access)),
            Ok(_) => {}
            Err(causes) => faults.extend(causes),
        }
        Err(faults)
    }
}

/// What a configuration asks for. Every part of it is taken apart here whole, so that one that nobody uses does not
/// compile.
fn describe(configuration: &Configuration, plan: &ServePlan) -> (Setup, Files) {
    let Configuration {
        listeners: _,
        default_listener: _,
        access,
        limits,
        persistence,
        log,
        user,
        pid_file,
        set_tcp_nodelay,
    } = configuration;
    let AccessConfiguration {
        allow_anonymous: _, // with each listener
        password_file,
        acl_file,
        auto_id_prefix,
    } = access;
    let wanted = wanted_listeners(configuration, plan);
    let mut limits = limits.clone();
    if let Some(version) = plan.mosquitto_version {
        limits.version = format!("mosquitto version {version}");
    }
    let (mut listeners, mut tls) = (Vec::new(), Vec::new());
    for (host, listener) in &wanted {
        limits.listeners.push(listener_settings(listener, auto_id_prefix));
        tls.push(listener.tls.as_ref().map(tls_plan));
        listeners.push(self::listener(host.clone(), listener));
    }
    let anonymous = wanted.iter().map(|(_, listener)| configuration.is_anonymous_allowed(listener)).collect();
    let access = AccessFiles { anonymous, password_file: password_file.clone(), acl_file: acl_file.clone() };
    let setup = Setup {
        listeners,
        limits,
        no_delay: *set_tcp_nodelay,
        user: user.clone(),
        pid_file: pid_file.clone(),
        persistence: persistence.enabled.then(|| persistence.clone()),
        log: log.clone(),
    };
    (setup, Files { tls, access })
}

/// The listeners to open: those of the file, else the loopback interfaces, with `-p` and `--ws-port`.
fn wanted_listeners(configuration: &Configuration, plan: &ServePlan) -> Vec<(ListenHost, ListenerConfiguration)> {
    if !configuration.is_local_only() {
        let host = |listener: &ListenerConfiguration| match &listener.bind_to {
            BindTo::All => ListenHost::All,
            BindTo::Host(host) => ListenHost::Named(host.clone()),
            BindTo::Unix(path) => ListenHost::Path(path.clone()),
        };
        return configuration.listeners.iter().map(|listener| (host(listener), listener.clone())).collect();
    }
    let default = &configuration.default_listener;
    let ports = if plan.ports.is_empty() { &[default.port][..] } else { &plan.ports };
    let local = ports.iter().map(|port| ListenerConfiguration { port: *port, ..default.clone() });
    let web_socket = plan.web_socket_port.map(|port| ListenerConfiguration {
        port,
        protocol: ListenProtocol::WebSocket,
        ..default.clone()
    });
    local.chain(web_socket).map(|listener| (ListenHost::Loopback, listener)).collect()
}

/// What a listener opens; [`listener_settings`] is what it allows.
fn listener(host: ListenHost, listener: &ListenerConfiguration) -> Listener {
    let ListenerConfiguration {
        port,
        bind_to: _, // the host
        socket_domain,
        protocol,
        max_connections,
        max_qos: _,
        max_topic_alias: _,
        max_topic_alias_broker: _,
        allow_anonymous: _, // Configuration::is_anonymous_allowed
        auto_id_prefix: _,
        websockets_origins,
        tls,
    } = listener;
    let certificate_name = tls.as_ref().and_then(|tls| {
        let common_name = tls.use_identity_as_username.then_some(CertificateName::CommonName);
        common_name.or(tls.use_subject_as_username.then_some(CertificateName::Subject))
    });
    Listener {
        host,
        port: *port,
        family: socket_domain.map(|domain| match domain {
            SocketDomain::Ipv4 => AddressFamily::V4,
            SocketDomain::Ipv6 => AddressFamily::V6,
        }),
        protocol: *protocol,
        web_socket_origins: websockets_origins.clone(),
        tls: None,
        certificate_name,
        max_connections: max_connections.unwrap_or(0),
    }
}

fn listener_settings(listener: &ListenerConfiguration, auto_id_prefix: &str) -> ListenerSettings {
    ListenerSettings {
        max_qos: listener.max_qos,
        max_topic_alias: listener.max_topic_alias,
        max_topic_alias_broker: listener.max_topic_alias_broker,
        auto_id_prefix: listener.auto_id_prefix.as_deref().unwrap_or(auto_id_prefix).to_owned(),
    }
}

fn tls_plan(tls: &TlsConfiguration) -> ServerTlsPlan {
    let TlsConfiguration {
        certfile,
        keyfile,
        cafile,
        capath,
        crlfile,
        require_certificate,
        version,
        use_identity_as_username: _, // with the listener
        use_subject_as_username: _,
    } = tls;
    ServerTlsPlan {
        certificate: certfile.clone(),
        authorities: cafile.clone(),
        key: keyfile.clone(),
        versions: match version {
            None => TlsVersions::Any,
            Some(TlsVersion::V1_2) => TlsVersions::V12,
            Some(TlsVersion::V1_3) => TlsVersions::V13,
        },
        // As with mosquitto, clients that need no certificate are not asked for one.
        clients: require_certificate.then(|| ClientAuthorities {
            file: cafile.clone(),
            folder: capath.clone(),
            revocations: crlfile.clone(),
        }),
    }
}

/// Faults of a configuration, one per line, as compilers print them.
pub(super) fn fault_texts(faults: &[ConfigurationFault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::super::configuration::DIRECTIVES;
    use super::*;

    /// For each directive what stands above it, and a value that is not the default.
    const EXAMPLES: &[(&str, &str, &str)] = &[
        ("acl_file", "", "acl"),
        ("allow_anonymous", "", "false"),
        ("allow_zero_length_clientid", "", "false"),
        ("auto_id_prefix", "", "x-"),
        ("connection_messages", "", "false"),
        ("global_max_clients", "", "7"),
        ("global_max_connections", "", "7"),
        ("log_dest", "", "stdout"),
        ("log_timestamp", "", "false"),
        ("log_timestamp_format", "", "%Y"),
        ("log_type", "", "debug"),
        ("max_inflight_bytes", "", "7"),
        ("max_inflight_messages", "", "7"),
        ("max_keepalive", "", "70"),
        ("max_packet_size", "", "70"),
        ("max_queued_bytes", "", "7"),
        ("max_queued_messages", "", "7"),
        ("memory_limit", "", "7"),
        ("message_size_limit", "", "7"),
        ("password_file", "", "passwords"),
        ("persistence", "", "true"),
        ("persistence_file", "persistence true", "x.db"),
        ("persistence_location", "persistence true", "/x"),
        ("persistence_sync", "persistence true", "interval"),
        ("persistent_client_expiration", "", "1d"),
        ("pid_file", "", "/x.pid"),
        ("queue_qos0_messages", "", "true"),
        ("retain_available", "", "false"),
        ("set_tcp_nodelay", "", "false"),
        ("sys_interval", "", "7"),
        ("user", "", "nobody"),
        ("listener", "", "7"),
        ("port", "", "7"),
        ("bind_address", "", "localhost"),
        ("listener_allow_anonymous", "listener 1", "true"),
        ("listener_auto_id_prefix", "listener 1", "x-"),
        ("max_connections", "listener 1", "7"),
        ("max_qos", "listener 1", "1"),
        ("maximum_qos", "listener 1", "1"),
        ("max_topic_alias", "listener 1", "7"),
        ("max_topic_alias_broker", "listener 1", "7"),
        ("protocol", "listener 1", "websockets"),
        ("socket_domain", "listener 1", "ipv4"),
        ("websockets_origin", "listener 1\nprotocol websockets", "https://x"),
        ("cafile", TLS, "other"),
        ("capath", TLS, "/x"),
        ("certfile", TLS, "other"),
        ("crlfile", TLS, "x"),
        ("keyfile", TLS, "other"),
        ("require_certificate", "listener 1\ncertfile c\nkeyfile k\ncafile a", "true"),
        ("tls_version", TLS, "tlsv1.3"),
        ("use_identity_as_username", TLS, "true"),
        ("use_subject_as_username", TLS, "true"),
    ];
    const TLS: &str = "listener 1\ncertfile c\nkeyfile k\ncafile a\nrequire_certificate true";
    /// Directives that change nothing, because what they ask for is always so.
    const ALWAYS_SO: &[&str] = &["autosave_interval", "autosave_on_changes"];

    fn description(text: &str) -> String {
        let configuration = Configuration::parse(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        format!("{:?}", describe(&configuration, &ServePlan::default()))
    }

    #[test]
    fn every_directive_that_is_accepted_changes_something() {
        for directive in DIRECTIVES.iter().flat_map(|group| group.iter()).filter(|name| !ALWAYS_SO.contains(name)) {
            let example = EXAMPLES.iter().find(|(name, ..)| name == directive);
            let (_, above, value) = example.unwrap_or_else(|| panic!("{directive} has no example"));
            let with = description(&format!("{above}\n{directive} {value}\n"));
            assert_ne!(with, description(above), "{directive} is read and not applied");
        }
        for directive in ALWAYS_SO {
            assert!(Configuration::parse(&format!("{directive} x")).is_err(), "{directive}: its value is not checked");
        }
    }

    #[test]
    fn limits_are_those_of_each_listener() {
        let text = "auto_id_prefix all-\nlistener 1\nmax_qos 1\nmax_topic_alias 3\nlistener_auto_id_prefix one-\n\
                    listener 2\nmax_topic_alias_broker 4\n";
        let limits = describe(&Configuration::parse(text).unwrap(), &ServePlan::default()).0.limits;
        let [one, two] = &limits.listeners[..] else { panic!("two listeners") };
        assert_eq!((one.max_qos.number(), one.max_topic_alias, one.max_topic_alias_broker), (1, 3, 10));
        assert_eq!((two.max_qos.number(), two.max_topic_alias, two.max_topic_alias_broker), (2, 10, 4));
        assert_eq!((&*one.auto_id_prefix, &*two.auto_id_prefix), ("one-", "all-"));
    }
}
