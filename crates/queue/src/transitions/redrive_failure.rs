//! Redriving the dead jobs that have one cause.

use std::sync::Arc;

use fred::interfaces::HashesInterface;
use fred::types::Value;

use crate::budget::MAX_BATCH;
use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::fingerprint::Fingerprint;
use crate::scripts::REDRIVE_FAILURE;
use crate::transitions::operate_queue::Moved;
use crate::wire;

pub(crate) async fn redrive_failure(
    core: &Core,
    queues: &[Arc<str>],
    fingerprint: Fingerprint,
    limit: usize,
) -> Result<Moved, Error> {
    let mut all = Moved { moved: 0, remaining: 0 };
    let mut room = limit.min(MAX_BATCH);
    for queue in queues {
        for kind in kinds_with(core, queue, fingerprint).await? {
            let keys = core.keys.queue(queue);
            let first = [keys.jobs(), keys.state(), keys.stats()];
            let mut script_keys = wire::keys(&keys, first, [&kind], &[Set::Dead, Set::Due]);
            script_keys.push(keys.failures(&kind).into());
            let args: Vec<Value> = vec![
                fingerprint.to_string().into(),
                wire::flag(fingerprint == Fingerprint::of_ungrouped(&kind)),
                wire::count(room),
                keys.wake_channel().into(),
            ];
            let reply = core.call(&REDRIVE_FAILURE, script_keys, args).await?;
            let moved = Moved { moved: reply.number(0)?, remaining: reply.number(1)? };
            all.moved += moved.moved;
            all.remaining += moved.remaining;
            if moved.moved + moved.remaining > 0 {
                room = 0; // the other places are only counted
            }
        }
    }
    Ok(all)
}

/// The kinds of a queue that have or may have jobs with this fingerprint.
async fn kinds_with(core: &Core, queue: &str, fingerprint: Fingerprint) -> Result<Vec<Arc<str>>, Error> {
    let kinds = core.kinds_of(queue).await?;
    if let Some(kind) = kinds.iter().find(|kind| Fingerprint::of_ungrouped(kind) == fingerprint) {
        return Ok(vec![kind.clone()]);
    }
    let keys = core.keys.queue(queue);
    let redis = core.connection.client()?;
    let pipeline = redis.pipeline();
    for kind in &kinds {
        let _: () = pipeline.hexists(keys.failures(kind), fingerprint.to_string()).await?;
    }
    let found: Vec<bool> = if kinds.is_empty() { Vec::new() } else { pipeline.all().await? };
    Ok(kinds.into_iter().zip(found).filter(|(_, found)| *found).map(|(kind, _)| kind).collect())
}
