//! HTTP over a plain socket, for requests that no HTTP client would send.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use atode_testkit::Response;

use super::DEADLINE;

/// A request that closes its connection after the reply.
pub(crate) fn request(line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// Sends these bytes. Returns the first reply.
#[track_caller]
pub(crate) fn talk(port: u16, bytes: &[u8]) -> Response {
    let received = exchange(port, bytes, |received| first_reply(received).is_some());
    first_reply(&received).unwrap_or_else(|| panic!("no reply: {received}"))
}

/// Sends these bytes. Returns everything that the gateway sends until it closes the connection.
pub(crate) fn talk_until_it_ends(port: u16, bytes: &[u8]) -> String {
    exchange(port, bytes, |_| false)
}

fn exchange(port: u16, bytes: &[u8], is_enough: impl Fn(&str) -> bool) -> String {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the gateway listens");
    socket.set_read_timeout(Some(DEADLINE)).expect("not zero");
    // The gateway may have refused the request before it has read all of it.
    let _ = socket.write_all(bytes);
    let (mut received, mut buffer) = (String::new(), [0; 4096]);
    while !is_enough(&received)
        && let Ok(read @ 1..) = socket.read(&mut buffer)
    {
        received += &String::from_utf8_lossy(&buffer[..read]);
    }
    received
}

/// The first reply, or `None` while it is incomplete.
fn first_reply(received: &str) -> Option<Response> {
    let (head, rest) = received.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let (_, length) = headers.iter().find(|(name, _)| name == "content-length")?;
    let body = rest.get(..length.parse().ok()?)?.as_bytes().to_vec();
    Some(Response { status, headers, body })
}
