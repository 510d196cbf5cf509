//! A soak from its start to its report.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use atode_testkit::Reply;
use clap::{Args, ValueEnum as _};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::audit::{Report, audit};
use crate::faults::Fault;
use crate::load::{Client, Promises};
use crate::system::{Slot, System, lock};
use crate::watch::{Set, Watch, members};

/// Timeout for the remaining jobs after the last fault.
const DRAIN: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_secs(1);

/// The parameters of a soak.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// Seed of the random choices. The same seed chooses the same faults and jobs. Random by default.
    #[arg(long, default_value_t = rand::random::<u32>().into(), hide_default_value = true)]
    pub seed: u64,
    /// Shortest duration. The soak also runs until --jobs and --kills are reached.
    #[arg(value_name = "MINUTES", default_value = "1", value_parser = minutes)]
    pub least: Duration,
    /// Number of jobs that must get 201 before the end.
    #[arg(long, default_value_t = 0)]
    pub jobs: usize,
    /// Number of processes that must be killed before the end.
    #[arg(long, default_value_t = 0)]
    pub kills: usize,
    /// Longest duration in minutes, unless the shortest is longer.
    #[arg(long, value_name = "MINUTES", default_value = "15", value_parser = minutes)]
    pub longest: Duration,
    /// Inject only this fault. Repeatable; all faults by default. Kills are chosen as often as all other faults together.
    #[arg(long = "fault", value_enum, default_values_t = Fault::value_variants().to_vec(), hide_default_value = true)]
    pub faults: Vec<Fault>,
    /// Longest time between two faults, milliseconds.
    #[arg(long, value_name = "MS", default_value = "1500", value_parser = milliseconds)]
    pub gap: Duration,
    /// Duration of a freeze of Redis, seconds.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub freeze: Duration,
    #[arg(long, default_value_t = 24)]
    pub clients: u64,
    /// Time between two requests of a client, milliseconds.
    #[arg(long, value_name = "MS", default_value = "150", value_parser = milliseconds)]
    pub pause: Duration,
    #[arg(skip = 2_usize)]
    pub gateways: usize,
    #[arg(skip = 3_usize)]
    pub workers: usize,
    /// appendfsync of Redis: `always` or `everysec`. With `everysec` jobs may be lost.
    #[arg(long, default_value = "always")]
    pub appendfsync: String,
}

fn minutes(text: &str) -> anyhow::Result<Duration> {
    Ok(Duration::try_from_secs_f64(60.0 * text.parse::<f64>()?)?)
}

fn seconds(text: &str) -> anyhow::Result<Duration> {
    Ok(Duration::try_from_secs_f64(text.parse()?)?)
}

fn milliseconds(text: &str) -> anyhow::Result<Duration> {
    Ok(Duration::from_millis(text.parse()?))
}

pub type Injected = BTreeMap<Fault, usize>;

/// Runs a soak. `progress` gets a line every few seconds.
pub fn run(plan: &Plan, progress: impl Fn(&str) + Sync) -> anyhow::Result<(Report, Injected)> {
    let system = System::start(&plan.appendfsync, plan.gateways, plan.workers);
    let (promises, watch) = (Promises::default(), Watch::default());
    let (injected, over) = (Mutex::new(Injected::new()), AtomicBool::new(false));
    thread::scope(|scope| {
        let _end = End { enough: &promises.enough, over: &over };
        for number in 0..plan.clients {
            let mut client = Client::new(&system, &promises, plan.seed, number);
            scope.spawn(move || client.run(plan.pause));
        }
        scope.spawn(|| observe(&system, &watch, &promises, &injected, &over, &progress));
        inject_faults(plan, &system, &promises, &injected);
        promises.enough.store(true, Ordering::Relaxed);
        repair(&system, &injected);
        drain(&system, &progress);
    });
    let updated = (0..20).any(|_| watch.update(system.redis()).is_some());
    anyhow::ensure!(updated, "Redis does not answer at the end");
    let injected = std::mem::take(&mut *lock(&injected));
    // With a clock that jumps or a full memory, finished jobs are removed before `watch` sees them.
    let forgets = [Fault::JumpClock, Fault::FillRedis].iter().any(|fault| injected.contains_key(fault));
    let report = audit(&system, &promises, &watch, forgets)?;
    Ok((report, injected))
}

/// Ends all threads, even if the repair of a fault panics.
struct End<'a> {
    enough: &'a AtomicBool,
    over: &'a AtomicBool,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
        self.over.store(true, Ordering::Relaxed);
    }
}

fn inject_faults(plan: &Plan, system: &System, promises: &Promises, injected: &Mutex<Injected>) {
    let mut dice = SmallRng::seed_from_u64(plan.seed);
    let (since, mut kills) = (Instant::now(), 0);
    let (killing, other): (Vec<Fault>, Vec<Fault>) = plan.faults.iter().partition(|fault| fault.is_kill());
    loop {
        let is_done = since.elapsed() >= plan.least && promises.count() >= plan.jobs && kills >= plan.kills;
        if is_done || since.elapsed() >= plan.longest.max(plan.least) {
            return;
        }
        sleep(Duration::from_millis(dice.random_range(0..=plan.gap.as_millis() as u64)));
        let among = if other.is_empty() || (!killing.is_empty() && dice.random_bool(0.5)) {
            &killing
        } else {
            &other
        };
        let Some(fault) = among.get(dice.random_range(0..among.len().max(1))).copied() else { continue };
        fault.inject(system, &mut dice, plan.freeze);
        kills += usize::from(fault.is_kill());
        *lock(injected).entry(fault).or_default() += 1;
    }
}

/// Restarts processes that have died, and makes jobs due that were enqueued while the clock was ahead. Everything else is
/// repaired by the fault itself.
fn repair(system: &System, injected: &Mutex<Injected>) {
    system.gateways.iter().for_each(Slot::ensure);
    system.workers.iter().for_each(Slot::ensure);
    if lock(injected).contains_key(&Fault::JumpClock) {
        system.redis().clock().step_forward(Duration::from_secs(3_660));
    }
}

fn drain(system: &System, progress: &impl Fn(&str)) {
    let since = Instant::now();
    while since.elapsed() < DRAIN {
        let left = system.redis().connect(POLL).ok().and_then(|mut redis| {
            Some(members(&mut redis, Set::Due)?.len() + members(&mut redis, Set::Lease)?.len())
        });
        if left == Some(0) {
            progress(&format!("drained in {:.1} s", since.elapsed().as_secs_f64()));
            return;
        }
        sleep(POLL / 4);
    }
    progress("not drained in time: the remaining jobs count as waiting");
}

fn observe(
    system: &System,
    watch: &Watch,
    promises: &Promises,
    injected: &Mutex<Injected>,
    over: &AtomicBool,
    progress: &impl Fn(&str),
) {
    let since = Instant::now();
    let mut seconds = 0;
    while !over.load(Ordering::Relaxed) {
        watch.update(system.redis());
        system.gateways.iter().for_each(Slot::measure_memory);
        system.workers.iter().for_each(Slot::measure_memory);
        if since.elapsed().as_secs() / 10 != seconds {
            seconds = since.elapsed().as_secs() / 10;
            let (faults, kills) = {
                let injected = lock(injected);
                let kills: usize = injected.iter().filter(|(fault, _)| fault.is_kill()).map(|(_, n)| n).sum();
                (injected.values().sum::<usize>(), kills)
            };
            let waiting = system.redis().try_command(&["HLEN", "atode:{default}:jobs"]);
            let kept = if let Ok(Reply::Int(kept)) = waiting { kept } else { -1 };
            progress(&format!(
                "{} s: {} jobs answered with 201, {} records in Redis, {faults} faults, {kills} of them kills",
                since.elapsed().as_secs(),
                promises.count(),
                kept
            ));
        }
        sleep(POLL);
    }
}
