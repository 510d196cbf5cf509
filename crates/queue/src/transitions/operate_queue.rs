//! Operations on a whole queue: pause, resume, redrive, purge.

use fred::types::{Key, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::MAX_BATCH;
use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::state::State;
use crate::scripts::{PAUSE, PURGE, REDRIVE_QUEUE, RESUME};
use crate::wire;

/// One step of a redrive or a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    /// Jobs that this call moved or removed, at most 1,000.
    pub moved: u64,
    /// Jobs that are left for further calls.
    pub remaining: u64,
}

pub(crate) async fn pause(core: &Core, queue: &str) -> Result<(), Error> {
    // Shows the pause of a queue that never had a job. A full Redis accepts a pause, but no new name.
    match core.announce(queue).await {
        Ok(()) | Err(Error::Refused { .. }) => {}
        Err(error) => return Err(error),
    }
    core.call(&PAUSE, vec![core.keys.queue(queue).paused().into()], Vec::new()).await.map(drop)
}

pub(crate) async fn resume(core: &Core, queue: &str) -> Result<(), Error> {
    let keys = core.keys.queue(queue);
    let args = vec![keys.wake_channel().into()];
    core.call(&RESUME, vec![keys.paused().into()], args).await.map(drop)
}

pub(crate) async fn redrive_queue(
    core: &Core,
    queue: &str,
    kind: Option<&str>,
    limit: usize,
) -> Result<Moved, Error> {
    let keys = core.keys.queue(queue);
    let first = [keys.jobs(), keys.state(), keys.stats()];
    let mut script_keys: Vec<Key> = first.map(Key::from).into();
    for kind in core.selected_kinds(queue, kind).await? {
        let (dead, due) = (keys.set(&kind, Set::Dead), keys.set(&kind, Set::Due));
        script_keys.extend([dead, due, keys.failures(&kind)].map(Key::from));
    }
    let args: Vec<Value> = vec![wire::count(limit.min(MAX_BATCH)), keys.wake_channel().into()];
    let reply = core.call(&REDRIVE_QUEUE, script_keys, args).await?;
    Ok(Moved { moved: reply.number(0)?, remaining: reply.number(1)? })
}

pub(crate) async fn purge(
    core: &Core,
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
    let keys = core.keys.queue(queue);
    let first = [keys.jobs(), keys.state(), keys.stats()];
    let kinds = core.selected_kinds(queue, kind).await?;
    let mut script_keys = wire::keys(&keys, first, &kinds, &[set]);
    if set == Set::Dead {
        script_keys.extend(kinds.iter().map(|kind| Key::from(keys.failures(kind))));
    }
    let args: Vec<Value> = vec![
        wire::count(limit.min(MAX_BATCH)),
        keys.finished_channel().into(),
        part.into(),
        wire::count(kinds.len()),
    ];
    let reply = core.call(&PURGE, script_keys, args).await?;
    Ok(Moved { moved: reply.number(0)?, remaining: reply.number(1)? })
}
