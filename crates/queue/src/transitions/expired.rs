//! Finding jobs whose lease ran out.

use std::sync::Arc;
use std::time::Duration;

use fred::types::Value;

use crate::client::Client;
use crate::error::Error;
use crate::keys::Set;
use crate::model::history::History;
use crate::model::holder::Holder;
use crate::model::lease::{ExpiredLease, LeaseRef};
use crate::model::run::Run;
use crate::scripts::EXPIRED;
use crate::transitions::put_back::Unreadable;
use crate::wire;

/// Jobs examined per kind in one call.
const EXAMINED: i64 = 500;

/// An active job whose lease ran out.
#[derive(Debug, Clone)]
pub struct Expired {
    pub lease: ExpiredLease,
    pub history: History,
    /// The run that it was claimed for.
    pub run: Run,
    /// Redis' time, Unix ms.
    pub now: i64,
}

/// Leases that had run out.
#[derive(Debug, Default)]
pub struct ExpiredLeases {
    /// For [`Client::reap`](crate::Client::reap).
    pub jobs: Vec<Expired>,
    /// For [`Client::put_back`](crate::Client::put_back).
    pub unreadable: Vec<Unreadable>,
}

impl Client {
    /// Jobs of a queue whose lease ran out, of all kinds, whether this process knows them or not.
    pub async fn expired(&self, queue: &Arc<str>, lease: Duration) -> Result<ExpiredLeases, Error> {
        let core = &self.0.core;
        let keys = core.keys.queue(queue);
        let kinds = core.kinds_of(queue).await?;
        let script_keys = wire::keys(&keys, [keys.active(), keys.state()], &kinds, &[Set::Lease]);
        let args = vec![EXAMINED.into(), wire::millis(lease), wire::count(core.incoming.bytes())];
        let reply = core.call(&EXPIRED, script_keys, args).await?;
        let mut expired = ExpiredLeases::default();
        for [place, member, entry, state] in reply.rows(0) {
            let kind = wire::kind_at(&kinds, place).ok_or_else(|| reply.corrupt())?;
            if let Some(job) = decode(queue, kind, member, entry, state, reply.now) {
                expired.jobs.push(job);
            } else {
                expired.unreadable.extend(Unreadable::decode(kind, member, entry, state, reply.now));
            }
        }
        Ok(expired)
    }
}

fn decode(
    queue: &Arc<str>,
    kind: &Arc<str>,
    member: &Value,
    entry: &Value,
    state: &Value,
    now: i64,
) -> Option<Expired> {
    let id = member.as_str()?.parse().ok()?;
    let (token, holder) = Holder::decode(&entry.as_str()?)?;
    let history = wire::history(id, state);
    let lease = ExpiredLease(LeaseRef { queue: queue.clone(), kind: kind.clone(), id, token });
    let run = holder.into_run(&history);
    Some(Expired { lease, history, run, now })
}
