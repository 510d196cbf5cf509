//! `/v1/jobs/batch`: enqueue many, all or nothing or each on its own account.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use atode_queue::{Enqueued, Error, JobView};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::api::jobs::{Stored, idempotency_key};
use crate::api::new_job::{JobRequest, KeySource, Prepared};
use crate::gateway::{ANSWER, Gateway, in_time};
use crate::http::body;
use crate::http::envelope::Inside;
use crate::http::problem::{FieldError, Problem, ProblemDocument, Slug};

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

/// How long the look for a job that was stored before may take.
const LOOK: Duration = Duration::from_millis(300);

/// Approximate bytes of an item's result in the reply, without the payload, which comes back as it was sent.
const RESULT_BYTES: usize = 512;

/// `POST /v1/jobs/batch`
pub(crate) async fn enqueue(
    gateway: Data<Gateway>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(&request)?;
    let body = body::read(&gateway, &request, payload, body::JSON, gateway.max_batch_bytes).await?;
    let batch: BatchRequest<'_> = body::object(body::text(&body)?)?;
    if batch.jobs.is_empty() || batch.jobs.len() > atode_queue::MAX_BATCH {
        let detail = format!("1 to {} jobs; there are {}", atode_queue::MAX_BATCH, batch.jobs.len());
        return Err(Problem::invalid_field("/jobs", detail));
    }
    gateway.limit_jobs(&request, batch.jobs.len()).await?;
    let prepared: Vec<Result<Prepared, Problem>> = batch
        .jobs
        .iter()
        .enumerate()
        .map(|(n, item)| gateway.prepare_item(n, item.get(), key.as_deref()))
        .collect();
    let mut inside = Inside::default();
    let stored = if batch.atomic {
        in_time(gateway.store_all_or_nothing(&prepared), |error| Problem::of_enqueue(&error)).await?
    } else {
        gateway.store_each(&prepared, &mut inside).await?
    };
    let room = body.len() + RESULT_BYTES * prepared.len();
    let json = gateway.results(prepared, stored, room).await?;
    let mut response = HttpResponse::Ok().content_type(ContentType::json()).body(json);
    inside.add_to(&mut response);
    Ok(response)
}

impl Gateway {
    /// A key in the header stands for the whole batch: each item without one of its own gets the
    /// header's and its place, behind a character that no key has.
    fn prepare_item<'a>(&self, n: usize, item: &'a str, key: Option<&str>) -> Result<Prepared<'a>, Problem> {
        if item.len() > self.max_body_bytes {
            let detail = format!("the job may have {} bytes at most, as it may alone", self.max_body_bytes);
            return Err(Problem::new(Slug::TooLarge, detail));
        }
        let at = format!("/jobs/{n}");
        let request: JobRequest<'_> = body::object(item).map_err(|problem| problem.below(&at))?;
        let key = key.map(|key| format!("{key}\n{n}"));
        self.prepare(&request, item, KeySource::Item(key.as_deref()), &at)
    }

    /// In one call, however large: it could not be undone in two.
    async fn store_all_or_nothing(
        &self,
        prepared: &[Result<Prepared<'_>, Problem>],
    ) -> Result<Vec<Result<Enqueued, Error>>, Problem> {
        let mut good = Vec::with_capacity(prepared.len());
        let mut errors = Vec::new();
        for (n, item) in prepared.iter().enumerate() {
            match item {
                Ok(item) => good.push(item),
                Err(problem) => errors.extend(problem.clone().into_errors(&format!("/jobs/{n}"))),
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
        Ok(stored.into_iter().map(Ok).collect())
    }

    /// Each on its own account, one call after the other. When Redis falls silent nothing more is sent, so at most
    /// one call's jobs are in doubt. Where nothing at all could be stored, that is the answer to the whole batch.
    async fn store_each(
        &self,
        prepared: &[Result<Prepared<'_>, Problem>],
        inside: &mut Inside,
    ) -> Result<Vec<Result<Enqueued, Error>>, Problem> {
        let mut queues: Vec<(&str, Vec<usize>)> = Vec::new();
        for (n, item) in prepared.iter().enumerate() {
            let Ok(item) = item else { continue };
            match queues.iter_mut().find(|(queue, _)| *queue == &*item.job.queue) {
                Some((_, places)) => places.push(n),
                None => queues.push((&item.job.queue, vec![n])),
            }
        }
        let start = Instant::now();
        let not_sent = || Err(Error::NotSent("a call before it had no answer".to_owned()));
        let mut stored: Vec<Result<Enqueued, Error>> = prepared.iter().map(|_| not_sent()).collect();
        for (queue, places) in queues {
            let jobs: Vec<_> = places
                .iter()
                .filter_map(|n| prepared[*n].as_ref().ok())
                .map(|item| item.job.clone())
                .collect();
            let patience = ANSWER.saturating_sub(start.elapsed());
            let results = self.client.enqueue_each_within(patience, queue, &jobs).await;
            let failed = results.iter().find_map(|result| result.as_ref().err().cloned());
            for (n, result) in places.into_iter().zip(results) {
                stored[n] = result;
            }
            if let Some(error) = failed {
                inside.add(format!("queue {queue}: {error}"));
                if matches!(error, Error::NotSent(_) | Error::Unknown(_)) {
                    break;
                }
            }
        }
        let sent = || stored.iter().zip(prepared).filter(|(_, item)| item.is_ok()).map(|(stored, _)| stored);
        if !sent().any(Result::is_ok) {
            // One that may have been stored says more than one that was not.
            let errors = sent().filter_map(|stored| stored.as_ref().err());
            if let Some(error) = errors.min_by_key(|error| error.nothing_happened()) {
                return Err(Problem::of_enqueue(error));
            }
        }
        Ok(stored)
    }

    /// The reply, written result by result: the jobs are large, and need not all be there twice.
    async fn results(
        &self,
        prepared: Vec<Result<Prepared<'_>, Problem>>,
        stored: Vec<Result<Enqueued, Error>>,
        room: usize,
    ) -> Result<Vec<u8>, Problem> {
        // Jobs that were stored before are looked up, all at the same time.
        let looks = prepared.iter().zip(&stored).enumerate().filter_map(|(n, (item, stored))| {
            let (Ok(item), Ok(Enqueued::Duplicate(id))) = (item, stored) else { return None };
            let look = tokio::time::timeout(LOOK, self.kept(item, *id));
            Some(async move { (n, look.await.unwrap_or_else(|_| Err(Problem::of_duplicate(*id, None)))) })
        });
        let mut kept: HashMap<usize, _> = join_all(looks).await.into_iter().collect();
        let (mut created, mut duplicate, mut rejected) = (0, 0, 0);
        let mut results = Vec::with_capacity(room);
        for (n, (item, stored)) in prepared.into_iter().zip(stored).enumerate() {
            let answer = item.and_then(|item| self.tell(item, stored, kept.remove(&n).unwrap_or(Ok(None))));
            let result = match &answer {
                Ok((stored, job)) => {
                    *(if *stored == Stored::Created { &mut created } else { &mut duplicate }) += 1;
                    ItemResult { status: stored.code().as_u16(), job: Some(job), problem: None }
                }
                Err(problem) => {
                    rejected += 1;
                    ItemResult {
                        status: problem.status().as_u16(),
                        job: None,
                        problem: Some(problem.document(None)),
                    }
                }
            };
            if n > 0 {
                results.push(b',');
            }
            serde_json::to_writer(&mut results, &result).map_err(|error| {
                Problem::new(Slug::Internal, "the reply cannot be written").inside(&error)
            })?;
        }
        let counts =
            format!(r#"{{"created":{created},"duplicate":{duplicate},"rejected":{rejected},"results":["#);
        results.splice(0..0, counts.into_bytes());
        results.extend_from_slice(b"]}");
        Ok(results)
    }
}
