//! One page of a list.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::{Budget, MAX_BATCH};
use crate::core::Core;
use crate::error::Error;
use crate::list::cursor::{Cursor, Group};
use crate::list::query::ListQuery;
use crate::list::rows::{self, Row};
use crate::list::selection::{self, Retention, Source};
use crate::list::summary::JobSummary;
use crate::list::texts;
use crate::list::window::{self, Entry};
use crate::model::id::JobId;
use crate::model::instant;

/// Largest payload, in bytes, that is part of a page.
pub const MAX_LISTED_PAYLOAD: usize = 4 << 10;

/// The longest header of a record, in bytes.
const HEADER: usize = 128;

/// Bytes of a page beyond which it ends.
const PAGE_BYTES: usize = Budget::MOST;

/// Groups of kinds that one page goes through.
const MAX_GROUPS: usize = 10;

/// Jobs that one call of a search reads.
const STEP: usize = 500;

/// Bounds of the jobs and of the bytes that a page searches.
const SEARCHED_JOBS: usize = 10_000;
const SEARCHED_BYTES: usize = 16 << 20;

/// The time after which a page ends with what it has.
const PAGE_TIME: Duration = Duration::from_millis(300);

/// A page of a list.
#[derive(Debug)]
pub struct JobPage {
    pub items: Vec<JobSummary>,
    /// The place where the list goes on. Unset at its end.
    pub next: Option<Cursor>,
    /// Set if the list filters by text.
    pub searched: Option<Searched>,
}

/// The part of a list that one page has searched for a text.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Searched {
    pub jobs: usize,
    pub bytes: usize,
    /// The time of the last job, in the order of the list.
    #[serde(serialize_with = "instant::serialize_option")]
    pub until: Option<Timestamp>,
    /// False if jobs are left. The cursor goes on with them.
    pub complete: bool,
}

pub(crate) async fn page(
    core: &Core,
    query: &ListQuery,
    queues: &[Arc<str>],
    from: Option<Cursor>,
    limit: usize,
    retention: Retention<'_>,
) -> Result<JobPage, Error> {
    let now = core.clock.now();
    let queues: Vec<Arc<str>> = queues.iter().filter(|queue| query.has_queue(queue)).cloned().collect();
    let kinds = selection::kinds(core, &queues).await?;
    let group = |group: &Group| selection::group(&kinds, query, group, now, retention);
    let Cursor { place, group: from } = from.unwrap_or_default();
    let (sources, first) = group(&from);
    let mut walk = Walk::new(core, query, limit.clamp(1, MAX_BATCH), sources);
    walk.at = Cursor { place, group: first };
    let mut groups = 1;
    // The first window is always read, so that each page goes on, however slow Redis is.
    loop {
        let has_more = walk.step().await?;
        if !has_more {
            let Some(to) = walk.at.group.to.take() else { return Ok(walk.end(None)) };
            let (sources, next) = group(&Group { from: Some(to), to: None });
            (walk.sources, walk.at) = (sources, Cursor { place: None, group: next });
            groups += 1;
        }
        if walk.is_full() || groups > MAX_GROUPS || walk.started.elapsed() > PAGE_TIME {
            let at = walk.at.clone();
            return Ok(walk.end(Some(at)));
        }
    }
}

/// The way of one page through its list.
struct Walk<'a> {
    core: &'a Core,
    query: &'a ListQuery,
    limit: usize,
    sources: Vec<Source>,
    at: Cursor,
    started: Instant,
    items: Vec<JobSummary>,
    /// Bytes that were read for the items.
    item_bytes: usize,
    searched: Searched,
}

impl<'a> Walk<'a> {
    fn new(core: &'a Core, query: &'a ListQuery, limit: usize, sources: Vec<Source>) -> Self {
        let searched = Searched { jobs: 0, bytes: 0, until: None, complete: false };
        let (at, started) = (Cursor::default(), Instant::now());
        Walk { core, query, limit, sources, at, started, items: Vec::new(), item_bytes: 0, searched }
    }

    /// Goes on by one window. Returns false at the end of the group of kinds.
    async fn step(&mut self) -> Result<bool, Error> {
        let wanted = if self.query.looks_inside() { STEP } else { self.limit - self.items.len() };
        // One job more tells whether there is a next page.
        let most = wanted + 1;
        let (times, order, place) = (self.query.times(), self.query.order, self.at.place.as_ref());
        let mut entries =
            window::window(self.core, &self.sources, times, order, place, most, window::MAX_ACTIVE).await?;
        let mut has_more = entries.len() == most;
        entries.truncate(wanted);
        let whole = texts::whole(self.query).unwrap_or(MAX_LISTED_PAYLOAD + HEADER);
        let rows = texts::rows(self.query);
        let rows = rows::read(self.core, &self.sources, &entries, rows, whole).await?;
        has_more |= rows.len() < entries.len();
        for (entry, row) in entries.into_iter().zip(rows) {
            if self.is_full() {
                return Ok(true);
            }
            if let Some(row) = row {
                self.look_at(&entry, &row);
            }
            self.searched.jobs += 1;
            self.searched.until = Timestamp::from_millisecond(entry.place.time as i64).ok();
            self.at.place = Some(entry.place);
        }
        Ok(has_more)
    }

    fn look_at(&mut self, entry: &Entry, row: &Row) {
        let bytes = row.record.len() + row.state.len();
        self.searched.bytes += bytes;
        let id = std::str::from_utf8(&entry.place.id).ok().and_then(|id| id.parse::<JobId>().ok());
        let Some(id) = id else { return };
        let Some(mut job) = JobSummary::new(id, &self.sources[entry.source], row) else { return };
        // It may have become due since its set was read.
        if self.query.has_state(job.state) && texts::has_texts(self.query, &job, &row.state) {
            job.payload.take_if(|payload| payload.get().len() > MAX_LISTED_PAYLOAD);
            self.item_bytes +=
                job.payload.as_ref().map_or(0, |payload| payload.get().len()) + row.state.len();
            self.items.push(job);
        }
    }

    fn is_full(&self) -> bool {
        let Searched { jobs, bytes, .. } = self.searched;
        self.items.len() >= self.limit
            || self.item_bytes >= PAGE_BYTES
            || jobs >= SEARCHED_JOBS
            || bytes >= SEARCHED_BYTES
    }

    fn end(self, next: Option<Cursor>) -> JobPage {
        let searched = Searched { complete: next.is_none(), ..self.searched };
        let searched = self.query.looks_inside().then_some(searched);
        JobPage { items: self.items, next, searched }
    }
}
