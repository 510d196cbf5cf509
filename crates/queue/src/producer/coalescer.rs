//! The coalescer of enqueues: jobs that come in while calls are in flight are sent together in the next call. A
//! single job never waits; under load hundreds share a round trip (and an fsync).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use atode_config::redis::JobqueueRedis;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::budget::MAX_BATCH;
use crate::core::Core;
use crate::error::Error;
use crate::model::new_job::{Atomicity, Enqueued, NewJob};
use crate::model::record::Durability;
use crate::producer::disk::{self, Disk};
use crate::transitions::enqueue;

/// Calls in flight at a time: Redis runs one while the answers of the other are handed out and further jobs
/// gather.
const CALLS: usize = 2;

/// Minimum number of jobs for a second call to be worth its overhead in Redis. Fewer jobs wait for the first call:
/// otherwise calls would stay small, because each producer comes back soon after its answer.
const SECOND_CALL: usize = 24;

/// Bytes of jobs that may wait in all coalescers of a client; further jobs are refused. Bounds memory while Redis
/// is slow.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// The durability of the jobs of a coalescer.
enum Storage {
    /// Redis' settings decide.
    AsConfigured,
    /// The answer waits for the disk.
    Fsync(Arc<Disk>),
}

/// The coalescers of a client, one per queue and durability. Each one ends when this value is dropped.
pub(crate) struct Coalescers {
    core: Arc<Core>,
    by_queue: Mutex<HashMap<Key, Coalescer>>,
    /// A permit for each byte that may wait.
    room: Arc<Semaphore>,
    disk: Arc<Disk>,
}

/// Queue and durability.
type Key = (Arc<str>, Option<Durability>);

/// Sends the jobs of one queue and one durability.
type Coalescer = mpsc::UnboundedSender<Waiting>;

struct Waiting {
    job: NewJob,
    since: Instant,
    answer: oneshot::Sender<Result<Enqueued, Error>>,
    room: OwnedSemaphorePermit,
}

impl Coalescers {
    pub(crate) fn new(core: Arc<Core>, redis: &JobqueueRedis) -> Self {
        let room = Arc::new(Semaphore::new(MAX_WAITING_BYTES));
        Coalescers { core, by_queue: Mutex::default(), room, disk: Arc::new(Disk::new(redis)) }
    }

    pub(crate) async fn enqueue(&self, job: NewJob) -> Result<Enqueued, Error> {
        let weight = u32::try_from(job.weight()).map_err(|_| Error::Overloaded)?;
        let room = self.room.clone().try_acquire_many_owned(weight).map_err(|_| Error::Overloaded)?;
        let (answer, answered) = oneshot::channel();
        let stopped = || Error::NotSent("the process is stopping".to_owned());
        let coalescer = self.coalescer(&job.queue, job.durability);
        coalescer.send(Waiting { job, since: Instant::now(), answer, room }).map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    fn coalescer(&self, queue: &Arc<str>, durability: Option<Durability>) -> Coalescer {
        let mut coalescers = self.by_queue.lock().unwrap_or_else(PoisonError::into_inner);
        let coalescer = coalescers.entry((queue.clone(), durability)).or_insert_with(|| {
            let storage = match durability {
                None => Storage::AsConfigured,
                Some(Durability::Fsync) => Storage::Fsync(self.disk.clone()),
            };
            let (jobs, incoming) = mpsc::unbounded_channel();
            self.core.runtime.spawn(run(self.core.clone(), queue.clone(), storage, incoming));
            jobs
        });
        coalescer.clone()
    }
}

async fn run(
    core: Arc<Core>,
    queue: Arc<str>,
    storage: Storage,
    mut incoming: mpsc::UnboundedReceiver<Waiting>,
) {
    let (most_calls, patience) = match storage {
        Storage::AsConfigured => (CALLS, core.connection.command_timeout()),
        // The wait for the disk blocks the connection: a second call would only add to it.
        Storage::Fsync(_) => (1, disk::TIMEOUT),
    };
    let mut gathered = Vec::new();
    let mut waiting: VecDeque<Waiting> = VecDeque::new();
    let mut calls = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(was_silent) = calls.next() => if was_silent {
                // The call got no answer. Jobs that arrived during it would have to wait just as long, so they fail now.
                while let Ok(next) = incoming.try_recv() {
                    waiting.push_back(next);
                }
                for next in waiting.drain(..) {
                    let _ = next.answer.send(Err(Error::behind_silence()));
                }
            },
            came = incoming.recv_many(&mut gathered, MAX_BATCH), if calls.len() < most_calls => if came == 0 {
                break;
            },
        }
        waiting.extend(gathered.drain(..));
        while waiting.len() < MAX_BATCH
            && let Ok(next) = incoming.try_recv()
        {
            waiting.push_back(next);
        }

        // A job that has waited too long is answered, not sent.
        while waiting.front().is_some_and(|first| first.since.elapsed() > patience) {
            if let Some(late) = waiting.pop_front() {
                let _ = late.answer.send(Err(Error::NotSent("Redis is too slow".to_owned())));
            }
        }
        while !waiting.is_empty()
            && (calls.is_empty() || (calls.len() < most_calls && waiting.len() >= SECOND_CALL))
        {
            let jobs = core.outgoing.fitting(waiting.iter().map(|next| next.job.weight()));
            calls.push(call(&core, &queue, &storage, waiting.drain(..jobs).collect()));
        }
    }
    while calls.next().await.is_some() {}
}

/// Makes one call and answers its jobs. Returns true if Redis did not answer.
async fn call(core: &Core, queue: &str, storage: &Storage, waiting: Vec<Waiting>) -> bool {
    let (jobs, answers): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|next| (next.job, (next.answer, next.room))).unzip();
    let stored = match storage {
        Storage::AsConfigured => {
            let stored = enqueue::enqueue(core, &core.connection, queue, &jobs, Atomicity::Each).await;
            stored.map(|stored| stored.into_iter().map(Ok).collect())
        }
        Storage::Fsync(disk) => disk.enqueue(core, queue, &jobs).await,
    };
    match stored {
        Ok(stored) => {
            for ((answer, _room), stored) in answers.into_iter().zip(stored) {
                let _ = answer.send(stored);
            }
            false
        }
        Err(error) => {
            for (answer, _room) in answers {
                let _ = answer.send(Err(error.clone()));
            }
            error.is_silence()
        }
    }
}
