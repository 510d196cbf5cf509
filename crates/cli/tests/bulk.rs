//! `atode bulk`: what it prints, that it asks, and that its work outlives it.

mod support;

use std::time::Duration;

use atode_testkit::{Gateway, ProcessBuilder, RedisServer, eventually};
use serde_json::Value;
use support::{atode, run};

const DEADLINE: Duration = Duration::from_secs(30);

/// ARGV: number of dead jobs of the kind `bulk:dead`.
const SEED: &str = r#"
local now = redis.call('TIME')[1] * 1000
redis.call('SADD', 'atode:queues', 'default')
redis.call('SADD', 'atode:{default}:kinds', 'bulk:dead')
for n = 1, tonumber(ARGV[1]) do
  local id = string.format('%014d', n)
  redis.call('HSET', 'atode:{default}:jobs', id, 'abcd {"n":' .. n .. '}')
  redis.call('ZADD', 'atode:{default}:bulk:dead:dead', now - n, id)
end
"#;

fn with_dead(jobs: u32) -> RedisServer {
    let redis = RedisServer::start();
    redis.command(&["EVAL", SEED, "0", &jobs.to_string()]);
    redis
}

fn direct(redis: &RedisServer, args: &[&str]) -> ProcessBuilder {
    atode().env("APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR", redis.addr()).arg("--direct").args(args)
}

fn due(redis: &RedisServer) -> i64 {
    redis.command(&["ZCARD", "atode:{default}:bulk:dead:due"]).int()
}

#[test]
fn it_shows_the_jobs_and_asks_before_it_changes_them() {
    let redis = with_dead(7);
    let gateway = Gateway::start(&redis);
    for way in ["http", "direct"] {
        let command = |args: &[&str]| match way {
            "http" => atode().env("ATODE_URL", gateway.base_url()).args(args),
            _ => direct(&redis, args),
        };
        let dry = run(command(&["bulk", "redrive", "--all", "--dry-run"]));
        assert_eq!((dry.code, dry.err.as_str()), (0, ""), "{way}");
        assert!(dry.out.contains("bulk:dead") && dry.out.contains("… and 2 more"), "{way}: {}", dry.out);
        let unasked = run(command(&["bulk", "redrive", "--all"]));
        assert_eq!(unasked.code, 1, "{way}");
        assert!(unasked.err.contains("--yes"), "{way}: {}", unasked.err);
    }
    assert_eq!(due(&redis), 0);
    let command = |args: &[&str]| run(atode().env("ATODE_URL", gateway.base_url()).args(args));
    let done = command(&["bulk", "redrive", "--all", "--yes"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert!(done.out.contains("finished") && done.out.contains("7 of 7"), "{}", done.out);
    assert_eq!(due(&redis), 7);
    let nothing = command(&["bulk", "redrive", "--all", "--yes"]);
    assert_eq!((nothing.code, nothing.out.lines().last()), (0, Some("nothing to do")));
    let list = command(&["bulk", "list"]);
    assert!(list.out.contains("redrive") && list.out.contains("finished"), "{}", list.out);
    let json: Value = serde_json::from_str(&command(&["bulk", "list", "--json"]).out).expect("JSON");
    let id = json["items"][0]["id"].as_str().expect("an id");
    assert!(command(&["bulk", "show", id]).out.contains(id));
    assert_eq!(command(&["bulk", "abort", id]).code, 1, "it has ended");
}

#[test]
fn an_action_shows_and_takes_the_states_that_it_can_change() {
    for (action, states, wrong) in [
        ("redrive", "dead", "ready"),
        ("cancel", "scheduled, ready, active", "dead"),
        ("run-now", "scheduled", "scheduled,ready"),
        ("delete", "scheduled, ready, completed, dead, cancelled", "active"),
    ] {
        let help = run(atode().args(["bulk", action, "--help"]));
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{action}");
        assert!(help.out.contains(&format!("Only these states: {states}\n")), "{action}: {}", help.out);
        for wrong in [wrong, "gone", ""] {
            let ended = run(atode().args(["bulk", action, "--all", "--state", wrong]));
            assert_eq!(ended.code, 2, "{action} {wrong}: {}", ended.err);
            assert!(ended.err.contains(&format!("this action is for {states} jobs")), "{}", ended.err);
        }
    }
    assert!(run(atode().args(["jobs", "--help"])).out.contains("scheduled, ready, active, completed, dead"));
    let redis = with_dead(3);
    let dry = run(direct(
        &redis,
        &["bulk", "delete", "--state", "dead, cancelled", "--kind", "bulk:dead", "--dry-run"],
    ));
    assert_eq!((dry.code, dry.err.as_str()), (0, ""));
    assert_eq!(dry.out.matches("bulk:dead").count(), 3, "{}", dry.out);
}

#[test]
fn without_a_gateway_the_command_runs_it_itself() {
    let redis = with_dead(120);
    let done = run(direct(&redis, &["bulk", "redrive", "--kind", "bulk:dead", "--yes", "--json"]));
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let bulk: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(
        (&bulk["state"], &bulk["changed"], &bulk["runner"]["program"]),
        (&Value::from("finished"), &Value::from(120), &Value::from("atode"))
    );
    assert_eq!(due(&redis), 120);
}

#[test]
fn a_gateway_goes_on_with_what_a_killed_command_has_begun() {
    const JOBS: i64 = 8_000;
    let redis = with_dead(JOBS as u32);
    let command = direct(&redis, &["bulk", "redrive", "--all", "--yes"]).start();
    eventually("some jobs are redriven", DEADLINE, || (due(&redis) >= 200).then_some(()));
    command.kill();
    assert!(due(&redis) < JOBS, "the command was killed too late");
    let gateway = Gateway::start(&redis);
    let ended = eventually("the gateway has ended it", DEADLINE, || {
        let bulk = gateway.get("/v1/bulk").json()["items"][0].clone();
        (bulk["state"] == "finished").then_some(bulk)
    });
    assert_eq!(
        (&ended["runner"]["program"], &ended["changed"]),
        (&Value::from("api-gateway"), &Value::from(JOBS))
    );
    assert_eq!(due(&redis), JOBS);
}

#[test]
fn an_aborted_one_and_one_that_is_gone_are_failures_of_the_command() {
    let redis = with_dead(20_000);
    let gateway = Gateway::start(&redis);
    let url = gateway.base_url();
    for (what, error) in [("abort", "was aborted"), ("flush", "no bulk operation")] {
        let command = atode().env("ATODE_URL", url).args(["bulk", "redrive", "--all", "--yes"]).start();
        let before = due(&redis);
        eventually("some jobs are redriven", DEADLINE, || (due(&redis) > before).then_some(()));
        match what {
            "abort" => {
                let bulks = gateway.get("/v1/bulk").json();
                let id = bulks["items"][0]["id"].as_str().expect("an id");
                assert!(run(atode().env("ATODE_URL", url).args(["bulk", "abort", id])).code == 0);
            }
            _ => drop(redis.command(&["FLUSHALL"])),
        }
        assert_eq!(command.wait(DEADLINE).code(), Some(1), "{what}");
        assert!(command.stderr().contains(error), "{what}: {}", command.stderr());
    }
}
