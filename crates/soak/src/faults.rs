//! The faults that are injected, and repaired, under load.

use std::fmt;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

use atode_testkit::poll;
use clap::ValueEnum;
use rand::RngExt as _;
use rand::rngs::SmallRng;

use crate::system::{LEASE, System};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Fault {
    /// SIGKILL to a worker while it runs jobs
    KillWorker,
    /// SIGKILL to a gateway while it handles requests
    KillGateway,
    /// SIGKILL to Redis, and a restart with the same AOF
    KillRedis,
    /// SIGSTOP to a worker until its leases have expired, then SIGCONT
    FreezeWorker,
    /// SIGSTOP to Redis, then SIGCONT
    FreezeRedis,
    /// SIGTERM to a worker while it runs jobs
    StopWorker,
    /// SIGTERM to a gateway
    StopGateway,
    /// Close all connections to Redis
    CutConnections,
    /// Swallow everything to and from Redis for a while
    BlackHole,
    /// Lose the reply to an enqueue that Redis has executed
    LoseEnqueueReply,
    /// Lose the reply to a claim that Redis has executed
    LoseClaimReply,
    /// Lose the reply to a settlement that Redis has executed
    LoseSettleReply,
    /// Delay each reply of Redis by 100 ms
    SlowRedis,
    /// SCRIPT FLUSH
    ForgetScripts,
    /// Fill Redis' memory, so that it refuses new data
    FillRedis,
    /// Set Redis' clock an hour forward or back for a while
    JumpClock,
    /// Limit the bandwidth to Redis to 12.5 MB/s, 2 MB/s or 500 kB/s
    ThinPipe,
    /// Send jobs of up to 200 kB among small ones
    LargePayloads,
    /// Run a worker and a gateway whose stderr nobody reads, then send SIGTERM to both
    StallStderr,
    /// Failover behind one name; the old primary stays up, read-only
    FailOver,
    /// Take channels and INFO from the ACL user of gateways and workers for a while
    RestrictUser,
}

/// A memory limit below what Redis uses.
const FULL: &str = "1mb";

/// Bandwidths, bytes per second.
const THIN: [u32; 3] = [12_500_000, 2_000_000, 500_000];

impl Fault {
    pub fn is_kill(self) -> bool {
        matches!(self, Fault::KillWorker | Fault::KillGateway | Fault::KillRedis)
    }

    /// The description for people.
    pub fn text(self) -> String {
        let value = self.to_possible_value().expect("no variant is skipped");
        value.get_help().map(ToString::to_string).unwrap_or_default()
    }

    /// Injects the fault once and repairs it.
    pub(crate) fn inject(self, system: &System, dice: &mut SmallRng, freeze: Duration) {
        let worker = &system.workers[dice.random_range(0..system.workers.len())];
        let gateway = &system.gateways[dice.random_range(0..system.gateways.len())];
        let a_while = Duration::from_millis(dice.random_range(200..1_500));
        match self {
            Fault::KillWorker => {
                worker.with(|worker| worker.kill());
                worker.ensure();
            }
            Fault::KillGateway => {
                gateway.with(|gateway| gateway.kill());
                gateway.ensure();
            }
            Fault::KillRedis => {
                system.redis().kill();
                sleep(a_while);
                system.redis().restart();
            }
            Fault::FreezeWorker => {
                worker.with(|worker| worker.pause());
                sleep(LEASE + LEASE / 2);
                worker.with(|worker| worker.resume());
            }
            Fault::FreezeRedis => {
                system.redis().pause();
                sleep(freeze);
                system.redis().resume();
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
                system.network.cut();
                sleep(a_while / 4);
                system.network.pass();
            }
            Fault::BlackHole => {
                system.network.black_hole();
                sleep(2 * a_while);
                system.network.pass();
            }
            // Each call is recognized by bytes that only it contains: a payload, the fence key, the channel of finished jobs.
            Fault::LoseEnqueueReply => lose_reply(system, r#"{"dir":"#),
            Fault::LoseClaimReply => lose_reply(system, ":fence"),
            Fault::LoseSettleReply => lose_reply(system, "}:finished"),
            Fault::SlowRedis => {
                system.network.delay(Duration::from_millis(100));
                sleep(2 * a_while);
                system.network.pass();
            }
            Fault::ForgetScripts => drop(system.redis().try_command(&["SCRIPT", "FLUSH"])),
            Fault::FillRedis => {
                let _ = system.redis().try_command(&["CONFIG", "SET", "maxmemory", FULL]);
                sleep(a_while);
                system.redis().command(&["CONFIG", "SET", "maxmemory", "0"]);
            }
            Fault::JumpClock => {
                let (clock, hour) = (system.redis().clock(), Duration::from_secs(3_600));
                let jump = |ahead| if ahead { clock.step_forward(hour) } else { clock.step_back(hour) };
                let is_ahead = dice.random_bool(0.5);
                jump(is_ahead);
                sleep(a_while);
                jump(!is_ahead);
            }
            Fault::ThinPipe => {
                system.network.throttle(THIN[dice.random_range(0..THIN.len())]);
                sleep(2 * a_while);
                system.network.pass();
            }
            Fault::LargePayloads => {
                system.large_payloads.store(true, Ordering::Relaxed);
                sleep(2 * a_while);
                system.large_payloads.store(false, Ordering::Relaxed);
            }
            Fault::StallStderr => {
                worker.restart_with_unread_stderr();
                gateway.restart_with_unread_stderr();
                sleep(a_while);
                worker.terminate();
                gateway.terminate();
                worker.ensure();
                gateway.ensure();
            }
            Fault::RestrictUser => {
                system.servers.restrict_user();
                sleep(2 * a_while);
                system.servers.restore_user();
            }
            Fault::FailOver => {
                system.servers.fail_over(|port| system.network.switch_to(port));
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

fn lose_reply(system: &System, needle: &str) {
    system.network.drop_reply_to(needle);
    // If no such request comes in time, no job is lost.
    let _ = poll(Duration::from_secs(2), || system.network.has_dropped().then_some(()));
    system.network.pass();
}
