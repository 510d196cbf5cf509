//! Dead jobs grouped by cause over HTTP.

mod support;

use atode_testkit::{Gateway, RedisServer, Worker};
use serde_json::{Value, json};
use support::{
    KIND, Stored, address, finished, gateway_with_mail, job, keys, pointers, problem, start, text,
};

/// A job whose only attempt failed permanently, because its payload does not match its kind.
fn dead(gateway: &Gateway, stored: &Stored, queue: &str, payload: &str) -> Value {
    let id = json!(stored.enqueue(queue, KIND, payload).to_string());
    gateway.request("POST", &format!("{}/run-now", address(&id))).send();
    assert_eq!(finished(gateway, &id)["state"], "dead");
    id
}

fn failures(gateway: &Gateway, query: &str) -> Value {
    let reply = gateway.get(&format!("/v1/failures{query}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn redrive(gateway: &Gateway, fingerprint: &Value) -> Value {
    let reply = gateway.request("POST", &format!("/v1/failures/{}/redrive", text(fingerprint))).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn start_with_worker() -> (RedisServer, Gateway, Worker, Stored) {
    let (redis, gateway) = start();
    let (worker, stored) = (Worker::start(&redis), Stored::on(&redis));
    (redis, gateway, worker, stored)
}

#[test]
fn dead_jobs_are_listed_by_cause_and_redriven_by_it() {
    let (_redis, gateway, worker, stored) = start_with_worker();
    assert_eq!(failures(&gateway, ""), json!({ "items": [], "total": 0 }));
    let first = dead(&gateway, &stored, "default", "[1]");
    let second = dead(&gateway, &stored, "default", "[1]");
    let other = dead(&gateway, &stored, "default", r#"{"message":17}"#);

    let list = failures(&gateway, &format!("?queue=default&kind={KIND}"));
    assert_eq!(list["total"], 2, "{list}");
    let [newest, group] = &list["items"].as_array().expect("a list")[..] else { panic!("{list}") };
    assert_eq!((&newest["count"], &newest["example"]["id"]), (&json!(1), &other));
    assert_eq!((&group["count"], &group["example"]["id"]), (&json!(2), &second));
    assert_eq!(group["example"]["error"], job(&gateway, &second)["last_error"]);
    assert_eq!(group["first_seen"], job(&gateway, &first)["finished_at"]);
    assert_eq!(group["last_seen"], job(&gateway, &second)["finished_at"]);
    assert_eq!(group["builds"], json!([job(&gateway, &first)["worker"]["build"]]));
    assert_eq!((&group["queues"], &group["kind"]), (&json!(["default"]), &json!(KIND)));
    let mut fields = keys(group);
    fields.sort_unstable();
    let expected =
        ["builds", "count", "error", "example", "fingerprint", "first_seen", "kind", "last_seen", "queues"];
    assert_eq!(fields, expected);
    assert_eq!(failures(&gateway, "?limit=1")["items"].as_array().map(Vec::len), Some(1));

    // The redriven jobs wait, because there is no worker.
    drop(worker);
    assert_eq!(redrive(&gateway, &group["fingerprint"]), json!({ "moved": 2, "remaining": 0 }));
    assert_eq!(redrive(&gateway, &group["fingerprint"]), json!({ "moved": 0, "remaining": 0 }));
    assert_eq!(job(&gateway, &first)["state"], "ready");
    assert_eq!(job(&gateway, &other)["state"], "dead");
    assert_eq!(failures(&gateway, "")["items"], json!([newest]));
}

#[test]
fn a_filter_by_queue_shows_and_redrives_the_jobs_of_that_queue() {
    let redis = RedisServer::start();
    let gateway = gateway_with_mail(&redis);
    let stored = Stored::on(&redis);
    let worker = Worker::builder(&redis.addr())
        .env("APP__QUEUES__DEFAULT__PARTITIONS", "1")
        .env("APP__QUEUES__MAIL__PARTITIONS", "1")
        .args(["--queue", "default=1", "--queue", "mail=1"])
        .start();
    dead(&gateway, &stored, "default", "[1]");
    let in_mail = dead(&gateway, &stored, "mail", "[1]");
    drop(worker);
    let all = failures(&gateway, "")["items"][0].clone();
    assert_eq!((&all["count"], &all["queues"]), (&json!(2), &json!(["default", "mail"])));
    let mail = failures(&gateway, "?queue=mail")["items"][0].clone();
    assert_eq!((&mail["count"], &mail["example"]["id"]), (&json!(1), &in_mail));
    let path = format!("/v1/failures/{}/redrive?queue=mail", text(&all["fingerprint"]));
    assert_eq!(gateway.request("POST", &path).send().json(), json!({ "moved": 1, "remaining": 0 }));
    assert_eq!(failures(&gateway, "")["items"][0]["queues"], json!(["default"]));
}

#[test]
fn a_request_that_makes_no_sense_is_refused_with_what_to_do() {
    let (_redis, gateway) = start();
    problem(&gateway.get("/v1/failures?state=dead"), 400, "malformed-request");
    for (query, pointer) in [
        ("limit=0", "/limit"),
        ("limit=1001", "/limit"),
        ("limit=x", "/limit"),
        ("queue=none", "/queue"),
        ("kind=no:such", "/kind"),
    ] {
        let wrong = problem(&gateway.get(&format!("/v1/failures?{query}")), 422, "invalid-request");
        assert_eq!(pointers(&wrong), [pointer], "{wrong}");
    }
    let wrong =
        problem(&gateway.request("POST", "/v1/failures/123/redrive").send(), 400, "malformed-request");
    assert!(text(&wrong["detail"]).contains("GET /v1/failures"), "{wrong}");
}
