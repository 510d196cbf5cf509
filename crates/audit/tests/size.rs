//! An audit of many jobs, with many findings.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use atode_queue::Due;
use support::{HOUR, KIND, NOW, TestQueue, start};

#[tokio::test(flavor = "multi_thread")]
async fn many_findings_at_once_are_all_repaired() {
    let test = start().await;
    let harmed = test.enqueue_many(1_500, NOW).await;
    test.command(&["DEL", &test.set("due")]);
    let audit = test.audit().await;
    // Includes the job that is due in an hour.
    assert_eq!(audit.findings.len(), harmed.len() + 1);
    for finding in &audit.findings {
        test.repair(finding).await;
    }
    test.check_clean().await;
    assert_eq!(test.count("ZCARD", &test.set("due")), harmed.len() as i64 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_of_many_jobs_never_blocks_redis_for_long() {
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
    // A busy machine may delay any command; a slow command is slow each time.
    let mut slow = None;
    for _ in 0..5 {
        // Half of the jobs, small and large ones, need a check at one instant and a repair.
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
