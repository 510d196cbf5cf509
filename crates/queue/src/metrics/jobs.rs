//! Counters of jobs by queue and kind, for Prometheus and for the history. Each process counts what it did itself and
//! Redis confirmed, so the sum over all processes is what happened.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use metrics::{Counter, counter, describe_counter};

use crate::history::cells::{Cells, Event};
use crate::history::tally::Tally;
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
    history: Arc<Tally>,
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
            let counters = self.of(queue, kind);
            counters.enqueued.increment(jobs as u64);
            counters.history.count(Event::Enqueued, jobs as u64);
        }
    }

    /// Counts jobs that are now in this final state.
    pub(crate) fn finished(&self, queue: &str, kind: &str, state: State, jobs: usize) {
        if jobs == 0 {
            return;
        }
        let counters = self.of(queue, kind);
        let (counter, event) = match state {
            State::Completed => (&counters.completed, Event::Completed),
            State::Dead => (&counters.dead, Event::Dead),
            State::Cancelled => (&counters.cancelled, Event::Cancelled),
            State::Scheduled | State::Ready | State::Active => return,
        };
        counter.increment(jobs as u64);
        counters.history.count(event, jobs as u64);
    }

    /// Counts failed attempts whose jobs are retried. Prometheus has them from the workers.
    pub(crate) fn failed(&self, queue: &str, kind: &str, jobs: usize) {
        if jobs > 0 {
            self.tally(queue, kind).count(Event::Failed, jobs as u64);
        }
    }

    /// Counts a job that was recovered.
    pub(crate) fn reaped(&self, queue: &str, kind: &str) {
        self.tally(queue, kind).count(Event::Reaped, 1);
    }

    /// The counts for the history.
    pub(crate) fn tally(&self, queue: &str, kind: &str) -> Arc<Tally> {
        self.of(queue, kind).history.clone()
    }

    /// Takes what was counted for the history since the last call, by queue and kind.
    pub(crate) fn take(&self, mut each: impl FnMut(String, String, Cells)) {
        for (queue, kinds) in &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            for (kind, counters) in kinds {
                let cells = counters.history.take();
                if !cells.is_empty() {
                    each(queue.clone(), kind.clone(), cells);
                }
            }
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
            history: Arc::default(),
        }
    }
}
