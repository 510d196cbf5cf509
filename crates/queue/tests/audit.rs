//! An audit finds whatever was broken by hand, and nothing else; a repair loses no job.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use atode_queue::{
    Audit, ClaimOptions, Due, Finding, JobId, KindSet, Operation, Reaped, Repaired, Settlement, State, Wrong,
};
use support::{DEADLINE, HOUR, KIND, TestQueue, ids};

const NOW: Due = Due::After(Duration::ZERO);
const OTHER: &str = "test:other";

impl TestQueue {
    async fn audit(&self) -> Audit {
        self.client.audit(None).await.expect("looked")
    }

    async fn repair(&self, finding: &Finding) -> Option<String> {
        match self.client.repair(finding).await.expect("answered") {
            Repaired::Done { set_aside } => set_aside,
            Repaired::Changed => panic!("{finding:?} has changed"),
        }
    }

    /// The one thing that is wrong.
    async fn one_finding(&self, wrong: Wrong, subject: &str) -> Finding {
        let mut findings = self.audit().await.findings;
        assert_eq!(findings.len(), 1, "{findings:#?}");
        let finding = findings.remove(0);
        assert_eq!((finding.wrong, &*finding.subject), (wrong, subject), "{finding:?}");
        finding
    }

    /// Finds this and nothing else, repairs it, and all is in order.
    async fn mend_one(&self, wrong: Wrong, subject: impl ToString) -> Option<String> {
        let finding = self.one_finding(wrong, &subject.to_string()).await;
        let set_aside = self.repair(&finding).await;
        self.check_clean().await;
        // Whoever repairs it a second time changes nothing.
        assert_eq!(self.client.repair(&finding).await.unwrap(), Repaired::Changed);
        self.check_invariants();
        set_aside
    }

    async fn check_clean(&self) {
        let audit = self.audit().await;
        assert!(audit.findings.is_empty(), "{:#?}", audit.findings);
        self.check_invariants();
    }

    /// Jobs of all states, so that there is something to harm.
    async fn populate(&self) {
        for kind in [KIND, OTHER] {
            self.enqueue_of(kind, Due::After(HOUR)).await;
            for n in 0..4 {
                self.enqueue_of(kind, NOW).await;
                let kinds = [kind.into()];
                let mut claim =
                    self.client.claim(&ClaimOptions { kinds: &kinds, ..self.options(1) }).await.unwrap();
                let job = claim.jobs.remove(0);
                match n {
                    0 => {}
                    1 => self.done(job.lease.complete(HOUR, job.history)).await,
                    2 => self.done(job.lease.bury(job.history)).await,
                    _ => {
                        let id = job.lease.id();
                        self.done(job.lease.release(HOUR)).await;
                        self.client.operate(&self.queue, kind, id, Operation::Cancel).await.unwrap();
                    }
                }
            }
        }
    }

    /// It is due, and the one job that is: it runs and completes.
    async fn check_runs(&self, id: JobId) {
        self.check_runs_as(KIND, id).await;
    }

    async fn check_runs_as(&self, kind: &str, id: JobId) {
        let kinds = [kind.into()];
        let claim = self.client.claim(&ClaimOptions { kinds: &kinds, ..self.options(10) }).await.unwrap();
        assert_eq!(ids(&claim.jobs), [id]);
        for job in claim.jobs {
            self.done(job.lease.complete(HOUR, job.history)).await;
        }
        self.check_clean().await;
    }

    async fn claimed_with(&self, entry: Option<&str>) -> JobId {
        self.enqueue_now().await;
        let id = self.claim_one().await.lease.id();
        match entry {
            Some(entry) => self.command(&["HSET", &self.key("active"), &id.short(), entry]),
            None => self.command(&["HDEL", &self.key("active"), &id.short()]),
        };
        id
    }

    fn put(&self, kind: &str, set: &str, id: JobId) {
        let score = (self.now() + 3_600_000).to_string();
        self.command(&["ZADD", &self.set_of(kind, set), &score, &id.short()]);
    }

    fn take_out(&self, set: &str, id: JobId) {
        assert_eq!(self.command(&["ZREM", &self.set(set), &id.short()]).int(), 1);
    }
}

async fn start() -> TestQueue {
    let test = TestQueue::start().await;
    test.populate().await;
    test.check_clean().await;
    test
}

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
    test.mend_one(Wrong::NoSet, id).await;
    tokio::time::timeout(DEADLINE, wakeups.next()).await.expect("workers are woken");
    test.check_runs(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_no_set_that_was_asked_for_later_is_due_then() {
    let test = start().await;
    let at = test.now() + 3_600_000;
    let mut job = test.new_job(Due::At(at));
    job.record = format!(r#"{{"kind":"{KIND}","payload":{{}},"run_at":{at}}}"#).into();
    let id = job.id;
    test.client.enqueue(job).await.unwrap();
    test.take_out("due", id);
    test.mend_one(Wrong::NoSet, id).await;
    assert_eq!(test.score("due", id), Some(at));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_kind_that_nothing_else_knows_is_found_and_due() {
    let test = start().await;
    let id = test.client.new_id();
    let record = r#"{"kind":"test:unheard-of","payload":{}}"#;
    test.command(&["HSET", &test.key("jobs"), &id.short(), record]);
    test.mend_one(Wrong::NoSet, id).await;
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
        test.mend_one(Wrong::NoRecord, id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_id_of_ours_is_named_as_it_stands_and_removed() {
    let test = start().await;
    test.command(&["ZADD", &test.set("due"), "1", "by hand"]);
    test.mend_one(Wrong::NoRecord, "by hand").await;
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
        test.mend_one(Wrong::SeveralSets, id).await;
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
    test.mend_one(Wrong::SeveralSets, id).await;
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
        test.mend_one(Wrong::OtherKind, id).await;
        assert_eq!(test.state(id).await, expected, "{set}");
        if expected == State::Ready {
            test.check_runs(id).await;
        }
    }
    let id = test.enqueue_now().await;
    test.put(OTHER, "done", id);
    test.mend_one(Wrong::SeveralSets, id).await;
    test.check_runs(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_active_job_without_a_holder_that_can_be_read_is_due_now() {
    let test = start().await;
    let id = test.claimed_with(None).await;
    test.mend_one(Wrong::NoHolder, id).await;
    test.check_runs(id).await;
    for entry in ["", "by hand"] {
        let id = test.claimed_with(Some(entry)).await;
        test.mend_one(Wrong::UnreadableHolder, id).await;
        test.check_runs(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_lease_was_repaired_away_settles_nothing() {
    let test = start().await;
    test.enqueue_now().await;
    let job = test.claim_one().await;
    let id = job.lease.id();
    test.command(&["HDEL", &test.key("active"), &id.short()]);
    test.mend_one(Wrong::NoHolder, id).await;
    let (_, verdict) = test.settle(job.lease.complete(HOUR, job.history)).await;
    assert_eq!(verdict, atode_queue::Verdict::Stale);
    test.check_runs(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_of_a_job_that_is_not_active_is_removed() {
    let test = start().await;
    let id = test.enqueue_now().await;
    test.command(&["HSET", &test.key("active"), &id.short(), "5 1 2 3 {}"]);
    test.mend_one(Wrong::NoLease, id).await;
    test.check_runs(id).await;
    let gone = test.client.new_id();
    test.command(&["HSET", &test.key("active"), &gone.short(), "5 1 2 3 {}"]);
    test.mend_one(Wrong::NoLease, gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_without_a_job_is_removed() {
    let test = start().await;
    let gone = test.client.new_id();
    test.command(&["HSET", &test.key("state"), &gone.short(), "1 0 0 {}"]);
    test.mend_one(Wrong::StateOnly, gone).await;
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
        let aside = test.mend_one(Wrong::UnreadableRecord, id).await.expect("a key");
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
async fn a_key_of_a_wrong_type_is_renamed_and_what_follows_from_it_mended_next() {
    for name in
        ["jobs", "active", "state", "kinds", "fence", "paused", "stats", "due", "lease", "done", "dead"]
    {
        let test = start().await;
        let id = test.enqueue_now().await;
        let key =
            if ["due", "lease", "done", "dead"].contains(&name) { test.set(name) } else { test.key(name) };
        test.command(&["DEL", &key]);
        let is_string = ["fence", "paused"].contains(&name);
        if is_string {
            test.command(&["RPUSH", &key, "by hand"]);
        } else {
            test.command(&["SET", &key, "by hand"]);
        }
        let finding = test.one_finding(Wrong::WrongType, &key).await;
        let aside = test.repair(&finding).await.expect("a new name");
        assert!(aside.starts_with("atode:broken:{default}:"), "{aside}");
        let kept = if is_string { "LINDEX" } else { "GET" };
        let words = if is_string { vec![kept, &aside, "0"] } else { vec![kept, &aside] };
        assert_eq!(test.command(&words).text(), "by hand");
        for finding in test.audit().await.findings {
            test.repair(&finding).await;
        }
        test.check_clean().await;
        if name == "jobs" {
            assert!(test.find(id).await.is_none(), "its record was overwritten");
            test.enqueue_now().await;
        } else {
            // Due again; the claims of what was active may have come back with it.
            let claimed = ids(&test.claim(100).await.jobs);
            assert!(claimed.contains(&id), "{name}");
        }
        test.check_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_belong_to_no_queue_are_checked_too() {
    let test = start().await;
    for key in ["atode:queues", "atode:{workers}"] {
        test.command(&["DEL", key]);
        test.command(&["SET", key, "by hand"]);
        let finding = test.one_finding(Wrong::WrongType, key).await;
        assert_eq!(finding.queue, None);
        let aside = test.repair(&finding).await.expect("a new name");
        assert_eq!(test.command(&["GET", &aside]).text(), "by hand");
        for finding in test.audit().await.findings {
            assert_eq!(finding.wrong, Wrong::UnlistedQueue);
            test.repair(&finding).await;
        }
        test.check_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_and_kinds_that_no_list_names_are_listed() {
    let test = start().await;
    test.command(&["DEL", "atode:queues"]);
    test.mend_one(Wrong::UnlistedQueue, "default").await;
    assert_eq!(test.client.queue_names().await.unwrap(), BTreeSet::from(["default".to_owned()]));
    let id = test.enqueue_now().await;
    test.command(&["SREM", &test.key("kinds"), KIND]);
    test.mend_one(Wrong::UnlistedKind, KIND).await;
    test.check_runs(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_queue_that_was_asked_for_is_looked_at() {
    let test = start().await;
    let other = test.beside("other").await;
    let harmed = other.enqueue_now().await;
    other.take_out("due", harmed);
    let audit = test.client.audit(Some("default")).await.unwrap();
    assert_eq!((audit.queues.len(), audit.jobs, audit.findings.len()), (1, 10, 0));
    let audit = test.client.audit(Some("other")).await.unwrap();
    assert_eq!((audit.queues.len(), audit.jobs, audit.findings.len()), (1, 1, 1));
    assert!(test.client.audit(Some("o*")).await.unwrap().queues.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_changed_since_it_was_found_is_left_alone() {
    let test = start().await;
    let id = test.enqueue_now().await;
    test.take_out("due", id);
    let finding = test.one_finding(Wrong::NoSet, &id.to_string()).await;
    test.put(KIND, "dead", id);
    let before = test.snapshot();
    assert_eq!(test.client.repair(&finding).await.unwrap(), Repaired::Changed);
    test.check_unchanged(&before);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_findings_at_once_are_all_mended() {
    let test = start().await;
    let harmed = test.enqueue_many(1_500, NOW).await;
    test.command(&["DEL", &test.set("due")]);
    let audit = test.audit().await;
    // Also the one that is due in an hour.
    assert_eq!(audit.findings.len(), harmed.len() + 1);
    for finding in &audit.findings {
        test.repair(finding).await;
    }
    test.check_clean().await;
    assert_eq!(test.count("ZCARD", &test.set("due")), harmed.len() as i64 + 1);
}

/// Claims, and settles in every way, or not.
async fn work(test: &TestQueue, over: &AtomicBool, kinds: &[Arc<str>], mut n: u64) {
    while !over.load(Ordering::Relaxed) {
        let lease = Duration::from_millis(if n.is_multiple_of(3) { 5 } else { 2_000 });
        let options = ClaimOptions { kinds, lease, suspects: 25, ..test.options(20) };
        let mut settlements: Vec<Settlement> = Vec::new();
        for job in test.client.claim(&options).await.unwrap().jobs {
            n += 1;
            settlements.push(match n % 7 {
                0 => job.lease.complete(Duration::ZERO, job.history),
                1 => job.lease.complete(Duration::from_millis(1), job.history),
                2 => job.lease.retry(Duration::from_millis(n % 20), job.history),
                3 => job.lease.bury(job.history),
                4 => job.lease.release(Duration::from_millis(n % 5)),
                5 => job.lease.complete(HOUR, job.history),
                _ => continue, // as if its worker had died
            });
        }
        test.client.settle(settlements).await;
        tokio::task::yield_now().await;
    }
}

async fn produce(test: &TestQueue, over: &AtomicBool, kinds: &[Arc<str>]) {
    let mut made = 0_usize;
    while !over.load(Ordering::Relaxed) {
        let kind = &kinds[made % kinds.len()];
        let id = test.enqueue_of(kind, Due::After(Duration::from_millis(made as u64 % 50))).await;
        match made % 6 {
            0 => drop(test.client.operate(&test.queue, kind, id, Operation::Cancel).await.unwrap()),
            1 => drop(test.client.operate(&test.queue, kind, id, Operation::Delete).await.unwrap()),
            _ => {}
        }
        made += 1;
    }
}

async fn sweep(test: &TestQueue, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let due_after = Some(Duration::from_millis(3));
        let expired = test.expired().await.into_iter();
        let jobs: Vec<Reaped> = expired
            .map(|expired| Reaped { lease: expired.lease, history: expired.history, due_after })
            .collect();
        test.client.reap(&test.queue, &jobs).await.unwrap();
        test.client.trim(&test.queue).await.unwrap();
        test.client.redrive_queue(&test.queue, None, 10).await.unwrap();
        test.client.purge(&test.queue, State::Completed, None, 3).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_everything_is_in_motion_nothing_is_found_that_is_not_wrong() {
    let test = TestQueue::start().await;
    let other = test.beside("default").await;
    let kinds: Vec<Arc<str>> = ["test:a", "test:b", "test:c"].map(Arc::from).into();
    test.enqueue_many(2_000, Due::After(HOUR)).await;
    let over = AtomicBool::new(false);
    let auditor = async {
        let started = tokio::time::Instant::now();
        let (mut audits, mut suspected) = (0, 0);
        // It is no test until some jobs were seen on their way from one set to another.
        while started.elapsed() < Duration::from_secs(4) || audits < 10 || suspected < 10 {
            assert!(started.elapsed() < 3 * DEADLINE, "{audits} audits, {suspected} suspected");
            let audit = test.audit().await;
            assert!(audit.findings.is_empty(), "{:#?}", audit.findings);
            assert!(audit.jobs >= 2_000, "{audit:?}");
            audits += 1;
            suspected += audit.suspected;
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(
        auditor,
        produce(&test, &over, &kinds),
        produce(&other, &over, &kinds),
        work(&other, &over, &kinds, 0),
        work(&test, &over, &kinds, 1),
        sweep(&other, &over),
    );
    test.check_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_while_everything_is_in_motion_is_mended_and_nothing_else_touched() {
    let test = TestQueue::start().await;
    let other = test.beside("default").await;
    let harmed_kind = "test:harmed";
    let kinds: Vec<Arc<str>> = ["test:a", "test:b"].map(Arc::from).into();
    let over = AtomicBool::new(false);
    let surgeon = async {
        let mut harmed = BTreeSet::new();
        for n in 0..40 {
            let id = test.enqueue_of(harmed_kind, Due::After(HOUR)).await;
            harmed.insert(id);
            let (short, due) = (id.short(), test.set_of(harmed_kind, "due"));
            match n % 4 {
                0 => test.command(&["ZREM", &due, &short]),
                1 => test.command(&["ZADD", &test.set_of("test:a", "dead"), "1", &short]),
                2 => test.command(&["HSET", &test.key("active"), &short, "by hand"]),
                _ => {
                    test.command(&["ZREM", &due, &short]);
                    test.command(&["ZADD", &test.set_of(harmed_kind, "lease"), "inf", &short])
                }
            };
            if n % 5 == 4 {
                for finding in test.audit().await.findings {
                    assert!(harmed.contains(&finding.subject.parse().unwrap()), "{finding:?}");
                    test.client.repair(&finding).await.unwrap();
                }
            }
        }
        over.store(true, Ordering::Relaxed);
        harmed
    };
    let (harmed, ..) = tokio::join!(
        surgeon,
        produce(&test, &over, &kinds),
        produce(&other, &over, &kinds),
        work(&other, &over, &kinds, 0),
        work(&test, &over, &kinds, 1),
    );
    test.check_clean().await;
    for id in harmed {
        assert!(matches!(test.state(id).await, State::Ready | State::Scheduled), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_of_many_jobs_never_holds_redis_for_long() {
    let test = TestQueue::start().await;
    test.enqueue_many(20_000, Due::After(HOUR)).await;
    for _ in 0..200 {
        let mut job = test.new_job(Due::After(HOUR));
        job.record = format!(r#"{{"kind":"{KIND}","payload":{{"text":"{}"}}}}"#, "x".repeat(100_000)).into();
        test.client.enqueue(job).await.unwrap();
    }
    for _ in 0..20 {
        test.enqueue_now().await;
    }
    test.command(&["CONFIG", "SET", "slowlog-log-slower-than", "20000"]);
    // A machine that has a lot to do may hold up any command; what takes long by itself does so
    // each time.
    let mut slow = None;
    for _ in 0..5 {
        // Half of the jobs, short ones and long ones, need a closer look and a repair.
        test.command(&["ZREMRANGEBYRANK", &test.set("due"), "0", "9999"]);
        test.command(&["SLOWLOG", "RESET"]);
        let audit = test.audit().await;
        assert_eq!((audit.jobs, audit.findings.len()), (20_220, 10_000));
        for finding in &audit.findings {
            test.repair(finding).await;
        }
        assert!(test.audit().await.findings.is_empty());
        if test.command(&["SLOWLOG", "LEN"]).int() == 0 {
            return;
        }
        slow = Some(test.command(&["SLOWLOG", "GET", "10"]));
    }
    panic!("{slow:?}");
}
