//! Operations on a whole queue: pause, resume, redrive, purge.

use fred::types::Value;
use serde::Serialize;

use crate::budget::MAX_BATCH;
use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::model::state::State;
use crate::scripts::{PAUSE, PURGE, REDRIVE_QUEUE, RESUME};
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
    /// Stops handing out jobs from a queue. Running jobs are not affected.
    pub async fn pause(&self, queue: &str) -> Result<(), Error> {
        let core = &self.0.core;
        // Shows the pause of a queue that never had a job. A full Redis accepts a pause, but no new name.
        match core.announce(queue).await {
            Ok(()) | Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
        core.call(&PAUSE, vec![core.keys.queue(queue).paused().into()], Vec::new()).await.map(drop)
    }

    /// Hands out jobs from a paused queue again.
    pub async fn resume(&self, queue: &str) -> Result<(), Error> {
        let keys = self.0.core.keys.queue(queue);
        let args = vec![keys.wake_channel().into()];
        self.0.core.call(&RESUME, vec![keys.paused().into()], args).await.map(drop)
    }

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
