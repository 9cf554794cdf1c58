//! From a configuration to what a broker is made of: listeners, limits, access, TLS. Everything that can be wrong with
//! files is found here, before a port is opened.

use super::access::{AccessFiles, FileAccess};
use super::configuration::{
    BindTo, Configuration, ConfigurationFault, ListenerConfiguration, SocketDomain, TlsConfiguration, TlsVersion,
};
use super::core::Settings;
use super::{AddressFamily, CertificateName, ListenHost, ListenProtocol, Listener, ServePlan};
use crate::transport::{ClientAuthorities, ServerTlsPlan, TlsServer, TlsVersions};

/// What a broker is made of.
pub(super) struct Setup {
    pub(super) listeners: Vec<Listener>,
    pub(super) limits: Settings,
    pub(super) access: FileAccess,
}

impl Setup {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// Everything that is wrong with them, one text per fault.
    pub(super) fn new(configuration: &Configuration, plan: &ServePlan) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let described = described_listeners(configuration, plan);
        let mut listeners = Vec::new();
        for (host, listener) in &described {
            match tls(listener.tls.as_ref()) {
                Ok(tls) => listeners.push(self::listener(host.clone(), listener, tls)),
                Err(fault) => faults.push(fault),
            }
        }
        let limits = limits(configuration, &described).map_err(|fault| faults.push(fault));
        let access = FileAccess::load(&access_files(configuration, &described));
        let access = access.map_err(|error| faults.extend(error.to_string().lines().map(str::to_owned)));
        match (limits, access) {
            (Ok(limits), Ok(access)) if faults.is_empty() => Ok(Self { listeners, limits, access }),
            _ => Err(faults),
        }
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
        let described = described_listeners(configuration, plan);
        let access = FileAccess::load(&access_files(configuration, &described))
            .map_err(|error| error.to_string().lines().map(str::to_owned).collect::<Vec<_>>())?;
        let mut faults = Vec::new();
        for (server, (_, listener)) in listeners.iter().zip(&described) {
            if let (Some(server), Some(tls)) = (server, &listener.tls)
                && let Err(error) = server.reload(&tls_plan(tls))
            {
                faults.push(error.to_string());
            }
        }
        if faults.is_empty() { Ok(access) } else { Err(faults) }
    }
}

/// The listeners to open: those of the file, else the loopback interfaces, with `-p` and `--ws-port`.
fn described_listeners(configuration: &Configuration, plan: &ServePlan) -> Vec<(ListenHost, ListenerConfiguration)> {
    if !configuration.is_local_only() {
        let host = |listener: &ListenerConfiguration| match &listener.bind_to {
            BindTo::All => ListenHost::All,
            BindTo::Host(host) => ListenHost::Named(host.clone()),
            BindTo::Unix(path) => ListenHost::Path(path.clone()),
        };
        return configuration.listeners.iter().map(|listener| (host(listener), listener.clone())).collect();
    }
    let default = &configuration.default_listener;
    let local = ListenerConfiguration { port: plan.port.unwrap_or(default.port), ..default.clone() };
    let web_socket = plan.web_socket_port.map(|port| ListenerConfiguration {
        port,
        protocol: ListenProtocol::WebSocket,
        ..default.clone()
    });
    [local].into_iter().chain(web_socket).map(|listener| (ListenHost::Loopback, listener)).collect()
}

fn listener(host: ListenHost, listener: &ListenerConfiguration, tls: Option<TlsServer>) -> Listener {
    let certificate_name = listener.tls.as_ref().and_then(|tls| {
        let common_name = tls.use_identity_as_username.then_some(CertificateName::CommonName);
        common_name.or(tls.use_subject_as_username.then_some(CertificateName::Subject))
    });
    Listener {
        family: listener.socket_domain.map(|domain| match domain {
            SocketDomain::Ipv4 => AddressFamily::V4,
            SocketDomain::Ipv6 => AddressFamily::V6,
        }),
        web_socket_origins: listener.websockets_origins.clone(),
        tls,
        certificate_name,
        max_connections: listener.max_connections.unwrap_or(0),
        ..Listener::new(host, listener.port, listener.protocol)
    }
}

fn tls(configuration: Option<&TlsConfiguration>) -> Result<Option<TlsServer>, String> {
    let made = configuration.map(|tls| TlsServer::new(&tls_plan(tls))).transpose();
    made.map_err(|error| match &error.hint {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    })
}

fn tls_plan(tls: &TlsConfiguration) -> ServerTlsPlan {
    ServerTlsPlan {
        certificate: tls.certfile.clone(),
        authorities: tls.cafile.clone(),
        key: tls.keyfile.clone(),
        versions: match tls.version {
            None => TlsVersions::Any,
            Some(TlsVersion::V1_2) => TlsVersions::V12,
            Some(TlsVersion::V1_3) => TlsVersions::V13,
        },
        // As with mosquitto nobody is asked for a certificate that need not show one.
        clients: tls.require_certificate.then(|| ClientAuthorities {
            file: tls.cafile.clone(),
            folder: tls.capath.clone(),
            revocations: tls.crlfile.clone(),
        }),
    }
}

fn access_files(configuration: &Configuration, listeners: &[(ListenHost, ListenerConfiguration)]) -> AccessFiles {
    AccessFiles {
        anonymous: listeners.iter().map(|(_, listener)| configuration.is_anonymous_allowed(listener)).collect(),
        password_file: configuration.access.password_file.clone(),
        acl_file: configuration.access.acl_file.clone(),
    }
}

fn limits(
    configuration: &Configuration,
    listeners: &[(ListenHost, ListenerConfiguration)],
) -> Result<Settings, String> {
    let first = listeners.first().map_or(&configuration.default_listener, |(_, listener)| listener);
    let differs = |(_, other): &(ListenHost, ListenerConfiguration)| {
        other.max_qos != first.max_qos || other.max_topic_alias != first.max_topic_alias
    };
    if listeners.iter().any(differs) {
        return Err("max_qos and max_topic_alias must be the same at every listener".to_owned());
    }
    let (limits, access) = (&configuration.limits, &configuration.access);
    let defaults = Settings::default();
    Ok(Settings {
        max_inflight_messages: limits.max_inflight_messages,
        max_inflight_bytes: whole(limits.max_inflight_bytes),
        max_queued_messages: limits.max_queued_messages,
        max_queued_bytes: limits.max_queued_bytes.map_or(defaults.max_queued_bytes, whole),
        queue_qos0_messages: limits.queue_qos0_messages,
        max_packet_size: limits.max_packet_size as usize,
        message_size_limit: limits.message_size_limit as usize,
        max_topic_alias: first.max_topic_alias,
        max_keepalive: if limits.max_keepalive == u16::MAX { 0 } else { limits.max_keepalive },
        max_qos: first.max_qos,
        retain_available: configuration.retain_available,
        allow_zero_length_clientid: access.allow_zero_length_clientid,
        auto_id_prefix: access.auto_id_prefix.clone(),
        persistent_client_expiration: limits.persistent_client_expiration,
        sys_interval: configuration.sys_interval,
        memory_limit: whole(limits.memory_limit),
        ..defaults
    })
}

fn whole(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Faults of a configuration, one a line, as compilers print them.
pub(super) fn fault_texts(faults: &[ConfigurationFault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}
