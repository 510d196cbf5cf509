//! `PATCH /v1/jobs/{id}`: changes a waiting job. `If-Match` with the `ETag` of an earlier reply makes sure that nobody
//! else changed the job meanwhile.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, HeaderMap, HeaderValue, IF_MATCH};
use actix_web::web::{Data, Path, Payload};
use atode_jobs::EditRequest;
use atode_queue::{Edit, Edited, JobId, JobView};

use crate::api::lookup::{job, parse_id};
use crate::gateway::Gateway;
use crate::http::body;
use crate::http::deadline::in_time;
use crate::http::json;
use crate::http::problem::Problem;
use crate::http::problem_types::Slug;
use crate::http::queue_errors;
use crate::http::replies::{self, Reply};
use crate::http::unread::NoQuery;

pub(crate) async fn edit(
    gateway: Data<Gateway>,
    id: Path<String>,
    request: HttpRequest,
    payload: Payload,
    _: NoQuery,
) -> Reply {
    let id = parse_id(&id)?;
    let version = expected_version(request.headers())?;
    let body = body::read(&gateway, &request, payload, body::JSON, gateway.max_body_bytes).await?;
    let change: EditRequest<'_> = json::object(json::text(&body)?)?;
    let edited = in_time(edit_job(&gateway, id, version.as_deref(), &change), queue_errors::of_edit);
    reply(&edited.await?)
}

/// A job as JSON, with the version that an edit may ask for.
pub(crate) fn reply(job: &JobView) -> Reply {
    let mut response = replies::json(StatusCode::OK, job)?;
    if let Some(version) = &job.version
        && let Ok(tag) = HeaderValue::try_from(format!("\"{version}\""))
    {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

async fn edit_job(
    gateway: &Gateway,
    id: JobId,
    version: Option<&str>,
    change: &EditRequest<'_>,
) -> Result<JobView, Problem> {
    let before = job(gateway, id).await?;
    let change: Edit = gateway.rules.edit(&before, change, gateway.client.now())?;
    let edited = gateway.client.edit(&before.queue, &before.kind, id, version, &change).await;
    match edited.map_err(queue_errors::of_edit)? {
        Edited::Done => after(gateway, before).await,
        Edited::Refused(state) => {
            let detail = format!("job {id} is {state}: only a waiting job can be changed");
            Err(Problem::new(Slug::WrongState, detail))
        }
        Edited::OtherVersion => {
            let detail =
                format!("job {id} was changed since it was read; nothing was changed by this request");
            Err(Problem::new(Slug::VersionMismatch, detail))
        }
        Edited::Gone => Err(Problem::not_found(format!("there is no job {id} anymore"))),
    }
}

/// The job after the edit. It may have run and been removed meanwhile.
async fn after(gateway: &Gateway, before: JobView) -> Result<JobView, Problem> {
    let found = gateway.client.job(&[before.queue.as_str().into()], before.id).await;
    let found = found.map_err(|error| queue_errors::of_edit(error.behind_a_change()))?;
    Ok(found.map_or(JobView { state: None, ..before }, |job| gateway.rules.with_defaults(job)))
}

/// The version in `If-Match`. `*` is any version.
fn expected_version(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let tag = tag.filter(|tag| !tag.is_empty() && !tag.contains('"'));
    tag.map(|tag| Some(tag.to_owned()))
        .ok_or_else(|| Problem::malformed("If-Match is the ETag of an earlier reply, with its quotes, or *"))
}
