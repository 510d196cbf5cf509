//! `atode job show`

use atode_queue::{AttemptView, JobId, JobView};

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::print::{self, Form};
use crate::style::Tone;
use crate::table::{Column, whole, wraps};
use crate::version::Version;
use crate::watch::Drawn;

const ATTEMPT_COLUMNS: [Column<AttemptView>; 5] = [
    whole("attempt", |it| format!("{}{}", it.attempt, if it.redriven { ", then redriven" } else { "" })),
    whole("finished", |it| it.finished_at.map_or_else(String::new, |at| format!("{at:.3}"))),
    whole("cause", |it| print::word(&it.cause)),
    wraps("error", |it| it.error.clone()),
    whole("worker", |it| it.worker.id.to_string()),
];

pub(crate) async fn show(backend: &Backend, form: Form, id: JobId) -> anyhow::Result<Drawn> {
    let (job, version) = read(backend, id).await?;
    let text = print::answer_text(form, &job, |job: &JobView| {
        let mut text = values_text(job, version.as_ref());
        if !job.attempts.is_empty() {
            text.extend(["\n\n", &print::table_text(&ATTEMPT_COLUMNS, &job.attempts)]);
        }
        text
    })?;
    Ok(Drawn { text, is_final: job.read().is_ok_and(|job| job.is_finished()) })
}

/// The job, and its version if it waits.
pub(crate) async fn read(backend: &Backend, id: JobId) -> anyhow::Result<(Answer<JobView>, Option<Version>)> {
    match backend {
        Backend::Http(gateway) => Ok(gateway.get_job(Endpoint::v1(["jobs", &id.to_string()])).await?),
        Backend::Direct(session) => {
            let job = session.existing_job(id).await?;
            Ok((Answer::of(&job)?, job.version.as_deref().map(Version::new)))
        }
    }
}

fn state(job: &JobView) -> String {
    let state = job.state.map_or_else(|| "gone".to_owned(), |state| state.to_string());
    Tone::of_state(&state).mark(&state)
}

fn values_text(job: &JobView, version: Option<&Version>) -> String {
    let time = |at: Option<_>| at.map(|at: jiff::Timestamp| format!("{at:.3}"));
    let retries = job.max_retries.map_or_else(String::new, |retries| format!(" of {}", retries + 1));
    let worker = job.worker.as_ref().map(|worker| {
        format!("{} (pid {} on {}, build {})", worker.id, worker.pid, worker.host, worker.build)
    });
    print::values_text([
        ("id", Some(format!("{} (in Redis '{}')", job.id, job.id.short()))),
        ("kind", Some(job.kind.clone())),
        ("queue", Some(job.queue.clone())),
        ("state", Some(state(job))),
        ("payload", Some(job.payload.get().to_owned())),
        ("attempt", Some(format!("{}{retries}", job.attempt))),
        ("enqueued", time(job.enqueued_at)),
        ("due", time(job.due_at)),
        ("started", time(job.started_at)),
        ("finished", time(job.finished_at)),
        ("worker", worker),
        ("last error", job.last_error.clone()),
        ("etag", version.and_then(Version::text).map(str::to_owned)),
        ("trace", job.traceparent.clone()),
    ])
}
