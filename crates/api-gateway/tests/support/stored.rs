//! Direct access to the queue, for jobs in states that no worker of this build would leave them in.

use std::sync::Arc;
use std::time::Duration;

use atode_config::redis::{Endpoint, JobqueueRedis};
use atode_queue::{
    ClaimOptions, Claimed, Client, Due, Enqueued, JobId, NewJob, Record, Verdict, WorkerId, WorkerRef,
};
use atode_testkit::{RedisServer, eventually};
use serde_json::value::RawValue;
use tokio::runtime::Runtime;

use super::{DEADLINE, KIND};

pub(crate) struct Stored {
    client: Client,
    runtime: Runtime,
    queue: Arc<str>,
}

impl Stored {
    pub(crate) fn on(redis: &RedisServer) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let endpoint = Endpoint::Server { host: "127.0.0.1".to_owned(), port: redis.port() };
        let settings = JobqueueRedis { endpoint, ..JobqueueRedis::default() };
        let client = runtime.block_on(async { Client::open(&settings) }).expect("its settings are valid");
        eventually("a connection", DEADLINE, || (*client.connection().connects().borrow() > 0).then_some(()));
        Stored { client, runtime, queue: "default".into() }
    }

    /// Stores a job of any kind and payload, due in an hour.
    pub(crate) fn enqueue(&self, queue: &str, kind: &str, payload: &str) -> JobId {
        let record = Record::new(serde_json::from_str(payload).expect("JSON"));
        let due = Due::After(Duration::from_secs(3_600));
        let job = NewJob::new(self.client.new_id(), &queue.into(), &kind.into(), &record, due);
        let id = job.id;
        let stored = self.runtime.block_on(self.client.enqueue(job)).expect("stored");
        assert!(!matches!(stored, Enqueued::Duplicate(_) | Enqueued::Conflict(_)));
        id
    }

    /// Claims the only job that is due, as a worker of this name.
    pub(crate) fn claim(&self, host: &str) -> Claimed {
        let worker = WorkerRef {
            id: WorkerId::new(self.client.now()),
            host: host.to_owned(),
            pid: 7,
            build: "0.1.0+test".to_owned(),
        };
        let options = ClaimOptions {
            queue: &self.queue,
            kinds: &[KIND.into()],
            limit: 10,
            lease: DEADLINE,
            holder: &serde_json::to_string(&worker).expect("a worker serializes"),
            suspects: 1,
            announcement: None,
        };
        eventually("a job is due", DEADLINE, || {
            let claim = self.runtime.block_on(self.client.claim(&options)).expect("claimed");
            claim.jobs.into_iter().next()
        })
    }

    /// Completes a job without retention.
    pub(crate) fn complete_and_forget(&self, job: Claimed) {
        let settlement = job.lease.complete(Duration::ZERO, job.history);
        let settled = self.runtime.block_on(self.client.settle(vec![settlement]));
        assert_eq!(settled.answered[0].1, Verdict::Done);
    }
}
