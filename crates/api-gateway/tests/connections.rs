//! Connections: many at once, and for a long time.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use atode_testkit::{Gateway, RedisServer};
use support::{DEADLINE, connected, start};

const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn an_idle_connection_stays_open_longer_than_a_proxy_keeps_it() {
    let redis = RedisServer::start();
    let by_default = connected(Gateway::start(&redis));
    let short = connected(Gateway::builder(&redis.addr()).env("APP__SERVER__KEEP_ALIVE", "1s").start());
    let ask = |gateway: &Gateway| {
        let mut socket =
            TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port())).expect("the gateway listens");
        socket.write_all(GET).expect("sent");
        assert!(socket.read(&mut [0; 1024]).expect("a reply") > 0);
        socket
    };
    let (mut kept, mut closed) = (ask(&by_default), ask(&short));
    // The default of actix is 5 s.
    kept.set_read_timeout(Some(Duration::from_secs(7))).expect("not zero");
    let waited = kept.read(&mut [0; 1024]).map_err(|error| error.kind());
    assert!(matches!(waited, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{waited:?}");
    kept.write_all(GET).expect("sent");
    assert!(kept.read(&mut [0; 1024]).expect("a reply") > 0);
    closed.set_read_timeout(Some(DEADLINE)).expect("not zero");
    assert_eq!(closed.read(&mut [0; 1024]).expect("its end"), 0);
}

#[test]
fn a_burst_of_connections_does_not_wait() {
    const BURST: usize = 500;
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok();
    if most.and_then(|most| most.trim().parse::<usize>().ok()).is_none_or(|most| most < BURST) {
        eprintln!("this system keeps no {BURST} connections for anybody");
        return;
    }
    let (_redis, gateway) = start();
    // The gateway accepts nothing for a while. A client whose connection is not queued retries after 1 s.
    gateway.pause();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, gateway.port()));
    let start = Instant::now();
    let sockets: Vec<_> = (0..BURST)
        .map(|n| {
            TcpStream::connect_timeout(&address, DEADLINE).unwrap_or_else(|error| panic!("{n}: {error}"))
        })
        .collect();
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    gateway.resume();
    for mut socket in sockets {
        socket.write_all(GET).expect("sent");
        assert!(socket.read(&mut [0; 1024]).expect("a reply") > 0);
    }
}
