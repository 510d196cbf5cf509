//! The command line as its users call it: a process, its output, its exit code.

use std::fs;
use std::time::Duration;

use atode_testkit::{
    AclUser, Gateway, Process, ProcessBuilder, RedisServer, Worker, eventually, workspace_root,
};
use serde_json::Value;

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn atode(addr: &str, args: &[&str]) -> Ended {
    run(Process::builder(env!("CARGO_BIN_EXE_atode")).arg("--direct").args(args), addr)
}

fn run(process: ProcessBuilder, addr: &str) -> Ended {
    let process = process
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
    // The short form that Redis has names the same job.
    let short =
        shown.out.split("(in Redis '").nth(1).and_then(|rest| rest.split('\'').next()).expect("the short id");
    assert_eq!(json(&addr, &["job", "show", short, "--json"])["id"], id);

    let queues = json(&addr, &["queues", "--json"])["items"].clone();
    let default = queues.as_array().expect("a list").iter().find(|queue| queue["name"] == "default");
    assert_eq!(default.expect("the queue of the kind")["counts"]["completed"], 1);
    assert!(atode(&addr, &["queues"]).out.contains("default"));
    assert_eq!(json(&addr, &["workers", "--json"])["items"][0]["pid"], worker.pid());
}

#[test]
fn a_payload_is_read_from_a_file_or_stdin() {
    let redis = RedisServer::start();
    let addr = redis.addr();
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), "\u{feff}{ \"message\": \"from a file\" }\n").expect("its content");
    let argument = format!("@{}", file.path().display());
    let stored = json(&addr, &["enqueue", "demo:delay_print", "--payload", &argument, "--json"]);
    assert_eq!(stored["payload"]["message"], "from a file");
    assert_eq!(stored["max_retries"], 10, "the default of the kind, as in the API");

    // The shell connects stdin, which the processes of a test do not have.
    let program = env!("CARGO_BIN_EXE_atode");
    let command = format!(
        "printf '%s' '{{\"message\":\"piped\"}}' | {program} --direct enqueue demo:delay_print --payload - --json"
    );
    let piped = run(Process::builder("/bin/sh").args(["-c", &command]), &addr);
    let stored: Value = serde_json::from_str(&piped.out).expect(&piped.err);
    assert_eq!(stored["payload"]["message"], "piped");

    let missing = atode(&addr, &["enqueue", "demo:delay_print", "--payload", "@/no/such/file"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("--payload @/no/such/file: cannot read this file"), "{}", missing.err);
}

#[test]
fn the_json_of_the_command_line_equals_that_of_the_api() {
    let redis = RedisServer::start();
    let addr = redis.addr();
    let gateway = Gateway::start(&redis);
    let worker = Worker::start(&redis);
    let id = json(&addr, &["enqueue", "demo:delay_print", "--delay", "1h", "--json"])["id"].clone();
    let id = id.as_str().expect("an id");
    eventually("the worker is registered", Duration::from_secs(20), || {
        (gateway.get("/v1/workers").json()["items"][0]["pid"] == worker.pid()).then_some(())
    });
    assert_eq!(json(&addr, &["job", "show", id, "--json"]), gateway.get(&format!("/v1/jobs/{id}")).json());
    assert_eq!(json(&addr, &["queues", "--json"]), gateway.get("/v1/queues").json());
    let jobs = json(&addr, &["jobs", "--state", "scheduled", "--limit", "1", "--json"]);
    assert_eq!(jobs, gateway.get("/v1/jobs?state=scheduled&limit=1").json());
    let workers = [json(&addr, &["workers", "--json"]), gateway.get("/v1/workers").json()];
    let [command, api] = workers.map(|mut workers| {
        workers["items"][0]["seen_at"] = Value::Null; // a heartbeat may lie in between
        workers
    });
    assert_eq!(command, api);
}

#[test]
fn at_80_columns_ids_are_whole() {
    let redis = RedisServer::start();
    let addr = redis.addr();
    let _worker = Worker::start(&redis);
    let worker = eventually("the worker is registered", Duration::from_secs(20), || {
        json(&addr, &["workers", "--json"])["items"][0]["id"].as_str().map(str::to_owned)
    });
    let narrow =
        Process::builder(env!("CARGO_BIN_EXE_atode")).args(["--direct", "workers"]).env("COLUMNS", "80");
    let narrow = run(narrow, &addr);
    assert!(narrow.out.contains(&worker), "{}", narrow.out);
    assert!(narrow.out.lines().all(|line| line.chars().count() <= 80), "{}", narrow.out);
}

#[test]
fn jobs_are_listed_at_80_columns_with_whole_ids_and_the_cursor_of_the_next_page() {
    let redis = RedisServer::start();
    let addr = redis.addr();
    let payload =
        r#"{"message":"for Ann, who waits for it and has a long name that does not fit into one line"}"#;
    let enqueue = ["enqueue", "demo:delay_print", "--payload", payload];
    let ids: Vec<String> = (0..3).map(|_| atode(&addr, &enqueue).out.trim().to_owned()).collect();
    let list = |args: &[&str]| {
        let process = Process::builder(env!("CARGO_BIN_EXE_atode")).args(["--direct", "jobs"]).args(args);
        let ended = run(process.env("COLUMNS", "80"), &addr);
        assert_eq!(ended.code, 0, "{}", ended.err);
        ended.out
    };
    let first = list(&["--state", "scheduled", "--limit", "2"]);
    let (page, cursor) = first.split_once("--cursor ").expect("a next page");
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    for word in [&*ids[0], &*ids[1], "scheduled", "demo:delay_print", "for Ann", "3 scheduled"] {
        assert!(page.contains(word), "{word} is missing in\n{page}");
    }
    let second = list(&["--state", "scheduled", "--cursor", cursor.trim()]);
    assert!(
        second.contains(&ids[2]) && !second.contains(&ids[1]) && !second.contains("--cursor"),
        "{second}"
    );
    assert!(list(&["--search", "ANN"]).contains("searched 3 jobs"));
    assert!(list(&["--state", "dead"]).contains("3 scheduled"), "the counts of the other states");
}

#[test]
fn a_refused_command_exits_with_1_and_gives_the_reason() {
    let redis = RedisServer::start();
    let addr = redis.addr();
    for (args, word) in [
        (&["enqueue", "nope"][..], "/kind: unknown kind; known kinds: "),
        (&["enqueue", "nope"], "demo:delay_print"),
        (&["enqueue", "demo:delay_print", "--payload", "[1]"], "a JSON object"),
        (&["enqueue", "demo:delay_print", "--payload", r#"{"mesage":"x"}"#], "mesage"),
        (
            &["enqueue", "demo:delay_print", "--queue", "nowhere"],
            "/queue: unknown queue; configured queues: default",
        ),
        (
            &["enqueue", "demo:delay_print", "--max-retries", "1001"],
            "/max_retries: expected a whole number from 0 to 1000",
        ),
        (&["jobs", "--state", "gone"], "/state: there is no state \"gone\"; states are scheduled, "),
        (&["jobs", "--cursor", "x"], "/cursor: this is not a cursor of this list"),
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
    let err = atode("127.0.0.1:1", &["enqueue", "demo:delay_print", "--delay", "5"]).err;
    assert!(err.contains("invalid value '5' for '--delay <DELAY>': expected a duration such as"), "{err}");
}

#[test]
fn a_missing_worker_and_a_missing_redis_are_reported() {
    let redis = RedisServer::start();
    assert!(atode(&redis.addr(), &["workers"]).out.contains("no worker is running"));
    redis.stop();
    let ended = atode(&redis.addr(), &["queues"]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains(&redis.addr()), "{}", ended.err);
}

#[test]
fn the_error_quotes_a_redis_that_refuses() {
    let user = AclUser::new("some", "~atode:* &atode:* +@all -evalsha");
    let redis = RedisServer::builder().user(&user).start();
    let with = |password: &str| {
        let key = |key: &str| format!("APP__CACHE_SERVER__REDIS__JOBQUEUE__{key}");
        let process = Process::builder(env!("CARGO_BIN_EXE_atode"))
            .args(["--direct", "enqueue", "demo:delay_print"])
            .env("APP_ENV", "test")
            .env("APP_CONFIG_DIR", workspace_root().join("config"))
            .env(key("ADDR"), redis.addr())
            .env(key("USERNAME"), "some")
            .env(key("PASSWORD"), password)
            .start();
        let status = process.wait(Duration::from_secs(20));
        (status.code(), process.stderr())
    };
    let (code, said) = with("wrong");
    assert!(code == Some(1) && said.contains("WRONGPASS") && said.contains(&redis.addr()), "{said}");
    let (code, said) = with(AclUser::PASSWORD);
    assert!(code == Some(1) && said.contains("+evalsha"), "{said}");
    redis.stop();
    let (code, said) = with(AclUser::PASSWORD);
    assert!(code == Some(1) && said.contains("Connection refused"), "{said}");
}

#[test]
fn a_waiting_job_is_explained_with_its_checks_within_80_columns() {
    let redis = RedisServer::start();
    let addr = redis.addr();
    let stored = atode(&addr, &["enqueue", "demo:slow", "--delay", "1h"]);
    let id = stored.out.trim();
    let args = ["--direct", "job", "explain", id];
    let shown = run(Process::builder(env!("CARGO_BIN_EXE_atode")).args(args).env("COLUMNS", "80"), &addr).out;
    for word in ["not_due", "59 min", "not before", "waits_for_time", "worker_knows_kind", "demo:slow"] {
        assert!(shown.contains(word), "{word} is missing in\n{shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
}

#[test]
fn dead_jobs_are_listed_by_cause_and_redriven_by_it() {
    let redis = RedisServer::start();
    let addr = redis.addr();
    let worker = Worker::start(&redis);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let args = ["enqueue", "demo:flaky", "--payload", r#"{"failures":9}"#, "--max-retries", "0"];
        ids.push(atode(&addr, &args).out.trim().to_owned());
    }
    let list = eventually("both jobs are dead", Duration::from_secs(20), || {
        Some(json(&addr, &["failures", "--json"])).filter(|list| list["items"][0]["count"] == 2)
    });
    let fingerprint = list["items"][0]["fingerprint"].as_str().expect("a fingerprint");
    let shown = atode(&addr, &["failures", "--kind", "demo:flaky"]).out;
    for word in [fingerprint, "demo:flaky", list["items"][0]["error"].as_str().expect("an error")] {
        assert!(shown.contains(word), "{word} is missing in\n{shown}");
    }
    drop(worker);
    assert_eq!(json(&addr, &["failures", "redrive", fingerprint, "--json"])["moved"], 2);
    assert_eq!(json(&addr, &["job", "show", &ids[0], "--json"])["state"], "ready");
    assert_eq!(atode(&addr, &["failures", "redrive", "123"]).code, 2);
    let unknown = atode(&addr, &["failures", "--queue", "none"]);
    assert!(unknown.code == 1 && unknown.err.contains("there is no queue"), "{}", unknown.err);
}
