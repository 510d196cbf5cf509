//! Removing finished jobs whose retention is over.

use fred::types::Value;

use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::retention::{MAX_FINISHED, SHORT_OF_MEMORY, STATS_MINUTES};
use crate::scripts::TRIM;
use crate::wire;

/// Jobs removed in one call.
const REMOVED: usize = 500;

pub(crate) async fn trim(core: &Core, queue: &str) -> Result<u64, Error> {
    let keys = core.keys.queue(queue);
    let first = [keys.jobs(), keys.state(), keys.stats()];
    let kinds = core.kinds_of(queue).await?;
    let script_keys = wire::keys(&keys, first, kinds, &[Set::Done, Set::Cancelled]);
    let args: Vec<Value> = vec![
        wire::count(REMOVED),
        wire::count(MAX_FINISHED),
        STATS_MINUTES.into(),
        (SHORT_OF_MEMORY as i64).into(),
    ];
    let (mut removed, mut early) = (0, 0);
    loop {
        let reply = core.call(&TRIM, script_keys.clone(), args.clone()).await?;
        let in_this_call = reply.number(0)?;
        removed += in_this_call;
        early += reply.number(1)?;
        core.record_sizes.limit(reply.number(2)? as usize);
        if in_this_call < REMOVED as u64 {
            break;
        }
    }
    if early > 0 {
        tracing::warn!(
            queue,
            jobs = early,
            "Redis' memory is more than {SHORT_OF_MEMORY}% full: removed finished jobs before their retention \
             ended; raise maxmemory, or shorten the RETENTION of your kinds"
        );
    }
    Ok(removed)
}
