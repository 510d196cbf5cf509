//! What is broken, and mended, while the load goes on.

use std::fmt;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rand::RngExt as _;
use rand::rngs::SmallRng;

use crate::stand::{LEASE, Stand};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Fault {
    /// kill -9 of a worker in the middle of its jobs
    KillWorker,
    /// kill -9 of a gateway in the middle of its requests
    KillGateway,
    /// kill -9 of Redis, and its start on the same AOF
    KillRedis,
    /// SIGSTOP of a worker beyond its lease, then SIGCONT
    FreezeWorker,
    /// SIGSTOP of Redis, then SIGCONT: a black hole
    FreezeRedis,
    /// SIGTERM of a worker with jobs
    StopWorker,
    /// SIGTERM of a gateway
    StopGateway,
    /// All connections to Redis are closed
    CutConnections,
    /// Nothing passes to or from Redis for a while
    BlackHole,
    /// The reply to an enqueue is lost after Redis stored it
    LoseEnqueueReply,
    /// The reply to a claim is lost after Redis gave the jobs out
    LoseClaimReply,
    /// The reply to a settlement is lost after Redis wrote it
    LoseSettleReply,
    /// Each reply of Redis takes 100 ms more
    SlowRedis,
    /// SCRIPT FLUSH
    ForgetScripts,
    /// Redis' memory is full: it refuses what stores new data
    FillRedis,
    /// Redis' clock jumps an hour forward or back, and returns
    JumpClock,
    /// A thin line to Redis: 12.5 MB/s, 2 MB/s or 500 kB/s
    ThinPipe,
    /// Jobs of up to 200 kB among the small ones
    LargePayloads,
    /// A worker and a gateway whose stderr nobody reads, and SIGTERM of both
    StallStderr,
    /// Failover behind one name; the old primary lives on, read-only
    FailOver,
    /// The ACL user of gateways and workers loses its channels and INFO, and gets them back
    RestrictUser,
}

/// Redis' memory limit while it is full: less than it uses.
const FULL: &str = "1mb";

/// Bytes per second.
const THIN: [u32; 3] = [12_500_000, 2_000_000, 500_000];

impl Fault {
    pub fn is_kill(self) -> bool {
        matches!(self, Fault::KillWorker | Fault::KillGateway | Fault::KillRedis)
    }

    /// As people say it.
    pub fn text(self) -> String {
        let value = self.to_possible_value().expect("no variant is skipped");
        value.get_help().map(ToString::to_string).unwrap_or_default()
    }

    /// Injects it once and mends it.
    pub(crate) fn inject(self, stand: &Stand, dice: &mut SmallRng, freeze: Duration) {
        let worker = &stand.workers[dice.random_range(0..stand.workers.len())];
        let gateway = &stand.gateways[dice.random_range(0..stand.gateways.len())];
        let a_while = Duration::from_millis(dice.random_range(200..1_500));
        match self {
            Fault::KillWorker => {
                worker.kill();
                worker.ensure();
            }
            Fault::KillGateway => {
                gateway.kill();
                gateway.ensure();
            }
            Fault::KillRedis => {
                stand.redis().kill();
                sleep(a_while);
                stand.redis().restart();
            }
            Fault::FreezeWorker => {
                worker.pause();
                sleep(LEASE + LEASE / 2);
                worker.resume();
            }
            Fault::FreezeRedis => {
                stand.redis().pause();
                sleep(freeze);
                stand.redis().resume();
            }
            Fault::StopWorker => {
                worker.terminate();
                worker.ensure();
            }
            Fault::StopGateway => {
                gateway.terminate();
                gateway.ensure();
            }
            Fault::CutConnections => {
                stand.network.cut();
                sleep(a_while / 4);
                stand.network.pass();
            }
            Fault::BlackHole => {
                stand.network.black_hole();
                sleep(2 * a_while);
                stand.network.pass();
            }
            // By what only such a call contains: a payload, the fence, the channel of what has ended.
            Fault::LoseEnqueueReply => lose_reply(stand, r#"{"dir":"#),
            Fault::LoseClaimReply => lose_reply(stand, ":fence"),
            Fault::LoseSettleReply => lose_reply(stand, "}:finished"),
            Fault::SlowRedis => {
                stand.network.delay(Duration::from_millis(100));
                sleep(2 * a_while);
                stand.network.pass();
            }
            Fault::ForgetScripts => drop(stand.redis().try_command(&["SCRIPT", "FLUSH"])),
            Fault::FillRedis => {
                let _ = stand.redis().try_command(&["CONFIG", "SET", "maxmemory", FULL]);
                sleep(a_while);
                stand.redis().command(&["CONFIG", "SET", "maxmemory", "0"]);
            }
            Fault::JumpClock => {
                let (clock, hour) = (stand.redis().clock(), Duration::from_secs(3_600));
                let is_ahead = dice.random_bool(0.5);
                if is_ahead {
                    clock.step_forward(hour);
                } else {
                    clock.step_back(hour);
                }
                sleep(a_while);
                if is_ahead { clock.step_back(hour) } else { clock.step_forward(hour) }
            }
            Fault::ThinPipe => {
                stand.network.throttle(THIN[dice.random_range(0..THIN.len())]);
                sleep(2 * a_while);
                stand.network.pass();
            }
            Fault::LargePayloads => {
                stand.large_payloads.store(true, Ordering::Relaxed);
                sleep(2 * a_while);
                stand.large_payloads.store(false, Ordering::Relaxed);
            }
            Fault::StallStderr => {
                worker.replace_by_one_that_nobody_hears();
                gateway.replace_by_one_that_nobody_hears();
                sleep(a_while);
                worker.terminate();
                gateway.terminate();
                worker.ensure();
                gateway.ensure();
            }
            Fault::RestrictUser => {
                stand.servers.blind_user();
                sleep(2 * a_while);
                stand.servers.restore_user();
            }
            Fault::FailOver => {
                stand.servers.fail_over(|port| stand.network.switch_to(port));
                sleep(a_while);
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("no variant is skipped").get_name())
    }
}

fn lose_reply(stand: &Stand, needle: &str) {
    stand.network.drop_reply_to(needle);
    let since = Instant::now();
    while !stand.network.has_dropped() && since.elapsed() < Duration::from_secs(2) {
        sleep(Duration::from_millis(5));
    }
    stand.network.pass();
}
