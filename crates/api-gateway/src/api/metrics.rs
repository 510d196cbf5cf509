//! `GET /metrics`: the gateway's metrics for Prometheus (docs/decisions/0016-metrics.md).

use actix_web::HttpResponse;
use actix_web::web::Data;
use atode_config::Build;
use metrics::{Gauge, Unit, describe_gauge, gauge};

use crate::gateway::Gateway;
use crate::http::request_metrics;

/// Gauges that are set at each scrape.
pub(crate) struct Gauges {
    redis_up: Gauge,
    body_bytes: Gauge,
    waits: Gauge,
}

impl Gauges {
    /// Installs the recorder. It must run once per process, before any metric is resolved.
    pub(crate) fn install(build: Build) -> anyhow::Result<Self> {
        let histograms = [(request_metrics::DURATION, &request_metrics::BUCKETS[..])];
        atode_config::metrics::install(build.version, &histograms)?;
        request_metrics::describe();
        describe_gauge!(
            "atode_http_body_bytes",
            Unit::Bytes,
            "Memory used by the bodies of requests and replies. Beyond a limit requests are refused."
        );
        describe_gauge!(
            "atode_http_waits",
            "Requests that wait for a job to finish (`?wait=`), at most 1,000."
        );
        Ok(Gauges {
            redis_up: gauge!("atode_redis_up"),
            body_bytes: gauge!("atode_http_body_bytes"),
            waits: gauge!("atode_http_waits"),
        })
    }
}

pub(crate) async fn scrape(gauges: Data<Gauges>, gateway: Data<Gateway>) -> HttpResponse {
    gauges.redis_up.set(f64::from(u8::from(gateway.client.connection().is_up())));
    gauges.body_bytes.set(gateway.body_room.used() as f64);
    gauges.waits.set(gateway.waiting() as f64);
    gateway.sampler.look();
    HttpResponse::Ok().content_type(atode_config::metrics::CONTENT_TYPE).body(atode_config::metrics::render())
}
