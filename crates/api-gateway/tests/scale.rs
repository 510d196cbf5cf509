//! The numbers for an autoscaler of workers.

mod support;

use atode_testkit::{Gateway, RedisServer, Worker, eventually};
use serde_json::{Value, json};
use support::{DEADLINE, start};

const PATH: &str = "/v1/queues/default/scale";

fn scale(gateway: &Gateway) -> Value {
    let reply = gateway.get(PATH);
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[test]
fn every_field_is_there_for_an_empty_queue() {
    let (_redis, gateway) = start();
    let expected = json!({
        "queue": "default", "paused": false, "scheduled": 0, "ready": 0, "active": 0, "unfinished": 0,
        "oldest_ready_age_seconds": 0.0, "workers": 0, "slots": 0
    });
    assert_eq!(scale(&gateway), expected);
    assert_eq!(gateway.get("/v1/queues/none/scale").status, 404);
}

#[test]
fn ready_and_active_jobs_and_the_slots_of_live_workers_are_counted() {
    let (redis, gateway) = start();
    support::enqueued(&gateway, &support::later());
    for _ in 0..3 {
        support::enqueued(&gateway, &json!({"kind": "demo:slow", "payload": {"seconds": 60}, "delay": "0s"}));
    }
    let waiting = scale(&gateway);
    assert_eq!(
        (&waiting["scheduled"], &waiting["ready"], &waiting["unfinished"]),
        (&json!(1), &json!(3), &json!(3))
    );
    eventually("the oldest job ages", DEADLINE, || {
        (scale(&gateway)["oldest_ready_age_seconds"].as_f64()? > 0.0).then_some(())
    });

    let _worker = Worker::builder(&redis.addr()).args(["--concurrency", "2"]).start();
    let running = eventually("two jobs run", DEADLINE, || {
        let scale = scale(&gateway);
        (scale["active"] == 2 && scale["workers"] == 1).then_some(scale)
    });
    assert_eq!(
        (&running["ready"], &running["unfinished"], &running["slots"]),
        (&json!(1), &json!(3), &json!(2))
    );

    gateway.post("/v1/queues/default/pause", &json!({}));
    let paused = scale(&gateway);
    assert_eq!(
        (&paused["paused"], &paused["ready"], &paused["active"]),
        (&json!(true), &json!(0), &json!(2))
    );
    assert_eq!((&paused["unfinished"], &paused["oldest_ready_age_seconds"]), (&json!(2), &json!(0.0)));
}

#[test]
fn it_has_no_rate_limit_and_answers_503_without_redis() {
    let redis = RedisServer::start();
    let gateway = Gateway::builder(&redis.addr())
        .env("APP__API__RATE_LIMIT__ENABLED", "true")
        .env("APP__API__RATE_LIMIT__REQUESTS_PER_MINUTE", "1")
        .start();
    for _ in 0..5 {
        let reply = gateway.get(PATH);
        assert_eq!((reply.status, reply.header("ratelimit")), (200, None));
    }
    assert_eq!(gateway.post(PATH, &json!({})).status, 405);
    redis.kill();
    eventually("an autoscaler sees that there is no answer", DEADLINE, || {
        (gateway.get(PATH).status == 503).then_some(())
    });
}
