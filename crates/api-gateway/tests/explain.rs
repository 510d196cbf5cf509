//! `GET /v1/jobs/{id}/explain` on real processes: each reason in the situation that it is for.

mod support;

use atode_testkit::{Gateway, RedisServer, Worker, eventually};
use serde_json::{Value, json};
use support::{DEADLINE, KIND, Stored, UNKNOWN, address, enqueued, instant, later, problem, start, text};

const SLOW: &str = "demo:slow";

fn explain(gateway: &Gateway, id: &Value) -> Value {
    let reply = gateway.get(&format!("{}/explain", address(id)));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Waits for this reason. Its sentence must have these words.
#[track_caller]
fn until(gateway: &Gateway, id: &Value, reason: &str, words: &[&str]) -> Value {
    let mut last = Value::Null;
    let found = atode_testkit::poll(DEADLINE, || {
        last = explain(gateway, id);
        (last["reason"] == reason).then(|| last.clone())
    });
    let explanation = found.unwrap_or_else(|| panic!("no {reason} but {last:#}"));
    let sentence = text(&explanation["sentence"]);
    for word in words {
        assert!(sentence.contains(word), "{word} is missing in: {sentence}");
    }
    assert!(!text(&explanation["what_to_do"]).is_empty());
    explanation
}

fn result<'a>(explanation: &'a Value, check: &str) -> &'a str {
    let checks = explanation["checks"].as_array().expect("a list");
    let found = checks.iter().find(|found| found["name"] == check);
    text(&found.unwrap_or_else(|| panic!("no check {check}"))["result"])
}

fn slow() -> Value {
    json!({"kind": SLOW, "payload": {"seconds": 60}, "delay": "0s"})
}

fn operate(gateway: &Gateway, id: &Value, operation: &str) -> u16 {
    gateway.request("POST", &format!("{}/{operation}", address(id))).send().status
}

/// The id and the build of the only worker.
fn only_worker(gateway: &Gateway) -> (String, String) {
    eventually("the worker is registered", DEADLINE, || {
        let worker = gateway.get("/v1/workers").json()["items"][0].clone();
        Some((worker["id"].as_str()?.to_owned(), worker["build"].as_str()?.to_owned()))
    })
}

/// Makes a waiting job look as if it had been running in this many crashes.
fn crashed(redis: &RedisServer, id: &Value, crashes: u32) {
    let id: atode_queue::JobId = text(id).parse().expect("an id");
    let state = format!("1 0 {crashes} {{\"crashes\":{crashes}}}");
    redis.command(&["HSET", "atode:{default}:state", &id.short(), &state]);
}

/// A job of the slow kind that is due in an hour and was running in this many crashes.
fn suspect(redis: &RedisServer, gateway: &Gateway, crashes: u32) -> Value {
    let job = json!({"kind": SLOW, "payload": {"seconds": 60}, "delay": "1h"});
    let id = enqueued(gateway, &job)["id"].clone();
    crashed(redis, &id, crashes);
    id
}

#[test]
fn a_job_that_is_not_due_says_when_it_is_and_what_would_hold_it_back_then() {
    let (redis, gateway) = start();
    let job = enqueued(&gateway, &later());
    let explanation = until(&gateway, &job["id"], "not_due", &["59 min"]);
    assert_eq!(explanation["runs_at_earliest"], job["due_at"]);
    assert_eq!((&explanation["kind"], &explanation["state"]), (&json!(KIND), &json!("scheduled")));
    assert_eq!(result(&explanation, "due"), "waits_for_time");
    assert_eq!(result(&explanation, "worker_knows_kind"), "failed");
    assert!(text(&explanation["what_to_do"]).contains("see worker_knows_kind"));

    let _worker = Worker::start(&redis);
    only_worker(&gateway);
    let explanation = explain(&gateway, &job["id"]);
    let open = explanation["checks"].as_array().expect("a list").iter();
    assert_eq!(open.filter(|check| check["result"] != "passed").count(), 1, "{explanation:#}");
    assert_eq!(operate(&gateway, &job["id"], "run-now"), 200);
    let completed = until(&gateway, &job["id"], "completed", &["attempt 1", "ago"]);
    assert_eq!((&completed["checks"], &completed["runs_at_earliest"]), (&json!([]), &Value::Null));
}

#[test]
fn a_failed_job_backs_off_and_then_has_spent_its_retries() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    let flaky = json!({"kind": "demo:flaky", "payload": {"failures": 9}, "max_retries": 2});
    let id = enqueued(&gateway, &flaky)["id"].clone();
    let waits = until(&gateway, &id, "backing_off", &["of 3 failed", "due in"]);
    assert!(instant(&waits["runs_at_earliest"]) > 0);
    let words = ["All of its 3 attempts failed", "failed on purpose, failure 3 of 9"];
    let dead = until(&gateway, &id, "retries_spent", &words);
    assert!(text(&dead["what_to_do"]).contains("redrive"));
}

#[test]
fn a_paused_queue_is_the_reason_until_it_is_resumed() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    only_worker(&gateway);
    gateway.post("/v1/queues/default/pause", &json!({}));
    let id = enqueued(&gateway, &slow())["id"].clone();
    let explanation = until(&gateway, &id, "queue_paused", &["The queue default has been paused for"]);
    assert!(text(&explanation["what_to_do"]).contains("/v1/queues/default/resume"));
    gateway.post("/v1/queues/default/resume", &json!({}));
    let running = until(&gateway, &id, "running", &["attempt 1 of 11", "build "]);
    assert_eq!(running["checks"], json!([]));
}

#[test]
fn a_kind_that_no_worker_knows_names_the_live_workers_and_their_builds() {
    let (redis, gateway) = start();
    let id = json!(Stored::on(&redis).enqueue("default", "test:unknown", "{}"));
    assert_eq!(operate(&gateway, &id, "run-now"), 200);
    until(&gateway, &id, "no_worker_knows_kind", &["test:unknown", "no worker is alive"]);
    let _worker = Worker::start(&redis);
    let (worker, build) = only_worker(&gateway);
    until(&gateway, &id, "no_worker_knows_kind", &["1 worker is alive", &worker, &build]);
}

#[test]
fn quiet_workers_are_the_reason() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    let (worker, build) = only_worker(&gateway);
    gateway.request("POST", &format!("/v1/workers/{worker}/quiet")).send();
    eventually("it is quiet", DEADLINE, || {
        (gateway.get("/v1/workers").json()["items"][0]["state"] == "quiet").then_some(())
    });
    let id = enqueued(&gateway, &slow())["id"].clone();
    let explanation = until(&gateway, &id, "workers_quiet", &[&worker, &build]);
    assert_eq!(result(&explanation, "worker_knows_kind"), "passed");
}

#[test]
fn full_slots_name_the_kinds_that_have_them_and_the_jobs_ahead() {
    let (redis, gateway) = start();
    let _worker = Worker::builder(&redis.addr()).args(["--concurrency", "2"]).start();
    let running: Vec<Value> = (0..2).map(|_| enqueued(&gateway, &slow())["id"].clone()).collect();
    for id in &running {
        until(&gateway, id, "running", &[]);
    }
    enqueued(&gateway, &slow());
    let id = enqueued(&gateway, &slow())["id"].clone();
    let words = ["2 jobs of demo:slow have all 2 slots", "1 job of its kind is due before it"];
    let explanation = until(&gateway, &id, "slots_full", &words);
    assert_eq!(result(&explanation, "slot_free"), "failed");
}

#[test]
fn a_suspect_waits_while_the_worker_runs_another_one() {
    let (redis, gateway) = start();
    let _worker = Worker::builder(&redis.addr()).args(["--concurrency", "4"]).start();
    let suspects = [2, 3].map(|crashes| suspect(&redis, &gateway, crashes));
    assert_eq!(operate(&gateway, &suspects[0], "run-now"), 200);
    until(&gateway, &suspects[0], "running", &[]);
    assert_eq!(operate(&gateway, &suspects[1], "run-now"), 200);
    until(&gateway, &suspects[1], "held_after_crashes", &["3 crashes", "1 worker"]);
    // Its due time moves by a second again and again, and the reason stays.
    eventually("it was put off", DEADLINE, || {
        let explanation = explain(&gateway, &suspects[1]);
        assert_eq!(explanation["reason"], "held_after_crashes", "{explanation:#}");
        (explanation["state"] == "scheduled").then_some(())
    });
    assert_eq!(operate(&gateway, &suspects[0], "cancel"), 202);
    until(&gateway, &suspects[1], "running", &[]);
}

#[test]
fn a_requested_cancellation_is_the_reason_until_the_worker_has_ended_the_job() {
    let (redis, gateway) = start();
    let worker = Worker::start(&redis);
    let id = enqueued(&gateway, &slow())["id"].clone();
    until(&gateway, &id, "running", &[]);
    worker.pause();
    assert_eq!(operate(&gateway, &id, "cancel"), 202);
    until(&gateway, &id, "cancel_requested", &["cancellation was requested", &worker.pid().to_string()]);
    worker.resume();
    until(&gateway, &id, "cancelled", &["ago", "attempt 1"]);
}

#[test]
fn a_job_of_a_killed_worker_is_settling_and_after_its_fifth_crash_dead() {
    let (redis, gateway) = start();
    let id = suspect(&redis, &gateway, 4);
    let short_lease = || Worker::builder(&redis.addr()).env("APP__WORKER__LEASE", "5s").start();
    let victim = short_lease();
    assert_eq!(operate(&gateway, &id, "run-now"), 200);
    until(&gateway, &id, "running", &[]);
    victim.kill();
    let explanation = until(&gateway, &id, "settling", &[&victim.pid().to_string()]);
    assert!(text(&explanation["what_to_do"]).contains("Start a worker"), "{explanation:#}");
    let _sweeper = short_lease();
    until(&gateway, &id, "crashed_5_times", &["5 of its runs"]);
}

#[test]
fn a_payload_that_does_not_fit_is_permanent() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    let id = json!(Stored::on(&redis).enqueue("default", SLOW, r#"{"seconds":"many"}"#));
    assert_eq!(operate(&gateway, &id, "run-now"), 200);
    until(&gateway, &id, "permanent", &["Attempt 1", "the payload is not one of this kind"]);
}

#[test]
fn a_cancelled_job_says_so() {
    let (_redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    assert_eq!(operate(&gateway, &id, "cancel"), 200);
    until(&gateway, &id, "cancelled", &["ago"]);
}

#[test]
fn a_redis_that_cannot_save_is_the_reason_and_one_that_is_away_is_a_503_with_the_reason() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    only_worker(&gateway);
    let job = json!({"kind": KIND, "delay": "3s"});
    let id = enqueued(&gateway, &job)["id"].clone();
    redis.break_saves();
    let explanation = until(&gateway, &id, "redis_full", &["MISCONF"]);
    assert_eq!(result(&explanation, "redis_takes_writes"), "failed");
    redis.restore_saves();
    until(&gateway, &id, "completed", &[]);

    redis.kill();
    let away = problem(&gateway.get(&format!("{}/explain", address(&id))), 503, "unavailable");
    assert_eq!(away["reason"], "redis_away");
    let words = "Redis cannot be reached, so no job can be claimed, settled or explained";
    assert!(text(&away["detail"]).starts_with(words), "{away}");
}

#[test]
fn an_id_without_a_job_gets_the_404_of_the_job_itself() {
    let (_redis, gateway) = start();
    let [explained, shown] = ["/explain", ""].map(|path| {
        let mut problem = problem(&gateway.get(&format!("/v1/jobs/{UNKNOWN}{path}")), 404, "not-found");
        problem["request_id"] = Value::Null;
        problem
    });
    assert_eq!(explained, shown);
    assert!(text(&shown["detail"]).contains("The id was made at 2024-"), "{shown}");
    for wrong in ["nonsense/explain", &format!("{UNKNOWN}/explain?why=")] {
        problem(&gateway.get(&format!("/v1/jobs/{wrong}")), 400, "malformed-request");
    }
}

#[test]
fn a_job_whose_queue_is_no_longer_configured_is_explained() {
    let (redis, gateway) = start();
    let id = json!(Stored::on(&redis).enqueue("left", KIND, "{}"));
    assert_eq!(until(&gateway, &id, "not_due", &[])["queue"], "left");
}
