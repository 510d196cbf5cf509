//! `atode enqueue`

use std::borrow::Cow;
use std::sync::Arc;
use std::{fs, io};

use anyhow::{Context, bail};
use atode_queue::{Due, Enqueued, NewJob, Record};
use serde_json::value::RawValue;

use crate::EnqueueArgs;
use crate::print::{self, Form};
use crate::session::Session;

pub(crate) async fn run(session: &Session, form: Form, args: EnqueueArgs) -> anyhow::Result<()> {
    let Some(kind) = session.registry.get(&args.kind) else {
        let known: Vec<&str> = session.registry.kinds().map(|kind| &*kind.name).collect();
        bail!("unknown kind {:?}; there are: {}", args.kind, known.join(", "));
    };
    if !session.config.queues.contains_key(&*kind.queue) {
        bail!("the queue {:?} of this kind is not configured; config.yaml names queues", kind.queue);
    }
    let payload = read_payload(&args.payload)?;
    kind.check(&payload).context("--payload")?;
    let payload: &RawValue = serde_json::from_str(payload.trim()).context("--payload")?;
    let record = Record {
        kind: Cow::Borrowed(&*kind.name),
        payload,
        delay: args.delay.map(|delay| delay.as_millis() as u64),
        run_at: None,
        max_retries: None,
        durability: None,
    };
    let due = Due::After(args.delay.unwrap_or(kind.delay));
    let queue: Arc<str> = kind.queue.clone();
    let id = session.client.new_id();
    match session.client.enqueue(NewJob::new(id, &queue, &kind.name, &record, due)).await? {
        Enqueued::Created { .. } => {}
        other => bail!("the job was not stored: {other:?}"),
    }
    match form {
        Form::Json => print::json(&session.job(&[queue], id).await?),
        Form::Text => print::line(&id.to_string()),
    }
}

/// The JSON that `--payload` names: `-` is stdin, `@FILE` a file, everything else the JSON itself.
fn read_payload(argument: &str) -> anyhow::Result<Cow<'_, str>> {
    let text = if argument == "-" {
        io::read_to_string(io::stdin()).context("--payload -: cannot read stdin")?
    } else if let Some(path) = argument.strip_prefix('@') {
        fs::read_to_string(path).with_context(|| format!("--payload @{path}: cannot read this file"))?
    } else {
        return Ok(Cow::Borrowed(argument));
    };
    Ok(Cow::Owned(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
}
