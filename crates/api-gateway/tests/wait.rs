//! `?wait=`: an answer as soon as the job has finished, or the current state when the time is over.

mod support;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use atode_testkit::{Response, Worker, eventually};
use serde_json::{Value, json};
use support::{
    DEADLINE, KIND, Stored, UNKNOWN, address, enqueued, finished, later, problem, start, until_watched,
};

fn wait(gateway: &atode_testkit::Gateway, id: &Value, wait: &str) -> (Response, Duration) {
    let start = Instant::now();
    let reply = gateway.get(&format!("{}?wait={wait}", address(id)));
    (reply, start.elapsed())
}

#[test]
fn a_wait_ends_as_soon_as_the_job_has_finished() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    let job = enqueued(&gateway, &json!({"kind": KIND, "delay": "1s"}));
    let (reply, took) = wait(&gateway, &job["id"], "60s");
    assert_eq!((reply.status, &reply.json()["state"]), (200, &json!("completed")));
    assert!(took < Duration::from_secs(8), "{took:?}");

    let (reply, took) = wait(&gateway, &job["id"], "60s");
    assert_eq!(reply.json(), finished(&gateway, &job["id"]), "the job has finished before");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn an_enqueue_that_prefers_to_wait_answers_with_the_finished_job() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    let enqueue = |prefer: &str, delay: &str| {
        let request = gateway.request("POST", "/v1/jobs").header("Prefer", prefer);
        request.json(&json!({"kind": KIND, "delay": delay})).send()
    };
    let reply = enqueue("respond-async, wait=30", "1s");
    assert_eq!((reply.status, reply.header("preference-applied")), (201, Some("wait=30")));
    let job = reply.json();
    assert_eq!((&job["state"], reply.header("location")), (&json!("completed"), Some(&*address(&job["id"]))));
    assert_eq!(job, finished(&gateway, &job["id"]));

    let reply = enqueue("wait=1", "1h");
    assert_eq!((reply.status, reply.header("preference-applied")), (202, Some("wait=1")));
    assert_eq!(reply.json()["state"], "scheduled");
    let reply = enqueue("wait=soon", "1h");
    assert_eq!((reply.status, reply.header("preference-applied")), (201, None));
}

#[test]
fn a_wait_reads_the_payload_from_redis_once() {
    let (redis, gateway) = start();
    let payload = json!({"message": "x".repeat(200_000)});
    let job = enqueued(&gateway, &json!({"kind": KIND, "delay": "1h", "payload": payload}));
    let sent = || {
        let stats = redis.command(&["INFO", "stats"]).text();
        let bytes = stats.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
        bytes.and_then(|bytes| bytes.parse::<u64>().ok()).expect("a number of bytes")
    };
    let before = sent();
    // It looks at the job when the subscription is active, and every 2 s.
    let (reply, _) = wait(&gateway, &job["id"], "5s");
    assert_eq!(reply.json()["payload"], payload);
    let moved = sent() - before;
    assert!((200_000..350_000).contains(&moved), "{moved} bytes");
}

#[test]
fn many_requests_wait_for_the_same_job_and_for_others() {
    let (redis, gateway) = start();
    let _worker = Worker::start(&redis);
    let jobs: Vec<Value> =
        (0..5).map(|_| enqueued(&gateway, &json!({"kind": KIND, "delay": "1s"}))).collect();
    thread::scope(|scope| {
        let waits = jobs.iter().cycle().take(30).map(|job| scope.spawn(|| wait(&gateway, &job["id"], "1m")));
        for wait in waits.collect::<Vec<_>>() {
            let (reply, took) = wait.join().expect("a reply");
            assert_eq!(reply.json()["state"], "completed");
            assert!(took < Duration::from_secs(10), "{took:?}");
        }
    });
}

#[test]
fn a_wait_ends_with_the_current_state_when_the_time_is_over() {
    let (_redis, gateway) = start();
    for (delay, state) in [("1h", "scheduled"), ("500ms", "ready")] {
        let job = enqueued(&gateway, &json!({"kind": KIND, "delay": delay}));
        let (reply, took) = wait(&gateway, &job["id"], "1s");
        assert_eq!((reply.status, &reply.json()["state"]), (200, &json!(state)));
        assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&took), "{took:?}");
    }
}

#[test]
fn a_wait_ends_when_the_job_is_removed_as_soon_as_it_has_finished() {
    let (redis, gateway) = start();
    let job = enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}));
    let stored = Stored::on(&redis);
    let claimed = stored.claim("a host");
    let (reply, took) = thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&gateway, &job["id"], "60s"));
        until_watched(&redis);
        stored.complete_and_forget(claimed);
        waiting.join().expect("a reply")
    });
    assert_eq!((reply.status, &reply.json()["id"], &reply.json()["state"]), (200, &job["id"], &Value::Null));
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn a_wait_for_a_job_that_is_deleted_ends_in_not_found() {
    let (redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    let (reply, took) = thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&gateway, &id, "50s"));
        until_watched(&redis);
        assert_eq!(gateway.request("DELETE", &address(&id)).send().status, 204);
        waiting.join().expect("a reply")
    });
    problem(&reply, 404, "not-found");
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn a_wait_is_a_duration() {
    let (_redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    for wrong in ["", "1", "-1s", "1e400s", "3%20parsecs", "9223372036854775808s", "%ff", "1s&wait=2s"] {
        let (reply, _) = wait(&gateway, &id, wrong);
        problem(&reply, 400, "malformed-request");
    }
    let misspelt = gateway.get(&format!("{}?wiat=1s", address(&id)));
    problem(&misspelt, 400, "malformed-request");
    for right in ["0s", "1ms", "PT0.1S"] {
        assert_eq!(wait(&gateway, &id, right).0.status, 200, "{right}");
    }
}

/// The limit of open files of this process and its children.
fn open_files() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux reports it");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a limit");
    line.split_whitespace().next().and_then(|limit| limit.parse().ok()).unwrap_or(u64::MAX)
}

#[test]
fn waits_are_bounded_and_end_at_once_when_their_client_disconnects() {
    let (_redis, gateway) = start();
    let id = enqueued(&gateway, &later())["id"].clone();
    // 1,000 requests may wait, if this machine allows so many connections.
    let (many, most) = if open_files() > 2_500 { (1_100, 1_000) } else { (700, 700) };
    let ask = format!("GET {}?wait=1h HTTP/1.1\r\nHost: localhost\r\n\r\n", address(&id));
    let connect = || {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port())).expect("it listens");
        socket.write_all(ask.as_bytes()).expect("sent");
        socket.set_nonblocking(true).expect("a socket");
        socket
    };
    let sockets: Vec<TcpStream> = (0..many).map(|_| connect()).collect();
    eventually("they wait", DEADLINE, || (gateway.metric("atode_http_waits") == most).then_some(()));
    let mut byte = [0; 1];
    eventually("the rest is refused", DEADLINE, || {
        let answered = sockets.iter().filter(|socket| matches!(socket.peek(&mut byte), Ok(1)));
        (answered.count() as u64 == many - most).then_some(())
    });
    if many > most {
        let (reply, _) = wait(&gateway, &id, "1s");
        problem(&reply, 503, "unavailable");
        assert_eq!(wait(&gateway, &id, "0s").0.status, 200, "a request without ?wait= is not refused");
    }
    assert_eq!(support::enqueue(&gateway, &later()).status, 201);

    drop(sockets);
    let gone = Instant::now();
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", gateway.pid())).expect("it runs").count();
    eventually("they end", DEADLINE, || {
        (gateway.metric("atode_http_waits") == 0 && descriptors() < 100).then_some(())
    });
    assert!(gone.elapsed() < Duration::from_secs(5), "{:?}", gone.elapsed());
    assert_eq!(wait(&gateway, &id, "1s").0.status, 200);
}

#[test]
fn a_wait_for_an_unknown_job_ends_at_once() {
    let (_redis, gateway) = start();
    let (reply, took) = wait(&gateway, &json!(UNKNOWN), "60s");
    problem(&reply, 404, "not-found");
    assert!(took < Duration::from_secs(5), "{took:?}");
}
