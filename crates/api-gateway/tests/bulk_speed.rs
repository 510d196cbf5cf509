//! How long a bulk redrive of 100,000 dead jobs takes beside 1,000,000 waiting ones, and how late the jobs of a load of
//! 500 per second start with it and without it. It prints a table and asserts nothing about time, because other
//! programs may be busy:
//!
//! `cargo test --release -p api-gateway --test bulk_speed -- --ignored --nocapture`

#![expect(clippy::print_stdout, reason = "the result of the measurement")]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use atode_testkit::{Gateway, Http, RedisServer, Worker, eventually};
use serde_json::{Value, json};
use support::{KIND, connected, text};

const DEAD: usize = 100_000;
const WAITING: usize = 1_000_000;
const ROUNDS: usize = 3;
/// The figure of a load without a bulk operation.
const LOAD_TIME: Duration = Duration::from_secs(15);
/// A batch every 100 ms makes 500 jobs per second.
const BATCH: usize = 50;
const DEADLINE: Duration = Duration::from_secs(300);

/// ARGV: set, first number, last number, score. The jobs are of a kind that no worker knows.
const SEED: &str = r#"
local now = redis.call('TIME')[1] * 1000
redis.call('SADD', 'atode:queues', 'default')
redis.call('SADD', 'atode:{default}:kinds', 'speed:other')
for n = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local id = string.format('%014d', n)
  redis.call('HSET', 'atode:{default}:jobs', id, 'abcd {"customer":' .. n .. ',"text":"' .. string.rep('x', 60) .. '"}')
  redis.call('ZADD', 'atode:{default}:speed:other:' .. ARGV[1], now + tonumber(ARGV[4]) + math.floor(n / 100), id)
  if ARGV[1] == 'dead' then
    redis.call('HSET', 'atode:{default}:state', id, string.format('%.0f', now) .. ' 1 0 {"failed":1,"failures":[{' ..
      '"cause":"permanent","error":"cause ' .. n % 20 .. ' of 20","attempt":1,"due":1,"started":2,' ..
      '"worker":{"host":"h","pid":7,"build":"b"},"finished":3}]}')
  end
end
"#;

fn seed(redis: &RedisServer, set: &str, jobs: std::ops::Range<usize>, score: i64) {
    for first in jobs.clone().step_by(10_000) {
        let last = (first + 10_000).min(jobs.end) - 1;
        redis.command(&["EVAL", SEED, "0", set, &first.to_string(), &last.to_string(), &score.to_string()]);
    }
}

/// Enqueues jobs that become due within a second until `is_over`.
fn load(http: &Http, queue: &str, mut is_over: impl FnMut() -> bool) {
    let begun = Instant::now();
    for n in 1.. {
        if is_over() {
            return;
        }
        let job =
            |n: usize| json!({"kind": KIND, "queue": queue, "delay": format!("{}ms", 300 + 17 * n % 700)});
        let reply = http.post("/v1/jobs/batch", &json!({"jobs": (0..BATCH).map(job).collect::<Vec<_>>()}));
        assert_eq!(reply.json()["created"], BATCH, "{}", reply.text());
        thread::sleep((begun + n * Duration::from_millis(100)).saturating_duration_since(Instant::now()));
    }
}

/// Prints how late the jobs of a queue started.
fn report(http: &Http, name: &str, queue: &str) {
    let total = eventually("all have run and are counted", DEADLINE, || {
        let total = http.get(&format!("/v1/stats?queue={queue}&kind={KIND}")).json()["all"]["total"].clone();
        let is_counted = total["enqueued"] == total["completed"] && total["completed"].as_u64() > Some(0);
        if is_counted {
            Some(total)
        } else {
            thread::sleep(Duration::from_secs(1));
            None
        }
    });
    let ms = |part: &str| total["lateness_seconds"][part].as_f64().unwrap_or_default() * 1_000.0;
    println!("| {name} | {} | {:.2} | {:.2} |", total["completed"], ms("p50"), ms("p99"));
}

#[test]
#[ignore = "a measurement of some minutes"]
fn the_lateness_of_jobs_beside_a_bulk_redrive() {
    let redis = RedisServer::start();
    seed(&redis, "due", 0..WAITING, 86_400_000);
    let queues: Vec<String> = (0..2 * ROUNDS).map(|n| format!("load{n}")).collect();
    let variables: Vec<(String, &str)> = ["DEFAULT"]
        .into_iter()
        .map(str::to_owned)
        .chain(queues.iter().map(|queue| queue.to_uppercase()))
        .map(|queue| (format!("APP__QUEUES__{queue}__PARTITIONS"), "1"))
        .collect();
    let gateway =
        variables.iter().fold(Gateway::builder(&redis.addr()), |it, (name, value)| it.env(name, value));
    let gateway = connected(gateway.start());
    let mut worker =
        variables.iter().fold(Worker::builder(&redis.addr()), |it, (name, value)| it.env(name, value));
    for queue in queues.iter().map(String::as_str).chain(["default"]) {
        worker = worker.args(["--queue", &format!("{queue}=1")]);
    }
    let _worker = worker.start();
    let http = Http::keeping_alive(gateway.base_url());
    println!("| load of 500 jobs/s | jobs | lateness p50 ms | p99 ms |\n| --- | --- | --- | --- |");
    for round in 0..ROUNDS {
        let (without, with) = (&queues[2 * round], &queues[2 * round + 1]);
        let begun = Instant::now();
        load(&http, without, || begun.elapsed() > LOAD_TIME);
        report(&http, "alone", without);

        let first = WAITING + round * DEAD;
        seed(&redis, "dead", first..first + DEAD, -3_600_000);
        let (mut id, mut took) = (Value::Null, None);
        let mut step = 0;
        load(&http, with, || {
            step += 1;
            if step == 5 {
                let body = json!({"action": "redrive", "filter": {"kind": "speed:other"}});
                id = http.post("/v1/bulk", &body).json()["id"].clone();
            }
            if step > 5 && step % 5 == 0 {
                let bulk = http.get(&format!("/v1/bulk/{}", text(&id))).json();
                if bulk["state"] == "finished" {
                    assert_eq!(bulk["changed"], DEAD, "{bulk}");
                    let at = |name: &str| support::instant(&bulk[name]);
                    took = Some(at("ended_at") - at("started_at"));
                }
            }
            took.is_some()
        });
        let took = took.unwrap_or_default() as f64 / 1_000.0;
        let rate = DEAD as f64 / took;
        report(&http, &format!("beside a redrive of {DEAD}: {took:.1} s, {rate:.0} jobs/s"), with);
    }
}
