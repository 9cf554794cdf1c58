//! `--proxy`: a URL, or `env` for that of the environment. No error repeats a part that may hold a password.

use std::net::IpAddr;

use super::Environment;
use super::url::Authority;
use crate::mqtt::Secret;
use crate::transport::{Address, ProxyKind, ProxyLogin, ProxyPlan};

/// The variables that `env` reads, in order; the first that is set holds.
const VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// The proxy on the way to a broker; none is a direct way. The error is a whole fault.
pub(super) fn proxy(
    text: Option<&Secret>,
    broker: &Address,
    environment: &Environment,
) -> Result<Option<ProxyPlan>, String> {
    let Some(text) = text else { return Ok(None) };
    if text.expose() == b"env" {
        let Address::Tcp { host, port } = broker else { return Ok(None) };
        return of_environment(host, *port, environment);
    }
    if let Address::Unix(_) = broker {
        return Err("--proxy cannot be used with a Unix socket: remove it".into());
    }
    let text = std::str::from_utf8(text.expose()).map_err(|_| "--proxy: the URL is not UTF-8")?;
    parse(text).map(Some).map_err(|fault| format!("--proxy: {fault}"))
}

fn of_environment(host: &str, port: u16, environment: &Environment) -> Result<Option<ProxyPlan>, String> {
    let found = VARIABLES.into_iter().find_map(|name| Some((name, environment.variable(name)?)));
    let Some((name, value)) = found else { return Ok(None) };
    let exceptions = EXCEPTIONS.into_iter().find_map(|name| environment.variable(name));
    if exceptions.is_some_and(|exceptions| is_exempt(&exceptions.to_string_lossy(), host, port)) {
        return Ok(None);
    }
    let value = value.to_str().ok_or_else(|| format!("--proxy env: {name} is not UTF-8"))?;
    // Other programs take a bare `host:port` for an HTTP proxy.
    let plan = if value.contains("://") { parse(value) } else { parse(&format!("http://{value}")) };
    plan.map(Some).map_err(|fault| format!("--proxy env: {name}: {fault}"))
}

/// Reads `socks5h|socks5|http://[USER:PASSWORD@]HOST[:PORT]`.
fn parse(text: &str) -> Result<ProxyPlan, String> {
    const FORM: &str = "the form is socks5h://, socks5:// or http://[USER:PASSWORD@]HOST[:PORT]";
    let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("the URL has no scheme; {FORM}"))?;
    let (kind, port_of_scheme) = match scheme.to_ascii_lowercase().as_str() {
        "socks5h" => (ProxyKind::Socks5h, 1080),
        "socks5" => (ProxyKind::Socks5, 1080),
        "http" => (ProxyKind::Http, 80),
        "https" => {
            return Err("proxies over TLS are not supported; http:// can carry TLS to the broker".into());
        }
        _ => return Err("the scheme of the URL must be socks5h, socks5 or http".into()),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let Authority { user, password, host, port } = Authority::parse(authority)?;
    let login = match (user, password) {
        (None, None) => None,
        (Some(user), password) => Some(ProxyLogin { user, password: password.unwrap_or_default() }),
        (None, Some(_)) => return Err("the URL has a password but no user".into()),
    };
    if let Some(ProxyLogin { user, password }) = &login {
        let is_short = |bytes: &[u8]| (1..=255).contains(&bytes.len());
        if kind == ProxyKind::Http && user.contains(':') {
            return Err("the user for an HTTP proxy must not contain a colon (RFC 7617)".into());
        }
        if kind != ProxyKind::Http && !(is_short(user.as_bytes()) && is_short(password.expose())) {
            return Err("user and password for a SOCKS5 proxy must have 1 to 255 bytes each (RFC 1929)".into());
        }
        if std::str::from_utf8(password.expose()).is_err() {
            return Err("the password is not UTF-8 after percent-decoding".into());
        }
    }
    Ok(ProxyPlan { kind, host, port: port.unwrap_or(port_of_scheme), login, resolved: Vec::new() })
}

/// Whether a list as that of `no_proxy` names a host: `*` for all, a name that stands for the names below it too, an
/// address, a network as `10.0.0.0/8`; each with a port if it likes.
fn is_exempt(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    list.split([',', ' ', '\t']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let (name, only) = split_port(entry);
        if only.is_some_and(|only| only != port) {
            return false;
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        match (address, name.split_once('/')) {
            _ if name == "*" => true,
            (Some(address), Some((network, bits))) => is_in_network(address, network, bits),
            (Some(address), None) => name.parse() == Ok(address),
            (None, _) => {
                let domain = name.trim_start_matches("*.").trim_start_matches('.');
                let below = host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                !domain.is_empty() && below
            }
        }
    })
}

/// `host:port`, `[address]:port` or either without a port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((address, behind)) = entry.strip_prefix('[').and_then(|entry| entry.split_once(']')) {
        return (address, behind.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        Some((name, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

fn is_in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let Ok(bits) = bits.parse::<u32>() else { return false };
    match (address, network.parse()) {
        (IpAddr::V4(address), Ok(IpAddr::V4(network))) if bits <= 32 => {
            (address.to_bits() ^ network.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), Ok(IpAddr::V6(network))) if bits <= 128 => {
            (address.to_bits() ^ network.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn broker(host: &str) -> Address {
        Address::Tcp { host: host.into(), port: 1883 }
    }

    #[test]
    fn urls_of_proxies() {
        let read = |text: &str| parse(text).unwrap();
        let login =
            |user: &str, password: &str| Some(ProxyLogin { user: user.into(), password: Secret::new(password) });
        for (text, kind, host, port, expected) in [
            ("socks5h://h", ProxyKind::Socks5h, "h", 1080, None),
            ("SOCKS5://h:1/", ProxyKind::Socks5, "h", 1, None),
            ("http://[::1]:3128", ProxyKind::Http, "::1", 3128, None),
            ("http://h", ProxyKind::Http, "h", 80, None),
            ("socks5h://u%3A:p%40%25@h", ProxyKind::Socks5h, "h", 1080, login("u:", "p@%")),
            ("http://u@h", ProxyKind::Http, "h", 80, login("u", "")),
        ] {
            let plan = ProxyPlan { kind, host: host.into(), port, login: expected, resolved: Vec::new() };
            assert_eq!(read(text), plan, "{text}");
        }
        for (text, cause) in [
            ("h:1080", "no scheme"),
            ("https://u:hunter2@h", "over TLS"),
            ("socks4://u:hunter2@h", "must be socks5h"),
            ("socks5h://u:hunter2@", "no host"),
            ("socks5h://u:hunter2@h:x", "port"),
            ("socks5h://u:hunter2@h/path", "invalid character"),
            ("socks5h://:hunter2@h", "no user"),
            ("socks5h://u@h", "1 to 255"),
            ("http://u%3A:hunter2@h", "colon"),
            ("http://u:hunter2%ff@h", "not UTF-8"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(cause) && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn the_environment_is_asked_on_request_only() {
        let variables = [("all_proxy", "socks5h://a:1"), ("HTTPS_PROXY", "u:hunter2@b:2"), ("no_proxy", "local,.corp")];
        let environment = Environment::fixed(variables, []);
        let ask = |text: Option<&str>, host: &str| proxy(text.map(Secret::new).as_ref(), &broker(host), &environment);
        assert_eq!(ask(None, "h"), Ok(None));
        let found = ask(Some("env"), "h").unwrap().unwrap();
        assert_eq!((found.kind, found.host.as_str(), found.port), (ProxyKind::Http, "b", 2));
        assert_eq!(ask(Some("env"), "x.corp"), Ok(None));
        assert_eq!(ask(Some("socks5h://c"), "x.corp").unwrap().unwrap().host, "c");
        assert_eq!(proxy(Some(&Secret::new("env")), &Address::Unix("/s".into()), &environment), Ok(None));
        assert!(proxy(Some(&Secret::new("http://h")), &Address::Unix("/s".into()), &environment).is_err());
        let none = Environment::fixed([("no_proxy", "x")], []);
        assert_eq!(proxy(Some(&Secret::new("env")), &broker("h"), &none), Ok(None));
        let wrong = Environment::fixed([("https_proxy", "ftp://u:hunter2@h")], []);
        let error = proxy(Some(&Secret::new("env")), &broker("h"), &wrong).unwrap_err();
        assert!(error.starts_with("--proxy env: https_proxy: ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn exceptions() {
        for (list, host, expected) in [
            ("*", "h", true),
            ("", "h", false),
            (",", "h", false),
            ("a, h ,b", "H", true),
            ("example.org", "a.example.org", true),
            (".example.org", "example.org", true),
            ("*.example.org", "a.example.org", true),
            ("example.org", "badexample.org", false),
            ("example.org.", "example.org", true),
            ("h:1883", "h", true),
            ("h:1884", "h", false),
            ("10.0.0.0/8", "10.200.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "11.0.0.1", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("0.0.1", "10.0.0.1", false),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("fe80::/10", "fe80::1", true),
            ("::1", "::1", true),
            ("[::1]:1883", "::1", true),
            ("[::1]:1", "::1", false),
        ] {
            assert_eq!(is_exempt(list, host, 1883), expected, "{list} {host}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}", host in "[a-z.:0-9]{0,20}") {
            let _ = parse(&text);
            let _ = parse(&format!("socks5h://{text}"));
            let _ = is_exempt(&text, &host, 1);
        }
    }
}
