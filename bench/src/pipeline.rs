//! Requests that are prepared in advance and pipelined on one connection. Their replies are discarded.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use atode_testkit::RedisServer;

use crate::fixture;

/// Commands in flight at a time.
pub(crate) const IN_FLIGHT: usize = 512;
/// Follows each piece. When its reply arrives, the piece has been answered.
const LAST: &[u8] = b"*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n";
const REPLY_TO_LAST: &[u8] = b"$3\r\nend\r\n";

/// Costs of the enqueues, and of the claims and settlements.
pub(crate) struct Costs {
    pub(crate) enqueue: Cost,
    pub(crate) drain: Cost,
}

pub(crate) struct Cost {
    pub(crate) seconds: f64,
    /// CPU time of Redis' main thread, µs.
    pub(crate) cpu: f64,
}

pub(crate) fn connect(redis: &RedisServer) -> anyhow::Result<TcpStream> {
    let connection = TcpStream::connect(redis.addr())?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(connection)
}

/// Sends the pieces. Each has to be answered before the next is sent.
pub(crate) fn send(
    redis: &RedisServer,
    connection: &mut TcpStream,
    pieces: &[Vec<u8>],
) -> anyhow::Result<Cost> {
    let mut replies = vec![0; 1 << 18];
    let (cpu, start) = (fixture::redis_cpu(redis), Instant::now());
    for piece in pieces {
        connection.write_all(piece)?;
        connection.write_all(LAST)?;
        let mut end = Vec::new();
        while !end.ends_with(REPLY_TO_LAST) {
            let read = connection.read(&mut replies)?;
            anyhow::ensure!(read > 0, "Redis closed the connection");
            end.extend_from_slice(&replies[read.saturating_sub(REPLY_TO_LAST.len())..read]);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Cost { seconds, cpu: fixture::redis_cpu(redis) - cpu })
}
