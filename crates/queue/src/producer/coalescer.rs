//! The enqueue coalescer: while calls are on their way, what comes in gathers and goes with the next.
//! Alone a job waits for nobody; under load hundreds share a round trip (and an fsync).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::MAX_BATCH;
use crate::client::{Client, WeakClient};
use crate::error::Error;
use crate::model::record::Durability;
use crate::producer::disk;
use crate::transitions::enqueue::{Atomicity, Enqueued, NewJob};

/// Bytes that may wait in all lanes of a client; a job beyond it is refused. Bounds memory while Redis is slow.
pub(crate) const MAX_WAITING_BYTES: usize = 64 << 20;

/// Calls on their way at a time: Redis runs one while the answers of the other are given out and what
/// follows gathers.
const CALLS: usize = 2;

/// Jobs of which a second call is worth its overhead in Redis. Fewer wait for the first: small calls
/// beget small calls, as each producer is back soon after its answer.
const SECOND_CALL: usize = 24;

/// The way of one queue's jobs to Redis.
#[derive(Clone)]
pub(crate) struct Lane {
    jobs: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
}

struct Waiting {
    job: NewJob,
    since: Instant,
    answer: oneshot::Sender<Result<Enqueued, Error>>,
    room: OwnedSemaphorePermit,
}

impl Lane {
    pub(crate) fn open(client: &Client, queue: &Arc<str>, durability: Option<Durability>) -> Self {
        let (jobs, incoming) = mpsc::unbounded_channel();
        let patience = match durability {
            None => client.connection().command_timeout(),
            Some(Durability::Fsync) => disk::TIMEOUT,
        };
        client.runtime().spawn(drive(client.downgrade(), queue.clone(), durability, patience, incoming));
        Lane { jobs, room: client.waiting_room().clone() }
    }

    pub(crate) async fn enqueue(&self, job: NewJob) -> Result<Enqueued, Error> {
        let weight = u32::try_from(job.weight()).map_err(|_| Error::Overloaded)?;
        let room = self.room.clone().try_acquire_many_owned(weight).map_err(|_| Error::Overloaded)?;
        let (answer, answered) = oneshot::channel();
        let stopped = || Error::NotSent("the process is stopping".to_owned());
        let waiting = Waiting { job, since: Instant::now(), answer, room };
        self.jobs.send(waiting).map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

async fn drive(
    client: WeakClient,
    queue: Arc<str>,
    durability: Option<Durability>,
    patience: Duration,
    mut incoming: mpsc::UnboundedReceiver<Waiting>,
) {
    let most_calls = match durability {
        None => CALLS,
        // The wait for the disk blocks their connection: a second call would only add to it.
        Some(Durability::Fsync) => 1,
    };
    let mut gathered = Vec::new();
    let mut waiting: VecDeque<Waiting> = VecDeque::new();
    let mut calls = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(was_silent) = calls.next() => if was_silent {
                // Whoever came during a call without an answer would wait as long again.
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

        // Whoever has waited too long gets an answer instead of a place in a call.
        while waiting.front().is_some_and(|first| first.since.elapsed() > patience) {
            if let Some(late) = waiting.pop_front() {
                let _ = late.answer.send(Err(Error::NotSent("Redis is too slow".to_owned())));
            }
        }
        while !waiting.is_empty()
            && (calls.is_empty() || (calls.len() < most_calls && waiting.len() >= SECOND_CALL))
        {
            // Every caller that waits for an answer holds a client.
            let Some(client) = client.upgrade() else {
                waiting.clear();
                break;
            };
            let jobs = client.outgoing().fitting(waiting.iter().map(|next| next.job.weight()));
            calls.push(call(client, &queue, durability, waiting.drain(..jobs).collect()));
        }
    }
    while calls.next().await.is_some() {}
}

/// One call and the answers to those who wait for it; whether Redis was silent.
async fn call(client: Client, queue: &str, durability: Option<Durability>, waiting: Vec<Waiting>) -> bool {
    let (jobs, answers): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|next| (next.job, (next.answer, next.room))).unzip();
    let stored = match durability {
        None => client
            .enqueue_call(client.connection(), queue, &jobs, Atomicity::Each)
            .await
            .map(|stored| stored.into_iter().map(Ok).collect()),
        Some(Durability::Fsync) => client.enqueue_to_disk(queue, &jobs).await,
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
