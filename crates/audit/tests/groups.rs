//! An audit finds groups of dead jobs that count wrongly, and corrects them.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use atode_audit::Wrong;
use atode_queue::{FailureCause, JobId, Operation};
use support::{KIND, NOW, TestQueue, failed, start};

impl TestQueue {
    async fn dead(&self, error: &str) -> JobId {
        let id = self.enqueue(NOW).await;
        let job = self.claim_one().await;
        let history = failed(&job.history, FailureCause::Permanent, error, self.run(&job, self.now()));
        self.done(job.lease.bury(history)).await;
        id
    }

    async fn group(&self, error: &str) -> (String, u64) {
        let groups =
            self.client.failures(std::slice::from_ref(&self.queue), None, 1_000).await.unwrap().items;
        let group = groups.into_iter().find(|group| group.error.as_deref() == Some(error)).expect("a group");
        (group.fingerprint.to_string(), group.count)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_counts_wrongly_is_corrected() {
    let test = start().await;
    for error in ["a", "a", "a", "b"] {
        test.dead(error).await;
    }
    test.check_clean().await;
    let (fingerprint, _) = test.group("a").await;
    let key = test.set("failures");
    let value = test.command(&["HGET", &key, &fingerprint]).text();
    for wrong in [value.replacen('3', "7", 1), value.replacen('3', "1", 1), "by hand".to_owned()] {
        test.command(&["HSET", &key, &fingerprint, &wrong]);
        test.repair_one(Wrong::Miscount, &fingerprint).await;
        assert_eq!(test.group("a").await, (fingerprint.clone(), 3), "{wrong}");
    }
    // A group that is missing, one without jobs, and one of a cause that nobody has.
    test.command(&["HDEL", &key, &fingerprint]);
    test.repair_one(Wrong::Miscount, &fingerprint).await;
    assert_eq!(test.group("a").await, (fingerprint, 3));
    test.command(&["HSET", &key, "0123456789abcdef", &value]);
    test.repair_one(Wrong::Miscount, "0123456789abcdef").await;
}

/// An operation of a release that does not know groups leaves such a count.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_removed_without_being_counted_is_found() {
    let test = start().await;
    let ids = [test.dead("a").await, test.dead("a").await];
    let (fingerprint, _) = test.group("a").await;
    test.take_out("dead", ids[0]);
    test.command(&["ZADD", &test.set("due"), "1", &ids[0].short()]);
    test.repair_one(Wrong::Miscount, &fingerprint).await;
    assert_eq!(test.group("a").await, (fingerprint, 1));
    test.check_runs(ids[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_takes_a_job_out_of_a_dead_set_counts_it() {
    let test = start().await;
    let [several, gone, last] = [test.dead("a").await, test.dead("a").await, test.dead("a").await];
    test.put(KIND, "due", several);
    test.repair_one(Wrong::SeveralSets, several).await;
    assert_eq!(test.group("a").await.1, 2);
    test.command(&["HDEL", &test.key("jobs"), &gone.short()]);
    test.repair_one(Wrong::NoRecord, gone).await;
    assert_eq!(test.group("a").await.1, 1);
    test.client.operate(&test.queue, KIND, last, Operation::Delete).await.unwrap();
    test.check_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_a_wrong_type_are_set_aside_and_made_anew() {
    let test = start().await;
    test.dead("a").await;
    let (fingerprint, _) = test.group("a").await;
    test.command(&["DEL", &test.set("failures")]);
    test.command(&["SET", &test.set("failures"), "by hand"]);
    let finding = test.one_finding(Wrong::WrongType, &test.set("failures")).await;
    test.repair(&finding).await.expect("a new name");
    test.repair_one(Wrong::Miscount, &fingerprint).await;
    assert_eq!(test.group("a").await.1, 1);
}
