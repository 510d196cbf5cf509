//! The console in a browser.

mod support;

use atode_testkit::{Gateway, Response, Worker, eventually};
use serde_json::json;
use support::{DEADLINE, KIND, Stored, UNKNOWN, enqueued, finished, problem, start, stored, text};

#[track_caller]
fn page(reply: &Response, status: u16) -> String {
    let html = reply.text();
    assert_eq!(reply.status, status, "{html}");
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"), "{html}");
    assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"), "{html}");
    assert!(
        reply
            .header("content-security-policy")
            .is_some_and(|policy| policy.starts_with("default-src 'none'"))
    );
    html
}

/// A request of a browser.
fn browse(gateway: &Gateway, path: &str) -> Response {
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    gateway.request("GET", path).header("Accept", accept).send()
}

/// A form sent by a browser.
fn submit(gateway: &Gateway, fields: &[(&str, &str)]) -> Response {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let form =
        gateway.request("POST", "/register").header("Content-Type", "application/x-www-form-urlencoded");
    form.header("Accept", "text/html").body(body.join("&")).send()
}

fn form<'a>(payload: &'a str, delay: &'a str, max_retries: &'a str) -> [(&'static str, &'a str); 4] {
    [("kind", KIND), ("payload", payload), ("delay", delay), ("max_retries", max_retries)]
}

const RELOADS: &str = "http-equiv=\"refresh\"";

#[test]
fn the_first_page_leads_to_the_page_that_registers_a_job() {
    let (redis, gateway) = start();
    let home = page(&browse(&gateway, "/"), 200);
    assert!(home.contains(r#"href="/register""#) && home.contains("No worker is running"), "{home}");
    let worker = Worker::start(&redis);
    let pid = worker.pid().to_string();
    eventually("the worker is shown", DEADLINE, || browse(&gateway, "/").text().contains(&pid).then_some(()));

    let register = page(&browse(&gateway, "/register"), 200);
    for part in [r#"<form method="post" action="/register">"#, KIND, "payload", "delay", "max_retries"] {
        assert!(register.contains(part), "{part}: {register}");
    }
    assert!(
        register.contains("&#34;message&#34;: &#34;Hello&#34;"),
        "an example payload of the kind: {register}"
    );
    // The example of another kind replaces the payload and keeps the other fields.
    let again =
        page(&browse(&gateway, &format!("/register?kind={KIND}&payload=x&delay=7s&max_retries=2")), 200);
    assert!(
        again.contains(r#"value="7s""#) && again.contains(r#"value="2""#) && again.contains("Hello"),
        "{again}"
    );
    page(&browse(&gateway, "/register?kind=no:such"), 200);
    let old = gateway.get("/dm-jobqueue");
    assert_eq!((old.status, old.header("location")), (302, Some("/register")));
}

#[test]
fn the_documentation_of_the_api_is_a_page_that_loads_nothing_and_leads_to_everything() {
    let (_redis, gateway) = start();
    let docs = page(&browse(&gateway, "/docs"), 200);
    for loading in ["<script", "<link", "<img", "<iframe", "@import", "url(", "src="] {
        assert!(!docs.contains(loading), "{loading}");
    }
    let document = gateway.get("/openapi.json").json();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        assert!(docs.contains(&format!("<code>{path}</code>")), "{path}");
        for operation in operations.as_object().expect("operations").values() {
            assert!(docs.contains(&format!("id=\"{}\"", text(&operation["operationId"]))), "{operation}");
        }
    }
    for (name, _) in document["components"]["schemas"].as_object().expect("schemas") {
        assert!(name.starts_with("payload.") || docs.contains(&format!("id=\"schema-{name}\"")), "{name}");
    }
    let targets = docs.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next());
    for target in targets {
        assert!(docs.contains(&format!("id=\"{target}\"")), "{target} leads nowhere");
    }
    assert!(docs.contains(&format!("<code>{KIND}</code>")) && docs.contains("The text to print"), "payloads");
    assert!(docs.contains("<code>Prefer: wait=30</code>"), "code between backticks");
    let home = page(&browse(&gateway, "/"), 200);
    assert!(home.contains(r#"href="/docs""#), "{home}");
}

#[test]
fn a_job_is_registered_and_shown_until_it_has_finished() {
    let (redis, gateway) = start();
    let submitted = submit(&gateway, &form(r#"{"message": "from a page"}"#, "2s", "5"));
    assert_eq!(submitted.status, 303, "{}", submitted.text());
    let path = submitted.header("location").expect("the job's page").to_owned();
    let waiting = page(&browse(&gateway, &path), 200);
    assert!(
        waiting.contains("scheduled") && waiting.contains("from a page") && waiting.contains(RELOADS),
        "{waiting}"
    );
    assert!(waiting.contains("0 of 6"), "{waiting}");

    let worker = Worker::start(&redis);
    let id = json!(path.trim_start_matches("/jobs/"));
    finished(&gateway, &id);
    let done = page(&browse(&gateway, &path), 200);
    assert!(done.contains("completed") && !done.contains(RELOADS), "{done}");
    assert!(done.contains(&format!("pid {}", worker.pid())), "{done}");
}

#[test]
fn an_active_job_is_shown_with_its_worker() {
    let (redis, gateway) = start();
    let job = enqueued(&gateway, &json!({"kind": KIND, "delay": "0s"}));
    let _claimed = Stored::on(&redis).claim("<b>a host</b>");
    let shown = page(&browse(&gateway, &format!("/jobs/{}", text(&job["id"]))), 200);
    assert!(shown.contains("active") && shown.contains("1 of 11") && shown.contains(RELOADS), "{shown}");
    assert!(shown.contains("a host") && !shown.contains("<b>"), "{shown}");
}

#[test]
fn an_invalid_form_is_shown_again_with_its_errors() {
    let (_redis, gateway) = start();
    let refused = page(&submit(&gateway, &form(r#"{"mesage": "<i>x</i>"}"#, "1", "many")), 422);
    for part in ["/payload/mesage", "/delay", "/max_retries", "0 to 1000", r#"value="many""#, "&#60;i&#62;"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    for (payload, delay, retries, part) in [
        ("{", "1s", "", "not JSON"),
        ("[]", "1s", "", "a payload is a JSON object"),
        ("{}", "-1s", "", "0s or more"),
        ("{}", "1s", "-1", "0 to 1000"),
        ("{}", "1s", "4294967296", "0 to 1000"),
    ] {
        let refused = page(&submit(&gateway, &form(payload, delay, retries)), 422);
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert!(
        page(
            &submit(&gateway, &[("kind", "no:such"), ("payload", "{}"), ("delay", ""), ("max_retries", "")]),
            422
        )
        .contains("/kind")
    );
    page(&submit(&gateway, &[("kind", KIND)]), 400);
    page(&submit(&gateway, &[("kind", KIND), ("payload", &"x".repeat(300_000))]), 413);
    let as_json =
        gateway.request("POST", "/register").header("Content-Type", "application/json").body("{}").send();
    problem(&as_json, 415, "unsupported-media-type");
    assert_eq!(stored(&gateway, "default"), 0);

    let empty = submit(&gateway, &form("", "", ""));
    assert_eq!(empty.status, 303, "an empty field means the default of the kind");
}

#[test]
fn data_of_clients_is_shown_and_never_executed() {
    let (_redis, gateway) = start();
    let payload = r#"{"message":"</pre><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"}"#;
    let job = submit(&gateway, &form(payload, "1h", ""));
    let shown = [
        browse(&gateway, job.header("location").expect("the job's page")),
        submit(&gateway, &form(r#"{"<script>":1}"#, "\"><script>alert(1)</script>", "<script>")),
        browse(&gateway, "/problems/<script>alert(1)</script>"),
        browse(&gateway, "/jobs/<script>alert(1)</script>"),
        browse(&gateway, "/<script>alert(1)</script>"),
    ];
    for reply in shown {
        let html = page(&reply, reply.status);
        assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
    }
}

#[test]
fn an_error_is_a_page_for_browsers_and_a_document_for_programs() {
    let (_redis, gateway) = start();
    let job = format!("/jobs/{UNKNOWN}");
    for path in ["/nope", &job, "/problems/nope"] {
        let reply = browse(&gateway, path);
        let html = page(&reply, 404);
        assert!(html.contains(reply.header("x-request-id").expect("an id")), "{html}");
        assert!(html.contains("/problems/not-found"), "{html}");
        problem(&gateway.get(path), 404, "not-found");
    }
    let refused = gateway.request("PUT", "/").header("Accept", "text/html").send();
    assert!(page(&refused, 405).contains("GET, HEAD"));
    assert_eq!(refused.header("allow"), Some("GET, HEAD"));
    // The API answers a browser with the document too.
    problem(&browse(&gateway, &format!("/v1/jobs/{UNKNOWN}")), 404, "not-found");
    problem(&browse(&gateway, "/v1/jobs/batch"), 405, "method-not-allowed");
}

#[test]
fn every_type_of_problem_has_a_page() {
    let (_redis, gateway) = start();
    for slug in [
        "malformed-request",
        "not-found",
        "method-not-allowed",
        "request-timeout",
        "payload-too-large",
        "unsupported-media-type",
        "invalid-request",
        "idempotency-key-reused",
        "request-head-too-large",
        "internal-error",
        "unavailable",
        "outcome-unknown",
    ] {
        let html = page(&browse(&gateway, &format!("/problems/{slug}")), 200);
        assert!(html.contains(slug), "{html}");
    }
}

#[test]
fn pages_are_useful_while_redis_is_away() {
    let (redis, gateway) = start();
    let job = enqueued(&gateway, &support::later());
    let job = format!("/jobs/{}", text(&job["id"]));
    redis.stop();
    eventually("the gateway notices the loss", DEADLINE, || {
        (gateway.get("/readyz").status == 503).then_some(())
    });
    let home = page(&browse(&gateway, "/"), 200);
    assert!(home.contains("cannot be seen now") && home.contains(r#"href="/register""#), "{home}");
    page(&browse(&gateway, "/register"), 200);
    let submitted = submit(&gateway, &form(r#"{"message": "kept"}"#, "7s", ""));
    let html = page(&submitted, 503);
    assert!(html.contains("Nothing was stored") && html.contains("kept") && html.contains("7s"), "{html}");
    assert!(submitted.header("retry-after").is_some());
    let watched = page(&browse(&gateway, &job), 503);
    assert!(watched.contains(RELOADS), "the page reloads itself until it can show the job: {watched}");

    redis.restart();
    eventually("the job is shown again", DEADLINE, || (browse(&gateway, &job).status == 200).then_some(()));
}
