//! Finding the jobs of a claim whose answer was lost.

use std::sync::Arc;

use fred::types::Value;

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

pub(crate) async fn unanswered(core: &Core, claims: &Unanswered<'_>) -> Result<Vec<Lease>, Error> {
    let keys = core.keys.queue(claims.queue);
    let mut leases = Vec::new();
    for kind in claims.kinds {
        let script_keys = wire::keys(&keys, [keys.active()], [kind], &[Set::Lease]);
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
                let lease = lease(claims.queue, kind, id, token).ok_or_else(|| reply.corrupt())?;
                leases.push(Lease(lease));
            }
            skipped += seen;
            if seen < MAX_BATCH {
                break;
            }
        }
    }
    Ok(leases)
}

fn lease(queue: &Arc<str>, kind: &Arc<str>, id: &Value, token: &Value) -> Option<LeaseRef> {
    let (id, token) = (id.as_str()?.parse().ok()?, FencingToken::parse(&token.as_str()?)?);
    Some(LeaseRef { queue: queue.clone(), kind: kind.clone(), id, token })
}
