//! An audit finds keys of a wrong type, and queues and kinds that no catalogue lists.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use std::collections::BTreeSet;

use atode_audit::Wrong;
use support::{KIND, ids, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_wrong_type_is_renamed_and_its_consequences_are_repaired_next() {
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
            // It is due again, perhaps together with jobs that were active.
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
    test.repair_one(Wrong::UnlistedQueue, "default").await;
    assert_eq!(test.client.queue_names().await.unwrap(), BTreeSet::from(["default".to_owned()]));
    let id = test.enqueue_now().await;
    test.command(&["SREM", &test.key("kinds"), KIND]);
    test.repair_one(Wrong::UnlistedKind, KIND).await;
    test.check_runs(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_requested_queue_is_checked() {
    let test = start().await;
    let other = test.beside("other").await;
    let harmed = other.enqueue_now().await;
    other.take_out("due", harmed);
    let audit = atode_audit::audit(&test.client, Some("default")).await.unwrap();
    assert_eq!((audit.queues.len(), audit.jobs, audit.findings.len()), (1, 10, 0));
    let audit = atode_audit::audit(&test.client, Some("other")).await.unwrap();
    assert_eq!((audit.queues.len(), audit.jobs, audit.findings.len()), (1, 1, 1));
    assert!(atode_audit::audit(&test.client, Some("o*")).await.unwrap().queues.is_empty());
}
