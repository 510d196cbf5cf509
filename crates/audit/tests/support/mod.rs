//! A queue to break and to audit.

#![allow(dead_code, unused_imports, reason = "each test file uses a part")]

#[path = "../../../queue/tests/support/mod.rs"]
mod queue;

use std::time::Duration;

use atode_audit::{Audit, Finding, Repaired, Wrong, audit, repair};
use atode_queue::{ClaimOptions, Due, JobId, Operation};

pub(crate) use queue::*;

pub(crate) const NOW: Due = Due::After(Duration::ZERO);
pub(crate) const OTHER: &str = "test:other";

impl TestQueue {
    pub(crate) async fn audit(&self) -> Audit {
        audit(&self.client, None).await.expect("looked")
    }

    pub(crate) async fn repair(&self, finding: &Finding) -> Option<String> {
        match repair(&self.client, finding).await.expect("answered") {
            Repaired::Done { set_aside } => set_aside,
            Repaired::Changed => panic!("{finding:?} has changed"),
        }
    }

    /// The only finding.
    pub(crate) async fn one_finding(&self, wrong: Wrong, subject: &str) -> Finding {
        let mut findings = self.audit().await.findings;
        assert_eq!(findings.len(), 1, "{findings:#?}");
        let finding = findings.remove(0);
        assert_eq!((finding.wrong, &*finding.subject), (wrong, subject), "{finding:?}");
        finding
    }

    /// Expects this finding and no other, repairs it, and expects none.
    pub(crate) async fn repair_one(&self, wrong: Wrong, subject: impl ToString) -> Option<String> {
        let finding = self.one_finding(wrong, &subject.to_string()).await;
        let set_aside = self.repair(&finding).await;
        self.check_clean().await;
        // A second repair changes nothing.
        assert_eq!(repair(&self.client, &finding).await.unwrap(), Repaired::Changed);
        self.check_invariants();
        set_aside
    }

    pub(crate) async fn check_clean(&self) {
        let audit = self.audit().await;
        assert!(audit.findings.is_empty(), "{:#?}", audit.findings);
        self.check_invariants();
    }

    /// Makes jobs in all states.
    pub(crate) async fn populate(&self) {
        for kind in [KIND, OTHER] {
            self.enqueue_of(kind, Due::After(HOUR)).await;
            for n in 0..4 {
                self.enqueue_of(kind, NOW).await;
                let kinds = [kind.into()];
                let mut claim =
                    self.client.claim(&ClaimOptions { kinds: &kinds, ..self.options(1) }).await.unwrap();
                let job = claim.jobs.remove(0);
                match n {
                    0 => {}
                    1 => self.done(job.lease.complete(HOUR, job.history)).await,
                    2 => self.done(job.lease.bury(job.history)).await,
                    _ => {
                        let id = job.lease.id();
                        self.done(job.lease.release(HOUR)).await;
                        self.client.operate(&self.queue, kind, id, Operation::Cancel).await.unwrap();
                    }
                }
            }
        }
    }

    /// Expects that it is the only due job; runs and completes it.
    pub(crate) async fn check_runs(&self, id: JobId) {
        self.check_runs_as(KIND, id).await;
    }

    pub(crate) async fn check_runs_as(&self, kind: &str, id: JobId) {
        let kinds = [kind.into()];
        let claim = self.client.claim(&ClaimOptions { kinds: &kinds, ..self.options(10) }).await.unwrap();
        assert_eq!(ids(&claim.jobs), [id]);
        for job in claim.jobs {
            self.done(job.lease.complete(HOUR, job.history)).await;
        }
        self.check_clean().await;
    }

    pub(crate) async fn claimed_with(&self, entry: Option<&str>) -> JobId {
        self.enqueue_now().await;
        let id = self.claim_one().await.lease.id();
        match entry {
            Some(entry) => self.command(&["HSET", &self.key("active"), &id.short(), entry]),
            None => self.command(&["HDEL", &self.key("active"), &id.short()]),
        };
        id
    }

    pub(crate) fn put(&self, kind: &str, set: &str, id: JobId) {
        let score = (self.now() + 3_600_000).to_string();
        self.command(&["ZADD", &self.set_of(kind, set), &score, &id.short()]);
    }

    pub(crate) fn take_out(&self, set: &str, id: JobId) {
        assert_eq!(self.command(&["ZREM", &self.set(set), &id.short()]).int(), 1);
    }
}

pub(crate) async fn start() -> TestQueue {
    let test = TestQueue::start().await;
    test.populate().await;
    test.check_clean().await;
    test
}
