//! Commands as MONITOR shows them, and the closed list of those whose cost does not grow with the number of jobs.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};

use atode_testkit::RedisServer;

use crate::support::DEADLINE;

/// The most elements that one command may read or remove: a page, and one more that tells whether there is another.
const MOST: i64 = 1_001;

/// Commands that cost O(1) or O(log n), or as much as their arguments.
const BOUNDED: &[&str] = &[
    "CLIENT",
    "CONFIG",
    "ECHO",
    "EVAL",
    "EVALSHA",
    "EXISTS",
    "GET",
    "HDEL",
    "HELLO",
    "HEXISTS",
    "HGET",
    "HINCRBY",
    "HLEN",
    "HMGET",
    "HSET",
    "INFO",
    "MGET",
    "PEXPIRE",
    "PING",
    "PTTL",
    "PUBLISH",
    "ROLE",
    "SADD",
    "SCARD",
    "SCRIPT",
    "SET",
    "SUBSCRIBE",
    "TIME",
    "TYPE",
    "UNSUBSCRIBE",
    "ZADD",
    "ZCARD",
    "ZCOUNT",
    "ZRANK",
    "ZREM",
    "ZSCORE",
];

/// Commands that cost as much as their key has elements.
const WHOLE_KEY: &[&str] = &["DEL", "HGETALL", "HKEYS", "SMEMBERS", "ZREMRANGEBYSCORE"];

/// A command that Redis has executed, called by a client or by a script.
#[derive(Debug)]
pub(crate) struct Command(Vec<String>);

impl Command {
    /// Reads a line such as `1700000000.1 [0 lua] "GET" "key"`.
    fn parse(line: &str) -> Self {
        let mut words = Vec::new();
        let mut rest = line.split_once("] ").map_or("", |(_, words)| words).chars();
        while rest.next() == Some('"') {
            let mut word = String::new();
            loop {
                match rest.next() {
                    Some('\\') => word.extend(rest.next()),
                    None | Some('"') => break,
                    Some(c) => word.push(c),
                }
            }
            words.push(word);
            rest.next();
        }
        Command(words)
    }

    pub(crate) fn arguments(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// True if its cost does not depend on the number of jobs.
    pub(crate) fn is_bounded(&self) -> bool {
        let Some((name, arguments)) = self.0.split_first() else { return false };
        let name = name.to_uppercase();
        let key = arguments.first().map_or("", |key| key);
        let number = |place: usize| arguments.get(place).and_then(|text| text.parse::<i64>().ok());
        match &*name {
            name if BOUNDED.contains(&name) => true,
            name if WHOLE_KEY.contains(&name) => !grows_with_jobs(key),
            "ZRANGE" | "ZREMRANGEBYRANK" => match (number(1), number(2)) {
                (Some(first), Some(last)) if (first < 0) == (last < 0) => last - first < MOST,
                _ => !grows_with_jobs(key),
            },
            "ZRANGEBYSCORE" | "ZREVRANGEBYSCORE" => {
                let limit = arguments.iter().position(|word| word.eq_ignore_ascii_case("LIMIT"));
                limit.and_then(|limit| number(limit + 2)).is_some_and(|most| (0..=MOST).contains(&most))
            }
            _ => false,
        }
    }
}

/// True for the keys of a queue that have an element per job.
fn grows_with_jobs(key: &str) -> bool {
    let per_job = ["jobs", "active", "state", "due", "lease", "done", "cancelled", "dead"];
    key.rsplit(':').next().is_none_or(|name| per_job.contains(&name))
}

/// Everything that a Redis executes.
pub(crate) struct Monitor<'a> {
    redis: &'a RedisServer,
    lines: BufReader<TcpStream>,
    marks: usize,
}

impl<'a> Monitor<'a> {
    pub(crate) fn of(redis: &'a RedisServer) -> Self {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port())).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.write_all(b"MONITOR\r\n").expect("sent");
        let mut monitor = Monitor { redis, lines: BufReader::new(stream), marks: 0 };
        assert_eq!(monitor.line(), "+OK");
        monitor
    }

    /// The commands of an action, and those that others sent meanwhile.
    pub(crate) fn commands_of(&mut self, action: impl FnOnce()) -> Vec<Command> {
        self.until_marked();
        action();
        self.until_marked()
    }

    fn until_marked(&mut self) -> Vec<Command> {
        self.marks += 1;
        let mark = format!("mark-{}", self.marks);
        self.redis.command(&["ECHO", &mark]);
        let end = format!("\"ECHO\" \"{mark}\"");
        let mut commands = Vec::new();
        loop {
            let line = self.line();
            if line.ends_with(&end) {
                return commands;
            }
            commands.push(Command::parse(&line));
        }
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.lines.read_until(b'\n', &mut line).expect("a line in time");
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }
}

#[test]
fn commands_that_read_a_whole_set_of_jobs_are_not_bounded() {
    for (line, is_bounded) in [
        (r#"1.2 [0 lua] "ZRANGE" "atode:{default}:a:b:due" "0" "999" "WITHSCORES""#, true),
        (r#"1.2 [0 lua] "ZRANGE" "atode:{default}:a:b:due" "0" "-1""#, false),
        (r#"1.2 [0 lua] "zrange" "atode:{default}:a:b:dead" "-5000" "-1""#, false),
        (r#"1.2 [0 127.0.0.1:5] "ZRANGE" "atode:{workers}" "0" "-1""#, true),
        (r#"1.2 [0 lua] "ZRANGEBYSCORE" "atode:{default}:a:b:due" "-inf" "5" "LIMIT" "0" "10""#, true),
        (r#"1.2 [0 lua] "ZRANGEBYSCORE" "atode:{default}:a:b:due" "-inf" "5""#, false),
        (r#"1.2 [0 127.0.0.1:5] "HGETALL" "atode:{default}:stats""#, true),
        (r#"1.2 [0 127.0.0.1:5] "HGETALL" "atode:{default}:jobs""#, false),
        (r#"1.2 [0 127.0.0.1:5] "DEL" "atode:{default}:a:b:dead""#, false),
        (r#"1.2 [0 127.0.0.1:5] "KEYS" "a\"b *""#, false),
        (r#"1.2 [0 127.0.0.1:5] "HSET" "key" "a\"b" "c d""#, true),
    ] {
        let command = Command::parse(line);
        assert_eq!(command.is_bounded(), is_bounded, "{command:?}");
    }
    assert_eq!(Command::parse(r#"1.2 [0 lua] "HSET" "key" "a\"b" "c d""#).arguments(), 3);
}
