//! One process' access to the queue. Each call is an `impl Client` in the file of its script.

use std::sync::Arc;
use std::time::Duration;

use atode_config::redis::JobqueueRedis;

use crate::budget::Budget;
use crate::core::Core;
use crate::error::Error;
use crate::health;
use crate::model::id::JobId;
use crate::model::new_job::{Enqueued, NewJob};
use crate::producer::coalescer::Coalescers;
use crate::redis::connection::Connection;
use crate::redis::delivery::Delivery;
use crate::redis::facts::ServerFacts;
use crate::redis::subscriber;
use crate::redis::subscription::Subscriptions;

/// The queue, over one connection to Redis. Cheap to clone; the connection ends with the last clone.
///
/// | to | call |
/// | --- | --- |
/// | enqueue | [`enqueue`](Self::enqueue), [`enqueue_each`](Self::enqueue_each), [`enqueue_all_or_nothing`](Self::enqueue_all_or_nothing) |
/// | run jobs | [`claim`](Self::claim), [`extend`](Self::extend), [`settle`](Self::settle), [`unanswered`](Self::unanswered) |
/// | recover and trim | [`expired`](Self::expired), [`reap`](Self::reap), [`put_back`](Self::put_back), [`trim`](Self::trim) |
/// | operate | [`operate`](Self::operate), [`pause`](Self::pause), [`resume`](Self::resume), [`redrive_queue`](Self::redrive_queue), [`purge`](Self::purge) |
/// | look | [`job`](Self::job), [`reread`](Self::reread), [`watch_finish`](Self::watch_finish), [`queue`](Self::queue), [`queue_names`](Self::queue_names), [`inspection`](Self::inspection) |
/// | be a worker | [`heartbeat`](Self::heartbeat), [`unregister`](Self::unregister), [`wakeups`](Self::wakeups), [`requests`](Self::requests), [`sweeps`](Self::sweeps), [`tell_swept`](Self::tell_swept) |
/// | ask about workers | [`workers`](Self::workers), [`fates`](Self::fates), [`ask_worker`](Self::ask_worker) |
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) core: Arc<Core>,
    pub(crate) subscriptions: Subscriptions,
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

    /// Stores a job. A single job never waits; under load many share one round trip, and one fsync.
    pub async fn enqueue(&self, job: NewJob) -> Result<Enqueued, Error> {
        self.0.coalescers.enqueue(job).await
    }
}
