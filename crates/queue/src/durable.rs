//! Enqueues that are answered once this Redis has the job on its disk, whatever its `appendfsync`.
//!
//! They have a connection of their own: `WAITAOF` blocks it, and many of them share one wait.

use std::time::Duration;

use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::{ClusterHash, CustomCommand, Value};

use crate::client::Client;
use crate::connection::Connection;
use crate::enqueue::{Atomicity, Enqueued, NewJob};
use crate::error::Error;

/// How long Redis may take to write to its disk.
const TO_DISK: Duration = Duration::from_secs(5);
/// Of a command on this connection, the wait included.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(6);
const FIRST_CONNECT: Duration = Duration::from_secs(1);

/// How a job is known to be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// `appendfsync always`: Redis answers no write before it is.
    AnyReply,
    WaitAof,
}

/// What Redis says of its append-only file.
#[derive(Debug)]
struct Aof {
    enabled: bool,
    appendfsync: String,
    /// `no-appendfsync-on-rewrite yes`: while the file is rewritten, nothing reaches the disk.
    pauses: bool,
    version: (u32, u32),
    is_valkey: bool,
}

impl Client {
    /// Stores jobs, then waits for the disk; a job that was stored before is waited for as well.
    pub(crate) async fn enqueue_to_disk(&self, queue: &str, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        let disk = self.disk()?;
        let mut connects = disk.connects();
        let _ = tokio::time::timeout(FIRST_CONNECT, connects.wait_for(|connects| *connects > 0)).await;
        let unsent = |error| match error {
            Error::Unknown(why) => Error::NotSent(why),
            other => other,
        };
        let proof = disk.aof().await.map_err(unsent)?.proof()?;
        let stored = self.enqueue_call(disk, queue, jobs, Atomicity::Each).await?;
        if proof == Proof::WaitAof && !disk.is_on_disk(&self.keys().synced()).await {
            return Err(Error::NotYetOnDisk(jobs[0].id));
        }
        Ok(stored)
    }
}

impl Connection {
    async fn aof(&self) -> Result<Aof, Error> {
        let client = self.reader()?;
        let settings = CustomCommand::new_static("CONFIG", ClusterHash::FirstKey, false);
        let names = ["GET", "appendonly", "appendfsync", "no-appendfsync-on-rewrite"];
        let settings: Vec<String> = client.custom(settings, names.to_vec()).await?;
        let setting =
            |name: &str| settings.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone());
        let facts = self.server_facts().await?;
        Ok(Aof {
            enabled: setting("appendonly").as_deref() == Some("yes"),
            appendfsync: setting("appendfsync").unwrap_or_default(),
            pauses: setting("no-appendfsync-on-rewrite").as_deref() == Some("yes"),
            version: facts.number(),
            is_valkey: facts.is_valkey(),
        })
    }

    /// Whether all that was written on this connection, or answered by it, is on disk now.
    async fn is_on_disk(&self, key: &str) -> bool {
        let Ok(client) = self.ready() else { return false };
        // WAITAOF waits for what its connection wrote last. A job that was stored before is no such write,
        // so there is one in any case; and in one pipeline, so that both go over one connection.
        let pipeline = client.pipeline();
        let _: Result<(), _> = pipeline.set(key, 1, None, None, false).await;
        let wait = CustomCommand::new_static("WAITAOF", ClusterHash::FirstKey, true);
        let args: Vec<Value> = vec![1.into(), 0.into(), (TO_DISK.as_millis() as i64).into()];
        let _: Result<(), _> = pipeline.custom(wait, args).await;
        let replies: Result<(Value, Vec<i64>), _> = pipeline.all().await;
        match replies {
            Ok((_, servers)) => servers.first().is_some_and(|here| *here >= 1),
            Err(error) => {
                tracing::warn!(%error, "jobs are stored; that they are on disk is not known");
                false
            }
        }
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
            "always" if !self.pauses => Ok(Proof::AnyReply),
            _ if self.is_valkey || self.version >= (7, 2) => Ok(Proof::WaitAof),
            _ => no(format!(
                "Redis {major}.{minor} cannot say when a job is on its disk: it takes Redis 7.2, any Valkey, or \
                 `appendfsync always`"
            )),
        }
    }
}
