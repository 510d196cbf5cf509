//! Operations on workers, the history, and the stream of events.

use atode_queue::{Asked, Items, Registration, Stats};
use serde_json::{Value, json};

use crate::api::stats::StatsQuery;
use crate::http::problem_types::Slug;
use crate::openapi::generate::document::Draft;
use crate::openapi::generate::examples::{queue, worker, worker_ref};
use crate::openapi::generate::operation::TEXT;

const STREAM: &str = "text/event-stream";

pub(super) fn add(draft: &mut Draft) {
    draft.tag("workers");
    draft.add("get /v1/workers", "listWorkers", "List live workers", |operation| {
        operation.reply::<Items<Registration>>(200, "The live workers.", json!({"items": [worker()]}))
    });
    let asked = |requested: &str| json!({"id": worker_ref()["id"], "requested": requested});
    draft.add(
        "post /v1/workers/{id}/quiet",
        "quietWorker",
        "Make a worker stop claiming jobs",
        |operation| {
            operation.about("This cannot be undone: start another worker instead.").reply::<Asked>(
                202,
                "The worker will stop claiming.",
                asked("quiet"),
            )
        },
    );
    draft.add("post /v1/workers/{id}/stop", "stopWorker", "Make a worker drain and exit", |operation| {
        operation.reply::<Asked>(202, "The worker will exit.", asked("stop"))
    });
    draft.add("get /v1/stats", "getStats", "Show what happened", |operation| {
        operation
            .about("Counts and times by queue and kind: by minute up to 2 h, by five minutes up to 72 h.")
            .query::<StatsQuery>()
            .reply::<Stats>(200, "The history.", stats())
            .errors(&[Slug::Invalid])
    });
    draft.add("get /v1/events", "streamEvents", "Stream the changes of queues and workers", |operation| {
        let snapshot = json!({"queues": [queue()], "workers": [worker()]});
        let example = format!("retry: 2000\n\nevent: snapshot\ndata: {snapshot}\n\nevent: queue\ndata: {}\n\n", queue());
        operation
            .about(
                "Server-sent events. The first is a `snapshot`, `{queues, workers}`; then follow the queues and workers \
                 that change (`queue`, `worker`), workers that are no longer live (`worker_gone`, `{id}`), and \
                 `unavailable`, `{detail}`, while Redis does not answer. Nothing is replayed.",
            )
            .stream(STREAM, "The stream. It ends when the gateway stops.", &example)
    });
    draft.tag("probes");
    draft.add("get /metrics", "getMetrics", "Show the metrics of this gateway", |operation| {
        operation.text(
            TEXT,
            "Metrics in the text format of Prometheus.",
            "# TYPE atode_redis_up gauge\natode_redis_up 1\n",
        )
    });
}

fn stats() -> Value {
    let numbers = |count: Value, time: Value| {
        json!({"enqueued": count, "completed": count, "failed": count, "dead": count, "cancelled": count, "reaped": count,
            "lateness_seconds": {"p50": time, "p99": time}, "run_seconds": {"p50": time, "p99": time}})
    };
    let (total, buckets) =
        (numbers(json!(2), json!(0.00114)), numbers(json!([0, 2]), json!([null, 0.00114])));
    json!({
        "from": "2026-11-24T00:05:00.000Z", "to": "2026-11-24T00:06:12.345Z", "step_seconds": 60,
        "all": {"total": total, "buckets": buckets},
        "series": [{"queue": "default", "kind": "demo:delay_print", "total": total, "buckets": buckets}],
        "series_left_out": 0,
        "builds": [{"program": "worker", "build": "0.1.0+1a2b3c4d5e6f", "started_at": "2026-11-23T22:00:00.000Z"}],
    })
}
