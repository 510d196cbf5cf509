//! `atode enqueue`

use std::{fs, io};

use anyhow::{Context, bail};
use atode_jobs::{JobRequest, JobRules, KeySource};
use atode_queue::Enqueued;
use clap::Args;
use serde_json::value::RawValue;

use crate::print::{self, Form};
use crate::session::Session;

#[derive(Args)]
pub(crate) struct EnqueueArgs {
    /// The kind of the job. `GET /v1/kinds` lists all kinds.
    kind: String,
    /// A JSON object that fits the kind. `-` reads it from stdin, `@FILE` from a file.
    #[arg(long, default_value = "{}", value_name = "JSON")]
    payload: String,
    /// Wait before the first run, such as 250ms, 10s or 3m [default: that of the kind].
    #[arg(long, value_parser = parse_delay)]
    delay: Option<String>,
    /// When the job is due, such as 2030-01-31T09:30:00Z. Excludes --delay.
    #[arg(long, value_name = "TIME", conflicts_with = "delay")]
    run_at: Option<String>,
    /// Retries after the first attempt, 0 to 1,000 [default: that of the kind].
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,
    /// Queue of the job [default: that of the kind].
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
}

pub(crate) async fn run(session: &Session, form: Form, args: EnqueueArgs) -> anyhow::Result<()> {
    let payload = read_payload(&args.payload)?;
    let payload: &RawValue = serde_json::from_str(payload.trim()).context("--payload")?;
    let request = JobRequest {
        delay: args.delay.map(Into::into),
        run_at: args.run_at.map(Into::into),
        max_retries: args.max_retries.map(Into::into),
        queue: args.queue,
        ..JobRequest::new(&args.kind, payload)
    };
    let queues = session.config.queues.iter().map(|(name, queue)| (name.as_str(), queue.idempotency_ttl));
    let rules = JobRules::new(session.registry.clone(), queues);
    let job = rules.prepare(&request, "", KeySource::Header(None), session.client.now())?.job;
    let (id, queue) = (job.id, job.queue.clone());
    match session.client.enqueue(job).await? {
        Enqueued::Created { .. } => {}
        other => bail!("the job was not stored: {other:?}"),
    }
    match form {
        Form::Json => print::json(&session.job(&[queue], id).await?),
        Form::Text => print::line(&id.to_string()),
    }
}

/// The JSON that `--payload` names: `-` is stdin, `@FILE` is a file, any other value is the JSON itself.
fn read_payload(argument: &str) -> anyhow::Result<String> {
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

/// Checks a delay and returns it as text, because a request has it as text.
fn parse_delay(text: &str) -> Result<String, String> {
    atode_jobs::parse_delay(text).map(|_| text.to_owned())
}
