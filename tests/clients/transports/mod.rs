//! Every transport, against peers in this process that do right and wrong, and against a real mosquitto where there is
//! one: the steps of a connection ([`faults`]), the frames of a WebSocket ([`frames`]), and the tools ([`tools`]).

mod faults;
mod frames;
mod tools;

use std::time::Duration;

use mqtools::mqtt::Secret;
use mqtools::transport::{
    Address, ConnectError, Connected, ProxyKind, ProxyLogin, ProxyPlan, TransportPlan, WebSocketPlan, connect,
};

/// A plan for a port of 127.0.0.1.
fn plan(port: u16) -> TransportPlan {
    TransportPlan {
        address: Address::Tcp { host: "127.0.0.1".into(), port },
        bind: None,
        no_delay: true,
        timeout: Duration::from_secs(60),
        proxy: None,
        tls: None,
        web_socket: None,
        resolved: Vec::new(),
    }
}

/// The same over WebSocket.
fn web_socket_plan(port: u16) -> TransportPlan {
    let headers = vec![("X-Token".to_owned(), Secret::new("hunter2"))];
    TransportPlan { web_socket: Some(WebSocketPlan { path: "/mqtt?a=b".into(), headers }), ..plan(port) }
}

/// A proxy at `address`, given as `host:port`.
fn proxy(kind: ProxyKind, address: &str, login: Option<(&str, &str)>) -> Option<ProxyPlan> {
    let (host, port) = address.rsplit_once(':').unwrap();
    let login = login.map(|(user, password)| ProxyLogin { user: user.into(), password: Secret::new(password) });
    Some(ProxyPlan { kind, host: host.into(), port: port.parse().unwrap(), login, resolved: Vec::new() })
}

/// Connects and lets `then` use the connection.
fn with_connection<T>(plan: &TransportPlan, then: impl AsyncFnOnce(Connected) -> T) -> Result<T, ConnectError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { Ok(then(connect(plan, None).await?).await) })
}

/// The error of a connection that cannot be made.
fn failing(plan: &TransportPlan) -> ConnectError {
    match with_connection(plan, async |_| ()) {
        Err(error) => error,
        Ok(()) => panic!("connected by {plan:?}"),
    }
}
