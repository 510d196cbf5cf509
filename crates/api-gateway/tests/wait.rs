//! `?wait=`: an answer as soon as the job has finished, or the current state when the time is over.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use atode_testkit::{Response, Worker};
use serde_json::{Value, json};
use support::{KIND, Stored, UNKNOWN, address, enqueued, finished, later, problem, start, until_watched};

fn wait(gateway: &atode_testkit::Gateway, id: &Value, wait: &str) -> (Response, Duration) {
    let start = Instant::now();
    let reply = gateway.get(&format!("{}?wait={wait}", address(id)));
    (reply, start.elapsed())
}

#[test]
fn it_answers_as_soon_as_the_job_has_finished() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    let job = enqueued(&gateway, &json!({"kind": KIND, "delay": "1s"}));
    let (reply, took) = wait(&gateway, &job["id"], "60s");
    assert_eq!((reply.status, &reply.json()["state"]), (200, &json!("completed")));
    assert!(took < Duration::from_secs(8), "{took:?}");

    let (reply, took) = wait(&gateway, &job["id"], "60s");
    assert_eq!(reply.json(), finished(&gateway, &job["id"]), "it has finished long ago");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn many_wait_for_the_same_job_and_for_others() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    let jobs: Vec<Value> =
        (0..5).map(|_| enqueued(&gateway, &json!({"kind": KIND, "delay": "1s"}))).collect();
    thread::scope(|scope| {
        let waits = jobs.iter().cycle().take(30).map(|job| scope.spawn(|| wait(&gateway, &job["id"], "1m")));
        for wait in waits.collect::<Vec<_>>() {
            let (reply, took) = wait.join().expect("a reply");
            assert_eq!(reply.json()["state"], "completed");
            assert!(took < Duration::from_secs(10), "{took:?}");
        }
    });
}

#[test]
fn it_answers_with_the_current_state_when_the_time_is_over() {
    let (_redis, gateway) = start();
    for (delay, state) in [("1h", "scheduled"), ("500ms", "ready")] {
        let job = enqueued(&gateway, &json!({"kind": KIND, "delay": delay}));
        let (reply, took) = wait(&gateway, &job["id"], "1s");
        assert_eq!((reply.status, &reply.json()["state"]), (200, &json!(state)));
        assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&took), "{took:?}");
    }
}

#[test]
fn it_answers_also_when_the_job_is_removed_as_soon_as_it_has_finished() {
    let (redis, gateway) = start();
    let job = enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}));
    let stored = Stored::on(&redis);
    let claimed = stored.claim("a host");
    let (reply, took) = thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&gateway, &job["id"], "60s"));
        until_watched(&redis);
        stored.complete_and_forget(claimed);
        waiting.join().expect("a reply")
    });
    assert_eq!((reply.status, &reply.json()["id"], &reply.json()["state"]), (200, &job["id"], &Value::Null));
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn a_wait_is_a_duration_of_at_most_a_minute() {
    let (_redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    for wrong in
        ["", "1", "-1s", "61s", "1e400s", "3%20parsecs", "1h", "9223372036854775808s", "%ff", "1s&wait=2s"]
    {
        let (reply, _) = wait(&gateway, &id, wrong);
        problem(&reply, 400, "malformed-request");
    }
    let misspelt = gateway.get(&format!("{}?wiat=1s", address(&id)));
    problem(&misspelt, 400, "malformed-request");
    for right in ["0s", "1ms", "PT0.1S"] {
        assert_eq!(wait(&gateway, &id, right).0.status, 200, "{right}");
    }
}

#[test]
fn nobody_waits_for_a_job_that_is_unknown() {
    let (_redis, gateway) = start();
    let (reply, took) = wait(&gateway, &json!(UNKNOWN), "60s");
    problem(&reply, 404, "not-found");
    assert!(took < Duration::from_secs(5), "{took:?}");
}
