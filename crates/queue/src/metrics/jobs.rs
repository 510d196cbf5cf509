//! Counters of jobs by queue and kind. Each process counts what it did itself and Redis confirmed, so the sum over all
//! processes is what happened.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use metrics::{Counter, counter, describe_counter};

use crate::model::state::State;

const ENQUEUED: &str = "atode_jobs_enqueued_total";
const FINISHED: &str = "atode_jobs_finished_total";

/// Pairs of queue and kind with counters of their own. Jobs of further pairs share the kind `other`.
const MAX_PAIRS: usize = 1_000;

type ByQueue = HashMap<String, HashMap<String, Arc<Counters>>>;

/// Looks the counters up once per group of jobs in a call.
#[derive(Default)]
pub(crate) struct JobCounters(RwLock<ByQueue>);

struct Counters {
    enqueued: Counter,
    completed: Counter,
    dead: Counter,
    cancelled: Counter,
}

pub(crate) fn describe() {
    describe_counter!(
        ENQUEUED,
        "Jobs that this process stored. Repeated requests that stored nothing do not count."
    );
    describe_counter!(
        FINISHED,
        "Jobs that this process brought to a final state: completed, dead or cancelled."
    );
}

impl JobCounters {
    pub(crate) fn enqueued(&self, queue: &str, kind: &str, jobs: usize) {
        if jobs > 0 {
            self.of(queue, kind).enqueued.increment(jobs as u64);
        }
    }

    /// Counts jobs that are now in this final state.
    pub(crate) fn finished(&self, queue: &str, kind: &str, state: State, jobs: usize) {
        if jobs == 0 {
            return;
        }
        let counters = self.of(queue, kind);
        match state {
            State::Completed => counters.completed.increment(jobs as u64),
            State::Dead => counters.dead.increment(jobs as u64),
            State::Cancelled => counters.cancelled.increment(jobs as u64),
            State::Scheduled | State::Ready | State::Active => {}
        }
    }

    fn of(&self, queue: &str, kind: &str) -> Arc<Counters> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = known.get(queue).and_then(|kinds| kinds.get(kind)) {
            return counters.clone();
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let pairs: usize = known.values().map(HashMap::len).sum();
        let kind = if pairs < MAX_PAIRS { kind } else { "other" };
        let kinds = known.entry(queue.to_owned()).or_default();
        kinds.entry(kind.to_owned()).or_insert_with(|| Arc::new(Counters::new(queue, kind))).clone()
    }
}

impl Counters {
    fn new(queue: &str, kind: &str) -> Self {
        let finished = |state: State| counter!(FINISHED, "queue" => queue.to_owned(), "kind" => kind.to_owned(), "state" => state.to_string());
        Counters {
            enqueued: counter!(ENQUEUED, "queue" => queue.to_owned(), "kind" => kind.to_owned()),
            completed: finished(State::Completed),
            dead: finished(State::Dead),
            cancelled: finished(State::Cancelled),
        }
    }
}
