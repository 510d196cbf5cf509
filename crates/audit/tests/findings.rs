//! An audit finds every job that is broken, and a repair loses none.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::collections::BTreeSet;

use atode_audit::{Repaired, Wrong, repair};
use atode_queue::{Due, JobId, KindSet, State};
use support::{DEADLINE, HOUR, KIND, NOW, OTHER, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_jobs_in_all_states_and_a_redis_without_any_are_in_order() {
    let test = start().await;
    let audit = test.audit().await;
    assert_eq!((audit.jobs, audit.queues), (10, BTreeSet::from(["default".to_owned()])));
    test.command(&["FLUSHALL"]);
    let audit = test.audit().await;
    assert_eq!((audit.jobs, audit.queues.len(), audit.findings.len()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_no_set_is_due_now() {
    let test = start().await;
    let wakeups = test.client.wakeups(std::slice::from_ref(&test.queue), &KindSet::default());
    wakeups.next().await;
    let id = test.enqueue(NOW).await;
    wakeups.next().await;
    test.take_out("due", id);
    test.repair_one(Wrong::NoSet, id).await;
    tokio::time::timeout(DEADLINE, wakeups.next()).await.expect("workers are woken");
    test.check_runs(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_no_set_keeps_the_due_time_of_its_request() {
    let test = start().await;
    let at = test.now() + 3_600_000;
    let mut job = test.new_job(Due::At(at));
    job.record = format!(r#"{{"kind":"{KIND}","payload":{{}},"run_at":{at}}}"#).into();
    let id = job.id;
    test.client.enqueue(job).await.unwrap();
    test.take_out("due", id);
    test.repair_one(Wrong::NoSet, id).await;
    assert_eq!(test.score("due", id), Some(at));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_kind_that_nothing_else_knows_is_found_and_due() {
    let test = start().await;
    let id = test.client.new_id();
    let record = r#"{"kind":"test:unheard-of","payload":{}}"#;
    test.command(&["HSET", &test.key("jobs"), &id.short(), record]);
    test.repair_one(Wrong::NoSet, id).await;
    test.check_runs_as("test:unheard-of", id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_without_a_record_is_removed_from_every_set() {
    let test = start().await;
    for sets in [&["due"][..], &["dead"], &["lease", "done"]] {
        let id = test.client.new_id();
        for set in sets {
            test.put(KIND, set, id);
        }
        test.command(&["HSET", &test.key("state"), &id.short(), "1 0 0 {}"]);
        test.repair_one(Wrong::NoRecord, id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_not_an_id_is_reported_as_stored_and_removed() {
    let test = start().await;
    test.command(&["ZADD", &test.set("due"), "1", "by hand"]);
    test.repair_one(Wrong::NoRecord, "by hand").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_several_sets_stays_where_least_is_lost() {
    let test = start().await;
    for (sets, expected) in [
        (&["due", "dead"][..], State::Ready),
        (&["due", "lease", "done"], State::Ready),
        (&["dead", "cancelled", "done"], State::Dead),
        (&["cancelled", "done"], State::Cancelled),
        (&["lease", "dead"], State::Ready),
    ] {
        let id = test.enqueue_now().await;
        if !sets.contains(&"due") {
            test.take_out("due", id);
        }
        for set in sets.iter().filter(|set| **set != "due") {
            test.put(KIND, set, id);
        }
        test.repair_one(Wrong::SeveralSets, id).await;
        assert_eq!(test.state(id).await, expected, "{sets:?}");
        if expected == State::Ready {
            test.check_runs(id).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_that_is_in_another_set_too_goes_on_running() {
    let test = start().await;
    test.enqueue_now().await;
    let job = test.claim_one().await;
    let id = job.lease.id();
    test.put(KIND, "due", id);
    test.put(OTHER, "dead", id);
    test.repair_one(Wrong::SeveralSets, id).await;
    assert_eq!(test.state(id).await, State::Active);
    test.done(job.lease.complete(HOUR, job.history)).await;
    test.check_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_a_set_of_another_kind_moves_to_its_own() {
    let test = start().await;
    for (set, expected) in [
        ("due", State::Scheduled),
        ("lease", State::Ready),
        ("dead", State::Dead),
        ("done", State::Completed),
    ] {
        let id = test.enqueue_now().await;
        test.take_out("due", id);
        test.put(OTHER, set, id);
        test.repair_one(Wrong::OtherKind, id).await;
        assert_eq!(test.state(id).await, expected, "{set}");
        if expected == State::Ready {
            test.check_runs(id).await;
        }
    }
    let id = test.enqueue_now().await;
    test.put(OTHER, "done", id);
    test.repair_one(Wrong::SeveralSets, id).await;
    test.check_runs(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_active_job_without_a_readable_holder_is_due_now() {
    let test = start().await;
    let id = test.claimed_with(None).await;
    test.repair_one(Wrong::NoHolder, id).await;
    test.check_runs(id).await;
    for entry in ["", "by hand"] {
        let id = test.claimed_with(Some(entry)).await;
        test.repair_one(Wrong::UnreadableHolder, id).await;
        test.check_runs(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_to_a_repair_settles_nothing() {
    let test = start().await;
    test.enqueue_now().await;
    let job = test.claim_one().await;
    let id = job.lease.id();
    test.command(&["HDEL", &test.key("active"), &id.short()]);
    test.repair_one(Wrong::NoHolder, id).await;
    let (_, verdict) = test.settle(job.lease.complete(HOUR, job.history)).await;
    assert_eq!(verdict, atode_queue::Verdict::Stale);
    test.check_runs(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_of_a_job_that_is_not_active_is_removed() {
    let test = start().await;
    let id = test.enqueue_now().await;
    test.command(&["HSET", &test.key("active"), &id.short(), "5 1 2 3 {}"]);
    test.repair_one(Wrong::NoLease, id).await;
    test.check_runs(id).await;
    let gone = test.client.new_id();
    test.command(&["HSET", &test.key("active"), &gone.short(), "5 1 2 3 {}"]);
    test.repair_one(Wrong::NoLease, gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_without_a_job_is_removed() {
    let test = start().await;
    let gone = test.client.new_id();
    test.command(&["HSET", &test.key("state"), &gone.short(), "1 0 0 {}"]);
    test.repair_one(Wrong::StateOnly, gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_is_set_aside_byte_for_byte() {
    let test = start().await;
    for (set, record) in
        [("due", "{"), ("dead", ""), ("lease", r#"{"payload":{}}"#), ("", "\u{1F980} by hand")]
    {
        let id = test.client.new_id();
        test.command(&["HSET", &test.key("jobs"), &id.short(), record]);
        if !set.is_empty() {
            test.put(KIND, set, id);
        }
        let aside = test.repair_one(Wrong::UnreadableRecord, id).await.expect("a key");
        assert_eq!(aside, "atode:broken:{default}:records");
        let kept = test.command(&["HGETALL", &aside]).texts();
        let (_, kept) = kept
            .chunks(2)
            .map(|pair| (&pair[0], &pair[1]))
            .find(|(field, _)| field.starts_with(&id.short()))
            .expect("it is kept");
        assert_eq!(kept, record);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_tag_belongs_to_no_kind_is_set_aside() {
    let test = start().await;
    for set in ["due", "dead", ""] {
        let id = test.client.new_id();
        test.command(&["HSET", &test.key("jobs"), &id.short(), "zzzz {}"]);
        if !set.is_empty() {
            test.put(KIND, set, id);
        }
        assert!(test.repair_one(Wrong::UnreadableRecord, id).await.is_some(), "{set}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_tag_two_kinds_share_is_of_the_kind_that_has_it_in_a_set() {
    const TWINS: [&str; 2] = ["test:twin5709", "test:twin9919"];
    let test = start().await;
    let ids = [test.enqueue_of(TWINS[0], NOW).await, test.enqueue_of(TWINS[1], NOW).await];
    let tag = |id: JobId| test.command(&["HGET", &test.key("jobs"), &id.short()]).text()[..4].to_owned();
    assert_eq!(tag(ids[0]), tag(ids[1]), "the names were chosen for their tags");
    test.check_clean().await;
    for (kind, id) in TWINS.into_iter().zip(ids) {
        test.put(kind, "dead", id);
        test.repair_one(Wrong::SeveralSets, id).await;
        test.check_runs_as(kind, id).await;
    }
    // No set tells the kind of this job, so nobody can run it.
    let id = test.enqueue_of(TWINS[0], NOW).await;
    assert_eq!(test.command(&["ZREM", &test.set_of(TWINS[0], "due"), &id.short()]).int(), 1);
    let aside = test.repair_one(Wrong::UnreadableRecord, id).await;
    assert_eq!(aside.as_deref(), Some("atode:broken:{default}:records"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_changed_since_it_was_found_is_left_alone() {
    let test = start().await;
    let id = test.enqueue_now().await;
    test.take_out("due", id);
    let finding = test.one_finding(Wrong::NoSet, &id.to_string()).await;
    test.put(KIND, "dead", id);
    let before = test.snapshot();
    assert_eq!(repair(&test.client, &finding).await.unwrap(), Repaired::Changed);
    test.check_unchanged(&before);
}
