//! `POST /v1/bulk`, `GET /v1/bulk`, `GET /v1/bulk/{id}`, `POST /v1/bulk/{id}/abort`: one change of many jobs.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, LOCATION};
use actix_web::web::{Data, Path, Payload, Query};
use atode_jobs::{BulkRequest, ListError};
use atode_queue::{
    Aborted, BulkId, BulkState, BulkView, Created, Idempotency, Items, absent, not_abortable, too_many_bulks,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::filter::limit;
use crate::api::idempotency_key::{IDEMPOTENT_REPLAYED, idempotency_key};
use crate::api::lookup::all_queues;
use crate::gateway::Gateway;
use crate::http::body;
use crate::http::deadline::in_time;
use crate::http::json;
use crate::http::problem::Problem;
use crate::http::problem_types::Slug;
use crate::http::queue_errors;
use crate::http::replies::{self, Reply};
use crate::http::unread::{NoQuery, PathOnly};

/// Bulk operations of a reply that does not name its limit.
const DEFAULT_LIMIT: usize = 50;
/// The number of those that are kept.
const MAX_LIMIT: usize = 1_000;

pub(crate) async fn start(
    gateway: Data<Gateway>,
    request: HttpRequest,
    payload: Payload,
    _: NoQuery,
) -> Reply {
    let key = idempotency_key(&request)?;
    let body = body::read(&gateway, &request, payload, body::JSON, gateway.max_body_bytes).await?;
    let bulk: BulkRequest = json::object(json::text(&body)?)?;
    if bulk.dry_run {
        let preview = async {
            let _permit = gateway.lookups.acquire().await;
            let queues = all_queues(&gateway).await?;
            Ok(bulk.preview(&gateway.client, &gateway.rules, &queues).await?)
        };
        return replies::json(StatusCode::OK, &in_time(preview, Problem::from).await?);
    }
    let key = key.map(|key| Idempotency::new("", &key, &body));
    let start = async {
        let queues = all_queues(&gateway).await?;
        let created = bulk.start(&gateway.client, &gateway.rules, &queues, key).await;
        match created.map_err(problem)? {
            Created::Created(bulk) => Ok((bulk, false)),
            Created::Duplicate(id) => Ok((Box::new(read(&gateway, id).await?), true)),
            Created::Conflict(id) => {
                let detail =
                    format!("this idempotency key was used for bulk operation {id}, with another body");
                Err(Problem::new(Slug::IdempotencyKeyReused, detail))
            }
            Created::Full => Err(Problem::new(Slug::WrongState, too_many_bulks())),
        }
    };
    let (bulk, is_repeated) = in_time(start, queue_errors::of_bulk).await?;
    gateway.bulk_wanted.notify_one();
    let mut reply = replies::json(StatusCode::ACCEPTED, &bulk)?;
    if let Ok(location) = HeaderValue::try_from(format!("/v1/bulk/{}", bulk.id)) {
        reply.headers_mut().insert(LOCATION, location);
    }
    if is_repeated {
        reply.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(reply)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkQuery {
    /// Bulk operations at most; 50 if absent.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1_000))]
    limit: Option<String>,
}

pub(crate) async fn list(gateway: Data<Gateway>, query: Query<BulkQuery>) -> Reply {
    let limit = limit(query.limit.as_deref(), DEFAULT_LIMIT, MAX_LIMIT)?;
    let read = async { Ok(gateway.client.bulks().list(limit).await?) };
    let items = in_time(read, Problem::from).await?;
    replies::json(StatusCode::OK, &Items::<BulkView> { items })
}

pub(crate) async fn show(gateway: Data<Gateway>, id: Path<String>, _: NoQuery) -> Reply {
    let id = parse_id(&id)?;
    replies::json(StatusCode::OK, &in_time(read(&gateway, id), Problem::from).await?)
}

pub(crate) async fn abort(gateway: Data<Gateway>, id: Path<String>, _: PathOnly) -> Reply {
    let id = parse_id(&id)?;
    let aborted = async { gateway.client.bulks().abort(id).await.map_err(queue_errors::of_change) };
    match in_time(aborted, queue_errors::of_change).await? {
        Aborted::Done(bulk) => {
            let is_asked = bulk.state == BulkState::Aborting;
            replies::json(if is_asked { StatusCode::ACCEPTED } else { StatusCode::OK }, &bulk)
        }
        Aborted::Refused(state) => Err(Problem::new(Slug::WrongState, not_abortable(id, state))),
        Aborted::Gone => Err(Problem::not_found(absent::bulk(id))),
    }
}

fn parse_id(id: &str) -> Result<BulkId, Problem> {
    id.parse().map_err(|error| Problem::malformed(format!("{error}")))
}

async fn read(gateway: &Gateway, id: BulkId) -> Result<BulkView, Problem> {
    gateway.client.bulks().get(id).await?.ok_or_else(|| Problem::not_found(absent::bulk(id)))
}

/// The problem of a start, which may have taken effect.
fn problem(error: ListError) -> Problem {
    match error {
        ListError::Invalid(invalid) => invalid.into(),
        ListError::Queue(error) => queue_errors::of_bulk(error),
    }
}
