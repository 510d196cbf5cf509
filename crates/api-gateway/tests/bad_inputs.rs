//! Mistakes of clients in a job. Each is a 4xx that says where the mistake is and what is expected.

mod support;

use atode_testkit::{Gateway, Response};
use serde_json::Value;
use support::{pointers, problem, start, stored, text};

/// `server.max_body_bytes`
const LIMIT: usize = 262_144;

fn post(gateway: &Gateway, body: impl Into<Vec<u8>>) -> Response {
    gateway.request("POST", "/v1/jobs").header("Content-Type", "application/json").body(body).send()
}

/// `{"kind": …, <rest>}`
fn with(rest: &str) -> String {
    format!(r#"{{"kind":"demo:delay_print",{rest}}}"#)
}

/// Asserts that nothing was stored, nothing panicked and nothing was the gateway's fault.
fn assert_unharmed(gateway: &Gateway) {
    assert_eq!(stored(gateway, "default"), 0);
    let log = gateway.stderr();
    assert!(!log.contains("panicked") && !log.contains("status=500"), "{log}");
}

#[test]
fn a_body_that_is_not_a_json_object_is_malformed() {
    let (_redis, gateway) = start();
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let cases: [(&str, &[u8]); 22] = [
        ("empty", b""),
        ("blank", b" \r\n\t "),
        ("broken", b"{"),
        ("truncated", br#"{"kind":"demo:del"#),
        ("truncated payload", br#"{"kind":"demo:delay_print","payload":{"message":"#),
        ("not UTF-8", b"{\"kind\":\"demo:delay_print\",\"payload\":{\"message\":\"\xff\"}}"),
        ("UTF-16", b"{\0\"\0k\0"),
        ("two byte order marks", b"\xef\xbb\xbf\xef\xbb\xbf{\"kind\":\"demo:delay_print\"}"),
        ("lone surrogate in a name", br#"{"kind":"\ud800"}"#),
        ("lone surrogate in a delay", br#"{"kind":"demo:delay_print","delay":"\udfff"}"#),
        ("null", b"null"),
        ("array", b"[]"),
        ("array of the right values", br#"["demo:delay_print",{}]"#),
        ("string", br#""demo:delay_print""#),
        ("number", b"1e400"),
        ("nested 10,000 deep", deep.as_bytes()),
        ("trailing comma", br#"{"kind":"demo:delay_print",}"#),
        ("trailing text", br#"{"kind":"demo:delay_print"} x"#),
        ("two documents", br#"{"kind":"demo:delay_print"}{"kind":"demo:delay_print"}"#),
        ("comment", br#"{"kind":"demo:delay_print"/**/}"#),
        ("not a number", br#"{"kind":"demo:delay_print","max_retries":NaN}"#),
        ("number out of range", br#"{"kind":"demo:delay_print","max_retries":1e400}"#),
    ];
    for (name, body) in cases {
        eprintln!("{name}");
        let problem = problem(&post(&gateway, body), 400, "malformed-request");
        assert!(problem.get("errors").is_none(), "{problem}");
    }
    assert_unharmed(&gateway);
}

#[test]
fn the_error_of_a_field_has_its_pointer() {
    let (_redis, gateway) = start();
    let deep = r#"{"a":"#.repeat(10_000) + "1" + &"}".repeat(10_000);
    let long = "9".repeat(10_000);
    let field =
        |pointer: &'static str, value: &str| (with(&format!(r#""{}":{value}"#, &pointer[1..])), pointer);
    let mut cases = vec![
        (r"{}".to_owned(), ""),
        (r#"{"payload":{}}"#.to_owned(), ""),
        (r#"{"kind":null}"#.to_owned(), "/kind"),
        (r#"{"kind":1}"#.to_owned(), "/kind"),
        (r#"{"kind":["demo:delay_print"]}"#.to_owned(), "/kind"),
        (with(r#""kind":"demo:delay_print""#), ""),
        (with(r#""delay":"1s","d\u0065lay":"2s""#), ""),
        (with(r#""payload":{},"payload":{}"#), ""),
        (with(r#""dleay":"1s""#), "/dleay"),
        (with(r#""a/b~c":1"#), "/a~1b~0c"),
        (with(&format!(r#""x":{deep}"#)), "/x"),
        (with(r#""payload":null"#), "/payload"),
        (with(r#""payload":[]"#), "/payload"),
        (with(r#""payload":"Hello""#), "/payload"),
        (with(&format!(r#""payload":{deep}"#)), "/payload/a"),
        (with(&format!(r#""payload":{{"message":{deep}}}"#)), "/payload/message"),
        (with(r#""payload":{"mesage":"x"}"#), "/payload/mesage"),
        (with(r#""payload":{"message":9007199254740993}"#), "/payload/message"),
        (with(r#""payload":{"message":"\ud800"}"#), "/payload/message"),
        (with(r#""payload":{"message":"a","message":"b"}"#), "/payload"),
        (with(r#""delay":"1s","run_at":"2030-01-31T09:30:00Z""#), "/run_at"),
        (with(r#""idempotency_key":"k""#), "/idempotency_key"),
        (with(r#""durability":"relaxed""#), "/durability"),
    ];
    for kind in [
        "",
        "a:b",
        "demo:DELAY_PRINT",
        "demo:delay_print ",
        "a\\u0000b",
        "a\\r\\nb",
        "<script>alert(1)</script>",
        &long,
    ] {
        cases.push((format!(r#"{{"kind":"{kind}"}}"#), "/kind"));
    }
    for queue in ["", "{}", "a:b", "*", "Default", "a\\u0000", "a\\r\\nb", "../x", &long] {
        cases.push(field("/queue", &format!(r#""{queue}""#)));
    }
    for delay in [
        "-1",
        "0",
        "1.5",
        "9223372036854775808",
        "true",
        "[]",
        "{}",
        r#""""#,
        r#""1""#,
        r#""-1""#,
        r#""-1s""#,
        r#""8760h 1ms""#,
        r#""1e400s""#,
        r#""9223372036854775808s""#,
        r#""3 parsecs""#,
        r#""P1Y""#,
        r#""1s\u0000""#,
        &format!("\"{long}s\""),
    ] {
        cases.push(field("/delay", delay));
    }
    for run_at in [
        "1",
        "[]",
        r#""""#,
        r#""tomorrow""#,
        r#""2030-01-31""#,
        r#""2030-01-31T09:30:00""#,
        r#""2030-13-01T00:00:00Z""#,
        r#""0001-01-01T00:00:00Z""#,
        r#""9999-12-31T23:59:59Z""#,
        r#""+010000-01-01T00:00:00Z""#,
        r#""1970-01-01T00:00:00Z""#,
    ] {
        cases.push(field("/run_at", run_at));
    }
    for retries in ["-1", "1001", "4294967296", "9223372036854775808", "1.5", r#""1""#, "true", "[]"] {
        cases.push(field("/max_retries", retries));
    }
    for (body, pointer) in cases {
        let shown = &body[..body.len().min(100)];
        eprintln!("{shown}");
        let problem = problem(&post(&gateway, body.as_str()), 422, "invalid-request");
        assert_eq!(pointers(&problem), [pointer], "{shown}");
        let detail = text(&problem["detail"]);
        assert!(!detail.contains(" column "), "a position within the payload is misleading: {detail}");
        assert!(!detail.starts_with(':') && !detail.contains("u32"), "{shown}: {detail}");
    }
    assert_unharmed(&gateway);
}

#[test]
fn all_errors_are_reported_at_once() {
    let (_redis, gateway) = start();
    let body = with(r#""payload":{"message":1},"queue":"?","delay":10,"max_retries":-1,"durability":"x""#);
    let problem = problem(&post(&gateway, body), 422, "invalid-request");
    assert_eq!(pointers(&problem), ["/payload/message", "/queue", "/delay", "/max_retries", "/durability"]);
    let detail = |pointer: &str| {
        let errors = problem["errors"].as_array().expect("a list");
        let error = errors.iter().find(|error| error["pointer"] == pointer).expect("an error of this field");
        text(&error["detail"]).to_owned()
    };
    assert!(detail("/queue").contains("default"));
    assert!(detail("/delay").contains("10s"));
    assert!(detail("/max_retries").contains("0 to 1000"));
    assert!(text(&problem["detail"]).contains("4 more"), "{problem}");
}

#[test]
fn values_at_the_limits_are_accepted() {
    let (_redis, gateway) = start();
    for body in [
        with(r#""delay":"8760h""#),
        with(r#""delay":"PT0S""#),
        with(r#""max_retries":0"#),
        with(r#""max_retries":1000,"queue":"default""#),
        with(r#""payload":{"message":null}"#),
        with(r#""payload":{"message":"<script>alert(1)</script> redis.call('FLUSHALL') \u0000"}"#),
        format!("\r\n\t {} \r\n", with(r#""payload":{}"#)),
        format!("\u{feff}{}", with(r#""payload":{}"#)),
    ] {
        assert_eq!(post(&gateway, body.as_str()).status, 201, "{body}");
    }
    for encoding in ["identity", "Identity", "", "identity, identity"] {
        let request = gateway.request("POST", "/v1/jobs").header("Content-Encoding", encoding);
        let request = request.header("Content-Type", "application/json").body(with(r#""payload":{}"#));
        assert_eq!(request.send().status, 201, "{encoding}");
    }
    for content_type in ["APPLICATION/JSON", "application/json; charset=utf-8"] {
        let request = gateway.request("POST", "/v1/jobs").header("Content-Type", content_type);
        assert_eq!(request.body(with(r#""payload":{}"#)).send().status, 201, "{content_type}");
    }
}

#[test]
fn a_body_of_another_content_type_is_refused() {
    let (_redis, gateway) = start();
    let send = |headers: &[(&str, &str)]| {
        let request = gateway.request("POST", "/v1/jobs").body(with(r#""payload":{}"#));
        headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
    };
    let json = ("Content-Type", "application/json");
    for headers in [
        &[][..],
        &[("Content-Type", "")],
        &[("Content-Type", "text/plain")],
        &[("Content-Type", "application/x-www-form-urlencoded")],
        &[("Content-Type", "application/jsonx")],
        &[("Content-Type", "application/json, text/plain")],
        &[("Content-Type", "garbage")],
        &[json, json],
        &[json, ("Content-Encoding", "gzip")],
        &[json, ("Content-Encoding", "identity, br")],
    ] {
        let reply = send(headers);
        let problem = problem(&reply, 415, "unsupported-media-type");
        assert!(text(&problem["detail"]).contains("Content-"), "{problem}");
        let is_encoded = headers.iter().any(|(name, _)| *name == "Content-Encoding");
        assert_eq!(reply.header("accept-encoding"), is_encoded.then_some("identity"), "{problem}");
    }
    assert_unharmed(&gateway);
}

#[test]
fn a_body_one_byte_over_the_limit_is_too_large() {
    let (_redis, gateway) = start();
    let of_length = |length: usize| {
        let empty = with(r#""delay":"1h","payload":{"message":""}"#);
        empty.replace(r#""message":"""#, &format!(r#""message":"{}""#, "x".repeat(length - empty.len())))
    };
    let refused = |body: String| {
        let problem = problem(&post(&gateway, body), 413, "payload-too-large");
        assert!(text(&problem["detail"]).contains("262144"), "{problem}");
    };
    refused(of_length(LIMIT + 1));
    refused(of_length(20 * LIMIT));
    assert_unharmed(&gateway);
    let taken = post(&gateway, of_length(LIMIT));
    assert_eq!(taken.status, 201, "{}", taken.text());
    let read: Value = gateway.get(taken.header("location").expect("its address")).json();
    assert_eq!(read["payload"], taken.json()["payload"]);
}

/// `?dry_run=true` and the like must not be found out by their absence. Routes are those of the source.
#[test]
fn what_no_handler_would_read_is_refused() {
    const ROUTES: &str = include_str!("../src/routes.rs");
    let (_redis, gateway) = start();
    let id = text(&support::enqueued(&gateway, &support::later())["id"]).to_owned();
    let mut refused = 0;
    for route in ROUTES.split("\"/v1/").skip(1) {
        let (path, handlers) = route.split_once('"').expect("a path");
        let path = path.replace("{id}", &id).replace("{queue}", "default").replace("{kind}", support::KIND);
        let path = format!("/v1/{}", path.replace("{fingerprint}", "0123456789abcdef"));
        let handlers = handlers.split(",\n").next().unwrap_or_default();
        for (method, call) in
            [("GET", "get()"), ("POST", ".post("), ("PATCH", ".patch("), ("DELETE", ".delete(")]
        {
            if handlers.contains(call) {
                let request = gateway.request(method, &format!("{path}?no_such_parameter=1"));
                problem(&request.send(), 400, "malformed-request");
                refused += 1;
            }
        }
    }
    assert!(refused > 30, "{refused}");

    for path in ["/cancel", "/redrive", "/run-now"].map(|action| format!("/v1/jobs/{id}{action}")) {
        let with = |name, value| gateway.request("POST", &path).header(name, value).send();
        problem(&with("If-Match", "\"0000\""), 400, "malformed-request");
    }
    problem(
        &gateway.request("DELETE", &format!("/v1/jobs/{id}")).header("If-Match", "\"0000\"").send(),
        400,
        "malformed-request",
    );
    for path in ["/v1/queues/default/redrive", "/v1/queues/default/purge?state=scheduled"] {
        let body = |text: &str| {
            gateway.request("POST", path).header("Content-Type", "application/json").body(text).send()
        };
        problem(&body(r#"{"kind":"demo:delay_print"}"#), 400, "malformed-request");
        problem(&gateway.request("POST", path).body(" ".repeat(100)).send(), 400, "malformed-request");
    }
    assert_eq!(stored(&gateway, "default"), 1);
    let purge = gateway.request("POST", "/v1/queues/default/purge?state=scheduled");
    assert_eq!(purge.body("{}").send().json()["moved"], 1);
    let unknown = gateway.request("POST", "/v1/queues/default/purge?state=dead&kind=no:such").send();
    assert_eq!(pointers(&problem(&unknown, 422, "invalid-request")), ["/kind"]);
}
