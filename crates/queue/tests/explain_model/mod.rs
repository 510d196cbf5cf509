//! A set-up of workers and one job, the reason that a person would give for it, and its construction with the calls
//! that gateways and workers make.

use std::sync::Arc;
use std::time::Duration;

use atode_queue::{
    ClaimOptions, Claimed, Due, FailureCause, History, JobId, Operation, Reaped, Reason, Registration,
    Verdict, WorkerId, WorkerRef, WorkerState,
};
use jiff::Timestamp;

use crate::support::{INSTANT, TestQueue, failed};

/// The kind of the job in question, and the kind of the other jobs.
pub(crate) const KINDS: [&str; 2] = ["test:a", "test:b"];
/// Unix ms.
pub(crate) const START: i64 = 1_900_000_000_000;
pub(crate) const END: [Reason; 3] = [Reason::RetriesSpent, Reason::Permanent, Reason::Crashed5Times];

/// The builds of workers.
const BUILDS: [&str; 2] = ["0.1.0+old", "0.1.0+older"];
const STATES: [WorkerState; 3] = [WorkerState::Running, WorkerState::Quiet, WorkerState::Stopping];
/// The put-off of a suspect, ms.
const PUT_OFF: i64 = 1_000;
/// Longer than a whole test.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) staff: Vec<Staff>,
    pub(crate) is_paused: bool,
    pub(crate) job: Job,
}

/// A live worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Staff {
    /// Place in `STATES`.
    pub(crate) state: usize,
    /// Place in `BUILDS`.
    pub(crate) build: usize,
    /// True for each of [`KINDS`] that it knows.
    pub(crate) kinds: [bool; 2],
    /// True if it serves the queue of the job.
    pub(crate) serves: bool,
    pub(crate) slots: u32,
    /// Active jobs by its registration.
    pub(crate) reported: u32,
    /// Active jobs in the queue.
    pub(crate) runs: usize,
    /// True if one of them is a suspect.
    pub(crate) runs_suspect: bool,
}

/// `left` is the time until it is due or until its lease runs out, ms.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Job {
    New(i64),
    Retried {
        failures: u32,
        left: i64,
    },
    Crashed {
        crashes: u32,
        left: i64,
    },
    Snoozed {
        failures: u32,
        left: i64,
    },
    Redriven(i64),
    /// The first builds cannot read its payload.
    HandedBack {
        builds: usize,
        left: i64,
    },
    /// Held by one of the staff, or by a worker that is gone.
    Active {
        by: Option<usize>,
        cancel: bool,
        left: i64,
    },
    Completed,
    Cancelled {
        while_active: bool,
    },
    Dead(Reason),
}

impl Staff {
    pub(crate) fn idle() -> Self {
        Staff {
            state: 0,
            build: 0,
            kinds: [true; 2],
            serves: true,
            slots: 4,
            reported: 0,
            runs: 0,
            runs_suspect: false,
        }
    }
}

impl Setup {
    /// The reason, and the time that is left if only time can be told.
    pub(crate) fn expected(&self) -> (Reason, Option<i64>) {
        match self.job {
            Job::New(left) | Job::Redriven(left) | Job::Snoozed { left, .. } => {
                self.of_waiting(left, Reason::NotDue, false, 0)
            }
            Job::HandedBack { builds, left } => self.of_waiting(left, Reason::NotDue, false, builds),
            Job::Retried { left, .. } => self.of_waiting(left, Reason::BackingOff, false, 0),
            Job::Crashed { crashes, left } => self.of_waiting(left, Reason::BackingOff, crashes > 1, 0),
            Job::Active { cancel: true, .. } => (Reason::CancelRequested, None),
            Job::Active { by, left, .. } => {
                let is_alive = by.is_some_and(|by| by < self.staff.len());
                if is_alive && left > 0 { (Reason::Running, None) } else { (Reason::Settling, Some(left)) }
            }
            Job::Completed => (Reason::Completed, None),
            Job::Cancelled { .. } => (Reason::Cancelled, None),
            Job::Dead(end) => (end, None),
        }
    }

    /// `unread` is the number of builds that cannot read its payload.
    fn of_waiting(&self, left: i64, early: Reason, is_suspect: bool, unread: usize) -> (Reason, Option<i64>) {
        let takers: Vec<&Staff> = self.staff.iter().filter(|staff| staff.serves && staff.kinds[0]).collect();
        let claimers: Vec<&&Staff> = takers.iter().filter(|staff| staff.state == 0).collect();
        let has_suspect = |staff: &&&Staff| staff.runs_suspect && staff.runs > 0;
        let free = |staff: &&&Staff| (staff.runs.max(staff.reported as usize)) < staff.slots as usize;
        let others_first = is_suspect && !claimers.is_empty() && claimers.iter().all(has_suspect);
        let too_old = !claimers.is_empty() && claimers.iter().all(|staff| staff.build < unread);
        let reason = if left > 0 && !(others_first && left <= PUT_OFF) && !too_old {
            early
        } else if self.is_paused {
            Reason::QueuePaused
        } else if takers.is_empty() {
            Reason::NoWorkerKnowsKind
        } else if claimers.is_empty() {
            Reason::WorkersQuiet
        } else if !claimers.iter().any(free) {
            Reason::SlotsFull
        } else if others_first {
            Reason::HeldAfterCrashes
        } else if too_old {
            Reason::BuildTooOld
        } else {
            Reason::DueNow
        };
        (reason, Some(left))
    }
}

pub(crate) struct World<'a> {
    test: &'a TestQueue,
    workers: Vec<Registration>,
}

impl<'a> World<'a> {
    pub(crate) fn new(test: &'a TestQueue) -> Self {
        World { test, workers: Vec::new() }
    }

    pub(crate) async fn build(mut self, setup: &Setup) -> JobId {
        self.register(&setup.staff).await;
        let id = self.job(setup.job).await;
        if setup.is_paused {
            self.test.client.pause(&self.test.queue).await.unwrap();
        }
        // The clock has gone on meanwhile.
        self.heartbeat().await;
        id
    }

    /// Registers workers and lets them claim the jobs that they run.
    pub(crate) async fn register(&mut self, staff: &[Staff]) {
        let first = self.workers.len() as i64;
        for (n, staff) in (first..).zip(staff) {
            let id = WorkerId::new(START + n * 10);
            let build = BUILDS[staff.build].to_owned();
            let worker = WorkerRef { id, host: "h".to_owned(), pid: n as u32, build };
            let known = KINDS.iter().zip(staff.kinds).filter(|(_, knows)| *knows);
            self.workers.push(Registration {
                worker,
                kinds: known.map(|(kind, _)| (*kind).to_owned()).collect(),
                queues: [(if staff.serves { &*self.test.queue } else { "other" }.to_owned(), 1)].into(),
                slots: staff.slots,
                active: staff.reported,
                state: STATES[staff.state],
                started_at: Timestamp::UNIX_EPOCH,
                seen_at: Timestamp::UNIX_EPOCH,
                http: String::new(),
            });
            for n in 0..staff.runs {
                let other = self.test.enqueue_of(KINDS[1], Due::At(1)).await;
                if staff.runs_suspect && n == 0 {
                    let state = "1 0 2 {\"crashes\":2}";
                    self.test.command(&["HSET", &self.test.key("state"), &other.short(), state]);
                }
                let worker = self.workers.last().unwrap().worker.clone();
                assert_eq!(self.claim(&worker, KINDS[1], DAY).await.lease.id(), other);
            }
        }
        self.heartbeat().await;
    }

    async fn heartbeat(&self) {
        for worker in &self.workers {
            self.test.client.heartbeat(worker, DAY).await.unwrap();
        }
    }

    async fn claim(&self, worker: &WorkerRef, kind: &str, lease: Duration) -> Claimed {
        let options = ClaimOptions {
            kinds: &[Arc::from(kind)],
            holder: &serde_json::to_string(worker).unwrap(),
            lease,
            ..self.test.options(1)
        };
        self.test.client.claim(&options).await.unwrap().jobs.remove(0)
    }

    async fn job(&self, job: Job) -> JobId {
        let test = self.test;
        let due = if let Job::New(left) = job { START + left } else { 1 };
        let id = test.enqueue_of(KINDS[0], Due::At(due)).await;
        // A due time that has passed is one that lay ahead when it was set.
        let delay = |left: i64| Duration::from_millis(left.max(0) as u64 + 10_000);
        match job {
            Job::New(_) => {}
            Job::Retried { failures, left } => {
                for _ in 1..failures {
                    self.fail(FailureCause::Error, Duration::ZERO).await;
                }
                self.fail(FailureCause::Error, delay(left)).await;
                self.pass(delay(left).as_millis() as i64 - left);
            }
            Job::Crashed { crashes, left } => {
                for _ in 1..crashes {
                    self.crash(Some(Duration::ZERO)).await;
                }
                self.crash(Some(delay(left))).await;
                self.pass(delay(left).as_millis() as i64 - left);
            }
            Job::Snoozed { failures, left } => {
                for _ in 0..failures {
                    self.fail(FailureCause::Error, Duration::from_secs(4)).await;
                    self.pass(4_000);
                }
                let claimed = self.take().await;
                test.done(claimed.lease.release(delay(left))).await;
                self.pass(delay(left).as_millis() as i64 - left);
            }
            Job::HandedBack { builds, left } => {
                let (last, first) = BUILDS[..builds].split_last().unwrap();
                for build in first {
                    self.hand_back(build, Duration::ZERO).await;
                }
                self.hand_back(last, delay(left)).await;
                self.pass(delay(left).as_millis() as i64 - left);
            }
            Job::Redriven(left) => {
                self.bury(FailureCause::Permanent).await;
                self.operate(id, Operation::Redrive).await;
                let due = Due::At(test.now() + left);
                self.operate(id, Operation::Reschedule(due)).await;
            }
            Job::Active { by, cancel, left } => {
                let known = by.and_then(|by| self.workers.get(by));
                let worker = known.map_or_else(|| test.worker.clone(), |worker| worker.worker.clone());
                self.claim(&worker, KINDS[0], Duration::from_secs(30)).await;
                if cancel {
                    self.operate(id, Operation::Cancel).await;
                }
                self.pass(30_000 - left);
            }
            Job::Completed => {
                let claimed = self.take().await;
                test.done(claimed.lease.complete(DAY, claimed.history)).await;
            }
            Job::Cancelled { while_active: false } => self.operate(id, Operation::Cancel).await,
            Job::Cancelled { while_active: true } => {
                let claimed = self.take().await;
                self.operate(id, Operation::Cancel).await;
                let verdict = test.settle(claimed.lease.release(Duration::ZERO)).await.1;
                assert_eq!(verdict, Verdict::CancelRequested);
            }
            Job::Dead(Reason::Permanent) => self.bury(FailureCause::Permanent).await,
            Job::Dead(Reason::Crashed5Times) => {
                for _ in 1..5 {
                    self.crash(Some(Duration::ZERO)).await;
                }
                self.crash(None).await;
            }
            Job::Dead(_) => {
                self.fail(FailureCause::Error, Duration::ZERO).await;
                self.bury(FailureCause::Timeout).await;
            }
        }
        id
    }

    fn pass(&self, ms: i64) {
        self.test.redis.clock().freeze_at(self.test.now() + ms);
    }

    async fn take(&self) -> Claimed {
        self.claim(&self.test.worker, KINDS[0], DAY).await
    }

    async fn operate(&self, id: JobId, operation: Operation) {
        self.test.client.operate(&self.test.queue, KINDS[0], id, operation).await.unwrap();
    }

    fn after(&self, claimed: &Claimed, cause: FailureCause) -> History {
        failed(&claimed.history, cause, "no", self.test.run(claimed, self.test.now()))
    }

    async fn fail(&self, cause: FailureCause, backoff: Duration) {
        let claimed = self.take().await;
        let history = self.after(&claimed, cause);
        self.test.done(claimed.lease.retry(backoff, history)).await;
    }

    async fn hand_back(&self, build: &str, delay: Duration) {
        let claimed = self.take().await;
        let history = claimed.history.unread_by(build, Some("0.2.0".to_owned()));
        self.test.done(claimed.lease.release_unread(delay, history)).await;
    }

    async fn bury(&self, cause: FailureCause) {
        let claimed = self.take().await;
        let history = self.after(&claimed, cause);
        self.test.done(claimed.lease.bury(history)).await;
    }

    async fn crash(&self, due_after: Option<Duration>) {
        self.claim(&self.test.worker, KINDS[0], INSTANT).await;
        self.pass(1);
        let mut expired = self.test.expired().await;
        let job = expired.remove(0);
        let history = failed(&job.history, FailureCause::Crash, "gone", job.run);
        let reaped = Reaped { lease: job.lease, history, due_after };
        assert_eq!(self.test.reap(reaped).await, Verdict::Done);
    }
}
