//! `atode failures`: dead jobs grouped by cause.

use atode_queue::{FailureGroup, Failures, Fingerprint, MAX_BATCH, Moved};
use clap::{Args, Subcommand};

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::print::{self, Form};
use crate::progress::Progress;
use crate::queue::show_moved;
use crate::table::{Column, whole, wraps};

/// Groups shown, as over HTTP.
const MAX_GROUPS: usize = 1_000;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct FailuresArgs {
    /// Only jobs of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// Only jobs of this kind.
    #[arg(long)]
    kind: Option<String>,
    #[command(subcommand)]
    action: Option<FailuresAction>,
}

#[derive(Subcommand)]
enum FailuresAction {
    /// Put all dead jobs of one cause back, due now, with all their attempts again.
    Redrive {
        /// The fingerprint of the cause, as `atode failures` shows it.
        fingerprint: Fingerprint,
        /// Only jobs of this queue.
        #[arg(long)]
        queue: Option<String>,
    },
}

const COLUMNS: [Column<FailureGroup>; 7] = [
    whole("fingerprint", |group| group.fingerprint.to_string()),
    whole("kind", |group| group.kind.clone()),
    whole("count", |group| group.count.to_string()),
    whole("last seen", |group| group.last_seen.map_or("–".to_owned(), |at| format!("{at:.0}"))),
    wraps("error", |group| group.error.clone().unwrap_or_else(|| "(in no group)".to_owned())),
    wraps("builds", |group| group.builds.join(", ")),
    whole("example", |group| {
        group.example.as_ref().map_or_else(String::new, |example| example.id.to_string())
    }),
];

pub(crate) async fn run(backend: &Backend, form: Form, args: FailuresArgs) -> anyhow::Result<()> {
    match args.action {
        None => list(backend, form, args.queue.as_deref(), args.kind.as_deref()).await,
        Some(FailuresAction::Redrive { fingerprint, queue }) => {
            redrive(backend, form, fingerprint, queue.as_deref()).await
        }
    }
}

async fn list(backend: &Backend, form: Form, queue: Option<&str>, kind: Option<&str>) -> anyhow::Result<()> {
    let failures = read(backend, queue, kind).await?;
    print::answer(form, &failures, |failures| print::table(&COLUMNS, &failures.items))
}

pub(crate) async fn read(
    backend: &Backend,
    queue: Option<&str>,
    kind: Option<&str>,
) -> anyhow::Result<Answer<Failures>> {
    match backend {
        Backend::Http(gateway) => {
            Ok(gateway.get(Endpoint::v1(["failures"]).with("queue", queue).with("kind", kind)).await?)
        }
        Backend::Direct(session) => {
            let queues = session.filter_queues(queue, kind).await?;
            Answer::of(&session.client.failures(&queues, kind, MAX_GROUPS).await?)
        }
    }
}

async fn redrive(
    backend: &Backend,
    form: Form,
    fingerprint: Fingerprint,
    queue: Option<&str>,
) -> anyhow::Result<()> {
    let progress = Progress::of("jobs redriven");
    let moved = match backend {
        Backend::Http(gateway) => {
            let endpoint =
                Endpoint::v1(["failures", &fingerprint.to_string(), "redrive"]).with("queue", queue);
            all_steps(&progress, async || gateway.post_step(endpoint.clone(), &progress).await?.read())
                .await?
        }
        Backend::Direct(session) => {
            let queues = session.filter_queues(queue, None).await?;
            all_steps(&progress, async || {
                Ok(session.client.redrive_failure(&queues, fingerprint, MAX_BATCH).await?)
            })
            .await?
        }
    };
    drop(progress);
    show_moved(form, moved, "redriven")
}

/// Repeats a step that looks at [`MAX_BATCH`] dead jobs and may move none of them. Ends after as many jobs as there
/// were at the start: redriven jobs may die again meanwhile.
async fn all_steps(
    progress: &Progress,
    step: impl AsyncFn() -> anyhow::Result<Moved>,
) -> anyhow::Result<Moved> {
    let (mut moved, mut all) = (0, None);
    loop {
        let step = step().await?;
        moved += step.moved;
        let all = *all.get_or_insert(step.moved + step.remaining);
        if step.remaining == 0 || moved >= all {
            return Ok(Moved { moved, remaining: step.remaining });
        }
        progress.show(moved, Some(all));
    }
}
