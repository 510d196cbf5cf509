//! [`Http`] against a server that echoes requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;

use atode_testkit::Http;
use serde_json::json;

/// Answers one request with the head and body of that request, as JSON.
fn echo() -> Http {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut reader = BufReader::new(stream);
        let mut head = vec![];
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_lowercase());
        }
        let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).expect("a body");
        let echo = json!({"head": head, "body": String::from_utf8_lossy(&body)}).to_string();
        let reply = format!(
            "HTTP/1.1 303 See Other\r\nLocation: /x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: {}\r\n\r\n{echo}",
            echo.len()
        );
        reader.get_mut().write_all(reply.as_bytes()).expect("sent");
    });
    Http::new(url)
}

#[test]
fn requests_and_replies_are_not_altered() {
    let reply =
        echo().request("DELETE", "/v1/jobs?x=1").header("X-Key", "K").body(b"{broken".to_vec()).send();
    assert_eq!(reply.status, 303, "the redirect is not followed");
    assert_eq!(reply.header("LOCATION"), Some("/x"));
    assert_eq!(reply.headers.iter().filter(|(name, _)| name == "set-cookie").count(), 2);
    let echo = reply.json();
    assert_eq!(echo["body"], "{broken");
    let head = echo["head"].as_array().expect("lines");
    assert_eq!(head[0], "delete /v1/jobs?x=1 http/1.1");
    assert!(head.contains(&json!("x-key: k")));
    assert!(!reply.text().contains("content-type"));
}

#[test]
fn json_is_posted_as_json() {
    let echo = echo().post("/v1/jobs", &json!({"kind": "a:b"})).json();
    assert_eq!(echo["body"], r#"{"kind":"a:b"}"#);
    assert!(echo["head"].as_array().expect("lines").contains(&json!("content-type: application/json")));
}

#[test]
fn a_missing_reply_is_an_error_of_try_send() {
    let gone = Http::new("http://127.0.0.1:9");
    gone.request("GET", "/").try_send().expect_err("nobody listens at port 9");
}
