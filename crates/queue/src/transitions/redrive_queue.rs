//! Redriving many dead jobs of a queue, step by step.

use fred::types::{Key, Value};
use serde::Serialize;

use crate::budget::MAX_BATCH;
use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::scripts::REDRIVE_QUEUE;
use crate::wire;

/// One step of a redrive or a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Jobs that this call moved or removed, at most [`MAX_BATCH`].
    pub moved: u64,
    /// Jobs that are left for further calls.
    pub remaining: u64,
}

/// Redrives the jobs of a queue that died first, of one kind or of all, at most `limit` (≤ [`MAX_BATCH`]).
pub(crate) async fn redrive_queue(
    core: &Core,
    queue: &str,
    kind: Option<&str>,
    limit: usize,
) -> Result<Moved, Error> {
    let keys = core.keys().queue(queue);
    let mut script_keys: Vec<Key> = vec![keys.jobs().into(), keys.state().into(), keys.stats().into()];
    for known in core.catalogue().kinds_of(queue).await? {
        if kind.is_none_or(|kind| *kind == *known) {
            script_keys.extend(wire::sets(&keys, &known, [Set::Dead, Set::Due]));
        }
    }
    let args: Vec<Value> = vec![wire::count(limit.min(MAX_BATCH)), keys.wake_channel().into()];
    let reply = core.call(&REDRIVE_QUEUE, script_keys, args).await?;
    Ok(Moved { moved: reply.number(0)?, remaining: reply.number(1)? })
}
