//! Writes `document.json`: the operations of this folder with the schemas of the types that handlers parse and
//! serialize (decision 41). `WRITE_OPENAPI=1 cargo test -p api-gateway openapi` renews it.

mod bulk;
mod document;
mod errors;
mod examples;
mod headers;
mod jobs;
mod kinds;
mod operation;
mod pages;
mod probes;
mod queues;
mod schemas;
mod workers;

use std::path::Path;

use serde_json::Value;

use crate::openapi::cache::DOCUMENT;
use crate::openapi::generate::document::{Draft, text};

fn generated() -> Value {
    let mut draft = Draft::new();
    jobs::add(&mut draft);
    queues::add(&mut draft);
    kinds::add(&mut draft);
    workers::add(&mut draft);
    bulk::add(&mut draft);
    probes::add(&mut draft);
    pages::add(&mut draft);
    draft.finish()
}

#[test]
fn the_document_is_that_of_the_code() {
    let generated = text(&generated());
    if std::env::var_os("WRITE_OPENAPI").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/openapi/document.json");
        std::fs::write(path, generated).unwrap();
        return;
    }
    let hint = "document.json is out of date: run WRITE_OPENAPI=1 cargo test -p api-gateway openapi";
    assert!(generated == DOCUMENT, "{hint}");
}

#[test]
fn every_example_matches_its_schema() {
    let document = generated();
    let mut examples = 0;
    walk(&document, "", &mut |place, content| {
        let Some(schema) = content.get("schema") else { return };
        let named = content.get("examples").and_then(Value::as_object).into_iter().flatten();
        let named = named.map(|(_, example)| {
            let reference = example["$ref"].as_str().expect("a reference").trim_start_matches('#');
            document.pointer(reference).and_then(|example| example.get("value")).expect("an example")
        });
        for example in content.get("example").into_iter().chain(named) {
            let mut schema = schema.clone();
            schema["components"] = document["components"].clone();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let wrong: Vec<String> = validator.iter_errors(example).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{place}: {wrong:?}\n{example}");
            examples += 1;
        }
    });
    assert!(examples > 80, "{examples}");
}

#[test]
fn every_component_is_used() {
    let document = generated();
    let text = document.to_string();
    for (group, components) in document["components"].as_object().unwrap() {
        for name in components.as_object().unwrap().keys() {
            let reference = format!("\"#/components/{group}/{name}\"");
            assert!(text.contains(&reference), "nothing refers to {reference}");
        }
    }
}

#[test]
fn no_text_names_an_item_of_the_code() {
    walk(&generated(), "", &mut |place, value| {
        let about = value.get("description").and_then(Value::as_str).unwrap_or_default();
        assert!(!about.contains("[`") && !about.contains("::"), "{place}: {about}");
    });
}

/// Calls `see` with each object below `value` and its JSON pointer.
fn walk<'v>(value: &'v Value, place: &str, see: &mut impl FnMut(&str, &'v Value)) {
    match value {
        Value::Object(fields) => {
            see(place, value);
            fields.iter().for_each(|(name, field)| walk(field, &format!("{place}/{name}"), see));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| walk(item, &format!("{place}/{n}"), see));
        }
        _ => {}
    }
}
