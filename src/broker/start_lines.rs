//! What mqbroker logs about itself when it starts and ends: its own lines, or mosquitto's.

use super::configuration::{Configuration, ListenerConfiguration};
use super::log_rules::LineKind;
use super::{EmbeddedBroker, ServePlan, WEB_SOCKET_PATH, process};
use crate::terminal::escape;

pub(super) struct StartLines<'a> {
    pub(super) plan: &'a ServePlan,
    pub(super) configuration: &'a Configuration,
}

impl StartLines<'_> {
    /// The lines before the first listener opens.
    pub(super) fn starting(&self, line: &mut dyn FnMut(LineKind, String)) {
        match self.plan.mosquitto_version {
            Some(_) => self.starting_as_mosquitto(line),
            None => self.starting_as_mqbroker(line),
        }
    }

    /// The line for a state: running, terminating.
    pub(super) fn state(&self, state: &str) -> String {
        match self.plan.mosquitto_version {
            Some(version) => format!("mosquitto version {version} {state}"),
            None => format!("mqbroker {state}"),
        }
    }

    /// One line per socket.
    pub(super) fn listening(&self, broker: &EmbeddedBroker) -> Vec<String> {
        let is_mosquitto = self.plan.mosquitto_version.is_some();
        let (plain, web) = (broker.local_addrs(), broker.web_socket_addrs());
        let path = |path: &std::path::PathBuf| escape(&path.to_string_lossy()).to_string();
        if is_mosquitto {
            let opening = |address: &std::net::SocketAddr| {
                let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
                format!("Opening {family} listen socket on port {}.", address.port())
            };
            let paths =
                broker.paths().iter().map(|socket| format!("Opening unix listen socket on path {}.", path(socket)));
            return plain.iter().chain(web).map(opening).chain(paths).collect();
        }
        let plain = plain.iter().map(|address| format!("Listening on {address}"));
        let web = web.iter().map(|address| format!("Listening on ws://{address}{WEB_SOCKET_PATH}"));
        plain.chain(web).chain(broker.paths().iter().map(|socket| format!("Listening on {}", path(socket)))).collect()
    }

    fn file(&self) -> Option<String> {
        self.plan.config_file.as_deref().map(|file| escape(&file.to_string_lossy()).to_string())
    }

    fn starting_as_mosquitto(&self, line: &mut dyn FnMut(LineKind, String)) {
        if let Some(user) = process::user_name(self.configuration.user.as_deref()) {
            line(LineKind::Information, format!("Info: running mosquitto as user: {}.", escape(&user)));
            if user == "root" {
                let warning = "Warning: Mosquitto should not be run as root/administrator.";
                line(LineKind::Warning, warning.to_owned());
            }
        }
        line(LineKind::Information, self.state("starting"));
        let source = match self.file() {
            Some(file) => format!("Config loaded from {file}."),
            None => "Using default config.".to_owned(),
        };
        line(LineKind::Information, source);
        for feature in [
            "Bridge support NOT available.",
            "Persistence support available.",
            "TLS support available.",
            "TLS-PSK support NOT available.",
            "Websockets support available.",
        ] {
            line(LineKind::Information, feature.to_owned());
        }
        if self.configuration.is_local_only() {
            for text in [
                "Starting in local only mode. Connections will only be possible from clients running on this machine.",
                "Create a configuration file which defines a listener to allow remote access.",
                "For more details see https://mosquitto.org/documentation/authentication-methods/",
            ] {
                line(LineKind::Warning, text.to_owned());
            }
        }
    }

    fn starting_as_mqbroker(&self, line: &mut dyn FnMut(LineKind, String)) {
        line(LineKind::Information, format!("mqbroker {} starting", env!("CARGO_PKG_VERSION")));
        let file = self.file();
        let source = match &file {
            Some(file) => format!("Configuration read from {file}"),
            None => "No configuration file, using the defaults".to_owned(),
        };
        line(LineKind::Information, source);
        if self.configuration.is_local_only() {
            let local = "Running in local only mode: clients on other machines cannot connect. Remote access needs a \
                         listener in a configuration file (-c)";
            line(LineKind::Information, local.to_owned());
        } else {
            // mosquitto ignores them too, silently.
            let ports = self.plan.ports.iter().map(|port| ("-p", port));
            for (option, port) in ports.chain(self.plan.web_socket_port.iter().map(|port| ("--ws-port", port))) {
                let text = format!("Warning: {option} {port} is not used: the configuration file names the listeners");
                line(LineKind::Warning, text);
            }
        }
        if self.refuses_everybody() {
            let text = format!(
                "Warning: a listener accepts neither a password nor anonymous clients, so it refuses all clients; {} \
                 needs 'password_file FILE' or 'allow_anonymous true'",
                file.as_deref().unwrap_or("a configuration file")
            );
            line(LineKind::Warning, text);
        }
    }

    fn refuses_everybody(&self) -> bool {
        let configuration = self.configuration;
        let listeners = match configuration.is_local_only() {
            true => std::slice::from_ref(&configuration.default_listener),
            false => &configuration.listeners,
        };
        let by_certificate = |listener: &ListenerConfiguration| {
            listener.tls.as_ref().is_some_and(|tls| tls.use_identity_as_username || tls.use_subject_as_username)
        };
        let refuses = |listener| !configuration.is_anonymous_allowed(listener) && !by_certificate(listener);
        configuration.access.password_file.is_none() && listeners.iter().any(refuses)
    }
}
