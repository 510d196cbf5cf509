//! `--healthcheck`: asks the running process whether it is ready. For containers, which have no shell and no curl.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

use crate::listen::bare_host;

/// The time that each step may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A reply of `/readyz` is shorter.
const LARGEST_REPLY: u64 = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum Unhealthy {
    #[error("--healthcheck needs a fixed port, and the configured port is 0: any free port")]
    AnyPort,
    #[error("{0} does not answer: {1}")]
    Silent(SocketAddr, io::Error),
    #[error("{0} is not an address: {1}")]
    NoAddress(String, io::Error),
    #[error("not ready: {0}")]
    NotReady(String),
}

/// Asks `/readyz` of the process that listens at this address, and prints its answer.
pub(super) fn healthcheck(host: &str, port: u16) -> Result<(), Unhealthy> {
    if port == 0 {
        return Err(Unhealthy::AnyPort);
    }
    let host = bare_host(host);
    let named = format!("{host}:{port}");
    let addresses =
        (host, port).to_socket_addrs().map_err(|error| Unhealthy::NoAddress(named.clone(), error))?;
    // The process listens on one of the addresses of a name.
    let mut failed = Unhealthy::NoAddress(named, io::ErrorKind::NotFound.into());
    let reply = addresses.map(reachable).find_map(|address| match ask(address) {
        Ok(reply) => Some(reply),
        Err(error) => {
            failed = Unhealthy::Silent(address, error);
            None
        }
    });
    let Some(reply) = reply else { return Err(failed) };
    let body = reply.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
    match reply.split(' ').nth(1) {
        Some("200") => {
            let _ = writeln!(io::stdout(), "{body}");
            Ok(())
        }
        _ => Err(Unhealthy::NotReady(if body.is_empty() {
            reply.lines().next().unwrap_or_default().to_owned()
        } else {
            body.to_owned()
        })),
    }
}

/// A process that listens on all addresses is asked on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip([127, 0, 0, 1].into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip([0, 0, 0, 0, 0, 0, 0, 1].into()),
        _ => {}
    }
    address
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // HTTP/1.0: the server closes the connection behind its reply, and sends the body as it is.
    write!(stream, "GET /readyz HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut reply = String::new();
    stream.take(LARGEST_REPLY).read_to_string(&mut reply)?;
    Ok(reply)
}
