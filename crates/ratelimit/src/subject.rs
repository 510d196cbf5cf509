//! Whose requests are counted together.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// A client: its API key where it has one, else its address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The key's name.
    Key(Arc<str>),
    Address(IpAddr),
}

impl Subject {
    /// The address of whoever sent a request that came from `peer` through `trusted_proxies`
    /// proxies of ours, each of which appended to X-Forwarded-For (`forwarded`, all values in
    /// order) whom it got the request from. What stands left of these a client can make up, so it
    /// is not looked at. Without trusted proxies the header is ignored.
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

/// An address as proxies write it: also with a port, in brackets, with a zone.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let hop = str::from_utf8(hop).ok()?.trim();
    if let Ok(address) = hop.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let without_zone = bare.split_once('%').map_or(bare, |(address, _)| address);
    without_zone.parse().ok()
}

/// IPv6 clients have a /64 each, at least: they are counted by it.
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
    fn a_forwarded_address_counts_only_as_far_as_proxies_are_trusted() {
        let spoofed = ["6.6.6.6, 1.1.1.1", "2.2.2.2"];
        assert_eq!(of("9.9.9.9", &spoofed, 0), "9.9.9.9");
        assert_eq!(of("9.9.9.9", &spoofed, 1), "2.2.2.2");
        assert_eq!(of("9.9.9.9", &spoofed, 2), "1.1.1.1");
        assert_eq!(of("9.9.9.9", &[], 1), "9.9.9.9");
        assert_eq!(of("9.9.9.9", &spoofed, 9), "9.9.9.9");
    }

    #[test]
    fn what_is_no_text_does_not_hide_what_a_proxy_wrote_behind_it() {
        let lines: [&[u8]; 2] = [b"6.6.6.6", b"\xff\x80, 1.1.1.1"];
        let peer = IpAddr::from([9, 9, 9, 9]);
        let hop = |trusted| Subject::of_address(peer, lines.into_iter(), trusted);
        assert_eq!(hop(1), Subject::Address([1, 1, 1, 1].into()));
        assert_eq!(hop(2), Subject::Address(peer));
    }

    #[test]
    fn garbage_is_the_peer_and_every_way_of_writing_an_address_is_the_same_one() {
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
