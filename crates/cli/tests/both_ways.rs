//! Each command over HTTP and directly on Redis: the same words, the same JSON, the same exit code.

mod support;

use std::time::Duration;

use atode_testkit::{Gateway, ProcessBuilder, RedisServer, Worker, eventually};
use serde_json::Value;
use support::{Ended, atode, run};

const DEADLINE: Duration = Duration::from_secs(30);

struct System {
    redis: RedisServer,
    gateway: Gateway,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Http,
    Direct,
}

/// The object of a command. Each run gets a new one.
#[derive(Debug, Clone, Copy)]
enum Subject {
    None,
    Waiting,
    Dead,
    Worker,
}

impl System {
    fn start() -> Self {
        let redis = RedisServer::start();
        System { gateway: Gateway::start(&redis), redis }
    }

    fn run(&self, way: Way, args: &[&str]) -> Ended {
        run(self.command(way, args))
    }

    fn command(&self, way: Way, args: &[&str]) -> ProcessBuilder {
        match way {
            Way::Http => atode().env("ATODE_URL", self.gateway.base_url()).args(args),
            Way::Direct => atode()
                .env("APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR", self.redis.addr())
                .env("ATODE_URL", "http://127.0.0.1:1")
                .arg("--direct")
                .args(args),
        }
    }

    fn json(&self, args: &[&str]) -> Value {
        let ended = self.run(Way::Http, &[args, &["--json"]].concat());
        assert_eq!(ended.code, 0, "{}", ended.err);
        serde_json::from_str(&ended.out).expect("JSON")
    }

    fn enqueue(&self, args: &[&str]) -> String {
        self.json(&[&["enqueue"], args].concat())["id"].as_str().expect("an id").to_owned()
    }

    /// The id of the subject, and the worker if it is one.
    fn subject(&self, subject: Subject) -> (String, Option<Worker>) {
        match subject {
            Subject::None => (String::new(), None),
            Subject::Waiting => (self.enqueue(&["demo:delay_print", "--delay", "1h"]), None),
            Subject::Dead => {
                // So that it is the only one, now and when the worker has run the jobs that are ready.
                for state in ["dead", "ready"] {
                    let purge = format!("/v1/queues/default/purge?state={state}");
                    assert_eq!(self.gateway.request("POST", &purge).send().status, 200);
                }
                let worker = Worker::start(&self.redis);
                let id = self.enqueue(&["demo:flaky", "--max-retries", "0"]);
                eventually("the job is dead", DEADLINE, || {
                    (self.json(&["job", "show", &id])["state"] == "dead").then_some(())
                });
                // It has taken back its registration by then.
                worker.terminate();
                worker.wait(DEADLINE);
                (id, None)
            }
            Subject::Worker => {
                let worker = Worker::start(&self.redis);
                let id = eventually("the worker is registered", DEADLINE, || {
                    let workers = self.json(&["workers"])["items"].clone();
                    let own = workers.as_array()?.iter().find(|it| it["pid"] == worker.pid())?.clone();
                    own["id"].as_str().map(str::to_owned)
                });
                (id, Some(worker))
            }
        }
    }
}

/// Hides what differs between two jobs or two looks: ids, times, numbers of processes, rates.
fn masked(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-:.+".contains(c);
    let mut masked = String::new();
    for part in text.split_inclusive(|c| !is_part(c)) {
        let word = part.trim_end_matches(|c| !is_part(c));
        let is_id = word.len() == 36 && word.matches('-').count() == 4;
        let is_number = word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_digit());
        let word = match word {
            _ if is_id => "ID",
            _ if word.parse::<jiff::Timestamp>().is_ok() => "TIME",
            _ if is_number => "N",
            _ if word.strip_suffix('s').is_some_and(|age| age.parse::<f64>().is_ok()) => "AGE",
            word => word,
        };
        masked.extend([word, &part[part.trim_end_matches(|c| !is_part(c)).len()..]]);
    }
    // The form of the id in Redis may have any characters.
    let mut parts = masked.splitn(3, '\'');
    let masked = match (parts.next(), parts.next(), parts.next()) {
        (Some(before), Some(_), Some(after)) if before.ends_with("(in Redis ") => {
            format!("{before}SHORT{after}")
        }
        _ => masked,
    };
    let mut is_rate = false;
    let lines = masked.lines().map(|line| {
        // The rates are of the last full minute, and a new minute may begin at any time.
        is_rate = line.contains("\"rates\": {") || is_rate && !line.contains('}');
        let line =
            if is_rate { line.trim_end_matches(|c: char| c.is_ascii_digit() || c == ',') } else { line };
        line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n"
    });
    lines.collect()
}

#[test]
fn every_command_prints_the_same_over_http_and_directly() {
    let system = System::start();
    let unknown = "0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4b";
    let hello = r#"{"message":"hi"}"#;
    let wrong = r#"{"mesage":"hi"}"#;
    let cases: &[(Subject, i32, &[&str])] = &[
        // First, while no other case has left dead jobs.
        (Subject::None, 0, &["queue", "purge", "default", "--state", "dead"]),
        (Subject::None, 0, &["queues"]),
        (Subject::None, 0, &["workers"]),
        (Subject::None, 0, &["stats", "--window", "24h", "--kind", "none:such"]),
        (Subject::None, 1, &["stats", "--queue", "nowhere"]),
        (Subject::None, 2, &["stats", "--window", "73h"]),
        (Subject::None, 0, &["enqueue", "demo:delay_print", "--payload", hello, "--delay", "1h"]),
        (
            Subject::None,
            0,
            &["enqueue", "demo:delay_print", "--run-at", "2027-01-31T09:30:00Z", "--queue", "default"],
        ),
        (Subject::None, 1, &["enqueue", "nope"]),
        (Subject::None, 1, &["enqueue", "demo:delay_print", "--payload", "[1]"]),
        (Subject::None, 1, &["enqueue", "demo:delay_print", "--payload", wrong, "--max-retries", "1001"]),
        (Subject::None, 1, &["enqueue", "demo:delay_print", "--queue", "nowhere"]),
        (Subject::None, 1, &["enqueue", "demo:delay_print", "--run-at", "soon"]),
        (Subject::None, 2, &["enqueue", "demo:delay_print", "--delay", "soon"]),
        (Subject::None, 2, &["enqueue", "demo:delay_print", "--idempotency-key", ""]),
        (Subject::Waiting, 0, &["job", "show", "ID"]),
        (Subject::Dead, 0, &["job", "show", "ID"]),
        (Subject::None, 1, &["job", "show", unknown]),
        (Subject::Dead, 0, &["job", "explain", "ID"]),
        (Subject::None, 1, &["job", "explain", unknown]),
        (Subject::None, 2, &["job", "show", "123"]),
        (Subject::Waiting, 0, &["job", "cancel", "ID"]),
        (Subject::Dead, 1, &["job", "cancel", "ID"]),
        (Subject::None, 1, &["job", "cancel", unknown]),
        (Subject::Waiting, 0, &["job", "run-now", "ID"]),
        (Subject::Dead, 1, &["job", "run-now", "ID"]),
        (Subject::Waiting, 0, &["job", "reschedule", "ID", "--delay", "2h"]),
        (Subject::Waiting, 0, &["job", "reschedule", "ID", "--run-at", "2027-01-31T09:30:00Z"]),
        (Subject::Waiting, 1, &["job", "reschedule", "ID", "--run-at", "soon"]),
        (Subject::Waiting, 2, &["job", "reschedule", "ID"]),
        (Subject::Dead, 0, &["job", "redrive", "ID"]),
        (Subject::Waiting, 1, &["job", "redrive", "ID"]),
        (Subject::Waiting, 0, &["job", "rm", "ID"]),
        (Subject::None, 1, &["job", "rm", unknown]),
        (Subject::None, 0, &["jobs", "--state", "dead", "--kind", "demo:slow"]),
        (
            Subject::None,
            0,
            &["jobs", "--search", "no such text & more", "--order", "asc", "--state", "ready"],
        ),
        (Subject::None, 1, &["jobs", "--state", "gone", "--after", "soon"]),
        (Subject::None, 1, &["jobs", "--cursor", "x"]),
        (Subject::None, 1, &["jobs", "--queue", "nowhere"]),
        (Subject::None, 0, &["queue", "pause", "default"]),
        (Subject::None, 0, &["queue", "resume", "default"]),
        (Subject::None, 1, &["queue", "pause", "no where?"]),
        (Subject::Dead, 0, &["queue", "redrive", "default"]),
        (Subject::Dead, 0, &["queue", "purge", "default", "--state", "dead", "--kind", "demo:flaky"]),
        (Subject::None, 0, &["queue", "redrive", "default", "--kind", "demo:delay_print"]),
        (Subject::None, 1, &["queue", "redrive", "nowhere"]),
        (Subject::None, 2, &["queue", "purge", "default"]),
        (Subject::None, 2, &["queue", "purge", "default", "--state", "active"]),
        (Subject::None, 0, &["failures", "--kind", "demo:delay_print"]),
        (Subject::None, 1, &["failures", "--queue", "nowhere"]),
        (Subject::None, 0, &["failures", "redrive", "0123456789abcdef"]),
        (Subject::None, 1, &["failures", "redrive", "0123456789abcdef", "--queue", "nowhere"]),
        (Subject::None, 2, &["failures", "redrive", "123"]),
        (Subject::Worker, 0, &["worker", "quiet", "ID"]),
        (Subject::Worker, 0, &["worker", "stop", "ID"]),
        (Subject::None, 1, &["worker", "quiet", unknown]),
    ];
    for (subject, code, args) in cases {
        for form in [&[][..], &["--json"]] {
            let outputs = [Way::Http, Way::Direct].map(|way| {
                let (id, _worker) = system.subject(*subject);
                let args: Vec<&str> = args.iter().map(|arg| if *arg == "ID" { &*id } else { arg }).collect();
                let ended = system.run(way, &[&args, form].concat());
                assert_eq!(ended.code, *code, "{way:?} {args:?}: {}{}", ended.out, ended.err);
                assert_eq!(ended.err.is_empty(), *code == 0, "{way:?} {args:?}: {}", ended.err);
                (masked(&ended.out), masked(&ended.err))
            });
            let [http, direct] = outputs;
            assert_eq!(http, direct, "{subject:?} {args:?} {form:?}");
        }
    }
}

#[test]
fn lists_show_the_same_rows_both_ways() {
    let system = System::start();
    let (dead, _) = system.subject(Subject::Dead);
    let (waiting, _) = system.subject(Subject::Waiting);
    let (_, _worker) = system.subject(Subject::Worker);
    for args in [
        &["queues"][..],
        &["failures"],
        &["kinds"],
        &["job", "show", &dead],
        &["job", "show", &waiting],
        &["jobs"],
        &["jobs", "--limit", "1"],
        &["jobs", "--error", "flaky", "--before", "2100-01-01T00:00:00+00:00"],
    ] {
        for form in [&[][..], &["--json"]] {
            let [http, direct] =
                [Way::Http, Way::Direct].map(|way| masked(&system.run(way, &[args, form].concat()).out));
            assert_eq!(http, direct, "{args:?}");
        }
    }
    // A heartbeat may lie in between.
    let [http, direct] = [Way::Http, Way::Direct].map(|way| masked(&system.run(way, &["workers"]).out));
    assert_eq!(http, direct);
}

#[test]
fn a_key_stores_a_job_once_whichever_way_it_comes() {
    let system = System::start();
    let args = ["enqueue", "demo:delay_print", "--delay", "1h", "--idempotency-key", "order-42"];
    let [http, direct] = [Way::Http, Way::Direct].map(|way| system.run(way, &args));
    assert_eq!((http.code, &http.out), (0, &direct.out), "{}{}", http.err, direct.err);
    for way in [Way::Http, Way::Direct] {
        let other = system.run(way, &[&args[..2], &args[4..]].concat());
        assert_eq!(other.code, 1);
        let said =
            format!("atode: this idempotency key was used for job {}, with another body\n", http.out.trim());
        assert_eq!(other.err, said, "{way:?}");
    }
}

#[test]
fn more_jobs_than_one_call_takes_are_moved_in_steps() {
    let system = System::start();
    for way in [Way::Http, Way::Direct] {
        for _ in 0..3 {
            let job = serde_json::json!({"kind": "demo:delay_print", "delay": "1h"});
            let jobs = serde_json::json!({ "jobs": vec![job; 700] });
            assert_eq!(system.gateway.post("/v1/jobs/batch", &jobs).json()["created"], 700);
        }
        let purged = system.run(way, &["queue", "purge", "default", "--state", "scheduled"]);
        assert_eq!((purged.out.as_str(), purged.err.as_str()), ("2100 jobs are removed\n", ""));
    }
}

#[test]
fn a_job_belongs_to_the_trace_of_the_environment_both_ways() {
    let system = System::start();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for way in [Way::Http, Way::Direct] {
        let enqueue = |parent| {
            let command = system.command(way, &["enqueue", "demo:delay_print", "--json"]);
            run(command.env("TRACEPARENT", parent).env("TRACESTATE", "vendor=1"))
        };
        let stored: Value = serde_json::from_str(&enqueue(parent).out).expect("JSON");
        assert_eq!(stored["traceparent"], parent, "{way:?}");
        let shown = system.run(way, &["job", "show", stored["id"].as_str().expect("an id")]);
        assert!(shown.out.contains(parent), "{}", shown.out);
        let ignored = enqueue("nonsense");
        assert!(ignored.err.contains("TRACEPARENT is not valid"), "{}", ignored.err);
        let stored: Value = serde_json::from_str(&ignored.out).expect("JSON");
        assert!(stored.get("traceparent").is_none(), "{stored}");
    }
}
