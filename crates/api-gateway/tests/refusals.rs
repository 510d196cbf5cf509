//! Redis refuses writes for a while: an enqueue is a 503 within a second that gives the reason, and everything recovers
//! by itself. (More reasons are in `redis_away.rs`.)

mod support;

use atode_testkit::{Gateway, RedisServer, Response, Worker, eventually};
use serde_json::{Value, json};
use support::{
    DEADLINE, KIND, connected, enqueue, enqueued, finished, later, problem, start, stored, text,
    within_a_second,
};

/// Asserts that an enqueue is refused within a second. Returns the detail.
#[track_caller]
fn refused(gateway: &Gateway) -> String {
    let problem = problem(&within_a_second(|| enqueue(gateway, &later())), 503, "unavailable");
    assert!(text(&problem["detail"]).contains("Nothing was stored"), "{problem}");
    text(&problem["detail"]).to_owned()
}

fn recovered(gateway: &Gateway) -> Value {
    let stored = |reply: &Response| reply.status == 201;
    let now = json!({"kind": KIND, "delay": "0s"});
    eventually("an enqueue works again", DEADLINE, || Some(enqueue(gateway, &now)).filter(stored)).json()
}

#[test]
fn a_redis_that_cannot_save_its_data_refuses_jobs_until_it_can() {
    let (redis, gateway) = start();
    let worker = Worker::start(&redis);
    enqueued(&gateway, &later());
    redis.break_saves();
    assert!(refused(&gateway).contains("cannot save its data"));
    gateway.wait_for_stderr(|log| log.contains("MISCONF"), DEADLINE);
    assert_eq!(stored(&gateway, "default"), 1);
    redis.restore_saves();
    assert_eq!(finished(&gateway, &recovered(&gateway)["id"])["state"], "completed");
    assert_eq!(worker.try_exit(), None);
}

#[test]
fn the_gateway_waits_for_a_redis_that_loads_its_data() {
    let redis = RedisServer::builder().slow_to_load().start();
    let gateway = connected(Gateway::start(&redis));
    let worker = Worker::start(&redis);
    let before = enqueued(&gateway, &json!({"kind": KIND, "delay": "2s"}));
    redis.launch_slowly();
    refused(&gateway);
    assert_eq!(gateway.get("/readyz").status, 503);
    assert_eq!(worker.get("/readyz").status, 503);
    assert!(redis.is_loading(), "it was ready too soon");
    assert_eq!(finished(&gateway, &recovered(&gateway)["id"])["state"], "completed");
    assert_eq!(finished(&gateway, &before["id"])["state"], "completed");
    assert_eq!((gateway.try_exit(), worker.try_exit()), (None, None));
}
