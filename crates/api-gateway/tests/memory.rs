//! Request bodies and unread replies use a bounded amount of the gateway's memory.

mod support;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::thread;

use atode_testkit::{Gateway, Response, eventually};
use serde_json::json;
use support::{DEADLINE, KIND, address, enqueued, later, problem, request, start, stored, talk};

const MOST: u64 = 300 << 20;

/// The peak memory of the process so far, in bytes.
fn peak_memory(gateway: &Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux reports it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") << 10
}

/// The body of a batch of 1,000 jobs, 8 MB in all.
fn large_batch() -> String {
    let job = json!({"kind": KIND, "delay": "1h", "payload": {"message": "x".repeat(8_200)}}).to_string();
    format!(r#"{{"jobs":[{}]}}"#, vec![job; 1_000].join(","))
}

#[test]
fn concurrent_large_batches_are_stored_or_refused_early_within_bounded_memory() {
    let (_redis, gateway) = start();
    let body = large_batch();
    assert!((8_200_000..8 << 20).contains(&body.len()));
    let batch = request(
        "POST /v1/jobs/batch",
        &[("Content-Type", "application/json"), ("Content-Length", &body.len().to_string())],
        body.as_bytes(),
    );
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let chunked = request(
        "POST /v1/jobs/batch",
        &[("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")],
        chunk.as_bytes(),
    );
    for bytes in [&batch, &chunked] {
        let before = stored(&gateway, "default");
        let (mut created, mut in_doubt, mut refused) = (0, 0, 0);
        let replies: Vec<Response> = thread::scope(|scope| {
            let sent: Vec<_> = (0..55).map(|_| scope.spawn(|| talk(gateway.port(), bytes))).collect();
            // Other clients are served meanwhile.
            assert_eq!(support::enqueue(&gateway, &later()).status, 201);
            sent.into_iter().map(|sent| sent.join().expect("a reply")).collect()
        });
        for reply in &replies {
            if reply.status == 200 {
                let reply = reply.json();
                created += reply["created"].as_u64().expect("a number");
                in_doubt += u64::from(reply.to_string().contains("outcome-unknown"));
            } else if reply.text().contains("outcome-unknown") {
                in_doubt += 1;
            } else {
                let problem = problem(reply, 503, "unavailable");
                assert!(problem["detail"].to_string().contains("othing was stored"), "{problem}");
                refused += 1;
            }
        }
        let peak = peak_memory(&gateway);
        let stored = stored(&gateway, "default") - before - 1;
        println!(
            "{created} created, {stored} stored, {in_doubt} in doubt, {refused} refused, {} MB",
            peak >> 20
        );
        assert!(created >= 1_000 && refused > 0, "{created} created, {refused} batches refused");
        // A call carries 1 MiB.
        assert!((created..=created + 130 * in_doubt).contains(&stored), "{stored} stored, {created} told");
        assert!(peak <= MOST, "{} MB", peak >> 20);
    }
    assert_eq!(gateway.metric("atode_http_body_bytes"), 0, "all of it is released");
}

#[test]
fn unread_replies_use_bounded_memory_and_their_connections_end() {
    let (_redis, gateway) = start();
    let payload = json!({"message": "x".repeat(255_000)});
    let job = enqueued(&gateway, &json!({"kind": KIND, "delay": "1h", "payload": payload}));
    let page = format!("/jobs/{}", support::text(&job["id"]));
    let many = [address(&job["id"]), page]
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(40));
    let deaf: Vec<TcpStream> = (0..300)
        .map(|n| {
            let mut socket =
                TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port())).expect("the gateway listens");
            socket.write_all(many[n % 2].as_bytes()).expect("sent");
            socket
        })
        .collect();
    // This is long enough to serve more than all replies if they were read.
    let mut served = 0;
    eventually("other clients are served meanwhile", 3 * DEADLINE, || {
        let reply = talk(gateway.port(), &request(&format!("GET {}", address(&job["id"])), &[], b""));
        assert!(reply.status == 200 || reply.status == 503, "{}", reply.text());
        served += u32::from(reply.status == 200);
        (served == 20).then_some(())
    });
    assert_eq!(support::enqueue(&gateway, &later()).status, 201);
    let peak = peak_memory(&gateway);
    println!("{} MB", peak >> 20);
    assert!(peak <= MOST, "{} MB", peak >> 20);
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", gateway.pid())).expect("it runs").count();
    eventually("their connections end, and all memory is released", 3 * DEADLINE, || {
        (descriptors() < 100 && gateway.metric("atode_http_body_bytes") == 0).then_some(())
    });
    drop(deaf);
}
