//! `/v1/jobs`: enqueue one, enqueue many, look at one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use atode_queue::{Enqueued, Error, JobId, JobView};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::body;
use crate::gateway::Gateway;
use crate::new_job::{JobRequest, KeySource, Prepared, check_key};
use crate::problem::{FieldError, Problem, ProblemDocument, Slug};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

const MAX_WAIT: Duration = Duration::from_mins(1);
/// While somebody waits for a job, it is looked at this often even when nothing is heard.
const SAFETY_POLL: Duration = Duration::from_secs(2);

/// `POST /v1/jobs`
pub(crate) async fn enqueue(gateway: Data<Gateway>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(&request)?;
    let body = body::read(&request, payload, gateway.max_body_bytes).await?;
    let body = body::text(&body)?;
    let prepared = gateway.prepare(body::object(body)?, body, KeySource::Header(key), "")?;
    let (status, job) = gateway.enqueue_one(prepared).await?;
    let mut response = HttpResponse::build(status.code());
    response.insert_header((LOCATION, format!("/v1/jobs/{}", job.id)));
    if status == Stored::Replayed {
        response.insert_header((IDEMPOTENT_REPLAYED, "true"));
    }
    Ok(response.json(job))
}

/// What storing a job came to, when it came to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    Created,
    Replayed,
}

impl Stored {
    fn code(self) -> actix_web::http::StatusCode {
        match self {
            Stored::Created => actix_web::http::StatusCode::CREATED,
            Stored::Replayed => actix_web::http::StatusCode::OK,
        }
    }
}

impl Gateway {
    pub(crate) async fn enqueue_one(&self, prepared: Prepared) -> Result<(Stored, JobView), Problem> {
        let enqueued = self.client.enqueue(prepared.job.clone()).await;
        self.answer(prepared, enqueued).await
    }

    /// What the client is told of a job, given Redis' word on it.
    async fn answer(&self, prepared: Prepared, enqueued: Result<Enqueued, Error>) -> Result<(Stored, JobView), Problem> {
        match enqueued? {
            Enqueued::Created => Ok((Stored::Created, prepared.stored(self.client.now()))),
            Enqueued::Duplicate(id) => {
                let kept = self.client.job(std::slice::from_ref(&prepared.job.queue), id).await?;
                Ok((Stored::Replayed, kept.map_or_else(|| prepared.gone(id), |job| self.with_defaults(job))))
            }
            Enqueued::Conflict(id) => Err(Problem::new(
                Slug::IdempotencyKeyReused,
                format!("this idempotency key made job {id}, from another body"),
            )),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchRequest<'a> {
    #[serde(borrow)]
    jobs: Vec<&'a RawValue>,
    #[serde(default)]
    atomic: bool,
}

#[derive(Serialize)]
struct BatchResponse<'a> {
    created: usize,
    duplicate: usize,
    rejected: usize,
    results: Vec<ItemResult<'a>>,
}

#[derive(Serialize)]
struct ItemResult<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a JobView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemDocument<'a>>,
}

/// `POST /v1/jobs/batch`
pub(crate) async fn enqueue_batch(
    gateway: Data<Gateway>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(&request)?;
    let body = body::read(&request, payload, gateway.max_batch_bytes).await?;
    let batch: BatchRequest<'_> = body::object(body::text(&body)?)?;
    if batch.jobs.is_empty() || batch.jobs.len() > atode_queue::MAX_BATCH {
        let detail = format!("1 to {} jobs; there are {}", atode_queue::MAX_BATCH, batch.jobs.len());
        return Err(Problem::invalid_field("/jobs", detail));
    }
    let prepared: Vec<Result<Prepared, Problem>> =
        batch.jobs.iter().enumerate().map(|(n, item)| gateway.prepare_item(n, item.get(), key)).collect();
    let results =
        if batch.atomic { gateway.store_all_or_nothing(prepared).await? } else { gateway.store_each(prepared).await? };
    Ok(HttpResponse::Ok().json(summary(&results)))
}

type ItemAnswer = Result<(Stored, JobView), Problem>;

impl Gateway {
    /// A key in the header stands for the whole batch: each item without one of its own gets the
    /// header's and its place.
    fn prepare_item(&self, n: usize, item: &str, key: Option<&str>) -> Result<Prepared, Problem> {
        let at = format!("/jobs/{n}");
        let request: JobRequest<'_> = body::object(item).map_err(|problem| problem.below(&at))?;
        let key = key.map(|key| format!("{key} {n}"));
        self.prepare(request, item, KeySource::Item(key.as_deref()), &at)
    }

    async fn store_all_or_nothing(&self, prepared: Vec<Result<Prepared, Problem>>) -> Result<Vec<ItemAnswer>, Problem> {
        let mut good = Vec::with_capacity(prepared.len());
        let mut errors = Vec::new();
        for (n, item) in prepared.into_iter().enumerate() {
            match item {
                Ok(item) => good.push(item),
                Err(problem) => errors.extend(problem.into_errors(&format!("/jobs/{n}"))),
            }
        }
        if let Some(first) = good.first()
            && let Some(other) = good.iter().position(|item| item.job.queue != first.job.queue)
        {
            let detail = "an atomic batch goes to one queue".to_owned();
            errors.push(FieldError { pointer: format!("/jobs/{other}/queue"), detail });
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        let jobs: Vec<_> = good.iter().map(|item| item.job.clone()).collect();
        let queue = jobs[0].queue.clone();
        let stored = self.client.enqueue_all_or_nothing(&queue, &jobs).await?;
        let conflicts: Vec<FieldError> = stored
            .iter()
            .enumerate()
            .filter_map(|(n, stored)| match stored {
                Enqueued::Conflict(id) => Some(FieldError {
                    pointer: format!("/jobs/{n}/idempotency_key"),
                    detail: format!("this idempotency key made job {id}, from another body"),
                }),
                _ => None,
            })
            .collect();
        if !conflicts.is_empty() {
            return Err(Problem::invalid(conflicts));
        }
        let mut answers = Vec::with_capacity(good.len());
        for (item, stored) in good.into_iter().zip(stored) {
            answers.push(self.answer(item, Ok(stored)).await);
        }
        Ok(answers)
    }

    /// Each on its own account. Where nothing at all could be stored because Redis is away, that
    /// is the answer to the whole batch.
    async fn store_each(&self, prepared: Vec<Result<Prepared, Problem>>) -> Result<Vec<ItemAnswer>, Problem> {
        let mut queues: HashMap<Arc<str>, Vec<usize>> = HashMap::new();
        for (n, item) in prepared.iter().enumerate() {
            if let Ok(item) = item {
                queues.entry(item.job.queue.clone()).or_default().push(n);
            }
        }
        let mut stored: HashMap<usize, Result<Enqueued, Error>> = HashMap::with_capacity(prepared.len());
        for (queue, places) in queues {
            let jobs: Vec<_> =
                places.iter().filter_map(|n| prepared[*n].as_ref().ok()).map(|item| item.job.clone()).collect();
            stored.extend(places.into_iter().zip(self.client.enqueue_each(&queue, &jobs).await));
        }
        if stored.values().all(Result::is_err)
            && let Some(Err(error)) = stored.remove(&0)
        {
            return Err(error.into());
        }
        let mut answers = Vec::with_capacity(prepared.len());
        for (n, item) in prepared.into_iter().enumerate() {
            answers.push(match (item, stored.remove(&n)) {
                (Ok(item), Some(stored)) => self.answer(item, stored).await,
                (Ok(_), None) => Err(Problem::new(Slug::Internal, "the queue did not answer for this job")),
                (Err(problem), _) => Err(problem),
            });
        }
        Ok(answers)
    }
}

fn summary(results: &[ItemAnswer]) -> BatchResponse<'_> {
    let count = |wanted: Stored| results.iter().filter(|result| matches!(result, Ok((stored, _)) if *stored == wanted)).count();
    BatchResponse {
        created: count(Stored::Created),
        duplicate: count(Stored::Replayed),
        rejected: results.iter().filter(|result| result.is_err()).count(),
        results: results
            .iter()
            .map(|result| match result {
                Ok((stored, job)) => ItemResult { status: stored.code().as_u16(), job: Some(job), problem: None },
                Err(problem) => {
                    ItemResult { status: problem.status().as_u16(), job: None, problem: Some(problem.document(None)) }
                }
            })
            .collect(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitQuery {
    wait: Option<String>,
}

/// `GET /v1/jobs/{id}?wait=30s`
pub(crate) async fn show(gateway: Data<Gateway>, id: web::Path<String>, query: web::Query<WaitQuery>) -> Result<HttpResponse, Problem> {
    let id: JobId = id.parse().map_err(|error| Problem::malformed(format!("{error}")))?;
    let wait = match &query.wait {
        Some(text) => parse_wait(text)?,
        None => Duration::ZERO,
    };
    let job = gateway.find(id).await?.ok_or_else(|| unknown(id, gateway.client.now()))?;
    if job.is_finished() || wait.is_zero() {
        return Ok(HttpResponse::Ok().json(job));
    }
    Ok(HttpResponse::Ok().json(gateway.wait(job, wait).await?))
}

impl Gateway {
    /// The job once it has finished, or as it stands when the time is over.
    async fn wait(&self, mut job: JobView, wait: Duration) -> Result<JobView, Problem> {
        let until = Instant::now() + wait;
        let watch = self.client.watch_finish(&job.queue, job.id);
        while !job.is_finished() && Instant::now() < until {
            let poll = until.min(Instant::now() + SAFETY_POLL);
            tokio::select! {
                () = watch.changed() => {}
                () = tokio::time::sleep_until(poll) => {}
                () = self.stopping.cancelled() => break,
            }
            match self.find(job.id).await? {
                Some(found) => job = found,
                // Finished and removed at once: its kind has no retention.
                None => return Ok(JobView { state: None, ..job }),
            }
        }
        Ok(job)
    }
}

fn parse_wait(text: &str) -> Result<Duration, Problem> {
    let wait = text.parse::<SignedDuration>().ok().and_then(|wait| Duration::try_from(wait).ok());
    wait.filter(|wait| *wait <= MAX_WAIT)
        .ok_or_else(|| Problem::malformed("wait is a duration from 0s to 60s, such as `?wait=30s`"))
}

/// 404, with what the id itself tells.
fn unknown(id: JobId, now: i64) -> Problem {
    let made = id.made_at().filter(|at| *at <= now + 60_000).and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    Problem::not_found(match made {
        Some(made) => format!(
            "there is no job {id}. The id was made at {made}; a finished job is kept for its kind's retention \
             (1 hour unless the kind says otherwise), of which at most {} a kind",
            atode_queue::MAX_FINISHED
        ),
        None => format!("there is no job {id}, and the id was not made here"),
    })
}

fn idempotency_key(request: &HttpRequest) -> Result<Option<&str>, Problem> {
    let mut keys = request.headers().get_all(IDEMPOTENCY_KEY);
    let (first, second) = (keys.next(), keys.next());
    if second.is_some() {
        return Err(Problem::malformed("there are two headers Idempotency-Key"));
    }
    let key = first.map(HeaderValue::to_str).transpose();
    let key = key.map_err(|_| "not ASCII".to_owned()).and_then(|key| key.map_or(Ok(None), |key| check_key(key).map(|()| Some(key))));
    key.map_err(|why| Problem::malformed(format!("the header Idempotency-Key: {why}")))
}
