//! All that is known about the system, as far as the screen shows it.

use std::time::Duration;

use atode_queue::{FailureGroup, JobSummary, QueueView, Registration, Series, Stats};
use jiff::{SignedDuration, Timestamp};

use crate::top::news::{News, Part};

#[derive(Default)]
pub(crate) struct Board {
    /// In the order of their names.
    pub(crate) queues: Vec<QueueView>,
    /// In the order of their starts.
    pub(crate) workers: Vec<Registration>,
    /// Those with most jobs first.
    pub(crate) failures: Vec<FailureGroup>,
    pub(crate) failures_seen: bool,
    /// The next jobs of `jobs_of`.
    pub(crate) jobs: Vec<JobSummary>,
    pub(crate) jobs_of: Option<String>,
    stats: Option<Stats>,
    /// Redis' clock minus the clock of this machine.
    clock: SignedDuration,
    /// The time of the last overview, by the clock of this machine.
    pub(crate) seen_at: Option<Timestamp>,
    overview_trouble: Option<String>,
    details_trouble: Option<String>,
}

impl Board {
    /// Takes in news. Outcomes of changes are not kept here.
    pub(crate) fn take(&mut self, news: News, local: Timestamp) {
        match news {
            News::Overview { mut queues, mut workers } => {
                queues.sort_by(|a, b| a.name.cmp(&b.name));
                workers.sort_by_key(|worker| worker.worker.id);
                (self.queues, self.workers) = (queues, workers);
                self.overview_seen(local);
            }
            News::Queue(queue) => {
                match self.queues.binary_search_by(|known| known.name.cmp(&queue.name)) {
                    Ok(at) => self.queues[at] = queue,
                    Err(at) => self.queues.insert(at, queue),
                }
                self.overview_seen(local);
            }
            News::Worker(worker) => {
                match self.workers.binary_search_by_key(&worker.worker.id, |known| known.worker.id) {
                    Ok(at) => self.workers[at] = *worker,
                    Err(at) => self.workers.insert(at, *worker),
                }
                self.overview_seen(local);
            }
            News::WorkerGone(id) => {
                self.workers.retain(|worker| worker.worker.id != id);
                self.overview_seen(local);
            }
            News::Stats(stats) => {
                self.clock = stats.to.duration_since(local);
                self.stats = Some(*stats);
            }
            News::Failures(failures) => {
                (self.failures_seen, self.failures) = (true, failures.items);
                // The API has the latest death first, which decides between equal counts.
                self.failures.sort_by_key(|group| std::cmp::Reverse(group.count));
                self.details_trouble = None;
            }
            News::Jobs { queue, jobs } => {
                (self.jobs_of, self.jobs) = (Some(queue), jobs);
                self.details_trouble = None;
            }
            News::Trouble(Part::Overview, why) => self.overview_trouble = Some(why),
            News::Trouble(Part::Details, why) => self.details_trouble = Some(why),
            News::Outcome(_) => {}
        }
    }

    /// The failed read that matters most.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.overview_trouble.as_deref().or(self.details_trouble.as_deref())
    }

    /// True if queues and workers are those of now.
    pub(crate) fn is_live(&self) -> bool {
        self.seen_at.is_some() && self.overview_trouble.is_none()
    }

    /// The lateness p99 of a queue: that of its worst kind. `None` if nothing ran.
    pub(crate) fn lateness(&self, queue: &str) -> Option<f64> {
        let series = self.stats.iter().flat_map(|stats| &stats.series);
        let of_queue = series.filter(|series| series.queue == queue);
        of_queue.filter_map(|Series { numbers, .. }| numbers.total.lateness_seconds.p99).reduce(f64::max)
    }

    /// The time until an instant of Redis, or since it.
    pub(crate) fn relative(&self, at: Timestamp, local: Timestamp) -> FromNow {
        let until = at.duration_since(local).saturating_sub(self.clock);
        if until.is_negative() {
            FromNow::Ago(until.unsigned_abs())
        } else {
            FromNow::In(until.unsigned_abs())
        }
    }

    fn overview_seen(&mut self, local: Timestamp) {
        self.seen_at = Some(local);
        self.overview_trouble = None;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FromNow {
    In(Duration),
    Ago(Duration),
}
