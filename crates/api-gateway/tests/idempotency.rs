//! `Idempotency-Key`: a repeated request is stored once.

mod support;

use std::collections::BTreeSet;
use std::thread;

use atode_testkit::{Gateway, RedisServer};
use serde_json::json;
use support::{
    KIND, Stored, address, enqueue_with_key, gateway, gateway_with_mail, job, later, problem, request, start,
    stored, talk_until_it_ends, text,
};

#[test]
fn the_same_key_and_body_return_the_same_job() {
    let (_redis, gateway) = start();
    let first = enqueue_with_key(&gateway, "order 7", &later());
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, None));
    let again = enqueue_with_key(&gateway, "order 7", &later());
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, Some("true")));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.json(), job(&gateway, &first.json()["id"]));
    assert_eq!(stored(&gateway, "default"), 1);
}

#[test]
fn the_same_key_with_another_body_is_refused_and_names_the_job() {
    let (_redis, gateway) = start();
    let first = enqueue_with_key(&gateway, "k", &later()).json();
    let other = enqueue_with_key(&gateway, "k", &json!({"kind": KIND, "delay": "2h"}));
    let problem = problem(&other, 422, "idempotency-key-reused");
    assert!(text(&problem["detail"]).contains(text(&first["id"])), "{problem}");
    assert_eq!(stored(&gateway, "default"), 1);
}

#[test]
fn each_queue_remembers_keys_for_its_configured_time() {
    let redis = RedisServer::start();
    let gateway = Gateway::builder(&redis.addr())
        .env("APP__QUEUES__DEFAULT__PARTITIONS", "1")
        .env("APP__QUEUES__MAIL__IDEMPOTENCY_TTL", "1m")
        .start();
    let to_mail = json!({"kind": KIND, "delay": "1h", "queue": "mail"});
    assert_eq!(enqueue_with_key(&gateway, "k", &later()).status, 201);
    assert_eq!(enqueue_with_key(&gateway, "k", &to_mail).status, 201);
    let ttl = |queue: &str| {
        let keys = redis.command(&["KEYS", &format!("atode:{{{queue}}}:idem:*")]).texts();
        assert_eq!(keys.len(), 1, "{keys:?}");
        redis.command(&["PTTL", &keys[0]]).int()
    };
    assert!((50_000..=60_000).contains(&ttl("mail")), "{}", ttl("mail"));
    let day = 24 * 60 * 60 * 1_000;
    assert!((day - 10_000..=day).contains(&ttl("default")), "{}", ttl("default"));
}

#[test]
fn a_quoted_key_and_an_unquoted_key_are_the_same() {
    let (_redis, gateway) = start();
    let first = enqueue_with_key(&gateway, "k", &later());
    let quoted = enqueue_with_key(&gateway, "\"k\"", &later());
    assert_eq!((first.status, quoted.status), (201, 200));
    assert_eq!(quoted.json()["id"], first.json()["id"]);
    problem(&enqueue_with_key(&gateway, "\"\"", &later()), 400, "malformed-request");
}

#[test]
fn a_refused_request_does_not_use_up_its_key() {
    let (_redis, gateway) = start();
    let refused = enqueue_with_key(&gateway, "k", &json!({"kind": KIND, "delay": "soon"}));
    problem(&refused, 422, "invalid-request");
    assert_eq!(enqueue_with_key(&gateway, "k", &later()).status, 201);
}

#[test]
fn a_key_is_remembered_after_its_job_is_removed() {
    let (redis, gateway) = start();
    let request = json!({"kind": KIND, "delay": "0s", "payload": {"message": "once"}});
    let first = enqueue_with_key(&gateway, "k", &request).json();
    let stored = Stored::on(&redis);
    stored.complete_and_forget(stored.claim("a host"));
    assert_eq!(gateway.get(&address(&first["id"])).status, 404);

    let again = enqueue_with_key(&gateway, "k", &request);
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, Some("true")));
    let gone = again.json();
    assert!(gone["state"].is_null(), "{gone}");
    for same in ["id", "kind", "queue", "payload", "enqueued_at", "max_retries"] {
        assert_eq!(gone[same], first[same], "{same}");
    }
}

#[test]
fn a_key_belongs_to_a_queue() {
    let (redis, _) = start();
    let gateway = gateway_with_mail(&redis);
    assert_eq!(enqueue_with_key(&gateway, "k", &later()).status, 201);
    let mail = json!({"kind": KIND, "delay": "1h", "queue": "mail"});
    assert_eq!(enqueue_with_key(&gateway, "k", &mail).status, 201);
    assert_eq!(enqueue_with_key(&gateway, "k", &mail).status, 200);
}

#[test]
fn twenty_concurrent_requests_with_one_key_on_two_gateways_store_one_job() {
    let (redis, first) = start();
    let second = gateway(&redis);
    let replies = thread::scope(|scope| {
        let asks = (0..20).map(|n| {
            let gateway = if n % 2 == 0 { &first } else { &second };
            scope.spawn(move || enqueue_with_key(gateway, "the same", &later()))
        });
        let asks: Vec<_> = asks.collect();
        asks.into_iter().map(|ask| ask.join().expect("a reply")).collect::<Vec<_>>()
    });
    let ids: BTreeSet<String> = replies.iter().map(|reply| text(&reply.json()["id"]).to_owned()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 19);
    assert_eq!(stored(&first, "default"), 1);
}

#[test]
fn a_key_has_1_to_255_printable_ascii_characters() {
    let (_redis, gateway) = start();
    let longest = "k".repeat(255);
    for key in ["k", "\"quoted\"", "a, b", "~", longest.as_str()] {
        assert_eq!(enqueue_with_key(&gateway, key, &later()).status, 201, "{key}");
    }
    let too_long = "k".repeat(256);
    for key in ["", "a\tb", "é", "キー", too_long.as_str()] {
        let detail =
            problem(&enqueue_with_key(&gateway, key, &later()), 400, "malformed-request")["detail"].clone();
        assert!(text(&detail).contains("Idempotency-Key"), "{key}: {detail}");
    }
    // The gateway does not read the whole of a head that is too large, so its client may see a reset instead of the reply.
    let huge = request("POST /v1/jobs", &[("Idempotency-Key", &"k".repeat(1_000_000))], b"");
    let reply = talk_until_it_ends(gateway.port(), &huge);
    assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 431"), "{reply}");
    let two =
        gateway.request("POST", "/v1/jobs").header("Idempotency-Key", "a").header("Idempotency-Key", "b");
    problem(&two.json(&later()).send(), 400, "malformed-request");
    // Only the items of a batch have keys in the body.
    let inside = json!({"kind": KIND, "delay": "1h", "idempotency_key": "k"});
    let refused = problem(&support::enqueue(&gateway, &inside), 422, "invalid-request");
    assert_eq!(support::pointers(&refused), ["/idempotency_key"]);
    assert_eq!(stored(&gateway, "default"), 5);
}
