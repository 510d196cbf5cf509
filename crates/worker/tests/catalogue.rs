//! The catalogue of kinds: workers publish their kinds, and hand back jobs of other builds.

mod support;

use atode_jobs::{Catalogue, Job, JobContext, JobError, Registry};
use atode_queue::{Edit, Edited, Reason, State};
use atode_testkit::{Worker as Process, eventually};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use support::{DEADLINE, Fixture, NOW, QUEUE, settings};

const KIND: &str = "test:mail";

macro_rules! builds {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field:meta])* $field_name:ident: $type:ty),+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            struct $name {
                $($(#[$field])* $field_name: $type,)+
            }

            impl Job for $name {
                const KIND: &'static str = KIND;

                async fn run(self, _: JobContext) -> Result<(), JobError> {
                    $(drop(self.$field_name);)+
                    Ok(())
                }
            }
        )+
    };
}

builds! {
    Old { to: String }
    /// One more optional field.
    Newer {
        to: String,
        #[serde(default)]
        cc: Option<String>
    }
    /// Another type.
    Incompatible { to: Vec<String> }
}

fn build<J: Job>() -> Registry {
    let mut registry = Registry::default();
    registry.register::<J>().expect("one kind");
    registry
}

/// The schema in force, if this satisfies the condition.
fn until_catalogue(fixture: &Fixture, what: &str, condition: impl Fn(&atode_jobs::CatalogueKind) -> bool) {
    eventually(what, DEADLINE, || {
        let catalogue = Catalogue::default();
        fixture.wait(catalogue.look(&fixture.client)).ok()?;
        catalogue.entry(KIND).filter(|entry| condition(entry)).map(drop)
    });
}

fn has_field(entry: &atode_jobs::CatalogueKind, field: &str) -> bool {
    let current = entry.current.as_ref().expect("a definition in force");
    current.definition.schema.json()["properties"].get(field).is_some()
}

fn counts(fixture: &Fixture) -> usize {
    let catalogue = Catalogue::default();
    fixture.wait(catalogue.look(&fixture.client)).expect("read");
    catalogue.all().len()
}

#[test]
fn a_worker_publishes_every_kind_once_per_build() {
    let fixture = Fixture::start();
    let _first = fixture.worker_with(settings(), build::<Old>());
    until_catalogue(&fixture, "the kind is published", |entry| has_field(entry, "to"));
    let generation = || {
        let catalogue = Catalogue::default();
        fixture.wait(catalogue.look(&fixture.client)).expect("read");
        catalogue.entry(KIND).map(|entry| entry.generation)
    };
    let before = generation();
    let _second = fixture.worker_with(settings(), build::<Old>());
    fixture.until_registered(2);
    // A third worker with another kind shows that the second one has had the time.
    let _third = Process::start(&fixture.redis);
    eventually("the other kinds are published", DEADLINE, || (counts(&fixture) > 1).then_some(()));
    assert_eq!(generation(), before);
}

#[test]
fn a_newer_build_with_a_new_optional_field_replaces_the_schema_and_the_old_one_hands_its_jobs_back() {
    let fixture = Fixture::start();
    let old = fixture.worker_with(settings(), build::<Old>());
    until_catalogue(&fixture, "the old schema is there", |entry| !has_field(entry, "cc"));
    let newer = fixture.worker_with(settings(), build::<Newer>());
    until_catalogue(&fixture, "the newer schema is there", |entry| has_field(entry, "cc"));
    newer.stop();

    let id = fixture.store(QUEUE, KIND, r#"{"to":"a","cc":"b"}"#, NOW, None);
    let readable = fixture.store(QUEUE, KIND, r#"{"to":"a"}"#, NOW, None);
    let wrong = fixture.store(QUEUE, KIND, r#"{"to":7}"#, NOW, None);
    fixture.until(readable, State::Completed);
    let dead = fixture.until(wrong, State::Dead);
    assert!(dead.last_error.expect("an error").contains("not one of this kind"), "a wrong payload is wrong");
    let waiting = fixture.until(id, State::Scheduled);
    assert!(waiting.attempts.is_empty() && waiting.attempt == 0, "{waiting:?}");
    old.stop();
    let _newer = fixture.worker_with(settings(), build::<Newer>());
    fixture.hurry(KIND);
    let job = fixture.until(id, State::Completed);
    assert!(job.attempts.is_empty() && job.attempt == 1, "{job:?}");
}

#[test]
fn a_job_that_no_live_build_can_read_is_explained_until_its_build_lives_or_its_payload_is_edited() {
    let fixture = Fixture::start();
    let explain = |id| {
        let facts = fixture.wait(fixture.client.explain(&[QUEUE.into()], id)).expect("asked");
        facts.expect("the job is known").explain()
    };
    let until_too_old = |id| {
        eventually("the build is too old", DEADLINE, || {
            Some(explain(id)).filter(|explanation| explanation.reason == Reason::BuildTooOld)
        })
    };
    let _old = fixture.worker_of_build("1.0-old", build::<Old>());
    until_catalogue(&fixture, "the old schema is there", |entry| !has_field(entry, "cc"));
    let newer = fixture.worker_of_build("2.0-newer", build::<Newer>());
    until_catalogue(&fixture, "the newer schema is there", |entry| has_field(entry, "cc"));
    newer.stop();

    let id = fixture.store(QUEUE, KIND, r#"{"to":"a","cc":"b"}"#, NOW, None);
    let edited = fixture.store(QUEUE, KIND, r#"{"to":"a","cc":"c"}"#, NOW, None);
    let explanation = until_too_old(id);
    let words = [&explanation.sentence, &explanation.what_to_do].map(String::as_str).join(" ");
    assert!(words.contains("2.0-newer") && words.contains("(build 1.0-old)"), "{explanation:#?}");

    until_too_old(edited);
    let payload = serde_json::value::RawValue::from_string(r#"{"to":"a"}"#.to_owned()).expect("JSON");
    let edit = Edit { payload: Some(payload), ..Edit::default() };
    let done = fixture.wait(fixture.client.edit(QUEUE, KIND, edited, None, &edit)).expect("edited");
    assert_eq!(done, Edited::Done);
    assert_eq!(explain(edited).reason, Reason::NotDue);

    let _newer = fixture.worker_of_build("2.0-newer", build::<Newer>());
    fixture.until_registered(2);
    assert_eq!(explain(id).reason, Reason::NotDue, "a live worker can read it");
    eventually("the newer build has run it", DEADLINE, || {
        fixture.hurry(KIND);
        (fixture.job(id).state == Some(State::Completed)).then_some(())
    });
}

#[test]
fn an_incompatible_schema_is_held_and_each_build_keeps_the_jobs_of_the_other() {
    let fixture = Fixture::start();
    let old = fixture.worker_with(settings(), build::<Old>());
    until_catalogue(&fixture, "the old schema is there", |entry| has_field(entry, "to"));
    old.stop();
    let new = fixture.worker_with(settings(), build::<Incompatible>());
    until_catalogue(&fixture, "the new schema is held", |entry| {
        let held =
            entry.held.as_ref().map(|held| held.definition.schema.json()["properties"]["to"]["type"].clone());
        held == Some("array".into())
    });
    let of_old = fixture.store(QUEUE, KIND, r#"{"to":"a"}"#, NOW, None);
    let of_new = fixture.store(QUEUE, KIND, r#"{"to":["a"]}"#, NOW, None);
    fixture.until(of_new, State::Completed);
    fixture.until(of_old, State::Scheduled);

    let decided =
        fixture.wait(atode_jobs::decide_kind(&fixture.client, KIND, atode_queue::HeldDecision::Accept));
    let decided = decided.expect("accepted");
    assert_eq!(decided.difference.as_deref(), Some("/properties/to/items differs"));
    // From now on, a payload of the old schema is wrong.
    eventually("the job is dead", DEADLINE, || {
        fixture.hurry(KIND);
        (fixture.job(of_old).state == Some(State::Dead)).then_some(())
    });
    new.stop();
}

#[test]
fn a_worker_says_loudly_that_its_schema_is_held() {
    let fixture = Fixture::start();
    let worker = Process::start(&fixture.redis);
    worker.wait_for_stderr(|log| log.contains("worker starting"), DEADLINE);
    eventually("its kinds are published", DEADLINE, || (counts(&fixture) > 0).then_some(()));
    let entry = fixture.redis.command(&["HGET", "atode:{kinds}", "demo:delay_print"]).text();
    let mut other: serde_json::Value = serde_json::from_str(&entry).expect("JSON");
    other["schema"]["required"] = serde_json::json!(["message"]);
    other["build"] = "0.0.9".into();
    drop(worker);
    fixture.redis.command(&["HSET", "atode:{kinds}", "demo:delay_print", &other.to_string()]);
    let worker = Process::start(&fixture.redis);
    let log = worker.wait_for_stderr(|log| log.contains("atode kinds accept demo:delay_print"), DEADLINE);
    let line = log.lines().find(|line| line.contains("atode kinds accept")).expect("just waited for");
    assert!(line.contains("ERROR") && line.contains("/required differs") && line.contains("0.0.9"), "{line}");
}

#[test]
fn the_catalogue_comes_back_after_redis_was_emptied() {
    let fixture = Fixture::start();
    let _worker = fixture.worker_with(settings(), build::<Old>());
    until_catalogue(&fixture, "the kind is published", |entry| has_field(entry, "to"));
    fixture.redis.command(&["FLUSHALL"]);
    until_catalogue(&fixture, "the kind is published again", |entry| has_field(entry, "to"));
}

#[test]
fn a_kind_leaves_the_catalogue_once_nothing_uses_it() {
    let fixture = Fixture::start();
    let worker = fixture.worker_with(settings(), build::<Old>());
    until_catalogue(&fixture, "the kind is published", |entry| has_field(entry, "to"));
    fixture.until_registered(1);
    let remove =
        || fixture.wait(atode_jobs::remove_kind(&fixture.client, KIND)).map_err(|error| error.to_string());
    let error = remove().expect_err("a worker has it");
    assert!(error.contains("live workers of build test have it (1)"), "{error}");
    worker.stop();
    let id = fixture.store(QUEUE, KIND, r#"{"to":"a"}"#, NOW, None);
    let error = remove().expect_err("a job has it");
    assert!(error.contains("has jobs of it (1,"), "{error}");
    fixture.wait(fixture.client.operate(QUEUE, KIND, id, atode_queue::Operation::Delete)).expect("deleted");
    remove().expect("nothing has it");
    assert_eq!(counts(&fixture), 0);
    let error = remove().expect_err("it is gone");
    assert!(error.contains("does not have"), "{error}");
}
