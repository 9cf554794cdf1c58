//! The way through a proxy: SOCKS5 ([`socks5`]) and HTTP CONNECT ([`http`]).

mod http;
mod socks5;

use std::net::SocketAddr;

use super::error::{FailureKind, Fault, explain_socket_error};
use super::plan::{Address, ProxyKind, ProxyPlan};
use super::socket::Socket;

/// Asks the proxy behind `socket` for a connection to the broker. `resolved` is the broker's address where it was
/// looked up here.
pub(super) async fn negotiate(
    socket: Socket,
    proxy: &ProxyPlan,
    address: &Address,
    resolved: Option<SocketAddr>,
) -> Result<Socket, Fault> {
    match proxy.kind {
        ProxyKind::Socks5h | ProxyKind::Socks5 => socks5::negotiate(socket, proxy, address, resolved).await,
        ProxyKind::Http => http::negotiate(socket, proxy, address).await,
    }
}

/// Host and port of a proxy, for an error.
pub(super) fn name(proxy: &ProxyPlan) -> String {
    Address::Tcp { host: proxy.host.clone(), port: proxy.port }.to_string()
}

/// A proxy that was not reached: the fault of the step, with the proxy named.
pub(super) fn not_reached(proxy: &ProxyPlan, fault: Fault) -> Fault {
    let hint = match fault.kind {
        FailureKind::Refused => Some("is the proxy running there? check --proxy".to_owned()),
        FailureKind::HostNotFound => Some("check the host of --proxy".to_owned()),
        _ => fault.hint,
    };
    Fault { kind: fault.kind, cause: format!("proxy {}: {}", name(proxy), fault.cause), hint }
}

/// A proxy that closed or broke the connection while it was asked.
fn lost(error: &std::io::Error) -> Fault {
    match explain_socket_error(error) {
        fault if fault.kind == FailureKind::Closed || error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Fault::new(FailureKind::Closed, "the proxy closed the connection instead of answering")
                .hint("is this the type of proxy given with --proxy, and does it allow this client?")
        }
        fault => fault,
    }
}
