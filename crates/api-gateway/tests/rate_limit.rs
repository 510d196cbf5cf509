//! Rate limits over HTTP: the limited routes and callers, and the headers of the replies.

mod support;

use atode_testkit::{Gateway, RedisServer};
use serde_json::{Value, json};
use support::limited::{kinds, limited, statuses};
use support::{request, talk};

#[test]
fn every_limited_reply_reports_its_quotas_and_a_refusal_names_the_limit() {
    let redis = RedisServer::start();
    let gateway = limited(&redis, 3).start();
    let first = gateway.get("/v1/kinds");
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit-policy"), Some("\"minute\";q=3;w=60, \"hour\";q=1000;w=3600"));
    assert_eq!(first.header("ratelimit"), Some("\"minute\";r=2;t=20, \"hour\";r=999;t=4"));
    assert_eq!(
        (first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")),
        (Some("3"), Some("2"))
    );
    assert_eq!(first.header("x-ratelimit-hour-limit"), Some("1000"));
    assert_eq!(first.header("x-ratelimit-hour-remaining"), Some("999"));
    let reset = |name| first.header(name).and_then(|reset| reset.parse::<u64>().ok()).expect("Unix seconds");
    assert!(reset("x-ratelimit-reset") > 1_700_000_000 && reset("x-ratelimit-hour-reset") > 1_700_000_000);

    // An error counts too, and reports the quotas.
    let missing = gateway.get("/v1/nothing");
    assert_eq!((missing.status, missing.header("x-ratelimit-remaining")), (404, Some("1")));
    gateway.get("/v1/kinds");
    let refused = gateway.get("/v1/kinds");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    let retry: u64 = refused.header("retry-after").and_then(|after| after.parse().ok()).expect("seconds");
    assert!((1..=20).contains(&retry), "{retry}");
    let problem = refused.json();
    assert_eq!(problem["type"], "/problems/rate-limited");
    assert_eq!(problem["violated-policies"], json!(["minute"]));
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("of 3 (api.rate_limit.requests_per_minute)"), "{detail}");
    assert!(gateway.get("/problems/rate-limited").text().contains("api.rate_limit.requests_per_minute"));
    assert!(problem["request_id"].is_string());
    assert_eq!(gateway.get("/problems/rate-limited").status, 200);
}

#[test]
fn the_route_is_limited_however_its_path_is_spelled() {
    let redis = RedisServer::start();
    let spellings = [
        "GET /v1/kinds",
        "GET /%76%31/kinds",
        "GET /v%31/k%69nds",
        "GET /%76%31/nothing",
        "DELETE /%76%31/kinds",
        "POST /v1/jobs",
        "GET /v1",
        "POST /%61pi/dm-jobqueue/register",
        "POST /register",
        "POST /%72egister",
    ];
    let gateway = limited(&redis, 1_000)
        .env("APP__API__RATE_LIMIT__REQUESTS_PER_HOUR", spellings.len().to_string())
        .start();
    // A request of a browser.
    let send = |line: &str| talk(gateway.port(), &request(line, &[("Accept", "text/html")], b""));
    for (n, line) in spellings.into_iter().enumerate() {
        let reply = send(line);
        let left = (spellings.len() - n - 1).to_string();
        assert_eq!(
            reply.header("x-ratelimit-hour-remaining"),
            Some(left.as_str()),
            "{line}: {:?}",
            reply.headers
        );
    }
    for line in spellings {
        let reply = send(line);
        let is_page = line.ends_with("egister") && !line.contains("dm-jobqueue");
        let format = if is_page { "text/html; charset=utf-8" } else { "application/problem+json" };
        assert_eq!((reply.status, reply.header("content-type")), (429, Some(format)), "{line}");
    }
}

#[test]
fn the_old_call_is_limited_while_health_and_pages_are_not() {
    let redis = RedisServer::start();
    let gateway = limited(&redis, 1).start();
    assert_eq!(gateway.post("/api/dm-jobqueue/register", &json!({})).status, 201);
    assert_eq!(gateway.post("/api/dm-jobqueue/register", &json!({})).status, 429);
    for path in ["/healthz", "/readyz", "/health", "/", "/register"] {
        for _ in 0..3 {
            let reply = gateway.get(path);
            assert_eq!((reply.status, reply.header("ratelimit")), (200, None), "{path}");
        }
    }
}

#[test]
fn a_forged_forwarded_for_changes_nothing_unless_proxies_are_trusted() {
    let redis = RedisServer::start();
    let garbage =
        ["1.1.1.1", "2.2.2.2, 3.3.3.3", "::1%eth0", "[2001:db8::1]:80", "1.2.3.4:5", "garbage", ",,,", ""];
    let direct = limited(&redis, 4).start();
    let replies = garbage.iter().map(|value| kinds(&direct, "x-forwarded-for", value));
    assert_eq!(statuses(replies), [200, 200, 200, 200, 429, 429, 429, 429]);

    let behind_one = limited(&redis, 1).env("APP__API__RATE_LIMIT__TRUSTED_PROXIES", "1").start();
    let from = |value: &str| kinds(&behind_one, "x-forwarded-for", value).status;
    assert_eq!(
        (from("9.9.9.9, 1.1.1.1"), from("8.8.8.8, 1.1.1.1")),
        (200, 429),
        "left of it a client writes"
    );
    assert_eq!((from("2.2.2.2"), from("2.2.2.2:80")), (200, 429));
    assert_eq!(
        (from("2001:db8:1:2::1"), from("2001:db8:1:2:ffff::9"), from("2001:db8:1:3::1")),
        (200, 429, 200)
    );
}

#[test]
fn jobs_have_their_own_limit_which_counts_every_job_of_a_batch() {
    let redis = RedisServer::start();
    let gateway = limited(&redis, 100).env("APP__API__RATE_LIMIT__JOBS_PER_MINUTE", "10").start();
    let batch = |jobs: usize| {
        let jobs: Vec<Value> = (0..jobs).map(|_| json!({"kind": "demo:delay_print"})).collect();
        gateway.post("/v1/jobs/batch", &json!({ "jobs": jobs }))
    };
    let first = batch(6);
    assert_eq!(first.status, 200);
    assert!(
        first.header("ratelimit").is_some_and(|left| left.contains("\"jobs-per-minute\";r=4")),
        "{:?}",
        first.headers
    );
    let refused = batch(6);
    assert_eq!((refused.status, &refused.json()["violated-policies"]), (429, &json!(["jobs-per-minute"])));
    assert!(refused.text().contains("api.rate_limit.jobs_per_minute"), "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    assert_eq!(gateway.post("/v1/jobs", &json!({"kind": "demo:delay_print"})).status, 201);
    let never = batch(11);
    assert_eq!((never.status, never.header("retry-after")), (422, None));
    assert!(never.json()["detail"].as_str().is_some_and(|detail| detail.contains("10 jobs at most")));
    assert_eq!(gateway.get("/v1/queues/default").json()["counts"]["scheduled"], 7);
}

#[test]
fn a_long_forwarded_for_is_read_from_the_right_and_a_huge_one_is_refused() {
    let redis = RedisServer::start();
    let many = vec!["7.7.7.7"; 5_000].join(", ");
    let send = |gateway: &Gateway, lines: &[&str]| {
        let headers: Vec<_> = lines.iter().map(|value| ("X-Forwarded-For", *value)).collect();
        talk(gateway.port(), &request("GET /v1/kinds", &headers, b"")).status
    };
    let spoofed: [&[&str]; 6] = [
        &[&many],
        &["1.1.1.1", "2.2.2.2", "3.3.3.3"],
        &["fe80::1%eth0, ::1%lo"],
        &["1.2.3.4:5, [2001:db8::1]:443"],
        &["\"1.2.3.4\", for=1.2.3.4;proto=http, \u{0}\u{1}"],
        &["💥, -1, 999.999.999.999, 0x7f.1"],
    ];
    let huge = "1.1.1.1,".repeat(1 << 17);

    let direct = limited(&redis, 2).start();
    let answers = spoofed.map(|lines| send(&direct, lines));
    // An invalid header is refused before the limit.
    let counted: Vec<u16> = answers.into_iter().filter(|status| *status != 400).collect();
    assert!(counted.len() >= 4 && counted[..2] == [200, 200], "{answers:?}");
    assert!(counted[2..].iter().all(|status| *status == 429), "{answers:?}");
    assert_eq!(send(&direct, &[&huge]), 431);

    let behind_one = limited(&redis, 1).env("APP__API__RATE_LIMIT__TRUSTED_PROXIES", "1").start();
    let from = |lines: &[&str]| send(&behind_one, lines);
    assert_eq!((from(&["6.6.6.6", &many, "8.8.8.8"]), from(&["5.5.5.5", "8.8.8.8"])), (200, 429));
    assert_eq!((from(&["8.8.8.8", "9.9.9.9"]), from(&[&format!("{many}, 9.9.9.9:80")])), (200, 429));
    // If the rightmost entry is invalid, the caller is the proxy itself, whatever precedes the entry.
    assert_eq!((from(&["4.4.4.4, garbage"]), from(&["3.3.3.3", "999.1.1.1"])), (200, 429));
    // Invalid text does not hide the entry that the proxy appended to it.
    assert_eq!((from(&["6.6.6.6", "💥, 2.2.2.2"]), from(&["7.7.7.7", "💥, 2.2.2.2"])), (200, 429));
    assert_eq!(from(&[&huge]), 431);
}
