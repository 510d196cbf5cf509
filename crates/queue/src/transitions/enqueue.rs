//! Storing new jobs.

use std::time::{Duration, Instant};

use fred::types::Value;

use crate::budget::MAX_BATCH;
use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::new_job::{Atomicity, Enqueued, IDEMPOTENCY_TTL, Idempotency, NewJob};
use crate::redis::connection::Connection;
use crate::scripts::ENQUEUE;
use crate::wire::{self, Reply};

/// Stores jobs of one queue in one call.
pub(crate) async fn enqueue(
    core: &Core,
    connection: &Connection,
    queue: &str,
    jobs: &[NewJob],
    atomicity: Atomicity,
) -> Result<Vec<Enqueued>, Error> {
    debug_assert!(jobs.len() <= MAX_BATCH);
    let keys = core.keys.queue(queue);
    // The script takes the jobs of a kind together; `order` has the places in `jobs` in the order of the call.
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|job| &jobs[*job].kind);
    let in_order = || order.iter().map(|job| &jobs[*job]);
    let groups: Vec<&[usize]> = order.chunk_by(|a, b| jobs[*a].kind == jobs[*b].kind).collect();
    let kinds = || groups.iter().map(|group| &*jobs[group[0]].kind);

    let first = [keys.jobs(), keys.kinds(), keys.stats()];
    let mut script_keys = wire::keys(&keys, first, kinds(), &[Set::Due]);
    let mut args: Vec<Value> = Vec::with_capacity(5 + 2 * groups.len() + 5 * jobs.len());
    args.push(wire::flag(atomicity == Atomicity::AllOrNothing));
    args.push(keys.wake_channel().into());
    let ttl = jobs.iter().find_map(|job| Some(job.idempotency.as_ref()?.ttl));
    args.push(wire::millis(ttl.unwrap_or(IDEMPOTENCY_TTL)));
    args.push(wire::count(groups.len()));
    args.push(wire::count(jobs.len()));
    args.extend(in_order().flat_map(|job| [job.id.short().into(), Value::Bytes(job.record.clone())]));
    args.extend(in_order().map(|job| wire::due(job.due)));
    args.extend(kinds().map(Value::from));
    args.extend(groups.iter().map(|group| wire::count(group.len())));
    let mut with_key: Vec<(usize, &Idempotency)> =
        in_order().enumerate().filter_map(|(place, job)| Some((place, job.idempotency.as_ref()?))).collect();
    // If two jobs have one key, the caller's first is stored.
    with_key.sort_by_key(|(place, _)| order[*place]);
    for (place, idempotency) in with_key {
        script_keys.push(keys.idempotency(&idempotency.key).into());
        args.push(wire::count(place + 1));
        args.push(idempotency.body.as_str().into());
    }

    // No job was sent, whether or not the catalogue has the queue now.
    core.announce(queue).await.map_err(|error| match error {
        Error::Unknown(why) => Error::NotSent(why),
        other => other,
    })?;
    let carried = jobs.iter().map(NewJob::weight).sum();
    let reply = core.call_with(connection, carried, &ENQUEUE, script_keys, args).await?;
    let results = decode(&reply, &order).ok_or_else(|| reply.corrupt())?;
    let is_conflict = |result: &Enqueued| matches!(result, Enqueued::Conflict(_));
    if atomicity == Atomicity::AllOrNothing && results.iter().any(is_conflict) {
        return Ok(results); // nothing was stored
    }
    for (group, kind) in groups.iter().zip(kinds()) {
        let is_new = |job: &&usize| matches!(results[**job], Enqueued::Created { .. });
        core.counters.enqueued(queue, kind, group.iter().filter(is_new).count());
    }
    Ok(results)
}

pub(crate) async fn enqueue_all_or_nothing(
    core: &Core,
    queue: &str,
    jobs: &[NewJob],
) -> Result<Vec<Enqueued>, Error> {
    enqueue(core, &core.connection, queue, jobs, Atomicity::AllOrNothing).await
}

pub(crate) async fn enqueue_each(
    core: &Core,
    patience: Duration,
    queue: &str,
    jobs: &[NewJob],
) -> Vec<Result<Enqueued, Error>> {
    let start = Instant::now();
    let mut results = Vec::with_capacity(jobs.len());
    for call in core.outgoing.calls(jobs, NewJob::weight) {
        let sent = enqueue(core, &core.connection, queue, call, Atomicity::Each);
        // Boxed: the timer would make the futures of all callers larger.
        let sent = tokio::time::timeout(patience.saturating_sub(start.elapsed()), Box::pin(sent)).await;
        match sent.unwrap_or_else(|_| Err(Error::Unknown("no answer in time".to_owned()))) {
            Ok(stored) => results.extend(stored.into_iter().map(Ok)),
            Err(error) => {
                let unsent = jobs.len() - results.len() - call.len();
                results.extend(call.iter().map(|_| Err(error.clone())));
                results.extend((0..unsent).map(|_| Err(error.for_what_was_not_sent())));
                break;
            }
        }
    }
    results
}

/// The reply has place and holder of each job that was not stored.
fn decode(reply: &Reply, order: &[usize]) -> Option<Vec<Enqueued>> {
    let mut results = vec![Enqueued::Created { at: reply.now }; order.len()];
    for [place, holder] in reply.rows(0) {
        let place = usize::try_from(place.as_i64()?).ok()?;
        let holder = holder.as_str()?;
        let (verdict, id) = holder.split_at_checked(1)?;
        let id = id.parse().ok()?;
        *results.get_mut(*order.get(place)?)? =
            if verdict == "=" { Enqueued::Duplicate(id) } else { Enqueued::Conflict(id) };
    }
    Some(results)
}
