//! Reads the facts in two calls that are sent at once: one script for the job and its queue, one for the workers. If
//! this process does not know yet all kinds of the queue or all workers, it asks once more.

use std::sync::Arc;

use fred::types::{Key, Value};
use futures_util::future::{try_join, try_join_all};

use crate::core::Core;
use crate::error::{Error, RefusalCode};
use crate::explain::facts::{Facts, JobPlace, Leased, MOST_LEASES};
use crate::keys::Set;
use crate::model::crashes;
use crate::model::history::History;
use crate::model::holder::Holder;
use crate::model::id::{JobId, WorkerId};
use crate::model::record::Record;
use crate::model::record_kind::{RecordKind, tag};
use crate::model::run::WorkerRef;
use crate::scripts::{EXPLAIN, ROLL_CALL};
use crate::wire::{self, Reply};
use crate::workers::registration::{self, Registration};

/// The most kinds whose sets one call names. Active jobs of further kinds are not counted.
const MOST_KINDS: usize = 200;

/// The facts about a job that is in one of these queues.
pub(crate) async fn facts(core: &Core, queues: &[Arc<str>], id: JobId) -> Result<Option<Facts>, Error> {
    let jobs = try_join_all(queues.iter().map(|queue| in_queue(core, queue, id)));
    let (jobs, (workers, refusal)) = try_join(jobs, roll_call(core)).await?;
    let found = jobs.into_iter().flatten().next();
    Ok(found.map(|facts| Facts { workers, refusal, ..facts }))
}

async fn in_queue(core: &Core, queue: &str, id: JobId) -> Result<Option<Facts>, Error> {
    let mut kinds = core.known.kinds(queue);
    for may_know_more in [true, false] {
        let named = &kinds[..kinds.len().min(MOST_KINDS)];
        let known = if may_know_more { Some(kinds.len()) } else { None };
        let reply = call(core, queue, named, known, id).await?;
        let [head, rest @ ..] = reply.values() else { return Err(corrupt(id)) };
        let head = head.as_bytes().ok_or_else(|| corrupt(id))?;
        match rest {
            _ if head.is_empty() => return Ok(None),
            [_, Value::Array(all)] if may_know_more => {
                let all: Vec<Arc<str>> = all.iter().filter_map(Value::as_string).map(Arc::from).collect();
                core.known.set_kinds(queue, &all);
                kinds = with_possible_first(all, &RecordKind::decode(head)?).into();
            }
            [_, Value::Array(_)] => {
                return Err(Error::corrupt(format!("job {id} is in no set; see `atode audit`")));
            }
            _ => return decode(queue, named, id, &reply).map(Some),
        }
    }
    Err(corrupt(id))
}

/// `known` is the number of kinds of the queue, if it matters whether there are more.
async fn call(
    core: &Core,
    queue: &str,
    kinds: &[Arc<str>],
    known: Option<usize>,
    id: JobId,
) -> Result<Reply, Error> {
    let keys = core.keys.queue(queue);
    let first = [keys.jobs(), keys.active(), keys.state(), keys.kinds(), keys.paused()];
    let script_keys = wire::keys(&keys, first, kinds, &Set::ALL);
    let mut args: Vec<Value> = vec![
        id.short().into(),
        wire::count(MOST_LEASES),
        i64::from(crashes::SUSPECT_FROM).into(),
        known.map_or(Value::Integer(-1), wire::count),
    ];
    args.extend(kinds.iter().map(|kind| Value::from(&tag(kind)[..])));
    core.call(&EXPLAIN, script_keys, args).await
}

/// The kinds that the job can be of come first: the rest may be cut off.
fn with_possible_first(mut kinds: Vec<Arc<str>>, own: &RecordKind) -> Vec<Arc<str>> {
    kinds.sort_by_key(|kind| !own.is(kind));
    kinds
}

fn decode(queue: &str, kinds: &[Arc<str>], id: JobId, reply: &Reply) -> Result<Facts, Error> {
    facts_of(queue, kinds, id, reply).unwrap_or_else(|| Err(corrupt(id)))
}

/// `None` for a reply that the script does not make.
fn facts_of(queue: &str, kinds: &[Arc<str>], id: JobId, reply: &Reply) -> Option<Result<Facts, Error>> {
    let [head, set, kind, score, active, state, ahead, paused, ..] = reply.values() else { return None };
    let (settled_at, history) = match History::decode(&state.as_str()?) {
        Ok(decoded) => decoded,
        Err(error) => return Some(Err(error)),
    };
    let score = score.as_f64()? as i64;
    let place = match Set::ALL.get(set.as_u64()? as usize)? {
        Set::Due => JobPlace::Waiting { due: score, ahead: ahead.as_u64()? },
        Set::Lease => {
            let holder = Holder::decode(&active.as_str()?).map(|(_, holder)| holder);
            let cancel_requested = holder.as_ref().is_some_and(|holder| holder.cancel_requested);
            let run = holder.map(|holder| holder.into_run(&history));
            JobPlace::Active { deadline: score, run, cancel_requested }
        }
        Set::Done => JobPlace::Completed { expiry: score },
        Set::Cancelled => JobPlace::Cancelled { expiry: score },
        Set::Dead => JobPlace::Dead,
    };
    let leased = reply.rows(8).iter().map(|[holder, kind, jobs, suspects]| {
        // A holder that cannot be read counts as unknown, as in `Holder`.
        let worker: WorkerRef = serde_json::from_slice(holder.as_bytes()?).unwrap_or_default();
        let kind = wire::kind_at(kinds, kind)?.clone();
        Some(Leased { worker: worker.id, kind, jobs: jobs.as_u64()?, suspects: suspects.as_u64()? })
    });
    Some(Ok(Facts {
        id,
        kind: wire::kind_at(kinds, kind)?.to_string(),
        queue: queue.to_owned(),
        max_retries: match max_retries(head.as_bytes()?) {
            Ok(max_retries) => max_retries,
            Err(error) => return Some(Err(error)),
        },
        now: reply.now,
        place,
        settled_at,
        history,
        paused_since: wire::instant(paused),
        workers: Vec::new(),
        leased: leased.collect::<Option<_>>()?,
        refusal: None,
    }))
}

/// The limit of the request, from a record whose payload was left out.
fn max_retries(head: &[u8]) -> Result<Option<u32>, Error> {
    if Record::is_of_a_later_form(head) {
        return Ok(None);
    }
    if head.starts_with(b"{") {
        return Ok(Record::decode(head)?.max_retries);
    }
    Ok(Record::decode(&[head, b" null"].concat())?.max_retries)
}

/// The live workers, and the reason why Redis would refuse a claim now.
async fn roll_call(core: &Core) -> Result<(Vec<Registration>, Option<RefusalCode>), Error> {
    let mut known = core.known.workers();
    for _ in 0..2 {
        let names = std::iter::once(core.keys.workers()).chain(known.iter().map(|id| core.keys.worker(*id)));
        let reply = match core.call(&ROLL_CALL, names.map(Key::from).collect(), Vec::new()).await {
            Ok(reply) => reply,
            // It still answers commands that only read.
            Err(Error::Refused { code, .. }) => return Ok((registration::workers(core).await?, Some(code))),
            Err(error) => return Err(error),
        };
        let [Value::Array(ids), Value::Array(registrations)] = reply.values() else {
            return Err(reply.corrupt());
        };
        let ids: Vec<WorkerId> =
            ids.iter().filter_map(Value::as_string).filter_map(|id| id.parse().ok()).collect();
        let is_complete = ids.iter().all(|id| known.contains(id));
        known = ids;
        core.known.set_workers(known.clone());
        if is_complete {
            return Ok((registration::read_all(registrations.iter().filter_map(Value::as_string)), None));
        }
    }
    // Workers come faster than they can be asked for.
    Ok((registration::workers(core).await?, None))
}

/// An error without the reply, because an old record has the payload.
fn corrupt(id: JobId) -> Error {
    Error::corrupt(format!("the reply about job {id}"))
}
