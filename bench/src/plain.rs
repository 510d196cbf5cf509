//! The data changes of a job's life as plain commands, without tokens, checks, counters and wake-ups.

use atode_testkit::RedisServer;
use peer_protocol::PAYLOAD;

use crate::pipeline::{Costs, IN_FLIGHT, connect, send};

pub(crate) fn measure(jobs: usize, batch: usize) -> anyhow::Result<Costs> {
    let redis = RedisServer::start();
    let mut connection = connect(&redis)?;
    let (stored, removed) = requests(jobs, batch);
    let enqueue = send(&redis, &mut connection, &stored)?;
    anyhow::ensure!(redis.command(&["ZCARD", "due"]).int() == jobs as i64, "not all jobs were stored");
    let drain = send(&redis, &mut connection, &removed)?;
    anyhow::ensure!(redis.command(&["DBSIZE"]).int() == 0, "something is left");
    Ok(Costs { enqueue, drain })
}

/// The requests that store the jobs, and the requests that claim and complete them.
fn requests(jobs: usize, batch: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let record = format!("0000 {PAYLOAD}");
    let holder = r#"1700000000000000 1700000000000 1700000000000 30000 {"worker":"bench","attempt":1}"#;
    let (mut stored, mut removed) = (Pieces::default(), Pieces::default());
    let ids: Vec<String> = (0..jobs).map(|n| format!("{n:014}")).collect();
    for ids in ids.chunks(batch) {
        let with = |value: &'static str| ids.iter().flat_map(move |id| [value, id.as_str()]);
        let then = |value| ids.iter().flat_map(move |id| [id.as_str(), value]);
        let alone = || ids.iter().map(String::as_str);
        stored.command("HSET", "jobs", then(record.as_str()));
        stored.command("ZADD", "due", with("1700000000000"));
        removed.command("ZREM", "due", alone());
        removed.command("HMGET", "jobs", alone());
        removed.command("ZADD", "lease", with("1700000030000"));
        removed.command("HSET", "active", then(holder));
        removed.command("ZREM", "lease", alone());
        removed.command("HDEL", "active", alone());
        removed.command("HDEL", "jobs", alone());
    }
    (stored.pieces, removed.pieces)
}

#[derive(Default)]
struct Pieces {
    /// The commands that are in flight together, one after the other.
    pieces: Vec<Vec<u8>>,
    /// The number of all commands.
    commands: usize,
}

impl Pieces {
    fn command<'a>(&mut self, name: &'a str, key: &'a str, words: impl Iterator<Item = &'a str>) {
        if self.commands.is_multiple_of(IN_FLIGHT) {
            self.pieces.push(Vec::new());
        }
        self.commands += 1;
        let Some(piece) = self.pieces.last_mut() else { return };
        let words: Vec<&str> = [name, key].into_iter().chain(words).collect();
        piece.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            piece.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
    }
}
