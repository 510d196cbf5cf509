//! Registrations of workers. They expire unless their worker renews them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use fred::interfaces::{KeysInterface, SortedSetsInterface};
use fred::types::{Key, Value};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::error::Error;
use crate::model::id::WorkerId;
use crate::model::instant;
use crate::model::run::WorkerRef;
use crate::scripts::{ASK, HEARTBEAT, UNREGISTER};
use crate::wire;

/// A live worker, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Registration {
    #[serde(flatten)]
    pub worker: WorkerRef,
    pub kinds: Vec<String>,
    /// Weight by name.
    pub queues: BTreeMap<String, u32>,
    /// Maximum number of jobs that it runs at the same time.
    pub slots: u32,
    pub active: u32,
    pub state: WorkerState,
    #[serde(serialize_with = "instant::serialize")]
    pub started_at: Timestamp,
    #[serde(serialize_with = "instant::serialize")]
    pub seen_at: Timestamp,
    /// The address of its health checks.
    pub http: String,
}

impl Registration {
    /// False if the worker is quiet or stopping.
    pub fn claims_from(&self, queue: &str) -> bool {
        self.state == WorkerState::Running && self.queues.contains_key(queue)
    }

    /// False if the worker is quiet or stopping.
    pub fn claims_kind(&self, kind: &str) -> bool {
        self.state == WorkerState::Running && self.kinds.iter().any(|known| known == kind)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    Running,
    /// Claims no more jobs, on request.
    Quiet,
    /// Claims no more jobs and waits for its running ones.
    Stopping,
}

/// A request to a worker, sent through Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerRequest {
    /// Claim no more jobs. Running jobs are not affected. This cannot be undone.
    Quiet,
    /// Claim no more jobs, wait for the running ones, exit.
    Stop,
}

/// A worker, and the request that was sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    pub id: WorkerId,
    pub requested: WorkerRequest,
}

/// The way in which a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It has drained. Jobs that it could not stop do not count as crashed.
    Orderly,
    /// A part of it failed. Jobs that it leaves behind count as crashed.
    Failure,
}

/// The fate of a worker, which decides how its jobs are recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is registered.
    Alive,
    /// It has drained within the last day.
    Stopped,
    /// Its process has died, or is frozen.
    Gone,
}

/// Lifetime of the note that a worker has drained. Its remaining jobs are recovered within seconds, unless no
/// worker runs.
const STOPPED_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

impl fmt::Display for WorkerRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

pub(crate) async fn heartbeat(
    core: &Core,
    registration: &Registration,
    ttl: Duration,
) -> Result<Option<WorkerRequest>, Error> {
    let (id, keys) = (registration.worker.id, &core.keys);
    let json = serde_json::to_string(registration).expect("strings and numbers always serialize");
    let script_keys = vec![keys.workers().into(), keys.worker(id).into(), keys.asked_of(id).into()];
    let args: Vec<Value> = vec![id.to_string().into(), json.into(), wire::millis(ttl)];
    let reply = core.call(&HEARTBEAT, script_keys, args).await?;
    let asked = reply.values().first().and_then(Value::as_string).unwrap_or_default();
    Ok([WorkerRequest::Quiet, WorkerRequest::Stop].into_iter().find(|request| request.to_string() == asked))
}

pub(crate) async fn ask_worker(core: &Core, id: WorkerId, request: WorkerRequest) -> Result<bool, Error> {
    let keys = &core.keys;
    let script_keys = vec![keys.worker(id).into(), keys.asked_of(id).into()];
    let args: Vec<Value> =
        vec![request.to_string().into(), keys.workers_channel().into(), id.to_string().into()];
    core.call(&ASK, script_keys, args).await?.is_done()
}

pub(crate) async fn unregister(core: &Core, id: WorkerId, departure: Departure) -> Result<(), Error> {
    let keys = &core.keys;
    let names = [keys.workers(), keys.worker(id), keys.asked_of(id), keys.stopped(id)];
    let kept = match departure {
        Departure::Orderly => STOPPED_KEPT,
        Departure::Failure => Duration::ZERO,
    };
    let args = vec![id.to_string().into(), wire::millis(kept)];
    core.call(&UNREGISTER, names.map(Key::from).into(), args).await.map(drop)
}

pub(crate) async fn workers(core: &Core) -> Result<Vec<Registration>, Error> {
    let keys = &core.keys;
    let redis = core.connection.client()?;
    let ids: Vec<String> = redis.zrange(keys.workers(), 0, -1, None, false, None, false).await?;
    let ids: Vec<WorkerId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    let names: Vec<String> = ids.iter().map(|id| keys.worker(*id)).collect();
    core.known.set_workers(ids);
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let registrations: Vec<Option<String>> = redis.mget(names).await?;
    Ok(read_all(registrations.into_iter().flatten()))
}

/// Registrations as stored, in the order of the starts of their workers. An empty one is of a worker that is gone.
pub(crate) fn read_all(registrations: impl Iterator<Item = String>) -> Vec<Registration> {
    let mut workers: Vec<Registration> = registrations
        .filter(|json| !json.is_empty())
        .filter_map(|json| match serde_json::from_str(&json) {
            Ok(registration) => Some(registration),
            Err(error) => {
                tracing::error!(%error, %json, "a worker's registration cannot be read");
                None
            }
        })
        .collect();
    // The order of the set changes with each heartbeat.
    workers.sort_by_key(|worker| worker.worker.id);
    workers
}

pub(crate) async fn fates(core: &Core, ids: &[WorkerId]) -> Result<Vec<Fate>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let keys = &core.keys;
    let names: Vec<String> = ids.iter().flat_map(|id| [keys.worker(*id), keys.stopped(*id)]).collect();
    let found: Vec<Option<Bytes>> = core.connection.client()?.mget(names).await?;
    let fates = found.as_chunks().0.iter().map(|found| match found {
        [Some(_), _] => Fate::Alive,
        [None, Some(_)] => Fate::Stopped,
        [None, None] => Fate::Gone,
    });
    Ok(fates.collect())
}
