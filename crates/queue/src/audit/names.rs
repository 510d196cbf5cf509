//! Walks the names of keys: are they of their types, and is each queue and kind listed?

use std::collections::{BTreeMap, BTreeSet};

use fred::interfaces::{KeysInterface, SetsInterface};
use fred::types::Value;

use super::{Audit, Finding, Plan, Wrong};
use crate::client::Client;
use crate::error::Error;
use crate::keys::{Keys, Name, Part, Set};

const KEYS_A_STEP: u32 = 300;

/// What the names of a queue's keys tell.
#[derive(Default)]
pub(super) struct Named {
    /// With those of its sets that were seen.
    pub(super) kinds: BTreeMap<String, Vec<String>>,
    /// A key of a wrong type stands in the way of looking at its jobs.
    pub(super) obstructed: bool,
    /// Some, as a sign that the queue exists.
    keys: BTreeSet<String>,
}

/// As many keys of a name as are asked for: one that still exists is enough.
const SIGNS: usize = 16;

impl Client {
    /// All queues, or the one, each with its kinds; what is wrong with names goes into `audit`.
    pub(super) async fn walk_names(
        &self,
        only: Option<&str>,
        audit: &mut Audit,
    ) -> Result<BTreeMap<String, Named>, Error> {
        let mut queues = self.walk_keys(only, audit).await?;
        let list = self.keys().queues();
        if self.type_of(&list).await?.is_none_or(|found| found == "set") {
            for queue in self.queue_names().await? {
                if only.is_none_or(|only| only == queue) {
                    queues.entry(queue).or_default();
                }
            }
            for (queue, named) in &queues {
                let signs = named.keys.iter().cloned().collect();
                let wrong = Wrong::UnlistedQueue;
                self.check_listed(queue, wrong, &list, queue, signs, audit).await?;
            }
        } else if only.is_none() {
            // With one queue only, it is not looked at.
            audit.findings.push(set_aside(self.keys(), None, &list, "set"));
        }
        for (queue, named) in &mut queues {
            if named.obstructed {
                continue;
            }
            for kind in self.kinds_of(queue).await? {
                named.kinds.entry(kind.to_string()).or_default();
            }
            let list = self.keys().queue(queue).kinds();
            for (kind, sets) in &named.kinds {
                let wrong = Wrong::UnlistedKind;
                self.check_listed(queue, wrong, &list, kind, sets.clone(), audit).await?;
            }
        }
        Ok(queues)
    }

    async fn walk_keys(
        &self,
        only: Option<&str>,
        audit: &mut Audit,
    ) -> Result<BTreeMap<String, Named>, Error> {
        let mut queues: BTreeMap<String, Named> = BTreeMap::new();
        let mut misfits = BTreeSet::new(); // SCAN may name a key twice
        let mut cursor = "0".to_owned();
        loop {
            let page: Value = self
                .connection()
                .reader()?
                .scan_page(cursor, self.keys().pattern(only), Some(KEYS_A_STEP), None)
                .await?;
            let (next, keys) = super::walk::page(page)?;
            let keys: Vec<String> = keys.iter().filter_map(Value::as_string).collect();
            let known: Vec<(&str, Name)> =
                keys.iter().filter_map(|key| Some((&**key, self.keys().parse(key)?))).collect();
            let types = self.types_of(known.iter().map(|(key, _)| *key)).await?;
            for ((key, name), found) in known.into_iter().zip(types) {
                let misfit = Some(name.key_type()).filter(|expected| found != *expected && found != "none");
                let queue = if let Name::Of(queue, part) = name {
                    if part != Part::Idempotency {
                        queues.entry(queue.to_owned()).or_default().learn(key, part, misfit.is_some());
                    }
                    Some(queue)
                } else {
                    None
                };
                if let Some(expected) = misfit
                    && misfits.insert(key.to_owned())
                {
                    audit.findings.push(set_aside(self.keys(), queue, key, expected));
                }
            }
            cursor = next;
            if cursor == "0" {
                return Ok(queues);
            }
        }
    }

    async fn check_listed(
        &self,
        queue: &str,
        wrong: Wrong,
        list: &str,
        name: &str,
        keys: Vec<String>,
        audit: &mut Audit,
    ) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        // In this order: whatever makes a key has listed its name by then. Not in one script, since the list of
        // queues shares no slot of a cluster with a queue.
        let redis = self.connection().reader()?;
        let exist: i64 = redis.exists(keys.clone()).await?;
        let is_listed: bool = redis.sismember(list, name).await?;
        if exist > 0 && !is_listed {
            audit.findings.push(Finding {
                queue: Some(queue.to_owned()),
                wrong,
                subject: name.to_owned(),
                places: keys.iter().map(|key| short(self.keys(), queue, key)).collect(),
                repair: format!("list it in {list}"),
                plan: Plan::Enrol {
                    queue: queue.to_owned(),
                    list: list.to_owned(),
                    name: name.to_owned(),
                    keys,
                },
            });
        }
        Ok(())
    }

    async fn type_of(&self, key: &str) -> Result<Option<String>, Error> {
        let found = self.types_of([key].into_iter()).await?.pop();
        Ok(found.filter(|found| found != "none"))
    }

    async fn types_of(&self, keys: impl ExactSizeIterator<Item = &str>) -> Result<Vec<String>, Error> {
        if keys.len() == 0 {
            return Ok(Vec::new());
        }
        let redis = self.connection().reader()?;
        let pipeline = redis.pipeline();
        for key in keys {
            let _: () = pipeline.r#type(key).await?;
        }
        Ok(pipeline.all().await?)
    }
}

impl Named {
    fn learn(&mut self, key: &str, part: Part, is_misfit: bool) {
        let lists_jobs = match part {
            Part::Jobs | Part::Active | Part::State | Part::Kinds => true,
            Part::Set { kind, .. } => {
                let sets = self.kinds.entry(kind.to_owned()).or_default();
                if !is_misfit && !sets.iter().any(|known| known == key) {
                    sets.push(key.to_owned());
                }
                true
            }
            _ => false,
        };
        self.obstructed |= is_misfit && lists_jobs;
        if self.keys.len() < SIGNS {
            self.keys.insert(key.to_owned());
        }
    }
}

/// A key's name without what all keys of its queue share.
fn short(keys: &Keys, queue: &str, key: &str) -> String {
    let jobs = keys.queue(queue).jobs();
    let base = jobs.strip_suffix("jobs").unwrap_or_default();
    key.strip_prefix(base).unwrap_or(key).to_owned()
}

fn set_aside(keys: &Keys, queue: Option<&str>, key: &str, expected: &'static str) -> Finding {
    let after = match keys.parse(key) {
        Some(Name::Of(_, Part::Set { set: Set::Lease, .. })) => "; its jobs run again",
        Some(Name::Of(_, Part::Paused)) => "; the queue gives out jobs again",
        _ => "",
    };
    Finding {
        queue: queue.map(ToOwned::to_owned),
        wrong: Wrong::WrongType,
        subject: key.to_owned(),
        places: vec![queue.map_or_else(|| key.to_owned(), |queue| short(keys, queue, key))],
        repair: format!("rename it; it should be a {expected}{after}"),
        plan: Plan::SetAside { key: key.to_owned(), key_type: expected },
    }
}
