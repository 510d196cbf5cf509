//! Limits that all gateways share through a Redis, which may be away at any time.

use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use atode_config::redis::DefaultRedis;
use atode_config::{OnError, RateLimit};
use tokio::sync::watch;

use crate::connect::{StartError, connect};
use crate::decision::Decision;
use crate::denials::Denials;
use crate::memory::Memory;
use crate::metrics::{By, Metrics};
use crate::remote::Remote;
use crate::shared_calls::{Question, SharedCalls};
use crate::subject::Subject;

const AWAY: &str = "the rate limiter's Redis is away; decisions are made without it until it is back";

/// Time between two probes of a backend that is away.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) struct Shared {
    /// Set once a server has answered and has said whether it is a cluster.
    remote: OnceLock<Remote>,
    calls: SharedCalls,
    /// The policy and the client of a failed decision. While there is one, the circuit breaker is open: no request waits for
    /// the backend. A cluster has recovered only when the node behind that decision answers.
    failed: watch::Sender<Option<(Arc<Memory>, Subject)>>,
    denials: Denials,
    deadline: Duration,
    pub(crate) on_error: OnError,
    metrics: Arc<Metrics>,
}

impl Shared {
    /// Tries once to connect, so that a wrong configuration ends the start. If no server answers, it keeps trying in
    /// the background.
    pub(crate) async fn start(
        config: &RateLimit,
        redis: &DefaultRedis,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, StartError> {
        let shared = Arc::new(Shared {
            remote: OnceLock::new(),
            calls: SharedCalls::default(),
            failed: watch::Sender::new(None),
            denials: Denials::new(),
            deadline: config.deadline,
            on_error: config.on_error,
            metrics,
        });
        shared.connect(redis).await?;
        if shared.remote.get().is_none() {
            shared.metrics.breaker_open.set(1);
            let addrs = redis.addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            tracing::error!(addrs, on_error = ?config.on_error, "{AWAY}");
        }
        tokio::spawn(recover(Arc::downgrade(&shared), redis.clone()));
        Ok(shared)
    }

    /// `None` if the backend is away or did not answer before the deadline.
    pub(crate) async fn check(
        self: &Arc<Self>,
        memory: &Arc<Memory>,
        subject: &Subject,
        cost: NonZeroU32,
    ) -> Option<(By, Decision)> {
        if self.remote.get().is_none() || self.is_open() {
            return None;
        }
        let id = memory.policy.id;
        if let Some(denial) = self.denials.find(id, subject, cost) {
            return Some((By::Remembered, Decision::Denied(denial)));
        }
        let question = Question { id, subject: subject.clone(), cost };
        let (answer, is_first) = self.calls.join(&question);
        if is_first {
            // A separate task, because the first request may be dropped before the others have their decisions.
            tokio::spawn(self.clone().drive(memory.clone(), question));
        }
        Some((By::Redis, answer.await.ok()?))
    }

    fn is_open(&self) -> bool {
        self.failed.borrow().is_some()
    }

    /// Makes round trips until no request waits anymore.
    async fn drive(self: Arc<Self>, memory: Arc<Memory>, question: Question) {
        let Some(remote) = self.remote.get() else { return };
        let key = remote.key(&memory.policy, &question.subject);
        while let Some(group) = self.calls.next(&question).await {
            if self.is_open() {
                continue;
            }
            let decisions = remote.check(&memory.policy, &key, question.cost, group.len());
            // One timer for the group. The others arrived later, so none waits longer than the first.
            let failure = match tokio::time::timeout_at(group[0].since + self.deadline, decisions).await {
                Ok(Ok(decisions)) => {
                    self.record(&memory, &question, &decisions);
                    for (request, decision) in group.into_iter().zip(decisions) {
                        let _ = request.answer.send(decision);
                    }
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {:?}", self.deadline),
            };
            let is_new = self.failed.send_if_modified(|failed| {
                let was_closed = failed.is_none();
                failed.get_or_insert_with(|| (memory.clone(), question.subject.clone()));
                was_closed
            });
            if is_new {
                self.metrics.breaker_open.set(1);
                tracing::error!(error = failure, on_error = ?self.on_error, "{AWAY}");
            }
        }
    }

    /// Keeps the local limiter warm: if the backend goes away, nobody starts with a full quota. Remembers a refusal.
    fn record(&self, memory: &Memory, question: &Question, decisions: &[Decision]) {
        let allowed = decisions.iter().filter(|decision| matches!(decision, Decision::Allowed(_))).count();
        memory.spend(&question.subject, question.cost.get().saturating_mul(allowed as u32));
        if let Some(Decision::Denied(denial)) = decisions.last() {
            self.denials.remember(memory.policy.id, &question.subject, question.cost, denial);
        }
    }

    /// Does nothing if no server answers.
    async fn connect(&self, redis: &DefaultRedis) -> Result<(), StartError> {
        if let Some(client) = connect(redis).await? {
            let _ = self.remote.set(Remote::new(client, &redis.key_prefix));
            self.metrics.breaker_open.set(0);
            tracing::info!("rate limits are shared through Redis");
        }
        Ok(())
    }

    /// Closes the breaker if it is open and the server behind the failed decision answers.
    async fn probe(&self, remote: &Remote) {
        let Some((memory, subject)) = self.failed.borrow().clone() else { return };
        let probe = remote.probe(&memory.policy, &subject);
        if let Ok(Ok(())) = tokio::time::timeout(self.deadline, probe).await {
            self.failed.send_replace(None);
            self.metrics.breaker_open.set(0);
            tracing::info!("the rate limiter's Redis is back");
        }
    }
}

/// Connects to a backend that was away at the start, and probes one that failed later.
async fn recover(shared: Weak<Shared>, redis: DefaultRedis) {
    loop {
        tokio::time::sleep(PROBE_INTERVAL).await;
        let Some(shared) = shared.upgrade() else { return };
        if let Some(remote) = shared.remote.get() {
            shared.probe(remote).await;
        } else if let Err(error) = shared.connect(&redis).await {
            tracing::error!(%error, "the rate limiter cannot use its Redis");
        }
    }
}
