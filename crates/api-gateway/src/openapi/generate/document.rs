//! The document as a whole, and its text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use utoipa::openapi::path::{Paths, PathsBuilder};
use utoipa::openapi::{
    ComponentsBuilder, HttpMethod, InfoBuilder, OpenApiBuilder, PathItem, Ref, RefOr, Response, Server, Tag,
};

use crate::http::problem_types::Slug;
use crate::openapi::generate::errors::Audience;
use crate::openapi::generate::operation::Operation;
use crate::openapi::generate::schemas::Schemas;
use crate::openapi::generate::{errors, headers};

/// The groups of operations, in the order in which they are shown.
const TAGS: [(&str, &str); 6] = [
    ("jobs", "Enqueue jobs, follow them, change them."),
    ("queues", "What waits and what failed, by queue, and changes of many jobs."),
    ("kinds", "The kinds of jobs that can be enqueued, with the JSON Schema of their payloads."),
    ("workers", "The processes that run jobs, and what happened."),
    ("probes", "For load balancers, orchestrators and Prometheus."),
    ("pages", "For people with a browser."),
];

const ABOUT: &str = "atode runs jobs later: clients enqueue them, each runs after its delay, at least once, on workers.\n\n\
    Requests and replies are JSON. Durations are `250ms`, `10s`, `3m` or ISO 8601; times are RFC 3339. Paths are \
    case-sensitive and have no trailing slash. Every path that answers GET answers HEAD too, without the body. Unknown \
    fields and query parameters are refused.\n\n\
    Every error is `application/problem+json` (RFC 9457), except for bytes that are not HTTP, for a head that is too \
    large (431), and for pages: a browser gets their errors as a page. Its `type` is the path of a page that explains it.\n\n\
    `x-payloads` of the schema `JobRequest` names the schema of the payload of each kind, as `GET /v1/kinds` does.";

/// A document in the making.
pub(super) struct Draft {
    pub(super) schemas: Schemas,
    tag: &'static str,
    paths: Paths,
    /// The replies of errors, by name.
    errors: BTreeMap<String, Response>,
}

impl Draft {
    pub(super) fn new() -> Self {
        Draft {
            schemas: Schemas::new(),
            tag: "",
            paths: PathsBuilder::new().build(),
            errors: BTreeMap::new(),
        }
    }

    /// The group of the operations that follow.
    pub(super) fn tag(&mut self, tag: &'static str) {
        assert!(TAGS.iter().any(|(known, _)| *known == tag), "{tag} is not described");
        self.tag = tag;
    }

    /// Adds an operation. `endpoint` is its method and path, `id` its name in generated clients.
    pub(super) fn add<'s>(
        &'s mut self,
        endpoint: &'static str,
        id: &str,
        summary: &str,
        describe: impl FnOnce(Operation<'s>) -> Operation<'s>,
    ) {
        let Draft { schemas, tag, paths, errors } = self;
        let operation = describe(Operation::new(schemas, endpoint, id, summary));
        let all = operation.all_errors();
        let mut builder = operation.builder.tag(*tag);
        for same in all.chunk_by(|a, b| a.about().status == b.about().status) {
            let audience = if *tag == "pages" { Audience::People } else { Audience::Programs };
            let name = errors::name(same, audience);
            errors.entry(name.clone()).or_insert_with(|| errors::response(same, audience));
            let reference = Ref::new(format!("#/components/responses/{name}"));
            builder = builder.response(same[0].about().status.to_string(), RefOr::<Response>::Ref(reference));
        }
        let method = match operation.method {
            "get" => HttpMethod::Get,
            "post" => HttpMethod::Post,
            "patch" => HttpMethod::Patch,
            "delete" => HttpMethod::Delete,
            other => panic!("the method {other}"),
        };
        let item = PathItem::new(method, builder);
        match paths.paths.get_mut(operation.path) {
            Some(known) => known.merge_operations(item),
            None => drop(paths.paths.insert(operation.path.to_owned(), item)),
        }
    }

    pub(super) fn finish(mut self) -> Value {
        self.schemas.of_reply::<crate::http::problem::ProblemDocument<'_>>();
        let mut components = ComponentsBuilder::new();
        for (name, response) in self.errors {
            components = components.response(name, response);
        }
        let info = InfoBuilder::new().title("atode").version("0").description(Some(ABOUT));
        let tags = TAGS.map(|(name, about)| {
            let mut tag = Tag::new(name);
            tag.description = Some(about.to_owned());
            tag
        });
        let document =
            OpenApiBuilder::new().info(info).paths(self.paths).components(Some(components.build()));
        let document = document.tags(Some(tags)).servers(Some([Server::new("/")]));
        let mut document = serde_json::to_value(document.build()).expect("JSON");
        // Nobody is asked who they are yet.
        document["security"] = json!([]);
        let components = &mut document["components"];
        components["headers"] = named(headers::of_replies());
        components["parameters"] = named(headers::of_requests());
        components["examples"] = Slug::ALL
            .iter()
            .filter(|slug| !errors::UNDOCUMENTED.contains(slug))
            .map(|slug| (slug.about().slug.to_owned(), errors::example(*slug)))
            .collect::<Map<_, _>>()
            .into();
        let mut schemas = self.schemas.finish();
        let problem_type =
            &mut schemas.get_mut("Problem").expect("errors have a schema")["properties"]["type"];
        problem_type["description"] = errors::types().into();
        components["schemas"] = json!(schemas);
        document
    }
}

fn named<T: serde::Serialize>(items: Vec<(&str, T)>) -> Value {
    let items =
        items.into_iter().map(|(name, item)| (name.to_owned(), serde_json::to_value(item).expect("JSON")));
    items.collect::<Map<_, _>>().into()
}

/// JSON with a line for each operation, schema and so on: small, and a change shows as the lines that it is about.
pub(super) fn text(document: &Value) -> String {
    let mut text = String::new();
    write_lines(document, &mut text, 0);
    text.push('\n');
    text
}

fn write_lines(value: &Value, text: &mut String, depth: usize) {
    const LINES: usize = 3;
    let Value::Object(fields) = value else {
        return write!(text, "{value}").expect("a string takes everything");
    };
    if depth >= LINES || fields.is_empty() {
        return write!(text, "{value}").expect("a string takes everything");
    }
    text.push('{');
    for (n, (name, field)) in fields.iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
        write!(text, "{comma}\n{}{}: ", " ".repeat(depth + 1), json!(name))
            .expect("a string takes everything");
        write_lines(field, text, depth + 1);
    }
    write!(text, "\n{}}}", " ".repeat(depth)).expect("a string takes everything");
}
