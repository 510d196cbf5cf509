//! Handlers use the application's state and enqueue; kinds have former names.

mod support;

use std::time::Duration;

use atode_jobs::kinds::delay_print::DelayPrint;
use atode_jobs::{Job, JobContext, JobError, Registry, StateType};
use atode_queue::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use support::{Fixture, NOW, QUEUE, settings};
use tokio_util::sync::CancellationToken;

struct Greeting(&'static str);

/// Enqueues a job that prints the greeting.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Greet {}

impl Job for Greet {
    const KIND: &'static str = "test:greet";
    const ALIASES: &'static [&'static str] = &["test:hail"];
    const STATE: &'static [StateType] = &[StateType::of::<Greeting>()];

    async fn run(self, ctx: JobContext) -> Result<(), JobError> {
        let message = Some(ctx.state::<Greeting>().0.to_owned());
        ctx.enqueue(DelayPrint { message }).delay(Duration::ZERO).key("greeting").await?;
        Ok(())
    }
}

fn greeters() -> Registry {
    let mut registry = Registry::default();
    registry.register::<Greet>().expect("the first kind");
    registry.register::<DelayPrint>().expect("another kind");
    registry
}

#[test]
fn a_handler_uses_the_state_and_enqueues_once_per_key() {
    let fixture = Fixture::start();
    let mut registry = greeters();
    registry.provide(Greeting("hello"));
    let worker = fixture.worker_with(settings(), registry);
    for _ in 0..2 {
        let id = fixture.store(QUEUE, Greet::KIND, "{}", NOW, None);
        fixture.until(id, State::Completed);
    }
    fixture.until_counts("both greetings and one print complete", |counts| counts.completed == 3);
    worker.stop();
    fixture.until_counts("the second print was not stored", |counts| counts.ready + counts.scheduled == 0);
}

#[test]
fn a_job_that_was_stored_under_a_former_name_runs() {
    let fixture = Fixture::start();
    let mut registry = greeters();
    registry.provide(Greeting("hello"));
    let worker = fixture.worker_with(settings(), registry);
    let id = fixture.store(QUEUE, "test:hail", "{}", NOW, None);
    let job = fixture.until(id, State::Completed);
    assert_eq!(job.kind, "test:hail", "it is shown as it was stored");
    worker.stop();
}

#[test]
fn a_worker_without_the_state_of_a_kind_does_not_start() {
    let fixture = Fixture::start();
    let run = worker::run(settings(), "test", greeters(), fixture.client.clone(), CancellationToken::new());
    let error = fixture.wait(run).expect_err("a kind lacks its state").to_string();
    assert!(error.contains("\"test:greet\"") && error.contains("Greeting"), "{error}");
}
