//! The metrics of a process, as Prometheus text, which each process serves at a route of its own
//! (docs/decisions/0016-metrics.md). Libraries count through the facade `metrics`.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::logging;
use crate::traces::export;

/// The `Content-Type` of [`render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const LINES_DROPPED: &str = "atode_log_lines_dropped_total";
const SPANS_EXPORTED: &str = "atode_trace_spans_exported_total";
const SPANS_DROPPED: &str = "atode_trace_spans_dropped_total";

/// Interval at which the values of histograms move into buckets. Until then, each value takes memory of its own.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();

#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be collected: {0}")]
pub struct MetricsError(String);

/// A histogram and the upper bounds of its buckets.
pub type Histogram<'a> = (&'a str, &'a [f64]);

/// Starts to collect metrics. Call it once per process, before anything resolves a metric.
pub fn install(build: &str, histograms: &[Histogram<'_>]) -> Result<(), MetricsError> {
    let mut builder = PrometheusBuilder::new();
    for (name, buckets) in histograms {
        builder = builder
            .set_buckets_for_metric(Matcher::Full((*name).to_owned()), buckets)
            .map_err(|error| MetricsError(error.to_string()))?;
    }
    let handle = builder.install_recorder().map_err(|error| MetricsError(error.to_string()))?;
    let upkeep = handle.clone();
    thread::Builder::new()
        .name("metrics".to_owned())
        .spawn(move || {
            loop {
                thread::sleep(UPKEEP_INTERVAL);
                upkeep.run_upkeep();
            }
        })
        .map_err(|error| MetricsError(error.to_string()))?;
    describe_gauge!("atode_build_info", "Always 1; the label names the build that runs.");
    gauge!("atode_build_info", "build" => build.to_owned()).set(1);
    describe_counter!(LINES_DROPPED, "Log lines that were dropped because stderr was not read in time.");
    describe_counter!(SPANS_EXPORTED, "Spans that the collector of traces accepted.");
    describe_counter!(SPANS_DROPPED, "Spans that were lost because the collector did not take them.");
    let _ = INSTALLED.set(handle);
    Ok(())
}

/// All metrics as Prometheus text. Empty before [`install`].
pub fn render() -> String {
    counter!(LINES_DROPPED).absolute(logging::dropped());
    counter!(SPANS_EXPORTED).absolute(export::exported());
    counter!(SPANS_DROPPED).absolute(export::dropped());
    INSTALLED.get().map(PrometheusHandle::render).unwrap_or_default()
}
