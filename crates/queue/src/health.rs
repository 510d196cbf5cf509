//! The health of the Redis that holds the jobs: it is checked after each connect and every few seconds.

use std::sync::Arc;
use std::time::Duration;

use fred::types::{Key, Value};

use crate::core::Core;
use crate::error::{Error, RefusalCode};
use crate::redis::delivery::Delivery;
use crate::redis::facts::ServerFacts;
use crate::redis::format;
use crate::scripts::ENQUEUE;

/// Time between two checks; an emptied Redis is noticed within it.
const INTERVAL: Duration = Duration::from_secs(5);

/// The queue whose keys the storage check names. It writes nothing, so any queue will do.
const QUEUE: &str = "default";

pub(crate) async fn facts(core: &Core, delivery: &Delivery) -> Result<ServerFacts, Error> {
    let connection = &core.connection;
    if connection.server.seen().look.as_ref().is_none_or(|(at, _)| at.elapsed() > INTERVAL) {
        connection.look_at_access().await?;
    }
    let facts = connection.server_facts().await?;
    let refusal = refusal(core).await;
    Ok(ServerFacts {
        emptied_at: core.identity.emptied_at(),
        delivery_fails: delivery.fails(),
        refusal,
        ..facts
    })
}

/// Logs each problem once while it lasts. Ends with the last reference to `core`.
pub(crate) fn watch(core: &Arc<Core>) {
    let weak = Arc::downgrade(core);
    let mut connects = core.connection.connects();
    core.runtime.spawn(async move {
        let mut logged = Vec::new();
        while let Some(core) = weak.upgrade() {
            // Other tasks log that Redis is away.
            let _ = core.identity.look(&core.connection, &core.keys, core.clock.now()).await;
            let _ = look_at_format(&core).await;
            drop(core); // the last client may be gone by now
            let _ = tokio::time::timeout(INTERVAL, connects.changed()).await;
            let Some(core) = weak.upgrade() else { return };
            if core.connection.server.findings().obstacle.is_some() {
                let _ = core.connection.look_at_access().await;
            }
            log_problems(&core, &mut logged).await;
        }
    });
}

/// Notices that the jobs have a newer format than this build knows.
async fn look_at_format(core: &Core) -> Result<(), Error> {
    if format::note(&core.connection.asker()?, &core.keys).await? {
        core.connection.look_at_access().await?;
    }
    Ok(())
}

async fn log_problems(core: &Core, logged: &mut Vec<String>) {
    let Ok(facts) = core.connection.server_facts().await else { return };
    let redis = core.connection.address();
    let mut problems = facts.warnings();
    problems.iter().filter(|warning| !logged.contains(warning)).for_each(|warning| {
        tracing::warn!(redis, "{warning}");
    });
    if let Some(obstacle) = facts.obstacle() {
        if !logged.contains(&obstacle) {
            tracing::error!(redis, "no job can be stored or run: {obstacle}");
        }
        problems.push(obstacle);
    }
    *logged = problems;
}

/// The reason why Redis would refuse a job now, and the remedy. An enqueue script without a job finds it out:
/// Redis refuses it like any other, and it writes nothing.
async fn refusal(core: &Core) -> Option<String> {
    let keys = core.keys.queue(QUEUE);
    let keys = [keys.jobs(), keys.kinds(), keys.stats()].map(Key::from).into();
    // atomic, wake channel, ms of a key, kinds, jobs
    let args: Vec<Value> = vec!["0".into(), "".into(), 0.into(), 0.into(), 0.into()];
    let Err(Error::Refused { code, .. }) = core.call(&ENQUEUE, keys, args).await else { return None };
    Some(match code {
        RefusalCode::OutOfMemory => {
            "Redis' memory is full, and it refuses new jobs. Purge finished and dead jobs (POST \
             /v1/queues/{queue}/purge?state=completed), or raise maxmemory."
                .to_owned()
        }
        RefusalCode::Misconfigured => {
            "Redis cannot save to its disk (MISCONF), and refuses new jobs and their results. Its log says why; \
             is the disk full?"
                .to_owned()
        }
        RefusalCode::NoReplicas => {
            "Redis has fewer replicas than min-replicas-to-write, and refuses new jobs and their results. Start \
             them, or lower the setting."
                .to_owned()
        }
        other => format!("Redis refuses new jobs at the moment ({other:?})."),
    })
}
