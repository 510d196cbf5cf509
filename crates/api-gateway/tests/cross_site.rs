//! Pages of other sites change nothing, and read nothing through a host name that they point at the gateway.

mod support;

use atode_testkit::{Gateway, RedisServer, Response};
use serde_json::json;
use support::{KIND, connected, enqueued, later, problem, start, stored};

fn with(gateway: &Gateway, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = gateway.request(method, path);
    headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let (_redis, gateway) = start();
    let job = enqueued(&gateway, &later());
    let path = support::address(&job["id"]);
    let origin = [("Origin", "http://evil.example"), ("Accept", "text/html")];
    let no_cors = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")];
    let another_port = [("Origin", "http://127.0.0.1:1"), ("Sec-Fetch-Site", "same-site")];
    for headers in [&origin[..], &no_cors, &another_port] {
        for (method, path) in [
            ("POST", "/v1/queues/default/purge?state=scheduled"),
            ("POST", "/v1/queues/default/pause"),
            ("POST", "/v1/workers/0190d3c2-7c3a-7b1e-8f00-5a2f6c1d9e4b/stop"),
            ("POST", "/v1/jobs"),
            ("POST", "/register"),
            ("POST", "/api/dm-jobqueue/register"),
            ("DELETE", path.as_str()),
            ("POST", "/nope"),
        ] {
            problem(&with(&gateway, method, path, headers), 403, "cross-site-request");
        }
        // A read changes nothing, and the browser does not show the reply to the page.
        assert_eq!(with(&gateway, "GET", &path, headers).status, 200);
        assert_eq!(with(&gateway, "OPTIONS", &path, headers).status, 405);
    }
    assert_eq!(stored(&gateway, "default"), 1);
    assert_eq!(gateway.get("/v1/queues/default").json()["paused"], false);
    assert_eq!(gateway.get("/problems/cross-site-request").status, 200);

    let own = gateway.base_url().to_owned();
    let headers = [("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(with(&gateway, "POST", &format!("{path}/cancel"), &headers).status, 200);
    let typed = [("Sec-Fetch-Site", "none")];
    assert_eq!(with(&gateway, "POST", "/v1/queues/default/pause", &typed).status, 200);
}

#[test]
fn a_request_for_an_unknown_host_is_refused() {
    let (redis, gateway) = start();
    for path in ["/v1/queues", "/", "/metrics", "/healthz", "/nope"] {
        problem(&with(&gateway, "GET", path, &[("Host", "evil.example")]), 421, "wrong-host");
    }
    let forwarded = [("X-Forwarded-Host", "localhost"), ("Host", "evil.example")];
    problem(&with(&gateway, "GET", "/v1/queues", &forwarded), 421, "wrong-host");
    assert_eq!(with(&gateway, "GET", "/v1/queues", &[("Host", "localhost:1")]).status, 200);
    assert_eq!(gateway.get("/problems/wrong-host").status, 200);
    assert_eq!(
        support::talk(gateway.port(), b"GET /v1/queues HTTP/1.0\r\nConnection: close\r\n\r\n").status,
        200,
        "without a name"
    );

    let named = configured(&redis, "APP__API__HOSTS", r#"["jobs.example.com"]"#);
    let host = |gateway: &Gateway, host| with(gateway, "GET", "/v1/queues", &[("Host", host)]).status;
    assert_eq!((host(&named, "jobs.example.com"), host(&named, "evil.example")), (200, 421));
    let open = configured(&redis, "APP__SERVER__HOST", "0.0.0.0");
    assert_eq!(host(&open, "whatever.example"), 200);
}

fn configured(redis: &RedisServer, name: &str, value: &str) -> Gateway {
    connected(Gateway::builder(&redis.addr()).env(name, value).start())
}

#[test]
fn a_trusted_proxy_names_the_host_of_the_request() {
    let redis = RedisServer::start();
    let gateway = Gateway::builder(&redis.addr())
        .env("APP__API__RATE_LIMIT__TRUSTED_PROXIES", "1")
        .env("APP__API__HOSTS", r#"["jobs.example.com"]"#);
    let gateway = connected(gateway.start());
    let post = |headers: &[(&str, &str)]| {
        let request = gateway.request("POST", "/v1/jobs").json(&json!({"kind": KIND, "delay": "1h"}));
        headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send().status
    };
    let (origin, forwarded) = (("Origin", "https://jobs.example.com"), "X-Forwarded-Host");
    assert_eq!(post(&[origin, (forwarded, "jobs.example.com")]), 201);
    assert_eq!(post(&[origin]), 403, "the proxy changed Host without X-Forwarded-Host");
    assert_eq!(post(&[origin, (forwarded, "evil.example")]), 421);
}

#[test]
fn browsers_do_not_guess_the_content_type_of_replies() {
    let (_redis, gateway) = start();
    for path in ["/v1/queues", "/", "/metrics", "/health", "/nope", "/dm-jobqueue"] {
        assert_eq!(gateway.get(path).header("x-content-type-options"), Some("nosniff"), "{path}");
    }
}
