//! SOCKS5 (RFC 1928, RFC 1929), and the causes of its refusals.

use std::net::SocketAddr;

use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error, IntoTargetAddr, TargetAddr};

use super::lost;
use crate::transport::error::{FailureKind, Fault, NO_ANSWER_HINT, REFUSED_HINT};
use crate::transport::plan::{Address, ProxyKind, ProxyPlan};
use crate::transport::socket::Socket;

const LOGIN_HINT: &str = "give the user and password with --proxy socks5h://USER:PASSWORD@HOST:PORT";

pub(super) async fn negotiate(
    socket: Socket,
    proxy: &ProxyPlan,
    address: &Address,
    resolved: Option<SocketAddr>,
) -> Result<Socket, Fault> {
    let shown = resolved.map_or_else(|| address.to_string(), |address| address.to_string());
    let target = match (resolved, address) {
        (Some(resolved), _) => Ok(TargetAddr::Ip(resolved)),
        (None, Address::Tcp { host, port }) => (host.as_str(), *port).into_target_addr(),
        (None, Address::Unix(_)) => Err(Error::InvalidTargetAddress("no host")),
    };
    let asked = match (target, &proxy.login) {
        (Err(error), _) => Err(error),
        (Ok(target), None) => Socks5Stream::connect_with_socket(socket, target).await,
        (Ok(target), Some(login)) => {
            let password = std::str::from_utf8(login.password.expose())
                .map_err(|_| Fault::new(FailureKind::ProxyAuthentication, "the password for the proxy is not UTF-8"))?;
            Socks5Stream::connect_with_password_and_socket(socket, target, &login.user, password).await
        }
    };
    asked.map(Socks5Stream::into_inner).map_err(|error| explain(&error, proxy, &shown))
}

fn explain(error: &Error, proxy: &ProxyPlan, target: &str) -> Fault {
    let of = |kind, cause: String, hint: &str| Fault::new(kind, cause).hint(hint);
    match error {
        Error::Io(error) => lost(error),
        Error::NoAcceptableAuthMethods | Error::AuthorizationRequired if proxy.login.is_none() => {
            of(FailureKind::ProxyAuthentication, "the proxy requires a user and a password".into(), LOGIN_HINT)
        }
        Error::NoAcceptableAuthMethods | Error::AuthorizationRequired | Error::UnknownAuthMethod => {
            let cause = "the proxy accepts neither a password nor anonymous clients";
            Fault::new(FailureKind::ProxyAuthentication, cause)
                .hint("other authentication methods (GSSAPI) are not supported")
        }
        Error::PasswordAuthFailure(_) => {
            of(FailureKind::ProxyAuthentication, "the proxy rejected the user or password".into(), LOGIN_HINT)
        }
        Error::InvalidAuthValues(_) => of(
            FailureKind::ProxyAuthentication,
            "user and password for a SOCKS5 proxy must have 1 to 255 bytes each".into(),
            LOGIN_HINT,
        ),
        Error::ConnectionNotAllowedByRuleset => of(
            FailureKind::ProxyRefused,
            format!("the proxy's rules do not allow a connection to {target}"),
            "ask its administrator to allow this host and port, or use a port that it allows",
        ),
        Error::NetworkUnreachable | Error::HostUnreachable => {
            let hint = match proxy.kind {
                ProxyKind::Socks5h => {
                    "can the proxy resolve the broker's name? with socks5:// it is resolved on this machine"
                }
                _ => {
                    "is the broker's address right as seen from the proxy? with socks5h:// the proxy resolves the name"
                }
            };
            of(FailureKind::Unreachable, format!("the proxy cannot reach {target}"), hint)
        }
        Error::ConnectionRefused => {
            of(FailureKind::Refused, format!("the proxy reached {target}, which refused the connection"), REFUSED_HINT)
        }
        Error::TtlExpired => {
            of(FailureKind::TimedOut, format!("the proxy got no answer from {target}"), NO_ANSWER_HINT)
        }
        Error::GeneralSocksServerFailure => of(
            FailureKind::Unavailable,
            format!("the proxy could not connect to {target} and gave no reason"),
            "check the host and port of the broker as seen from the proxy, and the log of the proxy",
        ),
        Error::AddressTypeNotSupported => of(
            FailureKind::ProxyRefused,
            format!("the proxy does not accept this type of address: {target}"),
            "socks5:// sends an IP address, socks5h:// the name",
        ),
        Error::CommandNotSupported => {
            Fault::new(FailureKind::ProxyRefused, "the proxy does not support TCP connections (CONNECT)")
        }
        Error::InvalidTargetAddress(_) => {
            Fault::new(FailureKind::ProxyRefused, "the broker's host name is too long for SOCKS5: at most 255 bytes")
        }
        _ => of(
            FailureKind::NotProxy,
            "the server is not a SOCKS5 proxy".into(),
            "use --proxy http://HOST:PORT for an HTTP proxy",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_words() {
        let proxy =
            ProxyPlan { kind: ProxyKind::Socks5h, host: "p".into(), port: 1080, login: None, resolved: Vec::new() };
        for (error, kind, cause) in [
            (Error::ConnectionRefused, FailureKind::Refused, "h:1, which refused"),
            (Error::HostUnreachable, FailureKind::Unreachable, "cannot reach h:1"),
            (Error::TtlExpired, FailureKind::TimedOut, "no answer from h:1"),
            (Error::GeneralSocksServerFailure, FailureKind::Unavailable, "gave no reason"),
            (Error::ConnectionNotAllowedByRuleset, FailureKind::ProxyRefused, "rules"),
            (Error::CommandNotSupported, FailureKind::ProxyRefused, "CONNECT"),
            (Error::AddressTypeNotSupported, FailureKind::ProxyRefused, "h:1"),
            (Error::NoAcceptableAuthMethods, FailureKind::ProxyAuthentication, "requires a user"),
            (Error::PasswordAuthFailure(1), FailureKind::ProxyAuthentication, "rejected the user"),
            (Error::InvalidResponseVersion, FailureKind::NotProxy, "not a SOCKS5 proxy"),
            (Error::UnknownAddressType, FailureKind::NotProxy, "not a SOCKS5 proxy"),
        ] {
            let fault = explain(&error, &proxy, "h:1");
            assert_eq!(fault.kind, kind, "{error}");
            assert!(fault.cause.contains(cause), "{}", fault.cause);
        }
    }
}
