//! `atode queue pause`, `resume`, `redrive` and `purge`

use anyhow::Context;
use atode_queue::{MAX_BATCH, Moved, QueueView, State};
use clap::ValueEnum;

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::print::{self, Form};
use crate::progress::Progress;

/// The states whose jobs can be purged.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Purged {
    Scheduled,
    Ready,
    Completed,
    Cancelled,
    Dead,
}

impl From<Purged> for State {
    fn from(state: Purged) -> Self {
        match state {
            Purged::Scheduled => State::Scheduled,
            Purged::Ready => State::Ready,
            Purged::Completed => State::Completed,
            Purged::Cancelled => State::Cancelled,
            Purged::Dead => State::Dead,
        }
    }
}

pub(crate) async fn pause(backend: &Backend, form: Form, queue: &str) -> anyhow::Result<()> {
    show_paused(form, &set_paused(backend, queue, Paused::Yes).await?)
}

pub(crate) async fn resume(backend: &Backend, form: Form, queue: &str) -> anyhow::Result<()> {
    show_paused(form, &set_paused(backend, queue, Paused::No).await?)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paused {
    Yes,
    No,
}

/// Pauses or resumes a queue.
pub(crate) async fn set_paused(
    backend: &Backend,
    queue: &str,
    paused: Paused,
) -> anyhow::Result<Answer<QueueView>> {
    match (backend, paused) {
        (Backend::Http(gateway), Paused::Yes) => {
            Ok(gateway.post(Endpoint::v1(["queues", queue, "pause"])).await?)
        }
        (Backend::Http(gateway), Paused::No) => {
            Ok(gateway.post(Endpoint::v1(["queues", queue, "resume"])).await?)
        }
        (Backend::Direct(session), paused) => {
            session.check_queue(queue).await?;
            match paused {
                Paused::Yes => session.client.pause(queue).await?,
                Paused::No => session.client.resume(queue).await?,
            }
            Answer::of(&session.queue(queue).await?)
        }
    }
}

fn show_paused(form: Form, queue: &Answer<QueueView>) -> anyhow::Result<()> {
    print::answer(form, queue, |queue| print::line(&paused_outcome(queue)))
}

pub(crate) fn paused_outcome(queue: &QueueView) -> String {
    if queue.paused {
        format!("queue {} is paused; running jobs are not affected", queue.name)
    } else {
        format!("queue {} is not paused", queue.name)
    }
}

pub(crate) async fn redrive(
    backend: &Backend,
    form: Form,
    queue: &str,
    kind: Option<&str>,
) -> anyhow::Result<()> {
    let progress = Progress::of("jobs redriven");
    let moved = match backend {
        Backend::Http(gateway) => {
            let endpoint = Endpoint::v1(["queues", queue, "redrive"]).with("kind", kind);
            all_steps("redriven", &progress, async || {
                gateway.post_step(endpoint.clone(), &progress).await?.read()
            })
            .await?
        }
        Backend::Direct(session) => {
            session.check_queue(queue).await?;
            all_steps("redriven", &progress, async || {
                Ok(session.client.redrive_queue(queue, kind, MAX_BATCH).await?)
            })
            .await?
        }
    };
    drop(progress);
    show_moved(form, moved, "redriven")
}

pub(crate) async fn purge(
    backend: &Backend,
    form: Form,
    queue: &str,
    state: Purged,
    kind: Option<&str>,
) -> anyhow::Result<()> {
    let progress = Progress::of("jobs removed");
    let moved = purge_state(backend, queue, state.into(), kind, &progress).await?;
    drop(progress);
    show_moved(form, moved, "removed")
}

/// Removes all jobs in a state, in steps.
pub(crate) async fn purge_state(
    backend: &Backend,
    queue: &str,
    state: State,
    kind: Option<&str>,
    progress: &Progress,
) -> anyhow::Result<Moved> {
    match backend {
        Backend::Http(gateway) => {
            let endpoint = Endpoint::v1(["queues", queue, "purge"]);
            let endpoint = endpoint.with("state", Some(state.to_string())).with("kind", kind);
            all_steps("removed", progress, async || {
                gateway.post_step(endpoint.clone(), progress).await?.read()
            })
            .await
        }
        Backend::Direct(session) => {
            session.check_queue(queue).await?;
            all_steps("removed", progress, async || {
                Ok(session.client.purge(queue, state, kind, MAX_BATCH).await?)
            })
            .await
        }
    }
}

/// Repeats a step of at most [`MAX_BATCH`] jobs. Ends after as many jobs as there were at the start: redriven jobs may
/// die again meanwhile.
async fn all_steps(
    done: &str,
    progress: &Progress,
    step: impl AsyncFn() -> anyhow::Result<Moved>,
) -> anyhow::Result<Moved> {
    let mut moved = 0;
    let mut all = None;
    loop {
        let step = step().await;
        let step =
            if moved == 0 { step } else { step.with_context(|| format!("{moved} jobs are {done}, then")) }?;
        moved += step.moved;
        let all = *all.get_or_insert(step.moved + step.remaining);
        if step.moved == 0 || step.remaining == 0 || moved >= all {
            return Ok(Moved { moved, remaining: step.remaining });
        }
        progress.show(moved, Some(all));
    }
}

pub(crate) fn show_moved(form: Form, moved: Moved, done: &str) -> anyhow::Result<()> {
    print::answer(form, &Answer::of(&moved)?, |Moved { moved, remaining }| {
        let jobs = if *moved == 1 { "job is" } else { "jobs are" };
        let left = if *remaining > 0 { format!(", {remaining} are left") } else { String::new() };
        print::line(&format!("{moved} {jobs} {done}{left}"))
    })
}
