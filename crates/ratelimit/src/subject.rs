//! The client that requests are counted for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// A client, identified by its API key if it has one, otherwise by its address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The key's name.
    Key(Arc<str>),
    Address(IpAddr),
}

impl Subject {
    /// The address of the client whose request came from `peer` through `trusted_proxies` proxies. Each trusted proxy
    /// appended the address that it got the request from to X-Forwarded-For (`forwarded`, all values in order).
    /// Everything before these entries is ignored, because a client can forge it. Without trusted proxies the header is
    /// ignored.
    pub fn of_address<'a>(
        peer: IpAddr,
        forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
        trusted_proxies: usize,
    ) -> Self {
        let hop = trusted_proxies.checked_sub(1).and_then(|hop| {
            let mut hops = forwarded.rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
            hops.nth(hop)
        });
        Subject::Address(prefix(hop.and_then(parse).unwrap_or(peer)))
    }
}

/// Parses an address as proxies write it, possibly with a port, in brackets, or with a zone.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let hop = str::from_utf8(hop).ok()?.trim();
    if let Ok(address) = hop.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    let inner = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let without_zone = inner.split_once('%').map_or(inner, |(address, _)| address);
    without_zone.parse().ok()
}

/// The address that requests are counted by. An IPv6 client has at least a /64, so its /64 is counted.
fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mut segments = v6.segments();
            segments[4..].fill(0);
            IpAddr::V6(Ipv6Addr::from(segments))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, forwarded: &[&str], trusted: usize) -> String {
        let subject = Subject::of_address(
            peer.parse().unwrap(),
            forwarded.iter().map(|value| value.as_bytes()),
            trusted,
        );
        let Subject::Address(address) = subject else { panic!("{subject:?}") };
        address.to_string()
    }

    #[test]
    fn only_entries_of_trusted_proxies_count() {
        let spoofed = ["6.6.6.6, 1.1.1.1", "2.2.2.2"];
        assert_eq!(of("9.9.9.9", &spoofed, 0), "9.9.9.9");
        assert_eq!(of("9.9.9.9", &spoofed, 1), "2.2.2.2");
        assert_eq!(of("9.9.9.9", &spoofed, 2), "1.1.1.1");
        assert_eq!(of("9.9.9.9", &[], 1), "9.9.9.9");
        assert_eq!(of("9.9.9.9", &spoofed, 9), "9.9.9.9");
    }

    #[test]
    fn an_invalid_entry_does_not_hide_the_entry_of_a_proxy_after_it() {
        let lines: [&[u8]; 2] = [b"6.6.6.6", b"\xff\x80, 1.1.1.1"];
        let peer = IpAddr::from([9, 9, 9, 9]);
        let hop = |trusted| Subject::of_address(peer, lines.into_iter(), trusted);
        assert_eq!(hop(1), Subject::Address([1, 1, 1, 1].into()));
        assert_eq!(hop(2), Subject::Address(peer));
    }

    #[test]
    fn garbage_falls_back_to_the_peer_and_all_spellings_of_an_address_are_equal() {
        for garbage in ["", "unknown", "_hidden", "1.2.3", "::g", "[", "1.1.1.1:99999", ",,,"] {
            assert_eq!(of("9.9.9.9", &[garbage], 1), "9.9.9.9", "{garbage}");
        }
        for same in ["1.2.3.4", " 1.2.3.4 ", "1.2.3.4:567", "::ffff:1.2.3.4", "[::ffff:1.2.3.4]:1"] {
            assert_eq!(of("9.9.9.9", &[same], 1), "1.2.3.4", "{same}");
        }
        for same in ["2001:db8::1", "2001:db8::2", "[2001:db8::3]:80", "[2001:db8::4]", "2001:db8::5%eth0"] {
            assert_eq!(of("9.9.9.9", &[same], 1), "2001:db8::", "{same}");
        }
    }
}
