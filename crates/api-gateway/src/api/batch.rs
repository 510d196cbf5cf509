//! `POST /v1/jobs/batch`: stores up to 1,000 jobs, either all or none (`atomic`), or each on its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use atode_config::traces::{Span, Trace};
use atode_jobs::{FieldError, JobRequest, KeySource, Prepared, batch_span};
use atode_queue::{Enqueued, Error, JobView, NewJob};
use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::api::enqueue::{answer, find_duplicate, key_reused};
use crate::api::idempotency_key::idempotency_key;
use crate::gateway::Gateway;
use crate::http::body;
use crate::http::deadline::{ANSWER_TIME, in_time};
use crate::http::json;
use crate::http::limits::limit_jobs;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::problem_types::Slug;
use crate::http::queue_errors;
use crate::http::replies::{PartialFailures, Reply};
use crate::http::traces::trace_of;
use crate::http::unread::NoQuery;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchRequest<'a> {
    #[serde(borrow)]
    #[schemars(with = "Vec<JobRequest>", length(min = 1, max = 1_000))]
    jobs: Vec<&'a RawValue>,
    /// Store all jobs or none. They have to be in one queue.
    #[serde(default)]
    atomic: bool,
}

/// The result of a job of a batch: either the job or the problem.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ItemResult<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a JobView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemDocument<'a>>,
}

/// A valid item, and whether it is stored.
struct Item<'a> {
    prepared: Prepared<'a>,
    stored: Result<Enqueued, Error>,
}

type Items<'a> = Vec<Result<Item<'a>, Problem>>;

/// The time limit of the look-up of a job that was stored before.
const LOOKUP_TIME: Duration = Duration::from_millis(300);

/// Approximate bytes of an item's result, without its payload, which is returned unchanged.
const RESULT_BYTES: usize = 512;

pub(crate) async fn enqueue(
    gateway: Data<Gateway>,
    request: HttpRequest,
    payload: Payload,
    _: NoQuery,
) -> Reply {
    let key = idempotency_key(&request)?;
    let body = body::read(&gateway, &request, payload, body::JSON, gateway.max_batch_bytes).await?;
    let batch: BatchRequest<'_> = json::object(json::text(&body)?)?;
    if batch.jobs.is_empty() || batch.jobs.len() > atode_queue::MAX_BATCH {
        let detail = format!("expected 1 to {} jobs, found {}", atode_queue::MAX_BATCH, batch.jobs.len());
        return Err(Problem::invalid_field("/jobs", detail));
    }
    limit_jobs(&gateway, &request, batch.jobs.len()).await?;
    let mut response = HttpResponse::Ok();
    let mut items: Items<'_> = batch
        .jobs
        .iter()
        .enumerate()
        .map(|(n, item)| {
            let item = prepare_item(&gateway, n, item.get(), key.as_deref());
            item.map_err(|problem| problem.below(&format!("/jobs/{n}")))
        })
        .collect();
    let mut span = begin_span(&mut items, trace_of(&request));
    let stored = if batch.atomic {
        let stored = store_all_or_nothing(&gateway, &mut items);
        in_time(stored, queue_errors::of_enqueue).await.map(|()| Vec::new())
    } else {
        store_each(&gateway, &mut items).await
    };
    if let Some(span) = &mut span {
        match &stored {
            Ok(failures) => failures.iter().take(1).for_each(|error| span.fail("partly_failed", error)),
            Err(problem) => span.fail(problem.slug.about().slug, &problem.detail),
        }
    }
    drop(span);
    response.extensions_mut().insert(PartialFailures(stored?));
    let capacity = body.len() + RESULT_BYTES * items.len();
    Ok(response.content_type(ContentType::json()).body(results(&gateway, items, capacity).await?))
}

/// A key in the header applies to the whole batch: an item without a key of its own gets the header's key and its
/// index, separated by a character that keys cannot contain.
fn prepare_item<'a>(
    gateway: &Gateway,
    n: usize,
    item: &'a str,
    key: Option<&str>,
) -> Result<Item<'a>, Problem> {
    if item.len() > gateway.max_body_bytes {
        let detail =
            format!("the job is larger than {} bytes, the limit of a single job", gateway.max_body_bytes);
        return Err(Problem::new(Slug::TooLarge, detail));
    }
    let request: JobRequest<'_> = json::object(item)?;
    let key = key.map(|key| format!("{key}\n{n}"));
    let key = KeySource::Item(key.as_deref());
    let prepared = gateway.rules.prepare(&request, item, key, gateway.client.now())?;
    Ok(Item { prepared, stored: Err(Error::NotSent("an earlier call was not answered".to_owned())) })
}

/// Starts the span of storing the valid items, if it is recorded. They carry it, or the trace of the request.
fn begin_span(items: &mut Items<'_>, cause: Option<Trace>) -> Option<Span> {
    let mut queues = items.iter().flatten().map(|item| &item.prepared.job.queue);
    let queue = queues.next()?.clone();
    let queue = queues.all(|other| *other == queue).then_some(&*queue);
    let (span, trace) = batch_span(items.iter().flatten().count(), queue, cause);
    if trace.is_some() {
        for item in items.iter_mut().flatten() {
            item.prepared.job = item.prepared.job.clone().caused_by(trace.clone());
        }
    }
    span
}

/// Stores the batch in one call whatever its size, because a first call could not be undone if a second one failed.
async fn store_all_or_nothing(gateway: &Gateway, items: &mut Items<'_>) -> Result<(), Problem> {
    fail_if_any(items.iter().map(|item| item.as_ref().err().cloned()), "")?;
    let jobs: Vec<NewJob> = items.iter().flatten().map(|item| item.prepared.job.clone()).collect();
    let queue = jobs[0].queue.clone();
    if let Some(n) = jobs.iter().position(|job| job.queue != queue) {
        let detail = "all jobs of an atomic batch have to go to the same queue";
        return Err(Problem::invalid_field(&format!("/jobs/{n}/queue"), detail));
    }
    let stored = gateway.client.enqueue_all_or_nothing(&queue, &jobs).await;
    let stored = stored.map_err(queue_errors::of_enqueue)?;
    let conflicts = stored.iter().map(|stored| match stored {
        Enqueued::Conflict(id) => Some(key_reused(*id)),
        _ => None,
    });
    fail_if_any(conflicts, "/idempotency_key")?;
    for (item, stored) in items.iter_mut().flatten().zip(stored) {
        item.stored = Ok(stored);
    }
    Ok(())
}

/// One problem made of those of the items. `field` is the place within an item for a problem that names none.
fn fail_if_any(problems: impl Iterator<Item = Option<Problem>>, field: &str) -> Result<(), Problem> {
    let problems = problems.enumerate().filter_map(|(n, problem)| Some((n, problem?)));
    let errors = problems.flat_map(|(n, problem)| problem.into_errors(&format!("/jobs/{n}{field}")));
    let errors: Vec<FieldError> = errors.collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}

/// Stores each job on its own, one call per queue after another. If Redis stops answering, nothing more is sent, so
/// that only the jobs of one call have an unknown outcome. If no job was stored, the whole batch fails. Returns the
/// failures for the log.
async fn store_each(gateway: &Gateway, items: &mut Items<'_>) -> Result<Vec<String>, Problem> {
    let mut queues: BTreeMap<Arc<str>, Vec<&mut Item<'_>>> = BTreeMap::new();
    for item in items.iter_mut().flatten() {
        queues.entry(item.prepared.job.queue.clone()).or_default().push(item);
    }
    let mut failures = Vec::new();
    let start = Instant::now();
    for (queue, items) in queues {
        let jobs: Vec<NewJob> = items.iter().map(|item| item.prepared.job.clone()).collect();
        let time_left = ANSWER_TIME.saturating_sub(start.elapsed());
        let results = gateway.client.enqueue_each_within(time_left, &queue, &jobs).await;
        let failed = results.iter().find_map(|result| result.as_ref().err().cloned());
        for (item, result) in items.into_iter().zip(results) {
            item.stored = result;
        }
        if let Some(error) = failed {
            failures.push(format!("queue {queue}: {error}"));
            if matches!(error, Error::NotSent(_) | Error::Unknown(_)) {
                break;
            }
        }
    }
    if !items.iter().flatten().any(|item| item.stored.is_ok()) {
        // An unknown outcome matters more than a job that was not stored.
        let errors = items.iter().flatten().filter_map(|item| item.stored.as_ref().err());
        if let Some(error) = errors.min_by_key(|error| error.nothing_happened()) {
            return Err(queue_errors::of_enqueue(error.clone()));
        }
    }
    Ok(failures)
}

/// The body of the reply. It is written result by result, because a second copy of all jobs would be large.
async fn results(gateway: &Gateway, items: Items<'_>, capacity: usize) -> Result<Vec<u8>, Problem> {
    // Jobs that were stored before are looked up concurrently.
    let lookups = items.iter().flatten().filter_map(|item| {
        let Ok(Enqueued::Duplicate(id)) = item.stored else { return None };
        let lookup = tokio::time::timeout(LOOKUP_TIME, find_duplicate(gateway, &item.prepared, id));
        Some(async move { lookup.await.unwrap_or_else(|late| Err(queue_errors::of_duplicate(id, late))) })
    });
    let mut duplicates = join_all(lookups).await.into_iter();
    let (mut created, mut duplicate_count, mut rejected) = (0, 0, 0);
    let mut results = Vec::with_capacity(capacity);
    for (n, item) in items.into_iter().enumerate() {
        let answer = item.and_then(|item| {
            let is_duplicate = matches!(item.stored, Ok(Enqueued::Duplicate(_)));
            let duplicate = if is_duplicate { duplicates.next() } else { None };
            answer(gateway, item.prepared, item.stored, duplicate.unwrap_or(Ok(None)))
        });
        let result = match &answer {
            Ok((status, job)) => ItemResult { status: status.as_u16(), job: Some(job), problem: None },
            Err(problem) => ItemResult {
                status: problem.status.as_u16(),
                job: None,
                problem: Some(problem.document(None)),
            },
        };
        *match result.status {
            201 => &mut created,
            200 => &mut duplicate_count,
            _ => &mut rejected,
        } += 1;
        if n > 0 {
            results.push(b',');
        }
        serde_json::to_writer(&mut results, &result).map_err(|error| {
            Problem::new(Slug::Internal, "the reply cannot be serialized").caused_by(error)
        })?;
    }
    let counts =
        format!(r#"{{"created":{created},"duplicate":{duplicate_count},"rejected":{rejected},"results":["#);
    results.splice(0..0, counts.into_bytes());
    results.extend_from_slice(b"]}");
    Ok(results)
}
