//! Enqueueing from Rust: `job.enqueue(&client).await` in any program, `ctx.enqueue(job).await` in a handler.

use std::pin::Pin;
use std::time::Duration;

use atode_config::traces::Trace;
use atode_queue::{Client, Durability, Enqueued, Idempotency, JobId, NewJob, Record};
use jiff::Timestamp;
use serde_json::value::to_raw_value;

use crate::context::JobContext;
use crate::due::check_due;
use crate::enqueue_span::{end_enqueue_span, enqueue_span};
use crate::invalid_request::{Errors, InvalidRequest};
use crate::job::Job;
use crate::limits::{check_key, check_queue_name, check_retries};
use crate::new_job::new_job;
use crate::payload::NO_OBJECT;
use crate::services::Destination;

/// `enqueue` on every job.
pub trait Enqueue: Job + Sized {
    /// Stores the job once the returned request is awaited.
    fn enqueue(self, client: &Client) -> EnqueueRequest<Self> {
        EnqueueRequest::new(self, Destination::Redis(client.clone()))
    }
}

impl<J: Job> Enqueue for J {}

impl JobContext {
    /// Stores another job once the returned request is awaited. A run may happen twice, so give the new job a
    /// [`key`](EnqueueRequest::key) made from [`id`](Self::id) where it must be stored once.
    pub fn enqueue<J: Job>(&self, job: J) -> EnqueueRequest<J> {
        let request = EnqueueRequest::new(job, self.services.destination.clone());
        EnqueueRequest { trace: self.trace.clone(), ..request }
    }
}

/// A job and its options. Awaiting it stores the job and returns its id.
#[must_use = "the job is stored only when this is awaited"]
pub struct EnqueueRequest<J> {
    job: J,
    destination: Destination,
    delay: Option<Duration>,
    run_at: Option<Timestamp>,
    max_retries: Option<u32>,
    queue: Option<String>,
    key: Option<String>,
    durability: Option<Durability>,
    /// The trace of the run that stores the job.
    trace: Option<Trace>,
}

#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// An option is out of range, or the job does not serialize to a JSON object.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// The key was used earlier with another kind or payload.
    #[error("this idempotency key was used before for job {0}, with another kind or payload")]
    Conflict(JobId),
    #[error(transparent)]
    Queue(#[from] atode_queue::Error),
}

impl<J: Job> EnqueueRequest<J> {
    fn new(job: J, destination: Destination) -> Self {
        EnqueueRequest {
            job,
            destination,
            delay: None,
            run_at: None,
            max_retries: None,
            queue: None,
            key: None,
            durability: None,
            trace: None,
        }
    }

    /// The wait before the first run, at most 365 days, instead of the kind's.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// The earliest instant of the first run, instead of a delay.
    pub fn run_at(mut self, at: Timestamp) -> Self {
        self.run_at = Some(at);
        self
    }

    /// 0 to 1,000 retries, instead of the kind's.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// This queue instead of the kind's. Workers run the job only if they serve the queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// An idempotency key, 1 to 255 printable ASCII characters: the second job under the same key is not stored, and
    /// the id of the first is returned. The queue remembers a key for 24 hours.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Waits until Redis has the job on its disk.
    pub fn fsync(mut self) -> Self {
        self.durability = Some(Durability::Fsync);
        self
    }

    async fn store(self) -> Result<JobId, EnqueueError> {
        let (job, span) = enqueue_span(self.prepare()?, self.trace);
        let id = job.id;
        let stored = self.destination.enqueue(job).await;
        end_enqueue_span(span, &stored);
        match stored? {
            Enqueued::Created { .. } => Ok(id),
            Enqueued::Duplicate(earlier) => Ok(earlier),
            Enqueued::Conflict(earlier) => Err(EnqueueError::Conflict(earlier)),
        }
    }

    fn prepare(&self) -> Result<NewJob, InvalidRequest> {
        let mut errors = Errors::default();
        let payload = match to_raw_value(&self.job) {
            Ok(payload) if payload.get().starts_with('{') => Ok(payload),
            Ok(_) => Err(NO_OBJECT.to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let payload = errors.field("payload", payload);
        let queue = self.queue.as_deref().unwrap_or(J::QUEUE);
        errors.field("queue", check_queue_name(queue));
        let now = self.destination.now();
        let due = check_due(self.delay, self.run_at.map(Timestamp::as_millisecond), now);
        let due = errors.due(due);
        if let Some(retries) = self.max_retries {
            errors.field("max_retries", check_retries(retries.into()));
        }
        if let Some(key) = &self.key {
            errors.field("key", check_key(key));
        }
        errors.into_result()?;

        let payload = payload.expect("without errors there is one");
        let idempotency = self.key.as_deref().map(|key| {
            let content = [J::KIND, payload.get()].join("\n");
            Idempotency::new("", key, content.as_bytes())
        });
        let (max_retries, durability) = (self.max_retries, self.durability);
        let record = Record { max_retries, durability, ..Record::new(&payload) };
        let job = new_job(JobId::new(now), &queue.into(), &J::KIND.into(), J::DELAY, due, record);
        Ok(NewJob { idempotency, ..job })
    }
}

impl<J: Job> IntoFuture for EnqueueRequest<J> {
    type Output = Result<JobId, EnqueueError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.store())
    }
}

#[cfg(test)]
mod tests {
    use atode_queue::Due;

    use atode_config::traces::TraceContext;

    use super::*;
    use crate::kinds::delay_print::DelayPrint;

    fn print() -> DelayPrint {
        DelayPrint { message: Some("hi".to_owned()) }
    }

    #[tokio::test]
    async fn a_handler_enqueues_with_the_constants_of_the_kind_or_its_own_options() {
        let ctx = JobContext::for_test();
        ctx.enqueue(print()).await.unwrap();
        ctx.enqueue(print()).delay(Duration::ZERO).queue("mail").await.unwrap();
        let jobs = ctx.enqueued();
        assert_eq!(jobs[0].kind, DelayPrint::KIND);
        assert_eq!(jobs[0].payload, serde_json::json!({"message": "hi"}));
        assert_eq!((jobs[0].due, jobs[1].due), (Due::After(DelayPrint::DELAY), Due::After(Duration::ZERO)));
        assert_eq!((&*jobs[0].queue, &*jobs[1].queue), ("default", "mail"));
    }

    #[tokio::test]
    async fn a_job_that_a_handler_enqueues_carries_the_trace_of_the_run() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = TraceContext::parse(parent, None).map(Trace::Span);
        let ctx = JobContext { trace: trace.clone(), ..JobContext::for_test() };
        assert_eq!(ctx.traceparent().as_deref(), Some(parent));
        ctx.enqueue(print()).await.unwrap();
        assert_eq!(ctx.enqueued()[0].trace, trace);
    }

    #[tokio::test]
    async fn options_out_of_range_are_refused_all_at_once() {
        let ctx = JobContext::for_test();
        let far = Duration::from_secs(366 * 24 * 60 * 60);
        let request = ctx.enqueue(print()).delay(far).max_retries(1_001).queue("No Queue").key("");
        let Err(EnqueueError::Invalid(invalid)) = request.await else { panic!("it was accepted") };
        let pointers: Vec<&str> = invalid.errors.iter().map(|error| &*error.pointer).collect();
        assert_eq!(pointers, ["/queue", "/delay", "/max_retries", "/key"]);
        assert!(ctx.enqueued().is_empty());
    }
}
