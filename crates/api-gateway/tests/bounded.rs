//! No request costs Redis more because there are more jobs: every operation of the API runs with few and with many
//! jobs, while MONITOR records what Redis executes.

#[path = "bounded_surface/commands.rs"]
mod commands;
mod support;
#[path = "bounded_surface/world.rs"]
mod world;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};

use atode_testkit::{Gateway, RedisServer, eventually};
use commands::{Command, Monitor};
use serde_json::{Value, json};
use support::{DEADLINE, KIND, UNKNOWN, connected, text};
use world::World;

/// Jobs per round: waiting, dead. A move takes 1,000 at most, and there are three moves of dead jobs.
const FEW: (usize, usize) = (2_000, 3_500);
const MANY: (usize, usize) = (18_000, 4_000);

/// Redis logs commands that take longer, µs. Most take less than a hundredth of it.
const SLOW: &str = "100000";

/// Commands and arguments of the longest search: 10,000 jobs with 12 each. A slow machine stops earlier.
const SEARCH: usize = 150_000;
/// Commands and arguments of a history, which the gateway begins to write during the test.
const HISTORY: usize = 2_000;
/// Commands and arguments of a page of bulk operations, of which the test makes a few, and of the one that it starts.
const BULKS: usize = 500;

const ROUTES: &str = include_str!("../src/routes.rs");

/// A request that is expected to have this status.
#[derive(Debug)]
struct Operation {
    method: &'static str,
    /// [`World::fill`] and [`operations_of`] replace the names in braces.
    path: String,
    body: Value,
    status: u16,
}

fn operation(method: &'static str, path: &str, status: u16) -> Operation {
    Operation { method, path: path.to_owned(), body: Value::Null, status }
}

fn with_body(method: &'static str, path: &str, body: Value, status: u16) -> Operation {
    Operation { body, ..operation(method, path, status) }
}

fn operations() -> Vec<Operation> {
    let get = |path: &str| operation("GET", path, 200);
    let post = |path: &str, status: u16| operation("POST", path, status);
    let new_job = || json!({"kind": KIND, "delay": "1h"});
    let mut operations = vec![
        get("/v1/jobs"),
        get("/v1/jobs?limit=1000"),
        get("/v1/jobs?order=asc"),
        get("/v1/jobs?facets=false"),
        get(&format!("/v1/jobs?kind={KIND}&queue=default")),
        get("/v1/jobs?after=2020-01-01T00:00:00Z&before=2100-01-01T00:00:00Z"),
        get("/v1/jobs?state=scheduled&cursor={cursor}"),
        get("/v1/jobs?state=dead&error=cause"),
        get("/v1/jobs?state=dead&error=no+such+text"),
        get("/v1/jobs?search=no+such+text"),
        get("/v1/failures"),
        get(&format!("/v1/failures?kind={KIND}&queue=default")),
        get("/v1/jobs/{waiting}"),
        get("/v1/jobs/{dead}"),
        get("/v1/jobs/{waiting}?wait=10ms"),
        operation("GET", &format!("/v1/jobs/{UNKNOWN}"), 404),
        get("/v1/jobs/{waiting}/explain"),
        get("/v1/jobs/{active}/explain"),
        get("/v1/jobs/{completed}/explain"),
        get("/v1/jobs/{dead}/explain"),
        get("/v1/stats?window=72h"),
        get("/v1/queues"),
        get("/v1/queues/default"),
        get("/v1/queues/default/scale"),
        get("/v1/workers"),
        get("/v1/kinds"),
        get(&format!("/v1/kinds/{KIND}")),
        post(&format!("/v1/kinds/{KIND}/accept"), 409),
        post(&format!("/v1/kinds/{KIND}/reject"), 409),
        operation("DELETE", &format!("/v1/kinds/{KIND}"), 409),
        get("/readyz"),
        get("/healthz"),
        get("/health"),
        get("/metrics"),
        get("/openapi.json"),
        get("/docs"),
        get("/"),
        get("/register"),
        get("/jobs/{dead}"),
        with_body("POST", "/v1/jobs", new_job(), 201),
        with_body("POST", "/v1/jobs/batch", json!({"jobs": [new_job(), new_job()]}), 200),
        with_body("POST", "/api/dm-jobqueue/register", json!({"delay_seconds": 3_600}), 201),
        with_body("PATCH", "/v1/jobs/{waiting}", json!({"payload": {"message": "x"}, "delay": "2h"}), 200),
        with_body("POST", "/v1/jobs/{waiting}/reschedule", json!({"delay": "2h"}), 200),
        post("/v1/jobs/{waiting}/run-now", 200),
        post("/v1/jobs/{waiting}/cancel", 200),
        post("/v1/jobs/{active}/cancel", 202),
        post("/v1/jobs/{dead}/redrive", 200),
        operation("DELETE", "/v1/jobs/{waiting}", 204),
        operation("DELETE", "/v1/jobs/{dead}", 204),
        post("/v1/queues/default/pause", 200),
        post("/v1/queues/default/resume", 200),
        get("/v1/bulk"),
        with_body(
            "POST",
            "/v1/bulk",
            json!({"action": "redrive", "filter": {"all": true}, "dry_run": true}),
            200,
        ),
        with_body("POST", "/v1/bulk", nothing_in_bulk(), 202),
        get("/v1/bulk/{bulk}"),
        post("/v1/bulk/{bulk}/abort", 409),
        post("/v1/workers/{worker}/quiet", 202),
        post("/v1/workers/{worker}/stop", 202),
        post("/v1/failures/{fingerprint}/redrive", 200),
        post("/v1/queues/default/purge?state=dead", 200),
        post("/v1/queues/default/redrive", 200),
        post("/v1/queues/default/purge?state=scheduled", 200),
        post("/v1/queues/default/purge?state=ready", 200),
        get("/v1/events"),
    ];
    for state in ["scheduled", "ready", "active", "completed", "dead", "cancelled"] {
        operations.insert(0, get(&format!("/v1/jobs?state={state}")));
    }
    operations
}

/// A bulk operation without jobs.
fn nothing_in_bulk() -> Value {
    json!({"action": "cancel", "filter": {"kind": "demo:slow"}})
}

/// Waits until it has ended, so that its calls do not count as those of later requests.
fn wait_for_bulk(gateway: &Gateway, id: &Value) {
    eventually("it has ended", DEADLINE, || {
        let state = gateway.get(&format!("/v1/bulk/{}", text(id))).json()["state"].clone();
        (state == "finished").then_some(())
    });
}

/// The operations with a cursor, a fingerprint and a bulk operation of this gateway.
fn operations_of(gateway: &Gateway) -> Vec<Operation> {
    let cursor = gateway.get("/v1/jobs?state=scheduled").json()["next_cursor"].clone();
    let fingerprint = gateway.get("/v1/failures").json()["items"][0]["fingerprint"].clone();
    let bulk = gateway.post("/v1/bulk", &nothing_in_bulk()).json()["id"].clone();
    wait_for_bulk(gateway, &bulk);
    let mut operations = operations();
    for operation in &mut operations {
        let path = operation.path.replace("{cursor}", text(&cursor)).replace("{bulk}", text(&bulk));
        operation.path = path.replace("{fingerprint}", text(&fingerprint));
    }
    operations
}

impl Operation {
    fn run(&self, gateway: &Gateway, world: &World) {
        let path = world.fill(&self.path);
        if path == "/v1/events" {
            return snapshot(gateway);
        }
        let request = gateway.request(self.method, &path);
        let reply = if self.body.is_null() { request } else { request.json(&self.body) }.send();
        assert_eq!(reply.status, self.status, "{self:?}: {}", reply.text());
        if path == "/v1/bulk" && reply.status == 202 {
            wait_for_bulk(gateway, &reply.json()["id"]);
        }
    }

    /// Commands and arguments that it may always take.
    fn budget(&self) -> usize {
        match &*self.path {
            path if path.contains("no+such+text") => SEARCH,
            path if path.starts_with("/v1/stats") => HISTORY,
            "/v1/bulk" => BULKS,
            _ => 0,
        }
    }

    fn is_of(&self, route: &Route) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        let parts = [path, &route.path].map(|path| path.split('/').collect::<Vec<_>>());
        self.method == route.method
            && parts[0].len() == parts[1].len()
            && std::iter::zip(&parts[0], &parts[1]).all(|(own, part)| own == part || part.starts_with('{'))
    }
}

/// Reads the snapshot of the events, and hangs up.
fn snapshot(gateway: &Gateway) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port())).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    write!(stream, "GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").expect("sent");
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.any(|line| line.expect("a line in time").starts_with("data: ")), "no snapshot");
}

fn size(commands: &[Command]) -> usize {
    commands.iter().map(|command| 1 + command.arguments()).sum()
}

/// A move looks at pages that are more or less full. There are ten times as many jobs.
fn with_slack(cost: usize) -> usize {
    cost + cost.div_ceil(20)
}

#[test]
fn no_request_costs_redis_more_because_there_are_more_jobs() {
    let redis = RedisServer::builder().no_aof().start();
    let gateway = connected(Gateway::start(&redis));
    redis.command(&["CONFIG", "SET", "slowlog-log-slower-than", SLOW]);
    let world = World::on(&redis);
    world.add(FEW.0, FEW.1);
    let mut monitor = Monitor::of(&redis);
    let mut unbounded = Vec::new();
    let mut costs_of = |operation: &Operation| {
        let commands = monitor.commands_of(|| operation.run(&gateway, &world));
        let costs = (commands.len(), size(&commands));
        let found = commands.into_iter().filter(|command| !command.is_bounded());
        unbounded.extend(found.map(|command| format!("{}: {command:?}", operation.path)));
        costs
    };
    let few = operations_of(&gateway);
    // The first request of a kind may load its scripts.
    for operation in few.iter().filter(|operation| operation.method == "GET") {
        costs_of(operation);
    }
    let costs: Vec<_> = few.iter().map(&mut costs_of).collect();
    world.add(MANY.0, MANY.1);
    let mut grown = Vec::new();
    let many = operations_of(&gateway);
    for (operation, (commands, size)) in many.iter().zip(costs) {
        let mut now = (0, 0);
        // The gateway's own calls, every few seconds, may fall between.
        let is_bounded = (0..10).any(|_| {
            now = costs_of(operation);
            now.0 <= with_slack(commands) && now.1 <= with_slack(size) || now.1 <= operation.budget()
        });
        if !is_bounded {
            let (method, path) = (operation.method, &operation.path);
            grown.push(format!("{method} {path}: ({commands}, {size}) is now {now:?}"));
        }
    }
    assert!(unbounded.is_empty(), "{unbounded:#?}");
    assert!(grown.is_empty(), "{grown:#?}");
    let slow = redis.command(&["SLOWLOG", "GET", "10"]);
    assert_eq!(redis.command(&["SLOWLOG", "LEN"]).int(), 0, "{slow:?}");
}

#[derive(Debug)]
struct Route {
    method: &'static str,
    path: String,
}

/// The routes of the API, as the code declares them.
fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for part in ROUTES.split("(\"/").skip(1) {
        let Some((path, handlers)) = part.split_once('"') else { continue };
        for (method, call) in [
            ("GET", "get()"),
            ("POST", ".post("),
            ("PATCH", ".patch("),
            ("PUT", ".put("),
            ("DELETE", ".delete("),
        ] {
            if handlers.contains(call) {
                routes.push(Route { method, path: format!("/{path}") });
            }
        }
    }
    routes
}

#[test]
fn every_route_has_an_operation_here() {
    let operations = operations();
    let read_no_redis = ["/problems/{slug}", "/dm-jobqueue"];
    let routes = routes();
    assert!(routes.len() > 30, "{routes:?}");
    for route in routes.iter().filter(|route| !read_no_redis.contains(&&*route.path)) {
        assert!(
            operations.iter().any(|operation| operation.is_of(route)),
            "{route:?}: add it to `operations`"
        );
    }
}
