//! The model of the queue. Instants are Unix ms.

use std::collections::{BTreeMap, BTreeSet};

use atode_queue::{Due, JobId, Operated, Operation, State, Verdict};

use super::{How, KINDS};

const HOUR: i64 = 3_600_000;
const KEY_LIVES: i64 = 24 * HOUR;
const CANCELLED_IS_KEPT: i64 = HOUR;
const SUSPECT_IS_PUT_OFF: i64 = 1_000;
/// The token of a job whose last lease was ended by reap.
const REAPED: u64 = 0;

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) kind: usize,
    pub(crate) place: Place,
    pub(crate) failed: u32,
    pub(crate) crashes: u32,
    /// The token of its last settlement.
    settled_by: Option<u64>,
}

#[derive(Debug)]
pub(crate) enum Place {
    /// Due time.
    Due(i64),
    Active(ActiveLease),
    /// Expiry.
    Done(i64),
    /// Expiry.
    Cancelled(i64),
    /// Time of death.
    Dead(i64),
}

#[derive(Debug)]
pub(crate) struct ActiveLease {
    pub(crate) token: u64,
    pub(crate) deadline: i64,
    pub(crate) cancel_requested: bool,
    due: i64,
    lease: i64,
}

pub(crate) struct ClaimedIds {
    pub(crate) ids: Vec<String>,
    pub(crate) next_due: Option<i64>,
}

pub(crate) struct Model {
    pub(crate) now: i64,
    pub(crate) paused: bool,
    pub(crate) jobs: BTreeMap<String, Job>,
    /// The holder of an idempotency key: job, body, expiry.
    keys: BTreeMap<u8, (JobId, u8, i64)>,
}

impl Model {
    pub(crate) fn new(now: i64) -> Self {
        Model { now, paused: false, jobs: BTreeMap::new(), keys: BTreeMap::new() }
    }

    pub(crate) fn enqueue(&mut self, id: String, kind: usize, due: i64) {
        let job = Job { kind, place: Place::Due(due), failed: 0, crashes: 0, settled_by: None };
        self.jobs.insert(id, job);
    }

    pub(crate) fn holder_of(&self, key: u8) -> Option<(JobId, u8)> {
        self.keys.get(&key).filter(|(_, _, until)| self.now <= *until).map(|(id, body, _)| (*id, *body))
    }

    pub(crate) fn hold(&mut self, key: u8, id: JobId, body: u8) {
        self.keys.insert(key, (id, body, self.now + KEY_LIVES));
    }

    /// The ids of a kind for which `score` returns one, by score.
    fn of_kind(&self, kind: usize, score: impl Fn(&Place) -> Option<i64>) -> Vec<(i64, String)> {
        let jobs = self.jobs.iter().filter(|(_, job)| job.kind == kind);
        let mut found: Vec<_> = jobs.filter_map(|(id, job)| Some((score(&job.place)?, id.clone()))).collect();
        found.sort();
        found
    }

    fn waiting(&self, kind: usize) -> Vec<(i64, String)> {
        self.of_kind(kind, |place| if let Place::Due(at) = place { Some(*at) } else { None })
    }

    /// The due jobs, without the tokens that Redis makes: see [`Model::give`].
    pub(crate) fn claim(
        &mut self,
        kinds: &[usize],
        limit: usize,
        lease: i64,
        mut suspects: u32,
    ) -> ClaimedIds {
        let mut ids = Vec::new();
        if self.paused {
            return ClaimedIds { ids, next_due: None };
        }
        for kind in kinds {
            let mut due = self.waiting(*kind);
            due.retain(|(at, _)| *at <= self.now);
            due.truncate(limit - ids.len());
            for (due, id) in due {
                let job = self.jobs.get_mut(&id).expect("it is due");
                if job.crashes >= 2 && suspects == 0 {
                    job.place = Place::Due(self.now + SUSPECT_IS_PUT_OFF);
                    continue;
                }
                if job.crashes >= 2 {
                    suspects -= 1;
                }
                job.place = Place::Active(ActiveLease {
                    token: 0,
                    deadline: self.now + lease,
                    cancel_requested: false,
                    due,
                    lease,
                });
                ids.push(id);
            }
        }
        let next_due = kinds.iter().filter_map(|kind| Some(self.waiting(*kind).first()?.0)).min();
        ClaimedIds { ids, next_due }
    }

    pub(crate) fn give(&mut self, id: &str, token: u64) {
        if let Some(Place::Active(active)) = self.jobs.get_mut(id).map(|job| &mut job.place) {
            active.token = token;
        }
    }

    fn lease_of(&mut self, id: &str, token: u64) -> Option<&mut ActiveLease> {
        match &mut self.jobs.get_mut(id)?.place {
            Place::Active(active) if active.token == token => Some(active),
            _ => None,
        }
    }

    pub(crate) fn judge(&mut self, id: &str, token: u64) -> Verdict {
        if let Some(active) = self.lease_of(id, token) {
            return if active.cancel_requested { Verdict::CancelRequested } else { Verdict::Done };
        }
        match self.jobs.get(id) {
            Some(job) if job.settled_by != Some(token) => Verdict::Stale,
            _ => Verdict::Already,
        }
    }

    pub(crate) fn extend(&mut self, id: &str, token: u64, ms: i64) {
        let now = self.now;
        if let Some(active) = self.lease_of(id, token) {
            active.deadline = now + ms;
        }
    }

    pub(crate) fn settle(&mut self, id: &str, token: u64, how: How) {
        let now = self.now;
        let Some(&mut ActiveLease { cancel_requested, due, .. }) = self.lease_of(id, token) else { return };
        let back =
            |at| if cancel_requested { Place::Cancelled(now + CANCELLED_IS_KEPT) } else { Place::Due(at) };
        let place = match how {
            How::Complete(0) => {
                self.jobs.remove(id);
                return;
            }
            How::Complete(ms) => Place::Done(now + ms),
            How::Retry(ms) | How::Release(ms) => back(now + ms),
            How::HandBack => back(due),
            How::Bury => Place::Dead(now),
        };
        let job = self.jobs.get_mut(id).expect("it is active");
        job.place = place;
        job.settled_by = Some(token);
        job.failed += u32::from(matches!(how, How::Retry(_) | How::Bury));
    }

    /// The expired jobs. Deadlines that are too far away after a clock step are cut.
    pub(crate) fn look(&mut self, suspicious: i64) -> BTreeSet<String> {
        let now = self.now;
        let mut expired = BTreeSet::new();
        for (id, job) in &mut self.jobs {
            let Place::Active(active) = &mut job.place else { continue };
            if active.deadline <= now {
                expired.insert(id.clone());
            } else if active.deadline > now + suspicious.max(active.lease) {
                active.deadline = now + active.lease;
            }
        }
        expired
    }

    pub(crate) fn reap(&mut self, id: &str, token: u64, due_after: Option<i64>, crash: bool) -> Verdict {
        let (now, verdict) = (self.now, self.judge(id, token));
        let Some(active) = self.lease_of(id, token) else { return verdict };
        if active.deadline > now {
            return Verdict::Stale;
        }
        let place = match due_after {
            _ if active.cancel_requested => Place::Cancelled(now + CANCELLED_IS_KEPT),
            Some(ms) => Place::Due(now + ms),
            None => Place::Dead(now),
        };
        let job = self.jobs.get_mut(id).expect("it is active");
        job.place = place;
        job.settled_by = Some(REAPED);
        job.crashes += u32::from(crash);
        verdict
    }

    pub(crate) fn operate(&mut self, id: &str, operation: Operation) -> Operated {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(id) else { return Operated::Gone };
        let state = state(&job.place, now);
        match (operation, &mut job.place) {
            (Operation::Cancel, place @ Place::Due(_)) => *place = Place::Cancelled(now + CANCELLED_IS_KEPT),
            (Operation::Cancel, Place::Active(active)) => {
                active.cancel_requested = true;
                return Operated::Requested;
            }
            (Operation::Cancel, Place::Cancelled(_)) => {}
            (Operation::RunNow, Place::Due(at)) => *at = now.min(*at),
            (Operation::Reschedule(Due::After(delay)), Place::Due(at)) => {
                *at = now + delay.as_millis() as i64;
            }
            (Operation::Reschedule(Due::At(then)), Place::Due(at)) => *at = then,
            (Operation::Redrive, Place::Dead(_)) => job.start_over(now),
            (Operation::Delete, place) if !matches!(place, Place::Active(_)) => {
                self.jobs.remove(id);
            }
            _ => return Operated::Refused(state),
        }
        Operated::Done
    }

    /// The number of moved jobs, and of those that are left.
    pub(crate) fn redrive_queue(&mut self, kind: Option<usize>, limit: usize) -> (u64, u64) {
        let dead = |place: &Place| if let Place::Dead(at) = place { Some(*at) } else { None };
        let (first, left) = self.first(kind, limit, dead);
        for id in &first {
            self.jobs.get_mut(id).expect("it is dead").start_over(self.now);
        }
        (first.len() as u64, left)
    }

    pub(crate) fn purge(&mut self, wanted: State, kind: Option<usize>, limit: usize) -> (u64, u64) {
        if wanted == State::Active {
            return (0, 0);
        }
        let now = self.now;
        let (first, left) = self.first(kind, limit, |place| match place {
            Place::Due(at) | Place::Done(at) | Place::Cancelled(at) | Place::Dead(at) => {
                (state(place, now) == wanted).then_some(*at)
            }
            Place::Active(_) => None,
        });
        for id in &first {
            self.jobs.remove(id);
        }
        (first.len() as u64, left)
    }

    fn first(
        &self,
        kind: Option<usize>,
        limit: usize,
        score: impl Fn(&Place) -> Option<i64>,
    ) -> (Vec<String>, u64) {
        let kinds = (0..KINDS.len()).filter(|known| kind.is_none_or(|kind| kind == *known));
        let mut found: Vec<String> =
            kinds.flat_map(|kind| self.of_kind(kind, &score)).map(|(_, id)| id).collect();
        let left = found.len().saturating_sub(limit);
        found.truncate(limit);
        (found, left as u64)
    }

    /// The number of removed jobs.
    pub(crate) fn trim(&mut self) -> u64 {
        let before = self.jobs.len();
        let now = self.now;
        self.jobs.retain(|_, job| match job.place {
            Place::Done(until) | Place::Cancelled(until) => until > now,
            _ => true,
        });
        (before - self.jobs.len()) as u64
    }
}

impl Job {
    fn start_over(&mut self, now: i64) {
        (self.place, self.failed, self.crashes) = (Place::Due(now), 0, 0);
    }
}

fn state(place: &Place, now: i64) -> State {
    match place {
        Place::Due(at) if *at <= now => State::Ready,
        Place::Due(_) => State::Scheduled,
        Place::Active(_) => State::Active,
        Place::Done(_) => State::Completed,
        Place::Cancelled(_) => State::Cancelled,
        Place::Dead(_) => State::Dead,
    }
}
