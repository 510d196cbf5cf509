//! TCP ports that no parallel test can take, not even while their server is down.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;

/// Ports below the ephemeral ports of Linux (from 32,768) and macOS (from 49,152). Any outgoing connection could take an
/// ephemeral port while its server is down, and a client that keeps dialling it could even connect to itself.
const PORTS: Range<u16> = 10_000..32_768;

/// A TCP port of 127.0.0.1 that is reserved as long as this value exists.
pub(crate) struct ReservedPort {
    port: u16,
    /// The reservation is the UDP port with the same number: other processes see it, it blocks no TCP server, and the
    /// system frees it however this process ends.
    _reservation: UdpSocket,
}

impl ReservedPort {
    pub(crate) fn find() -> Self {
        (0..1_000).find_map(|_| Self::reserve(rand::random_range(PORTS))).expect("one of 1,000 ports is free")
    }

    pub(crate) fn get(&self) -> u16 {
        self.port
    }

    fn reserve(port: u16) -> Option<Self> {
        let reservation = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        // Another program may already use the TCP port.
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        Some(Self { port, _reservation: reservation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_not_reserved_twice_but_a_server_can_listen_on_it() {
        let port = ReservedPort::find();
        assert!(ReservedPort::reserve(port.get()).is_none());
        TcpListener::bind((Ipv4Addr::LOCALHOST, port.get())).expect("free for TCP");
    }
}
