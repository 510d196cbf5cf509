//! Removing finished jobs whose retention is over.

use std::time::Duration;

use fred::types::{Key, Value};

use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::retention::MAX_FINISHED;
use crate::scripts::TRIM;

/// How long a cancelled job stays visible.
pub(crate) const CANCELLED_RETENTION: Duration = Duration::from_secs(60 * 60);

/// Jobs removed in one call.
const REMOVED: i64 = 500;

/// Percent of `maxmemory` beyond which finished jobs go before their time.
pub(crate) const SHORT_OF_MEMORY: u64 = 80;

/// How long the counters of a minute are kept.
pub(crate) const STATS_MINUTES: i64 = 60;

impl Client {
    /// Removes what is past its retention, in steps; where Redis' memory is nearly full (INFO says it, if that
    /// is permitted), finished jobs go before their time, until it is not. Dead jobs are never trimmed.
    pub async fn trim(&self, queue: &str) -> Result<u64, Error> {
        let keys = self.keys().queue(queue);
        let kinds = self.kinds_of(queue).await?;
        let mut script_keys: Vec<Key> = vec![keys.jobs().into(), keys.state().into(), keys.stats().into()];
        for kind in &kinds {
            script_keys.push(keys.set(kind, Set::Done).into());
            script_keys.push(keys.set(kind, Set::Cancelled).into());
        }
        let args: Vec<Value> = vec![
            REMOVED.into(),
            (MAX_FINISHED as i64).into(),
            STATS_MINUTES.into(),
            (SHORT_OF_MEMORY as i64).into(),
        ];
        let (mut removed, mut early) = (0, 0);
        loop {
            let reply = self.call(&TRIM, script_keys.clone(), args.clone()).await?;
            let number = |place: usize| reply.get(place).and_then(Value::as_i64).unwrap_or_default();
            removed += number(1) as u64;
            early += number(2) as u64;
            self.record_sizes().limit(number(3) as usize);
            if number(1) < REMOVED {
                break;
            }
        }
        if early > 0 {
            tracing::warn!(
                queue,
                jobs = early,
                "Redis' memory is more than {SHORT_OF_MEMORY} % full: removed finished jobs before their time; \
                 raise maxmemory, or let kinds keep their jobs for less time (RETENTION)"
            );
        }
        Ok(removed)
    }
}
