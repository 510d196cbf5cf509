//! `/v1/jobs`: enqueue one, look at one.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use atode_queue::{Enqueued, Error, JobId, JobView, State};
use jiff::SignedDuration;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::api::new_job::{KeySource, Prepared, check_key};
use crate::gateway::{Gateway, in_time};
use crate::http::body;
use crate::http::problem::{Problem, Slug};
use crate::http::replies;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Longer waits are cut to this: proxies give up after 60 s.
const MAX_WAIT: Duration = Duration::from_secs(55);
/// Requests that may wait for jobs at the same time.
const MAX_WAITS: usize = 1_000;
/// While somebody waits for a job, it is looked at this often even when nothing is heard; of many, each more seldom.
const SAFETY_POLL: Duration = Duration::from_secs(2);
/// As many waits share the looks of one.
const SHARING: usize = 250;

/// `POST /v1/jobs`
pub(crate) async fn enqueue(
    gateway: Data<Gateway>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let key = idempotency_key(&request)?;
    let body = body::read(&gateway, &request, payload, body::JSON, gateway.max_body_bytes).await?;
    let text = body::text(&body)?;
    let prepared = gateway.prepare(&body::object(text)?, text, KeySource::Header(key.as_deref()), "")?;
    gateway.limit_jobs(&request, 1).await?;
    let (status, job) = gateway.enqueue_one(prepared).await?;
    let mut response = replies::json(status.code(), &job)?;
    if let Ok(location) = HeaderValue::try_from(format!("/v1/jobs/{}", job.id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    if status == Stored::Replayed {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// What storing a job came to, when it came to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    Created,
    Replayed,
}

impl Stored {
    pub(crate) fn code(self) -> StatusCode {
        match self {
            Stored::Created => StatusCode::CREATED,
            Stored::Replayed => StatusCode::OK,
        }
    }
}

impl Gateway {
    pub(crate) async fn enqueue_one(&self, prepared: Prepared<'_>) -> Result<(Stored, JobView), Problem> {
        let waits_for_the_disk = prepared.job.durability.is_some();
        let stored = async {
            let enqueued = self.client.enqueue(prepared.job.clone()).await;
            self.answer(prepared, enqueued).await
        };
        if waits_for_the_disk {
            Box::pin(stored).await
        } else {
            in_time(stored, |error| Problem::of_enqueue(&error)).await
        }
    }

    async fn answer(
        &self,
        prepared: Prepared<'_>,
        enqueued: Result<Enqueued, Error>,
    ) -> Result<(Stored, JobView), Problem> {
        let kept = match enqueued {
            Ok(Enqueued::Duplicate(id)) => self.kept(&prepared, id).await,
            _ => Ok(None),
        };
        self.tell(prepared, enqueued, kept)
    }

    /// A job that was stored before under the same idempotency key, where it is still kept.
    pub(crate) async fn kept(&self, prepared: &Prepared<'_>, id: JobId) -> Result<Option<JobView>, Problem> {
        let kept = self.client.job(std::slice::from_ref(&prepared.job.queue), id).await;
        kept.map_err(|error| Problem::of_duplicate(id, Some(&error)))
    }

    /// What the client is told of a job, given Redis' word on it and, of a duplicate, [`kept`](Self::kept).
    pub(crate) fn tell(
        &self,
        prepared: Prepared<'_>,
        enqueued: Result<Enqueued, Error>,
        kept: Result<Option<JobView>, Problem>,
    ) -> Result<(Stored, JobView), Problem> {
        match enqueued.map_err(|error| Problem::of_enqueue(&error))? {
            Enqueued::Created { at } => {
                self.served.enqueued(&self.client, &prepared.job.queue, &prepared.job.kind);
                Ok((Stored::Created, prepared.stored(at)))
            }
            Enqueued::Duplicate(id) => {
                Ok((Stored::Replayed, kept?.map_or_else(|| prepared.gone(id), |job| self.with_defaults(job))))
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
pub(crate) struct WaitQuery {
    wait: Option<String>,
}

/// `GET /v1/jobs/{id}?wait=30s`
pub(crate) async fn show(
    gateway: Data<Gateway>,
    id: web::Path<String>,
    query: web::Query<WaitQuery>,
) -> Result<HttpResponse, Problem> {
    let id: JobId = id.parse().map_err(|error| Problem::malformed(format!("{error}")))?;
    let wait = match &query.wait {
        Some(text) => parse_wait(text)?,
        None => Duration::ZERO,
    };
    let job = gateway.job(id).await?;
    let job = if job.is_finished() || wait.is_zero() { job } else { gateway.wait(job, wait).await? };
    replies::json(StatusCode::OK, &job)
}

impl Gateway {
    /// The job as it stands, or 404.
    pub(crate) async fn job(&self, id: JobId) -> Result<JobView, Problem> {
        in_time(self.find(id), Problem::from).await?.ok_or_else(|| unknown(id, self.client.now()))
    }

    /// The job once it has finished, or as it stands when the time is over or the gateway stops. Dropped when the
    /// client is gone.
    async fn wait(&self, mut job: JobView, wait: Duration) -> Result<JobView, Problem> {
        let _place = self.waits.try_acquire().map_err(|_| {
            let detail = "too many requests wait for jobs at the moment: ask without ?wait=, or again later";
            Problem::new(Slug::Unavailable, detail)
        })?;
        let until = Instant::now() + wait;
        let watch = self.client.watch_finish(&job.queue, job.id);
        while !job.is_finished() && Instant::now() < until && !self.stopping.is_cancelled() {
            let poll = until.min(Instant::now() + SAFETY_POLL * (1 + self.waiting() / SHARING) as u32);
            tokio::select! {
                () = watch.changed() => {}
                () = tokio::time::sleep_until(poll) => {}
                () = self.stopping.cancelled() => {}
            }
            match self.find(job.id).await? {
                Some(found) => job = found,
                // Finished and removed at once, if its kind has no retention; an active job cannot be deleted.
                None if job.state == Some(State::Active) || self.forgets(&job.kind) => {
                    return Ok(JobView { state: None, ..job });
                }
                None => return Err(unknown(job.id, self.client.now())),
            }
        }
        Ok(job)
    }
}

impl Gateway {
    /// As many requests may wait for jobs.
    pub(crate) fn waits() -> Semaphore {
        Semaphore::new(MAX_WAITS)
    }

    /// Requests that wait for jobs now.
    pub(crate) fn waiting(&self) -> usize {
        MAX_WAITS.saturating_sub(self.waits.available_permits())
    }

    /// Whether jobs of this kind are removed as soon as they are completed.
    fn forgets(&self, kind: &str) -> bool {
        self.registry.get(kind).is_some_and(|kind| kind.retention.is_zero())
    }
}

fn parse_wait(text: &str) -> Result<Duration, Problem> {
    let wait = text.parse::<SignedDuration>().ok().and_then(|wait| Duration::try_from(wait).ok());
    wait.map(|wait| wait.min(MAX_WAIT)).ok_or_else(|| {
        Problem::malformed("wait is a duration such as `?wait=30s`; more than 55s is cut to that")
    })
}

/// 404, with what the id itself tells.
fn unknown(id: JobId, now: i64) -> Problem {
    let made = id
        .made_at()
        .filter(|at| *at <= now + 60_000)
        .and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    Problem::not_found(match made {
        Some(made) => format!(
            "there is no job {id}. The id was made at {made:.3}; a finished job is kept for its kind's retention \
             (1 hour unless the kind says otherwise), of which at most {} a kind",
            atode_queue::MAX_FINISHED
        ),
        None => format!("there is no job {id}; the id was not made here, or Redis' clock was set back since"),
    })
}

/// The header's key. `"k"`, a string as the draft of the header has it (RFC 9651, 3.3.3), and a bare `k` are one key.
pub(crate) fn idempotency_key(request: &HttpRequest) -> Result<Option<Cow<'_, str>>, Problem> {
    let mut keys = request.headers().get_all(IDEMPOTENCY_KEY);
    let (first, second) = (keys.next(), keys.next());
    if second.is_some() {
        return Err(Problem::malformed("there are two headers Idempotency-Key"));
    }
    let Some(header) = first else { return Ok(None) };
    let key = header.to_str().map_err(|_| "not ASCII".to_owned());
    let key = key.map(unquoted).and_then(|key| check_key(&key).map(|()| Some(key)));
    key.map_err(|why| Problem::malformed(format!("the header Idempotency-Key: {why}")))
}

fn unquoted(key: &str) -> Cow<'_, str> {
    let Some(inner) = key.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return key.into();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => plain.push(escaped),
                // No such string: the key is what it looks like.
                _ => return key.into(),
            },
            '"' => return key.into(),
            other => plain.push(other),
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_key_is_the_text_between_its_quotes() {
        for (header, key) in [
            ("k", "k"),
            (r#""k""#, "k"),
            (r#""a \"b\" \\c""#, r#"a "b" \c"#),
            (r#""""#, ""),
            (r#"""#, r#"""#),
            (r#"a"b"#, r#"a"b"#),
            (r#""a"b""#, r#""a"b""#),
            (r#""a\n""#, r#""a\n""#),
            (r#""a\""#, r#""a\""#),
        ] {
            assert_eq!(unquoted(header), key, "{header}");
        }
    }
}
