//! `atode job explain`

use anyhow::Context;
use atode_queue::{Explanation, JobId, absent};
use jiff::Timestamp;
use serde::Deserialize;

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::print::{self, Form};
use crate::session::Session;
use crate::table::{Column, whole, wraps};
use crate::watch::Drawn;

/// An [`Explanation`] as text: a newer gateway may have reasons and checks that this build does not know.
#[derive(Deserialize)]
struct Explained {
    id: String,
    kind: String,
    queue: String,
    state: String,
    reason: String,
    sentence: String,
    what_to_do: String,
    runs_at_earliest: Option<Timestamp>,
    checks: Vec<ExplainedCheck>,
}

#[derive(Deserialize)]
struct ExplainedCheck {
    name: String,
    result: String,
    detail: String,
}

const CHECK_COLUMNS: [Column<ExplainedCheck>; 3] = [
    whole("check", |it| it.name.clone()),
    whole("result", |it| it.result.clone()),
    wraps("detail", |it| it.detail.clone()),
];

pub(crate) async fn run(backend: &Backend, form: Form, id: JobId) -> anyhow::Result<Drawn> {
    let explanation = match backend {
        Backend::Http(gateway) => gateway.get(Endpoint::v1(["jobs", &id.to_string(), "explain"])).await?,
        Backend::Direct(session) => Answer::from_json(serde_json::to_string(&explain(session, id).await?)?),
    };
    let text = print::answer_text(form, &explanation, text)?;
    let has_ended = |it: Explained| ["completed", "dead", "cancelled"].contains(&&*it.state);
    Ok(Drawn { text, is_final: explanation.read().is_ok_and(has_ended) })
}

async fn explain(session: &Session, id: JobId) -> anyhow::Result<Explanation> {
    let facts = session.client.explain(&session.queues().await?, id).await?;
    let mut facts = facts.with_context(|| absent::job(id, session.client.now()))?;
    let rules = session.rules_for(&facts.kind).await?;
    facts.max_retries = facts.max_retries.or_else(|| rules.max_retries(&facts.kind));
    Ok(facts.explain())
}

fn text(it: &Explained) -> String {
    let values = [
        ("job", Some(format!("{}, {} in the queue {}", it.id, it.kind, it.queue))),
        ("state", Some(it.state.clone())),
        ("reason", Some(it.reason.clone())),
        ("why", Some(it.sentence.clone())),
        ("what to do", Some(it.what_to_do.clone())),
        ("not before", it.runs_at_earliest.map(|at| format!("{at:.3}"))),
    ];
    let mut text = print::values_text(values);
    if !it.checks.is_empty() {
        text.extend(["\n\n", &print::table_text(&CHECK_COLUMNS, &it.checks)]);
    }
    text
}
