//! A kind as the API and the command line show it.

use std::collections::BTreeMap;
use std::time::Duration;

use atode_queue::Registration;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::job::Execution;
use crate::known_kind::KnownKind;
use crate::published::catalogue::CatalogueKind;
use crate::published::compatibility::difference;
use crate::published::definition::PublishedKind;
use crate::request::JobRules;

/// Kinds per reply.
pub const MAX_KINDS_PER_PAGE: usize = 1_000;
/// The bytes of their schemas after which a reply ends.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// A part of the list of kinds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KindPage {
    pub items: Vec<KindView>,
    /// The last kind, if there are more behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KindView {
    pub kind: String,
    pub queue: String,
    pub delay: String,
    pub max_retries: u32,
    pub backoff: BackoffView,
    pub timeout: String,
    pub retention: String,
    pub execution: Execution,
    /// JSON Schema of the payload.
    pub payload: Value,
    /// Live workers that claim its jobs; null if they are not known.
    pub live_workers: Option<usize>,
    /// The builds of these workers. Left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub served_by: Vec<ServedBy>,
    /// Left out if the catalogue does not have the kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<PublishedView>,
    /// A later definition that waits to be accepted. Left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldView>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BackoffView {
    pub first: String,
    pub factor: f64,
    pub ceiling: String,
    pub jitter: f64,
}

/// Live workers of one build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServedBy {
    pub build: String,
    pub workers: usize,
}

/// The worker whose definition is in force.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PublishedView {
    pub build: String,
    pub started_at: Option<Timestamp>,
}

/// The worker whose definition is held.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HeldView {
    pub build: String,
    pub started_at: Option<Timestamp>,
    /// The first difference of its schema that is not compatible.
    pub difference: Option<String>,
}

impl KindPage {
    /// At most `limit` kinds behind the kind `after`. `workers` are the live ones, if they are known.
    pub fn new(
        rules: &JobRules,
        workers: Option<&[Registration]>,
        limit: usize,
        after: Option<&str>,
    ) -> Self {
        let mut kinds = rules.kinds();
        kinds.retain(|kind| after.is_none_or(|after| **kind.name() > *after));
        let (mut items, mut bytes) = (Vec::new(), 0);
        for kind in kinds.iter().take(limit) {
            if bytes > PAGE_BYTES {
                break;
            }
            let entry = rules.catalogue().and_then(|catalogue| catalogue.entry(kind.name()));
            let view = KindView::new(kind, entry.as_deref(), workers);
            bytes += view.payload.to_string().len();
            items.push(view);
        }
        let has_more = items.len() < kinds.len();
        KindPage {
            next_cursor: items.last().filter(|_| has_more).map(|last: &KindView| last.kind.clone()),
            items,
        }
    }
}

impl KindView {
    /// `entry` is what the catalogue says, and `workers` are the live ones, if they are known.
    pub fn new(
        kind: &KnownKind<'_>,
        entry: Option<&CatalogueKind>,
        workers: Option<&[Registration]>,
    ) -> Self {
        let definition = kind.definition();
        let claiming = || workers.into_iter().flatten().filter(|worker| worker.claims_kind(&definition.kind));
        let mut builds: BTreeMap<&str, usize> = BTreeMap::new();
        for worker in claiming() {
            *builds.entry(&worker.worker.build).or_default() += 1;
        }
        let current = entry.and_then(|entry| entry.current.as_ref());
        let backoff = &definition.backoff;
        KindView {
            kind: definition.kind.to_string(),
            queue: definition.queue.to_string(),
            delay: duration_text(&definition.delay),
            max_retries: definition.max_retries,
            backoff: BackoffView {
                first: duration_text(&backoff.first),
                factor: backoff.factor,
                ceiling: duration_text(&backoff.ceiling),
                jitter: backoff.jitter,
            },
            timeout: duration_text(&definition.timeout),
            retention: duration_text(&definition.retention),
            execution: definition.execution,
            payload: definition.schema.json().clone(),
            live_workers: workers.map(|_| claiming().count()),
            served_by: builds
                .into_iter()
                .map(|(build, workers)| ServedBy { build: build.to_owned(), workers })
                .collect(),
            published: current.map(PublishedView::of),
            held: entry.and_then(|entry| entry.held.as_ref()).map(|held| HeldView {
                build: held.build.clone(),
                started_at: started_at(held),
                difference: current.and_then(|current| {
                    difference(current.definition.schema.json(), held.definition.schema.json())
                }),
            }),
        }
    }
}

impl PublishedView {
    pub(crate) fn of(published: &PublishedKind) -> Self {
        PublishedView { build: published.build.clone(), started_at: started_at(published) }
    }
}

fn started_at(published: &PublishedKind) -> Option<Timestamp> {
    Timestamp::from_millisecond(published.started_at).ok()
}

/// A duration as requests write it, such as `3m`.
pub fn duration_text(duration: &Duration) -> String {
    SignedDuration::try_from(*duration)
        .map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}"))
}
