//! `atode bulk`: one change of all jobs that a filter selects.

use anyhow::{bail, ensure};
use atode_jobs::{BulkPreview, BulkRequest};
use atode_queue::{
    Aborted, BulkAction, BulkExample, BulkId, BulkState, BulkView, Items, JobSummary, absent, not_abortable,
};
use clap::{Arg, Args, Subcommand};
use serde_json::json;

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::bulk_run;
use crate::filter::FilterArgs;
use crate::print::{self, Form};
use crate::table::{Column, whole, wraps};
use crate::watch::{Drawn, WatchArgs};

#[derive(Subcommand)]
pub(crate) enum BulkTask {
    /// Put dead jobs back, due now, with all their attempts again.
    #[command(mut_arg("state", |arg| of_states(BulkAction::Redrive, arg)))]
    Redrive(ChangeArgs),
    /// Cancel waiting jobs, and ask the workers of active ones to cancel them.
    #[command(mut_arg("state", |arg| of_states(BulkAction::Cancel, arg)))]
    Cancel(ChangeArgs),
    /// Make scheduled jobs due now.
    #[command(mut_arg("state", |arg| of_states(BulkAction::RunNow, arg)))]
    RunNow(ChangeArgs),
    /// Delete jobs for good. It needs --state (or --fingerprint, which selects dead jobs).
    #[command(mut_arg("state", |arg| of_states(BulkAction::Delete, arg)))]
    Delete(ChangeArgs),
    /// List the bulk operations of the last days, the latest first.
    List {
        /// Bulk operations at most, 1 to 1,000.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        limit: u16,
    },
    /// Show the progress of a bulk operation, and the jobs that it did not change.
    Show {
        id: BulkId,
        #[command(flatten)]
        watch: WatchArgs,
    },
    /// Stop a bulk operation. Jobs that it has changed stay changed.
    Abort { id: BulkId },
}

#[derive(Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// All jobs that can be changed so, instead of a filter.
    #[arg(long)]
    all: bool,
    /// Only count the jobs and show the first ones.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

/// `--state` of an action: it shows and takes only the states whose jobs the action can change.
fn of_states(action: BulkAction, arg: Arg) -> Arg {
    let states = state_words(action).join(", ");
    arg.help(format!("Only these states: {states}"))
        .value_parser(move |text: &str| checked_states(action, text))
}

/// Checks the states and returns them as text, because a request has them as text.
fn checked_states(action: BulkAction, text: &str) -> Result<String, String> {
    let possible = state_words(action);
    let named: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    if !named.is_empty() && named.iter().all(|word| possible.contains(word)) {
        Ok(text.to_owned())
    } else {
        Err(format!("this action is for {} jobs", possible.join(", ")))
    }
}

fn state_words(action: BulkAction) -> Vec<&'static str> {
    action.states().iter().map(|state| state.word()).collect()
}

const EXAMPLE_COLUMNS: [Column<JobSummary>; 5] = [
    whole("id", |job| job.id.to_string()),
    whole("state", |job| job.state.to_string()),
    whole("kind", |job| job.kind.clone()),
    whole("queue", |job| job.queue.clone()),
    wraps("error", |job| job.last_error.clone().unwrap_or_default()),
];

const COLUMNS: [Column<BulkView>; 7] = [
    whole("id", |bulk| bulk.id.to_string()),
    whole("action", |bulk| bulk.action.to_string()),
    whole("state", |bulk| bulk.state.to_string()),
    whole("done", done_of),
    whole("changed", |bulk| bulk.changed.to_string()),
    whole("created", |bulk| bulk.created_at.map_or_else(String::new, |at| format!("{at:.0}"))),
    wraps("filter", |bulk| bulk.filter.get().to_owned()),
];

const UNCHANGED_COLUMNS: [Column<BulkExample>; 4] = [
    whole("id", |job| job.id.to_string()),
    whole("kind", |job| job.kind.clone()),
    whole("outcome", |job| print::word(&job.outcome)),
    wraps("reason", |job| job.reason.clone()),
];

pub(crate) async fn run(backend: &Backend, form: Form, task: BulkTask) -> anyhow::Result<()> {
    match task {
        BulkTask::Redrive(args) => change(backend, form, BulkAction::Redrive, args).await,
        BulkTask::Cancel(args) => change(backend, form, BulkAction::Cancel, args).await,
        BulkTask::RunNow(args) => change(backend, form, BulkAction::RunNow, args).await,
        BulkTask::Delete(args) => change(backend, form, BulkAction::Delete, args).await,
        BulkTask::List { limit } => list(backend, form, usize::from(limit)).await,
        BulkTask::Show { id, watch } => {
            crate::watch::run(watch, async || show(backend, form, id).await).await
        }
        BulkTask::Abort { id } => abort(backend, form, id).await,
    }
}

async fn change(backend: &Backend, form: Form, action: BulkAction, args: ChangeArgs) -> anyhow::Result<()> {
    let ChangeArgs { filter, all, dry_run, yes } = args;
    let request = BulkRequest { action, filter: filter.bulk(all), dry_run };
    let preview = preview(backend, &request).await?;
    if dry_run {
        return print::answer(form, &preview, print_preview);
    }
    let counted = preview.read()?;
    let is_complete = counted.searched.as_ref().is_none_or(|searched| searched.complete);
    if form == Form::Text {
        print_preview(&counted)?;
    }
    if counted.matched == Some(0) && is_complete && form == Form::Text {
        return print::line("nothing to do");
    }
    if !yes && !bulk_run::asks(&question(&counted, is_complete))? {
        bail!("nothing was changed");
    }
    let ended = Box::pin(bulk_run::run(backend, form, &request)).await?;
    let bulk = ended.read()?;
    print::answer(form, &ended, |bulk| print::line(&text(bulk)))?;
    if let Some(error) = &bulk.error {
        bail!("the bulk operation has failed: {error}");
    }
    ensure!(bulk.state == BulkState::Finished, "the bulk operation was aborted");
    ensure!(bulk.failed == 0, "{} jobs could not be changed", bulk.failed);
    Ok(())
}

async fn preview(backend: &Backend, request: &BulkRequest) -> anyhow::Result<Answer<BulkPreview>> {
    match backend {
        Backend::Http(gateway) => {
            let body = json!({ "action": request.action, "filter": request.filter, "dry_run": true });
            Ok(gateway.post_json(Endpoint::v1(["bulk"]), body.to_string()).await?)
        }
        Backend::Direct(session) => {
            let (rules, queues) = (session.rules().await?, session.queues().await?);
            Answer::of(&request.preview(&session.client, &rules, &queues).await?)
        }
    }
}

async fn list(backend: &Backend, form: Form, limit: usize) -> anyhow::Result<()> {
    let bulks = match backend {
        Backend::Http(gateway) => {
            gateway.get(Endpoint::v1(["bulk"]).with("limit", Some(limit.to_string()))).await?
        }
        Backend::Direct(session) => Answer::of(&Items { items: session.client.bulks().list(limit).await? })?,
    };
    print::answer(form, &bulks, |bulks: &Items<BulkView>| print::table(&COLUMNS, &bulks.items))
}

async fn show(backend: &Backend, form: Form, id: BulkId) -> anyhow::Result<Drawn> {
    let bulk = bulk_run::read(backend, id).await?;
    let text = print::answer_text(form, &bulk, text)?;
    Ok(Drawn { text, is_final: bulk.read().is_ok_and(|bulk| bulk.state.has_ended()) })
}

async fn abort(backend: &Backend, form: Form, id: BulkId) -> anyhow::Result<()> {
    let bulk = match backend {
        Backend::Http(gateway) => gateway.post(Endpoint::v1(["bulk", &id.to_string(), "abort"])).await?,
        Backend::Direct(session) => match session.client.bulks().abort(id).await? {
            Aborted::Done(bulk) => Answer::of(&*bulk)?,
            Aborted::Refused(state) => bail!(not_abortable(id, state)),
            Aborted::Gone => bail!(absent::bulk(id)),
        },
    };
    print::answer(form, &bulk, |bulk: &BulkView| {
        print::line(&format!("bulk operation {id} is {}; it had changed {} jobs", bulk.state, bulk.changed))
    })
}

fn print_preview(preview: &BulkPreview) -> anyhow::Result<()> {
    if !preview.examples.is_empty() {
        print::table(&EXAMPLE_COLUMNS, &preview.examples)?;
    }
    let more = match preview.matched {
        Some(matched) => matched.saturating_sub(preview.examples.len() as u64),
        None => 0,
    };
    if more > 0 {
        print::line(&format!("… and {more} more"))?;
    }
    match &preview.searched {
        Some(searched) if !searched.complete => {
            print::line(&format!("searched {} jobs so far; there may be more", searched.jobs))
        }
        _ => Ok(()),
    }
}

/// The question before the change: `Cancel 283 jobs?`
fn question(preview: &BulkPreview, is_complete: bool) -> String {
    let verb = match preview.action {
        BulkAction::Redrive => "Redrive",
        BulkAction::Cancel => "Cancel",
        BulkAction::RunNow => "Run now",
        BulkAction::Delete => "Delete, for good,",
    };
    match preview.matched {
        Some(1) if is_complete => format!("{verb} 1 job?"),
        Some(matched) if is_complete => format!("{verb} {matched} jobs?"),
        Some(matched) => format!("{verb} {matched} jobs and those that are found later?"),
        None => format!("{verb} all jobs that match?"),
    }
}

fn text(bulk: &BulkView) -> String {
    let time = |at: Option<jiff::Timestamp>| at.map(|at| format!("{at:.3}"));
    let runner = bulk.runner.as_ref().map(|it| format!("{} {}, pid {}", it.program, it.build, it.pid));
    let values = [
        ("bulk operation", Some(bulk.id.to_string())),
        ("action", Some(bulk.action.to_string())),
        ("filter", Some(bulk.filter.get().to_owned())),
        ("state", Some(bulk.state.to_string())),
        ("created", time(bulk.created_at)),
        ("started", time(bulk.started_at)),
        ("ended", time(bulk.ended_at)),
        ("jobs looked at", Some(done_of(bulk))),
        ("changed", Some(bulk.changed.to_string())),
        ("skipped", Some(bulk.skipped.to_string())),
        ("failed", Some(bulk.failed.to_string())),
        ("runner", runner),
        ("error", bulk.error.clone()),
    ];
    let mut text = print::values_text(values);
    if !bulk.examples.is_empty() {
        text.extend(["\n\n", &print::table_text(&UNCHANGED_COLUMNS, &bulk.examples)]);
    }
    text
}

fn done_of(bulk: &BulkView) -> String {
    match bulk.total {
        Some(total) => format!("{} of {}", bulk.done, total.max(bulk.done)),
        None => bulk.done.to_string(),
    }
}
