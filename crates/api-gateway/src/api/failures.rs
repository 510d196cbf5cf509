//! `GET /v1/failures`: dead jobs grouped by cause. `POST /v1/failures/{fingerprint}/redrive`: all jobs of one cause.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use atode_queue::{Fingerprint, MAX_BATCH};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::filter::{limit, queues};
use crate::gateway::Gateway;
use crate::http::deadline::in_time;
use crate::http::problem::Problem;
use crate::http::queue_errors;
use crate::http::replies::Reply;
use crate::http::unread::NoBody;

/// Groups in one reply unless `limit` asks for fewer.
const MAX_GROUPS: usize = 1_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailuresQuery {
    /// Only the dead jobs of this queue.
    queue: Option<String>,
    /// Only the dead jobs of this kind.
    kind: Option<String>,
    /// Groups in the reply; 1,000 if absent.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1_000))]
    limit: Option<String>,
}

pub(crate) async fn list(gateway: Data<Gateway>, query: Query<FailuresQuery>) -> Reply {
    let limit = limit(query.limit.as_deref(), MAX_GROUPS, MAX_GROUPS)?;
    let read = async {
        let queues = queues(&gateway, query.queue.as_deref(), query.kind.as_deref()).await?;
        Ok(gateway.client.failures(&queues, query.kind.as_deref(), limit).await?)
    };
    Ok(HttpResponse::Ok().json(in_time(read, Problem::from).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedriveQuery {
    /// Only the dead jobs of this queue.
    queue: Option<String>,
}

/// Looks at 1,000 dead jobs at most. If `remaining` is above 0, the client calls again.
pub(crate) async fn redrive(
    gateway: Data<Gateway>,
    fingerprint: Path<String>,
    query: Query<RedriveQuery>,
    _: NoBody,
) -> Reply {
    let fingerprint: Fingerprint = fingerprint
        .parse()
        .map_err(|error| Problem::malformed(format!("{error}; GET /v1/failures lists the fingerprints")))?;
    let redriven = async {
        let queues = queues(&gateway, query.queue.as_deref(), None).await?;
        gateway.client.redrive_failure(&queues, fingerprint, MAX_BATCH).await.map_err(queue_errors::of_change)
    };
    Ok(HttpResponse::Ok().json(in_time(redriven, queue_errors::of_change).await?))
}
