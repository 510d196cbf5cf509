//! The way of ended spans to the collector. A span is dropped and counted if too many wait: whoever ends a span never
//! waits.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};

use super::collector::LastError;

/// Spans that wait or are being sent, at most.
const CAPACITY: usize = 4_096;

/// Spans per request.
const BATCH: usize = 512;

/// How long a span waits for others.
const DELAY: Duration = Duration::from_secs(1);

/// Interval of the log lines about dropped spans.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

static WAITING: AtomicUsize = AtomicUsize::new(0);
static EXPORTED: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Spans that the collector has accepted.
pub(crate) fn exported() -> u64 {
    EXPORTED.load(Ordering::Relaxed)
}

/// Spans that were lost: too many waited, or the collector did not accept them.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Sends spans in batches, from a thread of its own.
#[derive(Debug)]
pub(super) struct Batches(BatchSpanProcessor);

impl Batches {
    pub(super) fn new(exporter: impl SpanExporter + 'static, endpoint: &str, last_error: LastError) -> Self {
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(CAPACITY)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY);
        let counted =
            Counted { exporter, endpoint: endpoint.to_owned(), last_error, reported: Mutex::new((None, 0)) };
        Batches(BatchSpanProcessor::new(counted, config.build()))
    }
}

impl SpanProcessor for Batches {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    /// The processor below drops spans as well if its queue is full, but tells nobody. So it never gets too many.
    fn on_end(&self, span: SpanData) {
        if WAITING.fetch_add(1, Ordering::AcqRel) < CAPACITY {
            self.0.on_end(span);
        } else {
            WAITING.fetch_sub(1, Ordering::AcqRel);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// An exporter whose results are counted, and logged once per minute if spans were dropped.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    endpoint: String,
    last_error: LastError,
    /// When the last line was logged, and the number of spans dropped until then.
    reported: Mutex<(Option<Instant>, u64)>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        let counter = if result.is_ok() { &EXPORTED } else { &DROPPED };
        counter.fetch_add(spans as u64, Ordering::Relaxed);
        WAITING.fetch_sub(spans, Ordering::AcqRel);
        self.report();
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E> Counted<E> {
    fn report(&self) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let error = self.last_error.take();
        let spans = dropped().saturating_sub(reported.1);
        if spans > 0 && reported.0.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            *reported = (Some(Instant::now()), dropped());
            let error = error.as_deref().unwrap_or("it does not take them fast enough");
            tracing::warn!(target: "traces", endpoint = self.endpoint, spans, error, "spans were dropped: the collector of traces does not take them; jobs and requests are not affected");
        }
    }
}
