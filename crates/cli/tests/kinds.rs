//! The catalogue of kinds on the command line, over HTTP and directly on Redis.

mod support;

use std::time::Duration;

use atode_testkit::{Gateway, RedisServer, Worker, eventually};
use serde_json::{Value, json};
use support::{Ended, atode, run};

const DEADLINE: Duration = Duration::from_secs(30);
const KIND: &str = "demo:delay_print";

struct System {
    redis: RedisServer,
    gateway: Gateway,
}

impl System {
    fn start() -> Self {
        let redis = RedisServer::start();
        System { gateway: Gateway::start(&redis), redis }
    }

    /// Runs a command over HTTP, then directly.
    fn both(&self, args: &[&str]) -> [Ended; 2] {
        let http = atode().env("ATODE_URL", self.gateway.base_url()).args(args);
        let direct = atode()
            .env("APP__CACHE_SERVER__REDIS__JOBQUEUE__ADDR", self.redis.addr())
            .arg("--direct")
            .args(args);
        [run(http), run(direct)]
    }

    #[track_caller]
    fn same(&self, code: i32, args: &[&str]) -> String {
        let [http, direct] = self.both(args);
        let shown = |ended: &Ended| format!("{}{}", ended.out, ended.err);
        assert_eq!((http.code, shown(&http)), (code, shown(&direct)), "{args:?}");
        shown(&http)
    }

    /// Replaces the schema in force by one of another build that wants a message. A worker of this build holds its own.
    fn publish_other(&self) -> Worker {
        let first = Worker::start(&self.redis);
        let entry = eventually("the kind is published", DEADLINE, || {
            let entry = self.redis.command(&["HGET", "atode:{kinds}", KIND]);
            (!entry.is_null()).then(|| entry.text())
        });
        first.terminate();
        first.wait(DEADLINE);
        let mut other: Value = serde_json::from_str(&entry).expect("JSON");
        other["schema"]["required"] = json!(["message"]);
        other["build"] = "0.0.9".into();
        self.redis.command(&["HSET", "atode:{kinds}", KIND, &other.to_string()]);
        let worker = Worker::start(&self.redis);
        eventually("the definition is held", DEADLINE, || {
            let kind = self.gateway.get(&format!("/v1/kinds/{KIND}")).json();
            (kind.get("held").is_some() && kind["live_workers"] == 1).then_some(())
        });
        worker
    }
}

#[test]
fn a_held_definition_is_shown_and_accepted_or_rejected() {
    let system = System::start();
    for (n, action) in ["accept", "reject"].into_iter().enumerate() {
        let worker = system.publish_other();
        let listed = eventually("the gateway shows it", DEADLINE, || {
            let [http, direct] = system.both(&["kinds"]);
            (http.out == direct.out && http.out.contains("/required differs")).then_some(http.out)
        });
        assert!(listed.contains(KIND), "{listed}");
        if action == "reject" {
            assert!(system.same(1, &["kinds", action, KIND]).contains("live workers of build"));
        }
        worker.terminate();
        worker.wait(DEADLINE);
        let ended = system.both(&["kinds", action, KIND]);
        // The first way decides, and then nothing is held.
        assert_eq!((ended[0].code, ended[1].code), (0, 1), "{action}: {}{}", ended[0].err, ended[1].err);
        for word in [KIND, "build 0.0.9", "/required differs", ["accepted", "rejected"][n]] {
            assert!(ended[0].out.contains(word), "{word}: {}", ended[0].out);
        }
        assert!(ended[1].err.contains("nothing is held"), "{}", ended[1].err);
        system.redis.command(&["DEL", "atode:{kinds}", "atode:{kinds}:changes", "atode:{kinds}:held"]);
    }
}

#[test]
fn a_kind_that_is_in_use_is_not_removed() {
    let system = System::start();
    assert!(system.same(1, &["kinds", "rm", "no:such"]).contains("does not have no:such"));
    assert!(system.same(1, &["kinds", "accept", "no:such"]).contains("does not have no:such"));
    let worker = Worker::start(&system.redis);
    eventually("the kind is published and served", DEADLINE, || {
        let kind = system.gateway.get(&format!("/v1/kinds/{KIND}")).json();
        (kind["live_workers"] == 1 && kind.get("published").is_some()).then_some(())
    });
    assert!(system.same(1, &["kinds", "rm", KIND]).contains("live workers of build"));
    assert!(system.same(1, &["kinds", "reject", KIND]).contains("nothing is held"));
    assert!(!system.same(0, &["kinds", "--cursor", KIND]).contains(KIND));
    worker.terminate();
    worker.wait(DEADLINE);
    let [removed, again] = system.both(&["kinds", "rm", KIND]);
    assert_eq!(removed.out, format!("kind {KIND} is removed from the catalogue\n"), "{}", removed.err);
    assert_eq!(again.code, 1);
}
