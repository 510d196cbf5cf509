//! `GET /v1/jobs`: pages of jobs over HTTP.

mod support;

use atode_testkit::{Gateway, Worker};
use serde_json::{Value, json};
use support::{
    KIND, Stored, enqueue, enqueued, finished, gateway, gateway_with_mail, job, keys, later, pointers,
    problem, start, text,
};

fn list(gateway: &Gateway, query: &str) -> Value {
    let reply = gateway.get(&format!("/v1/jobs{query}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("a list");
    items.iter().map(|job| text(&job["id"]).to_owned()).collect()
}

#[test]
fn a_page_has_the_jobs_their_counts_and_the_cursor_of_the_next_page() {
    let (_redis, gateway) = start();
    let stored: Vec<String> = (0..5).map(|_| text(&enqueued(&gateway, &later())["id"]).to_owned()).collect();
    let mut found = Vec::new();
    let first = list(&gateway, "?state=scheduled&limit=2");
    assert_eq!(keys(&first), ["facets", "items", "next_cursor", "order"]);
    assert_eq!((&first["order"], &first["facets"]["state"]["scheduled"]), (&json!("asc"), &json!(5)));
    assert_eq!(first["facets"]["kind"], json!({KIND: 5}));
    assert_eq!(first["facets"]["queue"], json!({"default": 5}));
    found.extend(ids(&first));
    let mut cursor = first["next_cursor"].clone();
    while let Some(text) = cursor.as_str() {
        let page = list(&gateway, &format!("?state=scheduled&limit=2&cursor={text}"));
        assert_eq!(keys(&page), ["items", "next_cursor", "order"], "counted on the first page only");
        found.extend(ids(&page));
        cursor = page["next_cursor"].clone();
    }
    assert_eq!(found, stored);
    assert_eq!(list(&gateway, "?state=dead")["items"], json!([]));
}

#[test]
fn a_listed_job_has_the_fields_of_the_job_without_its_attempts() {
    let (redis, gateway) = start();
    let id =
        enqueued(&gateway, &json!({"kind": KIND, "delay": "0s", "payload": {"message": "hi"}}))["id"].clone();
    let _worker = Worker::start(&redis);
    finished(&gateway, &id);
    let page = list(&gateway, "?state=completed,dead&facets=false");
    let mut expected = job(&gateway, &id);
    let fields = expected.as_object_mut().expect("an object");
    fields.remove("attempts");
    fields.insert("payload_bytes".to_owned(), json!(r#"{"message":"hi"}"#.len()));
    assert_eq!(page["items"], json!([expected]));
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    let (_redis, gateway) = start();
    for _ in 0..3 {
        enqueued(&gateway, &later());
    }
    let cursor = list(&gateway, "?state=scheduled&limit=1")["next_cursor"].clone();
    let cursor = text(&cursor);
    for other in ["?limit=1", "?state=ready", "?state=scheduled&order=desc", "?state=scheduled&search=x"] {
        let reply = gateway.get(&format!("/v1/jobs{other}&cursor={cursor}"));
        let refused = problem(&reply, 422, "invalid-request");
        assert_eq!(pointers(&refused), ["/cursor"]);
    }
    problem(&gateway.get("/v1/jobs?cursor=nonsense"), 422, "invalid-request");
    let page = list(&gateway, &format!("?limit=2&state=scheduled&cursor={cursor}"));
    assert_eq!(ids(&page).len(), 2, "the number of jobs is no part of the list");
}

#[test]
fn a_wrong_filter_is_refused_with_what_there_is() {
    let (redis, gateway) = start();
    for (query, pointer) in [
        ("state=gone", "/state"),
        ("after=yesterday", "/after"),
        ("before=2030-01-31T09:30:00", "/before"),
        ("limit=0", "/limit"),
        ("limit=1001", "/limit"),
        ("order=newest", "/order"),
        ("search=", "/search"),
        ("facets=1", "/facets"),
        ("queue=nope", "/queue"),
        ("kind=no:such", "/kind"),
    ] {
        let refused = problem(&gateway.get(&format!("/v1/jobs?{query}")), 422, "invalid-request");
        assert_eq!(pointers(&refused), [pointer], "{query}");
    }
    problem(&gateway.get("/v1/jobs?offset=50"), 400, "malformed-request");
    // A kind that only another build knows has jobs here.
    Stored::on(&redis).enqueue("default", "other:kind", "{}");
    assert_eq!(ids(&list(&gateway, "?kind=other:kind")).len(), 1);
}

#[test]
fn jobs_of_all_queues_are_listed_unless_one_is_named() {
    let redis = atode_testkit::RedisServer::start();
    let both = gateway_with_mail(&redis);
    enqueued(&both, &later());
    let mail = json!({"kind": KIND, "delay": "1h", "queue": "mail"});
    let id = text(&enqueued(&both, &mail)["id"]).to_owned();
    assert_eq!(ids(&list(&both, "?queue=mail")), [id]);
    // This one does not have the queue in its configuration.
    let one = gateway(&redis);
    let page = list(&one, "");
    assert_eq!(ids(&page).len(), 2);
    assert_eq!(page["facets"]["queue"], json!({"default": 1, "mail": 1}));
}

#[test]
fn a_search_says_how_far_it_looked() {
    let (_redis, gateway) = start();
    for message in ["for Ann", "for Bob", "for ann"] {
        let job = json!({"kind": KIND, "delay": "1h", "payload": {"message": message}});
        assert_eq!(enqueue(&gateway, &job).status, 201);
    }
    let page = list(&gateway, "?search=ANN");
    assert_eq!(ids(&page).len(), 2);
    assert_eq!((&page["searched"]["jobs"], &page["searched"]["complete"]), (&json!(3), &json!(true)));
    assert!(page["searched"]["until"].is_string() && page["searched"]["bytes"].is_u64());
    assert_eq!(page["facets"]["state"]["scheduled"], 3, "counts do not search");
}
