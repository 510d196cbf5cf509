//! Changes of the catalogue of kinds by an operator.

use atode_queue::{Client, Counts, Error, HeldDecision, Registration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::published::catalogue::{Catalogue, CatalogueKind};
use crate::published::compatibility::difference;
use crate::published::kind_view::PublishedView;

/// The decision of an operator about a definition that was held.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DecidedKind {
    pub kind: String,
    /// `accepted` or `rejected`.
    pub decision: String,
    /// The definition that was in force.
    pub before: Option<PublishedView>,
    /// The definition that is in force now.
    pub after: Option<PublishedView>,
    /// The first difference between both schemas that is more than a new optional field.
    pub difference: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum KindChangeError {
    #[error("the catalogue of kinds does not have {0}")]
    Unknown(String),
    #[error("nothing is held for the kind {0}: the definition in force is the latest")]
    NothingHeld(String),
    #[error("the kind {0} has changed in the meantime: look at it again")]
    Changed(String),
    #[error("the kind {kind} is in use: {by}")]
    InUse { kind: String, by: String },
    #[error(transparent)]
    Queue(#[from] Error),
}

/// Brings the definition that is held into force, or drops it. A live worker of its build would publish it again, so it
/// can be dropped only once there is none.
pub async fn decide_kind(
    client: &Client,
    kind: &str,
    decision: HeldDecision,
) -> Result<DecidedKind, KindChangeError> {
    let entry = read(client, kind).await?;
    let Some(held) = &entry.held else { return Err(KindChangeError::NothingHeld(kind.to_owned())) };
    if decision == HeldDecision::Reject {
        refuse_if_served(client, kind, Some(&held.build)).await?;
    }
    let before = entry.current.as_ref().map(PublishedView::of);
    let (word, after) = match decision {
        HeldDecision::Accept => ("accepted", Some(PublishedView::of(held))),
        HeldDecision::Reject => ("rejected", before.clone()),
    };
    let difference = entry
        .current
        .as_ref()
        .and_then(|current| difference(current.definition.schema.json(), held.definition.schema.json()));
    if !client.published_kinds().decide(kind, entry.generation, decision).await? {
        return Err(KindChangeError::Changed(kind.to_owned()));
    }
    Ok(DecidedKind { kind: kind.to_owned(), decision: word.to_owned(), before, after, difference })
}

/// Removes a kind that no live worker and no job has. A job that is enqueued at this very moment is stored all the
/// same, and waits for a worker.
pub async fn remove_kind(client: &Client, kind: &str) -> Result<(), KindChangeError> {
    let entry = read(client, kind).await?;
    let in_use = |by: String| Err(KindChangeError::InUse { kind: kind.to_owned(), by });
    refuse_if_served(client, kind, None).await?;
    for queue in client.queue_names().await? {
        let view = client.queue(&queue).await?;
        let counts = view.kinds.iter().find(|counts| counts.kind == *kind).map(|kind| kind.counts);
        let jobs = counts.map_or(0, Counts::total);
        if jobs > 0 {
            return in_use(format!("the queue {queue} has jobs of it ({jobs}, finished ones included)"));
        }
    }
    if !client.published_kinds().remove(kind, entry.generation).await? {
        return Err(KindChangeError::Changed(kind.to_owned()));
    }
    Ok(())
}

/// Refuses if a live worker has the kind, of one build or of any.
async fn refuse_if_served(client: &Client, kind: &str, build: Option<&str>) -> Result<(), KindChangeError> {
    let workers = client.workers().await?;
    let has_it = |worker: &&Registration| {
        worker.kinds.iter().any(|known| known == kind)
            && build.is_none_or(|build| build == worker.worker.build)
    };
    let builds: Vec<&str> = workers.iter().filter(has_it).map(|worker| &*worker.worker.build).collect();
    let Some(build) = builds.first() else { return Ok(()) };
    let by = format!("live workers of build {build} have it ({})", builds.len());
    Err(KindChangeError::InUse { kind: kind.to_owned(), by })
}

async fn read(client: &Client, kind: &str) -> Result<std::sync::Arc<CatalogueKind>, KindChangeError> {
    let catalogue = Catalogue::default();
    catalogue.look_at(client, &[kind.into()]).await?;
    catalogue.entry(kind).ok_or_else(|| KindChangeError::Unknown(kind.to_owned()))
}
