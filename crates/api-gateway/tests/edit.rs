//! `PATCH /v1/jobs/{id}`: changes of waiting jobs.

mod support;

use atode_testkit::{Gateway, Response, Worker, eventually};
use serde_json::{Value, json};
use support::{
    DEADLINE, KIND, Stored, UNKNOWN, address, enqueued, finished, instant, job, later, pointers, problem,
    start, text,
};

fn edit(gateway: &Gateway, id: &Value, change: &Value) -> Response {
    gateway.request("PATCH", &address(id)).json(change).send()
}

fn edit_version(gateway: &Gateway, id: &Value, version: &str, change: &Value) -> Response {
    gateway.request("PATCH", &address(id)).header("If-Match", version).json(change).send()
}

fn version(reply: &Response) -> String {
    reply.header("etag").unwrap_or_else(|| panic!("no ETag: {:?}", reply.headers)).to_owned()
}

#[test]
fn a_waiting_job_gets_another_payload_due_time_and_limit() {
    let (redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    let change =
        json!({"payload": {"message": "edited"}, "max_retries": 3, "run_at": "2027-05-06T07:08:09Z"});
    let reply = edit(&gateway, &id, &change);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let edited = reply.json();
    assert_eq!((&edited["payload"]["message"], &edited["max_retries"]), (&json!("edited"), &json!(3)));
    assert_eq!(edited["due_at"], "2027-05-06T07:08:09.000Z");
    assert_eq!(job(&gateway, &id), edited);

    // A field that the change leaves out stays, and null is the limit of the kind.
    let edited = edit(&gateway, &id, &json!({"max_retries": null, "delay": "0s"})).json();
    assert_eq!((&edited["max_retries"], &edited["state"]), (&json!(10), &json!("ready")));
    let worker = Worker::start(&redis);
    assert_eq!(finished(&gateway, &id)["state"], "completed");
    worker.wait_for_stdout(|out| out.ends_with("] edited\n"), DEADLINE);
}

#[test]
fn an_edit_wakes_a_sleeping_worker() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    let first = enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}))["id"].clone();
    finished(&gateway, &first);
    let id = enqueued(&gateway, &later())["id"].clone();
    edit(&gateway, &id, &json!({"delay": "0s"}));
    assert_eq!(finished(&gateway, &id)["state"], "completed");
}

#[test]
fn an_edit_of_an_earlier_version_is_refused() {
    let (_redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    let shown = version(&gateway.get(&address(&id)));
    let first = edit_version(&gateway, &id, &shown, &json!({"payload": {"message": "first"}}));
    assert_eq!(first.status, 200, "{}", first.text());
    let second = edit_version(&gateway, &id, &shown, &json!({"payload": {"message": "second"}}));
    problem(&second, 412, "version-mismatch");
    assert_eq!(job(&gateway, &id)["payload"]["message"], "first");

    // Another due time is another version, whoever set it.
    let edited = version(&first);
    assert_eq!(edited, version(&gateway.get(&address(&id))));
    gateway.post(&format!("{}/reschedule", address(&id)), &json!({"delay": "2h"}));
    problem(&edit_version(&gateway, &id, &edited, &json!({"max_retries": 1})), 412, "version-mismatch");
    assert_eq!(edit_version(&gateway, &id, "*", &json!({"max_retries": 1})).status, 200);
}

#[test]
fn edits_without_a_version_at_the_same_time_keep_each_others_fields() {
    let (_redis, gateway) = start();
    for n in 0..20 {
        let id = enqueued(&gateway, &later())["id"].clone();
        let changes = [json!({"payload": {"message": format!("{n}")}}), json!({"max_retries": n})];
        std::thread::scope(|scope| {
            for change in &changes {
                scope.spawn(|| assert_eq!(edit(&gateway, &id, change).status, 200));
            }
        });
        let edited = job(&gateway, &id);
        assert_eq!(
            (text(&edited["payload"]["message"]), &edited["max_retries"]),
            (&*n.to_string(), &json!(n))
        );
    }
}

#[test]
fn an_invalid_edit_is_refused_with_its_pointers_and_changes_nothing() {
    let (_redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    let before = job(&gateway, &id);
    for (change, expected) in [
        (json!({"payload": {"message": 1}, "max_retries": 1001}), &["/payload/message", "/max_retries"][..]),
        (json!({"payload": null}), &["/payload"]),
        (json!({"max_retries": "three"}), &["/max_retries"]),
        (json!({"delay": "-1s"}), &["/delay"]),
        (json!({"delay": "1s", "run_at": "2027-05-06T07:08:09Z"}), &["/run_at"]),
        (json!({"kind": "demo:slow"}), &["/kind"]),
        (json!({}), &[""]),
    ] {
        let wrong = problem(&edit(&gateway, &id, &change), 422, "invalid-request");
        assert_eq!(pointers(&wrong), expected, "{change}");
    }
    problem(&edit_version(&gateway, &id, "abc", &json!({"delay": "1h"})), 400, "malformed-request");
    problem(&edit(&gateway, &json!(UNKNOWN), &json!({"delay": "1h"})), 404, "not-found");
    assert_eq!(job(&gateway, &id), before);
}

#[test]
fn a_limit_that_leaves_no_attempt_is_refused() {
    let (redis, gateway) = start();
    let worker = Worker::start(&redis);
    let failing = json!({"kind": "demo:mail", "payload": {"to": "a@example.com", "ends": "refused"}});
    let id = enqueued(&gateway, &failing)["id"].clone();
    eventually("an attempt has failed", DEADLINE, || {
        (job(&gateway, &id)["state"] == "scheduled").then_some(())
    });
    worker.terminate();
    for (limit, status) in [(json!(0), 422), (json!(1), 200), (json!(null), 200)] {
        assert_eq!(edit(&gateway, &id, &json!({"max_retries": limit})).status, status, "{limit}");
    }
}

#[test]
fn only_a_waiting_job_can_be_edited_and_has_a_version() {
    let (redis, gateway) = start();
    let id = enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}))["id"].clone();
    let _claimed = Stored::on(&redis).claim("a host");
    let wrong = problem(&edit(&gateway, &id, &json!({"delay": "1h"})), 409, "wrong-state");
    assert!(text(&wrong["detail"]).contains("is active"), "{wrong}");
    assert_eq!(gateway.get(&address(&id)).header("etag"), None);
}

#[test]
fn an_edit_is_refused_while_redis_is_full() {
    let (redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    let before = job(&gateway, &id);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    problem(&edit(&gateway, &id, &json!({"payload": {"message": "no room"}})), 503, "unavailable");
    assert_eq!(job(&gateway, &id), before);
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    let edited = edit(&gateway, &id, &json!({"delay": "2h"})).json();
    assert!(instant(&edited["due_at"]) > instant(&before["due_at"]));
}
