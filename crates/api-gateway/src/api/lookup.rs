//! Finds a job by its id.

use std::sync::Arc;

use atode_queue::{JobId, JobView, absent};

use crate::gateway::Gateway;
use crate::http::deadline::in_time;
use crate::http::problem::Problem;

pub(crate) fn parse_id(id: &str) -> Result<JobId, Problem> {
    id.parse().map_err(|error| Problem::malformed(format!("{error}")))
}

/// The current state of the job, or a 404.
pub(crate) async fn job(gateway: &Gateway, id: JobId) -> Result<JobView, Problem> {
    in_time(find(gateway, id), Problem::from).await?.ok_or_else(|| unknown_job(gateway, id))
}

/// Looks in the configured queues, then in all other known queues: a job does not become invisible because its queue was
/// removed from the configuration.
async fn find(gateway: &Gateway, id: JobId) -> Result<Option<JobView>, Problem> {
    let _permit = gateway.lookups.acquire().await;
    let mut found = gateway.client.job(&gateway.queues, id).await?;
    if found.is_none() {
        found = gateway.client.job(&unconfigured_queues(gateway).await?, id).await?;
    }
    Ok(found.map(|job| gateway.rules.with_defaults(job)))
}

/// The configured queues, then those that are not.
pub(crate) async fn all_queues(gateway: &Gateway) -> Result<Vec<Arc<str>>, Problem> {
    Ok([gateway.queues.clone(), unconfigured_queues(gateway).await?].concat())
}

/// The queues that hold or held jobs and are no longer configured.
pub(crate) async fn unconfigured_queues(gateway: &Gateway) -> Result<Vec<Arc<str>>, Problem> {
    let names = gateway.client.queue_names().await?;
    Ok(names.into_iter().map(Arc::from).filter(|name| !gateway.queues.contains(name)).collect())
}

/// A 404 that says what the id itself reveals.
pub(crate) fn unknown_job(gateway: &Gateway, id: JobId) -> Problem {
    Problem::not_found(absent::job(id, gateway.client.now()))
}
