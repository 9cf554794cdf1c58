//! A broker in this process, on threads and a runtime of its own, so that nothing that runs beside it shares its
//! scheduler. It can be started and stopped from async code and from plain threads alike.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use mqtt5::broker::config::WebSocketConfig;
use mqtt5::broker::{BrokerConfig, MqttBroker, ResourceLimits, StorageBackendType, StorageConfig};
use tokio::sync::oneshot;

use super::hooks::{Door, Relay};
use super::listen::{self, Addresses};
use super::{BrokerError, BrokerLimits, BrokerSettings, Listener};
use crate::client::check_descriptors;

/// How long clients get to be disconnected when the broker stops. The crate itself would wait five seconds for a
/// connection that never sent its CONNECT.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// A broker that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct EmbeddedBroker {
    addresses: Addresses,
    stop: Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<BrokerError>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedBroker {
    /// Starts a broker; when this returns it accepts connections. It blocks for the few milliseconds that takes.
    ///
    /// Fails when an address cannot be bound (all listeners or none), or the threads cannot be started.
    pub fn start(settings: BrokerSettings) -> Result<Self, BrokerError> {
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (started, start) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("broker".to_owned())
            .spawn(move || {
                if let Err(error) = run(settings, &started, stopped) {
                    // Whoever waits for the start hears it there, else whoever waits for the end does.
                    if let Err(mpsc::SendError(Err(error))) = started.send(Err(error)) {
                        let _ = end.send(error);
                    }
                }
            })
            .map_err(BrokerError::Thread)?;
        // The sender goes with the thread: an error here is a thread that panicked.
        match start.recv() {
            Ok(Ok(addresses)) => Ok(Self { addresses, stop: Some(stop), ended, thread: Some(thread) }),
            Ok(Err(error)) => {
                let _ = thread.join();
                Err(error)
            }
            Err(mpsc::RecvError) => Err(BrokerError::Broker("its thread ended while it started".to_owned())),
        }
    }

    /// Where it listens: the first of its addresses, with the real port; that of a WebSocket where there is no other.
    pub fn local_addr(&self) -> SocketAddr {
        let Addresses { mqtt, web_socket } = &self.addresses;
        *mqtt.first().unwrap_or_else(|| &web_socket[0]) // never both empty: `run` reports at least one or fails
    }

    /// All addresses it listens on for MQTT on TCP.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses.mqtt
    }

    /// All addresses it listens on for MQTT over WebSocket.
    pub fn web_socket_addrs(&self) -> &[SocketAddr] {
        &self.addresses.web_socket
    }

    /// Waits until the broker ends by itself, which it does only when it fails.
    pub async fn failure(&mut self) -> BrokerError {
        match (&mut self.ended).await {
            Ok(error) => error,
            Err(_) => BrokerError::Broker("its thread ended".to_owned()),
        }
    }

    /// Stops it: clients get a DISCONNECT, the port is free when this returns. Takes at most about two seconds.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            // An error is a thread that has ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.end();
    }
}

type Started = mpsc::Sender<Result<Addresses, BrokerError>>;

/// The life of the broker, on its own thread.
fn run(settings: BrokerSettings, started: &Started, stopped: oneshot::Receiver<()>) -> Result<(), BrokerError> {
    let mut addresses = listen::addresses(&settings.listeners)?;
    if let ([address], [Listener { port: 0, .. }]) = (&mut addresses.mqtt[..], &settings.listeners[..]) {
        // A single address can be left to the crate whole, and then no other program can come between.
        address.set_port(0);
    }
    if addresses.mqtt.is_empty() && addresses.web_socket.is_empty() {
        return Err(BrokerError::NoListener);
    }
    check_descriptors().map_err(BrokerError::Thread)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().thread_name("broker worker");
    if let Some(threads) = settings.worker_threads {
        builder.worker_threads(threads.get());
    }
    let runtime = builder.build().map_err(BrokerError::Thread)?;
    let result = runtime.block_on(serve(settings, addresses, started, stopped));
    // Connections that did not go in time are cut off here.
    runtime.shutdown_timeout(STOP_GRACE);
    result
}

async fn serve(
    settings: BrokerSettings,
    mut addresses: Addresses,
    started: &Started,
    stopped: oneshot::Receiver<()>,
) -> Result<(), BrokerError> {
    let door = Door { allow_anonymous: settings.allow_anonymous, events: settings.events.clone() };
    // The addresses were free a moment ago, so a failure is another program that came between.
    let taken = |addresses: &[SocketAddr], error: String| BrokerError::Listen {
        address: text_of(addresses),
        error: io::Error::other(error),
    };
    let broker = MqttBroker::with_config(config(&settings, &addresses)).await;
    let broker = broker.map_err(|error| taken(&addresses.mqtt, error.to_string()))?;
    // The crate goes on without its WebSockets when it cannot bind them.
    if !addresses.web_socket.is_empty() && broker.ws_local_addr().is_none() {
        return Err(taken(&addresses.web_socket, "address already in use".to_owned()));
    }
    if let ([address], Some(bound)) = (&mut addresses.mqtt[..], broker.local_addr()) {
        *address = bound;
    }
    let mut broker = broker.with_auth_provider(Arc::new(door));
    broker.resource_monitor().update_limits(connection_limits(&settings.limits));

    let shutdown = broker.shutdown_handle();
    let mut ready = broker.ready_receiver();
    let life = broker.run();
    tokio::pin!(life);
    // The crate hears a shutdown only once it is ready; before, the signal would be lost.
    tokio::select! {
        ended = &mut life => return Err(unexpected_end(ended)),
        changed = ready.changed() => {
            if changed.is_err() {
                return Err(unexpected_end(life.await));
            }
        }
    }
    if started.send(Ok(addresses)).is_err() {
        return Ok(()); // nobody waits for it any more
    }
    tokio::select! {
        ended = &mut life => return Err(unexpected_end(ended)),
        // An error is an owner that is gone, which means the same.
        _ = stopped => {}
    }
    shutdown.shutdown();
    // Out of time is no failure: what is left is cut off with the runtime.
    let _ = tokio::time::timeout(STOP_GRACE, life).await;
    Ok(())
}

fn unexpected_end(ended: mqtt5::error::Result<()>) -> BrokerError {
    BrokerError::Broker(ended.err().map_or_else(|| "it ended by itself".to_owned(), |error| error.to_string()))
}

fn text_of(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn config(settings: &BrokerSettings, addresses: &Addresses) -> BrokerConfig {
    let limits = &settings.limits;
    let web_socket = || {
        let bound = WebSocketConfig::new().with_bind_addresses(addresses.web_socket.clone());
        bound.with_path(super::WEB_SOCKET_PATH)
    };
    let mut config = BrokerConfig {
        bind_addresses: addresses.mqtt.clone(),
        websocket_config: (!addresses.web_socket.is_empty()).then(web_socket),
        max_clients: limits.max_clients,
        client_channel_capacity: limits.client_queue_messages,
        storage_config: StorageConfig {
            // The default is files in the working directory. Persistence stays on: without it there are no sessions.
            backend: StorageBackendType::Memory,
            max_queued_messages_per_client: limits.offline_queue_messages,
            max_queued_bytes_per_client: limits.offline_queue_bytes,
            ..StorageConfig::default()
        },
        event_handler: settings.events.clone().map(|events| Arc::new(Relay { events }) as _),
        ..BrokerConfig::default()
    };
    // `Door` decides; without this the crate refuses to start for want of a password file.
    config.auth_config.allow_anonymous = true;
    config.auth_config.rate_limit.enabled = false;
    config
}

/// Limits on connections: only their number. The crate's own are 10,000 an address and 10,000 a second, and it looks
/// through all of the last window's connections at every accept, hence the short window.
fn connection_limits(limits: &BrokerLimits) -> ResourceLimits {
    ResourceLimits {
        max_connections: limits.max_clients,
        max_connections_per_ip: limits.max_clients,
        max_message_rate_per_client: 0,
        max_bandwidth_per_client: 0,
        max_connection_rate: u32::MAX,
        rate_limit_window: Duration::from_millis(1),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::mqtt::wire::{Connect, Packet, Scan, scan};
    use crate::mqtt::{Properties, ProtocolVersion, ReasonCode};

    /// Connects with a CONNECT and returns what the CONNACK says.
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
    fn starts_from_a_plain_thread_and_frees_its_port_when_stopped() {
        let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
        let address = broker.local_addr();
        assert_eq!(broker.local_addrs(), [address]);
        let (mut stream, reason) = connect(address, ProtocolVersion::V311);
        assert_eq!(reason, ReasonCode::SUCCESS);
        broker.stop();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        TcpListener::bind(address).unwrap();
    }

    #[tokio::test]
    async fn starts_and_drops_inside_a_runtime() {
        let broker = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
        let address = broker.local_addr();
        // A connection that never says anything must not hold it up for long.
        let silent = TcpStream::connect(address).unwrap();
        let (_stream, reason) = connect(address, ProtocolVersion::V5);
        assert_eq!(reason, ReasonCode::SUCCESS);
        drop(broker);
        TcpListener::bind(address).unwrap();
        drop(silent);
    }

    #[test]
    fn refuses_everyone_when_anonymous_clients_are_not_allowed() {
        let broker =
            EmbeddedBroker::start(BrokerSettings { allow_anonymous: false, ..BrokerSettings::loopback() }).unwrap();
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
    fn a_second_broker_on_the_port_is_told_so() {
        let first = EmbeddedBroker::start(BrokerSettings::loopback()).unwrap();
        let mut settings = BrokerSettings::loopback();
        settings.listeners[0].port = first.local_addr().port();
        let error = EmbeddedBroker::start(settings).unwrap_err();
        assert!(error.to_string().contains("address already in use"), "{error}");
    }
}
