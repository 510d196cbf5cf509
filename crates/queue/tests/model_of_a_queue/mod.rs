//! The model of a queue, and the steps that run on the model and on Redis alike.

mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use atode_queue::{
    ClaimOptions, Due, Enqueued, Expired, FailureCause, History, Idempotency, JobId, Lease, LeaseRef, Moved,
    Operation, Reaped, Run, Settlement, State,
};
use proptest::sample::Index;

use self::model::{Model, Place};
use crate::support::{LEASE, TestQueue, failed};

pub(crate) const KINDS: [&str; 2] = ["test:a", "test:b"];
/// Unix ms.
pub(crate) const START: i64 = 1_900_000_000_000;

const STATES: [State; 6] =
    [State::Scheduled, State::Ready, State::Active, State::Completed, State::Cancelled, State::Dead];

/// Times are in ms; a due time is relative to now, as a delay or as an instant (`at`).
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Enqueue {
        kind: usize,
        due: i64,
        at: bool,
    },
    EnqueueWithKey {
        key: u8,
        body: u8,
    },
    Claim {
        limit: usize,
        kinds: usize,
        lease: i64,
        suspects: u32,
    },
    Extend {
        lease: Index,
        ms: i64,
    },
    /// Sent twice, as after a lost answer.
    Settle {
        lease: Index,
        how: How,
    },
    /// Reads the expired jobs for the next reap, which may come later.
    Look,
    Reap {
        due_after: Option<i64>,
        crash: bool,
    },
    Cancel(Index),
    RunNow(Index),
    Reschedule {
        job: Index,
        due: i64,
        at: bool,
    },
    Redrive(Index),
    Delete(Index),
    RedriveQueue {
        kind: Option<usize>,
        limit: usize,
    },
    Purge {
        state: usize,
        kind: Option<usize>,
        limit: usize,
    },
    Pause,
    Resume,
    Trim,
    Clock(i64),
    ForgetScripts,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    Complete(i64),
    Retry(i64),
    Bury,
    Release(i64),
    HandBack,
}

/// A lease that was claimed once.
struct Given {
    name: LeaseRef,
    /// Set until it settles its job.
    lease: Option<Lease>,
    /// Set from then on: it may be sent again, as after a lost answer.
    settlement: Option<(Settlement, How)>,
    history: History,
    run: Run,
}

pub(crate) struct World {
    test: TestQueue,
    model: Model,
    given: Vec<Given>,
    looked_at: Vec<Expired>,
    /// The ids of all jobs so far.
    ids: Vec<(JobId, usize)>,
    last_token: u64,
}

impl World {
    pub(crate) fn new(test: TestQueue) -> Self {
        let model = Model::new(START);
        World { test, model, given: vec![], looked_at: vec![], ids: vec![], last_token: 0 }
    }

    pub(crate) async fn take(&mut self, step: Step) {
        match step {
            Step::Enqueue { kind, due, at } => self.enqueue(kind, due, at).await,
            Step::EnqueueWithKey { key, body } => self.enqueue_with_key(key, body).await,
            Step::Claim { limit, kinds, lease, suspects } => self.claim(limit, kinds, lease, suspects).await,
            Step::Extend { lease, ms } => self.extend(lease, ms).await,
            Step::Settle { lease, how } => self.settle(lease, how).await,
            Step::Look => self.look().await,
            Step::Reap { due_after, crash } => self.reap(due_after, crash).await,
            Step::Cancel(job) => self.operate(job, Operation::Cancel).await,
            Step::RunNow(job) => self.operate(job, Operation::RunNow).await,
            Step::Reschedule { job, due, at } => {
                self.operate(job, Operation::Reschedule(self.due(due, at))).await;
            }
            Step::Redrive(job) => self.operate(job, Operation::Redrive).await,
            Step::Delete(job) => self.operate(job, Operation::Delete).await,
            Step::RedriveQueue { kind, limit } => {
                let expected = self.model.redrive_queue(kind, limit);
                let name = kind.map(|kind| KINDS[kind]);
                let moved = self.test.client.redrive_queue(&self.test.queue, name, limit).await;
                assert_moved(moved.expect("redriven"), expected);
            }
            Step::Purge { state, kind, limit } => {
                let state = STATES[state];
                let expected = self.model.purge(state, kind, limit);
                let name = kind.map(|kind| KINDS[kind]);
                let moved = self.test.client.purge(&self.test.queue, state, name, limit).await;
                assert_moved(moved.expect("purged"), expected);
            }
            Step::Pause => {
                self.model.paused = true;
                self.test.client.pause(&self.test.queue).await.expect("paused");
            }
            Step::Resume => {
                self.model.paused = false;
                self.test.client.resume(&self.test.queue).await.expect("resumed");
            }
            Step::Trim => {
                let removed = self.test.client.trim(&self.test.queue).await.expect("trimmed");
                assert_eq!(removed, self.model.trim());
            }
            Step::Clock(ms) => {
                self.model.now += ms;
                self.test.redis.clock().freeze_at(self.model.now);
            }
            Step::ForgetScripts => drop(self.test.command(&["SCRIPT", "FLUSH"])),
        }
    }

    fn due(&self, due: i64, at: bool) -> Due {
        if at || due < 0 { Due::At(self.model.now + due) } else { Due::After(duration(due)) }
    }

    async fn enqueue(&mut self, kind: usize, due: i64, at: bool) {
        let job = self.test.new_job_of(KINDS[kind], self.due(due, at));
        self.ids.push((job.id, kind));
        self.model.enqueue(job.id.short(), kind, self.model.now + due);
        let stored = self.test.client.enqueue(job).await.expect("stored");
        assert_eq!(stored, Enqueued::Created { at: self.model.now });
    }

    async fn enqueue_with_key(&mut self, key: u8, body: u8) {
        let mut job = self.test.new_job_of(KINDS[0], Due::After(Duration::ZERO));
        job.idempotency = Some(Idempotency::new("a client", &key.to_string(), &[body]));
        let expected = match self.model.holder_of(key) {
            None => {
                self.ids.push((job.id, 0));
                self.model.enqueue(job.id.short(), 0, self.model.now);
                self.model.hold(key, job.id, body);
                Enqueued::Created { at: self.model.now }
            }
            Some((id, same)) if same == body => Enqueued::Duplicate(id),
            Some((id, _)) => Enqueued::Conflict(id),
        };
        assert_eq!(self.test.client.enqueue(job).await.expect("answered"), expected);
    }

    async fn claim(&mut self, limit: usize, kinds: usize, lease: i64, suspects: u32) {
        let order: &[usize] = [&[0, 1][..], &[1, 0], &[0], &[1]][kinds];
        let names: Vec<_> = order.iter().map(|kind| self.test.kinds[*kind].clone()).collect();
        let options =
            ClaimOptions { kinds: &names, lease: duration(lease), suspects, ..self.test.options(limit) };
        let claim = self.test.client.claim(&options).await.expect("claimed");
        let expected = self.model.claim(order, limit, lease, suspects);
        let ids: Vec<String> = claim.jobs.iter().map(|job| job.lease.id().short()).collect();
        assert_eq!((ids, claim.next_due, claim.now), (expected.ids, expected.next_due, self.model.now));
        assert_eq!(claim.without_record, 0);
        let last_token = self.last_token;
        for job in claim.jobs {
            let token = job.lease.token().get();
            assert!(token > last_token, "a token was used twice");
            let known = &self.model.jobs[&job.lease.id().short()];
            assert_eq!((job.history.failed, job.history.crashes), (known.failed, known.crashes));
            self.model.give(&job.lease.id().short(), token);
            let run = self.test.run(&job, claim.now);
            self.given.push(Given {
                name: job.lease.reference(),
                lease: Some(job.lease),
                settlement: None,
                history: job.history,
                run,
            });
            self.last_token = token;
        }
    }

    async fn extend(&mut self, lease: Index, ms: i64) {
        let Some(given) = pick(&self.given, lease) else { return };
        let leases = [given.name.clone()];
        let verdict = self.test.client.extend(&self.test.queue, &leases, duration(ms)).await;
        let (id, token) = (given.name.id().short(), given.name.token().get());
        assert_eq!(verdict.expect("answered"), [self.model.judge(&id, token)]);
        self.model.extend(&id, token, ms);
    }

    async fn settle(&mut self, lease: Index, how: How) {
        if self.given.is_empty() {
            return;
        }
        let given = lease.index(self.given.len());
        let given = &mut self.given[given];
        let (id, token) = (given.name.id().short(), given.name.token().get());
        let (mut settlement, how) = match (given.settlement.take(), given.lease.take()) {
            (Some(again), _) => again,
            (None, Some(lease)) => {
                let (history, run) = (given.history.clone(), given.run.clone());
                let settlement = match how {
                    How::Complete(ms) => lease.complete(duration(ms), history.finished_with(run)),
                    How::Retry(ms) => {
                        lease.retry(duration(ms), failed(&history, FailureCause::Error, "no", run))
                    }
                    How::Bury => lease.bury(failed(&history, FailureCause::Error, "no", run)),
                    How::Release(ms) => lease.release(duration(ms)),
                    How::HandBack => lease.hand_back(),
                };
                (settlement, how)
            }
            (None, None) => unreachable!("it is one or the other"),
        };
        for _ in 0..2 {
            let (expected, verdict) = (self.model.judge(&id, token), self.test.settle(settlement).await);
            settlement = verdict.0;
            assert_eq!(verdict.1, expected, "{how:?}");
            self.model.settle(&id, token, how);
        }
        given.settlement = Some((settlement, how));
    }

    async fn look(&mut self) {
        self.looked_at = self.test.expired().await;
        let ids: BTreeSet<String> = self.looked_at.iter().map(|job| job.lease.id().short()).collect();
        assert_eq!(ids, self.model.look(LEASE.as_millis() as i64));
    }

    async fn reap(&mut self, due_after: Option<i64>, crash: bool) {
        let cause = if crash { FailureCause::Crash } else { FailureCause::LeaseLost };
        let (mut jobs, mut expected) = (Vec::new(), Vec::new());
        for looked_at in std::mem::take(&mut self.looked_at) {
            let (id, token) = (looked_at.lease.id().short(), looked_at.lease.token().get());
            expected.push(self.model.reap(&id, token, due_after, crash));
            let history = failed(&looked_at.history, cause, "gone", looked_at.run);
            jobs.push(Reaped { lease: looked_at.lease, history, due_after: due_after.map(duration) });
        }
        let verdicts = self.test.client.reap(&self.test.queue, &jobs).await.expect("answered");
        assert_eq!(verdicts, expected);
    }

    async fn operate(&mut self, job: Index, operation: Operation) {
        let Some((id, kind)) = pick(&self.ids, job).copied() else { return };
        let expected = self.model.operate(&id.short(), operation);
        let operated = self.test.client.operate(&self.test.queue, KINDS[kind], id, operation).await;
        assert_eq!(operated.expect("answered"), expected, "{operation:?}");
    }

    /// Compares Redis with the model.
    pub(crate) fn check(&self) {
        self.test.check_invariants();
        let mut found = BTreeMap::new();
        let active: BTreeMap<String, String> =
            self.test.snapshot().remove(&self.test.key("active")).unwrap_or_default();
        for (kind, name) in KINDS.iter().enumerate() {
            for set in ["due", "lease", "done", "cancelled", "dead"] {
                let members = self
                    .test
                    .command(&["ZRANGE", &self.test.set_of(name, set), "0", "-1", "WITHSCORES"])
                    .texts();
                for pair in members.chunks_exact(2) {
                    let entry = active.get(&pair[0]).and_then(|entry| entry.split(' ').next());
                    let score: i64 = pair[1].parse().expect("whole milliseconds");
                    found.insert(pair[0].clone(), (kind, set, score, entry.map(str::to_owned)));
                }
            }
        }
        let meant: BTreeMap<_, _> =
            self.model.jobs.iter().map(|(id, job)| (id.clone(), shown(job))).collect();
        assert_eq!(found, meant);
    }
}

/// A job in Redis: kind, set, score, and the token (with its mark) of an active job.
fn shown(job: &model::Job) -> (usize, &'static str, i64, Option<String>) {
    let (set, score, token) = match &job.place {
        Place::Due(at) => ("due", *at, None),
        Place::Active(active) => {
            let mark = if active.cancel_requested { "!" } else { "" };
            ("lease", active.deadline, Some(format!("{}{mark}", active.token)))
        }
        Place::Done(at) => ("done", *at, None),
        Place::Cancelled(at) => ("cancelled", *at, None),
        Place::Dead(at) => ("dead", *at, None),
    };
    (job.kind, set, score, token)
}

fn pick<T>(among: &[T], index: Index) -> Option<&T> {
    (!among.is_empty()).then(|| &among[index.index(among.len())])
}

fn duration(ms: i64) -> Duration {
    Duration::from_millis(ms as u64)
}

fn assert_moved(moved: Moved, (expected, remaining): (u64, u64)) {
    assert_eq!(moved, Moved { moved: expected, remaining });
}
