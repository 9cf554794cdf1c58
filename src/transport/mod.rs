//! How bytes reach a broker, for every tool: host name → DNS → TCP or unix socket → TLS, every step timed and named in
//! its error. The only home of rustls and of sockets. Proxies and WebSocket go between the steps when they come.

mod plan;

pub use plan::{Address, ClientCertificate, TlsPlan, TlsVersions, TransportPlan, TrustRoots};
