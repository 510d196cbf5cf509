//! The counts beside a list: how many jobs each further choice of a state, kind or queue would show.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use fred::types::{Key, Value};
use futures_util::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::list::query::{ListQuery, Order, Range, part};
use crate::list::selection::{self, Retention, Source};
use crate::list::window;
use crate::model::state::State;
use crate::scripts::TALLY;

/// Sets that are counted for one request.
const MAX_COUNTED: usize = 10_000;

/// Kinds that are shown: those with most jobs.
const MAX_KINDS: usize = 100;

/// Each count is about the jobs that match all filters but `error`, `search` and that of its own list: the states as if
/// no state was chosen, and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Facets {
    /// All states.
    pub state: BTreeMap<Arc<str>, u64>,
    /// The kinds with most jobs, 100 at most.
    pub kind: BTreeMap<Arc<str>, u64>,
    /// The queues with jobs.
    pub queue: BTreeMap<Arc<str>, u64>,
}

pub(crate) async fn facets(
    core: &Core,
    query: &ListQuery,
    queues: &[Arc<str>],
    retention: Retention<'_>,
) -> Result<Option<Facets>, Error> {
    let kinds = selection::kinds(core, queues).await?;
    let mut cells = Vec::new();
    for (kind, queues) in &kinds {
        for queue in queues {
            cells.extend(State::ALL.into_iter().filter_map(|state| Cell::of(query, queue, kind, state)));
        }
        if cells.len() > MAX_COUNTED {
            return Ok(None);
        }
    }
    let now = core.clock.now();
    let source =
        |cell: &Cell| Source::of(cell.queue, cell.kind, part(cell.state, now), query.times(), retention);
    let sources: Vec<Source> = cells.iter().map(source).collect();
    let counts = count(core, query, &sources).await?;
    let mut facets =
        Facets { state: State::ALL.map(|state| (state.word().into(), 0)).into(), ..Facets::default() };
    for (cell, count) in cells.iter().zip(counts) {
        cell.add(count, &mut facets);
    }
    facets.queue.retain(|_, count| *count > 0);
    facets.kind = largest(facets.kind);
    Ok(Some(facets))
}

/// The jobs of one state, kind and queue, and whether these are chosen.
struct Cell<'a> {
    queue: &'a Arc<str>,
    kind: &'a Arc<str>,
    state: State,
    is_chosen: [bool; 3],
}

impl<'a> Cell<'a> {
    /// `None` if no facet counts these jobs.
    fn of(query: &ListQuery, queue: &'a Arc<str>, kind: &'a Arc<str>, state: State) -> Option<Self> {
        let is_chosen = [query.has_queue(queue), query.has_kind(kind), query.has_state(state)];
        let others = is_chosen.into_iter().filter(|is_chosen| !is_chosen).count();
        (others <= 1).then_some(Cell { queue, kind, state, is_chosen })
    }

    fn add(&self, count: u64, facets: &mut Facets) {
        let [queue, kind, state] = self.is_chosen;
        if kind && state {
            *facets.queue.entry(self.queue.clone()).or_default() += count;
        }
        if queue && state {
            *facets.kind.entry(self.kind.clone()).or_default() += count;
        }
        if queue && kind {
            *facets.state.entry(self.state.word().into()).or_default() += count;
        }
    }
}

/// The number of jobs of each source.
async fn count(core: &Core, query: &ListQuery, sources: &[Source]) -> Result<Vec<u64>, Error> {
    let mut counts = vec![0; sources.len()];
    let numbers = 0..sources.len();
    // The score of a lease says nothing of the time of its job.
    let (leased, counted): (Vec<usize>, Vec<usize>) =
        numbers.partition(|number| query.has_bounds() && sources[*number].set == Set::Lease);
    let times = query.times();
    for entry in window::active(core, sources, &leased, window::MAX_ACTIVE).await? {
        counts[entry.source] += u64::from(times.has(entry.place.time));
    }
    let calls = window::calls(sources, &counted, Order::Asc, None);
    let replies = try_join_all(calls.iter().map(|call| tally(core, sources, call))).await?;
    for (number, count) in calls.iter().flatten().zip(replies.concat()) {
        counts[*number] = count;
    }
    Ok(counts)
}

async fn tally(core: &Core, sources: &[Source], call: &[usize]) -> Result<Vec<u64>, Error> {
    let sources = || call.iter().map(|number| &sources[*number]);
    let keys: Vec<Key> = sources().map(|source| window::key(core, source)).collect();
    let ends = sources().flat_map(|Source { scores: Range { low, high }, .. }| [low, high]);
    let ends: Vec<Value> = ends.map(|end| end.to_string().into()).collect();
    let reply = core.call(&TALLY, keys, ends).await?;
    let counts: Option<Vec<u64>> = reply.values().iter().map(Value::as_u64).collect();
    counts.filter(|counts| counts.len() == call.len()).ok_or_else(|| reply.corrupt())
}

fn largest(kinds: BTreeMap<Arc<str>, u64>) -> BTreeMap<Arc<str>, u64> {
    let mut kinds: Vec<_> = kinds.into_iter().filter(|(_, count)| *count > 0).collect();
    kinds.sort_by_key(|(_, count)| Reverse(*count));
    kinds.truncate(MAX_KINDS);
    kinds.into_iter().collect()
}
