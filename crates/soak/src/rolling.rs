//! A rolling restart of all workers and gateways under load, and what clients and jobs notice of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_queue::JobId;
use atode_testkit::{Http, RedisServer, poll};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ledger::Outcomes;
use crate::system::{GatewayBinary, Slot, WorkerBinary, lock};
use crate::task::Task;

const GATEWAYS: usize = 2;
const WORKERS: usize = 3;
const CLIENTS: u64 = 10;
/// Jobs per request.
const BATCH: usize = 20;
/// Duration of most runs. One in a hundred takes a second, so that each restarted worker has running jobs.
const SHORT: u64 = 10;
const LONG: u64 = 1_000;
/// Time under load before the first restart and after the last.
const CALM: Duration = Duration::from_secs(3);
const DEADLINE: Duration = Duration::from_secs(60);
/// Time between two attempts of a request that got 503 or was refused.
const REPEAT_INTERVAL: Duration = Duration::from_millis(100);
/// Attempts of a request before it counts as failed.
const ATTEMPTS: usize = 50;

/// As documented for production, with shorter times.
const SETTINGS: [(&str, &str); 4] = [
    ("APP__SERVER__SHUTDOWN_DELAY", "1s"),
    ("APP__SERVER__SHUTDOWN_TIMEOUT", "10s"),
    ("APP__WORKER__SHUTDOWN_TIMEOUT", "10s"),
    ("APP__LOGGING__LEVEL", "warn,worker::start=info,api_gateway::http::serve=info"),
];

/// The outcome of a rolling restart.
#[derive(Debug, Default)]
pub struct RollingReport {
    /// Jobs that clients know to be stored.
    pub stored: usize,
    /// Stored jobs per second, and what the clients tried to store.
    pub rate: u64,
    pub wanted_rate: u64,
    /// Stored jobs that did not run to their end.
    pub lost: usize,
    /// Jobs that started more than once.
    pub repeated: usize,
    /// Requests that failed although their client repeats them after 503 and after a refused connection.
    pub failed: Vec<String>,
    /// Repetitions after 503.
    pub unavailable: u64,
    /// Repetitions after a refused connection.
    pub refused: u64,
    /// From due time to start, ms, sorted.
    pub lateness: Vec<i64>,
    /// Time from SIGTERM to exit of each process, ms.
    pub stops: Vec<u64>,
}

#[derive(Default)]
struct Answers {
    /// Due time of each stored job, Unix ms.
    due: Mutex<BTreeMap<JobId, i64>>,
    failed: Mutex<Vec<String>>,
    unavailable: AtomicU64,
    refused: AtomicU64,
    over: AtomicBool,
}

/// Restarts every process once, one after the other, while clients store `rate` jobs per second.
pub fn measure(rate: u64) -> anyhow::Result<RollingReport> {
    let redis = RedisServer::builder().appendfsync("everysec").start();
    let dir = tempfile::Builder::new().prefix("atode-rolling-").tempdir()?;
    let slots = |_| Slot::with_settings(&redis.addr(), &SETTINGS);
    let gateways: Vec<Slot<GatewayBinary>> = (0..GATEWAYS).map(slots).collect();
    let slots = |_| Slot::with_settings(&redis.addr(), &SETTINGS);
    let workers: Vec<Slot<WorkerBinary>> = (0..WORKERS).map(slots).collect();
    gateways.iter().for_each(Slot::ensure);
    workers.iter().for_each(Slot::ensure);

    let (answers, since, mut stops) = (Answers::default(), Instant::now(), Vec::new());
    thread::scope(|scope| {
        let _end = End(&answers.over);
        for number in 0..CLIENTS {
            let (gateways, answers, dir) = (&gateways, &answers, &dir);
            scope.spawn(move || client(number, rate, gateways, answers, dir));
        }
        sleep(CALM);
        for worker in &workers {
            stops.push(restart(worker));
        }
        for gateway in &gateways {
            stops.push(restart(gateway));
        }
        sleep(CALM);
    });
    let took = since.elapsed();
    let due = std::mem::take(&mut *lock(&answers.due));
    // If they do not all run, the report says how many are lost.
    let _ = poll(DEADLINE, || (Outcomes::read(dir.path()).ended.len() >= due.len()).then_some(()));
    Ok(RollingReport { wanted_rate: rate, ..report(&due, &answers, &dir, took, stops) })
}

/// Ends the clients, even if a restart panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Stops a process as an orchestrator does, then starts its successor. Returns the time from SIGTERM to exit, ms.
fn restart<B: atode_testkit::Binary>(slot: &Slot<B>) -> u64 {
    let since = Instant::now();
    assert!(slot.is_running(), "a process ended by itself");
    slot.terminate();
    let took = since.elapsed().as_millis() as u64;
    slot.ensure();
    took
}

fn client(number: u64, rate: u64, gateways: &[Slot<GatewayBinary>], answers: &Answers, dir: &TempDir) {
    let interval = Duration::from_micros(1_000_000 * CLIENTS * BATCH as u64 / rate.max(1));
    let since = Instant::now();
    let mut connections: BTreeMap<String, Http> = BTreeMap::new();
    for request in 0_u32.. {
        sleep((interval * request).saturating_sub(since.elapsed()));
        if answers.over.load(Ordering::Relaxed) {
            return;
        }
        let body = json!({"jobs": (0..BATCH).map(|n| job(number, request, n, dir)).collect::<Vec<_>>()});
        let mut place = number as usize;
        let stored = (0..ATTEMPTS).find_map(|_| {
            place += 1;
            let url = gateways[place % gateways.len()].url();
            let http = connections.entry(url.clone()).or_insert_with(|| Http::keeping_alive(url));
            match http.request("POST", "/v1/jobs/batch").json(&body).try_send() {
                Ok(reply) if reply.status == 503 => answers.unavailable.fetch_add(1, Ordering::Relaxed),
                Ok(reply) => return Some(Ok(reply)),
                Err(error) if error.is_connect() => answers.refused.fetch_add(1, Ordering::Relaxed),
                Err(error) => return Some(Err(format!("{error:?}"))),
            };
            sleep(REPEAT_INTERVAL);
            None
        });
        match stored {
            Some(Ok(reply)) if reply.status == 200 && due_times(&reply.json()).len() == BATCH => {
                lock(&answers.due).extend(due_times(&reply.json()));
            }
            Some(Ok(reply)) => lock(&answers.failed).push(format!("{} {}", reply.status, reply.text())),
            Some(Err(error)) => lock(&answers.failed).push(error),
            None => lock(&answers.failed).push(format!("no answer after {ATTEMPTS} attempts")),
        }
    }
}

fn job(client: u64, request: u32, n: usize, dir: &TempDir) -> Value {
    let is_long = n == 0 && request.is_multiple_of(5);
    let ms = if is_long { LONG } else { SHORT };
    let task = Task::new(dir.path(), format!("{client}-{request}-{n}"), ms);
    json!({"kind": Task::KIND, "idempotency_key": task.key, "payload": task, "delay": "0s"})
}

fn due_times(reply: &Value) -> Vec<(JobId, i64)> {
    let results = reply["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    let jobs = results.iter().filter_map(|result| {
        let job = &result["job"];
        let due: Timestamp = job["due_at"].as_str()?.parse().ok()?;
        Some((job["id"].as_str()?.parse().ok()?, due.as_millisecond()))
    });
    jobs.collect()
}

fn report(
    due: &BTreeMap<JobId, i64>,
    answers: &Answers,
    dir: &TempDir,
    took: Duration,
    stops: Vec<u64>,
) -> RollingReport {
    let outcomes = Outcomes::read(dir.path());
    let late = due.iter().filter_map(|(id, due)| Some(*outcomes.starts.get(id)?.first()? as i64 - due));
    let mut lateness: Vec<i64> = late.collect();
    lateness.sort_unstable();
    RollingReport {
        stored: due.len(),
        rate: (due.len() as f64 / took.as_secs_f64()) as u64,
        lost: due.keys().filter(|id| !outcomes.ended.contains(id)).count(),
        repeated: outcomes.repeated(),
        failed: std::mem::take(&mut *lock(&answers.failed)),
        unavailable: answers.unavailable.load(Ordering::Relaxed),
        refused: answers.refused.load(Ordering::Relaxed),
        lateness,
        stops,
        ..RollingReport::default()
    }
}

impl RollingReport {
    /// The lateness that this share of the jobs did not exceed, ms.
    pub fn lateness(&self, share: f64) -> i64 {
        let place = (share * self.lateness.len().saturating_sub(1) as f64) as usize;
        self.lateness.get(place).copied().unwrap_or_default()
    }

    /// True if the load was there, nothing was lost, nothing ran twice, no request failed, and jobs started in time.
    pub fn is_kept(&self) -> bool {
        self.rate * 10 >= self.wanted_rate * 8
            && self.lost == 0
            && self.repeated == 0
            && self.failed.is_empty()
            && self.lateness(0.99) <= 1_000
    }
}

impl fmt::Display for RollingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| rolling restart of {WORKERS} workers and {GATEWAYS} gateways | |\n| --- | --- |")?;
        writeln!(f, "| jobs stored | {} ({} per second) |", self.stored, self.rate)?;
        writeln!(f, "| lost | {} |", self.lost)?;
        writeln!(f, "| run more than once | {} |", self.repeated)?;
        writeln!(f, "| failed requests | {} |", self.failed.len())?;
        writeln!(
            f,
            "| repeated requests: after 503, after a refused connection | {}, {} |",
            self.unavailable, self.refused
        )?;
        writeln!(
            f,
            "| lateness p50, p99, max | {} ms, {} ms, {} ms |",
            self.lateness(0.5),
            self.lateness(0.99),
            self.lateness(1.0)
        )?;
        write!(f, "| from SIGTERM to exit, by process | {:?} ms |", self.stops)?;
        self.failed.iter().take(5).try_for_each(|failed| write!(f, "\nfailed: {failed}"))
    }
}
