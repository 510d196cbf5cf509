//! Checks the names of keys: their types, and whether the catalogues list each queue and kind.

use std::collections::{BTreeMap, BTreeSet};

use atode_queue::{Client, Error, Inspection, KeyName, QueueKey, Set};

use crate::finding::{Audit, Finding, Plan, Wrong};

/// The findings of [`check`] about one queue.
#[derive(Default)]
pub(crate) struct Named {
    /// The kinds of the queue, with those of their sets that were found.
    pub(crate) kinds: BTreeMap<String, Vec<String>>,
    /// True if a key of a wrong type prevents the check of its jobs.
    pub(crate) is_blocked: bool,
    /// Some keys of the queue: if one of them still exists, so does the queue.
    samples: BTreeSet<String>,
}

/// Maximum number of [`Named::samples`].
const SAMPLES: usize = 16;

/// All queues, or one, each with its kinds. Adds findings about names to `audit`.
pub(crate) async fn check(
    client: &Client,
    only: Option<&str>,
    audit: &mut Audit,
) -> Result<BTreeMap<String, Named>, Error> {
    let inspection = client.inspection();
    let mut queues = scan(inspection, only, audit).await?;
    let list = inspection.list_of_queues();
    if inspection.type_of(&list).await?.is_none_or(|found| found == "set") {
        for queue in client.queue_names().await? {
            if only.is_none_or(|only| only == queue) {
                queues.entry(queue).or_default();
            }
        }
        for (queue, named) in &queues {
            let samples = named.samples.iter().cloned().collect();
            let wrong = Wrong::UnlistedQueue;
            check_listed(inspection, queue, wrong, &list, queue, samples, audit).await?;
        }
    } else if only.is_none() {
        // An audit of one queue does not report it.
        audit.findings.push(wrong_type(inspection, None, &list, "set"));
    }
    for (queue, named) in &mut queues {
        if named.is_blocked {
            continue;
        }
        for kind in inspection.kinds_of(queue).await? {
            named.kinds.entry(kind.to_string()).or_default();
        }
        let list = inspection.list_of_kinds(queue);
        for (kind, sets) in &named.kinds {
            let wrong = Wrong::UnlistedKind;
            check_listed(inspection, queue, wrong, &list, kind, sets.clone(), audit).await?;
        }
    }
    Ok(queues)
}

async fn scan(
    inspection: Inspection<'_>,
    only: Option<&str>,
    audit: &mut Audit,
) -> Result<BTreeMap<String, Named>, Error> {
    let mut queues: BTreeMap<String, Named> = BTreeMap::new();
    let mut reported = BTreeSet::new(); // SCAN may return a key twice
    let mut cursor = "0".to_owned();
    loop {
        let (keys, next) = inspection.scan_keys(only, cursor).await?;
        for (key, found) in &keys {
            let Some(name) = inspection.parse(key) else { continue };
            let expected = name.key_type();
            let is_wrong = found != expected && found != "none";
            let queue = if let KeyName::Queue(queue, part) = name {
                if part != QueueKey::Idempotency {
                    queues.entry(queue.to_owned()).or_default().learn(key, part, is_wrong);
                }
                Some(queue)
            } else {
                None
            };
            if is_wrong && reported.insert(key.clone()) {
                audit.findings.push(wrong_type(inspection, queue, key, expected));
            }
        }
        cursor = next;
        if cursor == "0" {
            return Ok(queues);
        }
    }
}

async fn check_listed(
    inspection: Inspection<'_>,
    queue: &str,
    wrong: Wrong,
    list: &str,
    name: &str,
    keys: Vec<String>,
    audit: &mut Audit,
) -> Result<(), Error> {
    if !keys.is_empty() && inspection.is_unlisted(list, name, &keys).await? {
        audit.findings.push(Finding {
            queue: Some(queue.to_owned()),
            wrong,
            subject: name.to_owned(),
            places: keys.iter().map(|key| inspection.short_name(queue, key)).collect(),
            repair: format!("list it in {list}"),
            plan: Plan::List { list: list.to_owned(), name: name.to_owned(), keys },
        });
    }
    Ok(())
}

impl Named {
    fn learn(&mut self, key: &str, part: QueueKey, is_wrong: bool) {
        let lists_jobs = match part {
            QueueKey::Jobs | QueueKey::Active | QueueKey::State | QueueKey::Kinds => true,
            QueueKey::Set { kind, .. } => {
                let sets = self.kinds.entry(kind.to_owned()).or_default();
                if !is_wrong && !sets.iter().any(|known| known == key) {
                    sets.push(key.to_owned());
                }
                true
            }
            QueueKey::Failures { kind } => {
                self.kinds.entry(kind.to_owned()).or_default();
                true
            }
            _ => false,
        };
        self.is_blocked |= is_wrong && lists_jobs;
        if self.samples.len() < SAMPLES {
            self.samples.insert(key.to_owned());
        }
    }
}

fn wrong_type(inspection: Inspection<'_>, queue: Option<&str>, key: &str, expected: &'static str) -> Finding {
    let effect = match inspection.parse(key) {
        Some(KeyName::Queue(_, QueueKey::Set { set: Set::Lease, .. })) => "; its jobs run again",
        Some(KeyName::Queue(_, QueueKey::Paused)) => "; the queue gives out jobs again",
        _ => "",
    };
    Finding {
        queue: queue.map(ToOwned::to_owned),
        wrong: Wrong::WrongType,
        subject: key.to_owned(),
        places: vec![queue.map_or_else(|| key.to_owned(), |queue| inspection.short_name(queue, key))],
        repair: format!("rename it; it should be a {expected}{effect}"),
        plan: Plan::SetAside { key: key.to_owned(), key_type: expected },
    }
}
