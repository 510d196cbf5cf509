//! Everything that an explanation is made of, as it was at one instant.

use std::sync::Arc;

use crate::error::RefusalCode;
use crate::model::history::History;
use crate::model::id::{JobId, WorkerId};
use crate::model::run::Run;
use crate::model::state::State;
use crate::workers::registration::Registration;

/// A job, its queue, the live workers and Redis. [`Facts::explain`] decides what they mean.
#[derive(Debug, Clone)]
pub struct Facts {
    pub id: JobId,
    pub kind: String,
    pub queue: String,
    /// Unset if the limit of the kind applies; a caller that knows the kind fills it in.
    pub max_retries: Option<u32>,
    /// Redis' time, Unix ms.
    pub(crate) now: i64,
    pub(crate) place: JobPlace,
    pub(crate) history: History,
    /// When the job was last settled, reaped or cancelled, Unix ms.
    pub(crate) settled_at: Option<i64>,
    /// When the queue was paused, Unix ms.
    pub(crate) paused_since: Option<i64>,
    /// All live workers, also those of other queues.
    pub(crate) workers: Vec<Registration>,
    /// Active jobs of the queue, at most [`MOST_LEASES`]. Empty unless the job waits.
    pub(crate) leased: Vec<Leased>,
    /// Set if Redis refuses claims now.
    pub(crate) refusal: Option<RefusalCode>,
}

/// The most active jobs that one explanation looks at.
pub(crate) const MOST_LEASES: usize = 1_000;

/// The set that has the job. Instants are in Unix ms.
#[derive(Debug, Clone)]
pub(crate) enum JobPlace {
    Waiting {
        due: i64,
        /// Jobs of its kind that are due before it.
        ahead: u64,
    },
    Active {
        deadline: i64,
        run: Option<Run>,
        cancel_requested: bool,
    },
    Completed {
        expiry: i64,
    },
    Cancelled {
        expiry: i64,
    },
    Dead,
}

/// Active jobs of one kind on one worker.
#[derive(Debug, Clone)]
pub(crate) struct Leased {
    pub(crate) worker: WorkerId,
    pub(crate) kind: Arc<str>,
    pub(crate) jobs: u64,
    /// The number of suspects among them. Counted only for a job that is one itself.
    pub(crate) suspects: u64,
}

impl Facts {
    pub(crate) fn state(&self) -> State {
        match self.place {
            JobPlace::Waiting { due, .. } if due <= self.now => State::Ready,
            JobPlace::Waiting { .. } => State::Scheduled,
            JobPlace::Active { .. } => State::Active,
            JobPlace::Completed { .. } => State::Completed,
            JobPlace::Cancelled { .. } => State::Cancelled,
            JobPlace::Dead => State::Dead,
        }
    }

    /// Live workers that serve the queue and know the kind, whether they claim or not.
    pub(crate) fn serving(&self) -> impl Iterator<Item = &Registration> {
        let serves = |worker: &&Registration| {
            worker.queues.contains_key(&self.queue) && worker.kinds.contains(&self.kind)
        };
        self.workers.iter().filter(serves)
    }

    /// Workers that would claim the job if they had room.
    pub(crate) fn claiming(&self) -> impl Iterator<Item = &Registration> {
        self.serving().filter(|worker| worker.claims_from(&self.queue))
    }

    /// True if the worker's build has handed the job back, because it cannot read it.
    pub(crate) fn is_unread_by(&self, worker: &Registration) -> bool {
        self.history.unread.as_ref().is_some_and(|unread| unread.names(&worker.worker.build))
    }

    /// Active jobs of the queue on this worker.
    pub(crate) fn leased_to(&self, worker: &Registration) -> impl Iterator<Item = &Leased> {
        let id = worker.worker.id;
        self.leased.iter().filter(move |leased| leased.worker == id)
    }

    /// Slots of the worker that are taken. Its registration is some seconds old, but counts the jobs of all its queues.
    pub(crate) fn taken(&self, worker: &Registration) -> u64 {
        let here: u64 = self.leased_to(worker).map(|leased| leased.jobs).sum();
        here.max(worker.active.into()).min(worker.slots.into())
    }

    /// Free slots and all slots of the workers that would claim the job.
    pub(crate) fn slots(&self) -> (u64, u64) {
        self.claiming().fold((0, 0), |(free, all), worker| {
            let slots = u64::from(worker.slots);
            (free + slots - self.taken(worker), all + slots)
        })
    }
}
