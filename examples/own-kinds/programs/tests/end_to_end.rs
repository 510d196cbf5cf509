//! The shop's gateway and worker on a real Redis.

use std::time::Duration;

use atode_testkit::{Gateway, RedisServer, Worker};
use serde_json::json;

#[test]
fn a_charge_over_http_runs_and_prints_its_receipt() {
    let redis = RedisServer::start();
    let (gateway, worker) = (Gateway::start(&redis), Worker::start(&redis));
    let charge = json!({"kind": "shop:charge", "payload": {"order": "42", "cents": 1_999}});
    let stored = gateway.post("/v1/jobs", &charge).json();
    let id = stored["id"].as_str().expect("the job was stored");
    let job = gateway.get(&format!("/v1/jobs/{id}?wait=20s")).json();
    assert_eq!((&job["state"], &job["worker"]["build"]), (&json!("completed"), &json!("1.4.0")));
    worker.wait_for_stdout(|out| out.contains("receipt for order 42"), Duration::from_secs(20));
}
