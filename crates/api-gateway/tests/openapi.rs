//! The OpenAPI document tells the truth: it has every route, and real replies match it.

mod support;

use std::collections::BTreeSet;
use std::thread;

use atode_testkit::{Gateway, RedisServer, Worker, eventually};
use serde_json::{Value, json};
use support::described::{Call, Described, filled};
use support::limited::limited;
use support::{DEADLINE, KIND, UNKNOWN, connected, enqueued, finished, start, text};

const FLAKY: &str = "demo:flaky";

/// The paths in the source of the routes.
fn routed_paths() -> BTreeSet<String> {
    let source = include_str!("../src/routes.rs");
    let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    let literals = code.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned);
    literals.filter(|literal| literal.starts_with('/') && !["/v1", "/api"].contains(&&**literal)).collect()
}

/// The methods that a path answers to. A HEAD comes with each GET.
fn methods(gateway: &Gateway, path: &str) -> Vec<String> {
    let reply = gateway.request("BREW", &filled(path, UNKNOWN)).send();
    let allowed = reply.header("allow").unwrap_or_default().to_ascii_lowercase();
    allowed.split(", ").filter(|method| *method != "head").map(str::to_owned).collect()
}

#[test]
fn every_route_is_described_and_every_described_operation_is_routed() {
    let (_redis, gateway) = start();
    let described = Described::new(&gateway).operations();
    let routed: BTreeSet<String> = routed_paths()
        .iter()
        .flat_map(|path| methods(&gateway, path).into_iter().map(move |method| format!("{method} {path}")))
        .collect();
    let undescribed: Vec<&String> = routed.difference(&described).collect();
    let hint =
        "describe them in src/openapi/generate/, then run WRITE_OPENAPI=1 cargo test -p api-gateway openapi";
    assert!(undescribed.is_empty(), "{undescribed:#?} are in routes.rs and not in the document: {hint}");
    let unrouted: Vec<&String> = described.difference(&routed).collect();
    assert!(unrouted.is_empty(), "{unrouted:#?} are in the document and not in routes.rs");
    assert!(routed.len() > 40, "{routed:#?}");
}

#[test]
fn real_replies_match_the_document() {
    let redis = RedisServer::start();
    let gateway =
        connected(limited(&redis, 50_000).env("APP__API__RATE_LIMIT__REQUESTS_PER_HOUR", "100000").start());
    let mut described = Described::new(&gateway);
    probes_and_pages(&mut described);
    jobs(&mut described, &gateway, &redis);
    changes_of_jobs(&mut described, &gateway, &redis);
    queues_and_failures(&mut described, &gateway, &redis);
    kinds(&mut described, &gateway, &redis);
    bulks(&mut described, &gateway, &redis);
    errors(&mut described);
    events(&mut described, &gateway);
    described.check_that_all_was_seen();
}

fn call(at: &str) -> Call<'_> {
    Call { at, ..Call::default() }
}

fn with(at: &str, body: Value) -> Call<'_> {
    Call { at, body: Some(body), ..Call::default() }
}

fn asking<'c>(at: &'c str, query: &'c str) -> Call<'c> {
    Call { at, query, ..Call::default() }
}

fn probes_and_pages(described: &mut Described<'_>) {
    for path in ["/healthz", "/health", "/readyz", "/metrics", "/openapi.json", "/docs", "/", "/register"] {
        described.expect(200, &format!("get {path}"), Call::default());
    }
    described.expect(302, "get /dm-jobqueue", Call::default());
    described.expect(200, "get /problems/{slug}", call("not-found"));
    let form = format!("kind={KIND}&payload=%7B%7D&delay=1h&max_retries=");
    let form = described.gateway().request("POST", "/register").body(form);
    let reply = form.header("content-type", "application/x-www-form-urlencoded").send();
    assert_eq!(reply.status, 303);
    described.check("post /register", &reply);
    let page = reply.header("location").expect("its page").to_owned();
    described.expect(200, "get /jobs/{id}", call(page.trim_start_matches("/jobs/")));
}

fn jobs(described: &mut Described<'_>, gateway: &Gateway, redis: &RedisServer) {
    let enqueue = "post /v1/jobs";
    let example = described.example(enqueue);
    let key = [("idempotency-key", "order-42")];
    let once = || Call { headers: &key, body: Some(example.clone()), ..Call::default() };
    let job = described.expect(201, enqueue, once());
    described.expect(200, enqueue, once());
    let later = || json!({"kind": KIND, "delay": "1h"});
    let waiting = [("prefer", "wait=0")];
    described.expect(202, enqueue, Call { headers: &waiting, body: Some(later()), ..Call::default() });
    described.expect(422, enqueue, with("", json!({"kind": "no:such", "delay": 5})));
    let batch = described.example("post /v1/jobs/batch");
    let results = described.expect(200, "post /v1/jobs/batch", with("", batch));
    assert_eq!((&results["created"], &results["rejected"]), (&json!(1), &json!(1)));
    let old = described.example("post /api/dm-jobqueue/register");
    described.expect(201, "post /api/dm-jobqueue/register", with("", old));

    let id = text(&job["id"]);
    described.expect(200, "get /v1/jobs/{id}/explain", call(id));
    let worker = Worker::start(redis);
    described.expect(200, "get /v1/jobs/{id}", asking(id, "?wait=30s"));
    described.expect(200, "get /v1/jobs/{id}/explain", call(id));
    let flaky = json!({"kind": FLAKY, "payload": {"failures": 9}, "max_retries": 1});
    let dead = finished(gateway, &enqueued(gateway, &flaky)["id"]);
    described.expect(200, "get /v1/jobs/{id}", call(text(&dead["id"])));
    described.expect(200, "get /v1/jobs/{id}/explain", call(text(&dead["id"])));
    described.expect(200, "post /v1/jobs/{id}/redrive", call(text(&dead["id"])));
    finished(gateway, &dead["id"]);
    described.expect(404, "get /v1/jobs/{id}", call(UNKNOWN));
    eventually("the worker is registered", DEADLINE, || {
        let workers = described.expect(200, "get /v1/workers", Call::default());
        workers["items"][0].is_object().then_some(())
    });
    for query in
        ["", "?state=dead&search=failures&facets=true", "?order=desc&limit=2&queue=default&kind=demo:flaky"]
    {
        described.expect(200, "get /v1/jobs", asking("", query));
    }
    described.expect(422, "get /v1/jobs", asking("", "?limit=0"));
    described.expect(400, "get /v1/jobs", asking("", "?no=such"));
    eventually("the history has the job", DEADLINE, || {
        let stats = gateway.get("/v1/stats").json();
        stats["series"].as_array().is_some_and(|series| series.len() > 1).then_some(())
    });
    described.expect(200, "get /v1/stats", Call::default());
    worker.terminate();
    assert!(worker.wait(DEADLINE).success());
}

fn changes_of_jobs(described: &mut Described<'_>, gateway: &Gateway, redis: &RedisServer) {
    let waiting = || enqueued(gateway, &json!({"kind": KIND, "delay": "1h"}))["id"].clone();
    let (id, other) = (waiting(), waiting());
    let (id, other) = (text(&id), text(&other));
    let edit = described.example("patch /v1/jobs/{id}");
    described.expect(200, "patch /v1/jobs/{id}", with(id, edit.clone()));
    let version = [("if-match", "\"0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33\"")];
    described.expect(412, "patch /v1/jobs/{id}", Call { headers: &version, ..with(id, edit) });
    let due = described.example("post /v1/jobs/{id}/reschedule");
    described.expect(200, "post /v1/jobs/{id}/reschedule", with(id, due));
    described.expect(409, "post /v1/jobs/{id}/redrive", call(id));
    described.expect(200, "post /v1/jobs/{id}/cancel", call(id));
    described.expect(204, "delete /v1/jobs/{id}", call(id));
    described.expect(200, "post /v1/jobs/{id}/run-now", call(other));

    let slow = json!({"kind": "demo:slow", "payload": {"seconds": 60}, "delay": "0s"});
    let active = enqueued(gateway, &slow)["id"].clone();
    let worker = Worker::start(redis);
    eventually("the job runs", DEADLINE, || {
        (gateway.get(&support::address(&active)).json()["state"] == "active").then_some(())
    });
    described.expect(200, "get /v1/jobs/{id}", call(text(&active)));
    described.expect(200, "get /v1/jobs/{id}/explain", call(text(&active)));
    described.expect(202, "post /v1/jobs/{id}/cancel", call(text(&active)));
    let id = eventually("the worker is registered", DEADLINE, || {
        gateway.get("/v1/workers").json()["items"][0]["id"].as_str().map(str::to_owned)
    });
    let id = id.as_str();
    described.expect(202, "post /v1/workers/{id}/quiet", call(id));
    described.expect(202, "post /v1/workers/{id}/stop", call(id));
    described.expect(404, "post /v1/workers/{id}/stop", call(UNKNOWN));
    assert!(worker.wait(DEADLINE).success());
}

fn queues_and_failures(described: &mut Described<'_>, gateway: &Gateway, redis: &RedisServer) {
    described.expect(200, "get /v1/queues", Call::default());
    for operation in [
        "get /v1/queues/{queue}",
        "post /v1/queues/{queue}/pause",
        "post /v1/queues/{queue}/resume",
        "get /v1/queues/{queue}/scale",
    ] {
        described.expect(200, operation, call("default"));
        described.expect(404, operation, call("nowhere"));
    }
    let failures = described.expect(200, "get /v1/failures", Call::default());
    let fingerprint = text(&failures["items"][0]["fingerprint"]).to_owned();
    described.expect(200, "post /v1/failures/{fingerprint}/redrive", call(&fingerprint));
    let worker = Worker::start(redis);
    eventually("the job is dead again", DEADLINE, || {
        (gateway.get("/v1/failures").json()["total"] == 1).then_some(())
    });
    worker.terminate();
    assert!(worker.wait(DEADLINE).success());
    described.expect(200, "post /v1/queues/{queue}/redrive", call("default"));
    described.expect(200, "post /v1/queues/{queue}/purge", asking("default", "?state=ready"));
    described.expect(400, "post /v1/queues/{queue}/purge", asking("default", "?state=active"));
    described.expect(422, "post /v1/queues/{queue}/purge", asking("default", "?state=dead&kind=no:such"));
    described.expect(422, "post /v1/queues/{queue}/redrive", asking("default", "?kind=no:such"));
}

/// A worker whose schema requires less than the one in the catalogue: its definition is held.
fn hold_the_definition_of_a_worker(redis: &RedisServer) -> Worker {
    let entry = redis.command(&["HGET", "atode:{kinds}", FLAKY]).text();
    let mut other: Value = serde_json::from_str(&entry).expect("JSON");
    other["schema"]["required"] = json!(["failures"]);
    redis.command(&["HSET", "atode:{kinds}", FLAKY, &other.to_string()]);
    let worker = Worker::start(redis);
    eventually("the definition is held", DEADLINE, || {
        (redis.command(&["HEXISTS", "atode:{kinds}:held", FLAKY]).int() == 1).then_some(())
    });
    worker
}

fn kinds(described: &mut Described<'_>, gateway: &Gateway, redis: &RedisServer) {
    let stop = |worker: Worker| {
        worker.terminate();
        assert!(worker.wait(DEADLINE).success());
    };
    let worker = hold_the_definition_of_a_worker(redis);
    eventually("the gateway has heard of it", DEADLINE, || {
        let kind = gateway.get(&format!("/v1/kinds/{FLAKY}")).json();
        (kind["held"].is_object() && kind["live_workers"] == 1).then_some(())
    });
    described.expect(200, "get /v1/kinds", Call::default());
    described.expect(200, "get /v1/kinds/{kind}", call(FLAKY));
    described.expect(200, "post /v1/kinds/{kind}/accept", call(FLAKY));
    described.expect(409, "post /v1/kinds/{kind}/accept", call(FLAKY));
    described.expect(409, "delete /v1/kinds/{kind}", call(FLAKY));
    stop(worker);
    stop(hold_the_definition_of_a_worker(redis));
    described.expect(200, "post /v1/kinds/{kind}/reject", call(FLAKY));
    described.expect(204, "delete /v1/kinds/{kind}", call(FLAKY));
    described.expect(404, "get /v1/kinds/{kind}", call("no:such"));
}

fn bulks(described: &mut Described<'_>, gateway: &Gateway, redis: &RedisServer) {
    let start = "post /v1/bulk";
    enqueued(gateway, &json!({"kind": KIND, "delay": "1h"}));
    let example = described.example(start);
    described.expect(200, start, with("", example));
    let body = json!({"action": "cancel", "filter": {"kind": KIND}});
    let key = [("idempotency-key", "night-17")];
    let once = || Call { headers: &key, body: Some(body.clone()), ..Call::default() };
    let id = described.expect(202, start, once())["id"].clone();
    described.expect(202, start, once());
    described.expect(422, start, with("", json!({"action": "redrive", "filter": {}})));
    eventually("it has ended", DEADLINE, || {
        let bulk = described.expect(200, "get /v1/bulk/{id}", call(text(&id)));
        (bulk["state"] == "finished").then_some(())
    });
    described.expect(409, "post /v1/bulk/{id}/abort", call(text(&id)));
    described.expect(200, "get /v1/bulk", Call::default());
    described.expect(404, "get /v1/bulk/{id}", call(UNKNOWN));
    // It looks as if another process ran it.
    let id =
        described.expect(202, start, with("", json!({"action": "redrive", "filter": {"all": true}})))["id"]
            .clone();
    eventually("it has ended", DEADLINE, || {
        (gateway.get(&format!("/v1/bulk/{}", text(&id))).json()["state"] == "finished").then_some(())
    });
    let set = |state: &str| {
        redis.command(&["HSET", &format!("atode:{{bulks}}:{}", text(&id)), "state", state]);
    };
    set("running");
    described.expect(202, "post /v1/bulk/{id}/abort", call(text(&id)));
    set("aborted");
    described.expect(200, "post /v1/bulk/{id}/abort", call(text(&id)));
}

fn errors(described: &mut Described<'_>) {
    let text = Call { headers: &[("content-type", "text/plain")], ..Call::default() };
    described.expect(415, "post /v1/jobs", text);
    let encoded = [("content-type", "application/json"), ("content-encoding", "gzip")];
    described.expect(415, "post /v1/jobs", Call { headers: &encoded, ..Call::default() });
    described.expect(413, "post /v1/jobs", with("", json!({"kind": "x".repeat(300_000)})));
    let foreign = [("origin", "https://other.example")];
    described.expect(403, "post /v1/jobs/{id}/cancel", Call { headers: &foreign, ..call(UNKNOWN) });
    described.expect(421, "get /v1/jobs", Call { headers: &[("host", "other.example")], ..Call::default() });
}

#[test]
fn refusals_while_redis_is_away_and_beyond_a_limit_match_the_document() {
    let redis = RedisServer::start();
    let gateway = connected(limited(&redis, 3).start());
    let mut described = Described::new(&gateway);
    redis.kill();
    described.expect(503, "get /readyz", Call::default());
    let example = described.example("post /v1/jobs");
    described.expect(503, "post /v1/jobs", with("", example));
    described.expect(503, "get /v1/jobs/{id}/explain", call(UNKNOWN));
    eventually("the limit refuses", DEADLINE, || {
        (described.call("get /v1/kinds", Call::default()).status == 429).then_some(())
    });
}

/// A stream ends when its gateway stops, so this comes last.
fn events(described: &mut Described<'_>, gateway: &Gateway) {
    let reply = thread::scope(|scope| {
        let stream = scope.spawn(|| gateway.get("/v1/events"));
        eventually("somebody listens", DEADLINE, || {
            (gateway.metric("atode_http_requests_total{method=\"GET\",route=\"/v1/events\",status=\"200\"}")
                == 1)
                .then_some(())
        });
        gateway.terminate();
        stream.join().expect("a reply")
    });
    described.check("get /v1/events", &reply);
}

#[test]
fn the_document_has_the_schemas_of_the_kinds_as_they_are() {
    let (redis, gateway) = start();
    let payload = |gateway: &Gateway, kind: &str| {
        let document = gateway.get("/openapi.json").json();
        let reference = &document["components"]["schemas"]["JobRequest"]["x-payloads"][kind]["$ref"];
        let place = reference.as_str()?.trim_start_matches('#').to_owned();
        document.pointer(&place).cloned()
    };
    for kind in [KIND, FLAKY] {
        let shown = gateway.get(&format!("/v1/kinds/{kind}")).json()["payload"].clone();
        assert_eq!(payload(&gateway, kind), Some(shown), "{kind}");
    }
    assert_eq!(payload(&gateway, "mail:send"), None);
    let _worker = Worker::start(&redis);
    eventually("the worker has published its kinds", DEADLINE, || {
        (redis.command(&["HEXISTS", "atode:{kinds}", FLAKY]).int() == 1).then_some(())
    });
    let mut entry: Value =
        serde_json::from_str(&redis.command(&["HGET", "atode:{kinds}", FLAKY]).text()).expect("JSON");
    entry["kind"] = json!("mail:send");
    entry["schema"]["properties"]["to"] = json!({"type": "string"});
    redis.command(&["HSET", "atode:{kinds}", "mail:send", &entry.to_string()]);
    redis.command(&["ZADD", "atode:{kinds}:changes", "1000000000000000", "mail:send"]);
    let found = eventually("the gateway has heard of it", DEADLINE, || payload(&gateway, "mail:send"));
    assert_eq!(found, entry["schema"]);
}
