//! The history as the API and the command line show it.

use std::sync::Arc;

use bytes::Bytes;
use fred::interfaces::HashesInterface;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::Core;
use crate::error::Error;
use crate::history::builds::{self, Build};
use crate::history::cells::{Cells, Event, Timing};
use crate::history::ring::{Window, cells_of};
use crate::model::instant;
use crate::scripts::KINDS;
use crate::wire;

/// Series in one answer: those with the latest news.
pub const MAX_SERIES: usize = 100;

/// Histories that are read at the same time.
const READ_AT_ONCE: usize = 8;

/// The history of a window, by queue and kind.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// Start of the first bucket.
    #[serde(serialize_with = "instant::serialize")]
    pub from: Timestamp,
    /// The time of this answer. The last bucket is still being filled then.
    #[serde(serialize_with = "instant::serialize")]
    pub to: Timestamp,
    /// Length of a bucket: 60 or 300.
    pub step_seconds: i64,
    /// The sum of all series.
    pub all: Numbers,
    /// One per queue and kind, in the order of their names.
    pub series: Vec<Series>,
    /// Queues and kinds that have a history and are not in `series`, because there are too many.
    pub series_left_out: usize,
    /// The latest builds, in the order of their first starts.
    pub builds: Vec<Build>,
}

/// The history of one kind of one queue.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    pub queue: String,
    pub kind: String,
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// The numbers of the whole window, and of each of its buckets.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Numbers {
    pub total: Happened<u64, Option<f64>>,
    pub buckets: Happened<Vec<u64>, Vec<Option<f64>>>,
}

/// `C` counts, `T` is a time in seconds: one, or one per bucket.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Happened<C, T> {
    /// Jobs stored.
    pub enqueued: C,
    pub completed: C,
    /// Attempts that failed and were followed by a retry.
    pub failed: C,
    /// Jobs that failed for good.
    pub dead: C,
    pub cancelled: C,
    /// Jobs recovered after their lease had run out.
    pub reaped: C,
    /// From the due time of a run to its start.
    pub lateness_seconds: Percentiles<T>,
    /// Time that a handler ran.
    pub run_seconds: Percentiles<T>,
}

/// Unset where nothing ran.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles<T> {
    pub p50: T,
    pub p99: T,
}

/// A kind that has a history.
struct Known {
    queue: Arc<str>,
    kind: String,
    expires: f64,
}

pub(crate) async fn stats(
    core: &Core,
    queues: &[Arc<str>],
    kind: Option<&str>,
    window: Window,
) -> Result<Stats, Error> {
    let builds = builds::builds(core).await?;
    let mut now = core.clock.now();
    let (mut known, mut left_out) = (Vec::new(), 0);
    for (at, not_listed, kinds) in try_join_all(queues.iter().map(|queue| kinds_of(core, queue))).await? {
        now = at;
        left_out += not_listed;
        known.extend(kinds.into_iter().filter(|known| kind.is_none_or(|kind| known.kind == kind)));
    }
    known.sort_by(|a, b| b.expires.total_cmp(&a.expires));
    left_out += known.len().saturating_sub(MAX_SERIES);
    known.truncate(MAX_SERIES);
    known.sort_by(|a, b| (&a.queue, &a.kind).cmp(&(&b.queue, &b.kind)));

    let numbers = window.numbers(now);
    let mut all = vec![Cells::default(); numbers.len()];
    let mut series = Vec::with_capacity(known.len());
    for some in known.chunks(READ_AT_ONCE) {
        let read = some.iter().map(|known| fields(core, known, window, now));
        for (known, fields) in some.iter().zip(try_join_all(read).await?) {
            let buckets: Vec<Cells> =
                numbers.clone().zip(fields).map(|(number, field)| decode(number, field.as_ref())).collect();
            all.iter_mut().zip(&buckets).for_each(|(all, bucket)| *all += bucket);
            series.push(Series {
                queue: known.queue.to_string(),
                kind: known.kind.clone(),
                numbers: Numbers::of(&buckets),
            });
        }
    }
    let from = numbers.clone().next().unwrap_or_default() * window.step();
    Ok(Stats {
        from: Timestamp::from_millisecond(from).unwrap_or_default(),
        to: Timestamp::from_millisecond(now).unwrap_or_default(),
        step_seconds: window.step() / 1_000,
        all: Numbers::of(&all),
        series,
        series_left_out: left_out,
        builds,
    })
}

/// Redis' time, the number of kinds beyond those that are returned, and the kinds.
async fn kinds_of(core: &Core, queue: &Arc<str>) -> Result<(i64, usize, Vec<Known>), Error> {
    let args = vec![wire::count(MAX_SERIES)];
    let reply = core.call(&KINDS, vec![core.keys.history(queue).into()], args).await?;
    let rows = reply.rows::<2>(1).iter();
    let known = rows.filter_map(|[kind, expires]| {
        Some(Known { queue: queue.clone(), kind: kind.as_string()?, expires: expires.as_f64()? })
    });
    let known: Vec<Known> = known.filter(|known| known.expires > reply.now as f64).collect();
    let not_listed = (reply.number(0)? as usize).saturating_sub(reply.rows::<2>(1).len());
    Ok((reply.now, not_listed, known))
}

async fn fields(core: &Core, known: &Known, window: Window, now: i64) -> Result<Vec<Option<Bytes>>, Error> {
    let names: Vec<String> = window.numbers(now).map(|number| window.field(number)).collect();
    let key = core.keys.history_of(&known.queue, &known.kind);
    Ok(core.connection.client()?.hmget(key, names).await?)
}

fn decode(number: i64, field: Option<&Bytes>) -> Cells {
    let mut cells = Cells::default();
    if let Some(encoded) = field.and_then(|field| cells_of(number, field)) {
        cells.add_encoded(encoded);
    }
    cells
}

impl Numbers {
    fn of(buckets: &[Cells]) -> Self {
        let mut total = Cells::default();
        for bucket in buckets {
            total += bucket;
        }
        Numbers {
            total: Happened::of(
                |event| total.count(event),
                |timing, percent| total.percentile(timing, percent),
            ),
            buckets: Happened::of(
                |event| buckets.iter().map(|bucket| bucket.count(event)).collect(),
                |timing, percent| buckets.iter().map(|bucket| bucket.percentile(timing, percent)).collect(),
            ),
        }
    }
}

impl<C, T> Happened<C, T> {
    fn of(count: impl Fn(Event) -> C, time: impl Fn(Timing, u64) -> T) -> Self {
        let percentiles = |timing| Percentiles { p50: time(timing, 50), p99: time(timing, 99) };
        Happened {
            enqueued: count(Event::Enqueued),
            completed: count(Event::Completed),
            failed: count(Event::Failed),
            dead: count(Event::Dead),
            cancelled: count(Event::Cancelled),
            reaped: count(Event::Reaped),
            lateness_seconds: percentiles(Timing::Lateness),
            run_seconds: percentiles(Timing::Run),
        }
    }
}
