//! Lists of jobs: every job once, in its order, whatever happens meanwhile.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use atode_queue::{
    Cursor, Due, FailureCause, JobId, JobPage, JobSummary, ListQuery, MAX_LISTED_PAYLOAD, NewJob, Operation,
    Order, State,
};
use rand::seq::IteratorRandom;
use support::{HOUR, INSTANT, KIND, LEASE, TestQueue, failed, ids, record};

const NOW: Due = Due::After(Duration::ZERO);
const RETENTION: Duration = HOUR;

fn of(states: &[State]) -> ListQuery {
    ListQuery { states: states.to_vec(), order: Order::of(states), ..ListQuery::default() }
}

async fn page(test: &TestQueue, query: &ListQuery, from: Option<Cursor>, limit: usize) -> JobPage {
    let queues: Vec<Arc<str>> = test.client.queue_names().await.unwrap().into_iter().map(Arc::from).collect();
    // The text of the cursor is what a client has.
    let from = from.map(|from| Cursor::decode(&from.encode(query), query).unwrap());
    test.client.list(query, &queues, from, limit, &|_| RETENTION).await.unwrap()
}

/// All pages of a list, with something else between two pages.
async fn walk(
    test: &TestQueue,
    query: &ListQuery,
    limit: usize,
    mut between: impl AsyncFnMut(),
) -> Vec<JobSummary> {
    let (mut jobs, mut from) = (Vec::new(), None);
    loop {
        let page = page(test, query, from, limit).await;
        assert!(page.items.len() <= limit);
        jobs.extend(page.items);
        from = page.next;
        if from.is_none() {
            return jobs;
        }
        between().await;
    }
}

async fn all(test: &TestQueue, query: &ListQuery, limit: usize) -> Vec<JobId> {
    walk(test, query, limit, async || {}).await.into_iter().map(|job| job.id).collect()
}

/// Jobs of these kinds in turns, all due at the same instant.
async fn store_at(test: &TestQueue, kinds: &[&str], n: usize, at: i64) -> Vec<JobId> {
    let jobs: Vec<NewJob> = (0..n).map(|n| test.new_job_of(kinds[n % kinds.len()], Due::At(at))).collect();
    for stored in test.client.enqueue_each(&test.queue, &jobs).await {
        assert!(stored.unwrap().is_created());
    }
    jobs.iter().map(|job| job.id).collect()
}

/// Jobs that died in one instant.
async fn bury(test: &TestQueue, n: usize, error: &str) -> Vec<JobId> {
    test.enqueue_many(n, NOW).await;
    let jobs = test.claim(n).await.jobs;
    let ids = ids(&jobs);
    let bury = |job: atode_queue::Claimed| {
        let run = test.run(&job, test.now());
        job.lease.bury(failed(&job.history, FailureCause::Permanent, error, run))
    };
    let settled = test.client.settle(jobs.into_iter().map(bury).collect()).await;
    assert!(settled.error.is_none() && settled.answered.len() == n);
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_jobs_of_one_millisecond_are_each_shown_once_in_both_orders() {
    let test = TestQueue::start().await;
    let other = test.beside("other").await;
    let at = test.now() + 3_600_000;
    let mut stored = Vec::new();
    for at in [at, at + 1, at - 1] {
        stored.extend(store_at(&test, &[KIND, "test:a", "test:b"], 2_500, at).await);
        stored.extend(store_at(&other, &["test:a", "test:c"], 500, at).await);
    }
    let stored: BTreeSet<JobId> = stored.into_iter().collect();
    for (order, limit) in [(Order::Asc, 1_000), (Order::Desc, 1_000), (Order::Asc, 333)] {
        let listed = walk(&test, &ListQuery { order, ..of(&[State::Scheduled]) }, limit, async || {}).await;
        assert_eq!(listed.len(), stored.len(), "{order:?}");
        assert_eq!(listed.iter().map(|job| job.id).collect::<BTreeSet<_>>(), stored, "{order:?}");
        let mut places: Vec<_> = listed.iter().map(|job| (job.due_at, job.id.short())).collect();
        if order == Order::Desc {
            places.reverse();
        }
        assert!(places.is_sorted(), "{order:?}");
    }
    // Two kinds of one queue, with pages of one job at the seam of two milliseconds.
    let query = ListQuery {
        queues: vec!["other".into()],
        after: Some(at),
        before: Some(at + 1),
        ..of(&[State::Scheduled])
    };
    assert_eq!(all(&test, &query, 7).await.len(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_shows_every_job_that_stays_once_while_others_come_and_go() {
    let test = TestQueue::start().await;
    let kinds = [KIND, "test:a", "test:b"];
    let at = test.now() + 3_600_000;
    for (order, limit) in [(Order::Asc, 37), (Order::Desc, 53), (Order::Asc, 1)] {
        let first = if limit == 1 { 60 } else { 1_500 };
        let mut staying: BTreeSet<JobId> = BTreeSet::new();
        let mut kind_of = HashMap::new();
        for n in 0..3 {
            for (place, id) in store_at(&test, &kinds, first / 3, at + n).await.into_iter().enumerate() {
                staying.insert(id);
                kind_of.insert(id, kinds[place % 3]);
            }
        }
        let query = ListQuery { order, ..of(&[State::Scheduled]) };
        let listed = walk(&test, &query, limit, async || {
            store_at(&test, &kinds, 3, at + rand::random_range(-2..5)).await;
            // The job of the cursor is often among them.
            for id in staying.iter().copied().sample(&mut rand::rng(), 1 + first / 500) {
                staying.remove(&id);
                let kind = kind_of[&id];
                test.client.operate("default", kind, id, Operation::Delete).await.unwrap();
            }
        })
        .await;
        let mut seen = BTreeSet::new();
        for job in &listed {
            assert!(seen.insert(job.id), "{} was shown twice", job.id);
        }
        assert!(staying.is_subset(&seen), "{} jobs were lost", staying.difference(&seen).count());
        assert!(listed.iter().all(|job| job.state == State::Scheduled));
        test.client.purge("default", State::Scheduled, None, 1_000).await.unwrap();
        while test.client.purge("default", State::Scheduled, None, 1_000).await.unwrap().remaining > 0 {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_goes_on_behind_a_job_that_is_gone() {
    let test = TestQueue::start().await;
    let stored = store_at(&test, &[KIND], 30, test.now() + 3_600_000).await;
    let query = of(&[State::Scheduled]);
    let first = page(&test, &query, None, 10).await;
    for id in &stored[5..15] {
        test.client.operate("default", KIND, *id, Operation::Delete).await.unwrap();
    }
    let second = page(&test, &query, first.next, 10).await;
    assert_eq!(second.items.iter().map(|job| job.id).collect::<Vec<_>>(), stored[15..25]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_is_listed_by_its_time() {
    let test = TestQueue::start().await;
    let dead = bury(&test, 3, "no such host").await;
    let claimed = {
        test.enqueue_many(4, NOW).await;
        test.claim(4).await.jobs
    };
    let mut completed = Vec::new();
    let mut active = Vec::new();
    for (n, job) in claimed.into_iter().enumerate() {
        if n < 2 {
            completed.push(job.lease.id());
            let run = test.run(&job, test.now());
            test.done(job.lease.complete(RETENTION, job.history.finished_with(run))).await;
            // Their ends are a millisecond apart.
            tokio::time::sleep(Duration::from_millis(2)).await;
        } else {
            active.push(job.lease.id());
        }
    }
    let late = test.enqueue(Due::At(test.now() - 5_000)).await;
    let ready = test.enqueue_now().await;
    let soon = test.enqueue(Due::After(HOUR)).await;
    let later = test.enqueue(Due::After(2 * HOUR)).await;
    let cancelled = test.enqueue(Due::After(HOUR)).await;
    test.client.operate("default", KIND, cancelled, Operation::Cancel).await.unwrap();

    let listed = async |states: &[State]| all(&test, &of(states), 2).await;
    assert_eq!(listed(&[State::Scheduled]).await, [soon, later]);
    assert_eq!(listed(&[State::Ready]).await, [late, ready]);
    assert_eq!(listed(&[State::Scheduled, State::Ready]).await, [late, ready, soon, later]);
    assert_eq!(listed(&[State::Active]).await, active);
    assert_eq!(listed(&[State::Completed]).await, [completed[1], completed[0]]);
    assert_eq!(listed(&[State::Cancelled]).await, [cancelled]);
    assert_eq!(listed(&[State::Dead]).await, [dead[2], dead[1], dead[0]]);
    let everything = listed(&[]).await;
    assert_eq!(everything[..2], [later, soon], "the latest time first");
    assert_eq!(everything.len(), 12);

    // Each field is that of the job itself.
    for job in page(&test, &of(&[]), None, 100).await.items {
        let view = test.job(job.id).await;
        let mut expected = serde_json::to_value(view).unwrap();
        let mut found = serde_json::to_value(job).unwrap();
        expected.as_object_mut().unwrap().remove("attempts");
        assert_eq!(found.as_object_mut().unwrap().remove("payload_bytes"), Some(2.into()));
        assert_eq!(found, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_and_after_compare_with_the_time_of_the_state() {
    let test = TestQueue::start().await;
    test.enqueue_now().await;
    let job = test.claim_one().await;
    let done = job.lease.id();
    test.done(job.lease.complete(RETENTION, job.history)).await;
    let [dead] = bury(&test, 1, "x").await[..] else { panic!("one") };
    let waiting = test.enqueue(Due::After(HOUR)).await;
    test.enqueue_now().await;
    let active = test.claim_one().await.lease.id();
    let now = test.now();
    for (id, state) in
        [(done, State::Completed), (dead, State::Dead), (waiting, State::Scheduled), (active, State::Active)]
    {
        let job = test.job(id).await;
        let at = match state {
            State::Scheduled => job.due_at,
            State::Active => job.enqueued_at,
            _ => job.finished_at,
        };
        let at = at.unwrap().as_millisecond();
        let within = async |after: i64, before: i64| {
            let query = ListQuery { after: Some(after), before: Some(before), ..of(&[state]) };
            let facets =
                test.client.facets(&query, &["default".into()], &|_| RETENTION).await.unwrap().unwrap();
            let listed = all(&test, &query, 10).await;
            assert_eq!(facets.state[state.word()], listed.len() as u64, "{state}");
            listed
        };
        assert_eq!(within(at, at + 1).await, [id], "{state}");
        assert!(within(at + 1, now + 7_200_000).await.is_empty(), "{state}");
        assert!(within(0, at).await.is_empty(), "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn active_jobs_keep_their_places_while_their_leases_are_extended() {
    let test = TestQueue::start().await;
    let stored = test.enqueue_many(500, NOW).await;
    let claim = test.claim(500).await;
    let leases: Vec<_> = claim.jobs.iter().map(|job| job.lease.reference()).collect();
    let mut longer = LEASE;
    let listed = walk(&test, &of(&[State::Active]), 60, async || {
        longer += Duration::from_secs(1);
        test.client.extend("default", &leases, longer).await.unwrap();
    })
    .await;
    assert_eq!(listed.iter().map(|job| job.id).collect::<Vec<_>>(), stored);
    assert!(listed.iter().all(|job| job.worker.as_ref().is_some_and(|worker| worker.pid == 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_payloads_are_left_out_and_do_not_make_a_page_large() {
    let test = TestQueue::start().await;
    let store = async |bytes: usize| {
        let payload = format!(r#"{{"x":"{}"}}"#, "x".repeat(bytes - 8));
        let record = atode_queue::Record { max_retries: Some(3), ..record(&payload) };
        let job = NewJob::new(test.client.new_id(), &test.queue, &KIND.into(), &record, Due::After(HOUR));
        assert!(test.client.enqueue(job).await.unwrap().is_created());
    };
    for bytes in [8, MAX_LISTED_PAYLOAD, MAX_LISTED_PAYLOAD + 1] {
        store(bytes).await;
    }
    for _ in 0..60 {
        store(200_000).await;
    }
    let jobs = walk(&test, &of(&[State::Scheduled]), 1_000, async || {}).await;
    assert_eq!(jobs.len(), 63);
    let sizes: Vec<_> = jobs.iter().map(|job| (job.payload.is_some(), job.payload_bytes)).collect();
    assert_eq!(sizes[..3], [(true, 8), (true, MAX_LISTED_PAYLOAD), (false, MAX_LISTED_PAYLOAD + 1)]);
    assert!(sizes[3..].iter().all(|size| *size == (false, 200_000)));
    assert!(jobs.iter().all(|job| job.max_retries == Some(3)), "it stands in front of the payload");
    let found = ListQuery { search: Some("\"XXX".into()), ..of(&[State::Scheduled]) };
    assert_eq!(all(&test, &found, 10).await.len(), 62, "large payloads are searched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_goes_as_far_as_its_budget_says_so_and_goes_on() {
    let test = TestQueue::start().await;
    let at = test.now() + 3_600_000;
    let needle = {
        let record = record(r#"{"customer":"Ann-4711"}"#);
        NewJob::new(test.client.new_id(), &test.queue, &KIND.into(), &record, Due::At(at + 2))
    };
    let wanted = needle.id;
    store_at(&test, &[KIND, "test:a"], 11_000, at).await;
    assert!(test.client.enqueue(needle).await.unwrap().is_created());
    store_at(&test, &[KIND], 10, at + 3).await;
    let query = ListQuery { search: Some("ann-4711".into()), ..of(&[State::Scheduled]) };
    let (mut searched, mut found, mut from, mut pages) = (0, Vec::new(), None, 0);
    loop {
        let page = page(&test, &query, from, 10).await;
        let part = page.searched.unwrap();
        assert!(part.jobs <= 10_500, "{part:?}");
        assert_eq!(part.complete, page.next.is_none());
        assert!(part.until.is_some() || part.jobs == 0);
        searched += part.jobs;
        found.extend(page.items.into_iter().map(|job| job.id));
        pages += 1;
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!((searched, found), (11_011, vec![wanted]));
    assert!(pages >= 2, "one page searches 10,000 jobs at most");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_and_failed_jobs_are_found_by_their_last_error() {
    let test = TestQueue::start().await;
    let refused = bury(&test, 3, "Connection refused by mail-1").await;
    bury(&test, 3, "no such user").await;
    test.enqueue_now().await;
    let job = test.claim_one().await;
    let retried = job.lease.id();
    let run = test.run(&job, test.now());
    let history = failed(&job.history, FailureCause::Error, "connection refused by mail-2", run);
    test.done(job.lease.retry(HOUR, history)).await;
    test.enqueue_many(5, Due::After(HOUR)).await;
    let error = |text: &str, states: &[State]| ListQuery { error: Some(text.to_owned()), ..of(states) };
    let found = all(&test, &error("connection REFUSED", &[State::Dead]), 2).await;
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), refused.into_iter().collect());
    assert_eq!(all(&test, &error("refused", &[State::Scheduled]), 2).await, [retried]);
    assert!(all(&test, &error("timeout", &[]), 2).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn facets_count_what_each_other_choice_would_show() {
    let test = TestQueue::start().await;
    let other = test.beside("other").await;
    bury(&test, 4, "x").await;
    let at = test.now() + 3_600_000;
    store_at(&test, &["test:a"], 3, at).await;
    store_at(&other, &["test:a", "test:b"], 4, at).await;
    test.enqueue_now().await;
    let queues: Vec<Arc<str>> = vec!["default".into(), "other".into(), "unused".into()];
    let facets = async |query: ListQuery| {
        let facets = test.client.facets(&query, &queues, &|_| RETENTION).await.unwrap().unwrap();
        let some = |counts: Vec<(String, u64)>| {
            counts
                .into_iter()
                .filter(|(_, n)| *n > 0)
                .map(|(name, n)| format!("{name} {n}"))
                .collect::<Vec<_>>()
        };
        let names = |counts: std::collections::BTreeMap<Arc<str>, u64>| {
            some(counts.into_iter().map(|(name, n)| (name.to_string(), n)).collect())
        };
        assert_eq!(facets.state.len(), 6);
        (names(facets.state), names(facets.kind), names(facets.queue))
    };
    let (states, kinds, in_queues) = facets(of(&[])).await;
    assert_eq!(states, ["dead 4", "ready 1", "scheduled 7"]);
    assert_eq!(kinds, ["test:a 5", "test:b 2", &*format!("{KIND} 5")]);
    assert_eq!(in_queues, ["default 8", "other 4"]);
    let chosen =
        ListQuery { kinds: vec!["test:a".into()], queues: vec!["other".into()], ..of(&[State::Scheduled]) };
    let (states, kinds, in_queues) = facets(chosen).await;
    assert_eq!(states, ["scheduled 2"]);
    assert_eq!(kinds, ["test:a 2", "test:b 2"]);
    assert_eq!(in_queues, ["default 3", "other 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_kinds_are_walked_page_by_page() {
    let test = TestQueue::start().await;
    let seed = "for n = 1, 10000 do local kind = string.format('many:%05d', n) \
                redis.call('SADD', KEYS[1], kind) \
                if n % 100 == 0 then local id = string.format('%014d', n) \
                redis.call('ZADD', KEYS[2] .. kind .. ':dead', n, id) redis.call('HSET', KEYS[3], id, 'abcd {}') end end";
    test.enqueue(Due::After(HOUR)).await;
    test.command(&["EVAL", seed, "3", &test.key("kinds"), &test.key(""), &test.key("jobs")]);
    let dead = all(&test, &of(&[State::Dead]), 30).await;
    assert_eq!(dead.iter().collect::<BTreeSet<_>>().len(), 100);
    assert_eq!(dead.len(), 100);
    assert_eq!(all(&test, &of(&[]), 30).await.len(), 101);
    let facets = test.client.facets(&of(&[]), &["default".into()], &|_| RETENTION).await.unwrap();
    assert_eq!(facets, None, "too many to count");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_page_that_nothing_follows_is_the_last() {
    let test = TestQueue::start().await;
    store_at(&test, &[KIND], 1_000, test.now() + 3_600_000).await;
    for limit in [1_000, 999] {
        let page = page(&test, &of(&[State::Scheduled]), None, limit).await;
        assert_eq!((page.items.len(), page.next.is_some()), (limit, limit < 1_000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_job_or_set_hides_no_other() {
    let test = TestQueue::start().await;
    let stored = store_at(&test, &[KIND], 5, test.now() + 3_600_000).await;
    test.command(&["HSET", &test.key("jobs"), &stored[1].short(), "#later"]);
    test.command(&["HSET", &test.key("state"), &stored[2].short(), "garbage"]);
    test.command(&["HDEL", &test.key("jobs"), &stored[3].short()]);
    test.command(&["ZADD", &test.set("due"), "1e15", "not an id"]);
    test.command(&["SADD", &test.key("kinds"), "test:wrong"]);
    test.command(&["SET", &test.set_of("test:wrong", "due"), "a string"]);
    let listed = walk(&test, &of(&[State::Scheduled]), 2, async || {}).await;
    let expected = [stored[0], stored[1], stored[2], stored[4]];
    assert_eq!(listed.iter().map(|job| job.id).collect::<Vec<_>>(), expected);
    assert!(listed[1].payload.is_none() && listed[2].payload.is_some());
    assert!(test.client.facets(&of(&[]), &["default".into()], &|_| RETENTION).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_uses_a_command_whose_cost_grows_with_the_number_of_jobs() {
    let test = TestQueue::start().await;
    let kinds = [KIND, "test:a"];
    let at = test.now() + 3_600_000;
    bury(&test, 100, "x").await;
    test.enqueue_many(20, NOW).await;
    test.claim_for(20, INSTANT).await;
    let mut costs = Vec::new();
    for n in [500, 8_000] {
        store_at(&test, &kinds, n, at).await;
        let mut monitor = test.redis.connect(support::DEADLINE).unwrap();
        monitor.command(&["MONITOR"]).unwrap();
        let mut pages = 0;
        for query in [
            of(&[]),
            of(&[State::Scheduled]),
            ListQuery { order: Order::Desc, ..of(&[State::Scheduled]) },
            ListQuery { after: Some(at), before: Some(at + 1), ..of(&[State::Scheduled]) },
            ListQuery { error: Some("x".into()), ..of(&[State::Dead]) },
            ListQuery { search: Some("y".into()), ..of(&[State::Dead]) },
        ] {
            let (mut from, mut more) = (None, true);
            for _ in 0..3 {
                if more {
                    let page = page(&test, &query, from, 20).await;
                    (more, from) = (page.next.is_some(), page.next);
                    pages += 1;
                }
            }
            test.client.facets(&query, &["default".into()], &|_| RETENTION).await.unwrap();
        }
        test.command(&["ECHO", "the end of the pages"]);
        let mut commands = 0;
        loop {
            let line = monitor.read().unwrap().text();
            if line.contains("the end of the pages") {
                break;
            }
            let words: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
            if line.contains(" lua] ") {
                commands += 1;
                match words[0].to_uppercase().as_str() {
                    "TIME" | "ZCARD" | "ZCOUNT" | "ZSCORE" | "HGET" => {}
                    "ZRANGE" => {
                        let [first, last] = [2, 3].map(|n| words[n].parse::<i64>().unwrap());
                        assert!((0..1_000).contains(&(last - first)) && first >= 0, "{line}");
                    }
                    _ => panic!("{line}"),
                }
            } else if words.iter().any(|word| word.contains("atode:{")) {
                let is_list_of_kinds = words[0] == "SMEMBERS" && words[1].ends_with(":kinds");
                assert!(words[0].starts_with("EVAL") || is_list_of_kinds, "{line}");
            }
        }
        costs.push(commands / pages);
    }
    // Sixteen times as many jobs of one millisecond: a few steps more of a binary search in each set.
    assert!(costs[1] <= costs[0] + 3 * 2 * 10, "commands per page: {costs:?}");
}
