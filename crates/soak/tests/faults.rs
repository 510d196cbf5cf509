//! Each fault separately, a few times under load. `./dev soak` injects all of them at random for a long time.

use std::time::Duration;

use atode_soak::{Fault, Plan};

/// Checks that nothing is lost, no stale settlement takes effect, no id is in two sets, and each repeated run has a
/// reason.
#[track_caller]
#[expect(clippy::print_stdout, reason = "the report of the soak; libtest captures it")]
fn survive(fault: Fault) {
    let plan = Plan {
        seed: 7,
        least: Duration::from_secs(5),
        jobs: 200,
        kills: if fault.is_kill() { 2 } else { 0 },
        longest: Duration::from_secs(60),
        faults: vec![fault],
        gap: Duration::from_secs(2),
        freeze: Duration::from_secs(2),
        clients: 8,
        pause: Duration::from_millis(100),
        gateways: 2,
        workers: 2,
        appendfsync: "always".to_owned(),
    };
    let (report, injected) = atode_soak::run(&plan, |_| ()).expect("it runs");
    println!("{injected:?}\n{report}");
    assert!(injected.contains_key(&fault), "the fault was never injected");
    assert!(report.stored > 0 && report.waiting == 0, "{report}");
    assert!(report.broken.is_empty(), "{report}");
}

macro_rules! survived {
    ($($name:ident: $fault:ident)+) => {
        $(#[test]
        fn $name() {
            survive(Fault::$fault);
        })+
    };
}

survived! {
    killed_workers: KillWorker
    killed_gateways_whose_clients_repeat_their_requests: KillGateway
    a_killed_redis_that_syncs_always: KillRedis
    workers_frozen_beyond_their_leases: FreezeWorker
    a_frozen_redis: FreezeRedis
    workers_that_are_told_to_stop: StopWorker
    gateways_that_are_told_to_stop: StopGateway
    cut_connections: CutConnections
    a_network_that_swallows_everything: BlackHole
    lost_replies_to_enqueues: LoseEnqueueReply
    lost_replies_to_claims: LoseClaimReply
    lost_replies_to_settlements: LoseSettleReply
    a_slow_redis: SlowRedis
    forgotten_scripts: ForgetScripts
    a_full_redis: FillRedis
    a_clock_that_jumps_by_an_hour: JumpClock
    a_thin_line_to_redis: ThinPipe
    large_payloads_among_small_ones: LargePayloads
    processes_whose_stderr_nobody_reads: StallStderr
    a_failover_behind_one_name: FailOver
    a_user_of_redis_that_loses_its_channels: RestrictUser
}
