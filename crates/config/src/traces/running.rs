//! The export of spans in this process. Nothing is started without `traces.endpoint`.

use std::{sync::OnceLock, time::Duration};

use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};

use super::{
    collector::{Collector, LastError},
    export::Batches,
};
use crate::{build::Build, sections::Traces, tls::NoCertificates};

/// The time limit of one request to the collector.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long the end of a process may wait for the last spans.
pub(crate) const FLUSH: Duration = Duration::from_secs(2);

static RUNNING: OnceLock<Running> = OnceLock::new();

pub(super) struct Running {
    pub(super) settings: Traces,
    pub(super) tracer: SdkTracer,
    provider: SdkTracerProvider,
}

/// The reason why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
#[error("traces.endpoint: {0}")]
pub enum StartTracesError {
    Tls(#[from] NoCertificates),
    Exporter(#[from] ExporterBuildError),
}

/// Starts to export spans if there is an endpoint, which need not be reachable. Call it once per process.
pub fn start(settings: &Traces, build: Build) -> Result<(), StartTracesError> {
    let Some(endpoint) = &settings.endpoint else { return Ok(()) };
    let url = endpoint.of_spans();
    let last_error = LastError::default();
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new(&url, TIMEOUT, last_error.clone())?)
        .with_endpoint(&url)
        .with_timeout(TIMEOUT)
        .build()?;
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Batches::new(exporter, &url, last_error))
        // Only spans that shall be recorded are started.
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource(build))
        .build();
    let tracer = provider.tracer("atode");
    let _ = RUNNING.set(Running { settings: settings.clone(), tracer, provider });
    tracing::info!(endpoint = %url, sample_ratio = settings.sample_ratio, "exporting traces");
    Ok(())
}

/// Sends the spans that have ended, and waits this long at most. Spans that end later are not sent.
pub(crate) fn flush(timeout: Duration) {
    if let Some(running) = RUNNING.get() {
        // Lost spans are counted.
        let _ = running.provider.shutdown_with_timeout(timeout);
    }
}

pub(super) fn running() -> Option<&'static Running> {
    RUNNING.get()
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` come first.
fn resource(build: Build) -> Resource {
    let own = [
        KeyValue::new("service.name", build.name),
        KeyValue::new("service.namespace", "atode"),
        KeyValue::new("service.version", build.version),
        KeyValue::new("process.pid", i64::from(std::process::id())),
    ];
    let host = nix::unistd::gethostname().ok();
    let host = host.map(|name| KeyValue::new("host.name", name.to_string_lossy().into_owned()));
    let given = Resource::builder().build();
    // The SDK makes up the name of a service that has none.
    let is_given = |attribute: &KeyValue| {
        given.get_ref(&attribute.key).is_some_and(|value| !value.as_str().starts_with("unknown_service"))
    };
    let missing = own.into_iter().chain(host).filter(|attribute| !is_given(attribute));
    Resource::builder().with_attributes(missing).build()
}
