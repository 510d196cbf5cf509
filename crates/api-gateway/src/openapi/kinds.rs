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
        let definitions = take_definitions(&mut schema, &name, schemas);
        let moved: Vec<String> = definitions.keys().cloned().collect();
        move_references(&mut schema, &place, &moved);
        for (definition, mut schema) in definitions {
            move_references(&mut schema, &place, &moved);
            schemas.insert(format!("{name}.{definition}"), schema);
        }
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
    let name: String = kind.chars().map(|letter| if is_plain(letter) { letter } else { '.' }).collect();
    let mut name = format!("payload.{name}");
    while taken.contains_key(&name) {
        name.push('_');
    }
    name
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')
}

/// Takes the definitions of a schema that can be schemas of the document: some generators of clients find no others.
fn take_definitions(schema: &mut Value, name: &str, taken: &Map<String, Value>) -> Map<String, Value> {
    let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) else {
        return Map::new();
    };
    let can_move = |definition: &str| {
        definition.chars().all(is_plain) && !taken.contains_key(&format!("{name}.{definition}"))
    };
    let (moved, left) =
        std::mem::take(definitions).into_iter().partition(|(definition, _)| can_move(definition));
    *definitions = left;
    if definitions.is_empty()
        && let Some(schema) = schema.as_object_mut()
    {
        schema.remove("$defs");
    }
    moved
}

/// A reference within a kind's schema begins at that schema, which is now a part of the document, or at one of its
/// definitions that were `moved`.
fn move_references(schema: &mut Value, place: &str, moved: &[String]) {
    match schema {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match field {
                    Value::String(target) if name == "$ref" => {
                        if let Some(within) = target.strip_prefix('#') {
                            *target = moved_to(within, place, moved);
                        }
                    }
                    other => move_references(other, place, moved),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, place, moved)),
        _ => {}
    }
}

fn moved_to(within: &str, place: &str, moved: &[String]) -> String {
    let (definition, rest) = match within.strip_prefix("/$defs/") {
        Some(path) => path.split_at(path.find('/').unwrap_or(path.len())),
        None => ("", within),
    };
    if moved.iter().any(|moved| moved == definition) {
        format!("{place}.{definition}{rest}")
    } else {
        format!("{place}{within}")
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
        assert_eq!(payload["properties"]["to"]["$ref"], "#/components/schemas/payload.mail.send.To");
        assert_eq!(schemas["payload.mail.send.To"], json!({"type": "string"}));
    }

    #[test]
    fn a_definition_whose_name_is_not_allowed_stays_in_its_schema() {
        let schema =
            json!({"items": {"$ref": "#/$defs/a b/items"}, "$defs": {"a b": {"items": {"$ref": "#"}}}});
        let schemas = with(&[("a:list", schema)]);
        let payload = &schemas["payload.a.list"];
        assert_eq!(payload["items"]["$ref"], "#/components/schemas/payload.a.list/$defs/a b/items");
        assert_eq!(payload["$defs"]["a b"]["items"]["$ref"], "#/components/schemas/payload.a.list");
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
