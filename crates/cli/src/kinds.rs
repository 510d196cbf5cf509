//! `atode kinds …`

use atode_jobs::{
    DecidedKind, KindPage, KindView, MAX_KINDS_PER_PAGE, PublishedView, decide_kind, remove_kind,
};
use atode_queue::HeldDecision;
use clap::Subcommand;

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::print::{self, Form};
use crate::session::Session;
use crate::table::{Column, whole, wraps};

#[derive(Subcommand)]
pub(crate) enum KindsAction {
    /// Bring the held definition of a kind into force, and print what it replaces.
    ///
    /// A worker whose schema has more changes than new optional fields does not replace the earlier one by itself. Accept
    /// it once no worker of the earlier build runs: from then on, payloads are checked by the later schema.
    Accept { kind: String },
    /// Drop the held definition of a kind. The one in force stays. Refused while a live worker has the held one.
    Reject { kind: String },
    /// Remove a kind from the catalogue. Refused while a live worker or a job has it.
    Rm { kind: String },
}

const COLUMNS: [Column<KindView>; 7] = [
    whole("kind", |it| it.kind.clone()),
    whole("queue", |it| it.queue.clone()),
    whole("delay", |it| it.delay.clone()),
    whole("retries", |it| it.max_retries.to_string()),
    whole("workers", |it| it.live_workers.map_or_else(String::new, |workers| workers.to_string())),
    wraps("served by", |it| it.served_by.iter().map(|it| it.build.clone()).collect::<Vec<_>>().join(", ")),
    wraps("held", |it| {
        let held = it.held.as_ref();
        held.map_or_else(String::new, |held| {
            format!("build {}: {}", held.build, held.difference.as_deref().unwrap_or("compatible"))
        })
    }),
];

pub(crate) async fn run(
    backend: &Backend,
    form: Form,
    action: Option<KindsAction>,
    cursor: Option<String>,
) -> anyhow::Result<()> {
    match action {
        None => list(backend, form, cursor.as_deref()).await,
        Some(KindsAction::Accept { kind }) => decide(backend, form, &kind, HeldDecision::Accept).await,
        Some(KindsAction::Reject { kind }) => decide(backend, form, &kind, HeldDecision::Reject).await,
        Some(KindsAction::Rm { kind }) => remove(backend, form, &kind).await,
    }
}

async fn list(backend: &Backend, form: Form, cursor: Option<&str>) -> anyhow::Result<()> {
    let page = match backend {
        Backend::Http(gateway) => gateway.get(Endpoint::v1(["kinds"]).with("cursor", cursor)).await?,
        Backend::Direct(session) => Answer::of(&page(session, cursor).await?)?,
    };
    print::answer(form, &page, |page: &KindPage| {
        print::table(&COLUMNS, &page.items)?;
        match &page.next_cursor {
            Some(next) => print::line(&format!("there are more kinds: --cursor {next}")),
            None => Ok(()),
        }
    })
}

async fn page(session: &Session, cursor: Option<&str>) -> anyhow::Result<KindPage> {
    let workers = session.client.workers().await?;
    Ok(KindPage::new(&session.rules().await?, Some(&workers), MAX_KINDS_PER_PAGE, cursor))
}

async fn remove(backend: &Backend, form: Form, kind: &str) -> anyhow::Result<()> {
    match backend {
        Backend::Http(gateway) => gateway.delete(Endpoint::v1(["kinds", kind])).await?,
        Backend::Direct(session) => remove_kind(&session.client, kind).await?,
    }
    match form {
        Form::Text => print::line(&format!("kind {kind} is removed from the catalogue")),
        // The API answers without a body.
        Form::Json => Ok(()),
    }
}

async fn decide(backend: &Backend, form: Form, kind: &str, decision: HeldDecision) -> anyhow::Result<()> {
    let decided = match backend {
        Backend::Http(gateway) => {
            let action = match decision {
                HeldDecision::Accept => "accept",
                HeldDecision::Reject => "reject",
            };
            gateway.post(Endpoint::v1(["kinds", kind, action])).await?
        }
        Backend::Direct(session) => Answer::of(&decide_kind(&session.client, kind, decision).await?)?,
    };
    print::answer(form, &decided, |decided: &DecidedKind| {
        let difference = decided.difference.as_deref().unwrap_or("new optional fields, or none");
        print::line(&print::values_text([
            ("kind", Some(decided.kind.clone())),
            ("decision", Some(decided.decision.clone())),
            ("before", Some(build(decided.before.as_ref()))),
            ("in force", Some(build(decided.after.as_ref()))),
            ("difference", Some(difference.to_owned())),
        ]))
    })
}

fn build(published: Option<&PublishedView>) -> String {
    let Some(PublishedView { build, started_at }) = published else { return "none".to_owned() };
    match started_at {
        Some(at) => format!("build {build}, whose worker started at {at:.0}"),
        None => format!("build {build}"),
    }
}
