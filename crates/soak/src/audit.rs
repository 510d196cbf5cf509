//! The audit: it compares what clients were promised with what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::Ordering;

use atode_queue::{FailureCause, JobId, WorkerId};
use atode_testkit::{Connection, Reply};

use crate::ledger::{self, Event, Run};
use crate::load::Promises;
use crate::system::{Slot, System, lock};
use crate::watch::{Finish, Set, Watch, members};

/// The reason why a run was followed by another run of the same job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The run failed, as its payload required.
    Failed,
    /// The worker died.
    Crashed,
    /// The worker was alive but could not extend the lease.
    LeaseLost,
    /// The worker was stopped and released the job.
    Released,
    Unexplained,
}

#[derive(Debug, Default)]
pub struct Report {
    /// Jobs that got 201.
    pub stored: usize,
    pub completed: usize,
    pub cancelled: usize,
    pub dead: usize,
    pub waiting: usize,
    pub runs: usize,
    /// Jobs that ran although their client got no 201. A 503 may leave that unknown.
    pub unknown: usize,
    /// Repeated runs (runs that were followed by another one), by cause.
    pub repeats: BTreeMap<Cause, usize>,
    /// Settlements whose token was checked against the job's runs.
    pub settlements: usize,
    pub repeated_requests: u64,
    pub slowest_ms: u64,
    /// Peak memory of a gateway process, MiB.
    pub gateway_memory: u64,
    /// Peak memory of a worker process, MiB.
    pub worker_memory: u64,
    /// Descriptions of broken promises.
    pub broken: Vec<String>,
}

struct Audit<'a> {
    promises: &'a Promises,
    runs: BTreeMap<JobId, Vec<Run>>,
    finished: BTreeMap<JobId, Finish>,
    places: BTreeMap<JobId, Set>,
    stopped: BTreeSet<WorkerId>,
    report: Report,
}

/// Audits a system that has drained. `forgets` means that cancelled jobs may have been removed before `watch` saw them.
pub(crate) fn audit(
    system: &System,
    promises: &Promises,
    watch: &Watch,
    forgets: bool,
) -> anyhow::Result<Report> {
    let mut redis = system.redis().connect(std::time::Duration::from_secs(10))?;
    let mut runs: BTreeMap<JobId, Vec<Run>> = BTreeMap::new();
    for run in ledger::runs(system.dir.path()) {
        runs.entry(run.id).or_default().push(run);
    }
    let mut audit = Audit {
        promises,
        runs,
        finished: std::mem::take(&mut lock(&watch.finished)),
        places: BTreeMap::new(),
        stopped: system.workers.iter().flat_map(Slot::stopped).collect(),
        report: Report {
            repeated_requests: promises.repeated.load(Ordering::Relaxed),
            slowest_ms: promises.slowest_ms.load(Ordering::Relaxed),
            gateway_memory: system.gateways.iter().map(Slot::peak_memory).max().unwrap_or_default(),
            worker_memory: system.workers.iter().map(Slot::peak_memory).max().unwrap_or_default(),
            broken: std::mem::take(&mut lock(&promises.wrong)),
            ..Report::default()
        },
    };
    audit.check_sets(&mut redis)?;
    audit.check_promises(forgets);
    audit.check_runs();
    Ok(audit.report)
}

impl Audit<'_> {
    fn broken(&mut self, what: String) {
        self.report.broken.push(what);
    }

    /// Each id must be in exactly one set and have a record.
    fn check_sets(&mut self, redis: &mut Connection) -> anyhow::Result<()> {
        for set in Set::ALL {
            for id in members(redis, set).ok_or_else(|| anyhow::anyhow!("Redis does not answer"))? {
                if let Some(other) = self.places.insert(id, set) {
                    self.broken(format!("{id} is in two sets: {other:?} and {set:?}"));
                }
            }
        }
        let Reply::Array(records) = redis.command(&["HKEYS", "atode:{default}:jobs"])? else {
            anyhow::bail!("Redis does not answer");
        };
        let records: BTreeSet<JobId> = records.iter().filter_map(|id| id.text().parse().ok()).collect();
        let placed: BTreeSet<JobId> = self.places.keys().copied().collect();
        for id in records.symmetric_difference(&placed) {
            self.broken(format!("{id} has a record but is in no set, or the reverse"));
        }
        Ok(())
    }

    /// Every job with a 201 must be completed, dead with a reason, cancelled by request, or waiting.
    fn check_promises(&mut self, forgets: bool) {
        let (stored, cancelled) =
            (lock(&self.promises.stored).clone(), lock(&self.promises.cancelled).clone());
        self.report.stored = stored.len();
        for id in &stored {
            let succeeded =
                self.runs.get(id).is_some_and(|runs| runs.iter().any(|run| run.event == Event::Success));
            let finish = self.finished.get(id);
            let was_cancelled = finish.is_some_and(|finish| finish.set == Set::Cancelled) || forgets;
            match self.places.get(id) {
                // Every job has had time to finish.
                Some(Set::Due | Set::Lease) => {
                    self.report.waiting += 1;
                    self.broken(format!("STRANDED: {id} still waits; runs: {:?}", self.runs.get(id)));
                }
                Some(Set::Dead) if finish.is_some_and(|finish| !finish.failures.is_empty()) => {
                    self.report.dead += 1;
                }
                // Redis removes completed and cancelled jobs to make room, but not dead ones.
                Some(Set::Done) | None if succeeded => self.report.completed += 1,
                Some(Set::Cancelled) if cancelled.contains(id) => self.report.cancelled += 1,
                None if cancelled.contains(id) && was_cancelled => self.report.cancelled += 1,
                place => self.broken(format!(
                    "LOST: {id} was answered with 201; it is in {place:?}; runs: {:?}; cancelled by request: {}",
                    self.runs.get(id),
                    cancelled.contains(id)
                )),
            }
        }
        let mut keys: BTreeMap<&str, JobId> = BTreeMap::new();
        let mut twice = Vec::new();
        for run in self.runs.values().filter_map(|runs| runs.first()) {
            if let Some(other) = keys.insert(&run.key, run.id) {
                twice.push(format!("TWICE: {} was stored as {other} and as {}", run.key, run.id));
            }
        }
        self.report.broken.extend(twice);
        self.report.unknown = self.runs.keys().filter(|id| !stored.contains(*id)).count();
        let (unknown, gave_up) = (self.report.unknown as u64, self.promises.unknown.load(Ordering::Relaxed));
        if unknown > gave_up {
            self.broken(format!("{unknown} jobs ran without a 201, but clients gave up on only {gave_up}"));
        }
    }

    /// The last lease must settle the job, and each earlier run must have a reason for its repetition.
    fn check_runs(&mut self) {
        for (id, runs) in std::mem::take(&mut self.runs) {
            let mut starts: Vec<&Run> = runs.iter().filter(|run| run.event == Event::Start).collect();
            starts.sort_by_key(|run| run.token);
            self.report.runs += starts.len();
            if starts.windows(2).any(|pair| pair[0].token == pair[1].token) {
                self.broken(format!("{id} ran twice with the same token: {starts:?}"));
            }
            let Some(finish) = self.finished.get(&id).cloned() else { continue };
            let last = starts.last().map_or(0, |run| run.token);
            if finish.set == Set::Done {
                self.report.settlements += 1;
                let success = runs.iter().any(|run| run.event == Event::Success && run.token == finish.token);
                if finish.token != last || !success {
                    self.broken(format!(
                        "STALE: {id} was completed with token {}; runs: {runs:?}",
                        finish.token
                    ));
                }
            }
            for run in starts.iter().filter(|run| run.token != last) {
                let cause = self.cause(run, &finish);
                *self.report.repeats.entry(cause).or_default() += 1;
                if cause == Cause::Unexplained {
                    self.broken(format!("{id} was repeated without a reason: {runs:?}, {finish:?}"));
                }
            }
        }
    }

    fn cause(&self, run: &Run, finish: &Finish) -> Cause {
        let failed = finish
            .failures
            .iter()
            .find(|failure| failure.worker.id == run.worker && failure.attempt == run.attempt);
        match failed.map(|failure| failure.cause) {
            Some(FailureCause::Crash) => Cause::Crashed,
            Some(FailureCause::LeaseLost) => Cause::LeaseLost,
            Some(FailureCause::Shutdown) => Cause::Released,
            Some(_) => Cause::Failed,
            None if self.stopped.contains(&run.worker) => Cause::Released,
            None => Cause::Unexplained,
        }
    }
}

impl Report {
    pub fn repeats_in_words(&self) -> String {
        let causes = self.repeats.iter().map(|(cause, runs)| format!("{runs} {cause}"));
        let causes: Vec<String> = causes.collect();
        if causes.is_empty() { "none".to_owned() } else { causes.join(", ") }
    }

    pub fn lost(&self) -> usize {
        self.count("LOST")
    }

    pub fn stale(&self) -> usize {
        self.count("STALE")
    }

    fn count(&self, kind: &str) -> usize {
        self.broken.iter().filter(|what| what.starts_with(kind)).count()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Failed => "failed on purpose",
            Cause::Crashed => "worker killed",
            Cause::LeaseLost => "lease lost",
            Cause::Released => "released at a stop",
            Cause::Unexplained => "unexplained",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { stored, completed, cancelled, dead, waiting, runs, unknown, settlements, .. } = self;
        let Report { repeated_requests, slowest_ms, gateway_memory, worker_memory, .. } = self;
        let (lost, stale, repeats) = (self.lost(), self.stale(), self.repeats_in_words());
        writeln!(
            f,
            "{stored} jobs answered with 201: {completed} completed, {dead} dead with a reason, {cancelled} cancelled by \
             request, {waiting} waiting, {lost} lost\n\
             {runs} runs; {unknown} jobs ran whose enqueue had an unknown outcome (answered with 503 or not at all)\n\
             repeated runs by cause: {repeats}\n\
             {settlements} settlements checked, {stale} with a stale token took effect\n\
             {repeated_requests} requests repeated by clients, slowest answer {slowest_ms} ms\n\
             peak memory of a process: gateway {gateway_memory} MiB, worker {worker_memory} MiB"
        )?;
        for what in self.broken.iter().take(20) {
            writeln!(f, "BROKEN {what}")?;
        }
        write!(f, "{} promises broken", self.broken.len())
    }
}
