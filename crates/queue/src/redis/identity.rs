//! The identity of the Redis that holds the jobs, to notice that it lost its data.

use std::sync::{Mutex, MutexGuard, PoisonError};

use fred::interfaces::KeysInterface;
use fred::types::SetOptions;
use jiff::Timestamp;

use crate::error::Error;
use crate::keys::Keys;
use crate::model::id::JobId;
use crate::redis::connection::Connection;

/// The identity of this Redis at each look.
#[derive(Default)]
pub(crate) struct Identity(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// All names so far; few.
    names: Vec<String>,
    /// True after the loss was logged and before Redis has accepted a new name.
    is_nameless: bool,
    times_emptied: u64,
    emptied_at: Option<Timestamp>,
}

impl Identity {
    /// Notices that Redis lost its data: after FLUSHALL, a start on an empty disk, or with another server at its
    /// address. The first process that notices writes a new name, and all others read it.
    pub(crate) async fn look(&self, connection: &Connection, keys: &Keys, now: i64) -> Result<(), Error> {
        let redis = connection.asker()?;
        let key = keys.identity();
        let mut found: Option<String> = redis.get(&key).await?;
        // Logged before the new name is written: an emptied Redis may refuse the write.
        if self.is_another(found.as_deref()) {
            tracing::error!(
                redis = connection.address(),
                "Redis was emptied, or is a different server: the jobs that it held are gone. After a FLUSHALL, or if \
                 Redis started without its files, stop Redis and restore its AOF. Requests for lost jobs get a 404"
            );
        }
        if found.is_none() {
            let new = JobId::new(now).to_string();
            let _: Option<String> =
                connection.client()?.set(&key, new, None, Some(SetOptions::NX), false).await?;
            found = redis.get(&key).await?;
        }
        self.remember(found);
        Ok(())
    }

    pub(crate) fn times_emptied(&self) -> u64 {
        self.known().times_emptied
    }

    pub(crate) fn emptied_at(&self) -> Option<Timestamp> {
        self.known().emptied_at
    }

    /// `found` is unset where Redis has no name. A name that was seen before belongs to data that came back.
    fn is_another(&self, found: Option<&str>) -> bool {
        let mut known = self.known();
        let is_known = found.is_some_and(|found| known.names.iter().any(|name| name == found));
        let is_another = !known.names.is_empty() && !is_known && !known.is_nameless;
        if is_another {
            known.is_nameless = found.is_none();
            known.times_emptied += 1;
            known.emptied_at = Some(Timestamp::now());
        }
        is_another
    }

    fn remember(&self, found: Option<String>) {
        let mut known = self.known();
        known.is_nameless = found.is_none();
        let Some(found) = found else { return };
        if !known.names.contains(&found) {
            known.names.push(found);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
