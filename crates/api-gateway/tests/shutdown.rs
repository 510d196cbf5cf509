//! SIGTERM: running requests finish with the current state, and the gateway exits with 0.

mod support;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use atode_testkit::{Gateway, RedisServer, Signal, eventually};
use serde_json::json;
use support::{DEADLINE, KIND, address, connected, enqueued, gateway, start};

/// Sends the head of a request without its body, and waits until it is being handled.
fn running(gateway: &Gateway, line: &str) -> TcpStream {
    let head = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
    );
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port())).expect("the gateway listens");
    socket.write_all(head.as_bytes()).expect("sent");
    let mut go_on = [0; 25];
    socket.read_exact(&mut go_on).expect("an answer");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket
}

/// Asserts that the gateway exits with 0 within `soon`.
#[track_caller]
fn ends(gateway: &Gateway, soon: Duration) {
    let asked = Instant::now();
    let exit = gateway.wait(DEADLINE);
    assert_eq!(exit.code(), Some(0), "{}", gateway.stderr());
    assert!(asked.elapsed() < soon, "{:?}", asked.elapsed());
}

#[test]
fn a_wait_for_a_job_ends_with_its_current_state() {
    let (_redis, gateway) = start();
    let job = enqueued(&gateway, &json!({"kind": KIND, "delay": "400ms"}));
    let mut waiting = running(&gateway, &format!("GET {}?wait=60s", address(&job["id"])));
    // A job becomes ready without a message to the gateway.
    eventually("it is ready", DEADLINE, || {
        (gateway.get(&address(&job["id"])).json()["state"] == "ready").then_some(())
    });
    gateway.terminate();
    let mut reply = String::new();
    waiting.read_to_string(&mut reply).expect("a reply and the end of the connection");
    assert!(reply.starts_with("HTTP/1.1 200 OK") && reply.contains(r#""state":"ready""#), "{reply}");
    ends(&gateway, Duration::from_secs(5));
}

#[test]
fn idle_connections_do_not_delay_the_shutdown() {
    let (_redis, gateway) = start();
    let mut idle = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port())).expect("the gateway listens");
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    assert!(idle.read(&mut [0; 1024]).expect("a reply") > 0);
    let silent = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port())).expect("the gateway listens");
    gateway.terminate();
    ends(&gateway, Duration::from_secs(10));
    drop((idle, silent));
    assert!(gateway.stderr().contains("stopped"));
}

#[test]
fn a_request_that_does_not_end_is_cut_off_at_the_timeout() {
    let (redis, _) = start();
    let gateway = Gateway::builder(&redis.addr()).env("APP__SERVER__SHUTDOWN_TIMEOUT", "1s").start();
    let gateway = connected(gateway);
    let _half = running(&gateway, "POST /v1/jobs");
    gateway.terminate();
    ends(&gateway, Duration::from_secs(8));
}

#[test]
fn a_second_signal_ends_the_gateway_at_once() {
    let (_redis, gateway) = start();
    let _half = running(&gateway, "POST /v1/jobs");
    gateway.terminate();
    gateway.wait_for_stderr(|log| log.contains("stopping"), DEADLINE);
    // A signal within 100 ms counts as the same one.
    std::thread::sleep(Duration::from_millis(200));
    gateway.terminate();
    let exit = gateway.wait(Duration::from_secs(5));
    assert_eq!(exit.code(), Some(1));
}

#[test]
fn each_signal_to_stop_lets_running_requests_finish() {
    for signal in [Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGINT] {
        let (_redis, gateway) = start();
        let job = enqueued(&gateway, &json!({"kind": KIND, "delay": "1h"}));
        let mut waiting = running(&gateway, &format!("GET {}?wait=60s", address(&job["id"])));
        gateway.signal(signal);
        let mut reply = String::new();
        waiting.read_to_string(&mut reply).expect("a reply and the end of the connection");
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{signal}: {reply}");
        ends(&gateway, Duration::from_secs(5));
    }
}

#[test]
fn a_long_shutdown_delay_is_not_mistaken_for_a_hanging_process() {
    let (redis, _) = start();
    let gateway = Gateway::builder(&redis.addr()).env("APP__SERVER__SHUTDOWN_DELAY", "7s");
    let gateway = connected(gateway.env("APP__SERVER__SHUTDOWN_TIMEOUT", "0s").start());
    gateway.terminate();
    assert_eq!(gateway.wait(DEADLINE).code(), Some(0), "{}", gateway.stderr());
}

/// One request on a connection of its own. `Err` if the server closed or reset the connection.
fn one_request(port: u16) -> io::Result<Option<String>> {
    let mut socket = match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(None),
        socket => socket?,
    };
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut reply = String::new();
    socket.read_to_string(&mut reply)?;
    if reply.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Some(reply)) }
}

#[test]
#[cfg(target_os = "linux")]
fn a_client_that_connects_during_the_stop_is_served_or_refused_but_never_reset() {
    let redis = RedisServer::start();
    for _ in 0..5 {
        let gateway = gateway(&redis);
        let port = gateway.port();
        let served = Arc::new(AtomicUsize::new(0));
        let client = |_| {
            let served = served.clone();
            std::thread::spawn(move || {
                while let Some(reply) = one_request(port)? {
                    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
                    served.fetch_add(1, Ordering::Relaxed);
                }
                io::Result::Ok(())
            })
        };
        let clients: Vec<_> = (0..8).map(client).collect();
        eventually("the clients are served", DEADLINE, || {
            (served.load(Ordering::Relaxed) > 100).then_some(())
        });
        gateway.terminate();
        for client in clients {
            client.join().expect("a client panicked").expect("served or refused");
        }
        ends(&gateway, Duration::from_secs(10));
    }
}

#[test]
fn a_port_in_use_ends_the_start_and_the_error_names_an_option() {
    let (redis, first) = start();
    let second = Gateway::builder(&redis.addr()).port(first.port()).spawn();
    let exit = second.wait(DEADLINE);
    assert_eq!(exit.code(), Some(1));
    assert!(second.stderr().contains("--port"), "{}", second.stderr());
}

#[test]
fn with_a_delay_the_gateway_is_not_ready_but_serves_requests() {
    let redis = RedisServer::start();
    let gateway = connected(Gateway::builder(&redis.addr()).env("APP__SERVER__SHUTDOWN_DELAY", "4s").start());
    assert_eq!(gateway.get("/healthz").header("connection"), None);
    gateway.terminate();
    let asked = Instant::now();
    let refused = eventually("the gateway is not ready", DEADLINE, || {
        Some(gateway.get("/readyz")).filter(|reply| reply.status == 503)
    });
    assert!(refused.text().contains("stopping"), "{}", refused.text());
    let reply = support::enqueue(&gateway, &support::later());
    assert_eq!((reply.status, reply.header("connection")), (201, Some("close")));
    assert_eq!(gateway.get("/healthz").status, 200);
    // Waits are not cut short either.
    let path = format!("{}?wait=1s", address(&reply.json()["id"]));
    let waited = Instant::now();
    assert_eq!(gateway.get(&path).status, 200);
    assert!(waited.elapsed() >= Duration::from_secs(1), "{:?}", waited.elapsed());
    ends(&gateway, Duration::from_secs(10));
    assert!(asked.elapsed() >= Duration::from_secs(4), "{:?}", asked.elapsed());
}
