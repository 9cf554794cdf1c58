//! The local addresses of `-A`: one, several with commas between them, or a network as `10.0.0.0/28`.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most addresses taken from one `-A`; each serves some 28,000 connections to one broker.
const MOST_ADDRESSES: u128 = 4096;

/// Local addresses in the order in which they were typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceAddresses(Vec<IpAddr>);

impl SourceAddresses {
    /// All of them, at least one.
    pub fn all(&self) -> &[IpAddr] {
        &self.0
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for part in text.split(',').map(str::trim) {
            match part.split_once('/') {
                None => addresses.push(
                    part.parse().map_err(|_| format!("'{part}' is not an IP address; separate several with commas"))?,
                ),
                Some((address, bits)) => {
                    network(address, bits, &mut addresses).map_err(|fault| format!("'{part}': {fault}"))?
                }
            }
        }
        if addresses.len() as u128 > MOST_ADDRESSES {
            return Err(format!("more than {MOST_ADDRESSES} addresses"));
        }
        // One that is in two networks serves no more connections.
        let mut known = HashSet::new();
        addresses.retain(|address| known.insert(*address));
        Ok(Self(addresses))
    }
}

/// The hosts of a network. IPv4 networks have their own address and one for broadcasts, which no host has; a
/// network of two addresses or one has neither (RFC 3021).
fn network(address: &str, bits: &str, into: &mut Vec<IpAddr>) -> Result<(), String> {
    let address: IpAddr = address.parse().map_err(|_| "not a network such as 10.0.0.0/28")?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits: u32 = super::values::whole_number(bits)
        .filter(|bits| *bits <= width)
        .ok_or_else(|| format!("the prefix length must be a number from 0 to {width}"))?;
    let size = 1u128.checked_shl(width - bits).filter(|size| *size <= MOST_ADDRESSES);
    let size = size.ok_or_else(|| format!("the network has more than {MOST_ADDRESSES} addresses"))?;
    let first = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    } & !(size - 1);
    let hosts = if address.is_ipv4() && size > 2 { first + 1..first + size - 1 } else { first..first + size };
    into.extend(hosts.map(|bits| match address {
        // The bits above 32 are those of the address that was typed: none.
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        SourceAddresses::parse(text).unwrap().all().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lists_and_networks() {
        assert_eq!(texts("127.0.0.1"), ["127.0.0.1"]);
        assert_eq!(texts("127.0.0.1, ::1"), ["127.0.0.1", "::1"]);
        assert_eq!(texts("10.0.0.9/30,10.1.0.0/31"), ["10.0.0.9", "10.0.0.10", "10.1.0.0", "10.1.0.1"]);
        assert_eq!(texts("10.0.0.2,10.0.0.1,10.0.0.0/30,10.0.0.2"), ["10.0.0.2", "10.0.0.1"], "each once");
        assert_eq!(texts("10.0.0.0/28").len(), 14, "network and broadcast address are no host's");
        assert_eq!((texts("1.2.3.4/32"), texts("fe80::/127").len()), (vec!["1.2.3.4".to_owned()], 2));
        assert_eq!(texts("fe80::/128"), ["fe80::"]);
    }

    #[test]
    fn what_is_none_is_refused() {
        for (text, part) in [
            ("", "''"),
            ("eth0", "not an IP address"),
            ("127.0.0.1,", "''"),
            ("10.0.0.0/33", "0 to 32"),
            ("10.0.0.0/x", "0 to 32"),
            ("10.0.0.0/+4", "0 to 32"),
            ("10.0.0.0/8", "more than 4096"),
            ("0.0.0.0/0", "more than 4096"),
            ("::/0", "more than 4096"),
            ("10.0.0.0/20,10.1.0.0/20", "more than 4096"),
        ] {
            let error = SourceAddresses::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
