//! Jobs of a claim whose answer was lost.

use std::sync::Arc;

use fred::types::{Key, Value};

use crate::MAX_BATCH;
use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::model::id::WorkerId;
use crate::model::lease::{FencingToken, Lease, LeaseRef};
use crate::scripts::UNANSWERED;

/// Claims of one worker in one queue that had no answer. Its claims follow each other, and so do their
/// tokens: what it claimed between two answers, it has not heard of.
#[derive(Debug, Clone)]
pub struct Unanswered<'a> {
    pub queue: &'a Arc<str>,
    pub kinds: &'a [Arc<str>],
    pub worker: WorkerId,
    /// Token of the last claim that was answered and took jobs.
    pub after: FencingToken,
    /// Token of the next one; none yet.
    pub before: Option<FencingToken>,
    /// No lease of these claims runs out before this, Unix ms.
    pub deadline: i64,
}

impl Client {
    /// The leases that these claims took. Nobody has run the jobs: they can be handed back.
    pub async fn unanswered(&self, claims: &Unanswered<'_>) -> Result<Vec<Lease>, Error> {
        let keys = self.keys().queue(claims.queue);
        let mut leases = Vec::new();
        for kind in claims.kinds {
            let script_keys: Vec<Key> = vec![keys.active().into(), keys.set(kind, Set::Lease).into()];
            let mut skipped = 0;
            loop {
                let before = claims.before.map_or("inf".to_owned(), |token| token.to_string());
                let args: Vec<Value> = vec![
                    claims.worker.to_string().into(),
                    claims.after.to_string().into(),
                    before.into(),
                    claims.deadline.into(),
                    (skipped as i64).into(),
                    (MAX_BATCH as i64).into(),
                ];
                let reply = self.call(&UNANSWERED, script_keys.clone(), args).await?;
                let corrupt = || Error::corrupt("the reply of unanswered");
                let seen = reply.get(1).and_then(Value::as_usize).ok_or_else(corrupt)?;
                for job in reply[2..].chunks_exact(2) {
                    let id = job[0].as_str().and_then(|id| id.parse().ok()).ok_or_else(corrupt)?;
                    let token = job[1].as_str().and_then(|token| FencingToken::parse(&token));
                    let token = token.ok_or_else(corrupt)?;
                    let (queue, kind) = (claims.queue.clone(), kind.clone());
                    leases.push(Lease(LeaseRef { queue, kind, id, token }));
                }
                skipped += seen;
                if seen < MAX_BATCH {
                    break;
                }
            }
        }
        Ok(leases)
    }
}
