//! The facts about jobs: from plain reads, between which jobs move, and from one script that sees one instant.

use std::sync::Arc;

use bytes::Bytes;
use fred::interfaces::{HashesInterface, SortedSetsInterface};
use fred::types::{Key, Value};

use crate::error::Error;
use crate::inspect::inspection::Inspection;
use crate::keys::Set;
use crate::model::holder::Holder;
use crate::scripts::JOB_FACTS;
use crate::wire;

/// A set of the kind at this place among the requested ones.
pub type Place = (usize, Set);

/// The sets of one kind that have an id, and its entry of `active`, from reads at different instants.
#[derive(Debug)]
pub struct Placement {
    pub id: Bytes,
    pub sets: Vec<Set>,
    pub holder: Option<Bytes>,
}

/// Everything that is stored of one id at one instant.
#[derive(Debug, Clone)]
pub struct JobFacts {
    pub id: Bytes,
    pub record: Option<Bytes>,
    /// SHA-1 of the record, empty if there is none.
    pub digest: String,
    /// The entry of `active`.
    pub holder: Option<Bytes>,
    pub has_history: bool,
    /// The sets that have it.
    pub places: Vec<Place>,
}

impl JobFacts {
    pub fn has_record(&self) -> bool {
        !self.digest.is_empty()
    }
}

impl Inspection<'_> {
    /// The placement of each id among the sets of one kind.
    pub async fn placements(
        &self,
        queue: &str,
        kind: &str,
        ids: Vec<Bytes>,
    ) -> Result<Vec<Placement>, Error> {
        let keys = self.keys(queue);
        let redis = self.core.connection.client()?;
        let pipeline = redis.pipeline();
        for set in Set::ALL {
            let _: () = pipeline.zmscore(keys.set(kind, set), members(&ids)).await?;
        }
        let _: () = pipeline.hmget(keys.active(), fields(&ids)).await?;
        let replies: Vec<Value> = pipeline.all().await?;
        let mut columns: Vec<Vec<Value>> = replies.into_iter().map(Value::into_array).collect();
        let holders = columns.pop().unwrap_or_default();
        let is_in = |n: usize, set: Set| {
            columns.get(set as usize).and_then(|scores| scores.get(n)).is_some_and(|score| !score.is_null())
        };
        let placement = |(n, id)| Placement {
            id,
            sets: Set::ALL.into_iter().filter(|set| is_in(n, *set)).collect(),
            holder: holders.get(n).and_then(bytes),
        };
        Ok(ids.into_iter().enumerate().map(placement).collect())
    }

    /// The record of each id.
    pub async fn records(&self, queue: &str, ids: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        let redis = self.core.connection.client()?;
        let records: Value = redis.hmget(self.keys(queue).jobs(), fields(ids)).await?;
        Ok(records.into_array().into_iter().map(Value::into_bytes).collect())
    }

    /// The ids that have no record.
    pub async fn without_record(&self, queue: &str, ids: Vec<Bytes>) -> Result<Vec<Bytes>, Error> {
        if ids.is_empty() {
            return Ok(ids);
        }
        let jobs = self.keys(queue).jobs();
        let redis = self.core.connection.client()?;
        let pipeline = redis.pipeline();
        for id in &ids {
            let _: () = pipeline.hexists(&jobs, id.clone()).await?;
        }
        let have_record: Vec<bool> = pipeline.all().await?;
        Ok(ids.into_iter().zip(have_record).filter(|(_, has_record)| !has_record).map(|(id, _)| id).collect())
    }

    /// The facts about each id, with its place in the sets of these kinds.
    pub async fn facts(
        &self,
        queue: &str,
        kinds: &[Arc<str>],
        ids: &[Bytes],
    ) -> Result<Vec<JobFacts>, Error> {
        let keys = self.keys(queue);
        let first = [keys.jobs(), keys.active(), keys.state()];
        let script_keys = wire::keys(&keys, first, kinds, &Set::ALL);
        let reply = self.core.call(&JOB_FACTS, script_keys, members(ids)).await?;
        let facts: Option<Vec<JobFacts>> =
            ids.iter().zip(reply.rows(0)).map(|(id, facts)| decode(id, facts)).collect();
        facts.ok_or_else(|| reply.corrupt())
    }
}

/// True if an entry of `active` names the token of a lease, so that its holder can settle the job.
pub fn names_holder(entry: &[u8]) -> bool {
    std::str::from_utf8(entry).is_ok_and(|entry| Holder::decode(entry).is_some())
}

fn decode(id: &Bytes, [record, digest, holder, has_history, sets]: &[Value; 5]) -> Option<JobFacts> {
    Some(JobFacts {
        id: Bytes::copy_from_slice(id),
        record: bytes(record),
        digest: digest.as_string()?,
        holder: bytes(holder),
        has_history: has_history.as_i64()? == 1,
        places: places(sets.as_bytes()?),
    })
}

/// The places of the "1" among these digits.
fn places(digits: &[u8]) -> Vec<Place> {
    let kinds = digits.chunks(Set::ALL.len()).enumerate();
    let places = kinds
        .flat_map(|(kind, sets)| sets.iter().zip(Set::ALL).map(move |(digit, set)| (digit, (kind, set))));
    places.filter(|(digit, _)| **digit == b'1').map(|(_, place)| place).collect()
}

/// A copy: a part of the reply's buffer would keep all of it alive as long as a finding.
fn bytes(value: &Value) -> Option<Bytes> {
    value.as_bytes().map(Bytes::copy_from_slice)
}

fn members(ids: &[Bytes]) -> Vec<Value> {
    ids.iter().cloned().map(Value::Bytes).collect()
}

fn fields(ids: &[Bytes]) -> Vec<Key> {
    ids.iter().cloned().map(Key::from).collect()
}
