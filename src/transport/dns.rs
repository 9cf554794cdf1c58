//! Host name to socket addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::error::{FailureKind, Fault, io_text};

/// More addresses than this are not tried: a wild name server must not keep us busy.
const MOST_CANDIDATES: usize = 16;

/// The addresses of a host in the order in which they are tried: the system's, with the address families alternating
/// (RFC 8305 §4). With a local address only those of its family.
///
/// A literal IP address needs no look-up and so no thread, which a tool that sends one message would notice; nor does a
/// host whose addresses are known already.
pub(super) async fn candidates(
    host: &str,
    port: u16,
    bind: Option<IpAddr>,
    resolved: &[IpAddr],
) -> Result<Vec<SocketAddr>, Fault> {
    let found = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) if resolved.is_empty() => look_up(host, port).await?,
        Err(_) => resolved.iter().map(|address| SocketAddr::new(*address, port)).collect(),
    };
    of_family(found, host, bind).map(alternating)
}

/// The same addresses with the families alternating, beginning with that of the first, at most as many as are tried.
fn alternating(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let begins_with_ipv4 = found.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.is_ipv4() == begins_with_ipv4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let pairs = std::iter::from_fn(|| Some([first.next(), second.next()]).filter(|pair| *pair != [None; 2]));
    pairs.flatten().flatten().take(MOST_CANDIDATES).collect()
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, Fault> {
    if host.is_empty() {
        return Err(Fault::new(FailureKind::HostNotFound, "the host name is empty").hint("give the broker's host name"));
    }
    match tokio::net::lookup_host((host, port)).await {
        Ok(found) => Ok(found.collect()),
        Err(error) => Err(not_found(&error)),
    }
}

fn of_family(mut found: Vec<SocketAddr>, host: &str, bind: Option<IpAddr>) -> Result<Vec<SocketAddr>, Fault> {
    let Some(bind) = bind else {
        return match found.is_empty() {
            false => Ok(found),
            true => Err(Fault::new(FailureKind::HostNotFound, "the host name has no address")),
        };
    };
    found.retain(|address| address.is_ipv4() == bind.is_ipv4());
    if found.is_empty() {
        let family = if bind.is_ipv4() { "IPv4" } else { "IPv6" };
        let cause = format!("{host} has no {family} address to reach from the local address {bind}");
        let hint = "use a local address of the other family, or none";
        return Err(Fault::new(FailureKind::LocalAddress, cause).hint(hint));
    }
    Ok(found)
}

fn not_found(error: &io::Error) -> Fault {
    let text = io_text(error);
    let detail = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    // EAI_AGAIN, as glibc, musl and the BSDs name it.
    let (cause, hint) = if detail.starts_with("Temporary failure") || detail.starts_with("Try again") {
        (format!("no name server answered ({detail})"), "check the network and the name server, or give the IP address")
    } else {
        (format!("host not found ({detail})"), "check the spelling of the host name")
    };
    Fault::new(FailureKind::HostNotFound, cause).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_taken_as_it_is() {
        assert_eq!(candidates("127.0.0.1", 1883, None, &[]).await.unwrap(), ["127.0.0.1:1883".parse().unwrap()]);
        assert_eq!(candidates("::1", 1, None, &[]).await.unwrap(), ["[::1]:1".parse().unwrap()]);
    }

    #[tokio::test]
    async fn an_unknown_host_is_named_as_such() {
        // `.invalid` never exists (RFC 6761); without any name server the system reports "temporary failure" instead.
        let fault = candidates("nothing.invalid", 1883, None, &[]).await.unwrap_err();
        assert_eq!(fault.kind, FailureKind::HostNotFound);
        assert!(fault.cause.starts_with("host not found (") || fault.cause.starts_with("no name server answered ("));
        let fault = candidates("", 1883, None, &[]).await.unwrap_err();
        assert_eq!(fault.cause, "the host name is empty");
        let fault = candidates("a\0b", 1883, None, &[]).await.unwrap_err();
        assert_eq!(fault.kind, FailureKind::HostNotFound);
    }

    #[tokio::test]
    async fn a_local_address_picks_the_family() {
        let v4 = Some("127.0.0.1".parse().unwrap());
        let both: Vec<SocketAddr> = vec!["[::1]:1".parse().unwrap(), "127.0.0.1:1".parse().unwrap()];
        assert_eq!(of_family(both.clone(), "localhost", None).unwrap(), both);
        assert_eq!(of_family(both, "localhost", v4).unwrap(), ["127.0.0.1:1".parse().unwrap()]);
        let fault = candidates("::1", 1, v4, &[]).await.unwrap_err();
        assert_eq!(fault.kind, FailureKind::LocalAddress);
        assert_eq!(fault.cause, "::1 has no IPv4 address to reach from the local address 127.0.0.1");
    }

    #[test]
    fn families_alternate() {
        let [a, b, c] = ["[::1]:1", "[::2]:1", "[::3]:1"].map(|text| text.parse::<SocketAddr>().unwrap());
        let [x, y] = ["127.0.0.1:1", "127.0.0.2:1"].map(|text| text.parse::<SocketAddr>().unwrap());
        assert_eq!(alternating(vec![a, b, c, x, y]), [a, x, b, y, c]);
        assert_eq!(alternating(vec![x, y, a]), [x, a, y]);
        assert_eq!(alternating(vec![a, x, b, y, c]), [a, x, b, y, c]);
        assert_eq!(alternating(vec![x]), [x]);
        assert_eq!(alternating(vec![]), []);
        // One family cannot crowd out the other.
        let many = std::iter::repeat_n(a, 40).chain([x]).collect();
        let tried = alternating(many);
        assert_eq!((tried.len(), tried[1]), (MOST_CANDIDATES, x));
    }

    #[test]
    fn the_two_ways_to_find_nothing_differ() {
        let said =
            |text: &str| not_found(&io::Error::other(format!("failed to lookup address information: {text}"))).cause;
        assert_eq!(said("Name or service not known"), "host not found (Name or service not known)");
        assert_eq!(
            said("Temporary failure in name resolution"),
            "no name server answered (Temporary failure in name resolution)"
        );
    }
}
