//! `GET /v1/kinds`: the kinds of jobs that can be enqueued.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use atode_jobs::Execution;
use atode_queue::Registration;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::deadline::in_time;
use crate::http::problem::Problem;

/// While Redis is away, the number of live workers is null. Everything else is known without Redis.
pub(crate) async fn list(gateway: Data<Gateway>) -> HttpResponse {
    let workers = in_time(async { Ok(gateway.client.workers().await?) }, Problem::from).await.ok();
    let items = gateway.registry.kinds().map(|kind| {
        let claiming = |workers: &Vec<Registration>| {
            workers.iter().filter(|worker| worker.claims_kind(&kind.name)).count()
        };
        json!({
            "kind": &*kind.name,
            "queue": &*kind.queue,
            "delay": duration_text(&kind.delay),
            "max_retries": kind.max_retries,
            "backoff": {
                "first": duration_text(&kind.backoff.first),
                "factor": kind.backoff.factor,
                "ceiling": duration_text(&kind.backoff.ceiling),
                "jitter": kind.backoff.jitter,
            },
            "timeout": duration_text(&kind.timeout),
            "retention": duration_text(&kind.retention),
            "execution": match kind.execution {
                Execution::Async => "async",
                Execution::Blocking => "blocking",
            },
            "payload": kind.schema,
            "live_workers": workers.as_ref().map(claiming),
        })
    });
    HttpResponse::Ok().json(json!({ "items": items.collect::<Vec<Value>>() }))
}

/// A duration as requests write it, such as `3m`.
pub(crate) fn duration_text(duration: &Duration) -> String {
    SignedDuration::try_from(*duration)
        .map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}"))
}
