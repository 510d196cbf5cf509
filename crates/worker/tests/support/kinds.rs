//! Job kinds whose payload tells the handler what to do.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use atode_jobs::{Backoff, Execution, Job, JobContext, JobError, Registry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ledger::{self, Event};

/// Name of a file. Handlers that wait for the gate wait until it exists.
pub(crate) const GATE: &str = "gate";

const POLL: Duration = Duration::from_millis(5);

/// Behavior of a handler. Numbers are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    Succeed,
    Fail,
    FailForGood,
    /// Snoozes in its first run, then succeeds.
    Snooze(u64),
    Panic,
    /// Succeeds, then panics in a drop.
    PanicInDrop,
    /// Fails with an error that panics when it is formatted.
    PanicInError,
    Sleep(u64),
    /// Waits until the gate opens. Ignores its cancellation.
    Await,
    /// Waits until it is cancelled, then fails.
    AwaitCancellation,
    /// Holds its thread until the gate opens.
    Block,
    /// Kills its process this long after its start.
    Kill(u64),
}

const QUICK: Backoff =
    Backoff { first: Duration::from_millis(100), factor: 2.0, ceiling: Duration::from_secs(1), jitter: 0.0 };

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $kind:literal { $($constants:item)* })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Serialize, Deserialize, JsonSchema)]
            pub(crate) struct $name {
                dir: String,
                act: Act,
                /// Padding that makes the payload large.
                #[serde(default, skip_serializing_if = "String::is_empty")]
                padding: String,
            }

            impl Job for $name {
                const KIND: &'static str = $kind;
                const BACKOFF: Backoff = QUICK;
                $($constants)*

                async fn run(self, ctx: JobContext) -> Result<(), JobError> {
                    perform(&self.dir, self.act, &ctx).await
                }
            }
        )+

        /// All test kinds.
        pub(crate) fn registry() -> Registry {
            let mut registry = Registry::default();
            $(registry.register::<$name>().expect("kinds differ");)+
            registry.register::<EarlyPanic>().expect("kinds differ");
            registry
        }
    };
}

kinds! {
    Task = "test:task" { const MAX_RETRIES: u32 = 2; }
    Other = "test:other" {}
    Killer = "test:killer" {}
    BlockingTask = "test:blocking_task" { const EXECUTION: Execution = Execution::Blocking; }
    /// Times out soon and has no retries.
    Brief = "test:brief" {
        const TIMEOUT: Duration = Duration::from_millis(200);
        const MAX_RETRIES: u32 = 0;
    }
    /// [`Brief`] on its own thread.
    BriefBlocking = "test:brief_blocking" {
        const TIMEOUT: Duration = Duration::from_millis(200);
        const MAX_RETRIES: u32 = 0;
        const EXECUTION: Execution = Execution::Blocking;
    }
}

/// A registry for workers that recover jobs and run none.
pub(crate) fn registry_without_jobs() -> Registry {
    Registry::default()
}

/// Panics before it returns a future.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EarlyPanic {}

impl Job for EarlyPanic {
    const KIND: &'static str = "test:early_panic";
    const MAX_RETRIES: u32 = 0;

    // An async fn could not panic this early.
    fn run(self, ctx: JobContext) -> impl Future<Output = Result<(), JobError>> + Send {
        assert!(ctx.attempt == 0, "too early");
        async { Ok(()) }
    }
}

async fn perform(dir: &str, act: Act, ctx: &JobContext) -> Result<(), JobError> {
    let gate = Path::new(dir).join(GATE);
    ledger::write(dir, Event::Start, ctx);
    let unfinished = Unfinished { dir, ctx };
    let result = match act {
        Act::Fail => Err(anyhow::anyhow!("no luck").context("failed").into()),
        Act::FailForGood => Err(JobError::Permanent(anyhow::anyhow!("no use"))),
        Act::Snooze(ms) if is_first_run(dir, ctx) => Err(JobError::Snooze(Duration::from_millis(ms))),
        Act::Succeed | Act::Snooze(_) => Ok(()),
        Act::Panic => panic!("at the disco"),
        Act::PanicInDrop => {
            let _panics = PanicsInDrop;
            tokio::task::yield_now().await;
            Ok(())
        }
        Act::PanicInError => Err(PanicsInDisplay.into()),
        Act::Sleep(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(())
        }
        Act::Await => {
            while !gate.exists() {
                tokio::time::sleep(POLL).await;
            }
            Ok(())
        }
        Act::AwaitCancellation => {
            ctx.cancellation.cancelled().await;
            Err(anyhow::anyhow!("cancelled").into())
        }
        Act::Block => {
            while !gate.exists() {
                std::thread::sleep(POLL);
            }
            Ok(())
        }
        Act::Kill(ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            std::process::abort()
        }
    };
    std::mem::forget(unfinished);
    ledger::write(dir, Event::End, ctx);
    result
}

fn is_first_run(dir: &str, ctx: &JobContext) -> bool {
    let starts =
        ledger::read(Path::new(dir)).into_iter().filter(|e| e.id == ctx.id && e.event == Event::Start);
    starts.count() == 1
}

struct Unfinished<'a> {
    dir: &'a str,
    ctx: &'a JobContext,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        ledger::write(self.dir, Event::Dropped, self.ctx);
    }
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

#[derive(Debug)]
struct PanicsInDisplay;

impl fmt::Display for PanicsInDisplay {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("in Display");
    }
}

impl std::error::Error for PanicsInDisplay {}
