//! From listeners to listening sockets: all or none.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::{AddressFamily, BrokerError, ListenHost, ListenProtocol, Listener};

/// How often a free port is looked for that is free for both families.
const ATTEMPTS: usize = 16;

/// Most connections that wait to be accepted; the system may have a lower limit.
#[cfg(unix)]
const BACKLOG: i32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Bound {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

/// A socket, and the listener that asked for it.
#[derive(Debug)]
pub(super) struct BoundListener {
    pub(super) socket: Bound,
    pub(super) protocol: ListenProtocol,
    /// Index of the listener.
    pub(super) listener: usize,
}

/// Where a broker listens, each with a real port.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    pub(super) mqtt: Vec<SocketAddr>,
    pub(super) web_socket: Vec<SocketAddr>,
    pub(super) paths: Vec<PathBuf>,
}

impl Addresses {
    /// Those of sockets that are bound.
    pub(super) fn of(bound: &[BoundListener]) -> Self {
        let mut addresses = Self::default();
        for bound in bound {
            match (&bound.socket, bound.protocol) {
                (Bound::Tcp(socket), ListenProtocol::Mqtt) => addresses.mqtt.extend(socket.local_addr()),
                (Bound::Tcp(socket), ListenProtocol::WebSocket) => addresses.web_socket.extend(socket.local_addr()),
                #[cfg(unix)]
                (Bound::Unix(socket), _) => {
                    let path = socket.local_addr().ok();
                    addresses.paths.extend(path.and_then(|path| path.as_pathname().map(Path::to_owned)));
                }
            }
        }
        addresses
    }
}

/// Binds all listeners. Fails on the first that cannot be bound.
pub(super) fn bind_all_listeners(listeners: &[Listener]) -> Result<Vec<BoundListener>, BrokerError> {
    let mut bound = Vec::new();
    for (index, listener) in listeners.iter().enumerate() {
        let of = |socket| BoundListener { socket, protocol: listener.protocol, listener: index };
        match &listener.host {
            ListenHost::Path(path) => bound.push(of(bind_path(path)?)),
            _ => {
                let sockets = bind_listener(listener).map_err(|error| overlap(error, &bound))?;
                bound.extend(sockets.into_iter().map(|socket| of(Bound::Tcp(socket))));
            }
        }
    }
    for bound in &bound {
        prepare(&bound.socket).map_err(BrokerError::Thread)?;
    }
    Ok(bound)
}

/// An address in use that one of our own listeners covers is in use by us.
fn overlap(error: BrokerError, bound: &[BoundListener]) -> BrokerError {
    let BrokerError::Listen { address, error } = error else { return error };
    let own = Addresses::of(bound);
    let is_ours = |wanted: SocketAddr| {
        own.mqtt.iter().chain(&own.web_socket).any(|own| {
            let covers = own.ip() == wanted.ip() || own.ip().is_unspecified() || wanted.ip().is_unspecified();
            own.port() == wanted.port() && covers
        })
    };
    if error.kind() == ErrorKind::AddrInUse && address.parse().is_ok_and(is_ours) {
        BrokerError::Overlap { address }
    } else {
        BrokerError::Listen { address, error }
    }
}

/// What the loop needs of a socket.
fn prepare(socket: &Bound) -> io::Result<()> {
    match socket {
        Bound::Tcp(socket) => {
            #[cfg(unix)]
            deepen(socket)?;
            socket.set_nonblocking(true)
        }
        #[cfg(unix)]
        Bound::Unix(socket) => {
            deepen(socket)?;
            socket.set_nonblocking(true)
        }
    }
}

/// The standard library lets 128 connections wait; thousands of devices come back at the same moment.
#[cfg(unix)]
fn deepen(socket: &impl std::os::fd::AsFd) -> io::Result<()> {
    let backlog = nix::sys::socket::Backlog::new(BACKLOG).map_err(io::Error::from)?;
    nix::sys::socket::listen(socket, backlog).map_err(io::Error::from)
}

/// Binds a Unix socket. One that an earlier broker has left behind is replaced; one that is served is in use.
#[cfg(unix)]
fn bind_path(path: &Path) -> Result<Bound, BrokerError> {
    use std::os::unix::fs::FileTypeExt;
    let failed = |error| BrokerError::Listen { address: path.display().to_string(), error };
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
        std::fs::remove_file(path).map_err(failed)?;
    }
    UnixListener::bind(path).map(Bound::Unix).map_err(failed)
}

#[cfg(not(unix))]
fn bind_path(path: &Path) -> Result<Bound, BrokerError> {
    let error = ErrorKind::Unsupported.into();
    Err(BrokerError::Listen { address: path.display().to_string(), error })
}

fn bind_listener(listener: &Listener) -> Result<Vec<TcpListener>, BrokerError> {
    match &listener.host {
        ListenHost::Loopback => bind_pair(Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), listener.port),
        ListenHost::All => match listener.family {
            None => bind_all(listener.port),
            Some(AddressFamily::V4) => {
                Ok(vec![bind(Ipv4Addr::UNSPECIFIED.into(), listener.port).map_err(listen_error)?])
            }
            Some(AddressFamily::V6) => Ok(vec![bind_v6_only(listener.port).map_err(listen_error)?]),
        },
        ListenHost::Named(host) => bind_named(host, listener.port, listener.family),
        ListenHost::Path(_) => Ok(Vec::new()), // bound elsewhere
    }
}

/// Binds all interfaces.
fn bind_all(port: u16) -> Result<Vec<TcpListener>, BrokerError> {
    let (v6, v4) = (IpAddr::from(Ipv6Addr::UNSPECIFIED), IpAddr::from(Ipv4Addr::UNSPECIFIED));
    match bind(v6, port) {
        Err((_, error)) if is_missing(&error) => Ok(vec![bind(v4, port).map_err(listen_error)?]),
        Err(failure) => Err(listen_error(failure)),
        Ok(socket) => match bind(v4, port_of(&socket, port)) {
            Ok(other) => Ok(vec![socket, other]),
            // Where the IPv6 socket takes IPv4 as well, the address is in use now, by us.
            Err((_, error)) if error.kind() == ErrorKind::AddrInUse => Ok(vec![socket]),
            Err(failure) => Err(listen_error(failure)),
        },
    }
}

/// Binds both addresses on one port; the second may be missing on this machine.
fn bind_pair(first: IpAddr, second: IpAddr, port: u16) -> Result<Vec<TcpListener>, BrokerError> {
    let mut attempts = if port == 0 { ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        let socket = bind(first, port).map_err(listen_error)?;
        match bind(second, port_of(&socket, port)) {
            Ok(other) => return Ok(vec![socket, other]),
            Err((_, error)) if is_missing(&error) => return Ok(vec![socket]),
            Err((_, error)) if error.kind() == ErrorKind::AddrInUse && attempts > 0 => {}
            Err(failure) => return Err(listen_error(failure)),
        }
    }
}

/// Binds every address of a name. With port 0 the first one's port is everyone's.
fn bind_named(host: &str, port: u16, family: Option<AddressFamily>) -> Result<Vec<TcpListener>, BrokerError> {
    let resolve = |error| BrokerError::Resolve { host: host.to_owned(), error };
    let mut sockets: Vec<TcpListener> = Vec::new();
    let wanted = |address: &SocketAddr| match family {
        None => true,
        Some(AddressFamily::V4) => address.is_ipv4(),
        Some(AddressFamily::V6) => address.is_ipv6(),
    };
    for address in (host, port).to_socket_addrs().map_err(resolve)?.filter(wanted) {
        let port = sockets.first().map_or(port, |socket| port_of(socket, port));
        match bind_address(SocketAddr::new(address.ip(), port)) {
            Ok(socket) => sockets.push(socket),
            // The same address may stand in the answer twice.
            Err(_)
                if sockets.iter().any(|socket| socket.local_addr().is_ok_and(|bound| bound.ip() == address.ip())) => {}
            Err(failure) => return Err(listen_error(failure)),
        }
    }
    if sockets.is_empty() {
        return Err(resolve(io::Error::new(ErrorKind::NotFound, "no address")));
    }
    Ok(sockets)
}

fn bind(address: IpAddr, port: u16) -> Result<TcpListener, (SocketAddr, io::Error)> {
    bind_address(SocketAddr::new(address, port))
}

fn bind_address(address: SocketAddr) -> Result<TcpListener, (SocketAddr, io::Error)> {
    TcpListener::bind(address).map_err(|error| (address, error))
}

/// Binds all interfaces for IPv6 alone; by itself such a socket takes IPv4 too on many systems.
fn bind_v6_only(port: u16) -> Result<TcpListener, (SocketAddr, io::Error)> {
    use socket2::{Domain, Socket, Type};
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let bound = || {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
        socket.set_only_v6(true)?;
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(128)?;
        Ok(socket.into())
    };
    bound().map_err(|error| (address, error))
}

fn listen_error((address, error): (SocketAddr, io::Error)) -> BrokerError {
    BrokerError::Listen { address: address.to_string(), error }
}

fn port_of(socket: &TcpListener, asked: u16) -> u16 {
    socket.local_addr().map_or(asked, |address| address.port())
}

/// Whether the machine has no such address family or address.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported) || is_family_unsupported(error)
}

/// The standard library has no error kind for EAFNOSUPPORT.
fn is_family_unsupported(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32);
    #[cfg(not(unix))]
    return error.raw_os_error() == Some(10047); // WSAEAFNOSUPPORT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(listeners: &[Listener]) -> Result<Addresses, BrokerError> {
        bind_all_listeners(listeners).map(|bound| Addresses::of(&bound))
    }

    fn listener(host: ListenHost, port: u16) -> Listener {
        Listener::new(host, port, ListenProtocol::Mqtt)
    }

    #[test]
    fn protocols_are_kept_apart() {
        let web_socket = Listener { protocol: ListenProtocol::WebSocket, ..listener(ListenHost::Loopback, 0) };
        let addresses = addresses(&[listener(ListenHost::Named("127.0.0.1".to_owned()), 0), web_socket]).unwrap();
        assert_eq!(addresses.mqtt.len(), 1);
        assert!(!addresses.web_socket.is_empty() && !addresses.web_socket.contains(&addresses.mqtt[0]));
    }

    #[test]
    fn port_0_becomes_a_port_and_one_for_both_families() {
        for host in [ListenHost::Loopback, ListenHost::All, ListenHost::Named("127.0.0.1".to_owned())] {
            let addresses = addresses(&[listener(host, 0)]).unwrap().mqtt;
            assert!(!addresses.is_empty());
            assert!(addresses.iter().all(|address| address.port() == addresses[0].port() && address.port() != 0));
        }
    }

    #[test]
    fn a_port_in_use_is_named_with_the_next_step() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        for host in [ListenHost::Loopback, ListenHost::Named("127.0.0.1".to_owned())] {
            let error = addresses(&[listener(host, address.port())]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "cannot listen on {address}: address already in use: is another broker running there? choose \
                     another port with -p"
                )
            );
        }
    }

    #[test]
    fn two_listeners_of_one_address_are_no_other_broker() {
        // Bound and free again.
        let port = addresses(&[listener(ListenHost::Loopback, 0)]).unwrap().mqtt[0].port();
        let (one, other) = (listener(ListenHost::All, port), listener(ListenHost::Named("127.0.0.1".to_owned()), port));
        for two in [[one.clone(), one.clone()], [other, one]] {
            let error = addresses(&two).unwrap_err().to_string();
            assert!(error.ends_with(&format!(":{port}: another listener of this broker has it already")), "{error}");
        }
    }

    /// Where all of 127.0.0.0/8 is this machine.
    #[cfg(target_os = "linux")]
    #[test]
    fn another_broker_on_another_address_of_an_own_port_is_named_as_such() {
        let taken = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let named = |host: &str| listener(ListenHost::Named(host.to_owned()), port);
        let error = addresses(&[named("127.0.0.1"), named("127.0.0.2")]).unwrap_err();
        assert!(
            matches!(&error, BrokerError::Listen { address, .. } if *address == format!("127.0.0.2:{port}")),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_unix_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("broker.sock");
        let socket = || bind_all_listeners(&[listener(ListenHost::Path(path.clone()), 0)]);
        let first = socket().unwrap();
        assert_eq!(Addresses::of(&first).paths, std::slice::from_ref(&path));
        assert!(matches!(socket(), Err(BrokerError::Listen { .. })));
        drop(first);
        assert!(path.exists());
        socket().unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "no socket").unwrap();
        assert!(matches!(socket(), Err(BrokerError::Listen { .. })));
    }

    #[test]
    fn a_foreign_address_and_an_unknown_name_are_errors() {
        // TEST-NET-3 (RFC 5737); TEST-NET-1 is given to virtual machines now and then.
        let error = addresses(&[listener(ListenHost::Named("203.0.113.7".to_owned()), 0)]).unwrap_err();
        assert_eq!(error.to_string(), "cannot listen on 203.0.113.7:0: this machine has no such address");
        let error = addresses(&[listener(ListenHost::Named("no such host".to_owned()), 1883)]).unwrap_err();
        assert!(error.to_string().starts_with("cannot listen on no such host: its address is not found"), "{error}");
    }
}
