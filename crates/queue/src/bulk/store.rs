//! Creates, shows, lists and aborts bulk operations.

use std::collections::BTreeSet;

use fred::interfaces::{HashesInterface, KeysInterface, SortedSetsInterface};
use fred::types::{Key, Value};
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::bulk::action::BulkAction;
use crate::bulk::progress::{Counts, Fields};
use crate::bulk::view::{BulkState, BulkView};
use crate::core::Core;
use crate::error::Error;
use crate::list::query::{ListQuery, Order};
use crate::model::id::BulkId;
use crate::model::new_job::Idempotency;
use crate::scripts::{ABORT_BULK, CREATE_BULK};
use crate::wire;

/// Bulk operations that wait or run.
pub const MAX_OPEN_BULKS: usize = 100;
/// Bulk operations that are kept after their end.
pub const MAX_ENDED_BULKS: usize = 900;
/// The time, in ms, for which a bulk operation is kept after its end.
pub(crate) const KEPT: i64 = 7 * 24 * 60 * 60 * 1_000;

/// The bulk operations.
#[derive(Clone, Copy)]
pub struct Bulks<'a> {
    pub(crate) core: &'a Core,
}

/// A bulk operation that is about to be created.
#[derive(Debug)]
pub struct NewBulk {
    pub action: BulkAction,
    /// The filter in the words of the request.
    pub filter: Box<RawValue>,
    /// The jobs that it selects. Its states are those of the action.
    pub query: ListQuery,
    /// Jobs to look at, as far as they can be counted.
    pub total: Option<u64>,
    pub idempotency: Option<Idempotency>,
}

#[derive(Debug)]
pub enum Created {
    Created(Box<BulkView>),
    /// An earlier request with the same key and body created this one. It may have been removed since.
    Duplicate(BulkId),
    /// An earlier request with the same key and another body created this one.
    Conflict(BulkId),
    /// [`MAX_OPEN_BULKS`] wait or run.
    Full,
}

#[derive(Debug)]
pub enum Aborted {
    /// It has ended, or its runner will end it within moments.
    Done(Box<BulkView>),
    /// It had ended before.
    Refused(BulkState),
    Gone,
}

/// Why a bulk operation that has ended cannot be aborted.
pub fn not_abortable(id: BulkId, state: BulkState) -> String {
    format!("bulk operation {id} is {state}: only one that waits or runs can be aborted")
}

/// The error of [`Created::Full`].
pub fn too_many_bulks() -> String {
    format!("{MAX_OPEN_BULKS} bulk operations wait or run already: wait for them, or abort some")
}

/// Removes bulk operations that have left the list of ended ones. Where that fails, their keys expire.
pub(crate) async fn forget(core: &Core, ids: Option<&Value>) {
    let ids = ids.cloned().and_then(|ids| ids.convert::<Vec<String>>().ok()).unwrap_or_default();
    let keys: Vec<Key> = ids.iter().filter_map(|id| Some(core.keys.bulk(id.parse().ok()?).into())).collect();
    if !keys.is_empty()
        && let Ok(client) = core.connection.client()
    {
        let _ = client.del::<(), _>(keys).await;
    }
}

impl Bulks<'_> {
    /// Stores a bulk operation. A runner takes it up within moments.
    pub async fn create(self, new: &NewBulk) -> Result<Created, Error> {
        let now = self.core.clock.now();
        let id = BulkId::new(now);
        let key = new.idempotency.as_ref();
        let keys = &self.core.keys;
        let mut script_keys = vec![keys.bulk(id), keys.open_bulks()];
        script_keys.extend(key.map(|key| keys.bulk_of_key(&key.key)));
        let query = ListQuery { order: Order::Asc, ..new.query.clone() };
        let query = serde_json::to_string(&query).expect("texts and numbers always serialize");
        let total = new.total.map_or_else(String::new, |total| total.to_string());
        let mut args: Vec<Value> = vec![
            id.to_string().into(),
            wire::count(MAX_OPEN_BULKS),
            now.into(),
            key.map_or(0.into(), |key| wire::millis(key.ttl)),
            key.map_or("", |key| &key.body).into(),
        ];
        for (name, value) in [
            ("action", new.action.word()),
            ("filter", new.filter.get()),
            ("query", &query),
            ("total", &total),
        ] {
            args.extend([Value::from(name), Value::from(value)]);
        }
        let script_keys: Vec<Key> = script_keys.into_iter().map(Key::from).collect();
        let reply = self.core.call(&CREATE_BULK, script_keys, args).await?;
        match reply.number(0)? {
            1 => {
                let view = self.get(id).await.map_err(Error::behind_a_change)?;
                let view = view.ok_or_else(|| Error::corrupt(format!("no bulk operation {id}")))?;
                Ok(Created::Created(Box::new(view)))
            }
            2 => Ok(Created::Full),
            _ => {
                let known = reply.values().get(1).and_then(Value::as_str).ok_or_else(|| reply.corrupt())?;
                let (known, body) = known.split_once(' ').ok_or_else(|| reply.corrupt())?;
                let known = known.parse().map_err(|_| reply.corrupt())?;
                let is_same = key.is_some_and(|key| key.body == body);
                Ok(if is_same { Created::Duplicate(known) } else { Created::Conflict(known) })
            }
        }
    }

    pub async fn get(self, id: BulkId) -> Result<Option<BulkView>, Error> {
        let fields = self.fields(id).await?;
        if fields.is_empty() { Ok(None) } else { view(id, &fields).map(Some) }
    }

    /// The latest bulk operations first, `limit` at most.
    pub async fn list(self, limit: usize) -> Result<Vec<BulkView>, Error> {
        let client = self.core.connection.client()?;
        let last = limit as i64 - 1;
        let mut ids = BTreeSet::new();
        for key in [self.core.keys.open_bulks(), self.core.keys.ended_bulks()] {
            let found: Vec<String> = client.zrange(key, 0, last, None, true, None, false).await?;
            ids.extend(found.iter().filter_map(|id| id.parse::<BulkId>().ok()));
        }
        // An id carries the time of its creation.
        let ids: Vec<BulkId> = ids.into_iter().rev().take(limit).collect();
        let pipeline = client.pipeline();
        for id in &ids {
            let _: () = pipeline.hgetall(self.core.keys.bulk(*id)).await?;
        }
        let found: Vec<Fields> = if ids.is_empty() { Vec::new() } else { pipeline.all().await? };
        let found = ids.into_iter().zip(found).filter(|(_, fields)| !fields.is_empty());
        // One that a later release made and this build cannot read hides no other.
        Ok(found.filter_map(|(id, fields)| view(id, &fields).ok()).collect())
    }

    pub async fn abort(self, id: BulkId) -> Result<Aborted, Error> {
        let keys = &self.core.keys;
        let script_keys = [keys.bulk(id), keys.open_bulks(), keys.ended_bulks()].map(Key::from);
        let args = vec![id.to_string().into(), KEPT.into(), wire::count(MAX_ENDED_BULKS)];
        let reply = self.core.call(&ABORT_BULK, script_keys.into(), args).await?;
        let before = reply.values().first().and_then(Value::as_string).ok_or_else(|| reply.corrupt())?;
        forget(self.core, reply.values().get(1)).await;
        match state(&before) {
            Some(state @ (BulkState::Finished | BulkState::Failed)) => Ok(Aborted::Refused(state)),
            Some(_) => Ok(self.get(id).await?.map_or(Aborted::Gone, |bulk| Aborted::Done(Box::new(bulk)))),
            None if before.is_empty() => Ok(Aborted::Gone),
            None => Err(reply.corrupt()),
        }
    }

    pub(crate) async fn fields(self, id: BulkId) -> Result<Fields, Error> {
        Ok(self.core.connection.client()?.hgetall(self.core.keys.bulk(id)).await?)
    }
}

fn state(word: &str) -> Option<BulkState> {
    use BulkState::{Aborted, Aborting, Failed, Finished, Running, Waiting};
    [Waiting, Running, Aborting, Aborted, Finished, Failed].into_iter().find(|state| state.word() == word)
}

pub(crate) fn action(fields: &Fields) -> Option<BulkAction> {
    use BulkAction::{Cancel, Delete, Redrive, RunNow};
    let word = fields.get("action")?;
    [Redrive, Cancel, RunNow, Delete].into_iter().find(|action| action.word() == word)
}

fn view(id: BulkId, fields: &Fields) -> Result<BulkView, Error> {
    let text = |name: &str| fields.get(name).filter(|text| !text.is_empty());
    let time = |name| Timestamp::from_millisecond(text(name)?.parse().ok()?).ok();
    let read = || {
        let counts = Counts::decode(fields);
        Some(BulkView {
            id,
            action: action(fields)?,
            state: state(text("state")?)?,
            filter: serde_json::from_str(text("filter")?).ok()?,
            created_at: time("created"),
            started_at: time("started"),
            ended_at: time("ended"),
            done: counts.done,
            total: text("total").and_then(|total| total.parse().ok()),
            matched: counts.matched(),
            changed: counts.changed,
            skipped: counts.skipped,
            failed: counts.failed,
            examples: text("examples").and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default(),
            runner: text("runner").and_then(|json| serde_json::from_str(json).ok()),
            error: text("error").cloned(),
        })
    };
    read().ok_or_else(|| Error::corrupt(format!("the bulk operation {id}, as this build reads it")))
}
