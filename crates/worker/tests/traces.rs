//! Spans of runs, at a collector, from a worker in this process. All tests of this file share the export.

mod support;

use std::sync::OnceLock;
use std::time::Duration;

use atode_config::traces::{self, Trace, TraceContext};
use atode_jobs::{Job, JobContext, JobError, Registry};
use atode_queue::{Due, JobId, NewJob, Record, State};
use atode_testkit::{Collector, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use support::{Act, Fixture, QUEUE, Task, settings};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

static COLLECTOR: OnceLock<Collector> = OnceLock::new();

/// Starts the export of this process, once.
fn collector() -> &'static Collector {
    COLLECTOR.get_or_init(|| {
        let collector = Collector::start();
        let endpoint = Some(collector.url().parse().expect("a URL"));
        let build = atode_config::Build { name: "worker", version: "test" };
        traces::start(&atode_config::Traces { endpoint, ..Default::default() }, build).expect("started");
        collector
    })
}

/// Stores a kind `test:next`.
#[derive(Serialize, Deserialize, JsonSchema)]
struct First {}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Next {}

impl Job for First {
    const KIND: &'static str = "test:first";

    async fn run(self, ctx: JobContext) -> Result<(), JobError> {
        ctx.enqueue(Next {}).delay(Duration::ZERO).await.map_err(anyhow::Error::from)?;
        Ok(())
    }
}

impl Job for Next {
    const KIND: &'static str = "test:next";

    async fn run(self, _: JobContext) -> Result<(), JobError> {
        Ok(())
    }
}

/// Stores a job that comes from this trace.
fn store(fixture: &Fixture, kind: &str, payload: &str, trace: Option<Trace>) -> JobId {
    let payload = serde_json::from_str(payload).expect("JSON");
    let record = Record { trace, ..Record::new(payload) };
    let due = Due::After(Duration::ZERO);
    let job = NewJob::new(fixture.client.new_id(), &QUEUE.into(), &kind.into(), &record, due);
    let id = job.id;
    assert!(fixture.wait(fixture.client.enqueue(job)).expect("stored").is_created());
    id
}

fn parent() -> Option<Trace> {
    TraceContext::parse(PARENT, None).map(Trace::Span)
}

/// The spans that have this value of an attribute, once there are so many.
#[track_caller]
fn spans<const N: usize>(key: &str, value: &str) -> [Span; N] {
    collector().until(&format!("{N} spans with {key}={value}"), |spans| {
        let found = spans.iter().filter(|span| span.attribute(key) == value);
        found.cloned().collect::<Vec<_>>().try_into().ok()
    })
}

#[test]
fn a_job_that_a_handler_stores_belongs_to_the_trace_of_the_run() {
    collector();
    let fixture = Fixture::start();
    let mut registry = Registry::default();
    registry.register::<First>().expect("the first");
    registry.register::<Next>().expect("kinds differ");
    let _worker = fixture.worker_with(settings(), registry);
    store(&fixture, First::KIND, "{}", parent());
    let of_first: [Span; 1] = spans("messaging.atode.kind", First::KIND);
    let [run] = of_first;
    assert_eq!(run.links[0].span_id, "00f067aa0ba902b7");
    let mut of_next: [Span; 2] = spans("messaging.atode.kind", Next::KIND);
    of_next.sort_by_key(|span| span.name.clone());
    let [enqueue, next] = of_next;
    assert_eq!((&*enqueue.trace_id, &*enqueue.parent_span_id), (&*run.trace_id, &*run.span_id));
    assert_eq!(enqueue.kind.as_str_name(), "SPAN_KIND_PRODUCER");
    assert!(next.is_linked_to(&enqueue) && next.trace_id != run.trace_id);
}

#[test]
fn each_run_of_a_job_that_snoozes_is_a_trace_linked_to_the_enqueue() {
    collector();
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    let id = store(&fixture, Task::KIND, &fixture.payload(Act::Snooze(50)), parent());
    fixture.until(id, State::Completed);
    let of_job: [Span; 4] = spans("messaging.message.id", &id.to_string());
    let runs: Vec<&Span> = of_job.iter().filter(|span| span.name == "process default").collect();
    let outcomes: Vec<&str> = runs.iter().map(|run| run.attribute("messaging.atode.outcome")).collect();
    assert_eq!(outcomes, ["release", "complete"]);
    assert!(runs.iter().all(|run| run.links.len() == 1 && run.links[0].span_id == "00f067aa0ba902b7"));
}

#[test]
fn a_job_from_a_trace_that_is_not_recorded_has_no_span() {
    collector();
    let fixture = Fixture::start();
    let _worker = fixture.worker();
    let unsampled = TraceContext::parse(&PARENT.replace("-01", "-00"), None).map(Trace::Span);
    let quiet = [unsampled, Some(Trace::Unsampled)]
        .map(|trace| store(&fixture, Task::KIND, &fixture.payload(Act::Succeed), trace));
    for id in quiet {
        fixture.until(id, State::Completed);
    }
    // A job without a trace is chosen by the ratio, which is 1.
    let chosen = store(&fixture, Task::KIND, &fixture.payload(Act::Succeed), None);
    let of_chosen: [Span; 2] = spans("messaging.message.id", &chosen.to_string());
    assert!(of_chosen.iter().all(|span| span.links.is_empty()));
    let is_quiet =
        |span: &Span| quiet.iter().any(|id| span.attribute("messaging.message.id") == id.to_string());
    assert!(!collector().spans().iter().any(is_quiet));
}
