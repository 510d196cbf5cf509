//! The last release and this build, side by side on one Redis. `./dev test` builds the last release; the variables
//! `ATODE_TEST_LAST_GATEWAY` and `ATODE_TEST_LAST_WORKER` name its programs. Without them, these tests do nothing.

use std::time::Duration;

use atode_testkit::{Binary, Gateway, RedisServer, Service, Worker, eventually};
use jiff::Timestamp;
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(40);

enum LastGatewayBinary {}
impl Binary for LastGatewayBinary {
    const NAME: &'static str = "last-gateway";
}

enum LastWorkerBinary {}
impl Binary for LastWorkerBinary {
    const NAME: &'static str = "last-worker";
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

type LastGateway = Service<LastGatewayBinary>;
type LastWorker = Service<LastWorkerBinary>;

#[expect(clippy::print_stderr, reason = "a test that does nothing must not look like one that passed")]
fn has_last_release() -> bool {
    let has = std::env::var_os("ATODE_TEST_LAST_GATEWAY").is_some();
    if !has {
        assert!(std::env::var_os("CI").is_none(), "CI tests upgrades: ATODE_TEST_LAST_GATEWAY is missing");
        eprintln!("skipped: `./dev test` builds the last release; see scripts/build-last-release.sh");
    }
    has
}

/// One job of each form that a record can have: defaults, all options, and a failure that is retried.
fn store<B: Binary>(gateway: &Service<B>, name: &str) -> Vec<String> {
    let print =
        |delay: &str| json!({"kind": "demo:delay_print", "payload": {"message": name}, "delay": delay});
    let mut options = print("1s");
    options["max_retries"] = 3.into();
    options["durability"] = "fsync".into();
    let mut at = print("0s");
    at.as_object_mut().expect("an object").remove("delay");
    at["run_at"] = Timestamp::now().to_string().into();
    let flaky = json!({"kind": "demo:flaky", "payload": {"failures": 1}, "delay": "0s"});
    let jobs = [print("0s"), options, at, flaky];
    jobs.iter().enumerate().map(|(n, job)| id(&keyed(gateway, &format!("{name}-{n}"), job, 201))).collect()
}

fn keyed<B: Binary>(gateway: &Service<B>, key: &str, job: &Value, status: u16) -> Value {
    // This build lets the job carry its trace, as a part of the record that the last release does not know.
    let request = gateway.request("POST", "/v1/jobs").header("traceparent", TRACEPARENT);
    let reply = request.header("Idempotency-Key", key).json(job).send();
    assert_eq!(reply.status, status, "{}", reply.text());
    reply.json()
}

fn id(job: &Value) -> String {
    job["id"].as_str().expect("an id").to_owned()
}

fn state<B: Binary>(gateway: &Service<B>, id: &str) -> String {
    gateway.get(&format!("/v1/jobs/{id}")).json()["state"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn until_all<B: Binary>(gateway: &Service<B>, ids: &[String], expected: &str) {
    for id in ids {
        eventually("the job ends", DEADLINE, || (state(gateway, id) == expected).then_some(()));
    }
}

/// The ids of the live workers.
fn workers<B: Binary>(gateway: &Service<B>) -> Vec<Value> {
    let reply = gateway.get("/v1/workers").json();
    reply["items"].as_array().cloned().unwrap_or_default()
}

#[test]
fn this_build_runs_and_shows_the_jobs_of_the_last_release() {
    if !has_last_release() {
        return;
    }
    let redis = RedisServer::builder().appendfsync("always").start();
    let ids = {
        let old = LastGateway::start(&redis);
        store(&old, "old")
    };
    let new = Gateway::start(&redis);
    let again = json!({"kind": "demo:delay_print", "payload": {"message": "old"}, "delay": "0s"});
    assert_eq!(id(&keyed(&new, "old-0", &again, 200)), ids[0], "its idempotency keys still hold");
    let _worker = Worker::start(&redis);
    until_all(&new, &ids, "completed");
}

#[test]
fn the_last_release_runs_and_shows_the_jobs_of_this_build() {
    if !has_last_release() {
        return;
    }
    let redis = RedisServer::builder().appendfsync("always").start();
    let ids = {
        let new = Gateway::start(&redis);
        store(&new, "new")
    };
    let old = LastGateway::start(&redis);
    let again = json!({"kind": "demo:delay_print", "payload": {"message": "new"}, "delay": "0s"});
    assert_eq!(id(&keyed(&old, "new-0", &again, 200)), ids[0], "its idempotency keys still hold");
    let _worker = LastWorker::start(&redis);
    until_all(&old, &ids, "completed");
}

#[test]
fn both_serve_one_queue_and_take_over_each_others_jobs() {
    if !has_last_release() {
        return;
    }
    let redis = RedisServer::builder().appendfsync("always").start();
    let (old, new) = (LastGateway::start(&redis), Gateway::start(&redis));
    let slow = json!({"kind": "demo:slow", "payload": {"seconds": 8}, "delay": "0s"});
    let lease =
        |builder: atode_testkit::ServiceBuilder<LastWorkerBinary>| builder.env("APP__WORKER__LEASE", "5s");
    let old_worker = lease(LastWorker::builder(&redis.addr())).start();
    let jobs: Vec<String> = (0..4).map(|n| id(&keyed(&new, &format!("slow-{n}"), &slow, 201))).collect();
    eventually("the old worker runs them", DEADLINE, || {
        jobs.iter().all(|id| state(&new, id) == "active").then_some(())
    });
    let new_worker = Worker::builder(&redis.addr()).env("APP__WORKER__LEASE", "5s").start();
    eventually("each sees the other", DEADLINE, || {
        (workers(&old).len() == 2 && workers(&new).len() == 2).then_some(())
    });
    assert!(jobs.iter().all(|id| state(&new, id) == "active"), "they still run");
    old_worker.kill();
    until_all(&new, &jobs, "completed");
    let worker = new.get(&format!("/v1/jobs/{}", jobs[0])).json()["worker"].clone();
    assert_eq!(worker["pid"], new_worker.pid(), "the new worker took it over");

    // The other way round: the new one is asked to stop by the old gateway, while it runs jobs.
    let old_worker = LastWorker::start(&redis);
    let jobs: Vec<String> = (4..8).map(|n| id(&keyed(&old, &format!("slow-{n}"), &slow, 201))).collect();
    let pid = new_worker.pid();
    eventually("jobs run", DEADLINE, || jobs.iter().any(|id| state(&old, id) == "active").then_some(()));
    let asked = eventually("the new worker is listed", DEADLINE, || {
        workers(&old).into_iter().find(|worker| worker["pid"] == pid)
    });
    assert_eq!(old.post(&format!("/v1/workers/{}/stop", id(&asked)), &json!({})).status, 202);
    new_worker.wait(DEADLINE);
    until_all(&old, &jobs, "completed");
    old_worker.terminate();
    let ids = [store(&old, "both-old"), store(&new, "both-new")].concat();
    let _both = (LastWorker::start(&redis), Worker::start(&redis));
    until_all(&old, &ids, "completed");
    until_all(&new, &ids, "completed");
}
