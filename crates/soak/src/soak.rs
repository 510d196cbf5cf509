//! One soak, from its start to its report.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use atode_testkit::Reply;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::audit::{Report, audit};
use crate::faults::Fault;
use crate::load::{self, Promises};
use crate::stand::{Place, Stand, lock};
use crate::watch::{Set, Watch, members};

/// How long what is left may take once no more is broken.
const DRAIN: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_secs(1);

/// What is done, and until when.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// It goes on until all three are reached, or `longest` is over.
    pub least: Duration,
    pub jobs: usize,
    pub kills: usize,
    pub longest: Duration,
    /// To choose from. Kills are chosen as often as all others together.
    pub faults: Vec<Fault>,
    /// Between two faults, at most.
    pub gap: Duration,
    /// How long a frozen Redis stays so.
    pub freeze: Duration,
    pub clients: u64,
    /// Between two requests of a client.
    pub pause: Duration,
    pub gateways: usize,
    pub workers: usize,
    /// `always` | `everysec`
    pub appendfsync: String,
}

pub type Injected = BTreeMap<Fault, usize>;

/// Runs it; `progress` gets a line now and then.
pub fn run(plan: &Plan, progress: impl Fn(&str) + Sync) -> anyhow::Result<(Report, Injected)> {
    let stand = Stand::start(&plan.appendfsync, plan.gateways, plan.workers);
    let (promises, watch) = (Promises::default(), Watch::default());
    let (injected, over) = (Mutex::new(Injected::new()), AtomicBool::new(false));
    thread::scope(|scope| {
        let _end = End { enough: &promises.enough, over: &over };
        for client in 0..plan.clients {
            let (stand, promises) = (&stand, &promises);
            scope.spawn(move || load::run(stand, promises, plan.seed, client, plan.pause));
        }
        scope.spawn(|| observe(&stand, &watch, &promises, &injected, &over, &progress));
        break_things(plan, &stand, &promises, &injected);
        promises.enough.store(true, Ordering::Relaxed);
        mend(&stand, &injected);
        drain(&stand, &progress);
    });
    let looked = (0..20).any(|_| watch.look(stand.redis()).is_some());
    anyhow::ensure!(looked, "Redis does not answer at the end");
    let injected = std::mem::take(&mut *lock(&injected));
    // It takes what has finished out of Redis before anybody sees it.
    let forgets = injected.contains_key(&Fault::JumpClock);
    let report = audit(&stand, &promises, &watch, forgets)?;
    Ok((report, injected))
}

/// Lets all threads end, also where a fault could not be mended and panics.
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

fn break_things(plan: &Plan, stand: &Stand, promises: &Promises, injected: &Mutex<Injected>) {
    let mut dice = SmallRng::seed_from_u64(plan.seed);
    let (since, mut kills) = (Instant::now(), 0);
    let (killing, other): (Vec<Fault>, Vec<Fault>) = plan.faults.iter().partition(|fault| fault.is_kill());
    loop {
        let is_done = since.elapsed() >= plan.least && promises.count() >= plan.jobs && kills >= plan.kills;
        if is_done || since.elapsed() >= plan.longest {
            return;
        }
        sleep(Duration::from_millis(dice.random_range(0..=plan.gap.as_millis() as u64)));
        let among = if other.is_empty() || (!killing.is_empty() && dice.random_bool(0.5)) {
            &killing
        } else {
            &other
        };
        let Some(fault) = among.get(dice.random_range(0..among.len().max(1))).copied() else { continue };
        fault.inject(stand, &mut dice, plan.freeze);
        kills += usize::from(fault.is_kill());
        *lock(injected).entry(fault).or_default() += 1;
    }
}

/// Each fault mends what it broke; what is left is that a process may have died, and the time.
fn mend(stand: &Stand, injected: &Mutex<Injected>) {
    stand.gateways.iter().for_each(Place::ensure);
    stand.workers.iter().for_each(Place::ensure);
    if lock(injected).contains_key(&Fault::JumpClock) {
        // Jobs that were enqueued while the clock was ahead are due by that time.
        stand.redis().clock().step_forward(Duration::from_secs(3_660));
    }
}

fn drain(stand: &Stand, progress: &impl Fn(&str)) {
    let since = Instant::now();
    while since.elapsed() < DRAIN {
        let left = stand.redis().connect(LOOK).ok().and_then(|mut redis| {
            Some(members(&mut redis, Set::Due)?.len() + members(&mut redis, Set::Lease)?.len())
        });
        if left == Some(0) {
            progress(&format!("drained in {:.1} s", since.elapsed().as_secs_f64()));
            return;
        }
        sleep(LOOK / 4);
    }
    progress("not drained in time: what is left counts as waiting");
}

fn observe(
    stand: &Stand,
    watch: &Watch,
    promises: &Promises,
    injected: &Mutex<Injected>,
    over: &AtomicBool,
    progress: &impl Fn(&str),
) {
    let since = Instant::now();
    let mut seconds = 0;
    while !over.load(Ordering::Relaxed) {
        watch.look(stand.redis());
        stand.gateways.iter().for_each(Place::look_at_memory);
        stand.workers.iter().for_each(Place::look_at_memory);
        if since.elapsed().as_secs() / 10 != seconds {
            seconds = since.elapsed().as_secs() / 10;
            let (faults, kills) = {
                let injected = lock(injected);
                let kills: usize = injected.iter().filter(|(fault, _)| fault.is_kill()).map(|(_, n)| n).sum();
                (injected.values().sum::<usize>(), kills)
            };
            let waiting = stand.redis().try_command(&["HLEN", "atode:{default}:jobs"]);
            let kept = if let Ok(Reply::Int(kept)) = waiting { kept } else { -1 };
            progress(&format!(
                "{} s: {} jobs answered 201, {} records in Redis, {faults} faults, {kills} of them kills",
                since.elapsed().as_secs(),
                promises.count(),
                kept
            ));
        }
        sleep(LOOK);
    }
}
