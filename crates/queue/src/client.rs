//! The public calls of one process to the queue. Each call runs beside its script, in the file that its line names.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use atode_config::redis::JobqueueRedis;

use crate::budget::Budget;
use crate::bulk::store::Bulks;
use crate::core::Core;
use crate::error::Error;
use crate::explain::{self, facts::Facts};
use crate::health;
use crate::history::flush;
use crate::history::kind_history::KindHistory;
use crate::history::ring::Window;
use crate::history::stats::{self, Stats};
use crate::inspect::inspection::Inspection;
use crate::list::cursor::Cursor;
use crate::list::facets::{self, Facets};
use crate::list::page::{self, JobPage};
use crate::list::query::ListQuery;
use crate::list::selection::Retention;
use crate::model::fingerprint::Fingerprint;
use crate::model::id::{JobId, WorkerId};
use crate::model::lease::{Lease, LeaseRef};
use crate::model::new_job::{Enqueued, NewJob};
use crate::model::settlement::{Settled, Settlement, Verdict};
use crate::model::state::State;
use crate::producer::coalescer::Coalescers;
use crate::published::kinds::PublishedKinds;
use crate::redis::connection::Connection;
use crate::redis::delivery::Delivery;
use crate::redis::facts::ServerFacts;
use crate::redis::inbox::Inbox;
use crate::redis::subscriber;
use crate::redis::subscription::Subscriptions;
use crate::transitions::claim::{self, Claim, ClaimOptions};
use crate::transitions::edit::{self, Edit, Edited};
use crate::transitions::operate::{self, Operated, Operation};
use crate::transitions::operate_queue::{self, Moved};
use crate::transitions::recover::{self, ExpiredLeases, PutBack, Reaped, Unreadable};
use crate::transitions::redrive_failure;
use crate::transitions::unanswered::{self, Unanswered};
use crate::transitions::{enqueue, extend, settle, trim};
use crate::view::failures::{self, Failures};
use crate::view::finished::{self, Finished};
use crate::view::job::{self, JobView};
use crate::view::queue::{self, QueueView};
use crate::workers::announcement::KindSet;
use crate::workers::notices;
use crate::workers::registration::{self, Departure, Fate, Registration, WorkerRequest};
use crate::workers::wakeups::{self, Wakeups};

/// The queue, over one connection to Redis. Cheap to clone; the connection ends with the last clone.
#[derive(Clone)]
pub struct Client(Arc<Parts>);

struct Parts {
    core: Arc<Core>,
    subscriptions: Subscriptions,
    coalescers: Coalescers,
    delivery: Arc<Delivery>,
}

impl Client {
    /// Returns at once; Redis may be down now and come later. Needs a tokio runtime.
    pub fn open(redis: &JobqueueRedis) -> Result<Self, Error> {
        let (core, listeners) = Core::open(redis)?;
        let id = JobId::new(core.clock.now());
        let delivery = Arc::new(Delivery::new(core.keys.echo_channel(&id.short())));
        let subscriptions = subscriber::start(listeners, &core.connection, delivery.clone());
        health::watch(&core);
        let coalescers = Coalescers::new(core.clone(), redis);
        Ok(Client(Arc::new(Parts { core, subscriptions, coalescers, delivery })))
    }

    // Connection and clock

    /// The connection: whether it is up, its address, its timeout.
    pub fn connection(&self) -> &Connection {
        &self.0.core.connection
    }

    /// The budget for bytes that a call brings from Redis.
    pub fn incoming(&self) -> &Budget {
        &self.0.core.incoming
    }

    /// The state of the Redis that holds the jobs, with its dangers.
    pub async fn server_facts(&self) -> Result<ServerFacts, Error> {
        health::facts(&self.0.core, &self.0.delivery).await
    }

    /// A new id that carries Redis' time.
    pub fn new_id(&self) -> JobId {
        JobId::new(self.now())
    }

    /// The estimate of Redis' clock, Unix ms.
    pub fn now(&self) -> i64 {
        self.0.core.clock.now()
    }

    /// The time until Redis' clock shows `at`, Unix ms.
    pub fn until(&self, at: i64) -> Duration {
        self.0.core.clock.until(at)
    }

    // Enqueue

    /// Stores a job. A single job never waits; under load many share one round trip, and one fsync.
    pub async fn enqueue(&self, job: NewJob) -> Result<Enqueued, Error> {
        self.0.coalescers.enqueue(job).await
    }

    /// Stores all jobs or none, in one call (≤ [`MAX_BATCH`](crate::MAX_BATCH) jobs of one queue).
    pub async fn enqueue_all_or_nothing(&self, queue: &str, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        enqueue::enqueue_all_or_nothing(&self.0.core, queue, jobs).await
    }

    /// Stores each job of one queue independently, in as few calls as possible. After a call that fails nothing more is
    /// sent, so the outcome is unknown for the jobs of at most one call.
    pub async fn enqueue_each(&self, queue: &str, jobs: &[NewJob]) -> Vec<Result<Enqueued, Error>> {
        enqueue::enqueue_each(&self.0.core, Duration::MAX, queue, jobs).await
    }

    /// [`enqueue_each`](Self::enqueue_each) that ends after `patience`; calls without an answer have an unknown
    /// outcome.
    pub async fn enqueue_each_within(
        &self,
        patience: Duration,
        queue: &str,
        jobs: &[NewJob],
    ) -> Vec<Result<Enqueued, Error>> {
        enqueue::enqueue_each(&self.0.core, patience, queue, jobs).await
    }

    // Claim and settle

    /// Claims up to `limit` due jobs of one queue in one call. Fewer come back if they are large.
    pub async fn claim(&self, options: &ClaimOptions<'_>) -> Result<Claim, Error> {
        claim::claim(&self.0.core, options).await
    }

    /// Writes the results of jobs under their leases. Results without an answer can be sent again.
    pub async fn settle(&self, settlements: Vec<Settlement>) -> Settled {
        settle::settle(&self.0.core, settlements).await
    }

    /// Extends leases of one queue to `lease` from now.
    pub async fn extend(
        &self,
        queue: &str,
        leases: &[LeaseRef],
        lease: Duration,
    ) -> Result<Vec<Verdict>, Error> {
        extend::extend(&self.0.core, queue, leases, lease).await
    }

    /// The leases of claims whose answer was lost. Nobody has run the jobs, so they can be handed back.
    pub async fn unanswered(&self, claims: &Unanswered<'_>) -> Result<Vec<Lease>, Error> {
        unanswered::unanswered(&self.0.core, claims).await
    }

    // Recovery and trim

    /// Jobs of a queue whose lease ran out, of all kinds, whether this process knows them or not.
    pub async fn expired(&self, queue: &Arc<str>, lease: Duration) -> Result<ExpiredLeases, Error> {
        recover::expired(&self.0.core, queue, lease).await
    }

    /// Recovers expired jobs, unless their holder has extended or settled them meanwhile.
    pub async fn reap(&self, queue: &str, jobs: &[Reaped]) -> Result<Vec<Verdict>, Error> {
        recover::reap(&self.0.core, queue, jobs).await
    }

    /// Makes jobs with an unreadable holder due again, and removes members that are not a job.
    pub async fn put_back(&self, queue: &str, found: &[Unreadable]) -> Result<PutBack, Error> {
        recover::put_back(&self.0.core, queue, found).await
    }

    /// Removes finished jobs past their retention, earlier if Redis' memory is nearly full. Returns their number.
    pub async fn trim(&self, queue: &str) -> Result<u64, Error> {
        trim::trim(&self.0.core, queue).await
    }

    // Operations

    /// Cancels, reschedules, redrives or deletes one job.
    pub async fn operate(
        &self,
        queue: &str,
        kind: &str,
        id: JobId,
        operation: Operation,
    ) -> Result<Operated, Error> {
        operate::operate(&self.0.core, queue, kind, id, operation).await
    }

    /// Edits a waiting job that still has this [version](JobView::version), or any version without one.
    pub async fn edit(
        &self,
        queue: &str,
        kind: &str,
        id: JobId,
        version: Option<&str>,
        edit: &Edit,
    ) -> Result<Edited, Error> {
        edit::edit(&self.0.core, queue, kind, id, version, edit).await
    }

    /// Stops handing out jobs from a queue. Running jobs are not affected.
    pub async fn pause(&self, queue: &str) -> Result<(), Error> {
        operate_queue::pause(&self.0.core, queue).await
    }

    /// Hands out jobs from a paused queue again.
    pub async fn resume(&self, queue: &str) -> Result<(), Error> {
        operate_queue::resume(&self.0.core, queue).await
    }

    /// Redrives the jobs of a queue that died first, of one kind or of all, at most `limit` per call.
    pub async fn redrive_queue(&self, queue: &str, kind: Option<&str>, limit: usize) -> Result<Moved, Error> {
        operate_queue::redrive_queue(&self.0.core, queue, kind, limit).await
    }

    /// Redrives the dead jobs of these queues that have one cause. One call looks at `limit` dead jobs at most, and the
    /// next goes on behind them.
    pub async fn redrive_failure(
        &self,
        queues: &[Arc<str>],
        fingerprint: Fingerprint,
        limit: usize,
    ) -> Result<Moved, Error> {
        redrive_failure::redrive_failure(&self.0.core, queues, fingerprint, limit).await
    }

    /// Removes jobs in one state, of one kind or of all, at most `limit` per call. Active jobs are never removed.
    pub async fn purge(
        &self,
        queue: &str,
        state: State,
        kind: Option<&str>,
        limit: usize,
    ) -> Result<Moved, Error> {
        operate_queue::purge(&self.0.core, queue, state, kind, limit).await
    }

    /// The bulk operations: one change of many jobs.
    pub fn bulks(&self) -> Bulks<'_> {
        Bulks { core: &self.0.core }
    }

    // Views

    /// Looks for a job in these queues.
    pub async fn job(&self, queues: &[Arc<str>], id: JobId) -> Result<Option<JobView>, Error> {
        job::job(&self.0.core, queues, id).await
    }

    /// The current state of a job that was read before, without reading its payload again.
    pub async fn reread(&self, job: &JobView) -> Result<Option<JobView>, Error> {
        job::reread(&self.0.core, job).await
    }

    /// The job after an operation that was carried out. Its state is unset if it was removed meanwhile.
    pub async fn after(&self, before: JobView, operated: Operated) -> Result<JobView, Error> {
        job::after(&self.0.core, before, operated).await
    }

    /// The facts about a job in one of these queues that [`Facts::explain`] turns into the reason why it is not
    /// running.
    pub async fn explain(&self, queues: &[Arc<str>], id: JobId) -> Result<Option<Facts>, Error> {
        explain::read::facts(&self.0.core, queues, id).await
    }

    /// Watches a job. The first change comes once the subscription is active: look at the job after it.
    pub fn watch_finish(&self, queue: &str, id: JobId) -> Finished {
        finished::watch_finish(&self.0.subscriptions, &self.0.core.keys, queue, id)
    }

    /// The next page of a list, of at most `limit` jobs (≤ [`MAX_BATCH`](crate::MAX_BATCH)) of these queues.
    pub async fn list(
        &self,
        query: &ListQuery,
        queues: &[Arc<str>],
        from: Option<Cursor>,
        limit: usize,
        retention: Retention<'_>,
    ) -> Result<JobPage, Error> {
        page::page(&self.0.core, query, queues, from, limit, retention).await
    }

    /// The counts beside a list, or `None` if there are too many sets to count.
    pub async fn facets(
        &self,
        query: &ListQuery,
        queues: &[Arc<str>],
        retention: Retention<'_>,
    ) -> Result<Option<Facets>, Error> {
        facets::facets(&self.0.core, query, queues, retention).await
    }

    /// The dead jobs of these queues, of one kind or of all, grouped by cause: the `limit` groups with the latest
    /// deaths.
    pub async fn failures(
        &self,
        queues: &[Arc<str>],
        kind: Option<&str>,
        limit: usize,
    ) -> Result<Failures, Error> {
        failures::failures(&self.0.core, queues, kind, limit).await
    }

    /// The counts of one queue.
    pub async fn queue(&self, queue: &str) -> Result<QueueView, Error> {
        queue::queue(&self.0.core, queue).await
    }

    /// The names of all queues that ever held a job.
    pub async fn queue_names(&self) -> Result<BTreeSet<String>, Error> {
        self.0.core.queue_names().await
    }

    /// The history of these queues within the last 72 hours, by queue and kind, of one kind or of all.
    pub async fn stats(
        &self,
        queues: &[Arc<str>],
        kind: Option<&str>,
        window: Window,
    ) -> Result<Stats, Error> {
        stats::stats(&self.0.core, queues, kind, window).await
    }

    /// Counts the times of runs of one kind from one queue.
    pub fn history_of(&self, queue: &str, kind: &str) -> KindHistory {
        KindHistory(self.0.core.counters.tally(queue, kind))
    }

    /// Writes what this process has counted since the last time. A process without a
    /// [`HistoryWriter`](crate::HistoryWriter) calls it before it ends.
    pub async fn flush_history(&self) -> Result<(), Error> {
        flush::flush(&self.0.core).await
    }

    /// The catalogue of kinds.
    pub fn published_kinds(&self) -> PublishedKinds<'_> {
        PublishedKinds { core: &self.0.core, subscriptions: &self.0.subscriptions }
    }

    /// Reads and repairs for the audit.
    pub fn inspection(&self) -> Inspection<'_> {
        Inspection { core: &self.0.core }
    }

    // Workers

    /// Renews a registration; it expires after `ttl` unless renewed. Returns the request to the worker, if any.
    pub async fn heartbeat(
        &self,
        registration: &Registration,
        ttl: Duration,
    ) -> Result<Option<WorkerRequest>, Error> {
        registration::heartbeat(&self.0.core, registration, ttl).await
    }

    /// Asks a live worker to go quiet or to stop. Returns false if no such worker is alive.
    pub async fn ask_worker(&self, id: WorkerId, request: WorkerRequest) -> Result<bool, Error> {
        registration::ask_worker(&self.0.core, id, request).await
    }

    /// Removes a registration.
    pub async fn unregister(&self, id: WorkerId, departure: Departure) -> Result<(), Error> {
        registration::unregister(&self.0.core, id, departure).await
    }

    /// All live workers, in the order of their starts.
    pub async fn workers(&self) -> Result<Vec<Registration>, Error> {
        registration::workers(&self.0.core).await
    }

    /// The fate of each of these workers, in their order.
    pub async fn fates(&self, ids: &[WorkerId]) -> Result<Vec<Fate>, Error> {
        registration::fates(&self.0.core, ids).await
    }

    /// Subscribes to the wake-ups of these queues. The first one comes once the subscription is active.
    pub fn wakeups(&self, queues: &[Arc<str>], kinds: &KindSet) -> Wakeups {
        wakeups::wakeups(&self.0.subscriptions, &self.0.core.keys, queues, kinds)
    }

    /// Subscribes to requests to workers: to cancel a job of these queues, to go quiet, to stop.
    pub fn requests(&self, queues: &[Arc<str>]) -> Arc<Inbox> {
        notices::requests(&self.0.subscriptions, &self.0.core.keys, queues)
    }

    /// Subscribes to the sweeps of a queue. A notice has the id of the worker that has swept it.
    pub fn sweeps(&self, queue: &str) -> Arc<Inbox> {
        notices::sweeps(&self.0.subscriptions, &self.0.core.keys, queue)
    }

    /// Tells the other workers of a queue that this one has swept it.
    pub async fn tell_swept(&self, queue: &str, by: WorkerId) {
        notices::tell_swept(&self.0.core, queue, by).await;
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0.core
    }
}
