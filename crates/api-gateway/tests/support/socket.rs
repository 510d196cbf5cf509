//! HTTP by hand: what no HTTP client would send.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use atode_testkit::Response;

use super::DEADLINE;

/// A request whose connection ends with its reply.
pub(crate) fn request(line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// Sends these bytes; the first reply to them.
#[track_caller]
pub(crate) fn talk(port: u16, bytes: &[u8]) -> Response {
    let received = exchange(port, bytes, |received| first_reply(received).is_some());
    first_reply(&received).unwrap_or_else(|| panic!("no reply: {received}"))
}

/// Sends these bytes; all that comes back until the gateway ends the connection.
pub(crate) fn talk_until_it_ends(port: u16, bytes: &[u8]) -> String {
    exchange(port, bytes, |_| false)
}

fn exchange(port: u16, bytes: &[u8], is_enough: impl Fn(&str) -> bool) -> String {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the gateway listens");
    socket.set_read_timeout(Some(DEADLINE)).expect("not zero");
    // The gateway may have said no before it has read it all.
    let _ = socket.write_all(bytes);
    let (mut received, mut buffer) = (String::new(), [0; 4096]);
    while !is_enough(&received)
        && let Ok(read @ 1..) = socket.read(&mut buffer)
    {
        received += &String::from_utf8_lossy(&buffer[..read]);
    }
    received
}

/// `None` while it is not whole.
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
