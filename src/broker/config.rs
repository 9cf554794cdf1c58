//! The configuration file, of mosquitto's kind: `listener PORT [ADDRESS]`, `port PORT`, `protocol mqtt|websockets` for
//! the listener above it, `allow_anonymous true|false`, blank lines and lines that start with `#`. Pure: text in,
//! meaning or all of its faults out.
//!
//! A directive that is not known is a fault and never skipped: a broker that quietly leaves out a `password_file` is
//! open to everyone.

use super::{ListenHost, ListenProtocol, Listener};

/// The port of MQTT without TLS.
pub const DEFAULT_PORT: u16 = 1883;

/// What a configuration file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerConfiguration {
    /// The listeners it names, in order; that of `port` is the last, as with mosquitto.
    pub listeners: Vec<Listener>,
    /// What it says about anonymous clients.
    pub allow_anonymous: Option<bool>,
}

/// One fault of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationFault {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl BrokerConfiguration {
    /// Reads a file's text. Fails with every fault in it.
    pub fn parse(text: &str) -> Result<Self, Vec<ConfigurationFault>> {
        let mut configuration = Self::default();
        let mut port = None;
        // Above the first listener `protocol` is that of `port`.
        let mut protocol_of_port = None;
        let mut faults = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let mut words = line.split_whitespace();
            let Some(directive) = words.next().filter(|word| !word.starts_with('#')) else { continue };
            let values: Vec<&str> = words.collect();
            let read = match directive {
                "listener" => listener(&values).map(|listener| configuration.listeners.push(listener)),
                "port" => single(directive, &values, PORT_ALLOWED).and_then(|value| {
                    port = Some(port_number(directive, value)?);
                    Ok(())
                }),
                "allow_anonymous" => single(directive, &values, "true or false").and_then(|value| {
                    configuration.allow_anonymous = Some(boolean(directive, value)?);
                    Ok(())
                }),
                "protocol" => single(directive, &values, PROTOCOLS).and_then(|value| {
                    let protocol = protocol(value)?;
                    match configuration.listeners.last_mut() {
                        Some(listener) => listener.protocol = protocol,
                        None => protocol_of_port = Some((index + 1, protocol)),
                    }
                    Ok(())
                }),
                _ => Err(format!(
                    "directive {directive:?} is not supported: listener, port, protocol and allow_anonymous are allowed"
                )),
            };
            if let Err(message) = read {
                faults.push(ConfigurationFault { line: index + 1, message });
            }
        }
        if let (Some((line, _)), None) = (protocol_of_port, port) {
            let message = "protocol: it belongs below its listener, or to a port".to_owned();
            faults.push(ConfigurationFault { line, message });
            faults.sort_by_key(|fault| fault.line);
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        // Given twice, the last counts, as with mosquitto.
        let protocol = protocol_of_port.map(|(_, protocol)| protocol).unwrap_or_default();
        configuration.listeners.extend(port.map(|port| Listener { host: ListenHost::All, port, protocol }));
        Ok(configuration)
    }

    /// Whether only this machine can connect: so it is as long as the file names no listener.
    pub fn is_local_only(&self) -> bool {
        self.listeners.is_empty()
    }

    /// The listeners to open: those of the file, else the loopback interfaces with `port`, and with `web_socket` for
    /// MQTT over WebSocket.
    pub fn listeners_or_loopback(&self, port: u16, web_socket: Option<u16>) -> Vec<Listener> {
        if !self.is_local_only() {
            return self.listeners.clone();
        }
        let loopback = |port, protocol| Listener { host: ListenHost::Loopback, port, protocol };
        let web_socket = web_socket.map(|port| loopback(port, ListenProtocol::WebSocket));
        [loopback(port, ListenProtocol::Mqtt)].into_iter().chain(web_socket).collect()
    }

    /// Whether anonymous clients may connect: what the file says, else only in local only mode.
    pub fn anonymous_allowed(&self) -> bool {
        self.allow_anonymous.unwrap_or_else(|| self.is_local_only())
    }
}

const PROTOCOLS: &str = "mqtt or websockets";

fn protocol(value: &str) -> Result<ListenProtocol, String> {
    match value {
        "mqtt" => Ok(ListenProtocol::Mqtt),
        "websockets" => Ok(ListenProtocol::WebSocket),
        _ => Err(format!("protocol: {value:?} is not spoken here: {PROTOCOLS} is allowed")),
    }
}

const PORT_ALLOWED: &str = "a port from 1 to 65535, or 0 for a free one";

fn listener(values: &[&str]) -> Result<Listener, String> {
    let (port, host) = match values {
        [] => return Err(format!("listener: a value is missing: {PORT_ALLOWED}, and then an address if you like")),
        [port] => (port, None),
        [port, host] => (port, Some(*host)),
        [_, _, more, ..] => return Err(too_many("listener", more, "a port and an address")),
    };
    let port = port_number("listener", port)?;
    let host = match host {
        None => ListenHost::All,
        Some(path) if path.starts_with('/') => {
            return Err(format!(
                "listener: unix socket {path:?} is not supported: an address or a host name is allowed"
            ));
        }
        // An IPv6 address may stand in brackets, as in a URL.
        Some(host) => {
            let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            ListenHost::Named(bare.unwrap_or(host).to_owned())
        }
    };
    Ok(Listener { host, port, protocol: ListenProtocol::Mqtt })
}

fn single<'a>(directive: &str, values: &[&'a str], allowed: &str) -> Result<&'a str, String> {
    match values {
        [] => Err(format!("{directive}: a value is missing: {allowed} is allowed")),
        [value] => Ok(value),
        [_, more, ..] => Err(too_many(directive, more, "one value")),
    }
}

fn too_many(directive: &str, word: &str, allowed: &str) -> String {
    let hint = if word.starts_with('#') { "; a comment needs a line of its own" } else { "" };
    format!("{directive}: {word:?} is one word too many: {allowed} is allowed{hint}")
}

fn port_number(directive: &str, value: &str) -> Result<u16, String> {
    // `parse` would take "+1883".
    value
        .parse()
        .ok()
        .filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| format!("{directive}: {value:?} is no port: {PORT_ALLOWED}, is allowed"))
}

fn boolean(directive: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{directive}: {value:?} is no choice: true or false is allowed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(port: u16) -> Listener {
        Listener { host: ListenHost::All, port, protocol: ListenProtocol::Mqtt }
    }

    #[test]
    fn a_protocol_is_that_of_the_listener_above_it() {
        let text =
            "protocol websockets\nlistener 1\nlistener 2\nprotocol websockets\nlistener 3\nprotocol mqtt\nport 4";
        let listeners = BrokerConfiguration::parse(text).unwrap().listeners;
        let web_socket = |port| Listener { protocol: ListenProtocol::WebSocket, ..all(port) };
        assert_eq!(listeners, [all(1), web_socket(2), all(3), web_socket(4)]);
        let local = BrokerConfiguration::default().listeners_or_loopback(5, Some(6));
        assert_eq!(
            local.iter().map(|l| (l.port, l.protocol)).collect::<Vec<_>>(),
            [(5, ListenProtocol::Mqtt), (6, ListenProtocol::WebSocket)]
        );
    }

    fn named(host: &str, port: u16) -> Listener {
        Listener { host: ListenHost::Named(host.to_owned()), port, protocol: ListenProtocol::Mqtt }
    }

    #[test]
    fn an_empty_file_is_local_only_and_open() {
        for text in ["", "\n\n", "# listener 1883\n   # port 1\r\n\t\n"] {
            let configuration = BrokerConfiguration::parse(text).unwrap();
            assert!(configuration.is_local_only() && configuration.anonymous_allowed());
            let loopback = Listener { host: ListenHost::Loopback, port: 1884, protocol: ListenProtocol::Mqtt };
            assert_eq!(configuration.listeners_or_loopback(1884, None), [loopback]);
        }
    }

    #[test]
    fn listeners_close_the_door_to_anonymous_clients_unless_it_is_opened() {
        let text = "listener 1883\r\n  listener 1884 127.0.0.1\nlistener 1885 [::1]\nport 1886\nlistener 0 localhost";
        let configuration = BrokerConfiguration::parse(text).unwrap();
        let listeners = vec![all(1883), named("127.0.0.1", 1884), named("::1", 1885), named("localhost", 0), all(1886)];
        assert_eq!(configuration.listeners_or_loopback(7, Some(8)), listeners);
        assert!(!configuration.is_local_only() && !configuration.anonymous_allowed());

        let opened = BrokerConfiguration::parse("allow_anonymous false\nport 1\nport 2\nallow_anonymous true").unwrap();
        assert_eq!(opened.listeners, [all(2)]);
        assert!(opened.anonymous_allowed());
    }

    #[test]
    fn local_only_can_be_closed() {
        let configuration = BrokerConfiguration::parse("allow_anonymous false").unwrap();
        assert!(configuration.is_local_only() && !configuration.anonymous_allowed());
    }

    #[test]
    fn faults_name_the_directive_and_what_is_allowed() {
        let port = "a port from 1 to 65535, or 0 for a free one";
        let table = [
            (
                "password_file /etc/p",
                "directive \"password_file\" is not supported: listener, port, protocol and allow_anonymous are allowed".into(),
            ),
            (
                "Listener 1883",
                "directive \"Listener\" is not supported: listener, port, protocol and allow_anonymous are allowed".into(),
            ),
            ("listener", format!("listener: a value is missing: {port}, and then an address if you like")),
            ("listener 65536", format!("listener: \"65536\" is no port: {port}, is allowed")),
            ("listener abc", format!("listener: \"abc\" is no port: {port}, is allowed")),
            ("listener +1", format!("listener: \"+1\" is no port: {port}, is allowed")),
            (
                "listener 0 /run/broker.sock",
                "listener: unix socket \"/run/broker.sock\" is not supported: an address or a host name is allowed"
                    .into(),
            ),
            ("listener 1 a b", "listener: \"b\" is one word too many: a port and an address is allowed".into()),
            ("port", format!("port: a value is missing: {port} is allowed")),
            ("port -1", format!("port: \"-1\" is no port: {port}, is allowed")),
            (
                "port 1 # mine",
                "port: \"#\" is one word too many: one value is allowed; a comment needs a line of its own".into(),
            ),
            ("protocol", "protocol: a value is missing: mqtt or websockets is allowed".into()),
            ("protocol http", "protocol: \"http\" is not spoken here: mqtt or websockets is allowed".into()),
            ("protocol mqtt", "protocol: it belongs below its listener, or to a port".into()),
            ("allow_anonymous", "allow_anonymous: a value is missing: true or false is allowed".into()),
            ("allow_anonymous yes", "allow_anonymous: \"yes\" is no choice: true or false is allowed".into()),
            (
                "\u{1b}[2J x",
                "directive \"\\u{1b}[2J\" is not supported: listener, port, protocol and allow_anonymous are allowed".into(),
            ),
        ];
        for (text, message) in table {
            let faults = BrokerConfiguration::parse(&format!("# first\n{text}\n")).unwrap_err();
            assert_eq!(faults, [ConfigurationFault { line: 2, message }], "{text}");
        }
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let faults = BrokerConfiguration::parse("bogus\n\nport x\nallow_anonymous true\nlistener").unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 3, 5]);
    }
}
