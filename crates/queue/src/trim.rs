//! Removing finished jobs whose retention is over.

use std::time::Duration;

use fred::types::{Key, Value};

use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::scripts::TRIM;

/// Finished jobs kept of a kind in a queue at most, whatever their retention: they never fill Redis.
pub const MAX_FINISHED: usize = 10_000;

/// How long a cancelled job stays visible.
pub(crate) const CANCELLED_RETENTION: Duration = Duration::from_secs(60 * 60);

/// Jobs removed in one call.
const REMOVED: i64 = 500;

/// How long the counters of a minute are kept.
pub(crate) const STATS_MINUTES: i64 = 60;

impl Client {
    /// Removes what is past its retention, in steps. Dead jobs are never trimmed.
    pub async fn trim(&self, queue: &str) -> Result<u64, Error> {
        let keys = self.keys().queue(queue);
        let kinds = self.kinds_of(queue).await?;
        let mut script_keys: Vec<Key> = vec![keys.jobs().into(), keys.state().into(), keys.stats().into()];
        for kind in &kinds {
            script_keys.push(keys.set(kind, Set::Done).into());
            script_keys.push(keys.set(kind, Set::Cancelled).into());
        }
        let args: Vec<Value> = vec![REMOVED.into(), (MAX_FINISHED as i64).into(), STATS_MINUTES.into()];
        let mut removed = 0;
        loop {
            let reply = self.call(&TRIM, script_keys.clone(), args.clone()).await?;
            let step = reply.get(1).and_then(Value::as_i64).unwrap_or_default();
            removed += step as u64;
            if step < REMOVED {
                return Ok(removed);
            }
        }
    }
}
