//! Operations on jobs, queues and workers over HTTP.

mod support;

use atode_testkit::{Gateway, Response, Worker, eventually};
use serde_json::{Value, json};
use support::{
    DEADLINE, KIND, Stored, UNKNOWN, address, enqueued, finished, instant, job, later, pointers, problem,
    start, text,
};

fn ask(gateway: &Gateway, id: &Value, operation: &str) -> Response {
    gateway.request("POST", &format!("{}/{operation}", address(id))).send()
}

fn reschedule(gateway: &Gateway, id: &Value, due: &Value) -> Response {
    gateway.post(&format!("{}/reschedule", address(id)), due)
}

fn delete(gateway: &Gateway, id: &Value) -> Response {
    gateway.request("DELETE", &address(id)).send()
}

fn queue(gateway: &Gateway) -> Value {
    gateway.get("/v1/queues/default").json()
}

/// A job whose only attempt failed permanently, because its payload does not match its kind.
fn dead(gateway: &Gateway, stored: &Stored) -> Value {
    let id = json!(stored.enqueue("default", KIND, "[]").to_string());
    assert_eq!(ask(gateway, &id, "run-now").status, 200);
    assert_eq!(finished(gateway, &id)["state"], "dead");
    id
}

#[test]
fn a_waiting_job_is_cancelled_for_good() {
    let (_redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    for _ in 0..2 {
        let reply = ask(&gateway, &id, "cancel");
        assert_eq!((reply.status, &reply.json()["state"]), (200, &json!("cancelled")), "{}", reply.text());
        assert!(reply.json()["finished_at"].is_string());
        assert_eq!(reply.json(), job(&gateway, &id));
    }
    for what in ["run-now", "redrive"] {
        let wrong = problem(&ask(&gateway, &id, what), 409, "wrong-state");
        assert!(text(&wrong["detail"]).contains("is cancelled"), "{wrong}");
    }
    assert_eq!(queue(&gateway)["counts"]["cancelled"], 1);
}

#[test]
fn a_wait_ends_when_the_job_is_cancelled() {
    let (redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| gateway.get(&format!("{}?wait=30s", address(&id))).json());
        support::until_watched(&redis);
        ask(&gateway, &id, "cancel");
        assert_eq!(waiting.join().expect("answered")["state"], "cancelled");
    });
}

#[test]
fn an_active_job_can_be_cancelled_but_not_rescheduled_or_deleted() {
    let (redis, gateway) = start();
    let id = enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}))["id"].clone();
    let _claimed = Stored::on(&redis).claim("a host");
    for refused in [ask(&gateway, &id, "run-now"), ask(&gateway, &id, "redrive"), delete(&gateway, &id)] {
        let wrong = problem(&refused, 409, "wrong-state");
        assert!(text(&wrong["detail"]).contains("is active"), "{wrong}");
    }
    problem(&reschedule(&gateway, &id, &json!({"delay": "1h"})), 409, "wrong-state");
    assert!(job(&gateway, &id).get("cancel_requested").is_none());
    let reply = ask(&gateway, &id, "cancel");
    assert_eq!((reply.status, &reply.json()["state"]), (202, &json!("active")));
    assert_eq!(reply.json()["cancel_requested"], true);
}

#[test]
fn a_waiting_job_can_be_rescheduled_and_run_now() {
    let (redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    let reply = reschedule(&gateway, &id, &json!({"run_at": "2027-05-06T07:08:09Z"}));
    assert_eq!((reply.status, &reply.json()["due_at"]), (200, &json!("2027-05-06T07:08:09.000Z")));
    let reply = reschedule(&gateway, &id, &json!({"delay": "2h"}));
    let (due, made) = (instant(&reply.json()["due_at"]), instant(&reply.json()["enqueued_at"]));
    assert!((7_200_000..7_260_000).contains(&(due - made)), "{}", reply.text());

    let reply = ask(&gateway, &id, "run-now");
    assert_eq!((reply.status, &reply.json()["state"]), (200, &json!("ready")));
    let _worker = Worker::start(&redis);
    assert_eq!(finished(&gateway, &id)["state"], "completed");
}

#[test]
fn run_now_wakes_a_sleeping_worker() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    let first = enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}))["id"].clone();
    finished(&gateway, &first);
    let id = enqueued(&gateway, &later())["id"].clone();
    ask(&gateway, &id, "run-now");
    assert_eq!(finished(&gateway, &id)["state"], "completed");
}

#[test]
fn an_invalid_operation_is_refused_and_changes_nothing() {
    let (_redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    let before = job(&gateway, &id);
    let both = json!({"delay": "1s", "run_at": "2027-05-06T07:08:09Z"});
    for (body, slug, pointer) in [
        (both, "invalid-request", "/run_at"),
        (json!({"delay": "-1s"}), "invalid-request", "/delay"),
        (json!({"delay": "3 parsecs"}), "invalid-request", "/delay"),
        (json!({"run_at": "0001-01-01T00:00:00Z"}), "invalid-request", "/run_at"),
        (json!({"run_at": "tomorrow"}), "invalid-request", "/run_at"),
    ] {
        let wrong = problem(&reschedule(&gateway, &id, &body), 422, slug);
        assert_eq!(pointers(&wrong), [pointer], "{body}");
    }
    for body in [json!({"dealy": "1s"}), json!({}), json!([])] {
        let status = reschedule(&gateway, &id, &body).status;
        assert!(status == 400 || status == 422, "{body}: {status}");
    }
    assert_eq!(job(&gateway, &id), before);
    for what in ["cancel", "run-now", "redrive"] {
        problem(&ask(&gateway, &json!(UNKNOWN), what), 404, "not-found");
        problem(&ask(&gateway, &json!("nonsense"), what), 400, "malformed-request");
    }
    problem(&delete(&gateway, &json!(UNKNOWN)), 404, "not-found");
    problem(&gateway.get(&format!("{}/cancel", address(&id))), 405, "method-not-allowed");
}

#[test]
fn a_deleted_job_is_gone() {
    let (_redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    let reply = delete(&gateway, &id);
    assert_eq!((reply.status, &*reply.text()), (204, ""));
    problem(&gateway.get(&address(&id)), 404, "not-found");
    problem(&delete(&gateway, &id), 404, "not-found");
    assert_eq!(support::stored(&gateway, "default"), 0);
}

#[test]
fn a_dead_job_is_redriven_with_all_its_attempts_and_keeps_its_history() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    let id = dead(&gateway, &Stored::on(&redis));
    let before = job(&gateway, &id);
    assert_eq!(before["attempts"].as_array().map(Vec::len), Some(1));
    gateway.request("POST", "/v1/queues/default/pause").send();
    let reply = ask(&gateway, &id, "redrive");
    assert_eq!((reply.status, &reply.json()["state"]), (200, &json!("ready")), "{}", reply.text());
    let marked = reply.json()["attempts"][0].clone();
    assert_eq!((&marked["redriven"], &before["attempts"][0]["redriven"]), (&json!(true), &Value::Null));
    assert_eq!((&marked["attempt"], &marked["error"]), (&json!(1), &before["attempts"][0]["error"]));
    gateway.request("POST", "/v1/queues/default/resume").send();
    let after = finished(&gateway, &id);
    assert_eq!((&after["state"], &after["attempt"]), (&json!("dead"), &json!(1)));
    assert_eq!(after["attempts"].as_array().map(Vec::len), Some(2));
    // Both are the first attempt. The mark tells them apart.
    assert_eq!((&after["attempts"][0], &after["attempts"][1]["redriven"]), (&marked, &Value::Null));
}

#[test]
fn a_paused_queue_hands_out_no_jobs_until_it_is_resumed() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    for _ in 0..2 {
        let reply = gateway.request("POST", "/v1/queues/default/pause").send();
        assert_eq!((reply.status, &reply.json()["paused"]), (200, &json!(true)));
    }
    let id = enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}))["id"].clone();
    let oldest =
        || queue(&gateway)["oldest_ready_age"].as_str().and_then(|age| age.strip_suffix('s')?.parse().ok());
    eventually("the job waits for a while", DEADLINE, || oldest().filter(|age: &f64| *age > 0.5));
    assert_eq!(job(&gateway, &id)["state"], "ready");
    let reply = gateway.request("POST", "/v1/queues/default/resume").send();
    assert_eq!((reply.status, &reply.json()["paused"]), (200, &json!(false)));
    assert_eq!(finished(&gateway, &id)["state"], "completed");
    for what in ["pause", "resume", "redrive", "purge?state=dead"] {
        problem(&gateway.request("POST", &format!("/v1/queues/nowhere/{what}")).send(), 404, "not-found");
    }
}

#[test]
fn a_queue_is_redriven_and_purged_in_steps_by_kind_and_state() {
    let (redis, gateway) = start();
    let worker = Worker::start(&redis);
    let stored = Stored::on(&redis);
    for _ in 0..3 {
        dead(&gateway, &stored);
    }
    worker.terminate();
    worker.wait(DEADLINE);
    let post = |operation: &str| gateway.request("POST", &format!("/v1/queues/default/{operation}")).send();
    assert_eq!(post("redrive?kind=demo:flaky").json(), json!({"moved": 0, "remaining": 0}));
    assert_eq!(post(&format!("redrive?kind={KIND}")).json(), json!({"moved": 3, "remaining": 0}));
    assert_eq!(queue(&gateway)["counts"]["ready"], 3);

    let batch = json!({"jobs": vec![later(); 600]});
    for _ in 0..2 {
        assert_eq!(gateway.post("/v1/jobs/batch", &batch).json()["created"], 600);
    }
    assert_eq!(post("purge?state=scheduled").json(), json!({"moved": 1000, "remaining": 200}));
    assert_eq!(post("purge?state=scheduled&kind=demo:flaky").json(), json!({"moved": 0, "remaining": 0}));
    assert_eq!(post("purge?state=scheduled").json(), json!({"moved": 200, "remaining": 0}));
    assert_eq!(queue(&gateway)["counts"]["ready"], 3);
    assert_eq!(post("purge?state=ready").json(), json!({"moved": 3, "remaining": 0}));
    assert_eq!(support::stored(&gateway, "default"), 0);

    problem(&post("purge?state=active"), 400, "malformed-request");
    for wrong in ["purge?state=gone", "purge?state=", "purge?state=DEAD", "purge"] {
        let problem = problem(&post(wrong), 400, "malformed-request");
        let detail = text(&problem["detail"]);
        assert!(
            detail.ends_with("`?state=` takes one of scheduled, ready, completed, cancelled, dead"),
            "{detail}"
        );
    }
}

#[test]
fn a_worker_goes_quiet_and_stops_on_request() {
    let (redis, gateway) = start();
    let worker = Worker::start(&redis);
    let first = || gateway.get("/v1/workers").json()["items"][0].clone();
    let id = eventually("the worker is registered", DEADLINE, || first()["id"].as_str().map(str::to_owned));
    let post = |operation: &str| gateway.request("POST", &format!("/v1/workers/{id}/{operation}")).send();
    let reply = post("quiet");
    assert_eq!((reply.status, reply.json()), (202, json!({"id": id, "requested": "quiet"})));
    eventually("it is quiet", DEADLINE, || (first()["state"] == "quiet").then_some(()));
    assert_eq!(post("stop").status, 202);
    assert!(worker.wait(DEADLINE).success());
    problem(&post("stop"), 404, "not-found");
    problem(&gateway.request("POST", "/v1/workers/nonsense/quiet").send(), 400, "malformed-request");
}

#[test]
fn while_redis_is_away_nothing_changes_and_the_answer_says_so() {
    let (redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    redis.kill();
    for reply in [ask(&gateway, &id, "cancel"), delete(&gateway, &id)] {
        assert_eq!(reply.status, 503, "{}", reply.text());
    }
    assert_eq!(gateway.request("POST", "/v1/queues/default/pause").send().status, 503);
}
