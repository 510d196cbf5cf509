//! The limits of Redis: the data changes of a job's life as plain commands. They are prepared in advance, pipelined on
//! one connection, and their replies are only counted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use atode_testkit::RedisServer;
use peer_protocol::PAYLOAD;

use crate::outcome::{Outcome, Size, Table, shown, step};
use crate::{fixture, replay};

/// Commands in flight at a time.
const PIPELINE: usize = 512;

pub(crate) fn section(size: Size) -> anyhow::Result<Outcome> {
    let jobs = size.of(200_000, 5_000);
    let title = "Pipelined on one connection, replies only counted";
    let header = ["", "jobs", "jobs/call", "enqueue jobs/s", "claim + complete jobs/s", "Redis CPU µs/job"];
    let mut table = Table::new(title, &header);
    for batch in [1, 64] {
        step(format_args!("floor: plain commands, {batch} jobs per command"));
        let row = plain(jobs, batch)?.row("plain commands", batch, jobs);
        table.row(row);
    }
    // Recording is sequential, which takes long with single jobs.
    for (jobs, batch) in [(jobs / 40, 1), (jobs, 64)] {
        step(format_args!("floor: atode's scripts, {batch} jobs per call"));
        let row = replay::measure(jobs, batch)?.row("atode's scripts", batch, jobs);
        table.row(row);
    }
    let mut outcome = Outcome::default();
    outcome.tables.push(table);
    outcome.note(
        "Plain commands: the data changes that a job's life needs, without tokens, checks, counters and wake-ups. \
         atode's scripts: the exact calls that the library makes, recorded and sent again.",
    );
    Ok(outcome)
}

/// Costs of the enqueues, and of the claims and settlements.
pub(crate) struct Costs {
    pub(crate) enqueue: Cost,
    pub(crate) drain: Cost,
}

impl Costs {
    fn row(&self, name: &str, batch: usize, jobs: usize) -> [String; 6] {
        let each = jobs as f64;
        [
            name.to_owned(),
            shown(Some(each), 0),
            batch.to_string(),
            shown(Some(each / self.enqueue.seconds), 0),
            shown(Some(each / self.drain.seconds), 0),
            shown(Some((self.enqueue.cpu + self.drain.cpu) / each), 1),
        ]
    }
}

fn plain(jobs: usize, batch: usize) -> anyhow::Result<Costs> {
    let redis = RedisServer::start();
    let mut connection = connect(&redis)?;
    let (stored, removed) = requests(jobs, batch);
    let enqueue = send(&redis, &mut connection, &stored)?;
    anyhow::ensure!(redis.command(&["ZCARD", "due"]).int() == jobs as i64, "not all jobs were stored");
    let drain = send(&redis, &mut connection, &removed)?;
    anyhow::ensure!(redis.command(&["DBSIZE"]).int() == 0, "something is left");
    Ok(Costs { enqueue, drain })
}

pub(crate) fn connect(redis: &RedisServer) -> anyhow::Result<TcpStream> {
    let connection = TcpStream::connect(redis.addr())?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(connection)
}

/// Pipelined requests, and the number of lines in their replies.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    commands: usize,
    lines: usize,
}

pub(crate) struct Cost {
    pub(crate) seconds: f64,
    /// CPU time of Redis' main thread, µs.
    pub(crate) cpu: f64,
}

/// The requests that store the jobs, and the requests that claim and complete them.
fn requests(jobs: usize, batch: usize) -> (Vec<Piece>, Vec<Piece>) {
    let record = format!(r#"{{"kind":"bench:removed","payload":{PAYLOAD}}}"#);
    let holder = r#"1700000000000000 1700000000000 1700000000000 30000 {"worker":"bench","attempt":1}"#;
    let (mut stored, mut removed) = (Pieces::default(), Pieces::default());
    let ids: Vec<String> = (0..jobs).map(|n| format!("{n:022}")).collect();
    for ids in ids.chunks(batch) {
        let with = |value: &'static str| ids.iter().flat_map(move |id| [value, id.as_str()]);
        let then = |value| ids.iter().flat_map(move |id| [id.as_str(), value]);
        let alone = || ids.iter().map(String::as_str);
        stored.command("HSET", "jobs", then(record.as_str()), 1);
        stored.command("ZADD", "due", with("1700000000000"), 1);
        removed.command("ZREM", "due", alone(), 1);
        removed.command("HMGET", "jobs", alone(), 1 + 2 * ids.len());
        removed.command("ZADD", "lease", with("1700000030000"), 1);
        removed.command("HSET", "active", then(holder), 1);
        removed.command("ZREM", "lease", alone(), 1);
        removed.command("HDEL", "active", alone(), 1);
        removed.command("HDEL", "jobs", alone(), 1);
    }
    (stored.0, removed.0)
}

#[derive(Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    fn command<'a>(
        &mut self,
        name: &'a str,
        key: &'a str,
        words: impl Iterator<Item = &'a str>,
        lines: usize,
    ) {
        if self.0.last().is_none_or(|piece| piece.commands == PIPELINE) {
            self.0.push(Piece::default());
        }
        let Some(piece) = self.0.last_mut() else { return };
        let words: Vec<&str> = [name, key].into_iter().chain(words).collect();
        piece.bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            piece.bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        piece.commands += 1;
        piece.lines += lines;
    }
}

fn send(redis: &RedisServer, connection: &mut TcpStream, pieces: &[Piece]) -> anyhow::Result<Cost> {
    let mut replies = vec![0; 1 << 18];
    let (cpu, start) = (fixture::redis_cpu(redis), Instant::now());
    for piece in pieces {
        connection.write_all(&piece.bytes)?;
        let mut lines = 0;
        while lines < piece.lines {
            let read = connection.read(&mut replies)?;
            anyhow::ensure!(read > 0, "Redis closed the connection");
            lines += replies[..read].split(|byte| *byte == b'\n').count() - 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Cost { seconds, cpu: fixture::redis_cpu(redis) - cpu })
}
