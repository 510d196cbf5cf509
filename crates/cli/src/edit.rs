//! `atode job edit`

use std::io::{self, IsTerminal};

use anyhow::{Context, anyhow, bail, ensure};
use atode_jobs::EditRequest;
use atode_queue::{Edited, JobId, JobView, State, absent};
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::signal;

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::due::DueArgs;
use crate::editor::{self, Draft};
use crate::enqueue::read_payload;
use crate::job;
use crate::operate::outcome;
use crate::print::{self, Form};
use crate::session::Session;
use crate::version::Version;

#[derive(Args)]
pub(crate) struct EditArgs {
    /// The job's UUID, or the form of 14 or 22 characters that Redis stores (put that form in single quotes).
    id: JobId,
    /// The new payload, a JSON object that fits the kind. `-` reads it from stdin, `@FILE` from a file.
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    #[command(flatten)]
    due: DueArgs,
    /// Retries after the first attempt, 0 to 1,000, or `default` for those of the kind.
    #[arg(long, value_name = "N", value_parser = checked_retries)]
    max_retries: Option<Retries>,
    /// Change the job only if it still has this `ETag`, which `atode job show` prints.
    #[arg(long, value_name = "ETAG")]
    if_match: Option<Version>,
}

impl EditArgs {
    /// The reason why nothing can be changed, if there is one.
    pub(crate) fn obstacle(&self) -> Option<&'static str> {
        let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
        let why = "nothing to change: give --payload, --delay, --run-at or --max-retries; on a terminal, an editor opens";
        (self.is_empty() && !is_terminal).then_some(why)
    }

    /// True if the editor is to be opened.
    fn is_empty(&self) -> bool {
        let EditArgs { payload, due, max_retries, .. } = self;
        payload.is_none() && due.delay.is_none() && due.run_at.is_none() && max_retries.is_none()
    }
}

/// `null` stands for the retries of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Retries(Option<u32>);

/// The body of `PATCH /v1/jobs/{id}`.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_retries: Option<Retries>,
}

pub(crate) async fn run(backend: &Backend, form: Form, args: EditArgs) -> anyhow::Result<()> {
    let id = args.id;
    let (body, version, file) = if args.is_empty() {
        let (before, version) = job::read(backend, id).await?;
        let before = before.read()?;
        let waits = matches!(before.state, Some(State::Scheduled | State::Ready));
        ensure!(waits, refusal(id, before.state));
        let (body, file) = editor::edit(&Draft::of(&before)?, id).await?;
        let Some(body) = body else {
            file.remove();
            return print::line(&format!("job {id} is not changed"));
        };
        (body, args.if_match.or(version), Some(file))
    } else {
        let payload = args.payload.as_deref().map(read_payload).transpose()?;
        let payload = payload.as_deref().map(|payload| serde_json::from_str(payload.trim()));
        let body = Body {
            payload: payload.transpose().context("--payload")?,
            delay: args.due.delay.as_deref(),
            run_at: args.due.run_at.as_deref(),
            max_retries: args.max_retries,
        };
        (serde_json::to_string(&body)?, args.if_match, None)
    };
    let edited = tokio::select! {
        edited = send(backend, id, body, version) => edited,
        _ = signal::ctrl_c() => Err(anyhow!("interrupted, perhaps after the change: look at `atode job show {id}`")),
    };
    let edited = match file {
        None => edited?,
        Some(file) => {
            let edited = edited.with_context(|| file.place())?;
            file.remove();
            edited
        }
    };
    print::answer(form, &edited, |job| print::line(&outcome(job)))
}

async fn send(
    backend: &Backend,
    id: JobId,
    body: String,
    version: Option<Version>,
) -> anyhow::Result<Answer<JobView>> {
    match backend {
        Backend::Http(gateway) => {
            let endpoint = Endpoint::v1(["jobs", &id.to_string()]);
            let edited = gateway.patch(endpoint, body, version.as_ref()).await;
            edited.map_err(|error| match error {
                error if error.is_other_version() => anyhow!(other_version(id)),
                error => error.into(),
            })
        }
        Backend::Direct(session) => Answer::of(&edit(session, id, &body, version.as_ref()).await?),
    }
}

async fn edit(
    session: &Session,
    id: JobId,
    body: &str,
    version: Option<&Version>,
) -> anyhow::Result<JobView> {
    let before = session.existing_job(id).await?;
    let request: EditRequest<'_> = serde_json::from_str(body)?;
    let rules = session.rules_for(&before.kind).await?;
    let edit = rules.edit(&before, &request, session.client.now())?;
    let version = version.and_then(Version::text);
    match session.client.edit(&before.queue, &before.kind, id, version, &edit).await? {
        Edited::Done => {
            let after = session.job(&[before.queue.as_str().into()], id).await?;
            Ok(after.unwrap_or(JobView { state: None, ..before }))
        }
        Edited::Refused(state) => bail!(refusal(id, Some(state))),
        Edited::OtherVersion => bail!(other_version(id)),
        Edited::Gone => bail!(absent::removed_job(id)),
    }
}

fn refusal(id: JobId, state: Option<State>) -> String {
    let state = state.map_or_else(|| "gone".to_owned(), |state| state.to_string());
    format!("job {id} is {state}: only a waiting job can be changed")
}

fn other_version(id: JobId) -> String {
    format!(
        "job {id} was changed since it was read; nothing was changed by this request. Look at it with `atode job show {id}`, and repeat the edit with its present ETag"
    )
}

fn checked_retries(text: &str) -> Result<Retries, String> {
    match text {
        "default" => Ok(Retries(None)),
        number => {
            let expected = "expected a whole number, or `default`";
            number.parse().map(|n| Retries(Some(n))).map_err(|_| expected.to_owned())
        }
    }
}
