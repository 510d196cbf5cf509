//! The coalescers of a client, one per queue and durability.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use atode_config::redis::JobqueueRedis;
use tokio::sync::Semaphore;

use crate::core::Core;
use crate::error::Error;
use crate::model::new_job::{Enqueued, NewJob};
use crate::model::record::Durability;
use crate::producer::coalescer::{Coalescer, Storage};
use crate::producer::disk::Disk;

/// Bytes of jobs that may wait in all coalescers of a client; further jobs are refused. Bounds memory while Redis
/// is slow.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// Queue and durability.
type Key = (Arc<str>, Option<Durability>);

pub(crate) struct Coalescers {
    core: Arc<Core>,
    by_queue: Mutex<HashMap<Key, Coalescer>>,
    room: Arc<Semaphore>,
    disk: Arc<Disk>,
}

impl Coalescers {
    pub(crate) fn new(core: Arc<Core>, redis: &JobqueueRedis) -> Self {
        let disk = Arc::new(Disk::new(redis));
        let room = Arc::new(Semaphore::new(MAX_WAITING_BYTES));
        Coalescers { core, by_queue: Mutex::default(), room, disk }
    }

    /// Stores a job. A single job never waits; under load many share one round trip, and one fsync.
    pub(crate) async fn enqueue(&self, job: NewJob) -> Result<Enqueued, Error> {
        self.coalescer(&job.queue, job.durability).enqueue(job).await
    }

    fn coalescer(&self, queue: &Arc<str>, durability: Option<Durability>) -> Coalescer {
        let mut coalescers = self.by_queue.lock().unwrap_or_else(PoisonError::into_inner);
        let coalescer = coalescers.entry((queue.clone(), durability)).or_insert_with(|| {
            let storage = match durability {
                None => Storage::AsConfigured,
                Some(Durability::Fsync) => Storage::Fsync(self.disk.clone()),
            };
            Coalescer::start(&self.core, queue, storage, &self.room)
        });
        coalescer.clone()
    }
}
