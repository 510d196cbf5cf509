//! `atode enqueue`

use std::{fs, io};

use anyhow::{Context, anyhow, bail};
use atode_config::traces::{Trace, TraceContext};
use atode_jobs::{JobRequest, KeySource, check_key, key_reused};
use atode_queue::{Enqueued, JobId, JobView};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::due::DueArgs;
use crate::print::{self, Form};
use crate::session::Session;
use crate::trace;

#[derive(Args)]
pub(crate) struct EnqueueArgs {
    /// The kind of the job. `GET /v1/kinds` lists all kinds.
    kind: String,
    /// A JSON object that fits the kind. `-` reads it from stdin, `@FILE` from a file.
    #[arg(long, default_value = "{}", value_name = "JSON")]
    payload: String,
    #[command(flatten)]
    due: DueArgs,
    /// Retries after the first attempt, 0 to 1,000 [default: that of the kind].
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,
    /// Queue of the job [default: that of the kind].
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Names this job: the same command with the same key stores it only once [default: a new key].
    #[arg(long, value_name = "KEY", value_parser = checked_key)]
    idempotency_key: Option<String>,
}

/// The body of `POST /v1/jobs`.
#[derive(Serialize)]
struct Body<'a> {
    kind: &'a str,
    payload: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_retries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'a str>,
}

pub(crate) async fn run(backend: &Backend, form: Form, args: EnqueueArgs) -> anyhow::Result<()> {
    let payload = read_payload(&args.payload)?;
    let body = Body {
        kind: &args.kind,
        payload: serde_json::from_str(payload.trim()).context("--payload")?,
        delay: args.due.delay.as_deref(),
        run_at: args.due.run_at.as_deref(),
        max_retries: args.max_retries,
        queue: args.queue.as_deref(),
    };
    let body = serde_json::to_string(&body)?;
    let trace = trace::of_the_environment();
    let new_key = || JobId::new(Timestamp::now().as_millisecond()).to_string();
    let key = args.idempotency_key.unwrap_or_else(new_key);
    let stored = match backend {
        Backend::Http(gateway) => {
            let stored = gateway.post_once(Endpoint::v1(["jobs"]), body, key.clone(), trace).await;
            stored.map_err(|error| (error.has_unknown_outcome(), error.into()))
        }
        Backend::Direct(session) => enqueue(session, &body, &key, trace).await.map_err(|error| {
            let outcome = error.downcast_ref::<atode_queue::Error>();
            (outcome.is_some_and(|error| !error.nothing_happened()), error)
        }),
    };
    let stored = stored.map_err(|(is_unknown, error): (bool, anyhow::Error)| {
        if is_unknown {
            anyhow!("{error:#}. The job may be stored: repeat the command with --idempotency-key {key}, which stores it only once")
        } else {
            error
        }
    })?;
    let printed = print::answer(form, &stored, |job: &JobView| print::line(&job.id.to_string()));
    printed.with_context(|| {
        let id = stored.read().map_or_else(|_| String::new(), |job: JobView| job.id.to_string());
        format!("the job {id} is stored, but its id could not be written to stdout")
    })
}

async fn enqueue(
    session: &Session,
    body: &str,
    key: &str,
    trace: Option<TraceContext>,
) -> anyhow::Result<Answer<JobView>> {
    let request: JobRequest<'_> = serde_json::from_str(body)?;
    let rules = session.rules_for(&request.kind).await?;
    let prepared = rules.prepare(&request, body, KeySource::Header(Some(key)), session.client.now())?;
    let prepared = prepared.caused_by(trace.map(Trace::Span));
    match session.client.enqueue(prepared.job.clone()).await? {
        Enqueued::Created { at } => Answer::of(&prepared.stored(at)),
        Enqueued::Duplicate(id) => {
            let queue = prepared.job.queue.clone();
            Answer::of(&session.job(&[queue], id).await?.unwrap_or_else(|| prepared.removed(id)))
        }
        Enqueued::Conflict(id) => bail!(key_reused(id)),
    }
}

/// The JSON that `--payload` names: `-` is stdin, `@FILE` is a file, any other value is the JSON itself.
pub(crate) fn read_payload(argument: &str) -> anyhow::Result<String> {
    let text = match argument.strip_prefix('@') {
        Some(path) => {
            fs::read_to_string(path).with_context(|| format!("--payload @{path}: cannot read this file"))?
        }
        None if argument == "-" => {
            io::read_to_string(io::stdin()).context("--payload -: cannot read stdin")?
        }
        None => argument.to_owned(),
    };
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

fn checked_key(text: &str) -> Result<String, String> {
    check_key(text).map(|()| text.to_owned())
}
