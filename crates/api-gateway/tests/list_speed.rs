//! The time that a page of a list takes over HTTP, with 1,000,000 waiting and 100,000 dead jobs, and with 10,000 kinds. It
//! prints a table and asserts nothing about time, because other programs may be busy:
//!
//! `cargo test -p api-gateway --test list_speed -- --ignored --nocapture`

#![expect(clippy::print_stdout, reason = "the result of the measurement")]

mod support;

use std::time::{Duration, Instant};

use atode_testkit::{Gateway, Http, RedisServer};
use support::{connected, text};

/// Kinds of the jobs.
const KINDS: usize = 20;
const PAGES: usize = 200;

/// ARGV: first number, last number. 5,000 waiting jobs share each due time, 1,000 dead jobs each time of death.
const SEED: &str = r#"
local now = redis.call('TIME')[1] * 1000
redis.call('SADD', 'atode:queues', 'default')
for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local kind, id = string.format('speed:%02d', n % 20), string.format('%014d', n)
  redis.call('SADD', 'atode:{default}:kinds', kind)
  redis.call('HSET', 'atode:{default}:jobs', id, 'abcd {"customer":' .. n .. ',"text":"' .. string.rep('x', 60) .. '"}')
  if n <= 1000000 then
    redis.call('ZADD', 'atode:{default}:' .. kind .. ':due', now + 86400000 + math.floor(n / 5000), id)
  else
    local at = now - 1 - math.floor((n - 1000000) / 1000)
    redis.call('ZADD', 'atode:{default}:' .. kind .. ':dead', at, id)
    redis.call('HSET', 'atode:{default}:state', id, string.format('%.0f', at) .. ' 1 0 {"failed":1,"failures":[{' ..
      '"cause":"permanent","error":"cause ' .. n % 20 .. ' of 20","attempt":1,"due":1,"started":2,' ..
      '"worker":{"host":"h","pid":7,"build":"b"},"finished":3}]}')
  end
end
"#;

/// Ten dead jobs of each of 10,000 kinds.
const SEED_KINDS: &str = r"
redis.call('SADD', 'atode:queues', 'default')
for n = 0, 99999 do
  local kind, id = string.format('speed:%05d', n % 10000), string.format('%014d', n)
  redis.call('SADD', 'atode:{default}:kinds', kind)
  redis.call('HSET', 'atode:{default}:jobs', id, 'abcd {}')
  redis.call('ZADD', 'atode:{default}:' .. kind .. ':dead', 1795000000000 + n, id)
end
";

fn measure(http: &Http, name: &str, mut pages: impl FnMut(usize) -> String) {
    let mut times: Vec<Duration> = (0..PAGES)
        .map(|n| {
            let path = pages(n);
            let start = Instant::now();
            let reply = http.get(&path);
            assert_eq!(reply.status, 200, "{}", reply.text());
            start.elapsed()
        })
        .collect();
    times.sort();
    let ms = |part: usize| times[(PAGES - 1) * part / 100].as_secs_f64() * 1_000.0;
    println!("| {name} | {:.2} | {:.2} | {:.2} |", ms(50), ms(99), ms(100));
}

/// The cursor behind `jobs` jobs of a list.
fn cursor(http: &Http, query: &str, jobs: usize) -> String {
    let mut cursor = String::new();
    for _ in 0..jobs / 1_000 {
        let page = http.get(&format!("/v1/jobs?{query}&limit=1000&facets=false{cursor}")).json();
        cursor = format!("&cursor={}", text(&page["next_cursor"]));
    }
    cursor
}

#[test]
#[ignore = "a measurement of some minutes"]
fn the_time_of_a_page() {
    let redis = RedisServer::start();
    for n in 0..110 {
        let range = [1 + n * 10_000, (n + 1) * 10_000].map(|n: usize| n.to_string());
        redis.command(&["EVAL", SEED, "0", &range[0], &range[1]]);
    }
    let gateway = connected(Gateway::start(&redis));
    let http = Http::keeping_alive(gateway.base_url());
    let counts = http.get("/v1/jobs?limit=1").json()["facets"]["state"].clone();
    println!(
        "{counts} of {KINDS} kinds\n\n| page of 50 | p50 ms | p99 ms | max ms |\n| --- | --- | --- | --- |"
    );
    for (name, query) in [
        ("all jobs", "order=desc"),
        ("waiting", "state=scheduled"),
        ("dead", "state=dead"),
        ("dead of one kind", "state=dead&kind=speed:07"),
    ] {
        measure(&http, &format!("{name}, with counts"), |_| format!("/v1/jobs?{query}"));
        measure(&http, &format!("{name}, without counts"), |_| format!("/v1/jobs?{query}&facets=false"));
        let middle = cursor(&http, query, if query.contains("kind") { 2_000 } else { 50_000 });
        measure(&http, &format!("{name}, deep"), |_| format!("/v1/jobs?{query}{middle}"));
    }
    let deepest = cursor(&http, "state=scheduled", 990_000);
    measure(&http, "waiting, behind 990,000 jobs", |_| format!("/v1/jobs?state=scheduled{deepest}"));
    let mut next = String::new();
    measure(&http, "waiting, 200 pages in a row", |_| {
        let path = format!("/v1/jobs?state=scheduled&facets=false{next}");
        next = format!("&cursor={}", text(&http.get(&path).json()["next_cursor"]));
        path
    });
    measure(&http, "dead, by error (10,000 searched)", |_| {
        "/v1/jobs?state=dead&error=no+such+text".to_owned()
    });
    measure(&http, "waiting, by payload (10,000 searched)", |_| {
        "/v1/jobs?state=scheduled&search=no+such+text".to_owned()
    });
    let redis = RedisServer::start();
    redis.command(&["EVAL", SEED_KINDS, "0"]);
    let gateway = connected(Gateway::start(&redis));
    let http = Http::keeping_alive(gateway.base_url());
    measure(&http, "dead of 10,000 kinds, without counts", |_| "/v1/jobs?state=dead&facets=false".to_owned());
    let middle = cursor(&http, "state=dead", 50_000);
    measure(&http, "dead of 10,000 kinds, deep", |_| format!("/v1/jobs?state=dead{middle}"));
    measure(&http, "all of 10,000 kinds, without counts", |_| "/v1/jobs?facets=false".to_owned());
}
