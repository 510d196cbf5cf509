//! `POST /api/dm-jobqueue/register`: clients of the old service work as before.

mod support;

use std::time::{Duration, Instant};

use atode_testkit::{Gateway, Response, Worker};
use serde_json::{Value, json};
use support::{DEADLINE, instant, job, keys, pointers, problem, start, stored};

fn register(gateway: &Gateway, body: &Value) -> Response {
    gateway.post("/api/dm-jobqueue/register", body)
}

#[track_caller]
fn registered(gateway: &Gateway, body: &Value) -> Value {
    let reply = register(gateway, body);
    assert_eq!(reply.status, 201, "{body}: {}", reply.text());
    let answer = reply.json();
    assert_eq!(keys(&answer), ["job_id", "status"]);
    assert_eq!(answer["status"], "registered");
    job(gateway, &answer["job_id"])
}

#[test]
fn a_message_is_printed_after_its_delay_into_a_file_too() {
    let (redis, gateway) = start();
    let worker = Worker::start(&redis);
    let asked = Instant::now();
    registered(&gateway, &json!({"message": "Hello", "delay_seconds": 2}));
    let out = worker.wait_for_stdout(|out| out.ends_with('\n'), DEADLINE);
    let took = asked.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(4)).contains(&took), "{took:?}");
    let at = out.strip_prefix('[').and_then(|out| out.strip_suffix("] Hello\n")).expect("[…] Hello");
    jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", at).expect("a date and a time");
}

#[test]
fn without_a_message_the_job_prints_that_it_was_executed() {
    let (redis, gateway) = start();
    let worker = Worker::start(&redis);
    registered(&gateway, &json!({"delay_seconds": 1}));
    worker.wait_for_stdout(|out| out.ends_with("] Job executed successfully\n"), DEADLINE);
}

#[test]
fn absent_zero_and_negative_values_mean_the_default() {
    let (_redis, gateway) = start();
    for body in [
        json!({}),
        json!({"delay_seconds": 0, "max_retry": 0}),
        json!({"delay_seconds": -1, "max_retry": i64::MIN}),
        json!({"message": null, "delay_seconds": null, "max_retry": null}),
        json!({"queue": "critical", "type": "x", "timeout": {"a": [1]}}),
    ] {
        let job = registered(&gateway, &body);
        let delay = instant(&job["due_at"]) - instant(&job["enqueued_at"]);
        assert!((180_000..185_000).contains(&delay), "{body}: {delay} ms");
        assert_eq!(
            (&job["max_retries"], &job["queue"], &job["payload"]),
            (&json!(10), &json!("default"), &json!({}))
        );
    }
}

#[test]
fn given_values_are_used() {
    let (_redis, gateway) = start();
    let job = registered(&gateway, &json!({"message": "", "delay_seconds": 31_536_000, "max_retry": 1000}));
    let delay = instant(&job["due_at"]) - instant(&job["enqueued_at"]);
    assert!((31_536_000_000..31_536_005_000).contains(&delay), "{delay} ms");
    assert_eq!((&job["max_retries"], &job["payload"]), (&json!(1000), &json!({"message": ""})));
}

#[test]
fn wrong_values_are_refused_with_a_pointer() {
    let (_redis, gateway) = start();
    for (body, pointer) in [
        (json!({"delay_seconds": 31_536_001}), "/delay_seconds"),
        (json!({"delay_seconds": i64::MAX}), "/delay_seconds"),
        (json!({"delay_seconds": 9_223_372_036_854_775_808_u64}), "/delay_seconds"),
        (json!({"delay_seconds": 1.5}), "/delay_seconds"),
        (json!({"delay_seconds": "2"}), "/delay_seconds"),
        (json!({"max_retry": 1001}), "/max_retry"),
        (json!({"message": 1}), "/message"),
        (json!({"message": {"a": 1}}), "/message"),
    ] {
        let refused = problem(&register(&gateway, &body), 422, "invalid-request");
        assert_eq!(pointers(&refused), [pointer], "{body}");
    }
    for body in [json!([]), json!(null), json!("Hello")] {
        problem(&register(&gateway, &body), 400, "malformed-request");
    }
    let plain = gateway.request("POST", "/api/dm-jobqueue/register").body("message=Hello").send();
    problem(&plain, 415, "unsupported-media-type");
    let looked = gateway.get("/api/dm-jobqueue/register");
    problem(&looked, 405, "method-not-allowed");
    assert_eq!(looked.header("allow"), Some("POST"));
    assert_eq!(stored(&gateway, "default"), 0);
}
