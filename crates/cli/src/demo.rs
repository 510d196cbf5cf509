//! `atode demo`: fills a queue with a lively example, for first looks and screenshots, and removes it again.

use std::time::Duration;

use anyhow::{Context, bail};
use atode_config::{ConfigArgs, Environment};
use atode_jobs::{JobRequest, KeySource, ListRequest, parse_delay};
use atode_queue::{Enqueued, JobId, MAX_BATCH, NewJob, State};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::address::Endpoint;
use crate::answer::Answer;
use crate::backend::Backend;
use crate::operate::JobOperation;
use crate::print::{self, Form};
use crate::problem::Problem;
use crate::progress::Progress;
use crate::session::Session;
use crate::{jobs, operate, queue};

/// The kinds of all its jobs. They are made for it, so `--clean` finds no others.
const KINDS: [&str; 2] = ["demo:mail", "demo:report"];

/// Jobs that one call cancels, so that the list has cancelled jobs.
const CANCELLED: usize = 20;

const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How long `--clean` waits for running jobs.
const CLEAN_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Queue of the jobs.
    #[arg(long, value_name = "NAME", default_value = "default")]
    queue: String,
    /// Jobs to store, 1 to 10,000.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    jobs: u32,
    /// Go on for this long, up to 1h: stores as many jobs again per minute.
    #[arg(long = "for", value_name = "DURATION", value_parser = checked_time)]
    time: Option<Duration>,
    /// Remove all jobs of the demo from the queue. Running ones are cancelled first.
    #[arg(long, conflicts_with_all = ["jobs", "time"])]
    clean: bool,
    /// Store them although `APP_ENV` is production.
    #[arg(long)]
    in_production: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Filled {
    stored: usize,
    cancelled: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Cleaned {
    removed: u64,
    /// Jobs that did not end in time.
    running: usize,
}

/// The answer to `POST /v1/jobs/batch`.
#[derive(Deserialize)]
struct Batch {
    results: Vec<Stored>,
}

#[derive(Deserialize)]
struct Stored {
    job: Option<Id>,
    problem: Option<Problem>,
}

#[derive(Deserialize)]
struct Id {
    id: JobId,
}

pub(crate) async fn run(
    backend: &Backend,
    form: Form,
    args: DemoArgs,
    config: &ConfigArgs,
) -> anyhow::Result<()> {
    if args.clean {
        let cleaned = clean(backend, &args.queue).await?;
        return print::answer(form, &Answer::of(&cleaned)?, |Cleaned { removed, running }| {
            let left = match running {
                0 => String::new(),
                n => format!("; {n} are still running: repeat the command when they have ended"),
            };
            print::line(&format!("{removed} demo jobs are removed{left}"))
        });
    }
    if config.env == Environment::Production && !args.in_production {
        bail!("APP_ENV is production, and a demo is not for production; --in-production stores it anyway");
    }
    let filled = fill(backend, &args).await?;
    print::answer(form, &Answer::of(&filled)?, |Filled { stored, cancelled }| {
        let queue = &args.queue;
        print::line(&format!(
            "{stored} demo jobs are stored in queue {queue}, {cancelled} of them cancelled\n`atode top` shows them, `atode demo --clean` removes them"
        ))
    })
}

async fn fill(backend: &Backend, args: &DemoArgs) -> anyhow::Result<Filled> {
    let (first, moving) = (args.jobs, args.time.unwrap_or_default().as_secs() as u32);
    let per_second = args.jobs.div_ceil(60);
    let all = u64::from(first + moving * per_second);
    let progress = Progress::of("demo jobs stored");
    let mut filled = Filled::default();
    let mut from = 0;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    for second in 0..=moving {
        let mut left = if second == 0 { first } else { per_second };
        tick.tick().await;
        while left > 0 {
            let some = left.min(MAX_BATCH as u32);
            let jobs: Vec<Value> = (from..from + some).map(|n| job(n, &args.queue)).collect();
            let ids = store(backend, &args.queue, &jobs).await;
            let ids = match filled.stored {
                0 => ids?,
                stored => ids.with_context(|| format!("{stored} demo jobs are stored, then"))?,
            };
            filled.stored += ids.len();
            (from, left) = (from + some, left - some);
            progress.show(filled.stored as u64, Some(all));
            for (_, id) in jobs.iter().zip(ids).filter(|(job, _)| is_to_be_cancelled(job)) {
                if filled.cancelled < CANCELLED {
                    operate::send(backend, id, JobOperation::Cancel).await?;
                    filled.cancelled += 1;
                }
            }
        }
    }
    Ok(filled)
}

/// The request for a job of the example. Twenty in a row are a mix of everything.
fn job(n: u32, queue: &str) -> Value {
    let to = format!("user{}@example.com", n % 100);
    let mail = |ends: &str, delay: String| json!({"kind": "demo:mail", "queue": queue, "delay": delay, "payload": {"to": to, "ends": ends}});
    let report = |seconds: u32, delay: &str| json!({"kind": "demo:report", "queue": queue, "delay": delay, "payload": {"seconds": seconds}});
    let mut job = match n % 20 {
        0..=5 => mail("sent", format!("{}s", n % 10)),
        6..=10 => report(20 + n % 41, "2s"),
        11..=13 => mail("sent", format!("{}m", 1 + n % 120)),
        14 | 15 => mail("refused", "0s".to_owned()),
        16 => mail("no_mailbox", "0s".to_owned()),
        17 => report(1, "0s"),
        18 => mail("sent_later", "0s".to_owned()),
        _ => report(10, CANCELLED_DELAY),
    };
    match n % 20 {
        14 => job["max_retries"] = json!(0),
        17 => {
            job["max_retries"] = json!(0);
            job["payload"]["broken_row"] = json!(n);
        }
        _ => {}
    }
    job
}

/// The delay of jobs that are cancelled before they run.
const CANCELLED_DELAY: &str = "3h";

fn is_to_be_cancelled(job: &Value) -> bool {
    job["delay"] == CANCELLED_DELAY
}

/// Stores some jobs. Returns their ids in the same order.
async fn store(backend: &Backend, queue: &str, jobs: &[Value]) -> anyhow::Result<Vec<JobId>> {
    match backend {
        Backend::Http(gateway) => {
            let body = json!({ "jobs": jobs }).to_string();
            let batch: Batch = gateway.post_json(Endpoint::v1(["jobs", "batch"]), body).await?.read()?;
            let id = |(n, stored): (usize, Stored)| match (stored.job, stored.problem) {
                (Some(job), _) => Ok(job.id),
                (None, Some(problem)) => bail!(problem.to_string().replace(&format!("/jobs/{n}/"), "/")),
                (None, None) => bail!("the gateway has not stored a job, and does not say why"),
            };
            batch.results.into_iter().enumerate().map(id).collect()
        }
        Backend::Direct(session) => store_directly(session, queue, jobs).await,
    }
}

async fn store_directly(session: &Session, queue: &str, jobs: &[Value]) -> anyhow::Result<Vec<JobId>> {
    let rules = session.rules_for(KINDS[0]).await?;
    let prepare = |job: &Value| -> anyhow::Result<NewJob> {
        let body = job.to_string();
        let request: JobRequest<'_> = serde_json::from_str(&body)?;
        Ok(rules.prepare(&request, &body, KeySource::Item(None), session.client.now())?.job)
    };
    let jobs: Vec<NewJob> = jobs.iter().map(prepare).collect::<Result<_, _>>()?;
    let stored = session.client.enqueue_each(queue, &jobs).await;
    let id = |(job, stored): (&NewJob, Result<Enqueued, _>)| {
        stored?;
        Ok(job.id)
    };
    jobs.iter().zip(stored).map(id).collect()
}

async fn clean(backend: &Backend, queue: &str) -> anyhow::Result<Cleaned> {
    let progress = Progress::of("demo jobs removed");
    let deadline = Instant::now() + CLEAN_TIMEOUT;
    let mut removed = 0;
    let mut asked = Vec::new();
    loop {
        // Jobs that run now end in one of the later sets.
        let running = running(backend, queue).await?;
        for id in running.iter().filter(|id| !asked.contains(*id)) {
            // It may have ended meanwhile.
            let _ = operate::send(backend, *id, JobOperation::Cancel).await;
        }
        for kind in KINDS {
            for state in [State::Scheduled, State::Ready, State::Completed, State::Dead, State::Cancelled] {
                removed += queue::purge_state(backend, queue, state, Some(kind), &progress).await?.moved;
                progress.show(removed, None);
            }
        }
        if running.is_empty() || Instant::now() > deadline {
            return Ok(Cleaned { removed, running: running.len() });
        }
        asked = running;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn running(backend: &Backend, queue: &str) -> anyhow::Result<Vec<JobId>> {
    let request = ListRequest {
        queue: Some(queue.to_owned()),
        kind: Some(KINDS.join(",")),
        state: Some(State::Active.to_string()),
        limit: Some(MAX_BATCH.to_string()),
        facets: Some("false".to_owned()),
        ..ListRequest::default()
    };
    Ok(jobs::read(backend, &request).await?.read()?.items.into_iter().map(|job| job.id).collect())
}

fn checked_time(text: &str) -> Result<Duration, String> {
    let time = parse_delay(text)?;
    if time <= LONGEST { Ok(time) } else { Err("at most 1h".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_jobs_are_a_mix_of_everything() {
        let jobs: Vec<Value> = (0..20).map(|n| job(n, "default")).collect();
        for ends in ["sent", "refused", "no_mailbox", "sent_later"] {
            assert!(jobs.iter().any(|job| job["payload"]["ends"] == ends), "{ends}");
        }
        assert!(jobs.iter().any(|job| job["payload"]["broken_row"].is_number()));
        assert_eq!(jobs.iter().filter(|job| is_to_be_cancelled(job)).count(), 1);
        let registry = atode_jobs::registry().unwrap();
        for job in jobs {
            let kind = registry.get(job["kind"].as_str().unwrap()).unwrap();
            assert!(kind.check(&job["payload"].to_string()).is_ok(), "{job}");
        }
    }
}
