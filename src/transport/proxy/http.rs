//! HTTP CONNECT (RFC 9110 §9.3.6) with Basic authorisation (RFC 7617), and the meaning of its responses.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt;
use zeroize::Zeroizing;

use super::lost;
use crate::transport::error::{FailureKind, Fault};
use crate::transport::http::{Head, HeadError, shown};
use crate::transport::looks_like_tls;
use crate::transport::plan::{Address, ProxyLogin, ProxyPlan};
use crate::transport::socket::Socket;

pub(super) async fn negotiate(mut socket: Socket, proxy: &ProxyPlan, address: &Address) -> Result<Socket, Fault> {
    let target = address.to_string();
    let request = request(&target, proxy.login.as_ref());
    socket.write_all(&request).await.map_err(|error| lost(&error))?;
    let head = match Head::read(&mut socket).await {
        Ok(head) => head,
        Err(error) => return Err(no_answer(error)),
    };
    if !(200..300).contains(&head.status) {
        return Err(refused(&head, proxy, &target));
    }
    // Neither a broker nor a TLS or WebSocket server speaks before the client does.
    if !head.rest.is_empty() {
        let cause = format!("the proxy sent extra bytes after its response {}", head.status_text());
        return Err(Fault::new(FailureKind::NotProxy, cause).hint("does this proxy support CONNECT?"));
    }
    Ok(socket)
}

fn request(target: &str, login: Option<&ProxyLogin>) -> Zeroizing<Vec<u8>> {
    let mut request = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes());
    if let Some(ProxyLogin { user, password }) = login {
        let plain = Zeroizing::new([user.as_bytes(), b":", password.expose()].concat());
        let encoded = Zeroizing::new(STANDARD.encode(plain.as_slice()));
        request.extend_from_slice(b"Proxy-Authorization: Basic ");
        request.extend_from_slice(encoded.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

fn no_answer(error: HeadError) -> Fault {
    let not = |cause: String, hint: &str| Fault::new(FailureKind::NotProxy, cause).hint(hint);
    match error {
        HeadError::Io(error) => lost(&error),
        HeadError::Closed(_) => lost(&std::io::ErrorKind::UnexpectedEof.into()),
        HeadError::TooLong => not(
            "the proxy's response is too long: more than 16 KiB of HTTP header".into(),
            "is this an HTTP proxy? check --proxy",
        ),
        HeadError::NotHttp(first) if looks_like_tls(&first) => {
            not("the proxy uses TLS".into(), "proxies over TLS (https://) are not supported")
        }
        HeadError::NotHttp(first) => not(
            format!("the proxy does not speak HTTP: it sent \"{}\"", shown(&first[..first.len().min(24)])),
            "use --proxy socks5h://HOST:PORT for a SOCKS5 proxy",
        ),
    }
}

fn refused(head: &Head, proxy: &ProxyPlan, target: &str) -> Fault {
    let status = head.status_text();
    let of = |kind, cause: String, hint: &str| Fault::new(kind, cause).hint(hint);
    match head.status {
        // 401 is wrong from a proxy, and tinyproxy's answer to a wrong password.
        401 | 407 => {
            let cause = match proxy.login {
                None => format!("the proxy requires a user and a password ({status})"),
                Some(_) => format!("the proxy rejected the user or password ({status})"),
            };
            let basic = head
                .field("Proxy-Authenticate")
                .is_none_or(|way| String::from_utf8_lossy(way).to_ascii_lowercase().contains("basic"));
            let hint = if basic {
                "give them with --proxy http://USER:PASSWORD@HOST:PORT"
            } else {
                "it asks for an authentication method other than Basic, which is not supported"
            };
            of(FailureKind::ProxyAuthentication, cause, hint)
        }
        403 | 405 => of(
            FailureKind::ProxyRefused,
            format!("the proxy's rules do not allow a connection to {target} ({status})"),
            "many proxies allow CONNECT to port 443 only: a broker that serves MQTT or WebSocket over TLS there can be \
             reached",
        ),
        // 500 is tinyproxy's "Unable to connect".
        429 | 500 | 502..=504 => of(
            FailureKind::Unavailable,
            format!("the proxy could not connect to {target} ({status})"),
            "check the host and port of the broker as seen from the proxy",
        ),
        _ => of(
            FailureKind::ProxyRefused,
            format!("the proxy answered {status}"),
            "does this proxy support CONNECT? check --proxy",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Secret;

    #[test]
    fn a_request_with_and_without_login() {
        assert_eq!(&**request("h:1", None), b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n");
        let login = ProxyLogin { user: "Aladdin".into(), password: Secret::new("open sesame") };
        let text = String::from_utf8(request("[::1]:1", Some(&login)).to_vec()).unwrap();
        // The example of RFC 7617.
        assert!(text.ends_with("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"), "{text}");
    }
}
