//! HTTP by hand: what no HTTP client would send.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use atode_testkit::Response;

use super::DEADLINE;

/// A request whose connection ends with its reply.
pub(crate) fn request(line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{line} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// Sends these bytes; the one reply to them.
#[track_caller]
pub(crate) fn talk(port: u16, bytes: &[u8]) -> Response {
    let replies = talk_until_it_ends(port, bytes);
    let (head, body) = replies.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no reply: {replies:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Response {
        status: status.unwrap_or_else(|| panic!("no status: {head}")),
        headers: headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
        body: body.as_bytes().to_vec(),
    }
}

/// Sends these bytes; all that comes back until the gateway ends the connection.
pub(crate) fn talk_until_it_ends(port: u16, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the gateway listens");
    socket.set_read_timeout(Some(DEADLINE)).expect("not zero");
    // The gateway may have said no before it has read it all.
    let _ = socket.write_all(bytes);
    let (mut replies, mut buffer) = (vec![], [0; 4096]);
    while let Ok(read @ 1..) = socket.read(&mut buffer) {
        replies.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&replies).into_owned()
}
