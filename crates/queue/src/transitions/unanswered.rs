//! Finding the jobs of a claim whose answer was lost.

use std::sync::Arc;

use fred::types::{Key, Value};

use crate::budget::MAX_BATCH;
use crate::core::Core;
use crate::error::Error;
use crate::keys::Set;
use crate::model::id::WorkerId;
use crate::model::lease::{FencingToken, Lease, LeaseRef};
use crate::scripts::UNANSWERED;
use crate::wire;

/// Claims of one worker in one queue that had no answer. The claims of a worker follow each other, and so do
/// their tokens: it has not heard of anything that it claimed between two answers.
#[derive(Debug, Clone)]
pub struct Unanswered<'a> {
    pub queue: &'a Arc<str>,
    pub kinds: &'a [Arc<str>],
    pub worker: WorkerId,
    /// Token of the last claim that was answered and took jobs.
    pub after: FencingToken,
    /// Token of the next one; unset while there is none.
    pub before: Option<FencingToken>,
    /// No lease of these claims runs out before this, Unix ms.
    pub deadline: i64,
}

/// The leases that these claims took. Nobody has run the jobs, so they can be handed back.
pub(crate) async fn unanswered(core: &Core, claims: &Unanswered<'_>) -> Result<Vec<Lease>, Error> {
    let keys = core.keys().queue(claims.queue);
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
                wire::count(skipped),
                wire::count(MAX_BATCH),
            ];
            let reply = core.call(&UNANSWERED, script_keys.clone(), args).await?;
            let seen = reply.number(0)? as usize;
            for [id, token] in reply.rows(1) {
                let id = id.as_str().and_then(|id| id.parse().ok()).ok_or_else(|| reply.corrupt())?;
                let token = token.as_str().and_then(|token| FencingToken::parse(&token));
                let token = token.ok_or_else(|| reply.corrupt())?;
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
