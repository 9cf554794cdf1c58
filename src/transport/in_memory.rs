//! Listeners in memory, for tests on a virtual clock: a socket would take real time.
//!
//! A test binds an address on its own thread; who connects to that address from the same thread gets one end of a pipe
//! instead of a TCP connection. Every other address stays what it is.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::error::{Fault, explain_socket_error};
use super::socket::Socket;
use super::tcp::Reached;

/// What connecting to a bound address is like.
#[derive(Clone, Debug)]
struct Entry {
    connections: UnboundedSender<DuplexStream>,
    buffer: usize,
    delay: Duration,
}

thread_local! {
    static BOUND: RefCell<HashMap<SocketAddr, Entry>> = RefCell::default();
}

/// A bound address. It stays bound, and refuses connections, once the listener is gone: nobody is to find out by
/// chance what is behind the real one.
#[derive(Debug)]
pub(crate) struct MemoryListener(UnboundedReceiver<DuplexStream>);

impl MemoryListener {
    /// Listens. Connecting takes `delay`; each direction of a connection holds `buffer` bytes that were not read yet.
    pub(crate) fn bind(address: SocketAddr, buffer: usize, delay: Duration) -> Self {
        let (connections, accepted) = unbounded_channel();
        BOUND.with_borrow_mut(|bound| bound.insert(address, Entry { connections, buffer, delay }));
        Self(accepted)
    }

    /// The next connection.
    pub(crate) async fn accept(&mut self) -> Option<DuplexStream> {
        self.0.recv().await
    }
}

/// Connects to the first address that is bound here; none if none is.
pub(super) async fn dial(candidates: &[SocketAddr]) -> Option<Result<Reached, Fault>> {
    let entry = BOUND.with_borrow(|bound| candidates.iter().find_map(|address| bound.get(address)).cloned())?;
    tokio::time::sleep(entry.delay).await;
    let (near, far) = duplex(entry.buffer);
    Some(match entry.connections.send(far) {
        Ok(()) => Ok(Reached { socket: Socket::Memory(near), took: entry.delay }),
        Err(_) => Err(explain_socket_error(&io::ErrorKind::ConnectionRefused.into())),
    })
}
