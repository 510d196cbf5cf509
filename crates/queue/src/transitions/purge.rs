//! Removing many jobs of a queue, step by step.

use fred::types::Value;

use crate::budget::MAX_BATCH;
use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::model::state::State;
use crate::scripts::PURGE;
use crate::transitions::redrive_queue::Moved;
use crate::wire;

impl Client {
    /// Removes jobs of a queue in one state, of one kind or of all, at most `limit` (≤ [`MAX_BATCH`]) per call. Active
    /// jobs are never removed.
    pub async fn purge(
        &self,
        queue: &str,
        state: State,
        kind: Option<&str>,
        limit: usize,
    ) -> Result<Moved, Error> {
        // `part` selects jobs within the due set.
        let (set, part) = match state {
            State::Scheduled => (Set::Due, "scheduled"),
            State::Ready => (Set::Due, "ready"),
            State::Completed => (Set::Done, ""),
            State::Cancelled => (Set::Cancelled, ""),
            State::Dead => (Set::Dead, ""),
            State::Active => return Ok(Moved { moved: 0, remaining: 0 }),
        };
        let core = &self.0.core;
        let keys = core.keys.queue(queue);
        let first = [keys.jobs(), keys.state(), keys.stats()];
        let script_keys = wire::keys(&keys, first, core.selected_kinds(queue, kind).await?, &[set]);
        let args: Vec<Value> =
            vec![wire::count(limit.min(MAX_BATCH)), keys.finished_channel().into(), part.into()];
        let reply = core.call(&PURGE, script_keys, args).await?;
        Ok(Moved { moved: reply.number(0)?, remaining: reply.number(1)? })
    }
}
