//! `atode audit` as its users call it: a process, its output, its exit code.

use std::time::Duration;

use atode_testkit::{Process, RedisServer, workspace_root};
use serde_json::{Value, json};

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn atode(redis: &RedisServer, args: &[&str]) -> Ended {
    let process = Process::builder(env!("CARGO_BIN_EXE_atode"))
        .args(args)
        .env("APP_ENV", "test")
        .env("APP_CONFIG_DIR", workspace_root().join("config"))
        .env("APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR", redis.addr())
        .start();
    let status = process.wait(Duration::from_secs(30));
    Ended { code: status.code().expect("an exit code"), out: process.stdout(), err: process.stderr() }
}

fn audit_json(redis: &RedisServer, code: i32, args: &[&str]) -> Value {
    let ended = atode(redis, &[&["audit", "--json"], args].concat());
    assert_eq!(ended.code, code, "{}{}", ended.out, ended.err);
    serde_json::from_str(&ended.out).expect("one JSON document")
}

fn enqueue(redis: &RedisServer) -> String {
    let stored = atode(redis, &["--direct", "enqueue", "demo:delay_print", "--delay", "1h"]);
    assert_eq!(stored.code, 0, "{}", stored.err);
    stored.out.trim().to_owned()
}

const DUE: &str = "atode:{default}:demo:delay_print:due";

#[test]
fn findings_are_shown_until_they_are_repaired() {
    let redis = RedisServer::start();
    let ended = atode(&redis, &["audit"]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let id = enqueue(&redis);
    enqueue(&redis);
    let ended = atode(&redis, &["audit"]);
    assert_eq!(ended.code, 0, "{}", ended.out);
    assert!(ended.out.starts_with("2 jobs in 1 queue looked at in "), "{}", ended.out);
    assert!(ended.out.ends_with(": nothing is wrong\n"), "{}", ended.out);

    let short = redis.command(&["ZRANGE", DUE, "0", "0"]).texts().remove(0);
    redis.command(&["ZREM", DUE, &short]);
    redis.command(&["ZADD", "atode:{default}:demo:delay_print:dead", "1", "by hand"]);
    redis.command(&["SET", "atode:{default}:stats:", "none of ours"]);

    for _ in 0..2 {
        let ended = atode(&redis, &["audit"]);
        assert_eq!(ended.code, 1, "{}{}", ended.out, ended.err);
        for words in [
            "WHAT --REPAIR DOES",
            "a job in no set",
            &id,
            "make it due",
            "an id without a record",
            "by hand",
            "demo:delay_print:dead",
            "remove it",
            ": 2 found; --repair repairs them",
        ] {
            assert!(ended.out.contains(words), "{words} is missing in\n{}", ended.out);
        }
    }
    let found = audit_json(&redis, 1, &[]);
    assert_eq!(
        (&found["jobs"], &found["left"], &found["queues"]),
        (&json!(2), &json!(2), &json!(["default"]))
    );
    assert_eq!(
        found["findings"][0],
        json!({ "queue": "default", "wrong": "no_set", "subject": id, "where": ["jobs"],
                "repair": "make it due when it was asked for, or now", "outcome": "found" })
    );

    let ended = atode(&redis, &["audit", "--repair"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    for words in ["WHAT WAS DONE", "done: make it due", "done: remove it", ": 2 found, all repaired"] {
        assert!(ended.out.contains(words), "{words} is missing in\n{}", ended.out);
    }
    assert_eq!(audit_json(&redis, 0, &[])["findings"], json!([]));
    assert_eq!(redis.command(&["ZCARD", DUE]).int(), 2);
}

#[test]
fn findings_that_a_wrong_type_hid_are_repaired_in_the_same_run() {
    let redis = RedisServer::start();
    enqueue(&redis);
    redis.command(&["SET", DUE, "by hand"]);
    let repaired = audit_json(&redis, 0, &["--repair"]);
    let findings = repaired["findings"].as_array().expect("a list");
    assert_eq!(findings.len(), 2, "{repaired}");
    assert_eq!((&findings[0]["wrong"], &findings[0]["outcome"]), (&json!("wrong_type"), &json!("done")));
    let aside = findings[0]["set_aside"].as_str().expect("a new name");
    assert_eq!(redis.command(&["GET", aside]).text(), "by hand");
    assert_eq!((&findings[1]["wrong"], &findings[1]["outcome"]), (&json!("no_set"), &json!("done")));
    assert_eq!(redis.command(&["ZCARD", DUE]).int(), 1);
}

#[test]
fn the_exit_code_says_that_a_finding_could_not_be_repaired() {
    let redis = RedisServer::start();
    enqueue(&redis);
    redis.command(&["HSET", "atode:{default}:jobs", "x", "{"]);
    redis.command(&["SET", "atode:broken:{default}:records", "by hand"]);
    let left = audit_json(&redis, 1, &["--repair"]);
    assert_eq!((&left["left"], &left["findings"][0]["outcome"]), (&json!(1), &json!("failed")), "{left}");
    assert_eq!(redis.command(&["HGET", "atode:{default}:jobs", "x"]).text(), "{");
}

#[test]
fn only_the_named_queue_is_checked() {
    let redis = RedisServer::start();
    enqueue(&redis);
    redis.command(&["ZADD", "atode:{other}:a:b:due", "1", "by hand"]);
    assert_eq!(audit_json(&redis, 0, &["--queue", "default"])["jobs"], 1);
    let other = audit_json(&redis, 1, &["--queue", "other"]);
    let wrong: Vec<&Value> =
        other["findings"].as_array().expect("a list").iter().map(|finding| &finding["wrong"]).collect();
    assert_eq!(wrong, ["unlisted_queue", "unlisted_kind", "no_record"]);
    audit_json(&redis, 0, &["--queue", "other", "--repair"]);
    let ended = atode(&redis, &["audit", "--queue", "nope"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("no queue nope"), "{}", ended.err);
}

#[test]
fn an_audit_that_cannot_read_the_data_exits_with_2() {
    let redis = RedisServer::start();
    assert_eq!(atode(&redis, &["audit", "--mend"]).code, 2);
    assert!(atode(&redis, &["audit", "--help"]).out.contains("Exits with 0"));
    redis.stop();
    let ended = atode(&redis, &["audit"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains(&redis.addr()), "{}", ended.err);
}
