//! One operation of the document, and the replies that its scope and its method imply.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, ResponseBuilder, Schema};

use crate::http::problem_types::Slug;
use crate::openapi::generate::headers::RATE_LIMITS;
use crate::openapi::generate::schemas::Schemas;

/// The content types of bodies.
pub(super) const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html";
pub(super) const TEXT: &str = "text/plain";

/// An operation of the document.
pub(super) struct Operation<'s> {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) builder: OperationBuilder,
    /// The errors of the operation itself; `implied` has the others.
    errors: Vec<Slug>,
    has_body: bool,
    schemas: &'s mut Schemas,
}

impl<'s> Operation<'s> {
    pub(super) fn new(schemas: &'s mut Schemas, endpoint: &'static str, id: &str, summary: &str) -> Self {
        let (method, path) = endpoint.split_once(' ').expect("a method and a path");
        let mut operation = Operation {
            method,
            path,
            builder: OperationBuilder::new().operation_id(Some(id)).summary(Some(summary)),
            errors: Vec::new(),
            has_body: false,
            schemas,
        };
        for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let of = path.split('/').nth(2).unwrap_or_default();
            let (about, schema) = path_parameter(of, name);
            operation = operation.parameter(name, ParameterIn::Path, about, &schema, true);
        }
        operation
    }

    pub(super) fn about(mut self, text: &str) -> Self {
        self.builder = self.builder.description(Some(text));
        self
    }

    /// The parameters of a query that the handler parses as `T`.
    pub(super) fn query<T: JsonSchema>(mut self) -> Self {
        for (name, mut schema, required) in self.schemas.of_query::<T>() {
            let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let about = about.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            self = self.parameter(&name, ParameterIn::Query, &about, &schema, required);
        }
        self
    }

    /// A query that the page parses itself.
    pub(super) fn text_query(self, name: &str, about: &str) -> Self {
        self.parameter(name, ParameterIn::Query, about, &json!({"type": "string"}), false)
    }

    /// A header of the request, by its name among the document's parameters.
    pub(super) fn header(mut self, name: &str) -> Self {
        self.builder = self.builder.parameter_ref(Ref::new(format!("#/components/parameters/{name}")));
        self
    }

    /// A body that the handler parses as `T`.
    pub(super) fn body<T: JsonSchema>(self, example: Value) -> Self {
        let schema = self.schemas.of_request::<T>();
        self.body_of(JSON, &schema, example)
    }

    /// A body with a schema of the document.
    pub(super) fn body_of(mut self, content_type: &str, schema: &str, example: Value) -> Self {
        let content = ContentBuilder::new().schema(Some(reference(schema))).example(Some(example));
        let body = RequestBodyBuilder::new().content(content_type, content).required(Some(Required::True));
        self.builder = self.builder.request_body(Some(body.build()));
        self.has_body = true;
        self
    }

    /// A successful reply with the JSON of a `T`.
    pub(super) fn reply<T: JsonSchema>(self, status: u16, about: &str, example: Value) -> Self {
        self.reply_with::<T>(status, about, &[], example)
    }

    /// A successful reply with further headers.
    pub(super) fn reply_with<T: JsonSchema>(
        self,
        status: u16,
        about: &str,
        headers: &[&str],
        example: Value,
    ) -> Self {
        let schema = self.schemas.of_reply::<T>();
        let content = ContentBuilder::new().schema(Some(reference(&schema))).example(Some(example));
        self.replied(status, about, headers, Some((JSON, content)))
    }

    /// A successful reply with a text.
    pub(super) fn text(self, content_type: &str, about: &str, example: &str) -> Self {
        let schema: RefOr<Schema> = plain(&json!({"type": "string"}));
        let content = ContentBuilder::new().schema(Some(schema)).example(Some(example.into()));
        self.replied(200, about, &[], Some((content_type, content)))
    }

    /// A successful reply that does not end.
    pub(super) fn stream(self, content_type: &str, about: &str, example: &str) -> Self {
        let schema: RefOr<Schema> = plain(&json!({"type": "string"}));
        let content = ContentBuilder::new().schema(Some(schema)).example(Some(example.into()));
        self.replied(200, about, &["Cache-Control"], Some((content_type, content)))
    }

    /// A successful reply with any JSON object.
    pub(super) fn object(self, content_type: &str, about: &str) -> Self {
        let content = ContentBuilder::new().schema(Some(plain(&json!({"type": "object"}))));
        self.replied(200, about, &[], Some((content_type, content)))
    }

    /// A successful reply without a body.
    pub(super) fn empty(self, status: u16, about: &str, headers: &[&str]) -> Self {
        self.replied(status, about, headers, None)
    }

    /// Errors of the operation itself.
    pub(super) fn errors(mut self, slugs: &[Slug]) -> Self {
        self.errors.extend_from_slice(slugs);
        self
    }

    /// All its errors, those of one status together.
    pub(super) fn all_errors(&self) -> Vec<Slug> {
        let mut all = self.implied();
        all.extend(&self.errors);
        all.sort_by_key(|slug| (slug.about().status, slug.about().slug));
        all.dedup();
        all
    }

    /// Errors that every operation of its scope, of its method and with its body may have.
    fn implied(&self) -> Vec<Slug> {
        let mut errors = vec![Slug::Malformed, Slug::WrongHost, Slug::Internal];
        let (changes, is_api) = (self.method != "get", self.is_api());
        if self.path.contains('{') {
            errors.push(Slug::NotFound);
        }
        if changes {
            errors.push(Slug::CrossSite);
        }
        if self.has_body {
            errors.extend([Slug::RequestTimeout, Slug::TooLarge, Slug::UnsupportedMediaType, Slug::Invalid]);
        }
        if self.is_limited() {
            errors.extend([Slug::RateLimited, Slug::LimiterAway]);
        }
        if is_api {
            errors.push(Slug::Unavailable);
        }
        if is_api && changes {
            errors.push(Slug::OutcomeUnknown);
        }
        errors
    }

    fn is_api(&self) -> bool {
        self.path.starts_with("/v1/") || self.path.starts_with("/api/")
    }

    fn is_limited(&self) -> bool {
        self.is_api() && !self.path.ends_with("/scale") || self.path == "/register" && self.method == "post"
    }

    fn parameter(
        mut self,
        name: &str,
        place: ParameterIn,
        about: &str,
        schema: &Value,
        required: bool,
    ) -> Self {
        let required = if required { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
        let parameter: Parameter = parameter.description(Some(about)).schema(Some(plain(schema))).build();
        self.builder = self.builder.parameter(parameter);
        self
    }

    fn replied(
        mut self,
        status: u16,
        about: &str,
        headers: &[&str],
        content: Option<(&str, ContentBuilder)>,
    ) -> Self {
        let mut response = ResponseBuilder::new().description(about);
        if let Some((content_type, content)) = content {
            response = response.content(content_type, content.build());
        }
        let limits = if self.is_limited() { &RATE_LIMITS[..] } else { &[] };
        for header in headers.iter().chain(&["x-request-id"]).chain(limits) {
            response = response.header_ref(*header, Ref::new(format!("#/components/headers/{header}")));
        }
        self.builder = self.builder.response(status.to_string(), response.build());
        self
    }
}

/// A schema of the document.
pub(super) fn reference(schema: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(schema))
}

/// A schema without references. The type of utoipa must not lose any of it.
pub(super) fn plain(schema: &Value) -> RefOr<Schema> {
    let typed = RefOr::<Schema>::deserialize(schema).expect("a schema");
    assert_eq!(serde_json::to_value(&typed).expect("JSON"), *schema, "utoipa cannot express this schema");
    typed
}

/// The thing that the last part of a path names.
fn path_parameter(of: &str, name: &str) -> (&'static str, Value) {
    match (of, name) {
        ("workers", "id") => ("The id of a live worker.", json!({"type": "string", "format": "uuid"})),
        ("bulk", "id") => ("The id of a bulk operation.", json!({"type": "string", "format": "uuid"})),
        (_, "id") => ("The id of a job.", json!({"type": "string", "format": "uuid"})),
        (_, "queue") => ("The name of a queue.", json!({"type": "string"})),
        (_, "kind") => ("The name of a kind.", json!({"type": "string"})),
        (_, "fingerprint") => (
            "The fingerprint of a group of `GET /v1/failures`.",
            json!({"type": "string", "pattern": "^[0-9a-f]{16}$"}),
        ),
        (_, "slug") => ("The last part of a problem's `type`.", json!({"type": "string"})),
        (of, name) => panic!("the parameter {name} of /{of} has no description"),
    }
}
