//! Our scripts with no client work: the calls of a real client are recorded, and sent again to another
//! Redis, the replies only counted.

use std::io::{BufRead, BufReader, Read, Write, copy};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use atode_queue::{Claim, ClaimOptions, Due, History};
use atode_testkit::RedisServer;
use peer_protocol::PAYLOAD;

use crate::floor::{Cost, Costs, connect};
use crate::noted::Retention;
use crate::stand::{self, QUEUE};

/// Where the last token is kept (docs/architecture.md). With one from the future, the next token is one
/// more and not the time: the calls that settle fit again when they are sent again.
const FENCE: [&str; 3] = ["SET", "atode:{default}:fence", "8000000000000000"];
/// Jobs that are under way at a time.
const PIPELINE: usize = 512;
const END: &[u8] = b"$3\r\nend\r\n";

type Requests = Arc<Mutex<Vec<Vec<u8>>>>;

pub(crate) fn measure(jobs: usize, batch: usize) -> anyhow::Result<Costs> {
    let (enqueues, drains) = crate::on_tokio(record(jobs, batch))?;
    let redis = RedisServer::start();
    redis.command(&FENCE);
    // A client lists the queue once a connect, by no script.
    redis.command(&["SADD", "atode:queues", QUEUE]);
    let mut connection = connect(&redis)?;
    let a_time = (PIPELINE / batch).max(1);
    let enqueue = send(&redis, &mut connection, &enqueues, a_time)?;
    crate::on_tokio(expect(&redis, jobs))?;
    let drain = send(&redis, &mut connection, &drains, a_time)?;
    crate::on_tokio(expect(&redis, 0))?;
    Ok(Costs { enqueue, drain })
}

/// What a client sends to enqueue the jobs, and to claim and complete them.
async fn record(jobs: usize, batch: usize) -> anyhow::Result<(Vec<Vec<u8>>, Vec<Vec<u8>>)> {
    let redis = RedisServer::start();
    redis.command(&FENCE);
    let requests = Requests::default();
    let client = stand::client_of(listen(redis.port(), requests.clone())?).await?;
    let (queue, kind) = (QUEUE.into(), Retention::None.kind());
    // Each due at another instant: they are claimed in the order in which they were enqueued.
    let first_due = client.now() - jobs as i64 - 60_000;
    for first in (0..jobs).step_by(batch) {
        let these = first..(first + batch).min(jobs);
        let due =
            these.map(|n| stand::job_of(&client, &queue, &kind, PAYLOAD, Due::At(first_due + n as i64)));
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

/// So many are ready, nothing else is there.
async fn expect(redis: &RedisServer, ready: usize) -> anyhow::Result<()> {
    let client = stand::client_of(redis.port()).await?;
    let counts = client.queue(QUEUE).await?.counts;
    anyhow::ensure!(
        counts.ready == ready as u64 && counts.active + counts.scheduled + counts.dead == 0,
        "{ready} jobs should be ready, and nothing else be there: {counts:?}"
    );
    stand::audit(&client).await
}

fn send(
    redis: &RedisServer,
    connection: &mut TcpStream,
    requests: &[Vec<u8>],
    a_time: usize,
) -> anyhow::Result<Cost> {
    let pieces: Vec<Vec<u8>> = requests
        .chunks(a_time)
        .map(|calls| [calls.concat(), b"*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n".to_vec()].concat())
        .collect();
    let mut replies = vec![0; 1 << 18];
    let (cpu, start) = (stand::redis_cpu(redis), Instant::now());
    for piece in &pieces {
        connection.write_all(piece)?;
        let mut last = Vec::new();
        while !last.ends_with(END) {
            let read = connection.read(&mut replies)?;
            anyhow::ensure!(read > 0, "Redis closed the connection");
            last.extend_from_slice(&replies[read.saturating_sub(END.len())..read]);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Cost { seconds, cpu: stand::redis_cpu(redis) - cpu })
}

/// A port that leads to this one, for as long as the process runs; calls of scripts that go through it
/// are kept.
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

/// Until one of both ends.
fn pass(client: &TcpStream, server: &TcpStream, kept: &Requests) {
    // Where that fails the recording takes longer, no more: what it takes is not measured.
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

/// `*<n>`, then n times `$<bytes>` and the bytes
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

/// Of a line, which is appended.
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
    fn requests_are_taken_apart() {
        let stream = b"*1\r\n$4\r\nPING\r\n*3\r\n$7\r\nEVALSHA\r\n$2\r\n\r\n\r\n$1\r\n0\r\n*1\r\n$4\r\nPI";
        let mut reader = &stream[..];
        let requests: Vec<_> = std::iter::from_fn(|| next(&mut reader)).collect();
        assert_eq!(requests, [&stream[..14], &stream[14..46]]);
        assert_eq!(requests.iter().map(|request| is_call(request)).collect::<Vec<_>>(), [false, true]);
    }
}
