//! Replies of a gateway that are compared with its OpenAPI document.

use std::collections::BTreeSet;

use atode_testkit::{Gateway, Response};
use serde_json::{Value, json};

/// Headers of every reply, whatever the operation.
const COMMON: [&str; 8] = [
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "transfer-encoding",
    "x-accel-buffering",
    "x-content-type-options",
];

/// A gateway and its document.
pub(crate) struct Described<'g> {
    gateway: &'g Gateway,
    pub(crate) document: Value,
    /// The replies that were compared: operation and status.
    seen: BTreeSet<String>,
    headers: BTreeSet<String>,
}

/// A request of an operation.
#[derive(Default)]
pub(crate) struct Call<'c> {
    /// Replaces the parameter in the path.
    pub(crate) at: &'c str,
    pub(crate) query: &'c str,
    pub(crate) headers: &'c [(&'c str, &'c str)],
    pub(crate) body: Option<Value>,
}

impl<'g> Described<'g> {
    pub(crate) fn new(gateway: &'g Gateway) -> Self {
        let document = gateway.get("/openapi.json").json();
        Described { gateway, document, seen: BTreeSet::new(), headers: BTreeSet::new() }
    }

    pub(crate) fn gateway(&self) -> &'g Gateway {
        self.gateway
    }

    /// Sends the request, and asserts that the document describes the reply.
    #[track_caller]
    pub(crate) fn call(&mut self, operation: &str, call: Call<'_>) -> Response {
        let (method, template) = operation.split_once(' ').expect("a method and a path");
        let path = filled(template, call.at) + call.query;
        let mut request = self.gateway.request(&method.to_ascii_uppercase(), &path);
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        if let Some(body) = call.body {
            request = request.json(&body);
        }
        let reply = request.send();
        self.check(operation, &reply);
        reply
    }

    /// [`call`](Self::call) for a reply with this status.
    #[track_caller]
    pub(crate) fn expect(&mut self, status: u16, operation: &str, call: Call<'_>) -> Value {
        let reply = self.call(operation, call);
        assert_eq!(reply.status, status, "{operation}: {}", reply.text());
        serde_json::from_slice(&reply.body).unwrap_or_default()
    }

    /// The example body of the document.
    pub(crate) fn example(&self, operation: &str) -> Value {
        let example = &self.operation(operation)["requestBody"]["content"]["application/json"]["example"];
        assert!(example.is_object(), "{operation} has no example");
        example.clone()
    }

    /// Asserts that the document describes the reply: its status, headers, content type and JSON.
    #[track_caller]
    pub(crate) fn check(&mut self, operation: &str, reply: &Response) {
        let place = format!("{operation}: {} {:?} {}", reply.status, reply.headers, reply.text());
        let described = &self.operation(operation)["responses"][reply.status.to_string()];
        let described = self.resolved(described).clone();
        assert!(described.is_object(), "the status is not described: {place}");
        for (name, _) in reply.headers.iter().filter(|(name, _)| !COMMON.contains(&name.as_str())) {
            let headers = described["headers"].as_object().into_iter().flatten();
            let mut same = headers.filter(|(described, _)| described.eq_ignore_ascii_case(name));
            let (described, _) =
                same.next().unwrap_or_else(|| panic!("the header {name} is not described: {place}"));
            self.headers.insert(described.clone());
        }
        let content_type =
            reply.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
        match described.get("content") {
            None => assert!(reply.body.is_empty(), "the body is not described: {place}"),
            Some(content) => {
                let content = &content[content_type];
                assert!(content.is_object(), "the type {content_type} is not described: {place}");
                if content_type.ends_with("json") {
                    self.check_json(&content["schema"], &reply.json(), &place);
                }
            }
        }
        self.seen.insert(format!("{operation} {}", reply.status));
    }

    /// Asserts that every operation has answered with each of its successful statuses, and every described header
    /// was sent.
    pub(crate) fn check_that_all_was_seen(&self) {
        let replies = self.operations().into_iter().flat_map(|operation| {
            let responses = self.operation(&operation)["responses"].as_object().expect("replies");
            let successes = responses.keys().filter(|status| status.as_str() < "400");
            successes.map(|status| format!("{operation} {status}")).collect::<Vec<_>>()
        });
        let unseen: Vec<String> = replies.filter(|reply| !self.seen.contains(reply)).collect();
        assert!(unseen.is_empty(), "the document describes replies that this test has not seen: {unseen:#?}");
        let headers = self.document["components"]["headers"].as_object().expect("headers");
        // Only while Redis is away, and beyond a limit.
        let sent = |name: &String| name == "Retry-After" || self.headers.contains(name);
        let unsent: Vec<&String> = headers.keys().filter(|name| !sent(name)).collect();
        assert!(unsent.is_empty(), "the document describes headers that no reply had: {unsent:?}");
    }

    /// Every operation, such as `get /v1/jobs/{id}`.
    pub(crate) fn operations(&self) -> BTreeSet<String> {
        let paths = self.document["paths"].as_object().expect("paths").iter();
        paths
            .flat_map(|(path, item)| {
                item.as_object().expect("operations").keys().map(move |method| format!("{method} {path}"))
            })
            .collect()
    }

    fn operation(&self, operation: &str) -> &Value {
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let found = &self.document["paths"][path][method];
        assert!(found.is_object(), "{operation} is not described");
        found
    }

    fn resolved<'v>(&'v self, value: &'v Value) -> &'v Value {
        let target =
            value["$ref"].as_str().map(|target| self.document.pointer(target.trim_start_matches('#')));
        target.map_or(value, |target| target.expect("what a reference leads to"))
    }

    /// Objects have no other fields than those of the document.
    fn check_json(&self, schema: &Value, json: &Value, place: &str) {
        let mut schema = schema.clone();
        schema["components"]["schemas"] = self.document["components"]["schemas"].clone();
        close(&mut schema);
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let wrong: Vec<String> =
            validator.iter_errors(json).map(|error| format!("{} {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{wrong:#?}\n{place}");
    }
}

/// The path with this value for its parameter.
pub(crate) fn filled(template: &str, value: &str) -> String {
    match (template.find('{'), template.find('}')) {
        (Some(from), Some(to)) => format!("{}{value}{}", &template[..from], &template[to + 1..]),
        _ => template.to_owned(),
    }
}

/// Forbids further fields.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object)
                && !fields.contains_key("additionalProperties")
            {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
