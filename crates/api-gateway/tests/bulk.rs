//! Bulk operations over HTTP.

mod support;

use atode_testkit::{Gateway, RedisServer, Response, eventually};
use serde_json::{Value, json};
use support::{
    DEADLINE, KIND, UNKNOWN, enqueued, gateway, instant, job, later, pointers, problem, start, text,
};

/// ARGV: number of jobs of the kind `bulk:dead`, which no worker knows, that died in the last minute.
const SEED: &str = r#"
local now = redis.call('TIME')[1] * 1000
redis.call('SADD', 'atode:queues', 'default')
redis.call('SADD', 'atode:{default}:kinds', 'bulk:dead')
for n = 1, tonumber(ARGV[1]) do
  local id = string.format('%014d', n)
  redis.call('HSET', 'atode:{default}:jobs', id, 'abcd {"n":' .. n .. '}')
  redis.call('ZADD', 'atode:{default}:bulk:dead:dead', now - n, id)
end
"#;

fn seed(redis: &RedisServer, jobs: u32) {
    redis.command(&["EVAL", SEED, "0", &jobs.to_string()]);
}

fn bulk(gateway: &Gateway, body: &Value) -> Response {
    gateway.post("/v1/bulk", body)
}

#[track_caller]
fn started(gateway: &Gateway, body: &Value) -> Value {
    let reply = bulk(gateway, body);
    assert_eq!(reply.status, 202, "{}", reply.text());
    reply.json()
}

fn show(gateway: &Gateway, id: &Value) -> Value {
    let reply = gateway.get(&format!("/v1/bulk/{}", text(id)));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn until_ended(gateway: &Gateway, id: &Value) -> Value {
    eventually("it has ended", DEADLINE, || {
        Some(show(gateway, id)).filter(|bulk| !bulk["ended_at"].is_null())
    })
}

#[test]
fn a_dry_run_counts_and_shows_examples_and_changes_nothing() {
    let (_redis, gateway) = start();
    let first = enqueued(&gateway, &later());
    for _ in 0..6 {
        enqueued(&gateway, &later());
    }
    let reply = bulk(&gateway, &json!({"action": "cancel", "filter": {"kind": KIND}, "dry_run": true}));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let preview = reply.json();
    assert_eq!((&preview["matched"], &preview["action"]), (&json!(7), &json!("cancel")));
    assert_eq!(preview["filter"], json!({"kind": KIND}));
    assert_eq!(preview["facets"]["state"]["scheduled"], 7);
    assert_eq!(preview["examples"].as_array().map(Vec::len), Some(5));
    assert_eq!((&preview["examples"][0]["id"], &preview["searched"]), (&first["id"], &Value::Null));
    assert_eq!(job(&gateway, &first["id"])["state"], "scheduled");
    assert_eq!(gateway.get("/v1/bulk").json(), json!({"items": []}));

    let none = json!({"action": "redrive", "filter": {"error": "no such text"}, "dry_run": true});
    let preview = bulk(&gateway, &none).json();
    assert_eq!((&preview["matched"], &preview["searched"]["complete"]), (&json!(0), &json!(true)));
}

#[test]
fn a_bulk_operation_is_a_resource_with_progress_and_a_report() {
    let (_redis, gateway) = start();
    let jobs: Vec<Value> = (0..3).map(|_| enqueued(&gateway, &later())["id"].clone()).collect();
    let filter = json!({"kind": KIND, "state": "scheduled"});
    let reply = bulk(&gateway, &json!({"action": "cancel", "filter": filter}));
    let bulk = reply.json();
    assert_eq!((reply.status, &bulk["total"]), (202, &json!(3)));
    assert_eq!(reply.header("location"), Some(&*format!("/v1/bulk/{}", text(&bulk["id"]))));
    let ended = until_ended(&gateway, &bulk["id"]);
    let expected = json!({
        "state": "finished", "action": "cancel", "filter": filter, "done": 3, "total": 3, "matched": 3, "changed": 3,
        "skipped": 0, "failed": 0, "examples": [], "error": null,
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&ended[name], value, "{name}: {ended}");
    }
    assert_eq!(
        (&ended["runner"]["program"], &ended["runner"]["pid"]),
        (&json!("api-gateway"), &json!(gateway.pid()))
    );
    assert!(instant(&ended["created_at"]) <= instant(&ended["ended_at"]));
    for id in &jobs {
        assert_eq!(job(&gateway, id)["state"], "cancelled");
    }
    let other =
        started(&gateway, &json!({"action": "delete", "filter": {"all": true, "state": "cancelled"}}));
    assert_eq!(until_ended(&gateway, &other["id"])["changed"], 3);
    let list = gateway.get("/v1/bulk").json();
    assert_eq!((&list["items"][0]["id"], &list["items"][1]), (&other["id"], &ended));
    assert_eq!(gateway.get("/v1/bulk?limit=1").json()["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_repeated_request_with_its_key_starts_nothing_twice() {
    let (_redis, gateway) = start();
    enqueued(&gateway, &later());
    let post = |body: &Value| {
        gateway.request("POST", "/v1/bulk").header("Idempotency-Key", "night-17").json(body).send()
    };
    let body = json!({"action": "run_now", "filter": {"kind": KIND}});
    let first = post(&body);
    assert_eq!((first.status, first.header("idempotent-replayed")), (202, None));
    let ended = until_ended(&gateway, &first.json()["id"]);
    let again = post(&body);
    assert_eq!((again.status, again.header("idempotent-replayed")), (202, Some("true")));
    assert_eq!(again.json(), ended);
    problem(&post(&json!({"action": "cancel", "filter": {"kind": KIND}})), 422, "idempotency-key-reused");
    assert_eq!(gateway.get("/v1/bulk").json()["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn another_gateway_goes_on_after_the_one_that_runs_it_is_killed() {
    const JOBS: u32 = 8_000;
    let redis = RedisServer::start();
    seed(&redis, JOBS);
    let gateways = [gateway(&redis), gateway(&redis)];
    let started = started(&gateways[0], &json!({"action": "redrive", "filter": {"kind": "bulk:dead"}}));
    assert_eq!(started["total"], JOBS);
    let running = eventually("some jobs are redriven", DEADLINE, || {
        Some(show(&gateways[0], &started["id"])).filter(|bulk| bulk["changed"].as_u64() >= Some(200))
    });
    assert_eq!(running["state"], "running", "{running}");
    let is_runner = |gateway: &&Gateway| running["runner"]["pid"] == gateway.pid();
    let (runner, other) = (gateways.iter().find(is_runner), gateways.iter().find(|it| !is_runner(it)));
    let (Some(runner), Some(other)) = (runner, other) else { panic!("{running}") };
    runner.kill();
    let ended = until_ended(other, &started["id"]);
    assert_eq!((&ended["state"], &ended["runner"]["pid"]), (&json!("finished"), &json!(other.pid())));
    for (name, jobs) in [("done", JOBS), ("matched", JOBS), ("changed", JOBS), ("skipped", 0), ("failed", 0)]
    {
        assert_eq!(ended[name], jobs, "{name}: {ended}");
    }
    let due = redis.command(&["ZCARD", "atode:{default}:bulk:dead:due"]).int();
    assert_eq!(due, i64::from(JOBS));
}

#[test]
fn an_abort_stops_it_and_says_how_far_it_came() {
    let (redis, gateway) = start();
    seed(&redis, 20_000);
    let bulk = started(&gateway, &json!({"action": "redrive", "filter": {"all": true}}));
    let path = format!("/v1/bulk/{}/abort", text(&bulk["id"]));
    let reply = gateway.request("POST", &path).send();
    assert!([200, 202].contains(&reply.status), "{}", reply.text());
    let ended = until_ended(&gateway, &bulk["id"]);
    assert_eq!(ended["state"], "aborted");
    let left = redis.command(&["ZCARD", "atode:{default}:bulk:dead:dead"]).int();
    assert_eq!(ended["changed"], 20_000 - left);
    assert_eq!(gateway.request("POST", &path).send().status, 200);

    let bulk = started(&gateway, &json!({"action": "cancel", "filter": {"kind": KIND}}));
    until_ended(&gateway, &bulk["id"]);
    let path = format!("/v1/bulk/{}/abort", text(&bulk["id"]));
    problem(&gateway.request("POST", &path).send(), 409, "wrong-state");
}

#[test]
fn a_request_that_makes_no_sense_is_refused_with_a_pointer() {
    let (_redis, gateway) = start();
    for (body, wrong) in [
        (json!({"action": "redrive", "filter": {}}), "/filter"),
        (json!({"action": "redrive", "filter": {"state": "dead"}}), "/filter"),
        (json!({"action": "redrive", "filter": {"kind": ""}}), "/filter/kind"),
        (json!({"action": "redrive", "filter": {"kind": KIND, "all": true}}), "/filter/all"),
        (json!({"action": "redrive", "filter": {"kind": KIND, "state": "ready"}}), "/filter/state"),
        (json!({"action": "delete", "filter": {"kind": KIND}}), "/filter/state"),
        (json!({"action": "delete", "filter": {"kind": KIND, "state": "active"}}), "/filter/state"),
        (json!({"action": "cancel", "filter": {"kind": "no:such"}}), "/filter/kind"),
        (json!({"action": "cancel", "filter": {"queue": "nowhere"}}), "/filter/queue"),
        (json!({"action": "cancel", "filter": {"after": "soon"}}), "/filter/after"),
        (json!({"action": "redrive", "filter": {"fingerprint": "x"}}), "/filter/fingerprint"),
        (json!({"action": "cancel", "filter": {"fingerprint": "0f3a99c2d41b7e60"}}), "/filter/fingerprint"),
        (json!({"action": "promote", "filter": {"all": true}}), "/action"),
        (json!({"action": "redrive", "filter": {"kid": "x"}}), "/filter/kid"),
        (json!({"action": "redrive"}), ""),
        (json!({"action": "redrive", "filter": ["default"]}), "/filter"),
        (json!({"action": "redrive", "filter": null}), "/filter"),
    ] {
        for dry_run in [true, false] {
            let mut body = body.clone();
            body["dry_run"] = json!(dry_run);
            let problem = problem(&bulk(&gateway, &body), 422, "invalid-request");
            assert_eq!(pointers(&problem), [wrong], "{body} {problem}");
        }
    }
    assert_eq!(gateway.get("/v1/bulk").json(), json!({"items": []}));
    for limit in ["0", "1001", "-1"] {
        problem(&gateway.get(&format!("/v1/bulk?limit={limit}")), 422, "invalid-request");
    }
    problem(&gateway.get("/v1/bulk?state=dead"), 400, "malformed-request");
    problem(&gateway.get("/v1/bulk/123"), 400, "malformed-request");
    problem(&gateway.get(&format!("/v1/bulk/{UNKNOWN}")), 404, "not-found");
    problem(&gateway.request("POST", &format!("/v1/bulk/{UNKNOWN}/abort")).send(), 404, "not-found");
}
