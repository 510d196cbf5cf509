//! The lists of kinds, queues and workers, and the gateway's own health.

mod support;

use atode_testkit::{Worker, eventually};
use serde_json::{Value, json};
use support::{
    DEADLINE, KIND, Stored, enqueued, finished, gateway_with_mail, keys, later, problem, start, text,
};

const RATES: [&str; 8] =
    ["buried", "cancelled", "completed", "deleted", "enqueued", "failed", "reaped", "redriven"];
const COUNTS: [&str; 6] = ["active", "cancelled", "completed", "dead", "ready", "scheduled"];

fn items(list: &Value) -> Vec<Value> {
    assert_eq!(keys(list), ["items"]);
    list["items"].as_array().expect("a list").clone()
}

#[test]
fn a_kind_shows_its_constants_and_the_schema_of_its_payload() {
    let (_redis, gateway) = start();
    let kinds = items(&gateway.get("/v1/kinds").json());
    let kind = kinds.iter().find(|kind| kind["kind"] == KIND).expect("the first kind");
    let expected = json!({
        "kind": KIND, "queue": "default", "delay": "3m", "max_retries": 10, "timeout": "5m", "retention": "1h",
        "execution": "async", "backoff": {"first": "5s", "factor": 2.0, "ceiling": "1h", "jitter": 0.2},
    });
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(kind[field], *value, "{field}");
    }
    let schema = &kind["payload"];
    assert_eq!((keys(kind).len(), &kind["live_workers"]), (10, &json!(0)));
    assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)));
    assert_eq!(schema["properties"]["message"]["type"], json!(["string", "null"]));
}

#[test]
fn a_queue_shows_its_counts_by_state_and_kind_and_its_longest_wait() {
    let (redis, _) = start();
    let gateway = gateway_with_mail(&redis);
    enqueued(&gateway, &later());
    enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}));
    enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}));
    let _claimed = Stored::on(&redis).claim("a host");
    enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}));

    let queues = items(&gateway.get("/v1/queues").json());
    for queue in &queues {
        assert_eq!(
            keys(queue),
            ["counts", "kinds", "live_workers", "name", "oldest_ready_age", "paused", "rates"]
        );
        assert_eq!(keys(&queue["counts"]), COUNTS);
        assert_eq!(keys(&queue["rates"]), RATES);
        assert_eq!(queue["paused"], false);
    }
    let named = |name: &str| queues.iter().find(|queue| queue["name"] == name).expect(name);
    let (default, mail) = (named("default"), named("mail"));
    let waiting = default["counts"]["ready"].as_u64().expect("a count")
        + default["counts"]["active"].as_u64().expect("a count");
    assert_eq!((&default["counts"]["scheduled"], waiting), (&json!(1), 3));
    assert_eq!(default["kinds"][0]["kind"], KIND);
    assert_eq!(default["kinds"][0]["scheduled"], 1);
    assert_eq!((&mail["kinds"], &mail["oldest_ready_age"]), (&json!([]), &Value::Null));
    assert_eq!(
        mail["counts"],
        json!({"active": 0, "cancelled": 0, "completed": 0, "dead": 0, "ready": 0, "scheduled": 0})
    );
    assert_eq!(gateway.get("/v1/queues/mail").json(), *mail);
    problem(&gateway.get("/v1/queues/nowhere"), 404, "not-found");
}

#[test]
fn a_ready_job_has_an_age() {
    let (_redis, gateway) = start();
    enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}));
    let age = eventually("the job has waited a little", DEADLINE, || {
        let age = gateway.get("/v1/queues/default").json()["oldest_ready_age"].clone();
        let age: jiff::SignedDuration = text(&age).parse().expect("a duration");
        (age.as_millis() >= 50).then_some(age)
    });
    assert!(age.as_secs() < 30);
}

#[test]
fn a_queue_removed_from_the_configuration_is_still_listed() {
    let (redis, gateway) = start();
    Stored::on(&redis).enqueue("dropped", KIND, "{}");
    let queues = items(&gateway.get("/v1/queues").json());
    let names: Vec<&str> = queues.iter().map(|queue| text(&queue["name"])).collect();
    assert!(names.contains(&"default") && names.last() == Some(&"dropped"), "{names:?}");
    assert_eq!(gateway.get("/v1/queues/dropped").json()["counts"]["scheduled"], 1);
}

#[test]
fn live_workers_are_listed_with_everything_that_identifies_them() {
    let (redis, gateway) = start();
    assert_eq!(items(&gateway.get("/v1/workers").json()), Vec::<Value>::new());
    let workers =
        [Worker::start(&redis), Worker::builder(&redis.addr()).args(["--concurrency", "3"]).start()];
    let listed = eventually("both workers are registered", DEADLINE, || {
        Some(items(&gateway.get("/v1/workers").json())).filter(|workers| workers.len() == 2)
    });
    for worker in &listed {
        assert_eq!(
            keys(worker),
            [
                "active",
                "build",
                "host",
                "http",
                "id",
                "kinds",
                "pid",
                "queues",
                "seen_at",
                "slots",
                "started_at",
                "state"
            ]
        );
        let process = workers.iter().find(|process| worker["pid"] == process.pid()).expect("one of these");
        assert!(text(&worker["http"]).ends_with(&format!(":{}", process.port())), "{worker}");
        // The list may have other kinds, so that adding a kind does not break this test.
        assert!(worker["kinds"].as_array().is_some_and(|kinds| kinds.contains(&json!(KIND))), "{worker}");
        assert_eq!(worker["queues"]["default"], 1);
        assert_eq!((&worker["state"], &worker["active"]), (&json!("running"), &json!(0)));
        assert!(text(&worker["build"]).starts_with("0."), "{worker}");
    }
    assert_eq!(listed.iter().filter(|worker| worker["slots"] == 3).count(), 1);

    workers[0].terminate();
    workers[0].wait(DEADLINE);
    let left = items(&gateway.get("/v1/workers").json());
    assert_eq!(left.iter().map(|worker| &worker["pid"]).collect::<Vec<_>>(), [&json!(workers[1].pid())]);
}

#[test]
fn jobs_that_no_live_worker_takes_show_in_the_lists_and_once_in_the_log() {
    let (redis, _) = start();
    let gateway = gateway_with_mail(&redis);
    let live_workers = |path: &str, name: &str, value: &str| {
        let items = items(&gateway.get(path).json());
        items.iter().find(|item| item[name] == value).expect(value)["live_workers"].clone()
    };
    let worker = Worker::start(&redis);
    eventually("the worker is registered", DEADLINE, || {
        (live_workers("/v1/queues", "name", "default") == 1).then_some(())
    });
    assert_eq!(live_workers("/v1/queues", "name", "mail"), 0);
    assert_eq!(live_workers("/v1/kinds", "kind", KIND), 1);
    enqueued(&gateway, &later());
    for _ in 0..3 {
        enqueued(&gateway, &json!({"kind": KIND, "queue": "mail", "delay": "1h"}));
    }
    let unserved = |log: &str| log.matches("no live worker takes").count();
    let log = gateway.wait_for_stderr(|log| unserved(log) > 0, DEADLINE);
    let line = log.lines().find(|line| unserved(line) > 0).expect("just waited for");
    assert!(line.contains("WARN") && line.contains("queue=mail"), "{line}");

    let id = text(&gateway.get("/v1/workers").json()["items"][0]["id"]).to_owned();
    assert_eq!(gateway.request("POST", &format!("/v1/workers/{id}/quiet")).send().status, 202);
    eventually("the worker claims no more jobs", DEADLINE, || {
        (live_workers("/v1/kinds", "kind", KIND) == 0).then_some(())
    });
    assert_eq!(live_workers("/v1/queues", "name", "default"), 0);
    assert_eq!(unserved(&gateway.stderr()), 1);
    drop(worker);
}

#[test]
fn completed_jobs_are_counted() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    for _ in 0..3 {
        let job = enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}));
        finished(&gateway, &job["id"]);
    }
    assert_eq!(gateway.get("/v1/queues/default").json()["counts"]["completed"], 3);
}

#[test]
fn the_gateway_reports_its_health() {
    let (_redis, gateway) = start();
    assert_eq!(gateway.get("/healthz").json(), json!({"status": "ok"}));
    assert_eq!(gateway.get("/health").text(), "OK");
    let ready = gateway.get("/readyz").json();
    assert_eq!(keys(&ready), ["redis", "status", "warnings"]);
    assert_eq!((&ready["status"], &ready["warnings"]), (&json!("ready"), &json!([])));
}
