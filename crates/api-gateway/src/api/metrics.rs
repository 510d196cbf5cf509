//! `GET /metrics`: the gateway's metrics for Prometheus (docs/decisions/0016-metrics.md).

use actix_web::HttpResponse;
use actix_web::web::Data;
use atode_config::Build;
use metrics::{Unit, describe_gauge, gauge};

use crate::gateway::Gateway;
use crate::http::request_metrics;

const BODY_BYTES: &str = "atode_http_body_bytes";
const WAITS: &str = "atode_http_waits";

/// Installs the recorder. It must run once per process, before any metric is used.
pub(crate) fn install(build: Build) -> anyhow::Result<()> {
    let own = [(request_metrics::DURATION, &request_metrics::BUCKETS[..])];
    atode_config::metrics::install(build.version, &[&atode_queue::metrics::HISTOGRAMS[..], &own].concat())?;
    atode_queue::metrics::describe();
    request_metrics::describe();
    describe_gauge!(
        BODY_BYTES,
        Unit::Bytes,
        "Memory used by the bodies of requests and replies. Beyond a limit requests are refused."
    );
    describe_gauge!(WAITS, "Requests that wait for a job to finish (`?wait=`), at most 1,000.");
    Ok(())
}

pub(crate) async fn scrape(gateway: Data<Gateway>) -> HttpResponse {
    gauge!("atode_redis_up").set(f64::from(u8::from(gateway.client.connection().is_up())));
    gauge!(BODY_BYTES).set(gateway.body_budget.used() as f64);
    gauge!(WAITS).set(gateway.waiting() as f64);
    gateway.sampler.look();
    HttpResponse::Ok().content_type(atode_config::metrics::CONTENT_TYPE).body(atode_config::metrics::render())
}
