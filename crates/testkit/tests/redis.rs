//! [`RedisServer`] on a real `redis-server`.

use std::thread;
use std::time::Duration;

use atode_testkit::{AclUser, RedisServer, Reply, eventually};

#[test]
fn parallel_servers_share_nothing() {
    let (a, b) = thread::scope(|scope| {
        let (a, b) = (scope.spawn(RedisServer::start), scope.spawn(RedisServer::start));
        (a.join().expect("started"), b.join().expect("started"))
    });
    assert_ne!(a.addr(), b.addr());
    a.command(&["SET", "key", "of a"]);
    assert_eq!(a.command(&["GET", "key"]).text(), "of a");
    assert!(b.command(&["GET", "key"]).is_null());
}

#[test]
fn acknowledged_writes_survive_a_kill_with_appendfsync_always() {
    let redis = RedisServer::builder().appendfsync("always").start();
    assert_eq!(redis.command(&["RPUSH", "list", "a", "b"]).int(), 2);
    redis.kill();
    assert!(!redis.answers());
    redis.restart();
    assert_eq!(redis.command(&["LRANGE", "list", "0", "-1"]).texts(), ["a", "b"]);
}

#[test]
fn stopping_a_paused_server_keeps_its_data() {
    let redis = RedisServer::start();
    redis.command(&["SET", "key", "value"]);
    redis.pause();
    redis.stop();
    redis.restart();
    assert_eq!(redis.command(&["GET", "key"]).text(), "value");
    assert!(redis.log_tail().contains("bye bye"), "{}", redis.log_tail());
}

#[test]
fn a_paused_server_is_silent_until_it_is_resumed() {
    let redis = RedisServer::start();
    for _ in 0..3 {
        redis.pause();
        let mut connection = redis.connect(Duration::from_millis(50)).expect("the port still accepts");
        connection.command(&["PING"]).expect_err("nobody answers");
        assert!(!redis.answers());
        redis.resume();
        eventually("PONG again", Duration::from_secs(5), || redis.answers().then_some(()));
    }
}

#[test]
fn dropping_a_paused_server_kills_it() {
    let redis = RedisServer::start();
    let (addr, dir) = (redis.addr(), redis.dir().to_owned());
    redis.pause();
    drop(redis);
    std::net::TcpStream::connect(addr).expect_err("nobody listens");
    assert!(!dir.exists());
}

#[test]
fn a_prepared_server_is_down_until_it_is_started() {
    let redis = RedisServer::builder().prepare();
    let addr = redis.addr();
    redis.try_command(&["PING"]).expect_err("not started");
    redis.restart();
    assert_eq!(redis.addr(), addr);
    assert!(redis.answers());
}

#[test]
fn settings_reach_the_server() {
    let redis = RedisServer::builder().no_aof().arg("maxmemory", "2mb").password("secret").start();
    let setting = |name| redis.command(&["CONFIG", "GET", name]).texts().pop().expect("known");
    assert_eq!(setting("appendonly"), "no");
    assert_eq!(setting("maxmemory"), "2097152");
    assert_eq!(setting("maxmemory-policy"), "noeviction");
    assert_eq!(setting("save"), "");
}

#[test]
fn a_restricted_user_has_exactly_the_granted_rights() {
    let user = AclUser::new("jobs", "~atode:* resetchannels +get +set +publish");
    let redis = RedisServer::builder().user(&user).start();
    let try_as_user = |words: &[&str]| {
        let mut connection = redis.connect(Duration::from_secs(5)).expect("connected");
        connection.command(&["AUTH", user.name(), AclUser::PASSWORD]).expect("answered");
        connection.command(words).expect("answered")
    };
    let refused = |words: &[&str]| match try_as_user(words) {
        Reply::Error(error) => error.starts_with("NOPERM"),
        _ => false,
    };
    assert_eq!(try_as_user(&["SET", "atode:x", "1"]).text(), "OK");
    assert!(refused(&["SET", "other:x", "1"]));
    assert!(refused(&["DEL", "atode:x"]));
    assert!(refused(&["PUBLISH", "atode:news", "hello"]));
    redis.set_user(&AclUser::new("jobs", "~* &atode:* +@all -info"));
    assert_eq!(try_as_user(&["PUBLISH", "atode:news", "hello"]).int(), 0);
    assert!(refused(&["INFO"]));
    redis.restart();
    assert!(refused(&["PUBLISH", "atode:news", "hello"]), "the rules given to the builder apply");
}

#[test]
fn try_command_returns_an_error_reply() {
    let redis = RedisServer::start();
    let reply = redis.try_command(&["INCR"]).expect("answered");
    assert!(matches!(&reply, Reply::Error(error) if error.starts_with("ERR wrong number")), "{reply:?}");
}

#[test]
#[should_panic(expected = "INCR: ERR wrong number of arguments")]
fn command_panics_on_an_error_reply() {
    RedisServer::start().command(&["INCR"]);
}

#[test]
#[should_panic(expected = ">>> 'no-such-setting")]
fn a_failed_start_shows_the_log() {
    RedisServer::builder().arg("no-such-setting", "1").start();
}

#[test]
fn a_subscription_can_be_read() {
    let redis = RedisServer::start();
    let mut subscriber = redis.connect(Duration::from_secs(5)).expect("connected");
    subscriber.command(&["SUBSCRIBE", "news"]).expect("subscribed");
    assert_eq!(redis.command(&["PUBLISH", "news", "hello"]).int(), 1);
    assert_eq!(subscriber.read().expect("delivered").texts(), ["message", "news", "hello"]);
}
