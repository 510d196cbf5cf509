//! Compares the functions that make keys and channels with docs/architecture.md, section "Keys in Redis".

use std::collections::{BTreeMap, BTreeSet};

use crate::keys::names::parse;
use crate::keys::{Keys, Set};
use crate::model::id::{BulkId, WorkerId};

const DOCUMENT: &str = include_str!("../../../../docs/architecture.md");
const CODE: &str = include_str!("../keys.rs");

/// The names that each function of `keys.rs` makes, in the document's words. A new function needs a line here.
fn names() -> BTreeMap<&'static str, Vec<String>> {
    let keys = Keys::new("atode:");
    let queue = keys.queue("<queue>");
    let id = WorkerId::new(1);
    let bulk = BulkId::new(1);
    let of_worker = |key: String| key.replace(&id.to_string(), "<id>");
    BTreeMap::from([
        ("set", Set::ALL.map(|set| queue.set("<kind>", set)).to_vec()),
        ("failures", vec![queue.failures("<kind>")]),
        ("jobs", vec![queue.jobs()]),
        ("active", vec![queue.active()]),
        ("state", vec![queue.state()]),
        ("kinds", vec![queue.kinds(), keys.kinds()]),
        ("paused", vec![queue.paused()]),
        ("fence", vec![queue.fence()]),
        ("stats", vec![queue.stats()]),
        ("idempotency", vec![queue.idempotency("<hash>")]),
        ("history", vec![keys.history("<queue>")]),
        ("history_of", vec![keys.history_of("<queue>", "<kind>")]),
        ("history_flush", vec![keys.history_flush("<queue>", "<process>")]),
        ("builds", vec![keys.builds()]),
        ("queues", vec![keys.queues()]),
        ("identity", vec![keys.identity()]),
        ("format", vec![keys.format()]),
        ("synced", vec![keys.synced()]),
        ("workers", vec![keys.workers()]),
        ("worker", vec![of_worker(keys.worker(id))]),
        ("asked_of", vec![of_worker(keys.asked_of(id))]),
        ("stopped", vec![of_worker(keys.stopped(id))]),
        ("kind_changes", vec![keys.kind_changes()]),
        ("held_kinds", vec![keys.held_kinds()]),
        ("bulk", vec![keys.bulk(bulk).replace(&bulk.to_string(), "<id>")]),
        ("open_bulks", vec![keys.open_bulks()]),
        ("ended_bulks", vec![keys.ended_bulks()]),
        ("bulk_of_key", vec![keys.bulk_of_key("<hash>")]),
        ("records_set_aside", vec![keys.records_set_aside("<queue>")]),
        ("set_aside", vec![keys.set_aside("atode:{<queue>}:<name>", 7).replace(":7", ":<ms>")]),
        ("wake_channel", vec![queue.wake_channel()]),
        ("finished_channel", vec![queue.finished_channel()]),
        ("swept_channel", vec![queue.swept_channel()]),
        ("cancel_channel", vec![queue.cancel_channel()]),
        ("workers_channel", vec![keys.workers_channel()]),
        ("kinds_channel", vec![keys.kinds_channel()]),
        ("echo_channel", vec![keys.echo_channel("<process>")]),
    ])
}

/// Rows of the section's tables of keys and of channels: name → the second column.
fn documented() -> [BTreeMap<&'static str, &'static str>; 2] {
    let (_, section) = DOCUMENT.split_once("## Keys in Redis\n").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let (keys, channels) = section.split_once("| channel |").expect("a table of channels");
    [keys, channels].map(|text| {
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        rows.map(|(name, rest)| (name, rest.split(" |").next().unwrap_or_default())).collect()
    })
}

#[test]
fn the_document_lists_every_key_and_channel_and_no_other() {
    let made = names();
    let functions = CODE.lines().filter_map(|line| line.trim().strip_prefix("pub(crate) fn "));
    let functions = functions.filter(|line| line.contains("-> String"));
    let functions: BTreeSet<&str> = functions.filter_map(|line| line.split('(').next()).collect();
    let known: BTreeSet<&str> = made.keys().copied().collect();
    assert_eq!(functions, known, "functions of keys.rs, and those that this test knows");

    let made_names = |channels: bool| -> BTreeSet<&str> {
        let made = made.iter().filter(|(function, _)| function.ends_with("_channel") == channels);
        made.flat_map(|(_, names)| names).map(String::as_str).collect()
    };
    let [keys, channels] = documented();
    assert_eq!(keys.keys().copied().collect::<BTreeSet<_>>(), made_names(false), "keys: document, then code");
    assert_eq!(
        channels.keys().copied().collect::<BTreeSet<_>>(),
        made_names(true),
        "channels: document, then code"
    );
}

#[test]
fn the_document_has_the_type_of_every_key() {
    let keys = Keys::new("atode:");
    for (name, type_) in &documented()[0] {
        let real = name.replace("<id>", &WorkerId::new(1).to_string());
        let Some(parsed) = parse(&keys, &real) else { continue };
        let expected = parsed.key_type().to_uppercase();
        let documented = type_.split(' ').next().unwrap_or_default().to_uppercase();
        assert_eq!(documented, expected, "{name}");
    }
}

#[test]
fn the_keys_of_a_queue_share_its_hash_tag() {
    let keys = Keys::new("atode:").queue("default");
    assert_eq!(keys.jobs(), "atode:{default}:jobs");
    assert_eq!(keys.set("demo:delay_print", Set::Due), "atode:{default}:demo:delay_print:due");
    assert_eq!(keys.wake_channel(), "atode:{default}:wake");
}

#[test]
fn a_key_that_is_set_aside_keeps_its_hash_tag() {
    let keys = Keys::new("atode:");
    assert_eq!(keys.set_aside("atode:{q}:a:b:due", 7), "atode:broken:{q}:a:b:due:7");
    assert_eq!(keys.set_aside(&keys.queues(), 7), "atode:broken:{atode:queues}:7");
}
