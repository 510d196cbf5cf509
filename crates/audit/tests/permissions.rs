//! A Redis user with the documented permissions can audit and repair.

#![expect(clippy::unwrap_used, reason = "what only tests call is a test too")]

mod support;

use atode_audit::{audit, repair};
use atode_queue::Client;
use atode_testkit::{AclUser, RedisServer, eventually_async};
use secrecy::SecretString;
use support::{DEADLINE, KIND, TestQueue, settings};

/// The rules of `docs/redis-acl.md`.
fn documented() -> String {
    let document = include_str!("../../../docs/redis-acl.md");
    let rules = document.split("```").nth(1).expect("they come first");
    rules.split_whitespace().skip_while(|word| !word.starts_with('~')).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rules_permit_an_audit_and_repairs() {
    let redis = RedisServer::start();
    redis.set_user(&AclUser::new("some", &documented()));
    let test = TestQueue::on(redis).await;
    test.enqueue_now().await;

    let mut settings = settings(test.redis.port());
    settings.connection.username = Some("some".to_owned());
    settings.connection.password = Some(SecretString::from(AclUser::PASSWORD));
    let client = Client::open(&settings).unwrap();
    eventually_async("a connection", DEADLINE, async || client.connection().is_up().then_some(())).await;

    let breaks = [["SREM", &test.key("kinds"), KIND], ["SET", &test.set_of(KIND, "cancelled"), "no set"]];
    for words in breaks {
        test.command(&["DEL", &test.set_of(KIND, "cancelled")]);
        test.command(&words);
        let findings = audit(&client, None).await.unwrap().findings;
        assert!(!findings.is_empty(), "{words:?}");
        for finding in findings {
            repair(&client, &finding).await.unwrap();
        }
    }
    test.check_invariants();
    let log = test.command(&["ACL", "LOG"]).array();
    assert!(log.is_empty(), "{log:?}");
}
