//! `POST /v1/jobs/batch`: stores up to 1,000 jobs, either all or none (`atomic`), or each on its own.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use atode_jobs::{FieldError, JobRequest, KeySource, Prepared};
use atode_queue::{Enqueued, Error, JobView, NewJob};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::api::idempotency_key::idempotency_key;
use crate::api::store::{answer, find_duplicate, key_reused};
use crate::gateway::Gateway;
use crate::http::body;
use crate::http::deadline::{ANSWER_TIME, in_time};
use crate::http::json;
use crate::http::limits::limit_jobs;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::queue_errors;
use crate::http::replies::{PartialFailures, Reply};
use crate::http::slug::Slug;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchRequest<'a> {
    #[serde(borrow)]
    jobs: Vec<&'a RawValue>,
    #[serde(default)]
    atomic: bool,
}

#[derive(Serialize)]
struct ItemResult<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a JobView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemDocument<'a>>,
}

/// The time limit of the look-up of a job that was stored before.
const LOOKUP_TIME: Duration = Duration::from_millis(300);

/// Approximate bytes of an item's result, without its payload, which is returned unchanged.
const RESULT_BYTES: usize = 512;

pub(crate) async fn enqueue(gateway: Data<Gateway>, request: HttpRequest, payload: Payload) -> Reply {
    let key = idempotency_key(&request)?;
    let body = body::read(&gateway, &request, payload, body::JSON, gateway.max_batch_bytes).await?;
    let batch: BatchRequest<'_> = json::object(json::text(&body)?)?;
    if batch.jobs.is_empty() || batch.jobs.len() > atode_queue::MAX_BATCH {
        let detail = format!("expected 1 to {} jobs, found {}", atode_queue::MAX_BATCH, batch.jobs.len());
        return Err(Problem::invalid_field("/jobs", detail));
    }
    limit_jobs(&gateway, &request, batch.jobs.len()).await?;
    let prepared: Vec<Result<Prepared, Problem>> = batch
        .jobs
        .iter()
        .enumerate()
        .map(|(n, item)| {
            let prepared = prepare_item(&gateway, n, item.get(), key.as_deref());
            prepared.map_err(|problem| problem.below(&format!("/jobs/{n}")))
        })
        .collect();
    let (stored, failures) = if batch.atomic {
        (in_time(store_all_or_nothing(&gateway, &prepared), queue_errors::of_enqueue).await?, Vec::new())
    } else {
        store_each(&gateway, &prepared).await?
    };
    let capacity = body.len() + RESULT_BYTES * prepared.len();
    let json = results(&gateway, prepared, stored, capacity).await?;
    let mut response = HttpResponse::Ok().content_type(ContentType::json()).body(json);
    response.extensions_mut().insert(PartialFailures(failures));
    Ok(response)
}

/// A key in the header applies to the whole batch: an item without a key of its own gets the header's key and its
/// index, separated by a character that keys cannot contain.
fn prepare_item<'a>(
    gateway: &Gateway,
    n: usize,
    item: &'a str,
    key: Option<&str>,
) -> Result<Prepared<'a>, Problem> {
    if item.len() > gateway.max_body_bytes {
        let detail =
            format!("the job is larger than {} bytes, the limit of a single job", gateway.max_body_bytes);
        return Err(Problem::new(Slug::TooLarge, detail));
    }
    let request: JobRequest<'_> = json::object(item)?;
    let key = key.map(|key| format!("{key}\n{n}"));
    let key = KeySource::Item(key.as_deref());
    Ok(gateway.rules.prepare(&request, item, key, gateway.client.now())?)
}

/// Stores the batch in one call whatever its size, because a first call could not be undone if a second one failed.
async fn store_all_or_nothing(
    gateway: &Gateway,
    prepared: &[Result<Prepared<'_>, Problem>],
) -> Result<Vec<Result<Enqueued, Error>>, Problem> {
    let refused = prepared.iter().map(|item| item.as_ref().err().cloned());
    fail_if_any(refused, "")?;
    let jobs: Vec<NewJob> = prepared.iter().flatten().map(|item| item.job.clone()).collect();
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
    Ok(stored.into_iter().map(Ok).collect())
}

/// One problem made of those of the items. `field` is the place within an item for a problem that names none.
fn fail_if_any(problems: impl Iterator<Item = Option<Problem>>, field: &str) -> Result<(), Problem> {
    let problems = problems.enumerate().filter_map(|(n, problem)| Some((n, problem?)));
    let errors = problems.flat_map(|(n, problem)| problem.into_errors(&format!("/jobs/{n}{field}")));
    let errors: Vec<FieldError> = errors.collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}

/// Stores each job on its own, one call per queue after another. If Redis stops answering, nothing more is sent, so that
/// only the jobs of one call have an unknown outcome. If no job was stored, the whole batch fails. Also returns the
/// failures for the log.
async fn store_each(
    gateway: &Gateway,
    prepared: &[Result<Prepared<'_>, Problem>],
) -> Result<(Vec<Result<Enqueued, Error>>, Vec<String>), Problem> {
    let mut queues: BTreeMap<&str, (Vec<usize>, Vec<NewJob>)> = BTreeMap::new();
    for (n, item) in prepared.iter().enumerate() {
        if let Ok(item) = item {
            let (places, jobs) = queues.entry(&item.job.queue).or_default();
            places.push(n);
            jobs.push(item.job.clone());
        }
    }
    let mut failures = Vec::new();
    let start = Instant::now();
    let not_sent = || Err(Error::NotSent("an earlier call was not answered".to_owned()));
    let mut stored: Vec<Result<Enqueued, Error>> = prepared.iter().map(|_| not_sent()).collect();
    for (queue, (places, jobs)) in queues {
        let time_left = ANSWER_TIME.saturating_sub(start.elapsed());
        let results = gateway.client.enqueue_each_within(time_left, queue, &jobs).await;
        let failed = results.iter().find_map(|result| result.as_ref().err().cloned());
        for (n, result) in places.into_iter().zip(results) {
            stored[n] = result;
        }
        if let Some(error) = failed {
            failures.push(format!("queue {queue}: {error}"));
            if matches!(error, Error::NotSent(_) | Error::Unknown(_)) {
                break;
            }
        }
    }
    let sent = || stored.iter().zip(prepared).filter(|(_, item)| item.is_ok()).map(|(stored, _)| stored);
    if !sent().any(Result::is_ok) {
        // An unknown outcome matters more than a job that was not stored.
        let errors = sent().filter_map(|stored| stored.as_ref().err());
        if let Some(error) = errors.min_by_key(|error| error.nothing_happened()) {
            return Err(queue_errors::of_enqueue(error.clone()));
        }
    }
    Ok((stored, failures))
}

/// The body of the reply. It is written result by result, because a second copy of all jobs would be large.
async fn results(
    gateway: &Gateway,
    prepared: Vec<Result<Prepared<'_>, Problem>>,
    stored: Vec<Result<Enqueued, Error>>,
    capacity: usize,
) -> Result<Vec<u8>, Problem> {
    // Jobs that were stored before are looked up concurrently.
    let lookups =
        prepared.iter().zip(&stored).enumerate().filter_map(|(n, (item, stored))| {
            let (Ok(item), Ok(Enqueued::Duplicate(id))) = (item, stored) else { return None };
            let lookup = tokio::time::timeout(LOOKUP_TIME, find_duplicate(gateway, item, *id));
            Some(async move {
                (n, lookup.await.unwrap_or_else(|late| Err(queue_errors::of_duplicate(*id, late))))
            })
        });
    let mut duplicates: HashMap<usize, _> = join_all(lookups).await.into_iter().collect();
    let (mut created, mut duplicate_count, mut rejected) = (0, 0, 0);
    let mut results = Vec::with_capacity(capacity);
    for (n, (item, stored)) in prepared.into_iter().zip(stored).enumerate() {
        let duplicate = duplicates.remove(&n).unwrap_or(Ok(None));
        let answer = item.and_then(|item| answer(gateway, item, stored, duplicate));
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
            Problem::new(Slug::Internal, "the reply cannot be serialised").caused_by(error)
        })?;
    }
    let counts =
        format!(r#"{{"created":{created},"duplicate":{duplicate_count},"rejected":{rejected},"results":["#);
    results.splice(0..0, counts.into_bytes());
    results.extend_from_slice(b"]}");
    Ok(results)
}
