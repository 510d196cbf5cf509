//! The jobs of a list behind a place, in its order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use fred::types::{Key, Value};
use futures_util::future::{try_join, try_join_all};

use crate::budget::MAX_BATCH;
use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::list::cursor::Place;
use crate::list::query::{Order, Range};
use crate::list::selection::Source;
use crate::model::id::JobId;
use crate::scripts::WINDOW;

/// Active jobs that a page looks at. Of more, it shows those whose leases end first.
pub(crate) const MAX_ACTIVE: usize = 10_000;

/// A job of a list that has not been read.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    /// The number of its set among the sources.
    pub(crate) source: usize,
    pub(crate) score: f64,
}

/// The first `most` jobs behind a place. `times` limits active jobs, of which at most `most_active` are read; the sources
/// have the limits of all others.
pub(crate) async fn window(
    core: &Core,
    sources: &[Source],
    times: Range,
    order: Order,
    place: Option<&Place>,
    most: usize,
    most_active: usize,
) -> Result<Vec<Entry>, Error> {
    let (leased, others): (Vec<usize>, Vec<usize>) =
        (0..sources.len()).partition(|source| sources[*source].set == Set::Lease);
    let calls = calls(sources, &others, order, place);
    let others = try_join_all(calls.iter().map(|call| read(core, sources, call, order, place, most)));
    let (others, active) = try_join(others, active(core, sources, &leased, most_active)).await?;
    let mut entries = others.concat();
    entries.extend(active.into_iter().filter(|entry| times.has(entry.place.time)));
    entries.retain(|entry| place.is_none_or(|place| compare(order, place, &entry.place).is_lt()));
    entries.sort_by(|a, b| compare(order, &a.place, &b.place));
    entries.truncate(most);
    Ok(entries)
}

/// The active jobs of these sources, each at its enqueue time. An extended lease moves its job within the set, so no
/// page could begin behind a job in the order of the leases.
pub(crate) async fn active(
    core: &Core,
    sources: &[Source],
    leased: &[usize],
    most: usize,
) -> Result<Vec<Entry>, Error> {
    let calls = calls(sources, leased, Order::Asc, None);
    let mut entries: Vec<Entry> = Vec::new();
    for call in &calls {
        let mut place: Option<Place> = None;
        while entries.len() < most {
            let read = read(core, sources, call, Order::Asc, place.as_ref(), MAX_BATCH).await?;
            let is_last = read.len() < MAX_BATCH;
            place = read.last().map(|entry| entry.place.clone());
            entries.extend(read);
            if is_last {
                break;
            }
        }
    }
    // A lease that was extended meanwhile is found again.
    let mut seen = HashSet::new();
    entries.retain(|entry| seen.insert(entry.place.id.clone()));
    for entry in &mut entries {
        let id = std::str::from_utf8(&entry.place.id).ok().and_then(|id| id.parse::<JobId>().ok());
        entry.place.time = id.and_then(JobId::made_at).unwrap_or_default() as f64;
    }
    Ok(entries)
}

/// Sources that one call reads: of one queue, because a script's keys share a slot, and a bounded number.
pub(crate) fn calls(
    sources: &[Source],
    numbers: &[usize],
    order: Order,
    place: Option<&Place>,
) -> Vec<Vec<usize>> {
    let mut queues: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for number in numbers {
        let source = &sources[*number];
        let is_passed = place.is_some_and(|place| {
            let score = place.time + source.offset;
            if order == Order::Asc { score > source.scores.high } else { score < source.scores.low }
        });
        if !is_passed {
            queues.entry(&source.queue).or_default().push(*number);
        }
    }
    queues.values().flat_map(|numbers| numbers.chunks(MAX_BATCH).map(<[usize]>::to_vec)).collect()
}

async fn read(
    core: &Core,
    sources: &[Source],
    call: &[usize],
    order: Order,
    place: Option<&Place>,
    most: usize,
) -> Result<Vec<Entry>, Error> {
    let keys: Vec<Key> = call.iter().map(|number| key(core, &sources[*number])).collect();
    let id = place.map_or(Bytes::new(), |place| place.id.clone());
    let mut args: Vec<Value> = vec![(most as i64).into(), order.word().into(), Value::Bytes(id)];
    for number in call {
        let Source { scores: Range { low, high }, offset, .. } = sources[*number];
        let score = place.map(|place| place.time + offset).filter(|score| match order {
            Order::Asc => *score >= low,
            Order::Desc => *score <= high,
        });
        args.extend([low.to_string(), high.to_string()].map(Value::from));
        args.push(score.map_or_else(String::new, |score| score.to_string()).into());
        args.push(offset.to_string().into());
    }
    let reply = core.call(&WINDOW, keys, args).await?;
    let source_at = |set: &Value| call.get(set.as_usize()?.checked_sub(1)?).copied();
    let Some(Value::Array(broken)) = reply.values().first() else { return Err(reply.corrupt()) };
    for source in broken.iter().filter_map(source_at) {
        core.wrong_types.report(key(core, &sources[source]).as_str().unwrap_or_default());
    }
    let entry = |[set, id, score]: &[Value; 3]| {
        let source = source_at(set)?;
        let score: f64 = score.as_f64()?;
        let place =
            Place { time: score - sources[source].offset, id: id.as_bytes().map(Bytes::copy_from_slice)? };
        Some(Entry { place, source, score })
    };
    let entries: Option<Vec<Entry>> = reply.rows::<3>(1).iter().map(entry).collect();
    entries.ok_or_else(|| reply.corrupt())
}

pub(crate) fn key(core: &Core, source: &Source) -> Key {
    core.keys.queue(&source.queue).set(&source.kind, source.set).into()
}

fn compare(order: Order, a: &Place, b: &Place) -> Ordering {
    let ascending = a.time.total_cmp(&b.time).then_with(|| a.id.cmp(&b.id));
    if order == Order::Asc { ascending } else { ascending.reverse() }
}
