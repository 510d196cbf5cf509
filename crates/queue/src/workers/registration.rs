//! Registrations of workers: they go by themselves when their worker stops renewing them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use fred::interfaces::{KeysInterface, SortedSetsInterface};
use fred::types::Value;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::Error;
use crate::model::id::WorkerId;
use crate::model::instant;
use crate::model::record::WorkerRef;
use crate::scripts::{ASK, HEARTBEAT, UNREGISTER};
use crate::transitions::settle::millis;

/// A live worker, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    #[serde(flatten)]
    pub worker: WorkerRef,
    pub kinds: Vec<String>,
    /// Name → weight.
    pub queues: BTreeMap<String, u32>,
    /// Jobs that it runs at the same time at most.
    pub slots: u32,
    pub active: u32,
    pub state: WorkerState,
    #[serde(serialize_with = "instant::serialize")]
    pub started_at: Timestamp,
    #[serde(serialize_with = "instant::serialize")]
    pub seen_at: Timestamp,
    /// Where its probe answers.
    pub http: String,
}

impl Registration {
    /// False of a worker that claims no more.
    pub fn claims_from(&self, queue: &str) -> bool {
        self.state == WorkerState::Running && self.queues.contains_key(queue)
    }

    /// False of a worker that claims no more.
    pub fn claims_kind(&self, kind: &str) -> bool {
        self.state == WorkerState::Running && self.kinds.iter().any(|known| known == kind)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    Running,
    /// Claims no more; asked to by somebody.
    Quiet,
    /// Claims no more, lets its jobs end.
    Stopping,
}

/// What can be asked of a worker from afar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerRequest {
    /// Claim no more; jobs that run go on. This cannot be undone.
    Quiet,
    /// Claim no more, let jobs end, exit.
    Stop,
}

/// How a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It was told to stop and has drained. Jobs that it could not stop are no crash.
    Orderly,
    /// A part of it broke: jobs that it leaves behind count as crashed.
    Failure,
}

/// The fate of a worker, which decides how its jobs are recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is registered.
    Alive,
    /// It stopped in an orderly way, within the last day.
    Stopped,
    /// Its process is gone, or frozen.
    Gone,
}

/// For so long it is known that a worker stopped in an orderly way. Whoever recovers the jobs that it left
/// behind comes within seconds, unless no worker runs.
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

impl Client {
    /// Renews a registration; it lives for `ttl` unless renewed. The answer is what somebody asked
    /// of the worker.
    pub async fn heartbeat(
        &self,
        registration: &Registration,
        ttl: Duration,
    ) -> Result<Option<WorkerRequest>, Error> {
        let id = registration.worker.id;
        let json = serde_json::to_string(registration).expect("strings and numbers always serialise");
        let keys = vec![
            self.keys().workers().into(),
            self.keys().worker(id).into(),
            self.keys().asked_of(id).into(),
        ];
        let args: Vec<Value> = vec![id.to_string().into(), json.into(), millis(ttl)];
        let reply = self.call(&HEARTBEAT, keys, args).await?;
        let asked = reply.get(1).and_then(Value::as_str).unwrap_or_default();
        Ok([WorkerRequest::Quiet, WorkerRequest::Stop].into_iter().find(|request| request.name() == asked))
    }

    /// Asks a live worker to go quiet or to stop; false where no such worker lives.
    pub async fn ask_worker(&self, id: WorkerId, request: WorkerRequest) -> Result<bool, Error> {
        let keys = vec![self.keys().worker(id).into(), self.keys().asked_of(id).into()];
        let args: Vec<Value> =
            vec![request.name().into(), self.keys().workers_channel().into(), id.to_string().into()];
        let reply = self.call(&ASK, keys, args).await?;
        Ok(reply.get(1).and_then(Value::as_i64) == Some(1))
    }

    /// Takes a registration back.
    pub async fn unregister(&self, id: WorkerId, departure: Departure) -> Result<(), Error> {
        let keys = vec![
            self.keys().workers().into(),
            self.keys().worker(id).into(),
            self.keys().asked_of(id).into(),
            self.keys().stopped(id).into(),
        ];
        let kept = match departure {
            Departure::Orderly => STOPPED_KEPT,
            Departure::Failure => Duration::ZERO,
        };
        self.call(&UNREGISTER, keys, vec![id.to_string().into(), millis(kept)]).await?;
        Ok(())
    }

    /// All live workers, those that started first in front.
    pub async fn workers(&self) -> Result<Vec<Registration>, Error> {
        let redis = self.connection().reader()?;
        let ids: Vec<String> = redis.zrange(self.keys().workers(), 0, -1, None, false, None, false).await?;
        let keys: Vec<String> =
            ids.iter().filter_map(|id| id.parse().ok()).map(|id| self.keys().worker(id)).collect();
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
        // In the order of their starts: the set's own changes with each heartbeat.
        workers.sort_by_key(|worker| worker.worker.id);
        Ok(workers)
    }

    /// The fate of each of these workers, in their order.
    pub async fn fates(&self, ids: &[WorkerId]) -> Result<Vec<Fate>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let keys = self.keys();
        let names: Vec<String> = ids.iter().flat_map(|id| [keys.worker(*id), keys.stopped(*id)]).collect();
        let found: Vec<Option<Bytes>> = self.connection().reader()?.mget(names).await?;
        Ok(found
            .chunks_exact(2)
            .map(|found| match found {
                [Some(_), _] => Fate::Alive,
                [None, Some(_)] => Fate::Stopped,
                _ => Fate::Gone,
            })
            .collect())
    }
}
