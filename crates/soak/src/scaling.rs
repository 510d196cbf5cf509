//! A backlog that brings workers and lets them go again: a small model of KEDA and the Horizontal Pod Autoscaler reads
//! the real `GET /v1/queues/{queue}/scale` and starts and stops real workers, with the settings of the Helm chart.

use std::collections::VecDeque;
use std::fmt;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use atode_jobs::Job as _;
use atode_testkit::{Http, RedisServer, poll};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ledger::Outcomes;
use crate::system::{GatewayBinary, Slot, WorkerBinary};
use crate::task::Task;

/// How often the Horizontal Pod Autoscaler looks (its default).
const SYNC: Duration = Duration::from_secs(15);
/// How often KEDA reads the queue. Until then the autoscaler gets the last answer.
const POLLING: Duration = Duration::from_secs(5);
/// Relative difference that it ignores (its default).
const TOLERANCE: f64 = 0.1;
/// Recommendations within this time hold a scale-down back.
const STABILIZATION: Duration = Duration::from_secs(120);
/// The policies of a scale-down: within each time, down to half, or one worker less.
const HALF_WITHIN: Duration = Duration::from_secs(60);
const ONE_WITHIN: Duration = Duration::from_secs(30);
const MIN: usize = 1;
const MAX: usize = 4;
/// Target of `ready` per worker.
const READY_PER_WORKER: f64 = 1_000.0;
/// Target of `oldest_ready_age_seconds` per worker.
const OLDEST_READY_SECONDS: f64 = 30.0;
/// Target of `active` per worker: its slots.
const SLOTS: f64 = 64.0;

/// Duration of a run.
const RUN: u64 = 100;
/// Long jobs that come in all the time, so that a worker that is let go has running jobs.
const LONG: u64 = 2_000;
/// Longest time for the backlog to drain and the workers to go.
const DEADLINE: Duration = Duration::from_secs(480);

const SETTINGS: [(&str, &str); 2] = [
    ("APP__WORKER__SHUTDOWN_TIMEOUT", "10s"),
    ("APP__LOGGING__LEVEL", "warn,worker::start=info,api_gateway::http::serve=info"),
];

#[derive(Debug, Default)]
pub struct ScalingReport {
    pub jobs: usize,
    /// From the first job of the backlog to the start of the last worker, seconds.
    pub up: f64,
    /// From the end of the backlog to the exit of the last worker that is let go, seconds.
    pub down: f64,
    pub lost: usize,
    /// Jobs that started more than once: a worker was stopped before they had ended.
    pub cut: usize,
}

/// Stores a backlog of `jobs` ready jobs, and returns once there is one worker again.
pub fn measure(jobs: usize, progress: impl Fn(&str)) -> anyhow::Result<ScalingReport> {
    let redis = RedisServer::builder().appendfsync("everysec").start();
    let dir = tempfile::Builder::new().prefix("atode-scaling-").tempdir()?;
    let gateway: Slot<GatewayBinary> = Slot::with_settings(&redis.addr(), &SETTINGS);
    gateway.ensure();
    let workers: Vec<Slot<WorkerBinary>> =
        (0..MAX).map(|_| Slot::with_settings(&redis.addr(), &SETTINGS)).collect();
    workers[0].ensure();
    let http = Http::new(gateway.url());
    let since = Instant::now();
    let mut stored = 0;
    while stored < jobs {
        stored += store(&http, &dir, RUN, (jobs - stored).min(1_000), &format!("b{stored}"))?;
    }

    let mut live = MIN;
    let (mut up, mut drained, mut down) = (None, None, None);
    let mut scaler = Autoscaler::default();
    let mut next_look = since + POLLING + SYNC;
    let mut long = 0;
    while since.elapsed() < DEADLINE {
        long += 1;
        stored += store(&http, &dir, LONG, 1, &format!("l{long}"))?;
        sleep(Duration::from_millis(200));
        if Instant::now() < next_look {
            continue;
        }
        next_look += SYNC;
        let scale = http.get("/v1/queues/default/scale").json();
        let wanted = scaler.recommend(live, &scale);
        progress(&format!("{:>4} s: {scale} -> {wanted} workers", since.elapsed().as_secs()));
        if scale["ready"].as_u64() < Some(100) {
            drained.get_or_insert_with(Instant::now);
        }
        if wanted > live {
            workers[live..wanted].iter().for_each(Slot::ensure);
        } else {
            // As Kubernetes does: all at once, each with SIGTERM and time to drain.
            thread::scope(|scope| {
                for worker in &workers[wanted..live] {
                    scope.spawn(|| worker.terminate());
                }
            });
        }
        live = wanted;
        if live == MAX {
            up.get_or_insert_with(|| since.elapsed());
        }
        if let Some(drained) = drained
            && up.is_some()
            && live == MIN
        {
            down = Some(drained.elapsed());
            break;
        }
    }
    let (Some(up), Some(down)) = (up, down) else {
        anyhow::bail!("workers: reached {MAX}: {up:?}, back to {MIN}: {down:?}");
    };
    // If they do not all run, the report says how many are lost.
    let outcomes = || Outcomes::read(dir.path());
    let _ = poll(Duration::from_secs(60), || (outcomes().ended.len() >= stored).then_some(()));
    let outcomes = outcomes();
    Ok(ScalingReport {
        jobs: stored,
        up: up.as_secs_f64(),
        down: down.as_secs_f64(),
        lost: stored - outcomes.ended.len(),
        cut: outcomes.repeated(),
    })
}

fn store(http: &Http, dir: &TempDir, ms: u64, jobs: usize, key: &str) -> anyhow::Result<usize> {
    let task = |n| Task::new(dir.path(), format!("{key}-{n}"), ms);
    let job = |n| json!({"kind": Task::KIND, "payload": task(n), "delay": "0s"});
    let reply = http.post("/v1/jobs/batch", &json!({"jobs": (0..jobs).map(job).collect::<Vec<_>>()}));
    anyhow::ensure!(reply.status == 200 && reply.json()["created"] == jobs, "{}", reply.text());
    Ok(jobs)
}

/// The algorithm of the Horizontal Pod Autoscaler for the triggers and the policies of the chart. It scales up at
/// once: four more workers within 15 s are allowed.
#[derive(Default)]
struct Autoscaler {
    recommended: VecDeque<(Instant, usize)>,
    /// Numbers of workers before each step down.
    reduced: VecDeque<(Instant, usize)>,
}

impl Autoscaler {
    fn recommend(&mut self, live: usize, scale: &Value) -> usize {
        let number = |field: &str| scale[field].as_f64().expect("every field is always there");
        let triggers = [
            ("ready", READY_PER_WORKER),
            ("oldest_ready_age_seconds", OLDEST_READY_SECONDS),
            ("active", SLOTS),
        ];
        let wanted = triggers.map(|(field, target)| wanted(live, number(field), target));
        let wanted = wanted.into_iter().max().unwrap_or(live).clamp(MIN, MAX);
        self.recommended.push_back((Instant::now(), wanted));
        self.recommended.retain(|(at, _)| at.elapsed() < STABILIZATION);
        if wanted >= live {
            return wanted;
        }
        let highest = self.recommended.iter().map(|(_, wanted)| *wanted).max().unwrap_or(wanted);
        let (half, one) = (self.most_within(HALF_WITHIN, live) / 2, self.most_within(ONE_WITHIN, live) - 1);
        let wanted = highest.max(half.min(one)).min(live);
        if wanted < live {
            self.reduced.push_back((Instant::now(), live));
        }
        wanted
    }

    /// The number of workers at the beginning of this period.
    fn most_within(&self, period: Duration, live: usize) -> usize {
        let recent = self.reduced.iter().filter(|(at, _)| at.elapsed() < period);
        recent.map(|(_, workers)| *workers).max().unwrap_or(live)
    }
}

/// The number of workers among which this value is the target for each (`AverageValue`).
fn wanted(live: usize, value: f64, target: f64) -> usize {
    let difference = value / target / live as f64 - 1.0;
    if difference.abs() <= TOLERANCE { live } else { (value / target).ceil() as usize }
}

impl ScalingReport {
    /// Whether workers came within a minute and went within five, and no job was lost or cut.
    pub fn is_kept(&self) -> bool {
        self.up <= 60.0 && self.down <= 300.0 && self.lost == 0 && self.cut == 0
    }
}

impl fmt::Display for ScalingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} jobs: {MIN} -> {MAX} workers after {:.0} s, back to {MIN} {:.0} s after the backlog; {} lost, {} cut",
            self.jobs, self.up, self.down, self.lost, self.cut
        )
    }
}
