//! Dead jobs grouped by cause, as the API and the command line show them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use fred::types::Value;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::fingerprint::{Fingerprint, normalize};
use crate::model::group::Group;
use crate::model::history::History;
use crate::model::id::JobId;
use crate::model::instant;
use crate::scripts::FAILURES;
use crate::wire::{self, Reply};

/// Kinds that are read at the same time.
const AT_ONCE: usize = 16;
/// Dead jobs looked at on each end of a dead set, for an example.
const LOOKED_AT: usize = 100;

/// The groups of dead jobs in the API's JSON.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Failures {
    /// The latest death comes first.
    pub items: Vec<FailureGroup>,
    /// The number of all groups; `items` may have fewer.
    pub total: usize,
}

/// The dead jobs of one kind with one cause, in one queue or several.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FailureGroup {
    pub fingerprint: Fingerprint,
    pub kind: String,
    /// The error without its variable parts. Unset for the jobs that are in no group: a release without groups buried
    /// them, or their kind had 998 other groups.
    pub error: Option<String>,
    pub count: u64,
    /// The first death since the group last was empty. Unset as `error` is.
    #[serde(serialize_with = "instant::serialize_option")]
    pub first_seen: Option<Timestamp>,
    #[serde(serialize_with = "instant::serialize_option")]
    pub last_seen: Option<Timestamp>,
    /// The last builds, at most five, on which jobs of the group died.
    pub builds: Vec<String>,
    pub queues: Vec<String>,
    /// The job that died last, or another job if that is no longer dead. Unset if no job was found quickly.
    pub example: Option<FailureExample>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FailureExample {
    pub id: JobId,
    pub queue: String,
    /// The start of its last error.
    pub error: String,
}

pub(crate) async fn failures(
    core: &Core,
    queues: &[Arc<str>],
    kind: Option<&str>,
    limit: usize,
) -> Result<Failures, Error> {
    let mut places = Vec::new();
    for queue in queues {
        let kinds = core.selected_kinds(queue, kind).await?;
        places.extend(kinds.into_iter().map(|kind| (queue, kind)));
    }
    let reads = places.iter().map(|(queue, kind)| groups_of(core, queue, kind));
    let read: Vec<Vec<FailureGroup>> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
    let mut merged: BTreeMap<Fingerprint, FailureGroup> = BTreeMap::new();
    for group in read.into_iter().flatten() {
        match merged.get_mut(&group.fingerprint) {
            Some(known) => known.merge(group),
            None => drop(merged.insert(group.fingerprint, group)),
        }
    }
    let total = merged.len();
    let mut items: Vec<FailureGroup> = merged.into_values().collect();
    items.sort_by_key(|group| (Reverse(group.last_seen), group.fingerprint));
    items.truncate(limit);
    Ok(Failures { items, total })
}

async fn groups_of(core: &Core, queue: &str, kind: &str) -> Result<Vec<FailureGroup>, Error> {
    let keys = core.keys.queue(queue);
    let script_keys = vec![keys.state().into(), keys.set(kind, Set::Dead).into(), keys.failures(kind).into()];
    let reply = core.call(&FAILURES, script_keys, vec![wire::count(LOOKED_AT)]).await?;
    decode(queue, kind, &reply).ok_or_else(|| reply.corrupt())
}

/// number of dead jobs, a flat list of groups, then fingerprint, id and state of examples
fn decode(queue: &str, kind: &str, reply: &Reply) -> Option<Vec<FailureGroup>> {
    let [dead, Value::Array(values), ..] = reply.values() else { return None };
    let dead = dead.as_u64()?;
    let (mut groups, mut counted) = (Vec::new(), 0);
    for [fingerprint, value] in values.as_chunks().0 {
        // `atode audit` reports a group that cannot be read. Its jobs are shown among those in no group.
        let fingerprint: Option<Fingerprint> = fingerprint.as_str().and_then(|text| text.parse().ok());
        let group = value.as_str().and_then(|text| Group::decode(&text));
        let (Some(fingerprint), Some(group)) = (fingerprint, group) else { continue };
        // A redrive of the jobs in no group keeps its place under their fingerprint.
        if group.count > 0 && dead > 0 {
            counted += group.count;
            groups.push(FailureGroup::new(fingerprint, queue, kind, group));
        }
    }
    if dead > counted {
        groups.push(FailureGroup::of_ungrouped(queue, kind, dead - counted));
    }
    for [fingerprint, id, state] in reply.rows(2) {
        let fingerprint = match fingerprint.as_str()? {
            none if none.is_empty() => Fingerprint::of_ungrouped(kind),
            text => text.parse().ok()?,
        };
        let Some(group) = groups.iter_mut().find(|group| group.fingerprint == fingerprint) else { continue };
        let history = History::decode(&state.as_str()?).map(|(_, history)| history).unwrap_or_default();
        let error = history.failures.last().map_or_else(String::new, |failure| failure.error.clone());
        let id = id.as_str().and_then(|id| id.parse().ok());
        group.example = id.map(|id| FailureExample { id, queue: queue.to_owned(), error });
    }
    Some(groups)
}

impl FailureGroup {
    fn new(fingerprint: Fingerprint, queue: &str, kind: &str, group: Group) -> Self {
        let example = group.example.map(|id| FailureExample {
            id,
            queue: queue.to_owned(),
            error: group.error.clone(),
        });
        FailureGroup {
            fingerprint,
            kind: kind.to_owned(),
            error: Some(normalize(&group.error)),
            count: group.count,
            first_seen: Timestamp::from_millisecond(group.first).ok(),
            last_seen: Timestamp::from_millisecond(group.last).ok(),
            builds: group.builds,
            queues: vec![queue.to_owned()],
            example,
        }
    }

    fn of_ungrouped(queue: &str, kind: &str, count: u64) -> Self {
        FailureGroup {
            fingerprint: Fingerprint::of_ungrouped(kind),
            kind: kind.to_owned(),
            error: None,
            count,
            first_seen: None,
            last_seen: None,
            builds: Vec::new(),
            queues: vec![queue.to_owned()],
            example: None,
        }
    }

    /// Adds the same group of another queue.
    fn merge(&mut self, other: FailureGroup) {
        if other.last_seen > self.last_seen || self.example.is_none() {
            self.example = other.example.or(self.example.take());
        }
        self.count += other.count;
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        for build in other.builds {
            if !self.builds.contains(&build) {
                self.builds.push(build);
            }
        }
        self.queues.extend(other.queues);
    }
}
