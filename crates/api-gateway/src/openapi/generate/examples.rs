//! Values that several examples share.

use serde_json::{Value, json};

/// The id of a job.
pub(super) const ID: &str = "01a20adf-d882-71da-811d-f2af39983ab1";
const WORKER: &str = "01a20ad0-1c3e-7402-9b5e-5a2f6c1d9e4b";
const BUILD: &str = "0.1.0+1a2b3c4d5e6f";

/// A job that was just enqueued.
pub(super) fn job() -> Value {
    json!({
        "id": ID, "kind": "demo:delay_print", "queue": "default", "state": "scheduled",
        "payload": {"message": "Hello"}, "attempt": 0, "max_retries": 10,
        "enqueued_at": "2026-11-24T00:06:11.842Z", "due_at": "2026-11-24T00:06:13.845Z",
        "started_at": null, "finished_at": null, "last_error": null, "attempts": [], "worker": null,
        "durability": null, "enqueued_by": null,
    })
}

/// A job whose first attempt failed, and that was then dead.
pub(super) fn dead_job() -> Value {
    let mut job = job();
    job["state"] = json!("dead");
    job["attempt"] = json!(1);
    job["max_retries"] = json!(0);
    job["started_at"] = json!("2026-11-24T00:06:13.847Z");
    job["finished_at"] = json!("2026-11-24T00:06:13.950Z");
    job["last_error"] = json!("connection refused");
    job["worker"] = worker_ref();
    job["attempts"] = json!([{
        "attempt": 1, "cause": "error", "error": "connection refused",
        "started_at": "2026-11-24T00:06:13.847Z", "finished_at": "2026-11-24T00:06:13.950Z", "worker": worker_ref(),
    }]);
    job
}

pub(super) fn worker_ref() -> Value {
    json!({"id": WORKER, "host": "worker-1", "pid": 4711, "build": BUILD})
}

pub(super) fn worker() -> Value {
    let mut worker = worker_ref();
    let more = json!({
        "kinds": ["demo:delay_print"], "queues": {"default": 1}, "slots": 64, "active": 3, "state": "running",
        "started_at": "2026-11-23T22:00:00.000Z", "seen_at": "2026-11-24T00:06:10.120Z", "http": "127.0.0.1:8082",
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        worker[name] = value.clone();
    }
    worker
}

pub(super) fn counts() -> Value {
    json!({"scheduled": 120, "ready": 4, "active": 3, "completed": 950, "dead": 2, "cancelled": 0})
}

pub(super) fn queue() -> Value {
    let mut kind = counts();
    kind["kind"] = json!("demo:delay_print");
    json!({
        "name": "default", "paused": false, "counts": counts(), "oldest_ready_age": "1.25s",
        "rates": {"enqueued": 60, "completed": 58, "failed": 1, "reaped": 0, "buried": 0, "cancelled": 0, "redriven": 0, "deleted": 0},
        "kinds": [kind], "live_workers": 2,
    })
}

pub(super) fn kind() -> Value {
    json!({
        "kind": "demo:delay_print", "queue": "default", "delay": "3m", "max_retries": 10,
        "backoff": {"first": "5s", "factor": 2.0, "ceiling": "1h", "jitter": 0.2},
        "timeout": "5m", "retention": "1h", "execution": "async",
        "payload": {"type": "object", "properties": {"message": {"type": ["string", "null"]}}},
        "live_workers": 2, "served_by": [{"build": BUILD, "workers": 2}],
        "published": {"build": BUILD, "started_at": "2026-11-23T22:00:00Z"},
    })
}

pub(super) fn moved() -> Value {
    json!({"moved": 1000, "remaining": 4812})
}
