//! The operations under a lease: extend it, or settle the job.

use std::sync::Arc;
use std::time::Duration;

use fred::types::{Key, Value};
use futures_util::future::join_all;

use crate::client::Client;
use crate::error::Error;
use crate::keys::{QueueKeys, Set};
use crate::model::lease::{Lease, LeaseRef};
use crate::model::record::History;
use crate::scripts::{BURY, COMPLETE, EXTEND, RELEASE, RETRY, Script};
use crate::transitions::trim::CANCELLED_RETENTION;

/// What became of a run, to be written under its lease.
#[derive(Debug)]
#[must_use = "written by `Client::settle`"]
pub struct Settlement {
    lease: Lease,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Complete {
        retention: Duration,
        /// None: the job is removed.
        state: Option<Value>,
    },
    Retry {
        backoff: Duration,
        state: Value,
    },
    Bury {
        state: Value,
    },
    Release {
        /// None: due when it was.
        delay: Option<Duration>,
        /// The run that was interrupted; empty: it was not started.
        state: Value,
    },
}

/// Redis' word on a settlement or an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Done,
    /// Done, and somebody asked to cancel the job: an extension says so, a retry or a release has
    /// ended in `cancelled`, a success is one.
    CancelRequested,
    /// This very settlement was written before; its answer was lost.
    Already,
    /// The lease ran out and the job went on without its holder. Nothing was changed.
    Stale,
}

/// Bytes of an id and a token in a call, roughly.
pub(crate) const LEASE_WEIGHT: usize = 64;

type Answer = Result<Vec<Verdict>, Error>;

/// The result of [`Client::settle`].
#[derive(Debug, Default)]
pub struct Settled {
    pub answered: Vec<(Settlement, Verdict)>,
    /// No answer came for these: safe to settle again.
    pub unanswered: Vec<Settlement>,
    /// Why, when there are any.
    pub error: Option<Error>,
}

#[expect(clippy::needless_pass_by_value, reason = "a settlement uses its job's history up")]
impl Lease {
    pub fn complete(self, retention: Duration, history: History) -> Settlement {
        let state = (!retention.is_zero()).then(|| self.state(&history));
        Settlement { lease: self, outcome: Outcome::Complete { retention, state } }
    }

    pub fn retry(self, backoff: Duration, history: History) -> Settlement {
        let state = self.state(&history);
        Settlement { lease: self, outcome: Outcome::Retry { backoff, state } }
    }

    pub fn bury(self, history: History) -> Settlement {
        let state = self.state(&history);
        Settlement { lease: self, outcome: Outcome::Bury { state } }
    }

    /// Hands back a job that was not started, unspent and due again after `delay`.
    pub fn release(self, delay: Duration) -> Settlement {
        Settlement { lease: self, outcome: Outcome::Release { delay: Some(delay), state: "".into() } }
    }

    /// Hands back a job whose run was interrupted, unspent and due again after `delay`. Where somebody asked to
    /// cancel it, it ends here, and `history` says who ran it ([`History::finished_with`]).
    pub fn release_run(self, delay: Duration, history: History) -> Settlement {
        let state = self.state(&history);
        Settlement { lease: self, outcome: Outcome::Release { delay: Some(delay), state } }
    }

    /// Hands back a job that was not started, unspent and due when it was: it keeps its place among
    /// those that wait.
    pub fn hand_back(self) -> Settlement {
        Settlement { lease: self, outcome: Outcome::Release { delay: None, state: "".into() } }
    }

    /// The job's history as it is stored. Cheap to clone: a settlement may be sent more than once.
    fn state(&self, history: &History) -> Value {
        history.encode(self.token()).into()
    }
}

impl Settlement {
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The word for it, for logs and counters.
    pub fn name(&self) -> &'static str {
        self.transition().script.name
    }

    fn transition(&self) -> &'static Transition {
        match self.outcome {
            Outcome::Complete { .. } => &TRANSITIONS[0],
            Outcome::Retry { .. } => &TRANSITIONS[1],
            Outcome::Bury { .. } => &TRANSITIONS[2],
            Outcome::Release { .. } => &TRANSITIONS[3],
        }
    }

    /// What goes to Redis in one call has this in common.
    fn call(&self) -> (&str, &'static str) {
        (self.lease.queue(), self.name())
    }

    /// Completed jobs of one group share what complete does with them; kept ones stand first.
    fn group(&self) -> (bool, &str, Duration) {
        let retention = match self.outcome {
            Outcome::Complete { retention, .. } => retention,
            _ => Duration::ZERO,
        };
        (retention.is_zero(), self.lease.kind(), retention)
    }

    /// When a job that is put back is due.
    fn delay(&self) -> Option<Value> {
        match self.outcome {
            Outcome::Retry { backoff, .. } => Some(millis(backoff)),
            // None: due when it was.
            Outcome::Release { delay, .. } => Some(delay.map_or(Value::Integer(-1), millis)),
            Outcome::Complete { .. } | Outcome::Bury { .. } => None,
        }
    }

    /// What is kept of the job's past.
    fn state(&self) -> Option<&Value> {
        match &self.outcome {
            Outcome::Complete { state, .. } => state.as_ref(),
            Outcome::Retry { state, .. } | Outcome::Bury { state } | Outcome::Release { state, .. } => {
                Some(state)
            }
        }
    }

    /// Bytes that it takes of a call, roughly.
    fn weight(&self) -> usize {
        self.state().and_then(Value::as_bytes).map_or(0, <[u8]>::len) + LEASE_WEIGHT
    }
}

/// How a settlement's script is called: the arguments in front of the jobs', and the sets that
/// the job may go to.
struct Transition {
    script: &'static std::sync::LazyLock<Script>,
    head: fn(&QueueKeys) -> Vec<Value>,
    sets: &'static [Set],
}

static TRANSITIONS: [Transition; 4] = [
    Transition {
        script: &COMPLETE,
        head: |keys| vec![keys.finished_channel().into()],
        sets: &[Set::Lease, Set::Done],
    },
    Transition { script: &RETRY, head: back_or_cancelled, sets: &[Set::Lease, Set::Due, Set::Cancelled] },
    Transition {
        script: &BURY,
        head: |keys| vec![keys.finished_channel().into()],
        sets: &[Set::Lease, Set::Dead],
    },
    Transition { script: &RELEASE, head: back_or_cancelled, sets: &[Set::Lease, Set::Due, Set::Cancelled] },
];

/// For scripts that put jobs back, or end those that somebody asked to cancel.
pub(crate) fn back_or_cancelled(keys: &QueueKeys) -> Vec<Value> {
    vec![keys.wake_channel().into(), keys.finished_channel().into(), millis(CANCELLED_RETENTION)]
}

impl Client {
    /// Settles jobs: the queues and the transitions at the same time, those of one transition in as
    /// many calls, one after the other, as their size asks for.
    pub async fn settle(&self, mut settlements: Vec<Settlement>) -> Settled {
        settlements.sort_by(|a, b| (a.call(), a.group()).cmp(&(b.call(), b.group())));
        let alike = settlements.chunk_by(|a, b| a.call() == b.call());
        let answers = join_all(alike.map(|alike| self.settle_alike(alike))).await;
        let mut settled = Settled::default();
        let mut settlements = settlements.into_iter();
        for (n, answer) in answers.into_iter().flatten() {
            let chunk = settlements.by_ref().take(n);
            match answer {
                Ok(verdicts) => settled.answered.extend(chunk.zip(verdicts)),
                Err(error) => {
                    settled.unanswered.extend(chunk);
                    settled.error = Some(error);
                }
            }
        }
        settled
    }

    /// Settles jobs of one queue and one transition. Each answer is that of so many of them.
    async fn settle_alike(&self, mut rest: &[Settlement]) -> Vec<(usize, Answer)> {
        let mut answers = Vec::new();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.outgoing().fitting(rest.iter().map(Settlement::weight)));
            let answer = self.settle_call(now).await;
            rest = later;
            match answer {
                Err(error) if error.is_silence() => {
                    answers.push((now.len() + later.len(), Err(error)));
                    break;
                }
                // A key of one kind is broken, perhaps: the others are settled without it.
                Err(Error::Corrupt(_))
                    if now.iter().any(|other| other.lease.kind() != now[0].lease.kind()) =>
                {
                    let kinds = now.chunk_by(|a, b| a.lease.kind() == b.lease.kind());
                    answers.extend(
                        join_all(kinds.map(async |kind| (kind.len(), self.settle_call(kind).await))).await,
                    );
                }
                answer => answers.push((now.len(), answer)),
            }
        }
        answers
    }

    /// Prolongs leases of one queue to `lease` from now.
    pub async fn extend(
        &self,
        queue: &str,
        leases: &[LeaseRef],
        lease: Duration,
    ) -> Result<Vec<Verdict>, Error> {
        let keys = self.keys().queue(queue);
        let mut verdicts = Vec::with_capacity(leases.len());
        let mut rest = leases;
        while !rest.is_empty() {
            let (chunk, later) = rest.split_at(self.outgoing().fitting(rest.iter().map(|_| LEASE_WEIGHT)));
            rest = later;
            let mut kinds = KindPlaces::default();
            let mut args = vec![millis(lease)];
            push_leases(&mut args, chunk.iter());
            args.extend(chunk.iter().map(|lease| kinds.place(&lease.kind)));
            let mut script_keys = vec![keys.jobs().into(), keys.active().into(), keys.state().into()];
            script_keys.extend(kinds.keys(&keys, &[Set::Lease]));
            let carried = LEASE_WEIGHT * chunk.len();
            let reply = self.call_with(carried, &EXTEND, script_keys, args).await?;
            verdicts.extend(decode_verdicts(&EXTEND, &reply, chunk.len())?);
        }
        Ok(verdicts)
    }

    /// All of one queue and one transition.
    async fn settle_call(&self, group: &[Settlement]) -> Answer {
        let Some(first) = group.first() else { return Ok(Vec::new()) };
        let keys = self.keys().queue(first.lease.queue());
        let transition = first.transition();
        let mut script_keys =
            vec![keys.jobs().into(), keys.active().into(), keys.state().into(), keys.stats().into()];
        let mut args = (transition.head)(&keys);
        push_leases(&mut args, group.iter().map(|settlement| &settlement.lease.0));
        if let Outcome::Complete { .. } = first.outcome {
            for same in group.chunk_by(|a, b| a.group() == b.group()) {
                let (_, kind, retention) = same[0].group();
                script_keys.extend(transition.sets.iter().map(|set| Key::from(keys.set(kind, *set))));
                let kept = self.record_sizes().kept(first.lease.queue(), kind) as i64;
                args.extend([(same.len() as i64).into(), millis(retention), kept.into()]);
            }
        } else {
            let mut kinds = KindPlaces::default();
            args.extend(group.iter().map(|settlement| kinds.place(settlement.lease.kind())));
            script_keys.extend(kinds.keys(&keys, transition.sets));
        }
        args.extend(group.iter().filter_map(Settlement::delay));
        args.extend(group.iter().filter_map(Settlement::state).cloned());
        let carried = group.iter().map(Settlement::weight).sum();
        let reply = self.call_with(carried, transition.script, script_keys, args).await?;
        decode_verdicts(transition.script, &reply, group.len())
    }
}

/// What scripts on held jobs judge by: how many, their ids, their tokens.
pub(crate) fn push_leases<'a>(
    args: &mut Vec<Value>,
    leases: impl ExactSizeIterator<Item = &'a LeaseRef> + Clone,
) {
    args.push((leases.len() as i64).into());
    args.extend(leases.clone().map(|lease| Value::from(lease.id.short())));
    args.extend(leases.map(|lease| Value::from(lease.token.get() as i64)));
}

/// The kinds of a call and the place of each, from 1 as Lua counts.
#[derive(Default)]
pub(crate) struct KindPlaces {
    kinds: Vec<Arc<str>>,
}

impl KindPlaces {
    pub(crate) fn place(&mut self, kind: &Arc<str>) -> Value {
        let known = self.kinds.iter().position(|known| known == kind);
        let place = known.unwrap_or_else(|| {
            self.kinds.push(kind.clone());
            self.kinds.len() - 1
        });
        Value::Integer(place as i64 + 1)
    }

    pub(crate) fn keys(&self, keys: &QueueKeys, sets: &[Set]) -> Vec<Key> {
        self.kinds.iter().flat_map(|kind| sets.iter().map(|set| keys.set(kind, *set).into())).collect()
    }
}

pub(crate) fn millis(duration: Duration) -> Value {
    Value::Integer(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// Behind Redis' time, place and verdict of each job that is not simply done.
pub(crate) fn decode_verdicts(script: &Script, reply: &[Value], jobs: usize) -> Result<Vec<Verdict>, Error> {
    let mut verdicts = vec![Verdict::Done; jobs];
    for exception in reply[1..].chunks_exact(2) {
        let place = exception[0].as_u64().and_then(|place| verdicts.get_mut(place as usize));
        let verdict = match exception[1].as_i64() {
            Some(0) => Some(Verdict::Stale),
            Some(2) => Some(Verdict::Already),
            Some(3) => Some(Verdict::CancelRequested),
            _ => None,
        };
        let (Some(place), Some(verdict)) = (place, verdict) else {
            return Err(Error::corrupt(format!("the reply of {}: {reply:?}", script.name)));
        };
        *place = verdict;
    }
    Ok(verdicts)
}
