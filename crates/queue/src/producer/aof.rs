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

/// Reads the settings. Errors if they do not allow a proof.
pub(crate) async fn proof(connection: &Connection) -> Result<Proof, Error> {
    let client = connection.client()?;
    let settings = CustomCommand::new_static("CONFIG", ClusterHash::FirstKey, false);
    let names = ["GET", "appendonly", "appendfsync", "no-appendfsync-on-rewrite"];
    let settings: Result<Vec<String>, _> = client.custom(settings, names.to_vec()).await;
    let settings = settings.map_err(|error| match Error::from(error) {
        // Renamed, or not permitted.
        Error::Corrupt(why)
        | Error::Refused { code: RefusalCode::NotPermitted | RefusalCode::Unsupported, message: why } => {
            tracing::warn!(why, "CONFIG GET failed, so atode cannot tell whether a job is on disk");
            Error::NotDurable(
                "this Redis does not reveal its settings: CONFIG GET is renamed or not permitted".to_owned(),
            )
        }
        other => other,
    })?;
    let is_set =
        |name: &str, value: &str| settings.as_chunks().0.contains(&[name.to_owned(), value.to_owned()]);
    let facts = connection.server_facts().await?;
    let no = |why: &str| Err(Error::NotDurable(why.to_owned()));
    if !is_set("appendonly", "yes") {
        return no("this Redis keeps no AOF (appendonly no)");
    }
    if is_set("appendfsync", "no") {
        return no("this Redis leaves it to its system when to write to disk (appendfsync no)");
    }
    // Under `always` WAITAOF returns at once, and knows of a file that is not in use yet.
    if facts.is_valkey() || facts.number() >= (7, 2) {
        if facts.run_id.is_empty() {
            return no("this user of Redis may not run INFO, which tells a restart during the wait");
        }
        return Ok(Proof::WaitAof);
    }
    // With `no-appendfsync-on-rewrite yes` nothing reaches the disk while the file is rewritten.
    if is_set("appendfsync", "always") && !is_set("no-appendfsync-on-rewrite", "yes") {
        return Ok(Proof::AnyReply);
    }
    let (major, minor) = facts.number();
    no(&format!(
        "Redis {major}.{minor} cannot say when a job is on its disk: it takes Redis 7.2, any Valkey, or \
         `appendfsync always`"
    ))
}
