//! Each command over HTTP and directly on Redis: the same words, the same JSON, the same exit code.

mod both_ways_table;
mod support;

use std::time::Duration;

use atode_jobs::{Definition, PublishedKind};
use atode_queue::WorkerId;
use atode_testkit::{Gateway, ProcessBuilder, RedisServer, Worker, eventually};
use both_ways_table::{CASES, COMMANDS, LOCAL_COMMANDS, NO_COMMAND, Subject};
use serde_json::{Value, json};
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
            Subject::Published | Subject::Held => {
                self.publish(subject);
                (String::new(), None)
            }
            Subject::Bulk => (self.waiting_bulk(), None),
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

impl System {
    /// Copies a bulk operation that has ended, as one that another runner seems to hold, so that no gateway takes it.
    fn waiting_bulk(&self) -> String {
        let filter = json!({"action": "cancel", "filter": {"kind": "demo:slow"}});
        let begun = self.gateway.post("/v1/bulk", &filter).json()["id"].as_str().expect("an id").to_owned();
        eventually("it has ended", DEADLINE, || {
            let state = self.gateway.get(&format!("/v1/bulk/{begun}")).json()["state"].clone();
            (state == "finished").then_some(())
        });
        let id = WorkerId::new(1_800_000_000_000).to_string();
        let (from, key) = (format!("atode:{{bulks}}:{begun}"), format!("atode:{{bulks}}:{id}"));
        self.redis.command(&["COPY", &from, &key]);
        self.redis.command(&["PERSIST", &key]);
        self.redis.command(&["HDEL", &key, "ended"]);
        self.redis.command(&["HSET", &key, "state", "waiting", "held_until", "4000000000000"]);
        self.redis.command(&["ZADD", "atode:{bulks}:open", "1800000000000000", &id]);
        id
    }

    /// Puts a kind without workers into the catalogue, as a worker of an earlier build would, and holds a definition of
    /// a later build.
    fn publish(&self, subject: Subject) {
        const KIND: &str = "demo:slow";
        let registry = atode_jobs::registry().expect("one kind of each name");
        let definition = |build: &str, started_at| {
            let definition = Definition::of(registry.get(KIND).expect("it is compiled in"));
            let published = PublishedKind {
                definition,
                build: build.to_owned(),
                worker: WorkerId::new(started_at),
                started_at,
            };
            serde_json::from_slice::<Value>(&published.encode()).expect("JSON")
        };
        let mut later = definition("0.0.2", 1_800_000_001_000);
        later["schema"]["required"] = json!(["seconds"]);
        self.redis.command(&["ZADD", "atode:{kinds}:changes", "1800000000000000", KIND]);
        let earlier = definition("0.0.1", 1_800_000_000_000).to_string();
        self.redis.command(&["HSET", "atode:{kinds}", KIND, &earlier]);
        self.redis.command(&["DEL", "atode:{kinds}:held"]);
        if let Subject::Held = subject {
            self.redis.command(&["HSET", "atode:{kinds}:held", KIND, &later.to_string()]);
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
            _ if word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) => "ETAG",
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
    for (subject, code, args) in CASES {
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

/// The routes below `/v1`, as the gateway declares them: method and path.
fn routes() -> Vec<(&'static str, String)> {
    let source = include_str!("../../api-gateway/src/routes.rs");
    let mut routes = Vec::new();
    for part in source.split("(\"/v1/").skip(1) {
        let (path, handlers) = part.split_once('"').expect("a path ends");
        // The next part begins behind the handlers of this one.
        for (method, call) in [
            ("GET", "get()"),
            ("POST", ".post("),
            ("PATCH", ".patch("),
            ("PUT", ".put("),
            ("DELETE", ".delete("),
        ] {
            let handlers = handlers.split(".service(").next().unwrap_or_default();
            if handlers.contains(call) {
                routes.push((method, format!("/v1/{path}")));
            }
        }
    }
    routes
}

#[test]
fn every_operation_of_the_api_has_a_command_or_a_reason_for_none() {
    let mut routes = routes();
    let mut known: Vec<(&str, String)> =
        COMMANDS.iter().chain(NO_COMMAND).map(|(method, path, _)| (*method, (*path).to_owned())).collect();
    routes.sort();
    known.sort();
    // Several commands may be one operation.
    known.dedup();
    assert_eq!(routes, known, "each route is in COMMANDS or NO_COMMAND");
}

#[test]
fn every_command_is_an_operation_of_the_api_and_runs_both_ways() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = run(atode().arg("man").arg(folder.path()));
    assert_eq!(made.code, 0, "{}", made.err);
    let pages = std::fs::read_dir(folder.path()).expect("the pages").map(|page| {
        let name = page.expect("a page").file_name().to_string_lossy().into_owned();
        name.trim_start_matches("atode").trim_start_matches('-').trim_end_matches(".1").to_owned()
    });
    let pages: Vec<String> = pages.filter(|page| !page.is_empty()).collect();
    let commands = COMMANDS.iter().map(|(_, _, command)| *command);
    let known: Vec<String> =
        commands.clone().chain(LOCAL_COMMANDS.iter().map(|(command, _)| *command)).map(page_of).collect();
    for page in &pages {
        let is_group = pages.iter().any(|other| other.starts_with(&format!("{page}-")));
        assert!(is_group || known.contains(page), "{page}: add it to COMMANDS or LOCAL_COMMANDS");
    }
    for page in &known {
        assert!(pages.contains(page), "there is no command {page}");
    }
    for command in commands {
        let is_of = |args: &[&str]| {
            let fits = |known: &str| args.join(" ").starts_with(known);
            let own = COMMANDS
                .iter()
                .map(|(_, _, known)| *known)
                .filter(|known| fits(known))
                .max_by_key(|it| it.len());
            own == Some(command)
        };
        let succeeds = CASES.iter().any(|(_, code, args)| *code == 0 && is_of(args));
        assert!(succeeds, "{command}: add a case in which it succeeds");
    }
}

fn page_of(command: &str) -> String {
    command.replace(' ', "-")
}
