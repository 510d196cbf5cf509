//! A gateway without any kind, and workers that publish theirs.

use std::time::{Duration, Instant};

use atode_testkit::{Binary, Gateway, RedisServer, Response, Service, Worker, eventually};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(30);
const KIND: &str = "demo:delay_print";

enum BareGatewayBinary {}
impl Binary for BareGatewayBinary {
    const NAME: &'static str = "bare-gateway";
}

enum SoakWorkerBinary {}
impl Binary for SoakWorkerBinary {
    const NAME: &'static str = "soak-worker";
}

type BareGateway = Service<BareGatewayBinary>;
type SoakWorker = Service<SoakWorkerBinary>;

fn enqueue<B: Binary>(gateway: &Service<B>, payload: &Value) -> Response {
    gateway.post("/v1/jobs", &json!({"kind": KIND, "payload": payload, "delay": "0s"}))
}

fn until_known(gateway: &BareGateway, kind: &str) -> Value {
    eventually("the gateway knows the kind", DEADLINE, || {
        let reply = gateway.get(&format!("/v1/kinds/{kind}"));
        (reply.status == 200).then(|| reply.json())
    })
}

fn pointers(reply: &Response) -> Vec<String> {
    let errors = reply.json()["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| error["pointer"].as_str().expect("a pointer").to_owned()).collect()
}

#[test]
fn the_readmes_main_job_runs_from_a_gateway_without_kinds() {
    let redis = RedisServer::start();
    let gateway = BareGateway::start(&redis);
    let unknown = enqueue(&gateway, &json!({}));
    assert_eq!((unknown.status, pointers(&unknown)), (422, vec!["/kind".to_owned()]), "{}", unknown.text());
    assert_eq!(gateway.get("/v1/kinds").json(), json!({"items": []}));

    let worker = Worker::start(&redis);
    until_known(&gateway, KIND);
    let readme = json!({"kind": KIND, "payload": {"message": "Hello"}, "delay": "200ms"});
    let single = gateway.post("/v1/jobs", &readme);
    assert_eq!(single.status, 201, "{}", single.text());
    assert_eq!(single.json()["max_retries"], 10, "the constants of the kind apply");
    let batch = gateway.post(
        "/v1/jobs/batch",
        &json!({"jobs": [readme, {"kind": KIND, "payload": {"message": "batch"}, "delay": "0s"}]}),
    );
    assert_eq!(batch.json()["created"], 2, "{}", batch.text());
    let old = gateway.post("/api/dm-jobqueue/register", &json!({"message": "old call", "delay_seconds": 1}));
    assert_eq!(old.status, 201, "{}", old.text());
    let form = format!("kind={KIND}&payload=%7B%22message%22%3A%22console%22%7D&delay=0s&max_retries=");
    let console = gateway
        .request("POST", "/register")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send();
    assert!(console.status == 303 || console.status == 200, "{}", console.text());
    assert!(gateway.get("/register").text().contains(KIND), "the form offers the kind");
    let wanted = ["] Hello", "] batch", "] old call", "] console"];
    worker.wait_for_stdout(|out| wanted.iter().all(|line| out.contains(line)), DEADLINE);

    let kinds = gateway.get("/v1/kinds").json()["items"].clone();
    let kind = kinds.as_array().expect("a list").iter().find(|kind| kind["kind"] == KIND).expect("listed");
    assert_eq!(kind["live_workers"], 1);
    let workers = gateway.get("/v1/workers").json()["items"].clone();
    assert_eq!(kind["served_by"], json!([{"build": workers[0]["build"], "workers": 1}]));
    assert_eq!(kind["published"]["build"], workers[0]["build"]);
    let one = gateway.get("/v1/kinds?limit=1").json();
    let rest =
        gateway.get(&format!("/v1/kinds?cursor={}", one["next_cursor"].as_str().expect("more"))).json();
    let listed = [one["items"].as_array(), rest["items"].as_array()].map(|items| items.map_or(0, Vec::len));
    assert_eq!((listed[0], listed[0] + listed[1]), (1, kinds.as_array().map_or(0, Vec::len)));
    assert_eq!(gateway.get("/v1/kinds?page=2").status, 400);
}

#[test]
fn a_wrong_payload_gets_the_pointers_of_the_typed_check() {
    let redis = RedisServer::start();
    let (bare, typed) = (BareGateway::start(&redis), Gateway::start(&redis));
    let _worker = Worker::start(&redis);
    until_known(&bare, KIND);
    for payload in [
        json!({"message": 1}),
        json!({"message": null}),
        json!({"message": "x", "unknown": 1}),
        json!({"messages/~": 1}),
        json!({"message": {"a": 1}}),
        json!([]),
        json!("text"),
        json!(null),
    ] {
        let (bare, typed) = (enqueue(&bare, &payload), enqueue(&typed, &payload));
        assert_eq!(
            (bare.status, pointers(&bare)),
            (typed.status, pointers(&typed)),
            "{payload}: {}",
            bare.text()
        );
    }
    let batch = bare.post("/v1/jobs/batch", &json!({"jobs": [{"kind": KIND, "payload": {"message": 1}}]}));
    let problem = &batch.json()["results"][0]["problem"];
    assert_eq!(problem["errors"][0]["pointer"], "/jobs/0/payload/message", "{}", batch.text());
}

#[test]
fn a_new_kind_is_accepted_at_once_and_stays_without_a_worker() {
    let redis = RedisServer::start();
    let gateway = BareGateway::start(&redis);
    let worker = SoakWorker::start(&redis);
    worker.wait_for_stderr(|log| log.contains("connected to Redis"), DEADLINE);
    let published = eventually("the kind is published", DEADLINE, || {
        let known = redis.command(&["HEXISTS", "atode:{kinds}", "soak:task"]).int() == 1;
        known.then(Instant::now)
    });
    until_known(&gateway, "soak:task");
    assert!(published.elapsed() < Duration::from_secs(3), "a poll takes 5 s: {:?}", published.elapsed());
    worker.terminate();
    worker.wait(DEADLINE);
    let later = BareGateway::start(&redis);
    let task = json!({"kind": "soak:task", "payload": {"dir": "/nowhere", "key": "k", "ms": 0, "end": "well"}, "delay": "1h"});
    for gateway in [&gateway, &later] {
        let stored = gateway.post("/v1/jobs", &task);
        assert_eq!(stored.status, 201, "{}", stored.text());
        let kind = gateway.get("/v1/kinds/soak:task").json();
        assert_eq!((&kind["live_workers"], &kind["served_by"]), (&json!(0), &Value::Null), "{kind}");
    }
    // It has jobs. Then it has none.
    let used = gateway.request("DELETE", "/v1/kinds/soak:task").send();
    assert_eq!(used.status, 409, "{}", used.text());
    assert!(used.text().contains("has jobs of it (2,"), "{}", used.text());
    assert_eq!(gateway.request("POST", "/v1/queues/default/purge?state=scheduled").send().status, 200);
    assert_eq!(gateway.request("DELETE", "/v1/kinds/soak:task").send().status, 204);
    for gateway in [&gateway, &later] {
        eventually("the gateway has dropped the kind", Duration::from_secs(3), || {
            (gateway.post("/v1/jobs", &task).status == 422).then_some(())
        });
    }
    assert_eq!(gateway.request("DELETE", "/v1/kinds/soak:task").send().status, 404);
}

#[test]
fn an_emptied_redis_interrupts_no_kind_of_a_live_worker() {
    let redis = RedisServer::start();
    let gateway = BareGateway::start(&redis);
    let _worker = Worker::start(&redis);
    until_known(&gateway, KIND);
    redis.command(&["FLUSHALL"]);
    eventually("the worker has published again", DEADLINE, || {
        let reply = gateway.post("/v1/jobs", &json!({"kind": KIND, "delay": "1h"}));
        assert_eq!(reply.status, 201, "{}", reply.text());
        (redis.command(&["HEXISTS", "atode:{kinds}", KIND]).int() == 1).then_some(())
    });
}

#[test]
fn an_unread_catalogue_is_a_503_and_not_an_unknown_kind() {
    let redis = RedisServer::start();
    let addr = redis.addr();
    drop(redis);
    let gateway = BareGateway::builder(&addr).start();
    let reply = enqueue(&gateway, &json!({}));
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(
        reply.header("retry-after").is_some() && reply.text().contains("has not been read"),
        "{}",
        reply.text()
    );
}

#[test]
fn a_held_definition_is_shown_and_accepted_over_http() {
    let redis = RedisServer::start();
    let gateway = BareGateway::start(&redis);
    let worker = Worker::start(&redis);
    until_known(&gateway, KIND);
    let nothing = gateway.request("POST", &format!("/v1/kinds/{KIND}/accept")).send();
    assert_eq!(nothing.status, 409, "{}", nothing.text());
    assert_eq!(gateway.request("POST", "/v1/kinds/no:such/accept").send().status, 404);
    drop(worker);
    let mut other: Value =
        serde_json::from_str(&redis.command(&["HGET", "atode:{kinds}", KIND]).text()).expect("JSON");
    other["schema"]["required"] = json!(["message"]);
    other["build"] = "0.0.9".into();
    redis.command(&["HSET", "atode:{kinds}", KIND, &other.to_string()]);
    // A worker of this build holds its definition, because it lacks the required field.
    let _worker = Worker::start(&redis);
    let held = eventually("the definition is held", DEADLINE, || {
        let kind = gateway.get(&format!("/v1/kinds/{KIND}")).json();
        kind.get("held").is_some().then_some(kind)
    });
    assert_eq!(
        (&held["published"]["build"], &held["held"]["difference"]),
        (&json!("0.0.9"), &json!("/required differs"))
    );
    assert_eq!(enqueue(&gateway, &json!({})).status, 422, "the schema in force wants a message");
    let accepted = gateway.request("POST", &format!("/v1/kinds/{KIND}/accept")).send();
    assert_eq!(accepted.status, 200, "{}", accepted.text());
    let accepted = accepted.json();
    assert_eq!((&accepted["decision"], &accepted["before"]["build"]), (&json!("accepted"), &json!("0.0.9")));
    assert_eq!(
        (&accepted["after"]["build"], &accepted["difference"]),
        (&held["held"]["build"], &json!("/required differs"))
    );
    eventually("the gateway uses the new schema", DEADLINE, || {
        (enqueue(&gateway, &json!({})).status == 201).then_some(())
    });
}
