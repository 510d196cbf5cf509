//! Redriving many dead jobs of a queue, step by step.

use fred::types::Value;
use serde::Serialize;

use crate::budget::MAX_BATCH;
use crate::client::Client;
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

impl Client {
    /// Redrives the jobs of a queue that died first, of one kind or of all, at most `limit` (≤ [`MAX_BATCH`]) per call.
    pub async fn redrive_queue(&self, queue: &str, kind: Option<&str>, limit: usize) -> Result<Moved, Error> {
        let core = &self.0.core;
        let keys = core.keys.queue(queue);
        let first = [keys.jobs(), keys.state(), keys.stats()];
        let kinds = core.selected_kinds(queue, kind).await?;
        let script_keys = wire::keys(&keys, first, kinds, &[Set::Dead, Set::Due]);
        let args: Vec<Value> = vec![wire::count(limit.min(MAX_BATCH)), keys.wake_channel().into()];
        let reply = core.call(&REDRIVE_QUEUE, script_keys, args).await?;
        Ok(Moved { moved: reply.number(0)?, remaining: reply.number(1)? })
    }
}
