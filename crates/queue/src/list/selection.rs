//! The sets that the pages of a list are merged from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::list::cursor::Group;
use crate::list::query::{ListQuery, Range};
use crate::retention::CANCELLED_RETENTION;

/// Sets that one page merges. With more, a list is sorted within groups of kinds.
pub(crate) const MAX_MERGED: usize = 1_000;

/// A part of the set of one kind in one queue.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) queue: Arc<str>,
    pub(crate) kind: Arc<str>,
    pub(crate) set: Set,
    /// The part, in scores.
    pub(crate) scores: Range,
    /// Score minus time. The score of a finished job is the time of its removal.
    pub(crate) offset: f64,
}

/// The retention of the completed jobs of a kind.
pub type Retention<'a> = &'a (dyn Fn(&str) -> Duration + Sync);

/// The kinds that have or had jobs, with the queues in which they do.
pub(crate) type Kinds = BTreeMap<Arc<str>, Vec<Arc<str>>>;

/// The kinds of these queues.
pub(crate) async fn kinds(core: &Core, queues: &[Arc<str>]) -> Result<Kinds, Error> {
    let kinds = try_join_all(queues.iter().map(|queue| core.kinds_of(queue))).await?;
    let mut all = Kinds::new();
    for (queue, kinds) in queues.iter().zip(kinds) {
        for kind in kinds {
            all.entry(kind).or_default().push(queue.clone());
        }
    }
    Ok(all)
}

impl Source {
    /// The jobs of a part of a set within a range of time.
    pub(crate) fn of(
        queue: &Arc<str>,
        kind: &Arc<str>,
        (set, scores): (Set, Range),
        times: Range,
        retention: Retention,
    ) -> Self {
        let offset = match set {
            Set::Done => retention(kind).as_millis() as f64,
            Set::Cancelled => CANCELLED_RETENTION.as_millis() as f64,
            Set::Due | Set::Lease | Set::Dead => 0.0,
        };
        // The score of an active job is the end of its lease, which says nothing of its time.
        let scores = if set == Set::Lease { scores } else { scores.and(times.shifted(offset)) };
        Source { queue: queue.clone(), kind: kind.clone(), set, scores, offset }
    }
}

/// The sources of one group of kinds, with the group. A group that a cursor names has the same kinds on each page.
pub(crate) fn group(
    kinds: &Kinds,
    query: &ListQuery,
    group: &Group,
    now: i64,
    retention: Retention,
) -> (Vec<Source>, Group) {
    let mut sources = Vec::new();
    let parts = query.parts(now);
    let mut found = Group { from: group.from.clone(), to: None };
    let mut last: Option<&Arc<str>> = None;
    for (kind, queues) in kinds {
        let is_behind = group.from.as_ref().is_none_or(|from| **from < **kind);
        if !is_behind || !query.has_kind(kind) {
            continue;
        }
        let queues: Vec<_> = queues.iter().filter(|queue| query.has_queue(queue)).collect();
        let is_over = match &group.to {
            Some(to) => **to < **kind,
            None => last.is_some() && sources.len() + queues.len() * parts.len() > MAX_MERGED,
        };
        if is_over {
            found.to = group.to.clone().or_else(|| last.map(ToString::to_string));
            break;
        }
        last = Some(kind);
        for queue in queues {
            let of = |part: &(Set, Range)| Source::of(queue, kind, *part, query.times(), retention);
            sources.extend(parts.iter().map(of).filter(|source| !source.scores.is_empty()));
        }
    }
    (sources, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::query::Order;
    use crate::model::state::State;

    fn query(states: &[State]) -> ListQuery {
        ListQuery { states: states.to_vec(), order: Order::Desc, ..ListQuery::default() }
    }

    fn walk(kinds: &Kinds, query: &ListQuery) -> Vec<Vec<String>> {
        let (mut groups, mut from) = (Vec::new(), Group::default());
        loop {
            let (sources, found) = group(kinds, query, &from, 7, &|_| Duration::ZERO);
            assert!(sources.len() <= MAX_MERGED);
            groups.push(sources.iter().map(|source| source.kind.to_string()).collect());
            // A page of the group finds the same sources.
            let (again, same) = group(kinds, query, &found, 7, &|_| Duration::ZERO);
            assert_eq!((again.len(), &same), (sources.len(), &found));
            let Some(to) = found.to else { return groups };
            from = Group { from: Some(to), to: None };
        }
    }

    #[test]
    fn ten_thousand_kinds_are_merged_in_groups_that_have_each_kind_once() {
        let queues: Vec<Arc<str>> = vec!["a".into(), "b".into()];
        let kinds: Kinds = (0..10_000).map(|n| (format!("k:{n:05}").into(), queues.clone())).collect();
        let groups = walk(&kinds, &query(&[State::Dead]));
        assert_eq!(groups.len(), 20);
        let all: Vec<String> = groups.concat();
        assert_eq!(all.len(), 20_000);
        assert!(all.is_sorted());
        assert_eq!(walk(&kinds, &query(&[])).concat().len(), 100_000);
        let few: Kinds = kinds.into_iter().take(100).collect();
        assert_eq!(walk(&few, &query(&[])).len(), 1);
    }

    #[test]
    fn a_range_of_time_without_jobs_of_a_state_leaves_out_its_sets() {
        let kinds: Kinds = [("a:b".into(), vec!["q".into()])].into();
        let query = ListQuery { before: Some(5), ..query(&[State::Scheduled, State::Dead]) };
        let (sources, _) = group(&kinds, &query, &Group::default(), 7, &|_| Duration::ZERO);
        assert_eq!(sources.iter().map(|source| source.set).collect::<Vec<_>>(), [Set::Dead]);
    }
}
