//! A small real broker that does wrong on demand, for tests: delays, refuses, drops, repeats, reorders, cuts, stalls.
//!
//! Plain threads and blocking sockets on 127.0.0.1, port 0; two threads a connection; everything by plan, counted
//! from 1, nothing by chance. It writes down what it received and what it acknowledged. MQTT 3.1, 3.1.1 and 5.0,
//! QoS 0 to 2 both ways, sessions, wills, aliases; no retained messages, no shared subscriptions.
//!
//! ```ignore
//! let broker = ScriptedBroker::start(Script::default().drop_deliveries([3, 8]).delay(PacketType::Puback, MS_50));
//! // … a client at broker.addr() …
//! broker.wait_for("the end", |log| log.ended() == 1);
//! assert_eq!(broker.log().acknowledged.len(), 10);
//! ```

// A test takes what it needs of it, so something is always unused somewhere.
#![allow(dead_code, unused_imports)]

mod connection;
mod log;
mod outbox;
mod publishing;
mod script;
mod stalls;
mod state;

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

pub use log::{Counts, Log, Received};
pub use script::{Action, Connections, Fault, Ordinals, Repeat, Script, Trigger};

use connection::Connection;
use outbox::Outbox;
use stalls::Stalls;
use state::State;

/// How long a test waits for the broker to see something before it fails: a guard, not a measure.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the threads share.
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stalls: Stalls,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The broker; it stops when it is dropped.
pub struct ScriptedBroker {
    addr: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<Listening>,
}

struct Listening {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Accepted>>,
}

struct Accepted {
    stream: TcpStream,
    outbox: Arc<Outbox>,
    thread: JoinHandle<()>,
}

impl ScriptedBroker {
    /// Starts one that does what the script says.
    ///
    /// # Panics
    /// When the machine gives no port.
    pub fn start(script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap_or_else(|error| panic!("no port: {error}"));
        let addr = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
        let stalls = Stalls::new(script.stall_every);
        let state = Mutex::new(State { script, ..State::default() });
        let shared = Arc::new(Shared { state, changed: Condvar::new(), stalls });
        let listening = Some(Listening::start(listener, Arc::clone(&shared)));
        Self { addr, shared, listening }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its port, as an argument for a tool.
    pub fn port(&self) -> String {
        self.addr.port().to_string()
    }

    /// All that it wrote down so far.
    pub fn log(&self) -> Log {
        self.shared.lock().log.clone()
    }

    /// The counters alone.
    pub fn counts(&self) -> Counts {
        self.shared.lock().log.counts.clone()
    }

    /// Payloads whose last acknowledgement was sent.
    pub fn acknowledged(&self) -> Vec<Bytes> {
        self.shared.lock().log.acknowledged.clone()
    }

    /// What clients did that they must not do.
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock().log.violations.clone()
    }

    /// Waits until this is true of the log.
    ///
    /// # Panics
    /// When it does not become true within 60 s.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Log) -> bool) {
        let state = self.shared.lock();
        let waiting = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| !is_so(&state.log));
        let (state, timeout) = waiting.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "the broker waited for {what} in vain; it has {:?}", state.log.counts);
    }

    /// Puts another script in place of the old one, for what happens from now on (periodic stalls stay as they were,
    /// and so do faults of connections that exist).
    pub fn set_script(&self, script: Script) {
        self.shared.lock().script = script;
    }

    /// Does this to every client that is connected, now: for what a test decides while it runs.
    pub fn act_on_all(&self, action: &Action) {
        let state = self.shared.lock();
        for link in state.sessions.values().filter_map(|session| session.link.as_ref()) {
            action.perform(&link.outbox, link.version);
        }
    }

    /// Ends all connections and listens no more, as a broker that was killed. Sessions are kept.
    pub fn go_away(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.stop(self.addr);
        }
    }

    /// Listens again on the same port.
    pub fn come_back(&mut self) -> io::Result<()> {
        if self.listening.is_none() {
            let listener = TcpListener::bind(self.addr)?;
            self.listening = Some(Listening::start(listener, Arc::clone(&self.shared)));
        }
        Ok(())
    }

    /// Stops and hands over the log.
    pub fn stop(mut self) -> Log {
        self.go_away();
        self.log()
    }
}

impl Drop for ScriptedBroker {
    fn drop(&mut self) {
        self.go_away();
    }
}

impl Listening {
    fn start(listener: TcpListener, shared: Arc<Shared>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut connections = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let _ = stream.set_nodelay(true);
                let Ok(reader) = stream.try_clone() else { continue };
                let mut state = shared.lock();
                state.log.counts.connections += 1;
                let connection = Connection::new(state.log.counts.connections, Arc::clone(&shared), &state.script);
                drop(state);
                shared.changed.notify_all();
                let outbox = connection.outbox();
                let thread = std::thread::spawn(move || connection.run(reader));
                connections.push(Accepted { stream, outbox, thread });
            }
            connections
        });
        Self { stop, thread }
    }

    fn stop(self, addr: SocketAddr) {
        self.stop.store(true, Ordering::SeqCst);
        // The accepting thread waits in accept; a connection wakes it up.
        let woken = TcpStream::connect(addr);
        let Ok(connections) = self.thread.join() else { return };
        drop(woken);
        for Accepted { stream, outbox, .. } in &connections {
            outbox.close();
            let _ = stream.shutdown(Shutdown::Both);
        }
        for Accepted { stream, thread, .. } in connections {
            drop(stream);
            let _ = thread.join();
        }
    }
}
