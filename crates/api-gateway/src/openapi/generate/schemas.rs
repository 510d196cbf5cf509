//! The schemas of the JSON that the gateway reads and writes, made of the types that are parsed and serialized.

use std::collections::BTreeMap;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// Types whose names in the API differ from those in Rust.
const RENAMED: [(&str, &str); 23] = [
    ("AttemptView", "Attempt"),
    ("BackoffView", "Backoff"),
    ("BatchRequest", "Batch"),
    ("BulkView", "BulkOperation"),
    ("CheckName", "ExplainCheck"),
    ("DecidedKind", "KindDecision"),
    ("FailureExample", "FailedJob"),
    ("Happened", "HistoryTotal"),
    ("Happened2", "HistoryBuckets"),
    ("HeldView", "HeldDefinition"),
    ("Items", "QueueList"),
    ("Items2", "WorkerList"),
    ("Items3", "BulkOperationList"),
    ("JobView", "Job"),
    ("KindView", "Kind"),
    ("Numbers", "History"),
    ("Percentiles2", "PercentileBuckets"),
    ("ProblemDocument", "Problem"),
    ("PublishedView", "PublishedDefinition"),
    ("QueueView", "Queue"),
    ("Reason", "ExplainReason"),
    ("Registration", "Worker"),
    ("State", "JobState"),
];

/// Collects the schemas that operations refer to.
pub(super) struct Schemas {
    replies: SchemaGenerator,
    requests: SchemaGenerator,
    own: Map<String, Value>,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Schemas {
            replies: settings().for_serialize().into_generator(),
            requests: settings().for_deserialize().into_generator(),
            own: Map::new(),
        }
    }

    /// The name of the schema of what a reply of this type has.
    pub(super) fn of_reply<T: JsonSchema>(&mut self) -> String {
        name(&self.replies.subschema_for::<T>())
    }

    /// The name of the schema of a body that is parsed as this type.
    pub(super) fn of_request<T: JsonSchema>(&mut self) -> String {
        name(&self.requests.subschema_for::<T>())
    }

    /// The parameters of a query that is parsed as this type: name, schema and whether it is required.
    pub(super) fn of_query<T: JsonSchema>(&mut self) -> Vec<(String, Value, bool)> {
        let mut schema = self.requests.clone().into_root_schema_for::<T>();
        let definitions = schema.remove("components").unwrap_or_default();
        let required = schema.get("required").cloned().unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let parameter = |(name, property): (String, Value)| {
            let mut schema = resolved(without_null(property), &definitions);
            normalize(&mut schema);
            let required = required.as_array().is_some_and(|all| all.iter().any(|it| *it == name));
            (name, schema, required)
        };
        properties.into_iter().map(parameter).collect()
    }

    /// Adds a schema that no type has.
    pub(super) fn add(&mut self, name: &str, schema: Value) {
        self.own.insert(name.to_owned(), schema);
    }

    /// All schemas by name.
    pub(super) fn finish(mut self) -> BTreeMap<String, Value> {
        let mut all = self.replies.take_definitions(true);
        for (name, schema) in self.requests.take_definitions(true) {
            let before = all.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|before| before == schema), "two schemas have the name {name}");
        }
        all.extend(self.own);
        let renamed = |(name, mut schema): (String, Value)| {
            normalize(&mut schema);
            (api_name(&name).to_owned(), schema)
        };
        all.into_iter().map(renamed).collect()
    }
}

fn api_name(name: &str) -> &str {
    RENAMED.iter().find(|(rust, _)| *rust == name).map_or(name, |(_, api)| api)
}

fn name(schema: &Schema) -> String {
    let reference = schema.get("$ref").and_then(Value::as_str).expect("a type with a name");
    api_name(reference.rsplit('/').next().unwrap_or_default()).to_owned()
}

/// The schema of a parameter that is there. `?limit=` is never null.
fn without_null(mut schema: Value) -> Value {
    if let Some(types) = schema["type"].as_array() {
        let types: Vec<Value> = types.iter().filter(|kind| **kind != "null").cloned().collect();
        schema["type"] = types[0].clone();
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let mut choice = choices[0].clone();
        if let Some(about) = schema.get("description") {
            choice["description"] = about.clone();
        }
        return choice;
    }
    schema
}

/// Parameters have no references, so that generated clients take plain values.
fn resolved(schema: Value, definitions: &Value) -> Value {
    let Some(reference) = schema["$ref"].as_str() else { return schema };
    let name = reference.rsplit('/').next().unwrap_or_default();
    let mut target = definitions["schemas"][name].clone();
    if let Some(about) = schema.get("description") {
        target["description"] = about.clone();
    }
    target
}

/// Writes a schema as tools understand it best.
fn normalize(schema: &mut Value) {
    if let Ok(schema) = <&mut Schema>::try_from(schema) {
        Normalize.transform(schema);
    }
}

#[derive(Clone)]
struct Normalize;

impl Transform for Normalize {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        plain_enum(schema);
        if let Some(about) = schema.get("description").and_then(Value::as_str) {
            let about = unwrapped(about);
            schema.insert("description".to_owned(), about.into());
        }
        // Only readers of older records need them.
        schema.remove("default");
        schema.remove("title");
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let (folder, name) = reference.rsplit_once('/').expect("a path");
            let renamed = format!("{folder}/{}", api_name(name));
            schema.insert("$ref".to_owned(), renamed.into());
        }
        // `usize` has as many bits as the gateway's machine.
        if schema.get("format").is_some_and(|format| format == "uint") {
            schema.insert("format".to_owned(), "uint64".into());
        }
    }
}

/// Paragraphs and list items on a line each.
fn unwrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut begins = true;
    for line in text.lines() {
        match lines.last_mut() {
            Some(last) if !begins && !line.is_empty() && !line.starts_with("- ") => {
                last.push(' ');
                last.push_str(line);
            }
            _ => lines.push(line.to_owned()),
        }
        begins = line.is_empty();
    }
    lines.join("\n")
}

/// `oneOf` constants with a description each, which few generators understand, as one `enum`.
fn plain_enum(schema: &mut Schema) {
    let Some(choices) = schema.get("oneOf").and_then(Value::as_array) else { return };
    let (mut names, mut lines) = (Vec::new(), Vec::new());
    for choice in choices {
        let about = choice["description"].as_str().map(|about| about.replace('\n', " "));
        let constants = choice
            .get("const")
            .map_or_else(|| choice["enum"].as_array().cloned(), |one| Some(vec![one.clone()]));
        let Some(constants) = constants else { return };
        for constant in constants {
            lines.extend(
                about.as_ref().map(|about| format!("- `{}`: {about}", constant.as_str().unwrap_or_default())),
            );
            names.push(constant);
        }
    }
    let about = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let about = format!("{about}\n\n{}", lines.join("\n")).trim().to_owned();
    schema.remove("oneOf");
    schema.insert("type".to_owned(), "string".into());
    schema.insert("enum".to_owned(), names.into());
    if !about.is_empty() {
        schema.insert("description".to_owned(), json!(about));
    }
}
