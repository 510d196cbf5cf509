//! The record of finished jobs: which token settled each job, and why earlier runs failed. It is read from Redis, without
//! the bad network, before Redis removes the jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use atode_jobs::Job as _;
use atode_queue::{FailureCause, JobId, WorkerId};
use atode_testkit::{Connection, RedisServer, Reply};
use serde::Deserialize;

use crate::system::lock;
use crate::task::Task;

const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Set {
    Due,
    Lease,
    Done,
    Cancelled,
    Dead,
}

impl Set {
    pub(crate) const ALL: [Set; 5] = [Set::Due, Set::Lease, Set::Done, Set::Cancelled, Set::Dead];

    fn key(self) -> String {
        let name = match self {
            Set::Due => "due",
            Set::Lease => "lease",
            Set::Done => "done",
            Set::Cancelled => "cancelled",
            Set::Dead => "dead",
        };
        format!("atode:{{default}}:{}:{name}", Task::KIND)
    }
}

/// The data of a finished job in Redis.
#[derive(Debug, Clone)]
pub(crate) struct Finish {
    pub(crate) set: Set,
    /// The token of the settlement. 0 if the worker was lost and another one buried or cancelled the job.
    pub(crate) token: u64,
    pub(crate) failures: Vec<Failure>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Failure {
    pub(crate) cause: FailureCause,
    pub(crate) attempt: u32,
    pub(crate) worker: Worker,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct History {
    failures: Vec<Failure>,
}

#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) finished: Mutex<BTreeMap<JobId, Finish>>,
}

impl Watch {
    /// Records the jobs that have finished since the last update. `None` if Redis does not answer; the next update then
    /// catches up.
    pub(crate) fn update(&self, redis: &RedisServer) -> Option<()> {
        let mut redis = redis.connect(TIMEOUT).ok()?;
        for set in [Set::Done, Set::Cancelled, Set::Dead] {
            let ids = members(&mut redis, set)?;
            let new: Vec<JobId> = {
                let finished = lock(&self.finished);
                ids.into_iter().filter(|id| !finished.contains_key(id)).collect()
            };
            for ids in new.chunks(500) {
                let mut command = vec!["HMGET".to_owned(), "atode:{default}:state".to_owned()];
                command.extend(ids.iter().map(|id| id.short()));
                let Reply::Array(states) = redis.command(&command).ok()? else { return None };
                let mut finished = lock(&self.finished);
                for (id, state) in ids.iter().zip(states) {
                    if !state.is_null()
                        && let Some(finish) = decode(set, &state.text())
                    {
                        finished.insert(*id, finish);
                    }
                }
            }
        }
        Some(())
    }
}

pub(crate) fn members(redis: &mut Connection, set: Set) -> Option<BTreeSet<JobId>> {
    let Reply::Array(ids) = redis.command(&["ZRANGE", &set.key(), "0", "-1"]).ok()? else { return None };
    Some(ids.iter().filter_map(|id| id.text().parse().ok()).collect())
}

/// Decodes `<time> <token> <crashes> <json>`.
fn decode(set: Set, state: &str) -> Option<Finish> {
    let mut parts = state.splitn(4, ' ');
    let token = parts.nth(1)?.parse().ok()?;
    let history: History = serde_json::from_str(parts.nth(1)?).ok()?;
    Some(Finish { set, token, failures: history.failures })
}
