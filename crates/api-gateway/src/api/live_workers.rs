//! Warnings about jobs that no live worker takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use atode_queue::{Client, Registration};

/// The maximum age of the list of live workers when a job is enqueued.
const MAX_AGE: Duration = Duration::from_secs(5);
/// The minimum time between two warnings about the same queue and kind.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// Reads the list of live workers at most once per [`MAX_AGE`], in the background, and only when a job is enqueued.
#[derive(Default)]
pub(crate) struct LiveWorkers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the last read began.
    read_at: Option<Instant>,
    /// The live workers. Unset until the first read succeeds.
    workers: Option<Vec<Registration>>,
    warned: HashMap<(Arc<str>, Arc<str>), Instant>,
}

impl LiveWorkers {
    /// Checks the queue and kind of a stored job, without waiting for the result.
    pub(crate) fn check(self: &Arc<Self>, client: &Client, queue: &Arc<str>, kind: &Arc<str>) {
        if !self.lock().is_stale() {
            return self.warn_if_none(queue, kind);
        }
        let (this, client) = (self.clone(), client.clone());
        let (queue, kind) = (queue.clone(), kind.clone());
        actix_web::rt::spawn(async move {
            let workers = client.workers().await.ok();
            this.lock().workers = workers;
            this.warn_if_none(&queue, &kind);
        });
    }

    fn warn_if_none(&self, queue: &Arc<str>, kind: &Arc<str>) {
        if self.lock().needs_warning(queue, kind) {
            tracing::warn!(
                %queue, %kind,
                "no live worker takes this job: it waits for a worker with this queue and kind"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the list is too old. It is true for one caller only, who has to read the list.
    fn is_stale(&mut self) -> bool {
        let is_stale = self.read_at.is_none_or(|at| at.elapsed() > MAX_AGE);
        if is_stale {
            self.read_at = Some(Instant::now());
        }
        is_stale
    }

    fn needs_warning(&mut self, queue: &Arc<str>, kind: &Arc<str>) -> bool {
        let Some(workers) = &self.workers else { return false };
        if workers.iter().any(|worker| worker.claims_from(queue) && worker.claims_kind(kind)) {
            return false;
        }
        let name = (queue.clone(), kind.clone());
        if self.warned.get(&name).is_some_and(|at| at.elapsed() < REPEAT_AFTER) {
            return false;
        }
        self.warned.insert(name, Instant::now());
        true
    }
}
