//! The settings that fred gets. Its defaults are not safe when Redis is unreachable.

use std::time::Duration;

use atode_config::{
    Address,
    redis::{Connection, Endpoint, JobqueueRedis},
};
use fred::types::config::{ReconnectError, ReconnectPolicy, Server, ServerConfig};
use secrecy::SecretString;

#[test]
fn a_client_reconnects_without_limit_and_each_command_has_a_timeout() {
    let settings = JobqueueRedis::default();
    let builder = settings.builder().unwrap();

    assert!(!builder.get_config().unwrap().fail_fast);
    let Some(ReconnectPolicy::Exponential { max_attempts, min_delay, max_delay, .. }) = builder.get_policy()
    else {
        panic!("{:?}", builder.get_policy());
    };
    assert_eq!((*max_attempts, *min_delay, *max_delay), (0, 50, 1000));

    let performance = builder.get_performance_config();
    assert_eq!(performance.default_command_timeout, Duration::from_millis(800));

    let connection = builder.get_connection_config();
    assert_eq!(connection.connection_timeout, Duration::from_secs(1));
    assert_eq!(connection.internal_command_timeout, Duration::from_secs(1));
    assert_eq!(connection.unresponsive.max_timeout, Some(Duration::from_secs(2)));
    assert_eq!(connection.max_command_buffer_len, 16_384);
    assert!(connection.reconnect_errors.contains(&ReconnectError::Loading));
    assert_eq!(connection.tcp.nodelay, Some(true));
}

#[test]
fn a_server_counts_as_lost_only_after_the_command_timeout() {
    let connection = Connection { command_timeout: Duration::from_secs(5), ..Connection::default() };
    let builder = JobqueueRedis { connection, ..JobqueueRedis::default() }.builder().unwrap();
    let unresponsive = builder.get_connection_config().unresponsive.max_timeout;
    assert_eq!(unresponsive, Some(Duration::from_secs(6)));
}

/// The reply that was lost may be the reply of a script that has written.
#[test]
fn no_command_for_the_job_queue_is_sent_twice() {
    let sentinels = Endpoint::Sentinel { master: "m".to_owned(), addrs: vec![address("s", 26379)] };
    for endpoint in [JobqueueRedis::default().endpoint, sentinels] {
        let builder = JobqueueRedis { endpoint, ..JobqueueRedis::default() }.builder().unwrap();
        assert_eq!(builder.get_connection_config().max_command_attempts, 1);
    }
}

#[test]
fn endpoints_become_the_servers_of_fred() {
    let connection = Connection::default();
    let server = |endpoint| connection.builder(&endpoint).unwrap().get_config().unwrap().server.clone();

    assert_eq!(server(address("redis", 1).into()), ServerConfig::new_centralized("redis", 1));
    let addrs = vec![address("a", 1), address("b", 2)];
    let hosts = vec![("a", 1), ("b", 2)];
    assert_eq!(
        server(Endpoint::Cluster { addrs: addrs.clone() }),
        ServerConfig::new_clustered(hosts.clone())
    );
    let sentinel = Endpoint::Sentinel { master: "m".to_owned(), addrs };
    assert_eq!(server(sentinel), ServerConfig::new_sentinel(hosts, "m"));
    let ipv6 = Server::new_with_tls("[::1]", 6379, Some("::1".to_owned()));
    assert_eq!(server(address("::1", 6379).into()), ServerConfig::Centralized { server: ipv6 });
}

#[test]
fn login_and_database_reach_fred() {
    let connection = Connection {
        username: Some("worker".to_owned()),
        password: Some(SecretString::from("hunter2")),
        ..Connection::default()
    };
    let builder = JobqueueRedis { db: 3, connection, ..JobqueueRedis::default() }.builder().unwrap();
    let config = builder.get_config().unwrap();
    assert_eq!(config.username.as_deref(), Some("worker"));
    assert_eq!(config.password.as_deref(), Some("hunter2"));
    assert_eq!(config.database, Some(3));
    assert!(!config.uses_tls());
}

fn address(host: &str, port: u16) -> Address {
    Address { host: host.to_owned(), port }
}
