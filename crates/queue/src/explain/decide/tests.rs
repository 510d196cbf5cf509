//! The table of facts and reasons, and the document of all reasons.

use std::sync::Arc;

use super::*;
use crate::error::RefusalCode;
use crate::explain::facts::Leased;
use crate::model::history::{Failure, History};
use crate::model::id::JobId;
use crate::model::run::{Run, WorkerRef};
use crate::workers::registration::{Registration, WorkerState};

const DOCUMENT: &str = include_str!("../../../../../docs/explain.md");
const NOW: i64 = 1_795_478_771_000;
const KIND: &str = "test:print";

fn worker(n: i64, state: WorkerState) -> Registration {
    let worker = WorkerRef {
        id: format!("01a20ade-ead8-79fd-9182-{n:012}").parse().unwrap(),
        host: "a-host".to_owned(),
        pid: n as u32,
        build: format!("0.1.0+build{n}"),
    };
    Registration {
        worker,
        kinds: vec![KIND.to_owned()],
        queues: [("default".to_owned(), 1)].into(),
        slots: 2,
        active: 0,
        state,
        started_at: Timestamp::UNIX_EPOCH,
        seen_at: Timestamp::UNIX_EPOCH,
        http: String::new(),
    }
}

fn run(worker: &Registration) -> Run {
    Run::new(1, NOW - 5_000, NOW - 4_000, Arc::new(worker.worker.clone()))
}

/// A history that ended with these causes, the last one `before` ms ago.
fn failed(causes: &[FailureCause], before: i64) -> History {
    let run = run(&worker(1, WorkerState::Running));
    causes.iter().fold(History::default(), |history, cause| {
        history.with_failure(Failure::new(*cause, "upstream busy", run.clone(), NOW - before))
    })
}

/// A ready job that nothing holds back.
fn ready() -> Facts {
    Facts {
        id: JobId::new(NOW - 60_000),
        kind: KIND.to_owned(),
        queue: "default".to_owned(),
        max_retries: Some(10),
        now: NOW,
        place: JobPlace::Waiting { due: NOW - 3, ahead: 0 },
        history: History::default(),
        settled_at: None,
        paused_since: None,
        workers: vec![worker(1, WorkerState::Running)],
        leased: Vec::new(),
        refusal: None,
    }
}

fn scheduled(facts: Facts) -> Facts {
    Facts { place: JobPlace::Waiting { due: NOW + 167_000, ahead: 0 }, ..facts }
}

fn leased(worker: &Registration, jobs: u64, suspects: u64) -> Leased {
    Leased { worker: worker.worker.id, kind: "test:slow".into(), jobs, suspects }
}

fn active(facts: Facts, ms_left: i64, cancel_requested: bool) -> Facts {
    let run = Some(run(&worker(1, WorkerState::Running)));
    Facts { place: JobPlace::Active { deadline: NOW + ms_left, run, cancel_requested }, ..facts }
}

fn ended(place: JobPlace, causes: &[FailureCause]) -> Facts {
    let history = failed(causes, 1_000).finished_with(run(&worker(1, WorkerState::Running)));
    Facts { place, history, settled_at: Some(NOW - 1_000), ..ready() }
}

#[track_caller]
fn check_reason(facts: &Facts, reason: Reason, words: &[&str]) {
    let explanation = facts.explain();
    assert_eq!(explanation.reason, reason, "{explanation:#?}");
    for word in words {
        assert!(explanation.sentence.contains(word), "{word} is missing in: {}", explanation.sentence);
    }
    assert!(explanation.sentence.ends_with('.') && !explanation.what_to_do.is_empty(), "{explanation:#?}");
}

#[test]
fn each_reason_follows_from_its_facts_and_names_their_figures() {
    let quiet = vec![worker(1, WorkerState::Quiet), worker(2, WorkerState::Stopping)];
    let crashed = |causes, before| Facts { history: failed(causes, before), ..ready() };
    let other = Registration { kinds: vec!["test:other".to_owned()], ..worker(7, WorkerState::Running) };
    let first = worker(1, WorkerState::Running);
    let backing_off = Facts {
        history: failed(&[FailureCause::Error], 100),
        settled_at: Some(NOW - 90),
        ..scheduled(ready())
    };
    let snoozed = Facts { settled_at: Some(NOW + 10_000), ..backing_off.clone() };
    let full = Facts {
        leased: vec![leased(&first, 2, 0)],
        place: JobPlace::Waiting { due: NOW - 3, ahead: 12 },
        ..ready()
    };
    let suspect = Facts { leased: vec![leased(&first, 1, 1)], ..crashed(&[FailureCause::Crash; 2], 9_000) };
    let put_off = Facts { place: JobPlace::Waiting { due: NOW + 1_000, ahead: 0 }, ..suspect.clone() };
    let handed_back = Facts {
        history: History::default().unread_by("0.1.0+build1", Some("0.2.0+later".to_owned())),
        settled_at: Some(NOW - 100),
        ..scheduled(ready())
    };
    let newer_lives = Facts {
        workers: vec![worker(1, WorkerState::Running), worker(2, WorkerState::Running)],
        ..handed_back.clone()
    };
    let rescheduled = Facts { settled_at: Some(NOW - 400_000), ..handed_back.clone() };
    let retried = Facts {
        history: failed(&[FailureCause::Error], 100).unread_by("0.1.0+build1", None),
        ..handed_back.clone()
    };
    let later_form = Facts { history: History::default().unread_by("0.1.0+build1", None), ..ready() };
    let dead = |causes: &[FailureCause]| ended(JobPlace::Dead, causes);
    let expiry = NOW + 60_000;

    for (facts, reason, words) in [
        (ready(), Reason::DueNow, &["3 ms"][..]),
        (scheduled(ready()), Reason::NotDue, &["2 min 47 s"]),
        (backing_off, Reason::BackingOff, &["Attempt 1 of 11 failed", "2 min 47 s"]),
        (snoozed, Reason::NotDue, &["2 min 47 s"]),
        (
            Facts { paused_since: Some(NOW - 252_000), ..ready() },
            Reason::QueuePaused,
            &["default", "4 min 12 s"],
        ),
        (Facts { workers: vec![], ..ready() }, Reason::NoWorkerKnowsKind, &[KIND, "no worker is alive"]),
        (
            Facts { workers: vec![other.clone()], ..ready() },
            Reason::NoWorkerKnowsKind,
            &["1 worker is alive", "0.1.0+build7", &other.worker.id.to_string()],
        ),
        (Facts { workers: quiet, ..ready() }, Reason::WorkersQuiet, &["quiet or stopping", "0.1.0+build2"]),
        (
            full,
            Reason::SlotsFull,
            &[
                "the worker that takes it: 2 jobs of test:slow have all 2 slots",
                "12 jobs of its kind are due",
            ],
        ),
        (
            Facts { refusal: Some(RefusalCode::Misconfigured), ..ready() },
            Reason::RedisFull,
            &["cannot save its data"],
        ),
        (suspect, Reason::HeldAfterCrashes, &["2 crashes", "1 worker"]),
        (put_off, Reason::HeldAfterCrashes, &["2 crashes"]),
        (handed_back.clone(), Reason::BuildTooOld, &["for the build 0.2.0+lat", "(build 0.1.0+build1)"]),
        (Facts { paused_since: Some(NOW - 1_000), ..handed_back.clone() }, Reason::QueuePaused, &["1.0 s"]),
        (Facts { workers: vec![], ..handed_back }, Reason::NotDue, &["2 min 47 s"]),
        (newer_lives, Reason::NotDue, &["2 min 47 s"]),
        (rescheduled, Reason::NotDue, &["2 min 47 s"]),
        (retried, Reason::BackingOff, &["2 min 47 s"]),
        (later_form, Reason::BuildTooOld, &["A later release stored it", "0.1.0+build1"]),
        (active(ready(), 9_000, false), Reason::Running, &["4.0 s", "attempt 1 of 11", "0.1.0+build1"]),
        (active(ready(), 9_000, true), Reason::CancelRequested, &["0.1.0+build1"]),
        (active(ready(), -1_500, false), Reason::Settling, &["1.5 s ago", "pid 1"]),
        (active(Facts { workers: vec![], ..ready() }, 9_000, false), Reason::Settling, &["is gone", "9.0 s"]),
        (ended(JobPlace::Completed { expiry }, &[]), Reason::Completed, &["1.0 s ago", "attempt 1"]),
        (ended(JobPlace::Cancelled { expiry }, &[]), Reason::Cancelled, &["1.0 s ago"]),
        (
            dead(&[FailureCause::Error; 11]),
            Reason::RetriesSpent,
            &["All of its 11 attempts failed", ": upstream busy."],
        ),
        (dead(&[FailureCause::Timeout]), Reason::RetriesSpent, &["Its only attempt failed"]),
        (
            dead(&[FailureCause::Error, FailureCause::Permanent]),
            Reason::Permanent,
            &["no retry", ": upstream busy."],
        ),
        (dead(&[FailureCause::Crash; 5]), Reason::Crashed5Times, &["5 of its runs"]),
        // A history that a later version wrote, and one that is missing.
        (dead(&[FailureCause::Unknown]), Reason::RetriesSpent, &["failed"]),
        (dead(&[]), Reason::RetriesSpent, &["It failed, and no retry is left."]),
    ] {
        check_reason(&facts, reason, words);
    }
}

#[test]
fn the_first_check_that_fails_is_the_reason_and_the_others_are_shown() {
    use CheckResult::{Failed, Passed, WaitsForTime};
    let everything = Facts {
        paused_since: Some(NOW - 1),
        workers: vec![],
        refusal: Some(RefusalCode::Misconfigured),
        ..scheduled(ready())
    };
    let explanation = everything.explain();
    let results: Vec<CheckResult> = explanation.checks.iter().map(|check| check.result).collect();
    assert_eq!(results, [WaitsForTime, Failed, Failed, Failed, Failed, Failed, Passed, Passed]);
    assert_eq!(explanation.reason, Reason::NotDue);
    assert_eq!(explanation.runs_at_earliest.map(Timestamp::as_millisecond), Some(NOW + 167_000));
    assert!(explanation.what_to_do.contains("queue_gives_out_jobs"), "{}", explanation.what_to_do);
    let names: Vec<CheckName> = explanation.checks.iter().map(|check| check.name).collect();
    assert_eq!(names, CheckName::ALL);

    let explanation = ready().explain();
    assert!(explanation.checks.iter().all(|check| check.result == Passed), "{explanation:#?}");
    assert_eq!(explanation.runs_at_earliest, None);
}

#[test]
fn a_suspect_may_run_where_one_worker_runs_no_other() {
    let workers = vec![worker(1, WorkerState::Running), worker(2, WorkerState::Running)];
    let leased = vec![leased(&workers[0], 1, 1)];
    let history = failed(&[FailureCause::Crash; 2], 9_000);
    check_reason(&Facts { history, workers, leased, ..ready() }, Reason::DueNow, &[]);
}

#[test]
fn a_redriven_job_does_not_back_off() {
    let mut history = failed(&[FailureCause::Error], 100);
    history.started_over = true;
    let facts = Facts { history, settled_at: Some(NOW - 90), ..scheduled(ready()) };
    check_reason(&facts, Reason::NotDue, &[]);
}

#[test]
fn jobs_of_other_queues_take_slots_too() {
    let busy = Registration { active: 2, ..worker(1, WorkerState::Running) };
    let leased = vec![leased(&busy, 1, 0)];
    let facts = Facts { workers: vec![busy], leased, ..ready() };
    check_reason(&facts, Reason::SlotsFull, &["1 job of test:slow, 1 job of other queues have"]);
}

#[test]
fn the_document_has_a_row_for_each_reason_and_each_check() {
    let documented = |heading: &str| -> Vec<&str> {
        let (_, section) = DOCUMENT.split_once(heading).expect(heading);
        let section = section.split("\n## ").next().unwrap_or_default();
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
    };
    let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(documented("\n## Reasons\n"), reasons);
    let checks: Vec<&str> = CheckName::ALL.iter().map(|check| check.name()).collect();
    assert_eq!(documented("\n## Checks\n"), checks);
}
