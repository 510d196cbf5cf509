//! Repairs, each by one script that checks everything again before it writes.

use std::sync::Arc;

use fred::interfaces::{KeysInterface, PubsubInterface};
use fred::types::{Key, Value};

use crate::error::Error;
use crate::inspect::facts::{JobFacts, Place};
use crate::inspect::inspection::Inspection;
use crate::keys::Set;
use crate::scripts::{LIST_NAME, REPAIR_JOB, SET_ASIDE};
use crate::wire;

/// The repair of one job, valid while everything is as the facts say.
#[derive(Debug, Clone)]
pub struct JobRepair {
    /// Without the record, which may be large: an audit keeps many repairs.
    pub facts: JobFacts,
    /// The kinds that the facts are about.
    pub kinds: Vec<Arc<str>>,
    pub target: Target,
}

/// The only set that has the job after its repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// It stays in this set.
    Stay(Place),
    /// It moves into this set and keeps its score of the other.
    Move { from: Place, to: Place },
    /// It moves into this due set. It is due at `at` (Unix ms), or now if that is over.
    Due { to: Place, at: i64 },
    /// It is removed from all sets. A record is set aside.
    Out,
}

impl JobRepair {
    /// True if the job leaves the queue and its record is kept elsewhere.
    pub fn sets_record_aside(&self) -> bool {
        self.target == Target::Out && self.facts.has_record()
    }

    /// Only a job that stays active keeps its holder.
    pub fn keeps_holder(&self) -> bool {
        matches!(self.target, Target::Stay((_, Set::Lease)))
    }
}

impl Inspection<'_> {
    /// Repairs a job. Returns false if anything has changed since the facts were read.
    pub async fn repair_job(&self, queue: &str, repair: &JobRepair) -> Result<bool, Error> {
        let keys = self.keys(queue);
        let facts = &repair.facts;
        let first = [keys.jobs(), keys.active(), keys.state(), keys.kinds(), self.records_set_aside(queue)];
        let mut script_keys = wire::keys(&keys, first, &repair.kinds, &Set::ALL);
        script_keys.extend(repair.kinds.iter().map(|kind| Key::from(keys.failures(kind))));
        let digit = |is_set| if is_set { '1' } else { '0' };
        let mut seen = String::from(digit(facts.has_history));
        for kind in 0..repair.kinds.len() {
            seen.extend(Set::ALL.map(|set| digit(facts.places.contains(&(kind, set)))));
        }
        let (target, source, at) = match repair.target {
            Target::Stay(place) => (Some(place), None, 0),
            Target::Move { from, to } => (Some(to), Some(from), 0),
            Target::Due { to, at } => (Some(to), None, at),
            Target::Out => (None, None, 0),
        };
        // Lua counts from 1; 0 is none.
        let number = |place: Option<Place>| {
            wire::count(place.map_or(0, |(kind, set)| kind * Set::ALL.len() + set as usize + 1))
        };
        let holder = facts.holder.as_ref().map_or_else(Vec::new, |entry| [b"=", &entry[..]].concat());
        let args = vec![
            Value::Bytes(facts.id.clone()),
            (&*facts.digest).into(),
            Value::Bytes(holder.into()),
            seen.into(),
            number(target),
            number(source),
            at.into(),
            target.map_or("", |(kind, _)| &*repair.kinds[kind]).into(),
            wire::flag(repair.keeps_holder()),
            keys.wake_channel().into(),
        ];
        self.core.call(&REPAIR_JOB, script_keys, args).await?.is_done()
    }

    /// The key of unreadable records that repairs have taken out of a queue.
    pub fn records_set_aside(&self, queue: &str) -> String {
        self.core.keys.records_set_aside(queue)
    }

    /// Renames a key that is not of this type, and returns its new name; nothing if it has changed.
    pub async fn set_aside(&self, key: &str, key_type: &str) -> Result<Option<String>, Error> {
        let new_name = self.core.keys.set_aside(key, self.core.clock.now());
        let script_keys = vec![key.into(), (&new_name).into()];
        let done = self.core.call(&SET_ASIDE, script_keys, vec![key_type.into()]).await?.is_done()?;
        Ok(done.then_some(new_name))
    }

    /// Adds a name of a queue to a catalogue, if one of these keys exists. Returns false if nothing was added.
    pub async fn list_name(
        &self,
        queue: &str,
        list: &str,
        name: &str,
        keys: &[String],
    ) -> Result<bool, Error> {
        let exist: i64 = self.core.connection.client()?.exists(keys.to_vec()).await?;
        if exist == 0 {
            return Ok(false);
        }
        let done = self.core.call(&LIST_NAME, vec![list.into()], vec![name.into()]).await?.is_done()?;
        // No worker may know of the jobs there yet. Like every message this one may be lost.
        let wake_channel = self.keys(queue).wake_channel();
        let _: Result<(), _> =
            self.core.connection.client()?.publish(wake_channel, self.core.clock.now()).await;
        Ok(done)
    }
}
