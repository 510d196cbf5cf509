//! HTTP requests on connections that stay open, each reply timed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

/// Connections, and how often each of them sends: so few that the machine is not busy with them.
const CALLERS: u32 = 4;
const INTERVAL: Duration = Duration::from_millis(2);

pub(crate) struct Caller(BufReader<TcpStream>);

pub(crate) struct Reply {
    pub(crate) sent: Instant,
    pub(crate) took: Duration,
    pub(crate) status: u16,
}

impl Reply {
    pub(crate) fn ended(&self) -> Instant {
        self.sent + self.took
    }
}

impl Caller {
    pub(crate) fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Caller(BufReader::new(stream)))
    }

    /// A request that is limited and asks the job queue's Redis for nothing.
    pub(crate) fn call(&mut self, forwarded_for: Option<Ipv4Addr>) -> anyhow::Result<Reply> {
        let header = forwarded_for.map_or(String::new(), |client| format!("X-Forwarded-For: {client}\r\n"));
        let request = format!("GET /v1/kinds HTTP/1.1\r\nHost: localhost\r\n{header}\r\n");
        let sent = Instant::now();
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            anyhow::ensure!(self.0.read_line(&mut line)? > 0, "the connection ended");
            if line.trim_end().is_empty() {
                break;
            }
            match line.split_once(": ") {
                Some(("content-length", value)) => length = value.trim_end().parse()?,
                Some(_) => {}
                None => status = line.split(' ').nth(1).and_then(|status| status.parse().ok()),
            }
        }
        self.0.read_exact(&mut vec![0; length])?;
        Ok(Reply { sent, took: sent.elapsed(), status: status.context("no status line")? })
    }
}

/// Sends at a steady rate while `act` does something; each request comes from `client` of its number.
pub(crate) fn during<T>(
    port: u16,
    client: impl Fn(u32) -> Option<Ipv4Addr> + Sync,
    act: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, Vec<Reply>)> {
    let (stop, client) = (AtomicBool::new(false), &client);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|n| {
                scope.spawn({
                    let stop = &stop;
                    move || -> anyhow::Result<Vec<Reply>> {
                        let (mut caller, mut replies, mut next) =
                            (Caller::open(port)?, Vec::new(), Instant::now());
                        for request in (n..).step_by(CALLERS as usize) {
                            if stop.load(Ordering::Relaxed) {
                                break;
                            }
                            replies.push(caller.call(client(request))?);
                            next += INTERVAL;
                            thread::sleep(next.saturating_duration_since(Instant::now()));
                        }
                        Ok(replies)
                    }
                })
            })
            .collect();
        // The callers have to end, also where this fails.
        let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        stop.store(true, Ordering::Relaxed);
        let mut replies = Vec::new();
        for caller in callers {
            replies.extend(caller.join().expect("a caller returns its errors")?);
        }
        let acted = acted.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((acted, replies))
    })
}

/// What share of these took at most that long.
pub(crate) fn percentile<'a>(replies: impl Iterator<Item = &'a Reply>, share: f64) -> Duration {
    let mut took: Vec<Duration> = replies.map(|reply| reply.took).collect();
    took.sort_unstable();
    let last = took.len().saturating_sub(1) as f64;
    took.get((last * share) as usize).copied().unwrap_or_default()
}
