//! Writes the counts of this process to the history in Redis.

use std::time::Duration;

use fred::types::{Key, Value};

use crate::core::Core;
use crate::error::Error;
use crate::history::outbox::Batch;
use crate::history::ring::{HOURS_KEPT, MINUTE};
use crate::scripts::FLUSH;
use crate::wire;

/// Kinds per queue with a history of their own. Further kinds share the history of `other`.
pub(crate) const MAX_KINDS: usize = 100;

/// The kind under which further kinds are counted.
const OTHER: &str = "other";

/// Time for which the number of a flush is remembered. A flush whose answer was lost is repeated every few seconds, so
/// it could be counted twice only after an outage of this length.
const REMEMBERED: Duration = Duration::from_secs(6 * 60 * 60);

/// Takes the counts of this process. They belong to the minute of `at`, Redis' time in Unix ms.
pub(crate) async fn gather(core: &Core, at: i64) {
    let mut outbox = core.outbox.lock().await;
    core.counters.take(|queue, kind, cells| outbox.add(queue, kind, at / MINUTE, &cells));
}

/// Sends what was gathered. What could not be written stays, and is counted once however often it is sent.
pub(crate) async fn send(core: &Core) -> Result<(), Error> {
    let mut outbox = core.outbox.lock().await;
    let process = outbox.process.clone();
    while let Some(batch) = outbox.next() {
        match write(core, &process, batch).await {
            Ok(()) => {}
            // A person must look, and the history of other queues must not wait for that.
            Err(Error::Corrupt(error)) => {
                let key = core.keys.history(&batch.queue);
                tracing::warn!(
                    queue = batch.queue,
                    error,
                    "cannot write the history of this queue; is {key} a sorted set? Deleting it loses only its history"
                );
            }
            Err(error) => return Err(error),
        }
        outbox.written();
    }
    Ok(())
}

/// Writes everything that was counted so far.
pub(crate) async fn flush(core: &Core) -> Result<(), Error> {
    gather(core, core.clock.now()).await;
    send(core).await
}

async fn write(core: &Core, process: &str, batch: &Batch) -> Result<(), Error> {
    let (keys, queue) = (&core.keys, &batch.queue);
    let first = [keys.history(queue), keys.history_flush(queue, process), keys.history_of(queue, OTHER)];
    let of_kinds = batch.kinds.keys().map(|kind| keys.history_of(queue, kind));
    let script_keys = first.into_iter().chain(of_kinds).map(Key::from).collect();
    let mut args: Vec<Value> = vec![
        (batch.number as i64).into(),
        wire::millis(REMEMBERED),
        (HOURS_KEPT * 60 * MINUTE).into(),
        wire::count(MAX_KINDS),
        batch.minute.into(),
    ];
    for (kind, cells) in &batch.kinds {
        args.extend([kind.into(), Value::Bytes(cells.encode().into())]);
    }
    let reply = core.call(&FLUSH, script_keys, args).await?;
    let others = reply.number(1)?;
    if others > 0 {
        tracing::warn!(
            queue,
            kinds = others,
            "{MAX_KINDS} kinds of this queue have a history; these further kinds are counted as the kind {OTHER:?}"
        );
    }
    Ok(())
}
