//! `atode check`: whether this build can read the jobs that are still to run.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_config::redis::{Endpoint, JobqueueRedis};
use atode_queue::{Client, Due, JobId, NewJob, Record};
use atode_testkit::RedisServer;
use serde_json::{Value, json};
use support::{Ended, atode, run};

const KIND: &str = "demo:delay_print";
const HOUR: Due = Due::After(Duration::from_secs(3_600));

fn check(redis: &RedisServer, args: &[&str]) -> Ended {
    run(atode()
        .args([&["check"], args].concat())
        .env("APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR", redis.addr()))
}

fn report(redis: &RedisServer, args: &[&str], code: i32) -> Value {
    let ended = check(redis, &[&["--json"], args].concat());
    assert_eq!(ended.code, code, "{}{}", ended.out, ended.err);
    serde_json::from_str(&ended.out).expect("one JSON document")
}

async fn client(redis: &RedisServer) -> Client {
    let endpoint = Endpoint::Server { host: "127.0.0.1".to_owned(), port: redis.port() };
    let client =
        Client::open(&JobqueueRedis { endpoint, ..JobqueueRedis::default() }).expect("valid settings");
    client.connection().connects().wait_for(|connects| *connects > 0).await.expect("connects");
    client
}

fn job(client: &Client, kind: &str, payload: &str, due: Due) -> NewJob {
    let payload = serde_json::from_str(payload).expect("JSON");
    NewJob::new(client.new_id(), &"default".into(), &kind.into(), &Record::new(payload), due)
}

async fn store(client: &Client, kind: &str, payload: &str) -> JobId {
    let job = job(client, kind, payload, HOUR);
    let id = job.id;
    assert!(client.enqueue(job).await.expect("stored").is_created());
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_jobs_are_counted_by_kind_and_the_first_are_shown_with_their_pointer() {
    let redis = Arc::new(RedisServer::start());
    let client = client(&redis).await;
    assert_eq!(report(&redis, &[], 0)["jobs"], 0);
    for _ in 0..3 {
        store(&client, KIND, r#"{"message":"fine"}"#).await;
    }
    store(&client, "other:team", r#"{"x":1}"#).await;
    let fine = report(&redis, &[], 0);
    assert_eq!((&fine["ok"], &fine["jobs"]), (&json!(true), &json!(4)));
    assert_eq!(
        fine["kinds"],
        json!([
            { "queue": "default", "kind": KIND, "known": true, "jobs": 3, "unreadable": 0 },
            { "queue": "default", "kind": "other:team", "known": false, "jobs": 1, "unreadable": 0 },
        ])
    );

    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(store(&client, KIND, r#"{"message":7}"#).await);
    }
    let wrong = report(&redis, &["--queue", "default"], 1);
    assert_eq!((&wrong["ok"], &wrong["kinds"][0]["unreadable"]), (&json!(false), &json!(12)));
    let shown = wrong["unreadable"].as_array().expect("a list");
    assert_eq!(shown.len(), 10);
    for job in shown {
        assert!(ids.iter().any(|id| job["id"] == id.to_string()), "{job}");
        assert_eq!((&job["kind"], &job["pointer"]), (&json!(KIND), &json!("/message")));
    }
    let shown = check(&redis, &[]);
    let summary = "15 waiting or active jobs checked (16 records read) in ";
    for words in ["UNREADABLE", "not of this build", "payload/message", "cannot read 12 jobs", summary] {
        assert!(shown.out.contains(words), "{words} is missing in\n{}", shown.out);
    }
    let failed = check(&redis, &["--queue", "nowhere"]);
    assert_eq!((failed.code, failed.err.contains("no queue \"nowhere\"")), (2, true), "{}", failed.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_have_ended_do_not_count() {
    let redis = Arc::new(RedisServer::start());
    let client = client(&redis).await;
    let id = store(&client, KIND, "[]").await;
    assert_eq!(report(&redis, &[], 1)["unreadable"][0]["id"], id.to_string());
    client.operate("default", KIND, id, atode_queue::Operation::Cancel).await.expect("cancelled");
    let after = report(&redis, &[], 0);
    assert_eq!((&after["jobs"], &after["kinds"]), (&json!(1), &json!([])));
    let shown = check(&redis, &[]).out;
    assert!(shown.starts_with("0 waiting or active jobs checked (1 record read) in "), "{shown}");
}

/// Measures: `cargo test --release -p atode --test check -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of a minute and more"]
async fn a_million_jobs_take_a_minute_and_little_of_redis() {
    let redis = Arc::new(RedisServer::start());
    let client = client(&redis).await;
    for _ in 0..1_000 {
        let jobs: Vec<_> = (0..1_000)
            .map(|_| job(&client, KIND, r#"{"message":"a message of a usual length, or so"}"#, HOUR))
            .collect();
        let stored = client.enqueue_each("default", &jobs).await;
        assert!(stored.iter().all(Result::is_ok));
    }
    let cpu = || {
        let info = redis.command(&["INFO", "cpu"]).text();
        let seconds = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.and_then(|value| value.trim().parse::<f64>().ok()).expect("a number")
        };
        seconds("used_cpu_sys") + seconds("used_cpu_user")
    };
    let (before, start) = (cpu(), Instant::now());
    let ended = check(&redis, &["--json"]);
    let (took, used) = (start.elapsed().as_secs_f64(), cpu() - before);
    assert_eq!(ended.code, 0, "{}", ended.err);
    println!("1,000,000 jobs: {took:.1} s, Redis CPU {used:.2} s = {:.1} %", 100.0 * used / took);
}
