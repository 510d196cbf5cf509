//! The layout of arguments and replies that several scripts share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fred::types::{Key, Value};

use crate::error::Error;
use crate::keys::{QueueKeys, Set};
use crate::model::death::Death;
use crate::model::fingerprint::Fingerprint;
use crate::model::history::History;
use crate::model::id::JobId;
use crate::model::lease::LeaseRef;
use crate::model::new_job::Due;
use crate::model::settlement::Verdict;
use crate::retention::CANCELLED_RETENTION;
use crate::scripts::Script;

/// Sent to `release` instead of a delay: the job keeps its due time.
pub(crate) const KEEP_DUE_TIME: i64 = -1;

/// Sent to `reap` instead of a delay: the job is buried.
pub(crate) const BURY: i64 = -1;

/// Replied instead of an instant if there is none.
const NONE: i64 = -1;

/// The reply of a script: Redis' time, then values.
#[derive(Debug)]
pub(crate) struct Reply {
    script: &'static str,
    /// Redis' time, Unix ms.
    pub(crate) now: i64,
    list: Vec<Value>,
}

impl Reply {
    pub(crate) fn new(script: &Script, reply: Value) -> Result<Self, Error> {
        match reply {
            Value::Array(list) if let Some(now) = list.first().and_then(Value::as_i64) => {
                Ok(Reply { script: script.name, now, list })
            }
            other => Err(Error::corrupt(format!("the reply of {}: {other:?}", script.name))),
        }
    }

    /// The values behind the time.
    pub(crate) fn values(&self) -> &[Value] {
        &self.list[1..]
    }

    /// The values behind the time and `skipped` more, in rows of `N`.
    pub(crate) fn rows<const N: usize>(&self, skipped: usize) -> &[[Value; N]] {
        self.values().get(skipped..).unwrap_or_default().as_chunks().0
    }

    /// The value at `place` behind the time, a number that is not negative.
    pub(crate) fn number(&self, place: usize) -> Result<u64, Error> {
        self.values().get(place).and_then(Value::as_u64).ok_or_else(|| self.corrupt())
    }

    /// True where the first value says that the script changed something.
    pub(crate) fn is_done(&self) -> Result<bool, Error> {
        Ok(self.number(0)? == 1)
    }

    /// The verdict on each of `jobs` jobs: the reply has place and verdict of those that are not simply done.
    pub(crate) fn verdicts(&self, jobs: usize) -> Result<Vec<Verdict>, Error> {
        let mut verdicts = vec![Verdict::Done; jobs];
        for [place, verdict] in self.rows::<2>(0) {
            let place = place.as_u64().and_then(|place| verdicts.get_mut(place as usize));
            let verdict = match verdict.as_i64() {
                Some(0) => Some(Verdict::Stale),
                Some(2) => Some(Verdict::Already),
                Some(3) => Some(Verdict::CancelRequested),
                _ => None,
            };
            let (Some(place), Some(verdict)) = (place, verdict) else { return Err(self.corrupt()) };
            *place = verdict;
        }
        Ok(verdicts)
    }

    /// The error for a reply that cannot be read.
    pub(crate) fn corrupt(&self) -> Error {
        Error::corrupt(format!("the reply of {}: {:.200}", self.script, format!("{:?}", self.list)))
    }
}

pub(crate) fn millis(duration: Duration) -> Value {
    Value::Integer(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// A delay in ms, or the number that is sent instead of one.
pub(crate) fn millis_or(delay: Option<Duration>, instead: i64) -> Value {
    delay.map_or(Value::Integer(instead), millis)
}

pub(crate) fn count(n: usize) -> Value {
    Value::Integer(n as i64)
}

pub(crate) fn flag(is_set: bool) -> Value {
    if is_set { "1".into() } else { "0".into() }
}

/// A delay in ms, or minus an instant.
pub(crate) fn due(due: Due) -> Value {
    match due {
        Due::After(delay) => millis(delay),
        Due::At(at) => Value::Integer(-at.max(1)),
    }
}

/// An instant, Unix ms; nothing if there is none.
pub(crate) fn instant(value: &Value) -> Option<i64> {
    value.as_i64().filter(|at| *at != NONE)
}

/// The history in an entry of `state`; an unreadable one is logged and starts over, because the job must go on
/// whatever it says.
pub(crate) fn history(id: JobId, entry: &Value) -> History {
    if entry.is_null() {
        return History::default();
    }
    let text = entry.as_str().ok_or_else(|| Error::corrupt("a job's state is not text"));
    match text.and_then(|text| History::decode(&text)) {
        Ok((_, history)) => history,
        Err(error) => {
            tracing::error!(job.id = %id, %error, "the job's history cannot be read; the job goes on with an empty history");
            History::default()
        }
    }
}

/// The first keys of a script that moves leased jobs.
pub(crate) fn job_keys(keys: &QueueKeys) -> [String; 4] {
    [keys.jobs(), keys.active(), keys.state(), keys.stats()]
}

/// The keys of a call: some of the queue, then these sets of each kind.
pub(crate) fn keys<const N: usize>(
    queue: &QueueKeys,
    first: [String; N],
    kinds: impl IntoIterator<Item = impl AsRef<str>>,
    sets: &[Set],
) -> Vec<Key> {
    let mut keys: Vec<Key> = first.map(Key::from).into();
    for kind in kinds {
        keys.extend(sets.iter().map(|set| Key::from(queue.set(kind.as_ref(), *set))));
    }
    keys
}

/// The first arguments of a script that puts jobs back, or cancels those with a cancellation request.
pub(crate) fn back_or_cancelled(keys: &QueueKeys) -> Vec<Value> {
    vec![keys.wake_channel().into(), keys.finished_channel().into(), millis(CANCELLED_RETENTION)]
}

/// The arguments by which scripts check leases: their number, their ids, their tokens.
pub(crate) fn push_leases<'a>(
    args: &mut Vec<Value>,
    leases: impl ExactSizeIterator<Item = &'a LeaseRef> + Clone,
) {
    args.push(count(leases.len()));
    args.extend(leases.clone().map(|lease| Value::from(lease.id.short())));
    args.extend(leases.map(|lease| Value::from(lease.token.get() as i64)));
}

/// The arguments by which scripts learn the causes of deaths: for each job the place of its cause, from 1 (0: none);
/// then the distinct causes, each with the error of the first job that has it.
pub(crate) fn push_causes<'a>(args: &mut Vec<Value>, deaths: impl Iterator<Item = Option<&'a Death>>) {
    let mut distinct: Vec<&Death> = Vec::new();
    let mut places: HashMap<(Fingerprint, &str), usize> = HashMap::new();
    for death in deaths {
        args.push(count(death.map_or(0, |death| {
            *places.entry((death.fingerprint, &death.build)).or_insert_with(|| {
                distinct.push(death);
                distinct.len()
            })
        })));
    }
    for Death { fingerprint, build, error } in distinct {
        args.extend([Value::from(fingerprint.to_string()), build.as_str().into(), error.as_str().into()]);
    }
}

/// The distinct kinds of the jobs of a call, and for each job the place of its kind, from 1 as Lua counts.
pub(crate) fn numbered<'a>(kinds: impl Iterator<Item = &'a Arc<str>>) -> (Vec<&'a Arc<str>>, Vec<Value>) {
    let mut distinct = Vec::new();
    let places = kinds.map(|kind| {
        let known = distinct.iter().position(|known| *known == kind);
        count(
            1 + known.unwrap_or_else(|| {
                distinct.push(kind);
                distinct.len() - 1
            }),
        )
    });
    let places = places.collect();
    (distinct, places)
}

/// The kind at a place that Lua counted from 1.
pub(crate) fn kind_at<'a>(kinds: &'a [Arc<str>], place: &Value) -> Option<&'a Arc<str>> {
    kinds.get(usize::try_from(place.as_i64()?.checked_sub(1)?).ok()?)
}
