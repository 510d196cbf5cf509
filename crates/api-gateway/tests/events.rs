//! `GET /v1/events`: a snapshot of queues and workers, then their changes.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};

use atode_testkit::{Gateway, Worker};
use serde_json::Value;
use support::{DEADLINE, enqueued, later, start};

/// The events of a gateway, as they come.
struct Events(BufReader<TcpStream>);

impl Events {
    fn of(gateway: &Gateway) -> Self {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port())).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        write!(stream, "GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").expect("sent");
        Events(BufReader::new(stream))
    }

    /// The next line, without its end; nothing once the stream has ended. The sizes of chunks are lines too.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let bytes = self.0.read_line(&mut line).expect("a line in time");
        (bytes > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event: its name and its data.
    fn next(&mut self) -> (String, Value) {
        loop {
            let line = self.line().expect("the stream goes on");
            if let Some(name) = line.strip_prefix("event: ") {
                let data = self.line().expect("data");
                let data = data.strip_prefix("data: ").expect("data behind the name of its event");
                return (name.to_owned(), serde_json::from_str(data).expect("JSON"));
            }
        }
    }

    /// The data of the next event of this name for which the condition holds.
    fn until(&mut self, name: &str, condition: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (found, data) = self.next();
            if found == name && condition(&data) {
                return data;
            }
        }
    }
}

#[test]
fn a_snapshot_comes_first_and_then_each_change() {
    let (redis, gateway) = start();
    enqueued(&gateway, &later());
    let mut events = Events::of(&gateway);
    let (name, snapshot) = events.next();
    assert_eq!((&*name, &snapshot["workers"]), ("snapshot", &serde_json::json!([])));
    assert_eq!(snapshot["queues"], gateway.get("/v1/queues").json()["items"]);

    enqueued(&gateway, &later());
    let queue = events.until("queue", |queue| queue["counts"]["scheduled"] == 2);
    assert_eq!(queue["name"], "default");

    let worker = Worker::start(&redis);
    let shown = events.until("worker", |_| true);
    let id = gateway.get("/v1/workers").json()["items"][0]["id"].clone();
    assert_eq!(shown["id"], id);
    worker.terminate();
    events.until("worker_gone", |gone| gone["id"] == id);
}

#[test]
fn a_head_request_opens_no_stream() {
    let (_redis, gateway) = start();
    let head = gateway.request("HEAD", "/v1/events").send();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
}

#[test]
fn the_loss_of_redis_is_an_event_and_its_return_a_snapshot() {
    let (redis, gateway) = start();
    let mut events = Events::of(&gateway);
    events.until("snapshot", |_| true);
    redis.kill();
    let away = events.until("unavailable", |_| true);
    assert!(away["detail"].is_string(), "{away}");
    redis.restart();
    events.until("snapshot", |snapshot| snapshot["queues"][0]["name"] == "default");
}

#[test]
fn streams_end_when_the_gateway_stops() {
    let (_redis, gateway) = start();
    let mut streams = [Events::of(&gateway), Events::of(&gateway)];
    for events in &mut streams {
        events.until("snapshot", |_| true);
    }
    gateway.terminate();
    for events in &mut streams {
        while events.line().is_some() {}
    }
    assert!(gateway.wait(DEADLINE).success());
}
