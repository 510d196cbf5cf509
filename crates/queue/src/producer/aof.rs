//! The settings of Redis' append-only file, and the proof that they allow that a job is on disk.

use fred::interfaces::ClientLike;
use fred::types::{ClusterHash, CustomCommand};

use crate::error::{Error, RefusalCode};
use crate::redis::connection::Connection;

/// The proof that a job is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// `appendfsync always`, before Redis 7.2: Redis answers a write only once it is on disk.
    AnyReply,
    WaitAof,
}

/// The settings of the append-only file, and the version that decides what they mean.
#[derive(Debug, Clone)]
pub(crate) struct Aof {
    enabled: bool,
    appendfsync: String,
    /// `no-appendfsync-on-rewrite yes`: while the file is rewritten, nothing reaches the disk.
    pauses: bool,
    version: (u32, u32),
    is_valkey: bool,
    /// Identifies the server process.
    run_id: String,
}

pub(crate) async fn read(connection: &Connection) -> Result<Aof, Error> {
    let client = connection.client()?;
    let settings = CustomCommand::new_static("CONFIG", ClusterHash::FirstKey, false);
    let names = ["GET", "appendonly", "appendfsync", "no-appendfsync-on-rewrite"];
    let settings: Result<Vec<String>, _> = client.custom(settings, names.to_vec()).await;
    let settings = settings.map_err(|error| match Error::from(error) {
        // Renamed, or not permitted.
        Error::Corrupt(why)
        | Error::Refused { code: RefusalCode::NotPermitted | RefusalCode::Unsupported, message: why } => {
            tracing::warn!(why, "CONFIG GET fails, so no job can be known to be on disk");
            Error::NotDurable(
                "this Redis does not tell its settings: CONFIG GET is renamed or not permitted".to_owned(),
            )
        }
        other => other,
    })?;
    let setting =
        |name: &str| settings.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone());
    let facts = connection.server_facts().await?;
    Ok(Aof {
        enabled: setting("appendonly").as_deref() == Some("yes"),
        appendfsync: setting("appendfsync").unwrap_or_default(),
        pauses: setting("no-appendfsync-on-rewrite").as_deref() == Some("yes"),
        version: facts.number(),
        is_valkey: facts.is_valkey(),
        run_id: facts.run_id,
    })
}

impl Aof {
    pub(crate) fn proof(&self) -> Result<Proof, Error> {
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
                    return no("this user of Redis may not run INFO, which tells a restart during the wait"
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
