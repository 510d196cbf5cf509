//! Enqueues that are answered once this Redis has the job on its disk, whatever its `appendfsync`.
//!
//! They have a connection of their own: `WAITAOF` blocks it, and many of them share one wait, of all queues.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::{ClusterHash, CustomCommand, InfoKind, Value};

use crate::client::Client;
use crate::error::{Error, RefusalCode};
use crate::redis::connection::Connection;
use crate::redis::pool::Tasks;
use crate::transitions::enqueue::{Atomicity, Enqueued, NewJob};

/// How long Redis may take to write to its disk.
const TO_DISK: Duration = Duration::from_secs(5);
/// Of a command on this connection, the wait included.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(6);
const FIRST_CONNECT: Duration = Duration::from_secs(1);
/// How long settings of Redis are taken for granted: they may change while it runs.
const SETTINGS_AGE: Duration = Duration::from_secs(1);

/// The connection that waits for the disk. One `WAITAOF` is on its way at most, and what is stored meanwhile
/// shares the next: so a check of the connection waits for one wait, not for one of each queue.
pub(crate) struct Disk {
    connection: Connection,
    _tasks: Tasks,
    settings: Mutex<Option<Settings>>,
    /// Calls that stored something.
    stored: AtomicU64,
    last_wait: tokio::sync::Mutex<Wait>,
}

struct Settings {
    connect: u64,
    read: Instant,
    aof: Aof,
}

#[derive(Default)]
struct Wait {
    /// The first so many calls of [`Disk::stored`].
    covers: u64,
    /// The run id of the server process that has all of them on its disk.
    on_disk_of: Option<String>,
}

/// How a job is known to be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// `appendfsync always`, before Redis 7.2: Redis answers no write before it is.
    AnyReply,
    WaitAof,
}

/// What Redis says of its append-only file.
#[derive(Debug, Clone)]
struct Aof {
    enabled: bool,
    appendfsync: String,
    /// `no-appendfsync-on-rewrite yes`: while the file is rewritten, nothing reaches the disk.
    pauses: bool,
    version: (u32, u32),
    is_valkey: bool,
    /// Identifies the server process.
    run_id: String,
}

impl Client {
    /// Stores jobs, then waits for the disk; a job that was stored before is waited for as well.
    pub(crate) async fn enqueue_to_disk(
        &self,
        queue: &str,
        jobs: &[NewJob],
    ) -> Result<Vec<Result<Enqueued, Error>>, Error> {
        let disk = self.disk()?;
        let mut connects = disk.connection.connects();
        let _ = tokio::time::timeout(FIRST_CONNECT, connects.wait_for(|connects| *connects > 0)).await;
        let unsent = |error| match error {
            Error::Unknown(why) => Error::NotSent(why),
            other => other,
        };
        let proof = disk.aof().await.map_err(unsent)?.proof()?;
        let run_id = match proof {
            Proof::AnyReply => None,
            // Not of the settings: the process may have been another when these were read.
            Proof::WaitAof => disk.connection.run_id().await.map_err(unsent)?,
        };
        let stored = self.enqueue_call(&disk.connection, queue, jobs, Atomicity::Each).await?;
        let on_disk = match proof {
            Proof::AnyReply => true,
            Proof::WaitAof => disk.is_on_disk(&self.keys().synced(), run_id).await,
        };
        let answers = stored.into_iter().zip(jobs).map(|(stored, job)| match stored {
            Enqueued::Created { .. } if !on_disk => Err(Error::NotYetOnDisk(job.id)),
            Enqueued::Duplicate(id) if !on_disk => Err(Error::NotYetOnDisk(id)),
            known => Ok(known),
        });
        Ok(answers.collect())
    }
}

impl Connection {
    async fn aof(&self) -> Result<Aof, Error> {
        let client = self.reader()?;
        let settings = CustomCommand::new_static("CONFIG", ClusterHash::FirstKey, false);
        let names = ["GET", "appendonly", "appendfsync", "no-appendfsync-on-rewrite"];
        let settings: Result<Vec<String>, _> = client.custom(settings, names.to_vec()).await;
        let settings = settings.map_err(|error| match Error::from(error) {
            // Renamed, or not permitted.
            Error::Corrupt(why)
            | Error::Refused { code: RefusalCode::NotPermitted | RefusalCode::Unsupported, message: why } => {
                tracing::warn!(why, "CONFIG GET fails, so no job can be known to be on disk");
                Error::NotDurable(
                    "this Redis does not tell its settings: CONFIG GET is renamed or not permitted"
                        .to_owned(),
                )
            }
            other => other,
        })?;
        let setting =
            |name: &str| settings.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone());
        let facts = self.server_facts().await?;
        Ok(Aof {
            enabled: setting("appendonly").as_deref() == Some("yes"),
            appendfsync: setting("appendfsync").unwrap_or_default(),
            pauses: setting("no-appendfsync-on-rewrite").as_deref() == Some("yes"),
            version: facts.number(),
            is_valkey: facts.is_valkey(),
            run_id: facts.run_id,
        })
    }

    /// Of the server process.
    async fn run_id(&self) -> Result<Option<String>, Error> {
        let info: String = self.reader()?.info(Some(InfoKind::Server)).await?;
        Ok(run_id(&info).map(str::to_owned))
    }

    /// The run id of the server process, once all that it wrote or answered before is on its disk. After a
    /// restart or a failover it is another process, which knows nothing of that.
    async fn on_disk_of(&self, key: &str) -> Option<String> {
        let client = self.ready().ok()?;
        // WAITAOF waits for what its connection wrote last. A job that was stored before is no such write,
        // so there is one in any case; and in one pipeline, so that both go over one connection.
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
                tracing::warn!(%error, "jobs are stored; that they are on disk is not known");
                None
            }
        }
    }
}

fn run_id(info: &str) -> Option<&str> {
    info.lines().find_map(|line| line.strip_prefix("run_id:"))
}

impl Disk {
    pub(crate) fn new(connection: Connection, tasks: Tasks) -> Self {
        Disk {
            connection,
            _tasks: tasks,
            settings: Mutex::default(),
            stored: AtomicU64::new(0),
            last_wait: <_>::default(),
        }
    }

    /// Read over this connection, which nothing but fsync enqueues uses.
    async fn aof(&self) -> Result<Aof, Error> {
        let connect = *self.connection.connects().borrow();
        {
            let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = &*settings
                && known.connect == connect
                && known.read.elapsed() < SETTINGS_AGE
            {
                return Ok(known.aof.clone());
            }
        }
        let read = Instant::now();
        let aof = self.connection.aof().await?;
        aof.proof()?; // what is refused is read again by the next call
        let settings = Settings { connect, read, aof: aof.clone() };
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Some(settings);
        Ok(aof)
    }

    /// Whether all that this server process has answered so far is on its disk.
    async fn is_on_disk(&self, key: &str, run_id: Option<String>) -> bool {
        let mine = self.stored.fetch_add(1, Ordering::AcqRel) + 1;
        let mut wait = self.last_wait.lock().await;
        if wait.covers < mine {
            let covers = self.stored.load(Ordering::Acquire);
            *wait = Wait { covers, on_disk_of: self.connection.on_disk_of(key).await };
        }
        run_id.is_some() && wait.on_disk_of == run_id
    }
}

impl Aof {
    fn proof(&self) -> Result<Proof, Error> {
        let no = |why: String| Err(Error::NotDurable(why));
        let (major, minor) = self.version;
        if !self.enabled {
            return no("this Redis keeps no AOF (appendonly no)".to_owned());
        }
        match &*self.appendfsync {
            "no" => {
                no("this Redis leaves it to its system when to write to disk (appendfsync no)".to_owned())
            }
            // Under `always` it returns at once, and knows of a file that is not in use yet.
            _ if self.is_valkey || self.version >= (7, 2) => {
                if self.run_id.is_empty() {
                    return no("this user of Redis may not ask INFO, which tells a restart during the wait"
                        .to_owned());
                }
                Ok(Proof::WaitAof)
            }
            "always" if !self.pauses => Ok(Proof::AnyReply),
            _ => no(format!(
                "Redis {major}.{minor} cannot say when a job is on its disk: it takes Redis 7.2, any Valkey, or \
                 `appendfsync always`"
            )),
        }
    }
}
