//! What was promised against what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::Ordering;

use atode_queue::{FailureCause, JobId, WorkerId};
use atode_testkit::{Connection, Reply};

use crate::ledger::{self, Event, Run};
use crate::load::Promises;
use crate::stand::{Place, Stand, lock};
use crate::watch::{Finish, Set, Watch, members};

/// Why a run was followed by another one of the same job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It failed, as its payload wanted it.
    Failed,
    /// Its worker died.
    Crashed,
    /// Its worker lived, but could not prolong the lease.
    LeaseLost,
    /// Its worker was told to stop and handed it back.
    Released,
    Unexplained,
}

/// A promise that was broken, in words.
pub type Lost = String;

#[derive(Debug, Default)]
pub struct Report {
    /// Jobs that were answered 201.
    pub stored: usize,
    pub completed: usize,
    pub cancelled: usize,
    pub dead: usize,
    pub waiting: usize,
    pub runs: usize,
    /// Jobs that ran though nobody was told that they are stored: after a 503, as it says.
    pub unknown: usize,
    /// Runs that were followed by another one, by cause.
    pub repeats: BTreeMap<Cause, usize>,
    /// Settlements whose token was compared with the job's runs.
    pub settlements: usize,
    pub repeated_requests: u64,
    pub slowest_ms: u64,
    /// MiB, the most that one process had.
    pub gateway_memory: u64,
    pub worker_memory: u64,
    /// What must not be.
    pub broken: Vec<Lost>,
}

struct Audit<'a> {
    promises: &'a Promises,
    runs: BTreeMap<JobId, Vec<Run>>,
    finished: BTreeMap<JobId, Finish>,
    places: BTreeMap<JobId, Set>,
    stopped: BTreeSet<WorkerId>,
    report: Report,
}

/// Once all is quiet.
/// `forgets`: Redis may have removed cancelled jobs before they were seen.
pub(crate) fn audit(
    stand: &Stand,
    promises: &Promises,
    watch: &Watch,
    forgets: bool,
) -> anyhow::Result<Report> {
    let mut redis = stand.redis().connect(std::time::Duration::from_secs(10))?;
    let mut runs: BTreeMap<JobId, Vec<Run>> = BTreeMap::new();
    for run in ledger::runs(stand.dir.path()) {
        runs.entry(run.id).or_default().push(run);
    }
    let mut audit = Audit {
        promises,
        runs,
        finished: std::mem::take(&mut lock(&watch.finished)),
        places: BTreeMap::new(),
        stopped: stand.workers.iter().flat_map(Place::stopped).collect(),
        report: Report {
            repeated_requests: promises.repeated.load(Ordering::Relaxed),
            slowest_ms: promises.slowest_ms.load(Ordering::Relaxed),
            gateway_memory: stand.gateways.iter().map(Place::most_memory).max().unwrap_or_default(),
            worker_memory: stand.workers.iter().map(Place::most_memory).max().unwrap_or_default(),
            broken: std::mem::take(&mut lock(&promises.wrong)),
            ..Report::default()
        },
    };
    audit.look_at_sets(&mut redis)?;
    audit.keep_promises(forgets);
    audit.judge_runs();
    Ok(audit.report)
}

impl Audit<'_> {
    fn broken(&mut self, what: String) {
        self.report.broken.push(what);
    }

    /// Each id is in exactly one set, and has a record.
    fn look_at_sets(&mut self, redis: &mut Connection) -> anyhow::Result<()> {
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
            self.broken(format!("{id} has a record or a place, and not both"));
        }
        Ok(())
    }

    /// Every 201 is completed, dead with a reason, cancelled by request, or waiting.
    fn keep_promises(&mut self, forgets: bool) {
        let (stored, cancelled) =
            (lock(&self.promises.stored).clone(), lock(&self.promises.cancelled).clone());
        self.report.stored = stored.len();
        for id in &stored {
            let succeeded =
                self.runs.get(id).is_some_and(|runs| runs.iter().any(|run| run.event == Event::Success));
            let finish = self.finished.get(id);
            let was_cancelled = finish.is_some_and(|finish| finish.set == Set::Cancelled) || forgets;
            match self.places.get(id) {
                // All had time to end.
                Some(Set::Due | Set::Lease) => {
                    self.report.waiting += 1;
                    self.broken(format!("STRANDED: {id} waits, its runs: {:?}", self.runs.get(id)));
                }
                Some(Set::Dead) if finish.is_some_and(|finish| !finish.failures.is_empty()) => {
                    self.report.dead += 1;
                }
                // Those that have finished make room for later ones; dead ones do not.
                Some(Set::Done) | None if succeeded => self.report.completed += 1,
                Some(Set::Cancelled) if cancelled.contains(id) => self.report.cancelled += 1,
                None if cancelled.contains(id) && was_cancelled => self.report.cancelled += 1,
                place => self.broken(format!(
                    "LOST: {id} was answered 201; it is in {place:?}, its runs: {:?}",
                    self.runs.get(id)
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
            self.broken(format!(
                "{unknown} jobs ran that nobody enqueued; clients gave up on {gave_up} only"
            ));
        }
    }

    /// The last lease settles, and each run before it has a reason to have been repeated.
    fn judge_runs(&mut self) {
        for (id, runs) in std::mem::take(&mut self.runs) {
            let mut starts: Vec<&Run> = runs.iter().filter(|run| run.event == Event::Start).collect();
            starts.sort_by_key(|run| run.token);
            self.report.runs += starts.len();
            if starts.windows(2).any(|pair| pair[0].token == pair[1].token) {
                self.broken(format!("{id} ran twice under one token: {starts:?}"));
            }
            let Some(finish) = self.finished.get(&id).cloned() else { continue };
            let last = starts.last().map_or(0, |run| run.token);
            if finish.set == Set::Done {
                self.report.settlements += 1;
                let success = runs.iter().any(|run| run.event == Event::Success && run.token == finish.token);
                if finish.token != last || !success {
                    self.broken(format!(
                        "STALE: {id} was completed under token {}, its runs: {runs:?}",
                        finish.token
                    ));
                }
            }
            for run in starts.iter().filter(|run| run.token != last) {
                let cause = self.cause(run, &finish);
                *self.report.repeats.entry(cause).or_default() += 1;
                if cause == Cause::Unexplained {
                    self.broken(format!("{id} was repeated for no reason: {runs:?}, {finish:?}"));
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
        self.broken.iter().filter(|what| what.starts_with("LOST")).count()
    }

    pub fn stale(&self) -> usize {
        self.broken.iter().filter(|what| what.starts_with("STALE")).count()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Failed => "failed as wanted",
            Cause::Crashed => "worker killed",
            Cause::LeaseLost => "lease lost",
            Cause::Released => "handed back at a stop",
            Cause::Unexplained => "unexplained",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} jobs answered 201: {} completed, {} dead with a reason, {} cancelled by request, {} waiting, {} lost",
            self.stored,
            self.completed,
            self.dead,
            self.cancelled,
            self.waiting,
            self.lost()
        )?;
        writeln!(
            f,
            "{} runs; {} jobs of unknown outcome ran (their requests were answered 503 or not at all)",
            self.runs, self.unknown
        )?;
        writeln!(f, "runs that were followed by another one, by cause: {}", self.repeats_in_words())?;
        writeln!(
            f,
            "{} settlements checked, {} of a stale token took effect",
            self.settlements,
            self.stale()
        )?;
        writeln!(
            f,
            "{} requests repeated by clients, slowest answer {} ms",
            self.repeated_requests, self.slowest_ms
        )?;
        writeln!(
            f,
            "most memory of a process: gateway {} MiB, worker {} MiB",
            self.gateway_memory, self.worker_memory
        )?;
        for what in self.broken.iter().take(20) {
            writeln!(f, "BROKEN {what}")?;
        }
        write!(f, "{} promises broken", self.broken.len())
    }
}
