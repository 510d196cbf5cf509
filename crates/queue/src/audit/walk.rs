//! Walks what one queue stores, in steps. What seems wrong here may only be in motion: it is a
//! suspicion, for a script that sees one instant to confirm.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use fred::interfaces::{ClientLike, HashesInterface, SortedSetsInterface};
use fred::types::{ClusterHash, CustomCommand, Key, Value};

use super::judge::{Facts, Judgement, Mending, judge};
use super::{Audit, Finding, MAX_FINDINGS, Plan, Tell, Wrong, display_id};
use crate::client::Client;
use crate::error::Error;
use crate::keys::{QueueKeys, Set};
use crate::model::record::Record;
use crate::scripts::AUDIT;
use crate::transitions::reap::Started;

/// Looked at in a step at most.
const MAX_STEP: usize = 300;
const MIN_STEP: usize = 5;
/// What a step's reply should weigh at most: jobs differ by a factor of a thousand.
const STEP_BYTES: usize = 512 * 1024;
/// Sets that one script call looks into, times ids.
const LOOKUPS: usize = 4_000;
/// A job that has just become known to be of an unknown kind is judged again, with that kind's sets.
const MAX_ROUNDS: usize = 3;

pub(super) struct Walk<'a> {
    client: &'a Client,
    queue: &'a str,
    keys: QueueKeys,
    kinds: Vec<Arc<str>>,
    judged: HashSet<Bytes>,
    /// Bytes of a record on average.
    weight: usize,
    audit: &'a mut Audit,
    tell: Tell<'a>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        client: &'a Client,
        queue: &'a str,
        kinds: Vec<Arc<str>>,
        audit: &'a mut Audit,
        tell: Tell<'a>,
    ) -> Self {
        let keys = client.keys().queue(queue);
        Walk { client, queue, keys, kinds, judged: HashSet::new(), weight: 0, audit, tell }
    }

    pub(super) async fn run(mut self) -> Result<(), Error> {
        self.records().await?;
        for kind in self.kinds.clone() {
            for set in Set::ALL {
                self.set(&kind, set).await?;
            }
        }
        self.beside_records(&self.keys.active()).await?;
        self.beside_records(&self.keys.state()).await
    }

    /// Each record: is it readable, in one set of its kind, and held if it is active?
    async fn records(&mut self) -> Result<(), Error> {
        let mut cursor = Cursor::new("HSCAN", self.keys.jobs());
        let (mut jobs, mut bytes) = (0, 0);
        while let Some(page) = cursor.next(self.client).await? {
            let records: Vec<(Bytes, Bytes)> = pairs(page);
            jobs += records.len();
            self.audit.jobs += records.len() as u64;
            (self.tell)(self.audit.jobs);
            bytes += records.iter().map(|(_, record)| record.len()).sum::<usize>();
            self.suspect(self.suspicious_records(&records).await?).await?;
            if self.is_full() {
                break;
            }
        }
        self.weight = bytes / jobs.max(1);
        Ok(())
    }

    async fn suspicious_records(&self, records: &[(Bytes, Bytes)]) -> Result<Vec<Bytes>, Error> {
        let mut suspects = Vec::new();
        let mut by_kind: Vec<(String, Vec<Bytes>)> = Vec::new();
        for (id, record) in records {
            match Record::decode(record) {
                Err(_) => suspects.push(id.clone()),
                Ok(record) => match by_kind.iter_mut().find(|(kind, _)| *kind == record.kind) {
                    Some((_, ids)) => ids.push(id.clone()),
                    None => by_kind.push((record.kind.into_owned(), vec![id.clone()])),
                },
            }
        }
        for (kind, ids) in by_kind {
            let redis = self.client.connection().reader()?;
            let pipeline = redis.pipeline();
            for set in Set::ALL {
                let _: () = pipeline.zmscore(self.keys.set(&kind, set), members(&ids)).await?;
            }
            let fields: Vec<Key> = ids.iter().cloned().map(Key::from).collect();
            let _: () = pipeline.hmget(self.keys.active(), fields).await?;
            let replies: Vec<Value> = pipeline.all().await?;
            let mut columns: Vec<Vec<Value>> = replies.into_iter().map(Value::into_array).collect();
            let entries = columns.pop().unwrap_or_default();
            for (n, id) in ids.into_iter().enumerate() {
                let is_in = |set: usize| columns[set].get(n).is_some_and(|score| !score.is_null());
                let sets = (0..Set::ALL.len()).filter(|set| is_in(*set)).count();
                let holds = match entries.get(n) {
                    None | Some(Value::Null) => !is_in(LEASE),
                    Some(entry) => {
                        is_in(LEASE) && entry.as_str().is_some_and(|entry| Started::decode(&entry).is_some())
                    }
                };
                if sets != 1 || !holds {
                    suspects.push(id);
                }
            }
        }
        Ok(suspects)
    }

    /// Each id in a set: has it a record, of that kind?
    async fn set(&mut self, kind: &str, set: Set) -> Result<(), Error> {
        let mut cursor = Cursor::new("ZSCAN", self.keys.set(kind, set));
        while let Some(page) = cursor.next(self.client).await? {
            let ids: Vec<Bytes> = pairs(page).into_iter().map(|(id, _)| id).collect();
            for ids in ids.chunks(step(self.weight)) {
                let fields: Vec<Key> = ids.iter().cloned().map(Key::from).collect();
                let records: Value =
                    self.client.connection().reader()?.hmget(self.keys.jobs(), fields).await?;
                let of_this_kind = |record: Value| {
                    let record = record.into_bytes();
                    record.is_some_and(|json| Record::decode(&json).is_ok_and(|record| record.kind == kind))
                };
                let records = records.into_array();
                let suspects = ids.iter().zip(records).filter(|(_, record)| !of_this_kind(record.clone()));
                self.suspect(suspects.map(|(id, _)| id.clone()).collect()).await?;
            }
            if self.is_full() {
                break;
            }
        }
        Ok(())
    }

    /// Each field of a hash that goes along with records: is there one? What else could be wrong
    /// with it, the walk over the records has seen.
    async fn beside_records(&mut self, key: &str) -> Result<(), Error> {
        let mut cursor = Cursor::new("HSCAN", key.to_owned());
        while let Some(page) = cursor.next(self.client).await? {
            let ids: Vec<Bytes> = pairs(page).into_iter().map(|(id, _)| id).collect();
            if ids.is_empty() {
                continue;
            }
            let redis = self.client.connection().reader()?;
            let pipeline = redis.pipeline();
            for id in &ids {
                let _: () = pipeline.hexists(self.keys.jobs(), id.clone()).await?;
            }
            let known: Vec<bool> = pipeline.all().await?;
            let suspects = ids.into_iter().zip(known).filter(|(_, known)| !known);
            self.suspect(suspects.map(|(id, _)| id).collect()).await?;
            if self.is_full() {
                break;
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.audit.findings.len() >= MAX_FINDINGS
    }

    /// Has the suspects judged, at one instant each.
    async fn suspect(&mut self, ids: Vec<Bytes>) -> Result<(), Error> {
        let mut left: Vec<Bytes> = ids.into_iter().filter(|id| !self.judged.contains(id)).collect();
        self.audit.suspected += left.len() as u64;
        for _ in 0..MAX_ROUNDS {
            let mut again = Vec::new();
            let a_call = (LOOKUPS / (5 * self.kinds.len()).max(1)).clamp(1, step(self.weight));
            for ids in left.chunks(a_call) {
                for facts in self.facts(ids).await? {
                    let id = facts.id.clone();
                    match judge(facts, &self.kinds) {
                        Judgement::InOrder => {}
                        Judgement::UnknownKind(kind) => {
                            if !self.kinds.contains(&kind) {
                                self.kinds.push(kind);
                            }
                            again.push(id);
                        }
                        Judgement::Wrong(wrong, mending) => self.report(id, wrong, mending),
                    }
                }
            }
            left = again;
        }
        Ok(())
    }

    fn report(&mut self, id: Bytes, wrong: Wrong, mending: Mending) {
        self.audit.findings.push(Finding {
            queue: Some(self.queue.to_owned()),
            wrong,
            subject: display_id(&id),
            places: mending.keys(),
            repair: mending.to_string(),
            plan: Plan::Mend(Box::new(mending)),
        });
        self.judged.insert(id);
    }

    async fn facts(&self, ids: &[Bytes]) -> Result<Vec<Facts>, Error> {
        let mut script_keys: Vec<Key> =
            vec![self.keys.jobs().into(), self.keys.active().into(), self.keys.state().into()];
        for kind in &self.kinds {
            script_keys.extend(Set::ALL.map(|set| Key::from(self.keys.set(kind, set))));
        }
        let reply = self.client.call(&AUDIT, script_keys, members(ids)).await?;
        let facts: Option<Vec<Facts>> =
            ids.iter().zip(reply[1..].chunks_exact(5)).map(|(id, reply)| Facts::decode(id, reply)).collect();
        facts.ok_or_else(|| Error::corrupt(format!("the reply of {}", AUDIT.name)))
    }
}

/// Place of the lease set in [`Set::ALL`].
const LEASE: usize = 1;

/// Goes through a hash or a sorted set.
struct Cursor {
    command: &'static str,
    key: String,
    /// None: at the end.
    at: Option<String>,
    step: usize,
}

impl Cursor {
    fn new(command: &'static str, key: String) -> Self {
        Cursor { command, key, at: Some("0".to_owned()), step: MIN_STEP }
    }

    /// Members or fields, each with what belongs to it; none at the end.
    async fn next(&mut self, client: &Client) -> Result<Option<Vec<Value>>, Error> {
        let Some(at) = self.at.take() else { return Ok(None) };
        let command = CustomCommand::new_static(self.command, ClusterHash::FirstKey, false);
        let args: Vec<Value> =
            vec![(&*self.key).into(), at.into(), "COUNT".into(), (self.step as i64).into()];
        let reply: Value = client.connection().reader()?.custom(command, args).await?;
        let (next, page) = page(reply)?;
        self.at = (next != "0").then_some(next);
        let bytes: usize = page.iter().filter_map(Value::as_bytes).map(<[u8]>::len).sum();
        // Only as much more as was seen to be light: what comes next may be heavier.
        self.step = step(2 * bytes / page.len().max(1)).min(4 * self.step);
        Ok(Some(page))
    }
}

/// How many of this many bytes each a step takes.
fn step(weight: usize) -> usize {
    (STEP_BYTES / weight.max(1)).clamp(MIN_STEP, MAX_STEP)
}

/// The reply of SCAN and its like: the next cursor, and what was found.
pub(super) fn page(reply: Value) -> Result<(String, Vec<Value>), Error> {
    let Value::Array(mut reply) = reply else { return Err(Error::corrupt("the reply of SCAN")) };
    let found = reply.pop().map(Value::into_array).unwrap_or_default();
    let next = reply.pop().and_then(|cursor| cursor.as_string());
    next.map(|next| (next, found)).ok_or_else(|| Error::corrupt("the reply of SCAN"))
}

fn pairs(page: Vec<Value>) -> Vec<(Bytes, Bytes)> {
    let mut page = page.into_iter().map(|value| value.into_bytes().unwrap_or_default());
    std::iter::from_fn(|| Some((page.next()?, page.next()?))).collect()
}

fn members(ids: &[Bytes]) -> Vec<Value> {
    ids.iter().cloned().map(Value::Bytes).collect()
}
