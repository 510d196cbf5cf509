//! Quick runs of the sections that need no other binary. They succeed and print their tables.

use std::process::Command;

#[track_caller]
fn quick(section: &str) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_atode-bench"))
        .args([section, "--quick", "--peers", "none"])
        .output()
        .expect("atode-bench runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{section}: {}\n{stdout}\n{stderr}", run.status);
    assert!(stdout.contains("This is no measurement"), "{stdout}");
    stdout.into_owned()
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn the_cost_of_a_job_is_measured() {
    let goals = ["Redis CPU per job, retention 0", "Redis memory of a waiting job"];
    let text = quick("cost");
    has(&text, &["claim + complete µs", "allocator"]);
    has(&text, &goals);
}

#[test]
fn the_limits_of_redis_are_measured_with_plain_commands_and_with_scripts() {
    has(&quick("floor"), &["plain commands", "atode's scripts"]);
}

#[test]
fn several_workers_share_a_queue() {
    has(&quick("workers"), &["worker processes", "deviation of a worker from an equal share"]);
}

#[test]
fn the_calls_of_a_sparse_job_are_counted() {
    has(&quick("calls"), &["| 12 ", "script calls per sparse job, 12 workers"]);
}

#[test]
fn atode_is_measured_without_peers() {
    has(&quick("concurrency"), &["| atode"]);
}

#[test]
fn quick_is_refused_outside_the_suite() {
    let args = ["peer", "drain", "--redis", "127.0.0.1:1", "--jobs", "1", "--quick"];
    let run = Command::new(env!("CARGO_BIN_EXE_atode-bench")).args(args).output().expect("atode-bench runs");
    assert!(!run.status.success() && run.stdout.is_empty());
    has(&String::from_utf8_lossy(&run.stderr), &["sections of the suite"]);
}
