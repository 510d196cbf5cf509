//! A record of which jobs ran, when, and how often.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

/// If nothing has run for this long, the remaining jobs will never run.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Runs {
    jobs: usize,
    /// Evaluated at the end, because a handler that did more would be no no-op.
    recorded: Mutex<Vec<(String, f64)>>,
    /// The reason why no more jobs will run.
    broken: Mutex<Option<String>>,
    done: Notify,
}

impl Runs {
    pub fn new(jobs: usize) -> Self {
        Runs {
            jobs,
            recorded: Mutex::new(Vec::with_capacity(jobs)),
            broken: Mutex::default(),
            done: Notify::new(),
        }
    }

    /// Records a run. Handlers do nothing else.
    pub fn record(&self, id: String) {
        let mut runs = self.lock();
        runs.push((id, now()));
        if runs.len() == self.jobs {
            self.done.notify_one();
        }
    }

    /// Ends the wait for further runs, because the worker has ended.
    pub fn give_up(&self, reason: String) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.done.notify_one();
    }

    /// Waits until the number of runs equals the number of jobs. Returns the time of the last run (Unix ms).
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

    /// The start time of each job (Unix ms). Call it after the worker has stopped. Fails unless each job ran exactly
    /// once.
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
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// This machine's wall clock, Unix ms.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3
}
