//! TCP ports that no parallel test takes, not even while their server is down.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;

/// Below the ephemeral ports of Linux (from 32,768) and macOS (from 49,152). Inside them, any outgoing
/// connection could take the port of a server that is down for a moment, and a client that keeps
/// dialling it could even connect to itself.
const PORTS: Range<u16> = 10_000..32_768;

/// A TCP port of 127.0.0.1, kept for this value's owner.
pub(crate) struct ReservedPort {
    port: u16,
    /// The UDP port of the same number is the reservation: it holds across processes, blocks
    /// no TCP server, and the system takes it back however the process ends.
    _reservation: UdpSocket,
}

impl ReservedPort {
    pub(crate) fn find() -> Self {
        (0..1_000).find_map(|_| Self::reserve(random_port())).expect("one of 1,000 ports is free")
    }

    pub(crate) fn get(&self) -> u16 {
        self.port
    }

    fn reserve(port: u16) -> Option<Self> {
        let reservation = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        // Somebody outside of these tests may serve there already.
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        Some(Self { port, _reservation: reservation })
    }
}

fn random_port() -> u16 {
    let random = RandomState::new().build_hasher().finish();
    PORTS.start + (random % u64::from(PORTS.end - PORTS.start)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_not_given_twice_but_can_be_served() {
        let port = ReservedPort::find();
        assert!(ReservedPort::reserve(port.get()).is_none());
        TcpListener::bind((Ipv4Addr::LOCALHOST, port.get())).expect("free for TCP");
    }
}
