//! Errors of HTTP itself. The errors that actix finds are problem documents as well.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use atode_testkit::Gateway;
use support::{DEADLINE, UNKNOWN, problem, request, start, talk, talk_until_it_ends};

#[test]
fn a_path_that_does_not_exist_is_not_found() {
    let (_redis, gateway) = start();
    let long = format!("/{}", "a".repeat(10_000));
    for path in [
        "/nope",
        "//v1/jobs",
        "/v1/jobs/",
        "/v1//jobs",
        "/V1/jobs",
        "/v1/jobs/a/b",
        "/%00",
        "/%ff",
        "/../../etc/passwd",
        "*",
        "/healthz/",
        "/v1/queues/",
        "/dm-jobqueue/x",
        "/v1/queues/nope",
        "/v1/queues/%ff",
        "/v1/queues/a%2Fb",
        "/problems/nope",
        "/jobs/x",
        &long,
    ] {
        problem(&talk(gateway.port(), &request(&format!("GET {path}"), &[], b"")), 404, "not-found");
    }
}

#[test]
fn an_invalid_id_is_malformed() {
    let (_redis, gateway) = start();
    let undashed = UNKNOWN.replace('-', "");
    let long = "a".repeat(10_000);
    for id in ["x", "%00", "%ff", "%zz", "..", "{}", "a%0d%0aSet-Cookie:a=b", "%2e%2e%2f", &undashed, &long] {
        let reply = talk(gateway.port(), &request(&format!("GET /v1/jobs/{id}"), &[], b""));
        problem(&reply, 400, "malformed-request");
        assert_eq!(reply.header("set-cookie"), None);
    }
}

#[test]
fn another_method_is_refused_with_the_allowed_ones() {
    let (_redis, gateway) = start();
    let job = format!("/v1/jobs/{UNKNOWN}");
    for (path, allowed) in [
        ("/v1/jobs", "GET, HEAD, POST"),
        ("/v1/jobs/batch", "POST"),
        (&job, "GET, HEAD, PATCH, DELETE"),
        (&format!("{job}/cancel"), "POST"),
        ("/v1/queues/default/purge", "POST"),
        ("/v1/kinds", "GET, HEAD"),
        ("/v1/queues", "GET, HEAD"),
        ("/v1/queues/default", "GET, HEAD"),
        ("/v1/workers", "GET, HEAD"),
        ("/api/dm-jobqueue/register", "POST"),
        ("/healthz", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
        ("/health", "GET, HEAD"),
        ("/", "GET, HEAD"),
        ("/register", "GET, HEAD, POST"),
        ("/jobs/x", "GET, HEAD"),
        ("/problems/not-found", "GET, HEAD"),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            if allowed.contains(method) {
                continue;
            }
            let reply = gateway.request(method, path).send();
            problem(&reply, 405, "method-not-allowed");
            assert_eq!(reply.header("allow"), Some(allowed), "{method} {path}");
        }
    }
}

#[test]
fn a_head_request_is_a_get_without_the_body() {
    let (_redis, gateway) = start();
    for (path, status) in
        [("/v1/kinds", 200), ("/health", 200), ("/", 200), ("/nope", 404), ("/v1/jobs/batch", 405)]
    {
        let reply = gateway.request("HEAD", path).send();
        assert_eq!((reply.status, reply.body.len()), (status, 0), "{path}");
        assert!(reply.header("x-request-id").is_some(), "{path}");
    }
}

#[test]
fn every_reply_has_a_request_id_and_keeps_a_harmless_one_of_the_client() {
    let (_redis, gateway) = start();
    let id = |own: &str| {
        let reply = gateway.request("GET", "/healthz").header("X-Request-Id", own).send();
        reply.header("x-request-id").expect("an id").to_owned()
    };
    assert_eq!(id("trace-1.A_b"), "trace-1.A_b");
    let long = "a".repeat(65);
    for harmful in ["", "a b", "<script>", "é", &long] {
        assert_eq!(id(harmful).len(), 36, "{harmful}");
    }
    let reply = gateway.request("GET", "/nope").header("X-Request-Id", "mine").send();
    assert_eq!(problem(&reply, 404, "not-found")["request_id"], "mine");
}

#[test]
fn invalid_http_is_malformed() {
    let (_redis, gateway) = start();
    let post = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let framed = |headers: &str, body: &str| format!("{post}{headers}\r\n{body}").into_bytes();
    for bytes in [
        b"hello\r\n\r\n".to_vec(),
        b"\x00\x01\x02\r\n\r\n".to_vec(),
        [&b"\x16\x03\x01\x00\xf5\x01\x00\x00\xf1"[..], &[0; 200]].concat(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET /healthz HTTP/3.0\r\nHost: localhost\r\n\r\n".to_vec(),
        b"GET /healthz HTTP/1.1\r\n\r\n".to_vec(),
        b"GET /v1/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        request("GET /healthz", &[("X A", "b")], b""),
        request("GET /healthz", &[("X-A", "a\0b")], b""),
        framed("Content-Length: -1\r\n", "{}"),
        framed("Content-Length: two\r\n", "{}"),
        framed("Content-Length: 99999999999999999999999\r\n", "{}"),
        framed("Content-Length: 2\r\nContent-Length: 3\r\n", "{} "),
        framed("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        framed("Transfer-Encoding: foo\r\n", "{}"),
        framed("Transfer-Encoding: chunked\r\nConnection: close\r\n", "zz\r\n{}\r\n0\r\n\r\n"),
    ] {
        let reply = talk(gateway.port(), &bytes);
        assert_eq!(reply.status, 400, "{}", String::from_utf8_lossy(&bytes));
    }
    let log = gateway.stderr();
    assert!(log.contains("listening") && !log.contains("actix"), "mistakes of clients are not logged: {log}");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let (_redis, gateway) = start();
    for length in [131_072, 1_000_000] {
        let reply = talk(gateway.port(), &request("GET /healthz", &[("X-A", &"a".repeat(length))], b""));
        assert_eq!(reply.status, 431);
    }
    let many = vec![("X-A", "a"); 200];
    assert_eq!(talk(gateway.port(), &request("GET /healthz", &many, b"")).status, 431);
    let reply = talk(gateway.port(), &request("GET /healthz", &[("X-A", &"a".repeat(50_000))], b""));
    assert_eq!(reply.status, 200);
}

#[test]
fn a_chunked_body_over_the_limit_is_too_large() {
    let (_redis, gateway) = start();
    let headers = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")];
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(65_536));
    let reply =
        talk(gateway.port(), &request("POST /v1/jobs", &headers, (chunk.repeat(5) + "0\r\n\r\n").as_bytes()));
    problem(&reply, 413, "payload-too-large");
    let announced = [("Content-Type", "application/json"), ("Content-Length", "9223372036854775808")];
    problem(&talk(gateway.port(), &request("POST /v1/jobs", &announced, b"{}")), 413, "payload-too-large");
}

#[test]
fn requests_on_one_connection_are_answered_in_order_up_to_a_malformed_one() {
    let (_redis, gateway) = start();
    let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let statuses = |replies: &str| -> Vec<String> {
        let lines = replies.split("HTTP/1.1 ").skip(1).filter(|line| line.starts_with(char::is_numeric));
        lines.map(|line| line[..3].to_owned()).collect()
    };
    let text = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}";
    let replies = talk_until_it_ends(
        gateway.port(),
        format!("{get}{text}{get}GET /nope HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .as_bytes(),
    );
    assert_eq!(statuses(&replies), ["200", "415", "200", "404"]);
    let replies = talk_until_it_ends(gateway.port(), format!("{get}GET broken\r\n\r\n{get}").as_bytes());
    assert_eq!(statuses(&replies), ["200", "400"]);
}

#[test]
fn a_request_that_does_not_arrive_in_time_is_cut_off() {
    let (_redis, gateway) = start();
    let job = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let batch = job.replace("/v1/jobs", "/v1/jobs/batch");
    let old = job.replace("/v1/jobs", "/api/dm-jobqueue/register");
    let form = job.replace("/v1/jobs", "/register").replace("json", "x-www-form-urlencoded");
    let slow = ["GET /v1/ki", "GET /v1/kinds HTTP/1.1\r\nHost: localhost\r\nX-", job, &batch, &old, &form];
    thread::scope(|scope| {
        for start in slow {
            let port = gateway.port();
            scope.spawn(move || {
                let asked = Instant::now();
                assert_eq!(talk(port, start.as_bytes()).status, 408, "{start}");
                assert!(asked.elapsed() < Duration::from_secs(15), "{start}: {:?}", asked.elapsed());
            });
        }
        scope.spawn(|| one_byte_per_second(&gateway, job));
    });
}

/// Sends a body so slowly that it never ends.
fn one_byte_per_second(gateway: &Gateway, start: &str) {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port())).expect("the gateway listens");
    let asked = Instant::now();
    socket.write_all(start.as_bytes()).expect("sent");
    let mut reader = socket.try_clone().expect("a second handle");
    let reading = thread::spawn(move || {
        let mut reply = String::new();
        let _ = reader.read_to_string(&mut reply);
        reply
    });
    while asked.elapsed() < DEADLINE && !reading.is_finished() && socket.write_all(b" ").is_ok() {
        thread::sleep(Duration::from_secs(1));
    }
    assert!(asked.elapsed() < Duration::from_secs(16), "{:?}", asked.elapsed());
    let reply = reading.join().expect("read");
    assert!(reply.starts_with("HTTP/1.1 408 ") && reply.contains("/problems/request-timeout"), "{reply}");
}

#[test]
fn a_large_body_may_take_longer_than_the_longest_pause() {
    let (_redis, gateway) = start();
    // 12 s at 16 KiB per second.
    let message = "x".repeat(192 << 10);
    let body = format!(r#"{{"kind":"demo:delay_print","delay":"1h","payload":{{"message":"{message}"}}}}"#);
    let length = body.len().to_string();
    let headers = [("Content-Type", "application/json"), ("Content-Length", length.as_str())];
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port())).expect("the gateway listens");
    socket.write_all(&request("POST /v1/jobs", &headers, b"")).expect("sent");
    let asked = Instant::now();
    for part in body.as_bytes().chunks(8 << 10) {
        socket.write_all(part).expect("the gateway keeps reading");
        thread::sleep(Duration::from_millis(500));
    }
    let mut reply = String::new();
    socket.read_to_string(&mut reply).expect("a reply");
    assert!(asked.elapsed() > Duration::from_secs(11), "{:?}", asked.elapsed());
    assert!(reply.starts_with("HTTP/1.1 201 "), "{reply:.300}");
}

#[test]
fn a_client_that_disconnects_does_no_harm() {
    let (_redis, gateway) = start();
    let body = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    for start in ["", "GET /v1/ki", "GET /v1/kinds HTTP/1.1\r\n", body] {
        for _ in 0..20 {
            let mut socket =
                TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port())).expect("the gateway listens");
            socket.write_all(start.as_bytes()).expect("sent");
        }
    }
    assert_eq!(support::enqueue(&gateway, &support::later()).status, 201);
    assert_eq!(support::stored(&gateway, "default"), 1);
}

#[test]
fn the_internal_cause_is_logged_under_the_request_id_and_not_in_the_reply() {
    let (redis, gateway) = start();
    support::enqueued(&gateway, &support::later());
    let key = format!("atode:{{default}}:{}:due", support::KIND);
    redis.command(&["DEL", &key]);
    redis.command(&["SET", &key, "x"]);
    let reply = support::enqueue(&gateway, &support::later());
    let broken = problem(&reply, 500, "internal-error");
    assert!(support::text(&broken["detail"]).contains("log"), "{broken}");
    let logs = |reply: &atode_testkit::Response, what: &str| {
        let id = reply.header("x-request-id").expect("an id").to_owned();
        gateway.wait_for_stderr(
            |log| log.lines().any(|line| line.contains(&id) && line.contains(what)),
            DEADLINE,
        );
    };
    logs(&reply, "WRONGTYPE");
    redis.kill();
    let away = atode_testkit::eventually("the gateway notices the loss", DEADLINE, || {
        Some(support::enqueue(&gateway, &support::later()))
            .filter(|reply| reply.text().contains("/unavailable"))
    });
    problem(&away, 503, "unavailable");
    logs(&away, &redis.addr());
}
