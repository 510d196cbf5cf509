//! Adds the kinds to the document: the JSON Schema of each payload, as its worker or this gateway has it.

use serde_json::{Map, Value, json};

/// Bytes of schemas after which further kinds are left out. `GET /v1/kinds` has all of them.
const MOST_BYTES: usize = 4 << 20;

/// Adds a schema per kind (name and JSON Schema), and `x-payloads` of `JobRequest`, which leads from a kind to its
/// schema.
pub(super) fn add<'k>(document: &mut Value, kinds: impl Iterator<Item = (&'k str, &'k Value)>) {
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else {
        return;
    };
    let (mut payloads, mut bytes, mut left_out) = (Map::new(), 0, 0);
    for (kind, schema) in kinds {
        bytes += schema.to_string().len();
        if bytes > MOST_BYTES {
            left_out += 1;
            continue;
        }
        let name = free_name(schemas, kind);
        let place = format!("#/components/schemas/{name}");
        payloads.insert(kind.to_owned(), json!({"$ref": place}));
        let mut schema = schema.clone();
        move_references(&mut schema, &place);
        schemas.insert(name, schema);
    }
    if let Some(request) = schemas.get_mut("JobRequest").and_then(Value::as_object_mut) {
        request.insert("x-payloads".to_owned(), payloads.into());
        if left_out > 0 {
            request.insert("x-payloads-left-out".to_owned(), left_out.into());
        }
    }
}

/// The name of the schema of a kind: `payload.demo.delay_print` for `demo:delay_print`. A name has only letters,
/// digits, `.`, `_` and `-` (OpenAPI 3.1, 4.8.7).
fn free_name(taken: &Map<String, Value>, kind: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let name: String = kind.chars().map(|letter| if allowed(letter) { letter } else { '.' }).collect();
    let mut name = format!("payload.{name}");
    while taken.contains_key(&name) {
        name.push('_');
    }
    name
}

/// A reference within a kind's schema begins at that schema, which is now a part of the document.
fn move_references(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match field {
                    Value::String(target) if name == "$ref" => {
                        if let Some(within) = target.strip_prefix('#') {
                            *target = format!("{place}{within}");
                        }
                    }
                    other => move_references(other, place),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, place)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(kinds: &[(&str, Value)]) -> Value {
        let mut document = json!({"components": {"schemas": {"JobRequest": {}}}});
        add(&mut document, kinds.iter().map(|(kind, schema)| (*kind, schema)));
        document["components"]["schemas"].take()
    }

    #[test]
    fn a_kind_is_found_by_its_name_and_keeps_its_schema() {
        let schema = json!({"type": "object", "properties": {"to": {"$ref": "#/$defs/To"}}, "$defs": {"To": {"type": "string"}}});
        let schemas = with(&[("mail:send", schema)]);
        let place = schemas["JobRequest"]["x-payloads"]["mail:send"]["$ref"].as_str();
        assert_eq!(place, Some("#/components/schemas/payload.mail.send"));
        let payload = &schemas["payload.mail.send"];
        assert_eq!(payload["properties"]["to"]["$ref"], "#/components/schemas/payload.mail.send/$defs/To");
        assert_eq!(payload["$defs"]["To"], json!({"type": "string"}));
    }

    #[test]
    fn kinds_with_similar_names_have_schemas_of_their_own() {
        let schemas = with(&[("a:b", json!({"title": "1"})), ("a.b", json!({"title": "2"}))]);
        assert_eq!(
            (&schemas["payload.a.b"]["title"], &schemas["payload.a.b_"]["title"]),
            (&json!("1"), &json!("2"))
        );
    }

    #[test]
    fn a_document_that_would_be_too_large_says_how_many_kinds_it_leaves_out() {
        let large = json!({"description": "x".repeat(MOST_BYTES)});
        let schemas = with(&[("a:small", json!({})), ("b:large", large.clone()), ("c:large", large)]);
        assert_eq!(schemas["JobRequest"]["x-payloads-left-out"], 2);
        assert!(schemas.get("payload.a.small").is_some());
    }
}
