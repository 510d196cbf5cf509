//! Gateways on Redis servers of their own, assertions about replies, and direct access to the queue.

#![allow(dead_code, unused_imports, reason = "each test file uses only a part")]

pub(crate) mod described;
pub(crate) mod limited;
mod socket;
mod stored;

use std::time::{Duration, Instant};

use atode_testkit::{Gateway, RedisServer, Response, eventually};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) use socket::{request, talk, talk_until_it_ends};
pub(crate) use stored::Stored;

pub(crate) const KIND: &str = "demo:delay_print";
/// The deadline for events that have to happen, on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// The time for answers that are promised within a second, on a busy machine.
pub(crate) const A_SECOND: Duration = Duration::from_millis(1_500);
/// An id without a job.
pub(crate) const UNKNOWN: &str = "0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4b";

pub(crate) fn start() -> (RedisServer, Gateway) {
    let redis = RedisServer::start();
    let gateway = gateway(&redis);
    (redis, gateway)
}

/// A gateway that is connected to this Redis.
pub(crate) fn gateway(redis: &RedisServer) -> Gateway {
    connected(Gateway::start(redis))
}

/// The same with a second queue, `mail`.
pub(crate) fn gateway_with_mail(redis: &RedisServer) -> Gateway {
    let gateway = Gateway::builder(&redis.addr())
        .env("APP__QUEUES__DEFAULT__PARTITIONS", "1")
        .env("APP__QUEUES__MAIL__PARTITIONS", "1");
    connected(gateway.start())
}

pub(crate) fn connected(gateway: Gateway) -> Gateway {
    eventually("the gateway is ready", DEADLINE, || (gateway.get("/readyz").status == 200).then_some(()));
    gateway
}

pub(crate) fn enqueue(gateway: &Gateway, job: &Value) -> Response {
    gateway.post("/v1/jobs", job)
}

/// Enqueues a job and asserts that it is stored. Returns the reply.
#[track_caller]
pub(crate) fn enqueued(gateway: &Gateway, job: &Value) -> Value {
    let reply = enqueue(gateway, job);
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

pub(crate) fn enqueue_with_key(gateway: &Gateway, key: &str, job: &Value) -> Response {
    gateway.request("POST", "/v1/jobs").header("Idempotency-Key", key).json(job).send()
}

/// A job that does not become due during a test.
pub(crate) fn later() -> Value {
    json!({"kind": KIND, "delay": "1h"})
}

#[track_caller]
pub(crate) fn job(gateway: &Gateway, id: &Value) -> Value {
    let reply = gateway.get(&address(id));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

pub(crate) fn address(id: &Value) -> String {
    format!("/v1/jobs/{}", text(id))
}

pub(crate) fn finished(gateway: &Gateway, id: &Value) -> Value {
    let finished = ["completed", "dead", "cancelled"];
    eventually("the job has finished", DEADLINE, || {
        Some(job(gateway, id)).filter(|job| finished.contains(&text(&job["state"])))
    })
}

/// The number of jobs in a queue, in any state.
pub(crate) fn stored(gateway: &Gateway, queue: &str) -> u64 {
    let counts = gateway.get(&format!("/v1/queues/{queue}")).json()["counts"].clone();
    counts.as_object().expect("counts").values().map(|count| count.as_u64().expect("a count")).sum()
}

/// Asserts that the reply is a problem document (RFC 9457) with this status and slug. Returns the document.
#[track_caller]
pub(crate) fn problem(reply: &Response, status: u16, slug: &str) -> Value {
    let context = format!("{:?} {}", reply.headers, reply.text());
    assert_eq!(reply.status, status, "{context}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{context}");
    let problem = reply.json();
    assert_eq!(problem["type"], format!("/problems/{slug}"), "{context}");
    assert_eq!(problem["status"], status, "{context}");
    assert!(!text(&problem["title"]).is_empty() && !text(&problem["detail"]).is_empty(), "{context}");
    assert_eq!(Some(text(&problem["request_id"])), reply.header("x-request-id"), "{context}");
    assert_eq!(reply.header("retry-after").is_some(), status == 503, "{context}");
    // A detail reveals no internals such as addresses, scripts or replies of Redis.
    for inside in ["127.0.0.1", "localhost", "ERR", "WRONGTYPE", "script", "sentinel"] {
        assert!(!text(&problem["detail"]).contains(inside), "{context}");
    }
    let known = ["type", "title", "status", "detail", "errors", "reason", "request_id"];
    assert!(keys(&problem).iter().all(|key| known.contains(key)), "{context}");
    problem
}

/// The pointers to the invalid fields of a problem.
pub(crate) fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
    errors.iter().map(|error| text(&error["pointer"])).collect()
}

/// Asserts that the answer comes within the promised second.
#[track_caller]
pub(crate) fn within_a_second(ask: impl FnOnce() -> Response) -> Response {
    let start = Instant::now();
    let reply = ask();
    assert!(start.elapsed() < A_SECOND, "{:?}: {}", start.elapsed(), reply.text());
    reply
}

/// The keys of an object, in order.
#[track_caller]
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}"))
}

/// An RFC 3339 time in Unix ms.
#[track_caller]
pub(crate) fn instant(value: &Value) -> i64 {
    text(value).parse::<Timestamp>().expect("an instant as in RFC 3339").as_millisecond()
}

/// Waits until a request waits for a job: then its gateway has subscribed to finished jobs.
pub(crate) fn until_watched(redis: &RedisServer) {
    eventually("a request waits for a job", DEADLINE, || {
        let watchers = redis.command(&["PUBSUB", "NUMSUB", "atode:{default}:finished"]).array().pop();
        watchers.filter(|watchers| watchers.int() > 0).map(drop)
    });
}
