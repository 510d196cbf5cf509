//! `/v1/jobs/batch`: enqueue many, all or nothing or each on its own account.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use atode_queue::{Enqueued, Error, JobView};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::body;
use crate::gateway::{Gateway, in_time};
use crate::jobs::{Stored, idempotency_key};
use crate::new_job::{JobRequest, KeySource, Prepared};
use crate::problem::{FieldError, Problem, ProblemDocument, Slug};

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
pub(crate) async fn enqueue(
    gateway: Data<Gateway>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(&request)?;
    let body = body::read(&request, payload, body::JSON, gateway.max_batch_bytes).await?;
    let batch: BatchRequest<'_> = body::object(body::text(&body)?)?;
    if batch.jobs.is_empty() || batch.jobs.len() > atode_queue::MAX_BATCH {
        let detail = format!("1 to {} jobs; there are {}", atode_queue::MAX_BATCH, batch.jobs.len());
        return Err(Problem::invalid_field("/jobs", detail));
    }
    gateway.limit_jobs(&request, batch.jobs.len()).await?;
    let prepared: Vec<Result<Prepared, Problem>> =
        batch.jobs.iter().enumerate().map(|(n, item)| gateway.prepare_item(n, item.get(), key)).collect();
    let results = async {
        if batch.atomic {
            gateway.store_all_or_nothing(prepared).await
        } else {
            gateway.store_each(prepared).await
        }
    };
    let results = in_time(results, |error| Problem::of_enqueue(&error)).await?;
    Ok(HttpResponse::Ok().json(summary(&results)))
}

type ItemAnswer = Result<(Stored, JobView), Problem>;

impl Gateway {
    /// A key in the header stands for the whole batch: each item without one of its own gets the
    /// header's and its place, behind a character that no key has.
    fn prepare_item(&self, n: usize, item: &str, key: Option<&str>) -> Result<Prepared, Problem> {
        let at = format!("/jobs/{n}");
        let request: JobRequest<'_> = body::object(item).map_err(|problem| problem.below(&at))?;
        let key = key.map(|key| format!("{key}\n{n}"));
        self.prepare(&request, item, KeySource::Item(key.as_deref()), &at)
    }

    async fn store_all_or_nothing(
        &self,
        prepared: Vec<Result<Prepared, Problem>>,
    ) -> Result<Vec<ItemAnswer>, Problem> {
        let mut good = Vec::with_capacity(prepared.len());
        let mut errors = Vec::new();
        for (n, item) in prepared.into_iter().enumerate() {
            match item {
                Ok(item) => good.push(item),
                Err(problem) => errors.extend(problem.into_errors(&format!("/jobs/{n}"))),
            }
        }
        if errors.is_empty()
            && let Some(first) = good.first()
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
        let stored = self.client.enqueue_all_or_nothing(&queue, &jobs).await;
        let stored = stored.map_err(|error| Problem::of_enqueue(&error))?;
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
        Ok(join_all(good.into_iter().zip(stored).map(|(item, stored)| self.answer(item, Ok(stored)))).await)
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
        let calls = queues.into_iter().map(async |(queue, places)| {
            let jobs: Vec<_> = places
                .iter()
                .filter_map(|n| prepared[*n].as_ref().ok())
                .map(|item| item.job.clone())
                .collect();
            places.into_iter().zip(self.client.enqueue_each(&queue, &jobs).await)
        });
        let mut stored: HashMap<usize, Result<Enqueued, Error>> =
            join_all(calls).await.into_iter().flatten().collect();
        if !stored.values().any(Result::is_ok) {
            // One that may have been stored says more than one that was not.
            let errors = stored.values().filter_map(|stored| stored.as_ref().err());
            if let Some(error) = errors.min_by_key(|error| error.nothing_happened()).cloned() {
                return Err(Problem::of_enqueue(&error));
            }
        }
        let answers = prepared.into_iter().enumerate().map(|(n, item)| {
            let stored = stored.remove(&n);
            async move {
                let missing = || Problem::new(Slug::Internal, "the queue did not answer for this job");
                self.answer(item?, stored.ok_or_else(missing)?).await
            }
        });
        Ok(join_all(answers).await)
    }
}

fn summary(results: &[ItemAnswer]) -> BatchResponse<'_> {
    let count = |wanted: Stored| {
        results.iter().filter(|result| matches!(result, Ok((stored, _)) if *stored == wanted)).count()
    };
    BatchResponse {
        created: count(Stored::Created),
        duplicate: count(Stored::Replayed),
        rejected: results.iter().filter(|result| result.is_err()).count(),
        results: results
            .iter()
            .map(|result| match result {
                Ok((stored, job)) => {
                    ItemResult { status: stored.code().as_u16(), job: Some(job), problem: None }
                }
                Err(problem) => ItemResult {
                    status: problem.status().as_u16(),
                    job: None,
                    problem: Some(problem.document(None)),
                },
            })
            .collect(),
    }
}
