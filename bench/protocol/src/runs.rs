//! Which jobs ran, when, and how often.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

/// No run for so long: the rest will never come.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Runs {
    jobs: usize,
    /// Only noted here, looked through at the end: a handler that does more is no no-op.
    noted: Mutex<Vec<(String, f64)>>,
    /// Why no more will run.
    broken: Mutex<Option<String>>,
    done: Notify,
}

impl Runs {
    pub fn new(jobs: usize) -> Self {
        Runs {
            jobs,
            noted: Mutex::new(Vec::with_capacity(jobs)),
            broken: Mutex::default(),
            done: Notify::new(),
        }
    }

    /// A handler's whole work.
    pub fn note(&self, id: String) {
        let mut runs = self.lock();
        runs.push((id, now()));
        if runs.len() == self.jobs {
            self.done.notify_one();
        }
    }

    /// The worker has ended by itself: nobody needs to wait for what it would have run.
    pub fn give_up(&self, reason: String) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.done.notify_one();
    }

    /// Waits for as many runs as there are jobs; the last one's time (Unix ms).
    pub(crate) async fn all(&self) -> anyhow::Result<f64> {
        let mut before = 0;
        loop {
            if tokio::time::timeout(PATIENCE, self.done.notified()).await.is_ok() {
                let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner).take();
                anyhow::ensure!(broken.is_none(), "the worker has ended: {}", broken.unwrap_or_default());
                return Ok(self.lock().get(self.jobs - 1).map_or_else(now, |(_, at)| *at));
            }
            let ran = self.lock().len();
            anyhow::ensure!(ran > before, "{ran} of {} jobs ran, then none for {PATIENCE:?}", self.jobs);
            before = ran;
        }
    }

    /// When each job started (Unix ms). To be asked once the worker is down; an error unless each
    /// ran exactly once.
    pub(crate) fn once(&self) -> anyhow::Result<HashMap<String, f64>> {
        let runs = std::mem::take(&mut *self.lock());
        let count = runs.len();
        let started: HashMap<_, _> = runs.into_iter().collect();
        anyhow::ensure!(
            count == self.jobs && started.len() == self.jobs,
            "{count} runs of {} different jobs, of {}",
            started.len(),
            self.jobs
        );
        Ok(started)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, f64)>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// This machine's wall clock, Unix ms.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3
}
