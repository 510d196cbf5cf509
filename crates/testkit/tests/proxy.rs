//! [`Proxy`] in front of a real `redis-server`.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use atode_testkit::{Connection, Proxy, RedisServer, eventually};

const DEADLINE: Duration = Duration::from_secs(10);
/// The time after which a missing reply counts as swallowed.
const SILENCE: Duration = Duration::from_millis(100);

fn behind_a_proxy() -> (RedisServer, Proxy) {
    let redis = RedisServer::builder().no_aof().start();
    let proxy = Proxy::start(redis.port());
    (redis, proxy)
}

fn connect(proxy: &Proxy, timeout: Duration) -> Connection {
    Connection::open(proxy.addr().parse().expect("an address"), timeout).expect("the port accepts")
}

fn incr(connection: &mut Connection) -> io::Result<i64> {
    connection.command(&["INCR", "n"]).map(|reply| reply.int())
}

/// The number of increments that Redis has executed.
fn count(redis: &RedisServer) -> i64 {
    redis.command(&["INCRBY", "n", "0"]).int()
}

#[track_caller]
fn is_closed(result: io::Result<i64>) {
    let error = result.expect_err("the connection is closed");
    assert!(!is_silent(&error), "{error}");
}

fn is_silent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[test]
fn by_default_everything_passes() {
    let (_redis, proxy) = behind_a_proxy();
    let (mut one, mut other) = (connect(&proxy, DEADLINE), connect(&proxy, DEADLINE));
    assert_eq!(incr(&mut one).expect("passed"), 1);
    assert_eq!(incr(&mut other).expect("passed"), 2);
    let large = vec![b'x'; 3 << 20];
    one.command(&[&b"SET"[..], b"large", &large]).expect("passed");
    assert_eq!(other.command(&["GET", "large"]).expect("passed").text().len(), large.len());
}

#[test]
fn a_delay_applies_to_replies() {
    let (_redis, proxy) = behind_a_proxy();
    let mut connection = connect(&proxy, DEADLINE);
    let delay = Duration::from_millis(50);
    proxy.delay(delay);
    let start = Instant::now();
    assert_eq!(incr(&mut connection).expect("late"), 1);
    assert!(start.elapsed() >= delay);
    proxy.pass();
    assert_eq!(incr(&mut connection).expect("the connection is the same"), 2);
}

#[test]
fn a_throttle_limits_the_bandwidth_in_both_directions() {
    let (redis, proxy) = behind_a_proxy();
    let large = vec![b'x'; 1_000_000];
    let (mut one, mut other) = (connect(&proxy, DEADLINE), connect(&proxy, DEADLINE));
    proxy.throttle(2_000_000);
    let half_a_second = Duration::from_millis(490);
    let start = Instant::now();
    one.command(&[&b"SET"[..], b"large", &large]).expect("passed");
    assert!(start.elapsed() >= half_a_second, "a request: {:?}", start.elapsed());
    // A short reply does not wait for all of a long one.
    thread::scope(|scope| {
        let long = scope.spawn(|| {
            let start = Instant::now();
            one.command(&["GET", "large"]).expect("passed");
            start.elapsed()
        });
        for n in 1..=10 {
            let start = Instant::now();
            assert_eq!(incr(&mut other).expect("passed"), n);
            assert!(start.elapsed() < half_a_second, "{:?}", start.elapsed());
        }
        let long = long.join().expect("it ended");
        assert!(long >= half_a_second, "a reply: {long:?}");
    });
    proxy.pass();
    assert_eq!(other.command(&["GET", "large"]).expect("passed").text().len(), large.len());
    assert_eq!(count(&redis), 10);
}

#[test]
fn a_throttle_blocks_a_faster_sender() {
    let proxy_reads = |rate: u32| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let proxy = Proxy::start(listener.local_addr().expect("bound").port());
        proxy.throttle(rate);
        let mut client = std::net::TcpStream::connect(proxy.addr()).expect("it listens");
        let (_server, _) = listener.accept().expect("it connects");
        client.set_write_timeout(Some(SILENCE)).expect("set");
        let piece = vec![0; 1 << 20];
        // The buffers of the sockets hold a few MiB.
        (0..256).take_while(|_| client.write_all(&piece).is_ok()).count()
    };
    assert!(proxy_reads(10_000) < 64, "MiB that nobody has received");
}

#[test]
fn after_a_switch_new_connections_use_the_new_server_and_old_ones_stay() {
    let (old, proxy) = behind_a_proxy();
    let new = RedisServer::builder().no_aof().start();
    let mut before = connect(&proxy, DEADLINE);
    assert_eq!(incr(&mut before).expect("passed"), 1);
    proxy.switch_to(new.port());
    let mut after = connect(&proxy, DEADLINE);
    assert_eq!(incr(&mut after).expect("passed"), 1);
    assert_eq!(incr(&mut before).expect("it stays"), 2);
    assert_eq!((count(&old), count(&new)), (2, 1));
    proxy.close_all();
    is_closed(incr(&mut before));
    assert_eq!(incr(&mut connect(&proxy, DEADLINE)).expect("passed"), 2);
    assert_eq!((count(&old), count(&new)), (2, 2));
}

#[test]
fn a_black_hole_accepts_and_answers_nothing() {
    let (redis, proxy) = behind_a_proxy();
    let (mut idle, mut old) = (connect(&proxy, DEADLINE), connect(&proxy, SILENCE));
    assert_eq!(incr(&mut idle).expect("passed"), 1);
    assert_eq!(incr(&mut old).expect("passed"), 2);
    proxy.black_hole();
    let mut new = connect(&proxy, SILENCE);
    for swallowed in [&mut old, &mut new] {
        let error = incr(swallowed).expect_err("nothing comes back");
        assert!(is_silent(&error), "{error}");
    }
    assert_eq!(count(&redis), 2, "nothing arrives either");
    proxy.pass();
    is_closed(incr(&mut old));
    assert_eq!(incr(&mut idle).expect("nothing was swallowed on it"), 3);
    assert_eq!(incr(&mut connect(&proxy, DEADLINE)).expect("passed"), 4);
}

#[test]
fn a_stranded_connection_is_silent_and_a_new_one_is_not() {
    let (redis, proxy) = behind_a_proxy();
    let mut old = connect(&proxy, SILENCE);
    assert_eq!(incr(&mut old).expect("passed"), 1);
    proxy.strand();
    assert_eq!(incr(&mut connect(&proxy, DEADLINE)).expect("passed"), 2);
    let error = incr(&mut old).expect_err("nothing comes back");
    assert!(is_silent(&error), "{error}");
    assert_eq!(count(&redis), 2, "nothing arrives either");
}

#[test]
fn a_cut_closes_open_and_new_connections() {
    let (redis, proxy) = behind_a_proxy();
    let mut connection = connect(&proxy, DEADLINE);
    assert_eq!(incr(&mut connection).expect("passed"), 1);
    proxy.cut();
    is_closed(incr(&mut connection));
    is_closed(incr(&mut connect(&proxy, DEADLINE)));
    assert_eq!(count(&redis), 1);
    proxy.pass();
    assert_eq!(incr(&mut connect(&proxy, DEADLINE)).expect("passed"), 2);
}

#[test]
fn a_request_whose_reply_is_dropped_is_executed_once() {
    let (redis, proxy) = behind_a_proxy();
    for n in 0..20 {
        let mut connection = connect(&proxy, DEADLINE);
        proxy.drop_reply_to("INCR");
        assert!(!proxy.has_dropped());
        is_closed(incr(&mut connection));
        assert!(proxy.has_dropped());
        assert_eq!(count(&redis), n + 1);
    }
    assert_eq!(incr(&mut connect(&proxy, DEADLINE)).expect("passed"), 21);
}

#[test]
fn the_reply_to_one_request_among_others_is_dropped() {
    let (redis, proxy) = behind_a_proxy();
    let (mut one, mut other) = (connect(&proxy, DEADLINE), connect(&proxy, DEADLINE));
    proxy.drop_reply_to("needle");
    assert_eq!(incr(&mut one).expect("another request"), 1);
    let hay = vec![b'x'; 1 << 20];
    // The request spans many chunks.
    other.command(&[&b"MSET"[..], b"hay", &hay, b"needle", b"found"]).expect_err("no reply");
    assert!(proxy.has_dropped());
    assert_eq!(redis.command(&["GET", "needle"]).text(), "found");
    assert_eq!(incr(&mut one).expect("another connection"), 2);
}

#[test]
fn a_restarted_server_is_reached_again() {
    let (redis, proxy) = behind_a_proxy();
    let mut connection = connect(&proxy, DEADLINE);
    assert_eq!(incr(&mut connection).expect("passed"), 1);
    redis.kill();
    is_closed(incr(&mut connection));
    is_closed(incr(&mut connect(&proxy, DEADLINE)));
    redis.restart();
    eventually("it passes again", DEADLINE, || incr(&mut connect(&proxy, DEADLINE)).ok());
}

#[test]
fn dropping_a_proxy_closes_its_connections_and_its_port() {
    let (_redis, proxy) = behind_a_proxy();
    let mut connection = connect(&proxy, DEADLINE);
    assert_eq!(incr(&mut connection).expect("passed"), 1);
    let addr = proxy.addr();
    drop(proxy);
    is_closed(incr(&mut connection));
    std::net::TcpStream::connect(addr).expect_err("nobody listens");
}
