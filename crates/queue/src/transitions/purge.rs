//! Removing many jobs of a queue, step by step.

use fred::types::{Key, Value};

use crate::budget::MAX_BATCH;
use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::state::State;
use crate::scripts::PURGE;
use crate::transitions::redrive_queue::Moved;
use crate::wire;

/// Removes jobs of a queue in one state, of one kind or of all, at most `limit` (≤ [`MAX_BATCH`]). Active jobs are
/// never removed.
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
    let keys = core.keys().queue(queue);
    let mut script_keys: Vec<Key> = vec![keys.jobs().into(), keys.state().into(), keys.stats().into()];
    for known in core.catalogue().kinds_of(queue).await? {
        if kind.is_none_or(|kind| *kind == *known) {
            script_keys.push(keys.set(&known, set).into());
        }
    }
    let args: Vec<Value> =
        vec![wire::count(limit.min(MAX_BATCH)), keys.finished_channel().into(), part.into()];
    let reply = core.call(&PURGE, script_keys, args).await?;
    Ok(Moved { moved: reply.number(0)?, remaining: reply.number(1)? })
}
