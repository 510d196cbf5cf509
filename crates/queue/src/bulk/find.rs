//! Finds the next jobs that a bulk operation changes, in the order of a list.

use std::ops::Range;
use std::sync::Arc;

use crate::bulk::target::Target;
use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::list::cursor::{Cursor, Group};
use crate::list::query::{ListQuery, Order};
use crate::list::rows::{self, Row, Rows};
use crate::list::selection::{self, Kinds, Retention, Source};
use crate::list::summary::JobSummary;
use crate::list::texts;
use crate::list::window::{self, Entry};
use crate::model::holder::Holder;
use crate::model::id::JobId;
use crate::model::state::State;

/// Jobs looked at in one step: few, so that no call keeps Redis from its workers for long.
const STEP: usize = 250;
/// More ms than this process' idea of Redis' clock is off.
const CLOCK_ERROR: i64 = 1_000;

/// One step through the list.
pub(crate) struct Page {
    pub(crate) found: Vec<Found>,
    /// Jobs looked at.
    pub(crate) looked_at: u64,
    /// The place where the list goes on. Unset at its end.
    pub(crate) next: Option<Cursor>,
}

/// A job to change, and the place of the list behind it.
pub(crate) struct Found {
    pub(crate) target: Target,
    pub(crate) behind: Cursor,
    /// Jobs of the page looked at so far.
    pub(crate) looked_at: u64,
}

/// The kinds that a list looks through. Those that come later have only later jobs.
pub(crate) async fn kinds(core: &Core, query: &ListQuery) -> Result<Kinds, Error> {
    let queues: Vec<Arc<str>> = core.queue_names().await?.into_iter().map(Arc::from).collect();
    let queues: Vec<Arc<str>> = queues.into_iter().filter(|queue| query.has_queue(queue)).collect();
    selection::kinds(core, &queues).await
}

/// The jobs of the list that were there at `as_of`, Unix ms, behind a place. The states are those of that instant. A
/// later look leaves out active jobs that were asked to end.
pub(crate) async fn page(
    core: &Core,
    kinds: &Kinds,
    query: &ListQuery,
    is_later_look: bool,
    as_of: i64,
    from: Option<&Cursor>,
    retention: Retention<'_>,
) -> Result<Page, Error> {
    let start = Cursor::default();
    let from = from.unwrap_or(&start);
    let (mut sources, group) = selection::group(kinds, query, &from.group, as_of, retention);
    for source in &mut sources {
        if matches!(source.set, Set::Cancelled | Set::Dead) {
            source.scores.high = source.scores.high.min(as_of as f64 + source.offset);
        }
    }
    sources.retain(|source| !source.scores.is_empty());

    let place = from.place.as_ref();
    let times = query.times();
    let mut entries = window::window(core, &sources, times, Order::Asc, place, STEP + 1, usize::MAX).await?;
    let mut has_more = entries.len() > STEP;
    entries.truncate(STEP);
    let read = read(core, query, is_later_look, &sources, &entries).await?;
    has_more |= read.len() < entries.len();
    entries.truncate(read.len());

    let since = as_of..core.clock.now() + CLOCK_ERROR;
    let (mut found, mut last, mut looked_at) = (Vec::new(), from.place.clone(), 0);
    for (entry, look) in entries.iter().zip(read) {
        last = Some(entry.place.clone());
        looked_at += u64::from(look != Look::Elsewhere);
        let selected = target(&sources[entry.source], entry, &since).filter(|_| look == Look::Selected);
        if let Some(target) = selected {
            let behind = Cursor { place: last.clone(), group: group.clone() };
            found.push(Found { target, behind, looked_at });
        }
    }
    let next = if has_more {
        Some(Cursor { place: last, group })
    } else {
        group.to.map(|to| Cursor { place: None, group: Group { from: Some(to), to: None } })
    };
    Ok(Page { found, looked_at, next })
}

/// Says what a look at a job of the list has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Selected,
    Other,
    /// It has moved since the list was read. Another phase may look at it.
    Elsewhere,
}

/// Looks at the first of these jobs, as many as fit into one call.
async fn read(
    core: &Core,
    query: &ListQuery,
    is_later_look: bool,
    sources: &[Source],
    entries: &[Entry],
) -> Result<Vec<Look>, Error> {
    let needs_rows = query.looks_inside() || is_later_look && query.states.contains(&State::Active);
    if !needs_rows || entries.is_empty() {
        return Ok(vec![Look::Selected; entries.len()]);
    }
    let whole = texts::whole(query).unwrap_or_default();
    let wanted = texts::rows(query);
    let rows = rows::read(core, sources, entries, wanted, whole).await?;
    let is_selected = |entry: &Entry, row: &Row| {
        let Some(id) = id(entry) else { return false };
        if is_later_look && Holder::decode(&row.active).is_some_and(|(_, holder)| holder.cancel_requested) {
            return false;
        }
        let job = JobSummary::new(id, &sources[entry.source], row);
        job.is_some_and(|job| texts::has_texts(query, &job, &row.state))
    };
    let look = |(entry, row): (&Entry, &Option<Row>)| match row {
        Some(row) if is_selected(entry, row) => Look::Selected,
        None if wanted == Rows::All => Look::Elsewhere,
        _ => Look::Other,
    };
    Ok(entries.iter().zip(&rows).map(look).collect())
}

/// `None` for a job that was not there, or not yet ended, when `since` began. The sources bound dead and cancelled
/// jobs. A completed one that seems to end in the future was stored before its kind's retention became shorter.
fn target(source: &Source, entry: &Entry, since: &Range<i64>) -> Option<Target> {
    let id = id(entry)?;
    let Source { queue, kind, set, .. } = source;
    let is_made_later = id.made_at().is_some_and(|at| at > since.start);
    let is_later = is_made_later || *set == Set::Done && since.contains(&(entry.place.time as i64 - 1));
    (!is_later).then(|| Target {
        queue: queue.clone(),
        kind: kind.clone(),
        set: *set,
        id,
        score: entry.score,
    })
}

fn id(entry: &Entry) -> Option<JobId> {
    std::str::from_utf8(&entry.place.id).ok()?.parse().ok()
}
