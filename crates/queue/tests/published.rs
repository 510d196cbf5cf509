//! The catalogue of kinds in Redis.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::sync::Arc;

use atode_queue::{Error, HeldDecision, Publication, PublishedAs, PublishedEntry, Publishing};
use atode_testkit::eventually_async;
use support::{DEADLINE, TestQueue};

fn publication(kind: &str, seen: u64, definition: &str, place: PublishedAs) -> Publication {
    Publication { kind: kind.into(), seen, definition: definition.to_owned().into(), place }
}

async fn publish(test: &TestQueue, publications: &[Publication]) -> Vec<Publishing> {
    test.client.published_kinds().publish(publications).await.unwrap()
}

async fn entry(test: &TestQueue, kind: &str) -> Option<PublishedEntry> {
    let kinds: [(Arc<str>, u64); 1] = [(kind.into(), 0)];
    test.client.published_kinds().changed_among(&kinds).await.unwrap().0.pop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_gets_only_what_changed_and_the_number_of_kinds() {
    let test = TestQueue::start().await;
    let kinds = test.client.published_kinds();
    let all = ["a:a", "b:b", "c:c"].map(|kind| publication(kind, 0, kind, PublishedAs::Current));
    assert_eq!(publish(&test, &all).await, [Publishing::Done; 3]);
    let first = kinds.changes(0).await.unwrap();
    let names = |entries: &[PublishedEntry]| entries.iter().map(|it| it.kind.to_string()).collect::<Vec<_>>();
    assert_eq!(
        (names(&first.changed), first.kinds, first.has_more),
        (names_of(&["a:a", "b:b", "c:c"]), 3, false)
    );
    let latest = first.changed[2].generation;
    assert_eq!(kinds.changes(latest).await.unwrap().changed, []);

    let change = publication("a:a", first.changed[0].generation, "new", PublishedAs::Current);
    assert_eq!(publish(&test, &[change]).await, [Publishing::Done]);
    let later = kinds.changes(latest).await.unwrap();
    assert_eq!((names(&later.changed), later.kinds), (names_of(&["a:a"]), 3));
    assert_eq!(later.changed[0].definition.as_deref(), Some(&b"new"[..]));

    let known: Vec<(Arc<str>, u64)> =
        first.changed.iter().map(|it| (it.kind.clone(), it.generation)).chain([("d:d".into(), 7)]).collect();
    let (changed, _) = kinds.changed_among(&known).await.unwrap();
    assert_eq!(names(&changed), ["a:a", "d:d"]);
    assert_eq!((changed[1].generation, &changed[1].definition), (0, &None), "it is not there");
}

fn names_of(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_replaces_an_entry_that_they_have_not_seen() {
    let test = TestQueue::start().await;
    let stale = publication("a:a", 0, "one", PublishedAs::Current);
    assert_eq!(publish(&test, std::slice::from_ref(&stale)).await, [Publishing::Done]);
    let other = publication("b:b", 0, "two", PublishedAs::Current);
    assert_eq!(publish(&test, &[stale, other]).await, [Publishing::Changed, Publishing::Done]);
    let seen = entry(&test, "a:a").await.unwrap().generation;
    let kinds = test.client.published_kinds();
    assert!(!kinds.remove("a:a", seen - 1).await.unwrap());
    assert!(kinds.remove("a:a", seen).await.unwrap());
    assert_eq!(entry(&test, "a:a").await, None);
    assert_eq!(kinds.changes(0).await.unwrap().kinds, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_definition_comes_into_force_once_it_is_accepted() {
    let test = TestQueue::start().await;
    let kinds = test.client.published_kinds();
    publish(&test, &[publication("a:a", 0, "old", PublishedAs::Current)]).await;
    for decision in [HeldDecision::Reject, HeldDecision::Accept] {
        let seen = entry(&test, "a:a").await.unwrap().generation;
        assert!(!kinds.decide("a:a", seen, decision).await.unwrap(), "nothing is held");
        publish(&test, &[publication("a:a", seen, "new", PublishedAs::Held)]).await;
        let held = entry(&test, "a:a").await.unwrap();
        assert_eq!(
            (held.definition.as_deref(), held.held.as_deref()),
            (Some(&b"old"[..]), Some(&b"new"[..]))
        );
        assert!(!kinds.decide("a:a", seen, decision).await.unwrap(), "it has changed since");
        assert!(kinds.decide("a:a", held.generation, decision).await.unwrap());
        let after = entry(&test, "a:a").await.unwrap();
        let expected = if decision == HeldDecision::Accept { "new" } else { "old" };
        assert_eq!((after.definition.as_deref(), after.held), (Some(expected.as_bytes()), None));
        assert!(after.generation > held.generation);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_is_read_in_pages_and_takes_ten_thousand_kinds() {
    let test = TestQueue::start().await;
    let all: Vec<Publication> = (0..atode_queue::MAX_PUBLISHED_KINDS)
        .map(|n| publication(&format!("a:{n}"), 0, "definition", PublishedAs::Current))
        .collect();
    assert!(publish(&test, &all).await.iter().all(|result| *result == Publishing::Done));
    let one_more = publication("one:more", 0, "definition", PublishedAs::Current);
    assert_eq!(publish(&test, std::slice::from_ref(&one_more)).await, [Publishing::Full]);
    let (mut read, mut after) = (0, 0);
    loop {
        let page = test.client.published_kinds().changes(after).await.unwrap();
        assert!(page.changed.len() <= 200);
        read += page.changed.len();
        after = page.changed.last().map_or(after, |entry| entry.generation);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(read, atode_queue::MAX_PUBLISHED_KINDS);
    let seen = entry(&test, "a:7").await.unwrap().generation;
    // A known kind may still change, and a removed one makes room.
    let change = publication("a:7", seen, "new", PublishedAs::Current);
    assert_eq!(publish(&test, &[change]).await, [Publishing::Done]);
    let seen = entry(&test, "a:7").await.unwrap().generation;
    assert!(test.client.published_kinds().remove("a:7", seen).await.unwrap());
    assert_eq!(publish(&test, &[one_more]).await, [Publishing::Done]);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_definitions_come_in_several_replies() {
    let test = TestQueue::start().await;
    let large = "x".repeat(400 * 1024);
    let all: Vec<Publication> =
        (0..8).map(|n| publication(&format!("a:{n}"), 0, &large, PublishedAs::Current)).collect();
    assert_eq!(publish(&test, &all).await, [Publishing::Done; 8]);
    let page = test.client.published_kinds().changes(0).await.unwrap();
    assert!(page.has_more && page.changed.len() < 8, "{}", page.changed.len());
    let known: Vec<(Arc<str>, u64)> = all.iter().map(|it| (it.kind.clone(), 0)).collect();
    assert_eq!(test.client.published_kinds().changed_among(&known).await.unwrap().0.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_published() {
    let test = TestQueue::start().await;
    let news = test.client.published_kinds().news();
    assert!(news.next().await.missed, "the subscription is active");
    publish(&test, &[publication("a:a", 0, "one", PublishedAs::Current)]).await;
    let seen = entry(&test, "a:a").await.unwrap().generation;
    assert_eq!(news.next().await.messages, [seen.to_string()]);
    assert!(test.client.published_kinds().remove("a:a", seen).await.unwrap());
    assert_eq!(news.next().await.messages, ["-a:a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_wrong_type_changes_nothing() {
    let test = TestQueue::start().await;
    for (key, command) in
        [("atode:{kinds}", "SET"), ("atode:{kinds}:changes", "SET"), ("atode:{kinds}:held", "SET")]
    {
        test.command(&[command, key, "by hand"]);
        let publication = publication("a:a", 0, "one", PublishedAs::Current);
        let error = test.client.published_kinds().publish(&[publication]).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)), "{error}");
        assert_eq!(test.command(&["KEYS", "atode:{kinds}*"]).texts(), [key]);
        test.command(&["DEL", key]);
    }
    eventually_async("it works again", DEADLINE, async || {
        let publication = publication("a:a", 0, "one", PublishedAs::Current);
        (publish(&test, &[publication]).await == [Publishing::Done]).then_some(())
    })
    .await;
}
