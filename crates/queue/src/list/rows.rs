//! Reads what is stored of the jobs of a list.

use std::collections::BTreeMap;

use bytes::Bytes;
use fred::types::{Key, Value};
use futures_util::future::try_join_all;

use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::list::selection::Source;
use crate::list::window::{self, Entry};
use crate::scripts::ROWS;
use crate::wire::{self, Reply};

/// Everything that is stored of one job.
pub(crate) struct Row {
    /// Redis' time of the read, Unix ms.
    pub(crate) now: i64,
    pub(crate) score: f64,
    /// Bytes of the record.
    pub(crate) bytes: usize,
    /// The record, or the part in front of a large payload.
    pub(crate) record: Bytes,
    pub(crate) active: String,
    pub(crate) state: String,
}

/// The jobs whose rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    All,
    /// Only those of jobs that failed, crashed, were handed back or finished.
    WithHistory,
}

/// Reads the first of these jobs, as many as fit into the budget for one call, one at least. A row is missing if its
/// job is no longer at its place, or was not asked for. Records of more than `whole` bytes come without their payload.
pub(crate) async fn read(
    core: &Core,
    sources: &[Source],
    entries: &[Entry],
    rows: Rows,
    whole: usize,
) -> Result<Vec<Option<Row>>, Error> {
    let mut queues: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, entry) in entries.iter().enumerate() {
        queues.entry(&sources[entry.source].queue).or_default().push(number);
    }
    let bytes = core.incoming.bytes() / queues.len().max(1);
    let calls = queues.iter().map(|(queue, numbers)| {
        let of_call: Vec<&Entry> = numbers.iter().map(|number| &entries[*number]).collect();
        read_queue(core, sources, queue, of_call, rows, whole, bytes)
    });
    let read = try_join_all(calls).await?;
    let mut found: Vec<Option<Option<Row>>> = entries.iter().map(|_| None).collect();
    for (numbers, rows) in queues.values().zip(read) {
        for (number, row) in numbers.iter().zip(rows) {
            found[*number] = Some(row);
        }
    }
    Ok(found.into_iter().map_while(|row| row).collect())
}

async fn read_queue(
    core: &Core,
    sources: &[Source],
    queue: &str,
    entries: Vec<&Entry>,
    rows: Rows,
    whole: usize,
    bytes: usize,
) -> Result<Vec<Option<Row>>, Error> {
    let keys = core.keys.queue(queue);
    let mut script_keys: Vec<Key> = [keys.jobs(), keys.active(), keys.state()].map(Key::from).into();
    let mut args = vec![wire::count(bytes), wire::count(whole), wire::flag(rows == Rows::WithHistory)];
    let mut sets: BTreeMap<usize, usize> = BTreeMap::new();
    for entry in &entries {
        let set = *sets.entry(entry.source).or_insert_with(|| {
            script_keys.push(window::key(core, &sources[entry.source]));
            script_keys.len()
        });
        args.extend([wire::count(set), Value::Bytes(entry.place.id.clone())]);
    }
    let reply = core.call(&ROWS, script_keys, args).await?;
    let rows = reply.rows::<5>(0).iter().zip(entries);
    rows.map(|(row, entry)| decode(&reply, row, entry, sources[entry.source].set)).collect()
}

fn decode(
    reply: &Reply,
    [score, bytes, record, active, state]: &[Value; 5],
    entry: &Entry,
    set: Set,
) -> Result<Option<Row>, Error> {
    // The error leaves out the reply, because it has payloads.
    let corrupt = || Error::corrupt("the reply of rows");
    let text = |value: &Value| value.as_bytes().map(|text| String::from_utf8_lossy(text).into_owned());
    // A job with another score has another place in the list. An extended lease changes no place.
    let is_there = |score: &f64| set == Set::Lease || score.total_cmp(&entry.score).is_eq();
    let bytes = bytes.as_usize().ok_or_else(corrupt)?;
    let Some(score) = score.as_f64().filter(is_there).filter(|_| bytes > 0) else { return Ok(None) };
    Ok(Some(Row {
        now: reply.now,
        score,
        bytes,
        record: record.as_bytes().map(Bytes::copy_from_slice).ok_or_else(corrupt)?,
        active: text(active).ok_or_else(corrupt)?,
        state: text(state).ok_or_else(corrupt)?,
    }))
}
