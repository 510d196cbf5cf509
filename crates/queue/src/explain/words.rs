//! The sentence of each reason, with the figures of the job, and what to do about it.

use std::collections::BTreeMap;

use crate::error::RefusalCode;
use crate::explain::explanation::{Check, CheckResult, Reason};
use crate::explain::facts::{Facts, JobPlace};
use crate::explain::time_span::time_span;
use crate::model::history::FailureCause;
use crate::model::run::{Run, WorkerRef};

/// The sentence of [`Reason::RedisAway`], without its full stop: the cause follows.
pub const REDIS_AWAY: &str = "Redis cannot be reached, so no job can be claimed, settled or explained";

/// The most workers that a sentence names.
const MOST_NAMES: usize = 5;
/// The most bytes of an error that a sentence quotes.
const MOST_OF_ERROR: usize = 300;

/// The sentence, and what to do.
pub(crate) fn of(facts: &Facts, reason: Reason, checks: &[Check]) -> (String, String) {
    let (id, queue, kind) = (facts.id, &facts.queue, &facts.kind);
    match reason {
        Reason::NotDue => {
            (format!("It is not due yet: it is due in {}.", until_due(facts)), wait_or_run_now(facts, checks))
        }
        Reason::BackingOff => (after_failure(facts), wait_or_run_now(facts, checks)),
        Reason::QueuePaused => {
            let since = facts.paused_since.map_or(0, |since| facts.now - since);
            (
                format!("The queue {queue} has been paused for {}.", time_span(since)),
                format!("Resume the queue: POST /v1/queues/{queue}/resume."),
            )
        }
        Reason::NoWorkerKnowsKind => (
            format!("No live worker takes jobs of the kind {kind} from the queue {queue}; {}.", fleet(facts)),
            format!("Start a worker whose build has the kind {kind} and whose queues include {queue}."),
        ),
        Reason::WorkersQuiet => (
            format!(
                "No live worker that takes it claims jobs, because all of them are quiet or stopping: {}.",
                names(facts.serving().map(|worker| &worker.worker))
            ),
            "Start another worker: a quiet one stays quiet until it is restarted.".to_owned(),
        ),
        Reason::SlotsFull => (
            full_slots(facts),
            "Wait for a slot, start another worker, or raise worker.concurrency.".to_owned(),
        ),
        Reason::RedisFull => {
            let (cause, cure) = facts.refusal.map_or(("it refuses writes", ""), refusal);
            (format!("Redis refuses every claim: {cause}."), cure.to_owned())
        }
        Reason::HeldAfterCrashes => (
            format!(
                "It was running in {}, so a worker runs it only while it runs no other such job; each of the {} that \
                 take it runs another one now.",
                count(facts.history.crashes as usize, "crash"),
                count(facts.claiming().count(), "worker"),
            ),
            format!(
                "Wait for its turn, or start another worker. If the job is the cause of the crashes, cancel it: POST \
                 /v1/jobs/{id}/cancel."
            ),
        ),
        Reason::BuildTooOld => build_too_old(facts),
        Reason::DueNow => (
            format!("It has been due for {}, and nothing holds it back: the next claim takes it.", late(facts)),
            "Ask again in some seconds. If the reason is the same, look at the logs of the workers that take it: are \
             their slots claimed by other queues, and do their results reach Redis?"
                .to_owned(),
        ),
        Reason::CancelRequested => (
            format!("A cancellation was requested, and {} has not ended it yet.", holder(facts)),
            "Wait: the job is cancelled when its handler ends, 2 s after the worker heard of the request at the latest \
             unless the handler blocks its thread; if the worker is gone, when its lease runs out."
                .to_owned(),
        ),
        Reason::Settling => (lost_lease(facts), recovery(facts)),
        Reason::Running => (
            running(facts),
            format!("Wait until it ends: GET /v1/jobs/{id}?wait=30s. To stop it: POST /v1/jobs/{id}/cancel."),
        ),
        // The error of the call has a cause of its own.
        Reason::RedisAway => (format!("{REDIS_AWAY}."), "Ask again when Redis answers.".to_owned()),
        Reason::Completed => (
            format!("It completed {}{}.", ago(facts), by_worker(facts)),
            kept(facts, "Nothing: it has done its work."),
        ),
        Reason::RetriesSpent => (
            format!("{} failed, and no retry is left{}.", attempts(facts), last_error(facts)),
            "Remove the cause, then redrive it".to_owned() + &redrive(facts),
        ),
        Reason::Permanent => (
            format!("Attempt {} failed in a way that no retry can change{}.", last_attempt(facts), last_error(facts)),
            "Remove the cause, or enqueue a corrected job; then redrive or delete this one".to_owned() + &redrive(facts),
        ),
        Reason::Crashed5Times => (
            format!("Its worker's process died in {} of its runs, so it does not run again.", facts.history.crashes),
            "Find out whether the job kills its worker (memory, a crash in native code) before you redrive it".to_owned()
                + &redrive(facts),
        ),
        Reason::Cancelled => (
            format!("It was cancelled {}{}.", ago(facts), by_worker(facts)),
            kept(facts, "Enqueue a new job if it has to run after all."),
        ),
    }
}

fn build_too_old(facts: &Facts) -> (String, String) {
    let fits = facts.history.unread.as_ref().and_then(|unread| unread.fits.as_deref());
    let (origin, cure) = match fits {
        Some(build) => (
            format!("Its payload is for the build {build}"),
            format!("a worker of the build {build} or a later one"),
        ),
        None => ("A later release stored it".to_owned(), "a worker of that release".to_owned()),
    };
    (
        format!(
            "{origin}, and no live worker that takes it can read it: {}.",
            names(facts.claiming().map(|worker| &worker.worker))
        ),
        format!("Start {cure}. Until then, each worker hands the job back without spending an attempt."),
    )
}

/// The cause of a refusal and its cure.
pub(crate) fn refusal(code: RefusalCode) -> (&'static str, &'static str) {
    match code {
        RefusalCode::Misconfigured => (
            "it cannot save its data to its disk (MISCONF)",
            "Look at the log of Redis: is its disk full? Workers go on as soon as it can save.",
        ),
        RefusalCode::NoReplicas => (
            "it has fewer replicas than min-replicas-to-write",
            "Start the replicas, or lower min-replicas-to-write.",
        ),
        RefusalCode::ReadOnly => {
            ("it is a replica and takes no writes", "Connect workers and gateways to the primary.")
        }
        RefusalCode::OutOfMemory => (
            "its memory is full",
            "Purge finished and dead jobs (POST /v1/queues/{queue}/purge?state=completed), or raise maxmemory.",
        ),
        _ => ("it refuses writes at the moment", "GET /readyz says what is wrong with Redis."),
    }
}

/// `1 job`, `2 jobs`, `3 crashes`.
pub(crate) fn count(n: usize, thing: &str) -> String {
    let plural = if thing.ends_with("sh") { "es" } else { "s" };
    format!("{n} {thing}{}", if n == 1 { "" } else { plural })
}

fn until_due(facts: &Facts) -> String {
    time_span(due(facts) - facts.now)
}

fn late(facts: &Facts) -> String {
    time_span(facts.now - due(facts))
}

fn due(facts: &Facts) -> i64 {
    if let JobPlace::Waiting { due, .. } = facts.place { due } else { facts.now }
}

/// Advice that names what will hold the job back once it is due.
fn wait_or_run_now(facts: &Facts, checks: &[Check]) -> String {
    let wait = format!("Wait, or make it due now: POST /v1/jobs/{}/run-now.", facts.id);
    let blocked = checks.iter().find(|check| check.result == CheckResult::Failed);
    match blocked {
        Some(check) => format!("{wait} At present it would not start then either: see {}.", check.name),
        None => wait,
    }
}

fn after_failure(facts: &Facts) -> String {
    let history = &facts.history;
    let again = until_due(facts);
    match history.failures.last() {
        Some(last) if last.cause == FailureCause::Crash => format!(
            "Its worker's process died while it ran it ({}), and it is due again in {again}.",
            count(history.crashes as usize, "crash")
        ),
        Some(last) => {
            format!(
                "Attempt {}{} failed, and the next one is due in {again}.",
                last.run.attempt,
                most_attempts(facts)
            )
        }
        None => format!("It is due again in {again}."),
    }
}

/// ` of 11`, if the limit is known.
fn most_attempts(facts: &Facts) -> String {
    facts.max_retries.map_or(String::new(), |retries| format!(" of {}", u64::from(retries) + 1))
}

fn attempts(facts: &Facts) -> String {
    match facts.history.failed {
        0 => "It".to_owned(),
        1 => "Its only attempt".to_owned(),
        n => format!("All of its {n} attempts"),
    }
}

fn last_attempt(facts: &Facts) -> u32 {
    facts.history.failures.last().map_or(1, |last| last.run.attempt)
}

fn last_error(facts: &Facts) -> String {
    let Some(last) = facts.history.failures.last() else { return String::new() };
    let error = last.error.lines().next().unwrap_or_default();
    let end =
        (0..=error.len().min(MOST_OF_ERROR)).rev().find(|end| error.is_char_boundary(*end)).unwrap_or(0);
    let cut = if end < last.error.len() { "…" } else { "" };
    format!(": {}{cut}", error[..end].trim_end_matches('.'))
}

fn redrive(facts: &Facts) -> String {
    format!(": POST /v1/jobs/{}/redrive. A dead job is kept until it is redriven or deleted.", facts.id)
}

/// The workers of the whole system, with their builds.
fn fleet(facts: &Facts) -> String {
    match facts.workers.len() {
        0 => "no worker is alive".to_owned(),
        1 => format!("1 worker is alive: {}", names(facts.workers.iter().map(|worker| &worker.worker))),
        n => format!("{n} workers are alive: {}", names(facts.workers.iter().map(|worker| &worker.worker))),
    }
}

fn names<'a>(workers: impl Iterator<Item = &'a WorkerRef>) -> String {
    let named: Vec<String> =
        workers.map(|worker| format!("{} (build {})", worker.id, worker.build)).collect();
    match named.len().saturating_sub(MOST_NAMES) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named[..MOST_NAMES].join(", ")),
    }
}

fn full_slots(facts: &Facts) -> String {
    let mut by_kind: BTreeMap<&str, u64> = BTreeMap::new();
    let mut elsewhere = 0;
    for worker in facts.claiming() {
        let here: u64 = facts.leased_to(worker).map(|leased| leased.jobs).sum();
        elsewhere += facts.taken(worker).saturating_sub(here);
        for leased in facts.leased_to(worker) {
            *by_kind.entry(&leased.kind).or_default() += leased.jobs;
        }
    }
    let mut takers: Vec<String> = by_kind
        .into_iter()
        .map(|(kind, jobs)| format!("{} of {kind}", count(jobs as usize, "job")))
        .collect();
    if elsewhere > 0 {
        takers.push(format!("{} of other queues", count(elsewhere as usize, "job")));
    }
    let (_, all) = facts.slots();
    let ahead = match facts.place {
        JobPlace::Waiting { ahead, .. } if ahead > 0 => {
            format!(
                ", and {} of its kind {} due before it",
                count(ahead as usize, "job"),
                if ahead == 1 { "is" } else { "are" }
            )
        }
        _ => String::new(),
    };
    let workers = facts.claiming().count();
    let only_one = takers.len() == 1 && takers[0].starts_with("1 ");
    format!(
        "No slot is free on {} it: {} {} {}{ahead}.",
        if workers == 1 {
            "the worker that takes".to_owned()
        } else {
            format!("the {workers} workers that take")
        },
        takers.join(", "),
        if only_one { "has" } else { "have" },
        if all == 1 { "the only slot".to_owned() } else { format!("all {all} slots") },
    )
}

fn run(facts: &Facts) -> Option<&Run> {
    match &facts.place {
        JobPlace::Active { run, .. } => run.as_ref(),
        _ => facts.history.last_run.as_ref(),
    }
}

fn holder(facts: &Facts) -> String {
    run(facts).map_or("an unknown worker".to_owned(), |run| one(&run.worker))
}

fn one(worker: &WorkerRef) -> String {
    format!("worker {} (pid {} on {}, build {})", worker.id, worker.pid, worker.host, worker.build)
}

fn running(facts: &Facts) -> String {
    run(facts).map_or("It is running on an unknown worker.".to_owned(), |run| {
        let span = time_span(facts.now - run.started);
        let (attempt, most, worker) = (run.attempt, most_attempts(facts), one(&run.worker));
        format!("It has been running for {span}, in attempt {attempt}{most}, on {worker}.")
    })
}

fn lost_lease(facts: &Facts) -> String {
    let JobPlace::Active { deadline, .. } = facts.place else { return String::new() };
    if deadline > facts.now {
        let left = time_span(deadline - facts.now);
        format!("Its {} is gone; its lease runs out in {left}, and then the job is recovered.", holder(facts))
    } else {
        let since = time_span(facts.now - deadline);
        format!("The lease of {} ran out {since} ago, and the job has not been recovered yet.", holder(facts))
    }
}

/// Any worker of the queue recovers its jobs, whatever kinds it knows.
fn recovery(facts: &Facts) -> String {
    if facts.workers.iter().any(|worker| worker.queues.contains_key(&facts.queue)) {
        "Wait: a worker of the queue recovers it within some seconds after that.".to_owned()
    } else {
        format!("Start a worker of the queue {}: only workers recover jobs.", facts.queue)
    }
}

fn ago(facts: &Facts) -> String {
    facts.settled_at.map_or(String::new(), |at| format!("{} ago", time_span(facts.now - at)))
}

fn by_worker(facts: &Facts) -> String {
    run(facts).map_or(String::new(), |run| format!(", in attempt {} on {}", run.attempt, one(&run.worker)))
}

fn kept(facts: &Facts, first: &str) -> String {
    let (JobPlace::Completed { expiry } | JobPlace::Cancelled { expiry }) = facts.place else {
        return first.to_owned();
    };
    format!("{first} It is kept for another {} at most.", time_span(expiry - facts.now))
}
