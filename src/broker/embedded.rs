//! A broker in this process, on its own thread, so that nothing else shares its scheduler. It can be
//! started and stopped from async code and from plain threads alike.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::oneshot;

use super::core::Core;
use super::driver::{Control, EventLoop, ListeningSocket, Open, OriginRule};
use super::listen::{self, Addresses, Bound, BoundListener};
use super::log::EventLog;
use super::{BrokerError, BrokerSettings, ListenHost, ListenProtocol, Listener, Store};
use crate::mqtt::Message;

/// A broker that runs until it is stopped or dropped.
pub struct EmbeddedBroker {
    addresses: Addresses,
    control: Control,
    ended: oneshot::Receiver<BrokerError>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedBroker {
    /// Starts a broker; when this returns it accepts connections.
    ///
    /// Fails when an address cannot be bound (all listeners or none), or the thread cannot be started.
    pub fn start(settings: BrokerSettings) -> Result<Self, BrokerError> {
        Self::start_with(settings, None)
    }

    /// The same, for mqbroker: events of the loop go to this log.
    pub(super) fn start_with(settings: BrokerSettings, notices: Option<EventLog>) -> Result<Self, BrokerError> {
        let BrokerSettings { listeners, limits, access, log, store, no_delay } = settings;
        let bound = listen::bind_all_listeners(&listeners)?;
        if bound.is_empty() {
            return Err(BrokerError::NoListener);
        }
        let addresses = Addresses::of(&bound);
        let open = bound.into_iter().map(|bound| open(bound, &listeners, no_delay)).collect();
        let (end, ended) = oneshot::channel();
        let (started, start) = mpsc::channel();
        let life = move || {
            // Made where it runs.
            let now = Instant::now();
            let mut core = Core::new(limits, access, now);
            core.set_log(log);
            let commit = store.map(|Store { restore, journal, commit }| {
                restore(&mut core, now);
                core.set_journal(Some(journal));
                commit
            });
            let mut event_loop = match EventLoop::new(core, open) {
                Ok(event_loop) => event_loop,
                Err(error) => return drop(started.send(Err(BrokerError::Thread(error)))),
            };
            if let Some(commit) = commit {
                event_loop.set_commit(commit);
            }
            if let Some(log) = notices {
                event_loop.set_notices(Box::new(move |notice| log.notice(&notice)));
            }
            if started.send(Ok(event_loop.control())).is_err() {
                return; // the caller is gone
            }
            if let Err(error) = event_loop.run() {
                let _ = end.send(BrokerError::Broker(error.to_string()));
            }
        };
        let thread = std::thread::Builder::new().name("broker".to_owned()).spawn(life).map_err(BrokerError::Thread)?;
        // The sender goes with the thread: an error here is a thread that panicked.
        match start.recv() {
            Ok(Ok(control)) => Ok(Self { addresses, control, ended, thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(mpsc::RecvError) => Err(BrokerError::Broker("its thread ended during startup".to_owned())),
        }
    }

    /// Where it listens: the first of its addresses, with the real port; that of a WebSocket where there is no other.
    pub fn local_addr(&self) -> SocketAddr {
        let Addresses { mqtt, web_socket, .. } = &self.addresses;
        mqtt.first().or(web_socket.first()).copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// All addresses it listens on for MQTT on TCP.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses.mqtt
    }

    /// All addresses it listens on for MQTT over WebSocket.
    pub fn web_socket_addrs(&self) -> &[SocketAddr] {
        &self.addresses.web_socket
    }

    /// All Unix sockets it listens on.
    pub fn paths(&self) -> &[PathBuf] {
        &self.addresses.paths
    }

    /// Runs this on the broker's thread, between two turns.
    pub fn with_core(&self, task: impl FnOnce(&mut Core, Instant) + Send + 'static) {
        self.control.run(Box::new(task));
    }

    /// Publishes a message of the broker's own, which is not retained: topic and text.
    pub(super) fn publisher(&self) -> impl Fn(String, String) + Send + Sync + use<> {
        let control = self.control.clone();
        move |topic, text| {
            let message = Message { topic, payload: text.into(), ..Message::default() };
            control.run(Box::new(move |core, now| core.publish(&message, now)));
        }
    }

    /// Waits until the broker ends by itself, which it does only when it fails.
    pub async fn failure(&mut self) -> BrokerError {
        match (&mut self.ended).await {
            Ok(error) => error,
            Err(_) => BrokerError::Broker("its thread ended".to_owned()),
        }
    }

    /// Stops it: clients of 5.0 get a DISCONNECT, the port is free when this returns. Takes well below a second.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.control.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
            for path in &self.addresses.paths {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EmbeddedBroker").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

fn open(bound: BoundListener, listeners: &[Listener], no_delay: bool) -> Open {
    let socket = match bound.socket {
        Bound::Tcp(socket) => ListeningSocket::Tcp(mio::net::TcpListener::from_std(socket)),
        #[cfg(unix)]
        Bound::Unix(socket) => ListeningSocket::Unix(mio::net::UnixListener::from_std(socket)),
    };
    let Listener { host, protocol, web_socket_origins, tls, certificate_name, max_connections, .. } =
        &listeners[bound.listener];
    let is_loopback = match (host, &socket) {
        (ListenHost::Loopback, _) => true,
        (ListenHost::Named(_), ListeningSocket::Tcp(socket)) => {
            socket.local_addr().is_ok_and(|address| address.ip().is_loopback())
        }
        _ => false,
    };
    let web_socket = match protocol {
        ListenProtocol::Mqtt => None,
        ListenProtocol::WebSocket => Some(OriginRule { allowed: web_socket_origins.clone(), loopback: is_loopback }),
    };
    Open {
        socket,
        web_socket,
        tls: tls.clone(),
        certificate_name: *certificate_name,
        no_delay,
        listener: bound.listener as u32,
        max_connections: *max_connections,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::super::core::OpenAccess;
    use super::*;
    use crate::mqtt::wire::{Connect, Packet, Scan, scan};
    use crate::mqtt::{Properties, ProtocolVersion, ReasonCode};

    /// Connects with a CONNECT and returns the reason of the CONNACK.
    fn connect(address: SocketAddr, version: ProtocolVersion) -> (TcpStream, ReasonCode) {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut bytes = Vec::new();
        let connect = Connect {
            version,
            client_id: "one".to_owned(),
            clean_start: true,
            keep_alive: 0,
            user_name: None,
            password: None,
            will: None,
            properties: Properties::new(),
        };
        connect.encode(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut input = Vec::new();
        loop {
            let mut chunk = [0; 256];
            let count = stream.read(&mut chunk).unwrap();
            assert_ne!(count, 0, "closed without a CONNACK");
            input.extend_from_slice(&chunk[..count]);
            if let Scan::Frame(frame) = scan(&input, 1024).unwrap() {
                let Packet::Connack(connack) = Packet::decode(frame, version).unwrap() else { panic!("no CONNACK") };
                return (stream, connack.reason);
            }
        }
    }

    #[test]
    fn starts_from_a_plain_thread_and_listens_no_more_when_stopped() {
        let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
        let address = broker.local_addr();
        assert_eq!(broker.local_addrs(), [address]);
        let (mut stream, reason) = connect(address, ProtocolVersion::V311);
        assert_eq!(reason, ReasonCode::SUCCESS);
        broker.stop();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        TcpStream::connect(address).unwrap_err();
    }

    #[tokio::test]
    async fn starts_and_drops_inside_a_runtime() {
        let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
        let address = broker.local_addr();
        // A silent connection must not delay it for long.
        let silent = TcpStream::connect(address).unwrap();
        let (_stream, reason) = connect(address, ProtocolVersion::V5);
        assert_eq!(reason, ReasonCode::SUCCESS);
        drop(broker);
        TcpStream::connect(address).unwrap_err();
        drop(silent);
    }

    #[test]
    fn refuses_everyone_when_anonymous_clients_are_not_allowed() {
        let access = Box::new(OpenAccess { allow_anonymous: false });
        let broker = EmbeddedBroker::start(BrokerSettings { access, ..BrokerSettings::loopback() }).unwrap();
        for version in [ProtocolVersion::V311, ProtocolVersion::V5] {
            assert_eq!(connect(broker.local_addr(), version).1, ReasonCode::NOT_AUTHORIZED);
        }
    }

    #[test]
    fn without_a_listener_it_does_not_start() {
        let settings = BrokerSettings { listeners: Vec::new(), ..BrokerSettings::loopback() };
        assert!(matches!(EmbeddedBroker::start(settings), Err(BrokerError::NoListener)));
    }

    #[test]
    fn a_second_broker_on_the_port_is_an_error() {
        let first = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
        let mut settings = BrokerSettings::loopback();
        settings.listeners[0].port = first.local_addr().port();
        let error = EmbeddedBroker::start(settings).unwrap_err();
        assert!(error.to_string().contains("address already in use"), "{error}");
    }
}
