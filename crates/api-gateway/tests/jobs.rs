//! `POST /v1/jobs` and `GET /v1/jobs/{id}`: a job from its request to its completion.

mod support;

use atode_testkit::Worker;
use serde_json::json;
use support::{
    DEADLINE, KIND, Stored, UNKNOWN, address, enqueue, enqueued, finished, gateway, instant, job, keys,
    later, problem, start, text,
};

/// The fields of a job, in the order of the API documentation.
const FIELDS: [&str; 16] = [
    "attempt",
    "attempts",
    "due_at",
    "durability",
    "enqueued_at",
    "enqueued_by",
    "finished_at",
    "id",
    "kind",
    "last_error",
    "max_retries",
    "payload",
    "queue",
    "started_at",
    "state",
    "worker",
];

#[test]
fn a_new_job_is_answered_with_its_location_and_all_its_fields() {
    let (_redis, gateway) = start();
    let request = json!({"kind": KIND, "payload": {"message": "Hi"}, "delay": "90s", "max_retries": 3, "queue": "default"});
    let reply = enqueue(&gateway, &request);
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("idempotent-replayed"), None);
    let created = reply.json();
    assert_eq!(keys(&created), FIELDS);
    assert_eq!(reply.header("location"), Some(address(&created["id"]).as_str()));
    assert_eq!(
        (&created["kind"], &created["queue"], &created["state"], &created["payload"]),
        (&json!(KIND), &json!("default"), &json!("scheduled"), &json!({"message": "Hi"}))
    );
    assert_eq!((&created["attempt"], &created["max_retries"]), (&json!(0), &json!(3)));
    assert_eq!(created["attempts"], json!([]));
    for unknown in ["started_at", "finished_at", "last_error", "worker", "durability", "enqueued_by"] {
        assert!(created[unknown].is_null(), "{unknown}: {created}");
    }
    let looked = job(&gateway, &created["id"]);
    assert_eq!(keys(&looked), FIELDS);
}

#[test]
fn the_answer_to_an_enqueue_matches_the_stored_job() {
    let (_redis, gateway) = start();
    for delay in ["0s", "1ms", "1h", "PT3M", "1h 30m", "8760h"] {
        let mut created = enqueued(&gateway, &json!({"kind": KIND, "delay": delay}));
        let mut looked = job(&gateway, &created["id"]);
        for job in [&mut created, &mut looked] {
            // Around its due time it may be in either state.
            job.as_object_mut().unwrap().remove("state");
        }
        assert_eq!(created, looked, "{delay}");
    }
}

#[test]
fn a_job_takes_the_defaults_of_its_kind() {
    let (_redis, gateway) = start();
    let nulls = json!({"kind": KIND, "delay": null, "run_at": null, "max_retries": null, "queue": null,
        "durability": null, "idempotency_key": null});
    for request in [json!({"kind": KIND}), nulls] {
        let created = enqueued(&gateway, &request);
        let delay = instant(&created["due_at"]) - instant(&created["enqueued_at"]);
        assert!((180_000..185_000).contains(&delay), "{delay} ms");
        assert_eq!(created["max_retries"], 10);
        assert_eq!(created["queue"], "default");
        assert_eq!(created["payload"], json!({}));
    }
}

#[test]
fn a_job_with_run_at_is_due_then_in_any_zone_and_at_once_if_that_has_passed() {
    let (_redis, gateway) = start();
    let now = jiff::Timestamp::now();
    let due = now + jiff::SignedDuration::from_hours(5);
    let in_tokyo =
        due.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(9))).strftime("%FT%T%.f%:z").to_string();
    for run_at in [due.to_string(), in_tokyo] {
        let created = enqueued(&gateway, &json!({"kind": KIND, "run_at": run_at}));
        assert_eq!(created["state"], "scheduled");
        assert_eq!(instant(&created["due_at"]), due.as_millisecond(), "{run_at}");
        assert_eq!(instant(&job(&gateway, &created["id"])["due_at"]), due.as_millisecond(), "{run_at}");
    }
    let passed = now - jiff::SignedDuration::from_hours(23);
    let created = enqueued(&gateway, &json!({"kind": KIND, "run_at": passed.to_string()}));
    assert_eq!(created["state"], "ready");
    assert_eq!(job(&gateway, &created["id"])["state"], "ready");
}

#[test]
fn a_job_waits_runs_and_shows_the_worker_that_ran_it() {
    let (redis, gateway) = start();
    let worker = Worker::start(&redis);
    let created =
        enqueued(&gateway, &json!({"kind": KIND, "payload": {"message": "full flow"}, "delay": "700ms"}));
    assert_eq!(created["state"], "scheduled");
    let done = finished(&gateway, &created["id"]);
    assert_eq!(keys(&done), FIELDS);
    assert_eq!(
        (&done["state"], &done["attempt"], &done["attempts"]),
        (&json!("completed"), &json!(1), &json!([]))
    );
    assert!(done["last_error"].is_null());
    let at = |field: &str| instant(&done[field]);
    assert!(at("enqueued_at") + 700 <= at("due_at") + 50, "{done}");
    assert!(at("due_at") <= at("started_at") && at("started_at") <= at("finished_at"), "{done}");
    assert!(at("started_at") < at("due_at") + 1_000, "{done}");

    let live = gateway.get("/v1/workers").json()["items"][0].clone();
    assert_eq!(keys(&done["worker"]), ["build", "host", "id", "pid"]);
    for field in ["build", "host", "id", "pid"] {
        assert_eq!(done["worker"][field], live[field], "{field}");
    }
    assert_eq!(done["worker"]["pid"], worker.pid());
    worker.wait_for_stdout(|out| out.ends_with("] full flow\n"), DEADLINE);
}

#[test]
fn an_active_job_names_its_worker() {
    let (redis, gateway) = start();
    let created = enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}));
    let claimed = Stored::on(&redis).claim("a host");
    assert_eq!(claimed.lease.id().to_string(), text(&created["id"]));
    let active = job(&gateway, &created["id"]);
    assert_eq!((&active["state"], &active["attempt"]), (&json!("active"), &json!(1)));
    assert_eq!((&active["worker"]["host"], &active["worker"]["pid"]), (&json!("a host"), &json!(7)));
    assert!(active["finished_at"].is_null() && !active["started_at"].is_null(), "{active}");
}

#[test]
fn a_payload_is_returned_byte_for_byte() {
    let (redis, gateway) = start();
    let payload = r#"{ "message" : "\u0041\/é \ud83d\ude00 \u0000</script>" }"#;
    let body = format!(r#"{{"kind": "{KIND}", "payload": {payload}, "delay": "1h"}}"#);
    let reply =
        gateway.request("POST", "/v1/jobs").header("Content-Type", "application/json").body(body).send();
    assert_eq!(reply.status, 201, "{}", reply.text());
    let looked = gateway.get(&address(&reply.json()["id"]));
    assert!(reply.text().contains(payload) && looked.text().contains(payload), "{}", looked.text());

    // No kind of this build accepts numbers.
    let payload = r#"{"n": 9007199254740993, "m": -18446744073709551617, "d": 0.1000000000000000055511151231257827, "e": 1e400}"#;
    let id = Stored::on(&redis).enqueue("default", "other:kind", payload);
    let looked = gateway.get(&format!("/v1/jobs/{id}"));
    assert!(looked.text().contains(payload), "{}", looked.text());
}

#[test]
fn a_job_is_found_even_if_its_kind_and_queue_are_unknown_here() {
    let (redis, gateway) = start();
    let id = Stored::on(&redis).enqueue("dropped", "old:kind", "{}");
    let found = gateway.get(&format!("/v1/jobs/{id}")).json();
    assert_eq!((&found["queue"], &found["kind"]), (&json!("dropped"), &json!("old:kind")));
    assert!(found["max_retries"].is_null(), "only its kind knows: {found}");
}

#[test]
fn every_gateway_sees_every_job() {
    let (redis, first) = start();
    let second = gateway(&redis);
    let created = enqueued(&first, &later());
    assert_eq!(job(&second, &created["id"])["state"], "scheduled");
}

#[test]
fn the_404_of_a_job_says_when_its_id_was_made_and_how_long_finished_jobs_are_kept() {
    let (_redis, gateway) = start();
    let detail = |id: &str| {
        let reply = gateway.get(&format!("/v1/jobs/{id}"));
        text(&problem(&reply, 404, "not-found")["detail"]).to_owned()
    };
    let made_here = detail(UNKNOWN);
    for part in ["2024-07-21T05:27:36.762Z", "1 hour", "10000"] {
        assert!(made_here.contains(part), "{made_here}");
    }
    for elsewhere in ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff"] {
        assert!(detail(elsewhere).contains("not made here"));
    }
    assert_eq!(detail(&UNKNOWN.to_uppercase()), made_here);
}
