//! Enqueues that are answered once Redis has the job on its disk, whatever its `appendfsync`.
//!
//! They use a connection of their own, because `WAITAOF` blocks it, and many of them, of all queues, share one wait.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use atode_config::redis::JobqueueRedis;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::{ClusterHash, CustomCommand, InfoKind, Value};
use tokio::sync::{Mutex, OnceCell};

use crate::core::Core;
use crate::error::Error;
use crate::model::new_job::{Atomicity, Enqueued, NewJob};
use crate::producer::aof::{self, Proof};
use crate::redis::connection::Connection;
use crate::redis::pool::Tasks;
use crate::transitions::enqueue;

/// Timeout of a command on this connection, the wait for the disk included.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(6);

/// Time that Redis may take to write to its disk.
const TO_DISK: Duration = Duration::from_secs(5);
const FIRST_CONNECT: Duration = Duration::from_secs(1);
/// Lifetime of the settings that were read: they may change while Redis runs.
const SETTINGS_AGE: Duration = Duration::from_secs(1);

/// The connection that waits for the disk, opened at the first use.
pub(crate) struct Disk {
    redis: JobqueueRedis,
    open: OnceCell<DiskConnection>,
}

/// At most one `WAITAOF` is in flight, and jobs that are stored meanwhile share the next. So a check of the
/// connection waits for one wait at most, not for one per queue.
struct DiskConnection {
    connection: Connection,
    _tasks: Tasks,
    /// Never locked during a read: reads of several queues share one wait.
    settings: std::sync::Mutex<Option<Settings>>,
    /// Number of calls that stored something.
    stored: AtomicU64,
    last_wait: Mutex<Wait>,
}

struct Settings {
    connect: u64,
    read: Instant,
    proof: Proof,
}

#[derive(Default)]
struct Wait {
    /// Number of [`DiskConnection::stored`] calls that the wait covers.
    covers: u64,
    /// The run id of the server process that has all of them on its disk.
    on_disk_of: Option<String>,
}

impl Disk {
    pub(crate) fn new(redis: &JobqueueRedis) -> Self {
        let mut redis = redis.clone();
        redis.pool_size = 1;
        redis.connection.command_timeout = TIMEOUT;
        Disk { redis, open: OnceCell::new() }
    }

    /// Stores jobs, then waits for the disk, also for jobs that were stored before.
    pub(crate) async fn enqueue(
        &self,
        core: &Core,
        queue: &str,
        jobs: &[NewJob],
    ) -> Result<Vec<Result<Enqueued, Error>>, Error> {
        let disk = self.connection(core).await?;
        let mut connects = disk.connection.connects();
        let _ = tokio::time::timeout(FIRST_CONNECT, connects.wait_for(|connects| *connects > 0)).await;
        let unsent = |error| match error {
            Error::Unknown(why) => Error::NotSent(why),
            other => other,
        };
        let proof = disk.proof().await.map_err(unsent)?;
        let run_id = match proof {
            Proof::AnyReply => None,
            // Not from the settings: the process may have been another when they were read.
            Proof::WaitAof => read_run_id(&disk.connection).await.map_err(unsent)?,
        };
        let stored = enqueue::enqueue(core, &disk.connection, queue, jobs, Atomicity::Each).await?;
        let on_disk = match proof {
            Proof::AnyReply => true,
            Proof::WaitAof => disk.is_on_disk(&core.keys.synced(), run_id).await,
        };
        let answers = stored.into_iter().zip(jobs).map(|(stored, job)| match stored {
            Enqueued::Created { .. } if !on_disk => Err(Error::NotYetOnDisk(job.id)),
            Enqueued::Duplicate(id) if !on_disk => Err(Error::NotYetOnDisk(id)),
            known => Ok(known),
        });
        Ok(answers.collect())
    }

    async fn connection(&self, core: &Core) -> Result<&DiskConnection, Error> {
        self.open
            .get_or_try_init(async || {
                let (connection, _no_listener, tasks) = Connection::open(&self.redis, core.clock.clone())?;
                let (settings, last_wait) = <_>::default();
                Ok(DiskConnection {
                    connection,
                    _tasks: tasks,
                    settings,
                    stored: AtomicU64::new(0),
                    last_wait,
                })
            })
            .await
    }
}

impl DiskConnection {
    /// Reads the settings over this connection, which only fsync enqueues use. Refused settings are read again by the
    /// next call.
    async fn proof(&self) -> Result<Proof, Error> {
        let connect = *self.connection.connects().borrow();
        let settings = || self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*settings()
            && known.connect == connect
            && known.read.elapsed() < SETTINGS_AGE
        {
            return Ok(known.proof);
        }
        let read = Instant::now();
        let proof = aof::proof(&self.connection).await?;
        *settings() = Some(Settings { connect, read, proof });
        Ok(proof)
    }

    /// True if the server process with this run id has on its disk everything that it has answered so far.
    async fn is_on_disk(&self, key: &str, run_id: Option<String>) -> bool {
        let this_call = self.stored.fetch_add(1, Ordering::AcqRel) + 1;
        let mut wait = self.last_wait.lock().await;
        if wait.covers < this_call {
            let covers = self.stored.load(Ordering::Acquire);
            *wait = Wait { covers, on_disk_of: wait_for_disk(&self.connection, key).await };
        }
        run_id.is_some() && wait.on_disk_of == run_id
    }
}

async fn read_run_id(connection: &Connection) -> Result<Option<String>, Error> {
    let info: String = connection.client()?.info(Some(InfoKind::Server)).await?;
    Ok(run_id(&info).map(str::to_owned))
}

/// The run id of the server process, once everything that it wrote or answered before is on its disk. After a restart
/// or a failover it is another process, which does not know whether that is on disk.
async fn wait_for_disk(connection: &Connection, key: &str) -> Option<String> {
    let client = connection.ready().ok()?;
    // WAITAOF waits for the last write of its connection. A duplicate job is no such write, so the pipeline makes
    // one in any case, and keeps all commands on one connection.
    let pipeline = client.pipeline();
    let _: Result<(), _> = pipeline.set(key, 1, None, None, false).await;
    let wait = CustomCommand::new_static("WAITAOF", ClusterHash::FirstKey, true);
    let args: Vec<Value> = vec![1.into(), 0.into(), (TO_DISK.as_millis() as i64).into()];
    let _: Result<(), _> = pipeline.custom(wait, args).await;
    let _: Result<(), _> = pipeline.info(Some(InfoKind::Server)).await;
    let replies: Result<(Value, Vec<i64>, String), _> = pipeline.all().await;
    match replies {
        Ok((_, servers, info)) => {
            let is_on_disk = servers.first().is_some_and(|here| *here >= 1);
            is_on_disk.then(|| run_id(&info).map(str::to_owned))?
        }
        Err(error) => {
            tracing::warn!(%error, "jobs are stored, but it is unknown whether they are on disk");
            None
        }
    }
}

fn run_id(info: &str) -> Option<&str> {
    info.lines().find_map(|line| line.strip_prefix("run_id:"))
}
