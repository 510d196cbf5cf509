//! The scripts of atode without the work of a client: the calls of a real client are recorded and sent again to
//! another Redis.

use std::io::{BufRead, BufReader, Write, copy};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use atode_queue::{Claim, ClaimOptions, Due, History};
use atode_testkit::RedisServer;
use peer_protocol::PAYLOAD;

use crate::fixture::{self, QUEUE};
use crate::kinds::Retention;
use crate::pipeline::{Costs, IN_FLIGHT, connect, send};
use crate::runtime::on_tokio;

/// Sets the last token (docs/architecture.md) to one from the future. The next token is then the last one plus 1
/// instead of the time, so that recorded settlements still match when they are sent again.
const FENCE: [&str; 3] = ["SET", "atode:{default}:fence", "8000000000000000"];

type Requests = Arc<Mutex<Vec<Vec<u8>>>>;

pub(crate) fn measure(jobs: usize, batch: usize) -> anyhow::Result<Costs> {
    let (enqueues, drains) = on_tokio(record(jobs, batch))?;
    let redis = RedisServer::start();
    redis.command(&FENCE);
    // A client lists the queue once per connection, without a script.
    redis.command(&["SADD", "atode:queues", QUEUE]);
    let mut connection = connect(&redis)?;
    // As many jobs in flight as there are plain commands.
    let pieces = |calls: &[Vec<u8>]| -> Vec<Vec<u8>> {
        calls.chunks((IN_FLIGHT / batch).max(1)).map(<[_]>::concat).collect()
    };
    let enqueue = send(&redis, &mut connection, &pieces(&enqueues))?;
    on_tokio(expect(&redis, jobs))?;
    let drain = send(&redis, &mut connection, &pieces(&drains))?;
    on_tokio(expect(&redis, 0))?;
    Ok(Costs { enqueue, drain })
}

/// The requests of a client that enqueues the jobs, and those that claim and complete them.
async fn record(jobs: usize, batch: usize) -> anyhow::Result<(Vec<Vec<u8>>, Vec<Vec<u8>>)> {
    let redis = RedisServer::start();
    redis.command(&FENCE);
    let requests = Requests::default();
    let client = fixture::client_of(listen(redis.port(), requests.clone())?).await?;
    let (queue, kind) = (QUEUE.into(), Retention::None.kind());
    // Each job is due at another instant, so that jobs are claimed in the order of their enqueues.
    let first_due = client.now() - jobs as i64 - 60_000;
    for first in (0..jobs).step_by(batch) {
        let these = first..(first + batch).min(jobs);
        let due =
            these.map(|n| fixture::job_of(&client, &queue, &kind, PAYLOAD, Due::At(first_due + n as i64)));
        for stored in client.enqueue_each(QUEUE, &due.collect::<anyhow::Result<Vec<_>>>()?).await {
            stored?;
        }
    }
    let enqueues = taken(&requests);
    let options = ClaimOptions {
        queue: &queue,
        kinds: &[kind],
        limit: batch,
        lease: Duration::from_secs(30),
        holder: r#"{"id":"00000000-0000-7000-8000-000000000000","host":"bench","pid":1,"build":"bench"}"#,
        suspects: 1,
        announcement: None,
    };
    loop {
        let Claim { jobs, .. } = client.claim(&options).await?;
        if jobs.is_empty() {
            break;
        }
        let complete = |job: atode_queue::Claimed| job.lease.complete(Duration::ZERO, History::default());
        client.settle(jobs.into_iter().map(complete).collect()).await;
    }
    let drains = taken(&requests);
    expect(&redis, 0).await?;
    Ok((enqueues, drains))
}

fn taken(requests: &Requests) -> Vec<Vec<u8>> {
    std::mem::take(&mut *requests.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Fails unless exactly this many jobs are ready and nothing else is there.
async fn expect(redis: &RedisServer, ready: usize) -> anyhow::Result<()> {
    let client = fixture::client_of(redis.port()).await?;
    let counts = client.queue(QUEUE).await?.counts;
    anyhow::ensure!(
        counts.ready == ready as u64 && counts.active + counts.scheduled + counts.dead == 0,
        "expected {ready} ready jobs and nothing else: {counts:?}"
    );
    fixture::audit(&client).await
}

/// Opens a port that forwards to `target` until the process ends, and records the script calls that pass through it.
fn listen(target: u16, requests: Requests) -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect((Ipv4Addr::LOCALHOST, target))) else {
                return;
            };
            let requests = requests.clone();
            thread::spawn(move || pass(&client, &server, &requests));
        }
    });
    Ok(port)
}

/// Forwards until one side closes.
fn pass(client: &TcpStream, server: &TcpStream, kept: &Requests) {
    // A failure only makes the recording slower, and the recording is not measured.
    let _ = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = copy(&mut &*server, &mut &*client);
            let _ = client.shutdown(Shutdown::Both);
        });
        let mut reader = BufReader::new(client);
        while let Some(request) = next(&mut reader) {
            if is_call(&request) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
            }
            if (&*server).write_all(&request).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    });
}

/// The next request: `*<n>`, then n times `$<bytes>` and the bytes
/// (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).
fn next(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    for _ in 0..number(reader, &mut request)? {
        let bytes = number(reader, &mut request)?;
        let start = request.len();
        request.resize(start + bytes + 2, 0);
        reader.read_exact(&mut request[start..]).ok()?;
    }
    Some(request)
}

/// Reads a line, appends it to the request, and returns the number in it.
fn number(reader: &mut impl BufRead, request: &mut Vec<u8>) -> Option<usize> {
    let start = request.len();
    reader.read_until(b'\n', request).ok()?;
    std::str::from_utf8(request.get(start + 1..)?).ok()?.trim_end().parse().ok()
}

fn is_call(request: &[u8]) -> bool {
    let first = request.split(|byte| *byte == b'\n').nth(2).unwrap_or_default();
    first.starts_with(b"EVAL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_split_into_requests() {
        let stream = b"*1\r\n$4\r\nPING\r\n*3\r\n$7\r\nEVALSHA\r\n$2\r\n\r\n\r\n$1\r\n0\r\n*1\r\n$4\r\nPI";
        let mut reader = &stream[..];
        let requests: Vec<_> = std::iter::from_fn(|| next(&mut reader)).collect();
        assert_eq!(requests, [&stream[..14], &stream[14..46]]);
        assert_eq!(requests.iter().map(|request| is_call(request)).collect::<Vec<_>>(), [false, true]);
    }
}
