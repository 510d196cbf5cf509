//! Requests of the command line to a gateway, and the output for each reply. The gateway is a stand-in with scripted
//! replies, because a real one cannot be made to answer like this.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use atode_testkit::{Gateway, ProcessBuilder, RedisServer};
use support::{Ended, atode, run};

/// Answers each request with the next reply, the last one again and again, on a connection of its own. An empty reply
/// closes the connection.
struct Scripted {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn start(replies: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        // Ends with the process of the test.
        thread::spawn(move || {
            for (n, connection) in listener.incoming().enumerate() {
                let mut connection = connection.expect("a connection");
                seen.lock().expect("no panic").push(read(&connection));
                let reply = replies.get(n).or(replies.last()).expect("a reply");
                connection.write_all(reply.as_bytes()).expect("the client reads");
            }
        });
        Scripted { url, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }

    fn atode(&self, args: &[&str]) -> Ended {
        run(self.builder().args(args))
    }

    fn builder(&self) -> ProcessBuilder {
        // An address is all that is needed: there is no configuration.
        atode().env("ATODE_URL", &self.url).env("APP_CONFIG_DIR", "/nowhere")
    }
}

/// Head and body of one request; names of headers in lower case.
fn read(connection: &TcpStream) -> String {
    let mut reader = BufReader::new(connection);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.clone().split_once(": ") {
            line = format!("{}: {value}", name.to_lowercase());
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().expect("a number");
            }
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    head + "\n" + &String::from_utf8_lossy(&body)
}

const NO_WORKERS: &str = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"items\":[]}";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\r\n{\"type\":\"/problems/unavailable\",\"detail\":\"the queue cannot be reached at the moment\",\"status\":503,\"request_id\":\"r-1\"}";
const PAUSED: &str =
    "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"name\":\"q\",\"paused\":true,\"later\":1e400}";
const LOST: &str = "";

#[test]
fn a_key_comes_from_a_file_or_the_environment_and_is_never_shown() {
    let gateway = Scripted::start(&[NO_WORKERS]);
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), "from-a-file\n").expect("its content");
    let key_file = file.path().to_str().expect("a path");
    for process in [
        gateway.builder().args(["workers"]),
        gateway.builder().env("ATODE_KEY", "from-env").args(["workers"]),
        gateway.builder().env("ATODE_KEY", "from-env").args(["workers", "--key-file", key_file]),
    ] {
        assert_eq!(run(process).code, 0);
    }
    let sent = gateway.requests().into_iter().map(|request| {
        request.lines().find_map(|line| line.strip_prefix("authorization: ")).map(str::to_owned)
    });
    let expected = [None, Some("Bearer from-env".to_owned()), Some("Bearer from-a-file".to_owned())];
    assert_eq!(sent.collect::<Vec<_>>(), expected);

    let wrong = run(gateway.builder().env("ATODE_KEY", "secret\u{7}").args(["workers"]));
    assert_eq!((wrong.code, wrong.err.contains("secret")), (1, false), "{}", wrong.err);
    assert!(wrong.err.contains("ATODE_KEY: "), "{}", wrong.err);
    let missing = run(gateway.builder().args(["workers", "--key-file", "/no/such/file"]));
    assert!(missing.code == 1 && missing.err.contains("/no/such/file"), "{}", missing.err);
}

#[test]
fn a_read_is_repeated_and_succeeds() {
    let gateway = Scripted::start(&[LOST, BUSY, NO_WORKERS]);
    let started = Instant::now();
    let ended = gateway.atode(&["workers"]);
    assert_eq!((ended.code, gateway.requests().len()), (0, 3), "{}", ended.err);
    assert!(started.elapsed().as_millis() >= 1_000, "Retry-After is respected");
}

#[test]
fn an_enqueue_is_repeated_with_its_key_and_another_change_never_is() {
    let gateway = Scripted::start(&[LOST]);
    let ended = gateway.atode(&["enqueue", "demo:delay_print", "--payload", r#"{"message":"hi"}"#]);
    assert_eq!(ended.code, 1);
    let requests = gateway.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request == &requests[0]), "{requests:#?}");
    let key = requests[0].lines().find_map(|line| line.strip_prefix("idempotency-key: ")).expect("a key");
    assert!(ended.err.contains(&format!("--idempotency-key {key}")), "{}", ended.err);
    assert!(requests[0].starts_with("POST /v1/jobs HTTP/1.1"), "{}", requests[0]);
    assert!(requests[0].ends_with(r#"{"kind":"demo:delay_print","payload":{"message":"hi"}}"#));

    let refused = Scripted::start(&[BUSY]).atode(&["enqueue", "demo:delay_print"]);
    assert!(refused.code == 1 && !refused.err.contains("may be stored"), "{}", refused.err);

    for args in [&["queue", "pause", "q"][..], &["job", "rm", "0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4b"]] {
        let before = gateway.requests().len();
        let ended = gateway.atode(args);
        assert_eq!((ended.code, gateway.requests().len()), (1, before + 1), "{args:?}");
        assert!(ended.err.contains("may have been carried out"), "{}", ended.err);
    }
}

#[test]
fn a_failure_of_the_gateway_names_its_request() {
    let gateway = Scripted::start(&[BUSY]);
    let ended = gateway.atode(&["queue", "pause", "q"]);
    assert_eq!(ended.code, 1);
    let said = "atode: the queue cannot be reached at the moment (request r-1 in the gateway's log)\n";
    assert_eq!(ended.err, said);
}

#[test]
fn json_is_the_reply_itself_even_if_a_newer_gateway_sends_more() {
    let gateway = Scripted::start(&[PAUSED]);
    let ended = gateway.atode(&["queue", "pause", "q", "--json"]);
    assert_eq!(ended.out, "{\n  \"name\": \"q\",\n  \"paused\": true,\n  \"later\": 1e400\n}\n");
    let table = gateway.atode(&["queue", "pause", "q"]);
    assert!(table.code == 1 && table.err.contains("--json shows the reply"), "{}", table.err);
}

#[test]
fn a_redirect_is_reported_and_not_followed() {
    let gateway = Scripted::start(&[
        "HTTP/1.1 301 Moved\r\nlocation: https://other.example/v1/workers\r\ncontent-length: 0\r\n\r\n",
    ]);
    let ended = run(gateway.builder().env("ATODE_KEY", "k").args(["workers"]));
    assert_eq!((ended.code, gateway.requests().len()), (1, 1));
    assert!(ended.err.contains("redirects to https://other.example/v1/workers"), "{}", ended.err);
    let page = Scripted::start(&["HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope"]);
    let ended = page.atode(&["workers"]);
    assert!(ended.err.contains("answered 404 Not Found, and not as a gateway does"), "{}", ended.err);
}

#[test]
fn a_missing_gateway_is_named_with_the_way_around_it() {
    let ended = run(atode().args(["--url", "http://127.0.0.1:1", "queues"]));
    assert_eq!(ended.code, 1);
    for word in ["http://127.0.0.1:1", "Connection refused", "--direct", "--url"] {
        assert!(ended.err.contains(word), "{word} is missing: {}", ended.err);
    }
    let ended = run(atode().args(["--url", "http://no.such.host.invalid", "queues"]));
    assert!(ended.code == 1 && ended.err.contains("no gateway can be reached"), "{}", ended.err);
}

#[test]
fn the_configuration_names_the_gateway() {
    let redis = RedisServer::start();
    let gateway = Gateway::start(&redis);
    let port = gateway.port().to_string();
    for host in ["127.0.0.1", "0.0.0.0", "localhost"] {
        let process = atode().env("APP__SERVER__PORT", &port).env("APP__SERVER__HOST", host);
        let ended = run(process.arg("queues"));
        assert_eq!(ended.code, 0, "{host}: {}", ended.err);
    }
    let ended = run(atode().env("APP__SERVER__PORT", "0").arg("queues"));
    assert!(ended.code == 1 && ended.err.contains("--url"), "{}", ended.err);
    let ended = run(atode().env("APP_CONFIG_DIR", "/nowhere").arg("queues"));
    assert!(ended.code == 1 && ended.err.contains("without --url or ATODE_URL"), "{}", ended.err);
}

#[test]
fn a_rate_limit_says_when_to_try_again() {
    let redis = RedisServer::start();
    let limit = |key: &str| format!("APP__API__RATE_LIMIT__{key}");
    let gateway = Gateway::builder(&redis.addr()).env(limit("ENABLED"), "true");
    let gateway = gateway.env(limit("REQUESTS_PER_MINUTE"), "1").start();
    let ask = || run(atode().env("ATODE_URL", gateway.base_url()).arg("queues"));
    assert_eq!(ask().code, 0);
    let refused = ask();
    assert_eq!(refused.code, 1);
    let said = "atode: too many requests: the gateway's limit (minute) is used up; try again in ";
    assert!(refused.err.starts_with(said), "{}", refused.err);
}

#[test]
fn what_goes_to_redis_takes_no_url() {
    for args in [&["--direct", "--url", "http://a", "queues"][..], &["--url", "http://a", "audit"]] {
        let ended = run(atode().args(args));
        assert!(ended.code == 2 && ended.err.contains("leave out --url"), "{args:?}: {}", ended.err);
    }
    for wrong in ["127.0.0.1:8080", "ftp://a", "http://user:secret@a"] {
        let ended = run(atode().args(["--url", wrong, "queues"]));
        assert_eq!(ended.code, 2, "{wrong}: {}", ended.err);
    }
}

#[test]
fn a_password_in_an_address_is_not_shown() {
    let in_variable = run(atode().env("ATODE_URL", "http://bob:hunter2@127.0.0.1:1").arg("queues"));
    let in_argument = run(atode().args(["queues", "--url", "http://bob:hunter2@127.0.0.1:1"]));
    for refused in [in_variable, in_argument] {
        assert_eq!(refused.code, 2, "{}", refused.err);
        assert!(
            refused.err.contains("no user or password") && !refused.err.contains("hunter2"),
            "{}",
            refused.err
        );
    }
}
