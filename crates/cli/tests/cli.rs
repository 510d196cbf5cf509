//! The command line as its users call it: a process, its output, its exit code.

use std::time::Duration;

use atode_testkit::{Process, RedisServer, Worker, eventually, workspace_root};
use serde_json::Value;

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn atode(addr: &str, args: &[&str]) -> Ended {
    let process = Process::builder(env!("CARGO_BIN_EXE_atode"))
        .args(args)
        .env("APP_ENV", "test")
        .env("APP_CONFIG_DIR", workspace_root().join("config"))
        .env("APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR", addr)
        .start();
    let status = process.wait(Duration::from_secs(20));
    Ended { code: status.code().expect("an exit code"), out: process.stdout(), err: process.stderr() }
}

fn json(addr: &str, args: &[&str]) -> Value {
    let ended = atode(addr, args);
    assert_eq!(ended.code, 0, "{}", ended.err);
    serde_json::from_str(&ended.out).expect("JSON")
}

#[test]
fn a_job_is_enqueued_run_and_shown_with_the_worker_that_ran_it() {
    let redis = RedisServer::start();
    let addr = redis.addr();
    let stored =
        atode(&addr, &["enqueue", "demo:delay_print", "--payload", r#"{"message":"hi"}"#, "--delay", "50ms"]);
    assert_eq!((stored.code, stored.err.as_str()), (0, ""));
    let id = stored.out.trim();
    let worker = Worker::start(&redis);
    let job = eventually("the job completes", Duration::from_secs(20), || {
        let job = json(&addr, &["job", "show", id, "--json"]);
        (job["state"] == "completed").then_some(job)
    });
    assert_eq!(job["worker"]["pid"], worker.pid());
    assert_eq!((&job["attempt"], &job["max_retries"]), (&Value::from(1), &Value::from(10)));

    let shown = atode(&addr, &["job", "show", id]);
    for word in ["completed", "demo:delay_print", "1 of 11", &worker.pid().to_string()] {
        assert!(shown.out.contains(word), "{word} is missing in\n{}", shown.out);
    }
    // The short form, as it stands in Redis, names the same job.
    let short =
        shown.out.split("(in Redis ").nth(1).and_then(|rest| rest.split(')').next()).expect("the short id");
    assert_eq!(json(&addr, &["job", "show", short, "--json"])["id"], id);

    assert_eq!(json(&addr, &["queues", "--json"])[0]["counts"]["completed"], 1);
    assert!(atode(&addr, &["queues"]).out.contains("default"));
    assert_eq!(json(&addr, &["workers", "--json"])[0]["pid"], worker.pid());
}

#[test]
fn what_is_refused_exits_with_1_and_says_why() {
    let redis = RedisServer::start();
    let addr = redis.addr();
    for (args, word) in [
        (&["enqueue", "nope"][..], "there are: demo:delay_print"),
        (&["enqueue", "demo:delay_print", "--payload", "[1]"], "a JSON object"),
        (&["enqueue", "demo:delay_print", "--payload", r#"{"mesage":"x"}"#], "mesage"),
        (&["job", "show", "0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4b"], "there is no job"),
    ] {
        let ended = atode(&addr, args);
        assert_eq!(ended.code, 1, "{args:?}");
        assert!(ended.err.contains(word), "{args:?}: {}", ended.err);
    }
}

#[test]
fn a_wrong_command_exits_with_2() {
    for args in [
        &[][..],
        &["nope"],
        &["job", "show", "123"],
        &["enqueue", "demo:delay_print", "--delay", "3 parsecs"],
    ] {
        assert_eq!(atode("127.0.0.1:1", args).code, 2, "{args:?}");
    }
}

#[test]
fn no_worker_and_no_redis_are_said_plainly() {
    let redis = RedisServer::start();
    assert!(atode(&redis.addr(), &["workers"]).out.contains("no worker is running"));
    redis.stop();
    let ended = atode(&redis.addr(), &["queues"]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains(&redis.addr()), "{}", ended.err);
}
