//! `GET /v1/kinds`: what can be enqueued.

use actix_web::HttpResponse;
use actix_web::web::Data;
use atode_jobs::{Execution, Kind};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::gateway::Gateway;

pub(crate) async fn list(gateway: Data<Gateway>) -> HttpResponse {
    let items: Vec<Value> = gateway.registry.kinds().map(|kind| describe(kind)).collect();
    HttpResponse::Ok().json(json!({ "items": items }))
}

fn describe(kind: &Kind) -> Value {
    json!({
        "kind": &*kind.name,
        "queue": &*kind.queue,
        "delay": text(kind.delay),
        "max_retries": kind.max_retries,
        "backoff": {
            "first": text(kind.backoff.first),
            "factor": kind.backoff.factor,
            "ceiling": text(kind.backoff.ceiling),
            "jitter": kind.backoff.jitter,
        },
        "timeout": text(kind.timeout),
        "retention": text(kind.retention),
        "execution": match kind.execution {
            Execution::Async => "async",
            Execution::Blocking => "blocking",
        },
        "payload": kind.schema,
    })
}

/// As a request would write it: `3m`.
pub(crate) fn text(duration: std::time::Duration) -> String {
    SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}"))
}
