//! The groups of dead jobs, and what they should count.

use std::collections::BTreeMap;

use fred::interfaces::HashesInterface;
use fred::types::Value;

use crate::budget::MAX_BATCH;
use crate::error::Error;
use crate::inspect::inspection::Inspection;
use crate::keys::Set;
use crate::model::death::Death;
use crate::model::group::Group;
use crate::model::history::History;
use crate::scripts::{DEAD_CAUSES, RECOUNT};
use crate::wire;

/// A group whose count is wrong, and its correction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miscount {
    pub fingerprint: String,
    /// The number that is stored; unset if the group is missing or cannot be read.
    pub stored: Option<u64>,
    /// The number of dead jobs whose state has the fingerprint.
    pub counted: u64,
    /// The group as stored, empty if it is missing.
    value: String,
    /// One of its jobs.
    example: String,
}

type Counted = BTreeMap<String, (u64, String)>;

impl Inspection<'_> {
    /// The groups of a kind with a wrong count. A group that changes meanwhile is left out.
    pub async fn miscounts(&self, queue: &str, kind: &str) -> Result<Vec<Miscount>, Error> {
        let before = self.groups(queue, kind).await?;
        let Some(counted) = self.count_dead(queue, kind).await? else { return Ok(Vec::new()) };
        let after = self.groups(queue, kind).await?;
        let mut found = Vec::new();
        for fingerprint in before.keys().chain(counted.keys().filter(|known| !before.contains_key(*known))) {
            // Each death changes the value of its group for good, and each end of a death its count.
            if before.get(fingerprint) != after.get(fingerprint) {
                continue;
            }
            let value = before.get(fingerprint).cloned().unwrap_or_default();
            let stored = Group::decode(&value).map(|group| group.count);
            let (counted, example) = counted.get(fingerprint).cloned().unwrap_or_default();
            if stored != Some(counted) {
                found.push(Miscount { fingerprint: fingerprint.clone(), stored, counted, value, example });
            }
        }
        Ok(found)
    }

    /// Corrects a group. Returns false if it has changed since it was read.
    pub async fn recount(&self, queue: &str, kind: &str, wrong: &Miscount) -> Result<bool, Error> {
        let value = match (wrong.counted, wrong.stored) {
            (0, _) => String::new(),
            (counted, Some(_)) => {
                let (_, rest) = wrong.value.split_once(' ').unwrap_or_default();
                format!("{counted} {rest}")
            }
            (counted, None) => self.new_group(queue, kind, counted, &wrong.example).await?,
        };
        let args: Vec<Value> = vec![(&*wrong.fingerprint).into(), (&*wrong.value).into(), value.into()];
        let keys = vec![self.keys(queue).failures(kind).into()];
        self.core.call(&RECOUNT, keys, args).await?.is_done()
    }

    async fn groups(&self, queue: &str, kind: &str) -> Result<BTreeMap<String, String>, Error> {
        Ok(self.core.connection.client()?.hgetall(self.keys(queue).failures(kind)).await?)
    }

    /// The dead jobs of a kind by fingerprint. Nothing if the count lost its place, because a job moved.
    async fn count_dead(&self, queue: &str, kind: &str) -> Result<Option<Counted>, Error> {
        let keys = self.keys(queue);
        let script_keys = vec![keys.state().into(), keys.set(kind, Set::Dead).into()];
        let mut place: [Value; 2] = ["".into(), "".into()];
        let mut all = Counted::new();
        loop {
            let [id, score] = place;
            let reply = self
                .core
                .call(&DEAD_CAUSES, script_keys.clone(), vec![id, score, wire::count(MAX_BATCH)])
                .await?;
            let [id, score, ..] = reply.values() else {
                return Ok(reply.values().is_empty().then_some(all));
            };
            place = [id.clone(), score.clone()];
            for [fingerprint, n, example] in reply.rows(2) {
                let read = (fingerprint.as_string(), n.as_u64(), example.as_string());
                let (Some(fingerprint), Some(n), Some(example)) = read else { return Err(reply.corrupt()) };
                let counted = all.entry(fingerprint).or_default();
                *counted = (counted.0 + n, example);
            }
        }
    }

    /// A group that is missing, as far as one of its jobs tells it.
    async fn new_group(&self, queue: &str, kind: &str, counted: u64, example: &str) -> Result<String, Error> {
        let state: Option<String> =
            self.core.connection.client()?.hget(self.keys(queue).state(), example).await?;
        let (at, history) = History::decode(&state.unwrap_or_default()).unwrap_or_default();
        let (build, error) =
            Death::of(kind, &history).map_or_else(Default::default, |death| (death.build, death.error));
        let build = if build.is_empty() { "unknown" } else { &build };
        let at = at.unwrap_or_default();
        Ok(format!("{counted} {at} {at} 0 - {example} {build} {error}"))
    }
}
