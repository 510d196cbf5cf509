//! Registrations of workers. They expire unless their worker renews them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use fred::interfaces::{KeysInterface, SortedSetsInterface};
use fred::types::Value;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::error::Error;
use crate::model::id::WorkerId;
use crate::model::instant;
use crate::model::run::WorkerRef;
use crate::scripts::{ASK, HEARTBEAT, UNREGISTER};
use crate::wire;

/// A live worker, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    Running,
    /// Claims no more jobs, on request.
    Quiet,
    /// Claims no more jobs and waits for its running ones.
    Stopping,
}

/// A request to a worker, sent through Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerRequest {
    /// Claim no more jobs. Running jobs are not affected. This cannot be undone.
    Quiet,
    /// Claim no more jobs, wait for the running ones, exit.
    Stop,
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

impl WorkerRequest {
    fn name(self) -> &'static str {
        match self {
            WorkerRequest::Quiet => "quiet",
            WorkerRequest::Stop => "stop",
        }
    }
}

impl std::fmt::Display for WorkerState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            WorkerState::Running => "running",
            WorkerState::Quiet => "quiet",
            WorkerState::Stopping => "stopping",
        })
    }
}

/// Renews a registration; it expires after `ttl` unless renewed. Returns the request to the worker, if there is one.
pub(crate) async fn heartbeat(
    core: &Core,
    registration: &Registration,
    ttl: Duration,
) -> Result<Option<WorkerRequest>, Error> {
    let id = registration.worker.id;
    let json = serde_json::to_string(registration).expect("strings and numbers always serialise");
    let keys =
        vec![core.keys().workers().into(), core.keys().worker(id).into(), core.keys().asked_of(id).into()];
    let args: Vec<Value> = vec![id.to_string().into(), json.into(), wire::millis(ttl)];
    let reply = core.call(&HEARTBEAT, keys, args).await?;
    let asked = reply.values().first().and_then(Value::as_str).unwrap_or_default();
    Ok([WorkerRequest::Quiet, WorkerRequest::Stop].into_iter().find(|request| request.name() == asked))
}

/// Asks a live worker to go quiet or to stop. Returns false if no such worker is alive.
pub(crate) async fn ask_worker(core: &Core, id: WorkerId, request: WorkerRequest) -> Result<bool, Error> {
    let keys = vec![core.keys().worker(id).into(), core.keys().asked_of(id).into()];
    let args: Vec<Value> =
        vec![request.name().into(), core.keys().workers_channel().into(), id.to_string().into()];
    let reply = core.call(&ASK, keys, args).await?;
    reply.is_done()
}

/// Removes a registration.
pub(crate) async fn unregister(core: &Core, id: WorkerId, departure: Departure) -> Result<(), Error> {
    let keys = vec![
        core.keys().workers().into(),
        core.keys().worker(id).into(),
        core.keys().asked_of(id).into(),
        core.keys().stopped(id).into(),
    ];
    let kept = match departure {
        Departure::Orderly => STOPPED_KEPT,
        Departure::Failure => Duration::ZERO,
    };
    core.call(&UNREGISTER, keys, vec![id.to_string().into(), wire::millis(kept)]).await?;
    Ok(())
}

/// All live workers, in the order of their starts.
pub(crate) async fn workers(core: &Core) -> Result<Vec<Registration>, Error> {
    let redis = core.connection().reader()?;
    let ids: Vec<String> = redis.zrange(core.keys().workers(), 0, -1, None, false, None, false).await?;
    let keys: Vec<String> =
        ids.iter().filter_map(|id| id.parse().ok()).map(|id| core.keys().worker(id)).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let registrations: Vec<Option<String>> = redis.mget(keys).await?;
    let mut workers: Vec<Registration> = registrations
        .into_iter()
        .flatten()
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
    Ok(workers)
}

/// The fate of each of these workers, in their order.
pub(crate) async fn fates(core: &Core, ids: &[WorkerId]) -> Result<Vec<Fate>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let keys = core.keys();
    let names: Vec<String> = ids.iter().flat_map(|id| [keys.worker(*id), keys.stopped(*id)]).collect();
    let found: Vec<Option<Bytes>> = core.connection().reader()?.mget(names).await?;
    Ok(found
        .chunks_exact(2)
        .map(|found| match found {
            [Some(_), _] => Fate::Alive,
            [None, Some(_)] => Fate::Stopped,
            _ => Fate::Gone,
        })
        .collect())
}
