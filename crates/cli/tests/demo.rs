//! `atode demo`: a lively example for first looks.

mod support;

use std::time::Duration;

use atode_testkit::{Gateway, RedisServer, Worker, eventually};
use serde_json::{Value, json};
use support::{atode, run};

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn it_shows_every_state_and_several_causes_and_removes_only_its_own_jobs() {
    let redis = RedisServer::start();
    let gateway = Gateway::start(&redis);
    let _worker = Worker::start(&redis);
    let own =
        gateway.post("/v1/jobs", &json!({"kind": "demo:delay_print", "delay": "1h"})).json()["id"].clone();
    let demo = |args: &[&str]| run(atode().env("ATODE_URL", gateway.base_url()).arg("demo").args(args));
    let filled = demo(&["--jobs", "300"]);
    let text = "300 demo jobs are stored in queue default, 15 of them cancelled";
    assert!(filled.code == 0 && filled.out.starts_with(text), "{}{}", filled.out, filled.err);
    let counts = || gateway.get("/v1/queues/default").json()["counts"].clone();
    // 75 jobs that take their time are more than the worker has slots.
    eventually("there are jobs in all states", DEADLINE, || {
        let counts = counts();
        let states = ["scheduled", "ready", "active", "completed", "dead", "cancelled"];
        states.iter().all(|state| counts[state].as_u64() > Some(0)).then_some(())
    });
    eventually("jobs die of three causes", DEADLINE, || {
        let failures = gateway.get("/v1/failures").json()["items"].as_array()?.clone();
        (failures.len() == 3).then_some(())
    });

    let direct = atode().env("APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR", redis.addr());
    let cleaned = run(direct.args(["--direct", "demo", "--clean", "--json"]));
    assert_eq!(cleaned.code, 0, "{}", cleaned.err);
    let cleaned: Value = serde_json::from_str(&cleaned.out).expect("JSON");
    assert_eq!(cleaned, json!({"removed": 300, "running": 0}));
    assert_eq!(
        counts(),
        json!({"scheduled": 1, "ready": 0, "active": 0, "completed": 0, "dead": 0, "cancelled": 0})
    );
    let own = own.as_str().expect("an id");
    assert_eq!(gateway.get(&format!("/v1/jobs/{own}")).json()["state"], "scheduled");
    let again = demo(&["--clean"]);
    assert_eq!((again.code, again.out.as_str()), (0, "0 demo jobs are removed\n"), "{}", again.err);
}

#[test]
fn it_keeps_moving_for_as_long_as_it_is_told() {
    let redis = RedisServer::start();
    let gateway = Gateway::start(&redis);
    let moved =
        run(atode().env("ATODE_URL", gateway.base_url()).args(["demo", "--jobs", "61", "--for", "2s"]));
    assert!(moved.out.starts_with("65 demo jobs are stored"), "{}{}", moved.out, moved.err);
}

#[test]
fn production_is_refused_unless_it_is_named() {
    let redis = RedisServer::start();
    let gateway = Gateway::start(&redis);
    let demo = || atode().env("APP_ENV", "production").env("ATODE_URL", gateway.base_url()).arg("demo");
    let refused = run(demo());
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("--in-production"), "{}", refused.err);
    assert_eq!(gateway.get("/v1/queues/default").json()["counts"]["scheduled"], 0);
    assert_eq!(run(demo().args(["--in-production", "--jobs", "1"])).code, 0);
}
