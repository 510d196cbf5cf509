//! Starts a bulk operation, and shows its progress until it has ended. It goes on without this command: a gateway runs
//! it, or takes it over if this command ran it.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use atode_jobs::BulkRequest;
use atode_queue::{BulkAction, BulkId, BulkRunner, BulkView, Created, JobId, absent, too_many_bulks};
use jiff::Timestamp;
use serde_json::json;

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::call_error::CallError;
use crate::print::{self, Form};
use crate::progress::Progress;
use crate::session::Session;

/// The first pause between two looks. It grows, so that long work does not use up a rate limit.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Looks that fail for this long end the command.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// The pause before this command looks again for something to run.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Asks on the terminal.
pub(crate) fn asks(question: &str) -> anyhow::Result<bool> {
    ensure!(
        io::stdin().is_terminal(),
        "there is no terminal to ask on: --yes goes on without a question, --dry-run only counts"
    );
    write!(io::stderr(), "{question} [y/N] ").context("cannot ask")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The bulk operation when it has ended.
pub(crate) async fn run(
    backend: &Backend,
    form: Form,
    request: &BulkRequest,
) -> anyhow::Result<Answer<BulkView>> {
    let started = start(backend, request).await?.read()?;
    if form == Form::Text {
        let id = started.id;
        print::line(&format!(
            "bulk operation {id} goes on without this command; `atode bulk abort {id}` stops it"
        ))?;
    }
    let progress = Progress::of(match started.action {
        BulkAction::Redrive => "jobs redriven",
        BulkAction::Cancel => "jobs cancelled",
        BulkAction::RunNow => "jobs made due",
        BulkAction::Delete => "jobs deleted",
    });
    let has_ended = AtomicBool::new(false);
    let watched = async {
        let ended = watch(backend, started.id, &progress).await;
        has_ended.store(true, Ordering::Relaxed);
        ended
    };
    match backend {
        Backend::Http(_) => watched.await,
        Backend::Direct(session) => Ok(tokio::try_join!(watched, run_here(session, &has_ended))?.0),
    }
}

pub(crate) async fn read(backend: &Backend, id: BulkId) -> anyhow::Result<Answer<BulkView>> {
    match backend {
        Backend::Http(gateway) => Ok(gateway.get(Endpoint::v1(["bulk", &id.to_string()])).await?),
        Backend::Direct(session) => {
            let bulk = session.client.bulks().get(id).await?;
            Answer::of(&bulk.with_context(|| absent::bulk(id))?)
        }
    }
}

async fn start(backend: &Backend, request: &BulkRequest) -> anyhow::Result<Answer<BulkView>> {
    match backend {
        Backend::Http(gateway) => {
            let body = json!({ "action": request.action, "filter": request.filter }).to_string();
            let key = JobId::new(Timestamp::now().as_millisecond()).to_string();
            let started = gateway.post_once(Endpoint::v1(["bulk"]), body, key, None).await;
            started.map_err(|error| {
                if error.has_unknown_outcome() {
                    anyhow!("{error}. The bulk operation may have started: look at `atode bulk list`")
                } else {
                    error.into()
                }
            })
        }
        Backend::Direct(session) => {
            let (rules, queues) = (session.rules().await?, session.queues().await?);
            match request.start(&session.client, &rules, &queues, None).await? {
                Created::Created(bulk) => Answer::of(&*bulk),
                Created::Full => bail!(too_many_bulks()),
                Created::Duplicate(id) | Created::Conflict(id) => bail!("bulk operation {id} has this key"),
            }
        }
    }
}

/// Looks until it has ended. A look that fails is repeated, unless the gateway refuses it: a gateway may be restarting.
async fn watch(backend: &Backend, id: BulkId, progress: &Progress) -> anyhow::Result<Answer<BulkView>> {
    let mut pause = FIRST_PAUSE;
    let mut seen = Instant::now();
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        match read(backend, id).await {
            Ok(answer) => {
                let bulk = answer.read()?;
                if bulk.state.has_ended() {
                    return Ok(answer);
                }
                progress.show(bulk.done, bulk.total);
                seen = Instant::now();
            }
            Err(error) => {
                let call = error.downcast_ref::<CallError>();
                if call.is_some_and(CallError::is_refusal) || seen.elapsed() > PATIENCE {
                    return Err(error.context(format!(
                        "cannot look at bulk operation {id}, which goes on; `atode bulk show {id}` looks again"
                    )));
                }
                pause = pause.max(call.and_then(CallError::retry_after).unwrap_or_default());
                progress.wait(format!("goes on; cannot look at it: {error:#}"));
            }
        }
    }
}

/// Runs bulk operations in their order until the own one has ended. Those in front of it would otherwise wait for a
/// gateway.
async fn run_here(session: &Session, has_ended: &AtomicBool) -> anyhow::Result<()> {
    let build = env!("ATODE_BUILD").to_owned();
    let runner = BulkRunner { program: "atode".to_owned(), pid: std::process::id(), build };
    let rules = session.rules().await?;
    let retention = |kind: &str| rules.retention(kind);
    let is_stopping = || has_ended.load(Ordering::Relaxed);
    while !is_stopping() {
        // A failed look is repeated: Redis may be away for a moment.
        if !session.client.bulks().run_next(&runner, &retention, &is_stopping).await.unwrap_or(false) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    Ok(())
}
