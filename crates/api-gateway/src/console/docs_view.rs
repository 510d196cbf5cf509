//! The parts of the OpenAPI document as its page shows them.

use askama::Template;
use serde_json::{Map, Value};

/// A text of the document: plain, with code between backticks.
#[derive(Template, Default)]
#[template(
    source = "{% for (is_code, part) in parts %}{% if *is_code %}<code>{{ part }}</code>{% else %}{{ part }}{% endif %}{% endfor %}",
    ext = "html"
)]
pub(super) struct Told {
    parts: Vec<(bool, String)>,
}

impl Told {
    pub(super) fn of(text: &Value) -> Self {
        let parts = text.as_str().unwrap_or_default().split('`').enumerate();
        Told { parts: parts.map(|(n, part)| (n % 2 == 1, part.to_owned())).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.iter().all(|(_, part)| part.is_empty())
    }
}

/// The order of operations of one path.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Operations with the same tag.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) about: Told,
    pub(super) operations: Vec<OperationView>,
}

pub(super) struct OperationView {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) summary: String,
    pub(super) about: Told,
    pub(super) parameters: Vec<Field>,
    pub(super) body: Option<Content>,
    pub(super) replies: Vec<ReplyView>,
}

/// A parameter, a property or a header.
pub(super) struct Field {
    pub(super) name: String,
    /// The place of a parameter: `path`, `query` or `header`.
    pub(super) place: String,
    pub(super) of: Type,
    pub(super) is_required: bool,
    pub(super) about: Told,
}

/// The type of a value in words, and the schema that it leads to.
pub(super) struct Type {
    pub(super) words: String,
    pub(super) schema: Option<String>,
}

/// A body of one content type.
pub(super) struct Content {
    pub(super) media_type: String,
    pub(super) of: Type,
    pub(super) example: Option<String>,
}

pub(super) struct ReplyView {
    pub(super) status: String,
    pub(super) about: Told,
    pub(super) headers: Vec<String>,
    pub(super) content: Option<Content>,
}

pub(super) struct SchemaView {
    pub(super) name: String,
    pub(super) about: Told,
    /// The values of an enumeration.
    pub(super) values: Vec<String>,
    pub(super) fields: Vec<Field>,
}

/// A kind and the JSON Schema of its payload.
pub(super) struct Payload {
    pub(super) kind: String,
    pub(super) schema: String,
}

pub(super) fn groups(document: &Value) -> Vec<Group> {
    let operations = |tag: &str| {
        let paths = fields(&document["paths"])
            .flat_map(|(path, item)| fields(item).map(move |(method, operation)| (path, method, operation)));
        let mut tagged: Vec<_> = paths.filter(|(_, _, operation)| operation["tags"][0] == *tag).collect();
        // The present API first, and what reads before what changes.
        tagged.sort_by_key(|(path, method, _)| {
            (!path.starts_with("/v1/"), *path, METHODS.iter().position(|it| it == method))
        });
        tagged.into_iter().map(|(path, method, it)| operation(document, path, method, it)).collect()
    };
    let tags = document["tags"].as_array().into_iter().flatten();
    tags.map(|tag| Group {
        name: text(&tag["name"]),
        about: Told::of(&tag["description"]),
        operations: operations(&text(&tag["name"])),
    })
    .collect()
}

pub(super) fn payloads(document: &Value) -> Vec<Payload> {
    let kinds = fields(&document["components"]["schemas"]["JobRequest"]["x-payloads"]);
    kinds
        .map(|(kind, reference)| Payload {
            kind: kind.clone(),
            schema: pretty(resolved(document, reference)),
        })
        .collect()
}

/// All schemas but those of payloads.
pub(super) fn schemas(document: &Value) -> Vec<SchemaView> {
    let own = fields(&document["components"]["schemas"]).filter(|(name, _)| !name.starts_with("payload."));
    own.map(|(name, schema)| SchemaView {
        name: name.clone(),
        about: Told::of(&schema["description"]),
        values: schema["enum"].as_array().into_iter().flatten().map(text).collect(),
        fields: fields(&schema["properties"])
            .map(|(name, property)| Field {
                name: name.clone(),
                place: String::new(),
                of: Type::of(property),
                is_required: schema["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name)),
                about: Told::of(&property["description"]),
            })
            .collect(),
    })
    .collect()
}

fn operation(document: &Value, path: &str, method: &str, operation: &Value) -> OperationView {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let replies = fields(&operation["responses"]);
    OperationView {
        id: text(&operation["operationId"]),
        method: method.to_ascii_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        about: Told::of(&operation["description"]),
        parameters: parameters.map(|parameter| Field::of_parameter(resolved(document, parameter))).collect(),
        body: Content::of(document, &operation["requestBody"]),
        replies: replies
            .map(|(status, reply)| ReplyView::of(document, status, resolved(document, reply)))
            .collect(),
    }
}

impl Field {
    fn of_parameter(parameter: &Value) -> Self {
        Field {
            name: text(&parameter["name"]),
            place: text(&parameter["in"]),
            of: Type::of(&parameter["schema"]),
            is_required: parameter["required"] == true,
            about: Told::of(&parameter["description"]),
        }
    }
}

impl Type {
    fn of(schema: &Value) -> Self {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or_default().to_owned();
            return Type { words: name.clone(), schema: Some(name) };
        }
        if let Some(choices) = schema["anyOf"].as_array() {
            let choice =
                choices.iter().find(|choice| choice["type"] != "null").map_or_else(Type::any, Type::of);
            return Type { words: format!("{} or null", choice.words), ..choice };
        }
        if let Some(values) = schema["enum"].as_array() {
            let values: Vec<String> = values.iter().map(text).collect();
            return Type { words: values.join(" · "), schema: None };
        }
        if schema["type"] == "array" {
            let item = Type::of(&schema["items"]);
            return Type { words: format!("list of {}", item.words), ..item };
        }
        let types: Vec<String> = match &schema["type"] {
            Value::Array(types) => types.iter().map(text).collect(),
            one => one.as_str().into_iter().map(str::to_owned).collect(),
        };
        if types.is_empty() {
            return Type::any();
        }
        let format = match schema["format"].as_str() {
            Some(format @ ("date-time" | "uuid")) => format!(" ({format})"),
            _ => String::new(),
        };
        Type { words: format!("{}{format}", types.join(" or ")), schema: None }
    }

    fn any() -> Self {
        Type { words: "any".to_owned(), schema: None }
    }
}

impl Content {
    fn of(document: &Value, holder: &Value) -> Option<Self> {
        let (media_type, content) = fields(&holder["content"]).next()?;
        let named =
            || fields(&content["examples"]).next().map(|(_, example)| &resolved(document, example)["value"]);
        let example = content.get("example").or_else(named);
        Some(Content {
            media_type: media_type.clone(),
            of: Type::of(&content["schema"]),
            example: example.map(|example| example.as_str().map_or_else(|| pretty(example), str::to_owned)),
        })
    }
}

impl ReplyView {
    fn of(document: &Value, status: &str, reply: &Value) -> Self {
        ReplyView {
            status: status.to_owned(),
            about: Told::of(&reply["description"]),
            // The others are on every reply.
            headers: fields(&reply["headers"])
                .map(|(name, _)| name.clone())
                .filter(|name| !name.contains("RateLimit") && name != "x-request-id")
                .collect(),
            content: Content::of(document, reply),
        }
    }
}

/// The target of a reference, or the value itself.
fn resolved<'v>(document: &'v Value, value: &'v Value) -> &'v Value {
    let target = value["$ref"].as_str().and_then(|target| document.pointer(target.strip_prefix('#')?));
    target.unwrap_or(value)
}

fn fields(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flat_map(Map::iter)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_type_is_told_in_words_and_leads_to_its_schema() {
        let words = |schema: Value| {
            let Type { words, schema } = Type::of(&schema);
            (words, schema.unwrap_or_default())
        };
        let plain = |text: &str| (text.to_owned(), String::new());
        assert_eq!(
            words(json!({"type": ["string", "null"], "format": "date-time"})),
            plain("string or null (date-time)")
        );
        assert_eq!(words(json!({"enum": ["asc", "desc"]})), plain("asc · desc"));
        assert_eq!(words(json!({"description": "anything"})), plain("any"));
        let list = json!({"type": "array", "items": {"$ref": "#/components/schemas/Job"}});
        assert_eq!(words(list), ("list of Job".to_owned(), "Job".to_owned()));
        let either = json!({"anyOf": [{"$ref": "#/components/schemas/Job"}, {"type": "null"}]});
        assert_eq!(words(either), ("Job or null".to_owned(), "Job".to_owned()));
    }
}
