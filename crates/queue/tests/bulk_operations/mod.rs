//! Helpers of the tests of bulk operations.

#![allow(dead_code, reason = "each test file uses a part")]

use std::time::Duration;

use crate::support::{DEADLINE, HOUR, TestQueue, failed, ids};
use atode_queue::{
    BulkAction, BulkId, BulkRunner, BulkState, BulkView, Created, Due, FailureCause, JobId, ListQuery,
    MAX_BATCH, NewBulk, State, Verdict,
};
use atode_testkit::eventually_async;
use serde_json::value::RawValue;

pub(crate) const OTHER: &str = "test:other";
pub(crate) const NOW: Due = Due::After(Duration::ZERO);
pub(crate) const LATER: Due = Due::After(HOUR);

impl TestQueue {
    /// Jobs that died just now.
    pub(crate) async fn bury(&self, n: usize) -> Vec<JobId> {
        let mut buried = Vec::new();
        while buried.len() < n {
            let part = (n - buried.len()).min(MAX_BATCH);
            self.enqueue_many(part, NOW).await;
            buried.extend(self.bury_due(part).await);
        }
        buried
    }

    pub(crate) async fn bury_due(&self, n: usize) -> Vec<JobId> {
        let jobs = self.claim(n).await.jobs;
        let run = self.run(&jobs[0], self.now());
        let ids = ids(&jobs);
        let bury = |job: atode_queue::Claimed| {
            job.lease.bury(failed(&job.history, FailureCause::Permanent, "no", run.clone()))
        };
        let settled = self.client.settle(jobs.into_iter().map(bury).collect()).await;
        assert!(settled.answered.iter().all(|(_, verdict)| *verdict == Verdict::Done), "{settled:?}");
        ids
    }

    pub(crate) async fn create(&self, action: BulkAction, query: ListQuery) -> BulkId {
        match self.client.bulks().create(&new(action, query)).await.unwrap() {
            Created::Created(bulk) => bulk.id,
            other => panic!("{other:?}"),
        }
    }

    /// Runs the next bulk operation here.
    pub(crate) async fn run_next(&self) -> bool {
        self.client.bulks().run_next(&runner(), &|_| HOUR, &|| false).await.unwrap()
    }

    pub(crate) async fn bulk(&self, id: BulkId) -> BulkView {
        self.client.bulks().get(id).await.unwrap().expect("a bulk operation")
    }

    pub(crate) async fn ended(&self, id: BulkId) -> BulkView {
        assert!(self.run_next().await);
        let bulk = self.bulk(id).await;
        assert_eq!(bulk.state, BulkState::Finished, "{bulk:?}");
        bulk
    }

    /// A runner that will be killed, as far as Redis can tell.
    pub(crate) fn runner_to_be_killed(&self) -> tokio::task::JoinHandle<()> {
        let client = self.client.clone();
        tokio::spawn(async move {
            let _ = client.bulks().run_next(&runner(), &|_| HOUR, &|| false).await;
        })
    }

    /// Waits until this many jobs are changed.
    pub(crate) async fn until_changed(&self, id: BulkId, jobs: u64) {
        eventually_async("some jobs are changed", DEADLINE, async || {
            (self.bulk(id).await.changed >= jobs).then_some(())
        })
        .await;
    }

    pub(crate) fn lease_runs_out(&self, id: BulkId) {
        self.command(&["HSET", &format!("atode:{{bulks}}:{id}"), "held_until", "0"]);
    }
}

pub(crate) fn runner() -> BulkRunner {
    BulkRunner { program: "test".to_owned(), pid: 7, build: "0.1.0+test".to_owned() }
}

pub(crate) fn query(states: &[State]) -> ListQuery {
    ListQuery { states: states.to_vec(), ..ListQuery::default() }
}

pub(crate) fn of_kind(kind: &str, states: &[State]) -> ListQuery {
    ListQuery { kinds: vec![kind.into()], ..query(states) }
}

pub(crate) fn new(action: BulkAction, query: ListQuery) -> NewBulk {
    let filter = RawValue::from_string(r#"{"all":true}"#.to_owned()).unwrap();
    NewBulk { action, filter, query, total: Some(0), idempotency: None }
}

pub(crate) fn numbers(bulk: &BulkView) -> (u64, u64, u64, u64) {
    (bulk.done, bulk.changed, bulk.skipped, bulk.failed)
}
