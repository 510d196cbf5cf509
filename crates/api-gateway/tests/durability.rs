//! `durability: "fsync"` over HTTP.

mod support;

use atode_testkit::RedisServer;
use serde_json::json;
use support::{
    KIND, enqueue, enqueue_with_key, enqueued, gateway, job, pointers, problem, start, stored, text,
};

#[test]
fn a_job_with_fsync_is_answered_when_it_is_on_disk() {
    let redis = RedisServer::builder().appendfsync("always").start();
    let gateway = gateway(&redis);
    let request = json!({"kind": KIND, "delay": "1h", "durability": "fsync"});
    let made = enqueued(&gateway, &request);
    assert_eq!(made["durability"], "fsync");
    assert_eq!(job(&gateway, &made["id"])["durability"], "fsync");
    assert_eq!(enqueued(&gateway, &json!({"kind": KIND, "delay": "1h"}))["durability"], json!(null));

    assert_eq!(enqueue_with_key(&gateway, "k", &request).status, 201);
    let again = enqueue_with_key(&gateway, "k", &request);
    assert_eq!((again.status, &again.json()["durability"]), (200, &json!("fsync")));
    redis.kill();
    redis.restart();
    support::connected(gateway);
    assert_eq!(redis.command(&["HLEN", "atode:{default}:jobs"]).int(), 3);
}

#[test]
fn fsync_is_a_conflict_and_stores_nothing_if_redis_cannot_guarantee_it() {
    let (redis, gateway) = start();
    redis.command(&["CONFIG", "SET", "appendfsync", "no"]);
    let refused = enqueue(&gateway, &json!({"kind": KIND, "durability": "fsync"}));
    let refused = problem(&refused, 409, "durability-unavailable");
    assert!(text(&refused["detail"]).contains("appendfsync no"), "{refused}");
    assert_eq!(stored(&gateway, "default"), 0);
    assert_eq!(gateway.get("/problems/durability-unavailable").status, 200);
}

#[test]
fn durability_takes_only_fsync_and_only_for_a_single_job() {
    let (_redis, gateway) = start();
    let relaxed =
        problem(&enqueue(&gateway, &json!({"kind": KIND, "durability": "relaxed"})), 422, "invalid-request");
    assert_eq!(pointers(&relaxed), ["/durability"]);
    let batch = json!({"jobs": [{"kind": KIND, "durability": "fsync"}], "atomic": true});
    let refused = problem(&gateway.post("/v1/jobs/batch", &batch), 422, "invalid-request");
    assert_eq!(pointers(&refused), ["/jobs/0/durability"]);
}
