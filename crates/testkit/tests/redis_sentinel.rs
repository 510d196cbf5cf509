//! [`RedisSentinel`] on real processes.

use std::time::{Duration, Instant};

use atode_testkit::{RedisSentinel, RedisServer, eventually};

#[test]
fn the_replica_replaces_a_killed_master_which_can_return_as_its_replica() {
    let redis = RedisSentinel::start();
    assert_eq!(redis.addrs().len(), 3);
    let first = redis.master();
    assert_eq!(first.addr(), redis.master_address());
    first.command(&["SET", "key", "value"]);
    redis.wait_until_in_step();
    assert_eq!(redis.replica().command(&["GET", "key"]).text(), "value");

    let killed = redis.kill_master();
    assert_eq!(killed.addr(), first.addr());
    let start = Instant::now();
    let second = redis.wait_for_another_master(killed);
    println!("failed over in {:?}", start.elapsed());
    assert_eq!(redis.master_address(), second.addr());
    assert_eq!(second.command(&["GET", "key"]).text(), "value");
    second.command(&["SET", "key", "newer"]);

    first.restart();
    redis.make_replica(first);
    assert_eq!(first.command(&["GET", "key"]).text(), "newer");
}

#[test]
fn dropping_it_kills_all_its_processes() {
    let redis = RedisSentinel::start();
    let addrs: Vec<String> = redis.sentinels().iter().chain(redis.servers()).map(RedisServer::addr).collect();
    assert_eq!(addrs.len(), 5);
    drop(redis);
    for addr in addrs {
        eventually("nobody listens", Duration::from_secs(1), || std::net::TcpStream::connect(&addr).err());
    }
}
