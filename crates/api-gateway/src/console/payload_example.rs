//! An example payload made from a kind's JSON Schema: a starting point for people who fill in the form.

use serde_json::{Map, Value, json};

/// The maximum nesting of the example. Schemas may be recursive.
const MAX_DEPTH: usize = 5;

/// A payload that matches the schema, over several lines. Its values have no meaning.
pub(super) fn of_schema(schema: &Value) -> String {
    let example =
        Some(value(schema, schema, MAX_DEPTH)).filter(Value::is_object).unwrap_or_else(|| json!({}));
    serde_json::to_string_pretty(&example).unwrap_or_default()
}

fn value(schema: &Value, root: &Value, depth: usize) -> Value {
    let given = [
        schema.pointer("/examples/0"),
        schema.get("const"),
        schema.pointer("/enum/0"),
        schema.get("default"),
    ];
    if let Some(given) = given.into_iter().flatten().find(|given| !given.is_null()) {
        return given.clone();
    }
    if depth == 0 {
        return Value::Null;
    }
    let referred = schema["$ref"].as_str().and_then(|name| root.pointer(name.strip_prefix('#')?));
    let choices = ["anyOf", "oneOf", "allOf"].into_iter().find_map(|of| schema[of].get(0));
    if let Some(other) = referred.or(choices) {
        return value(other, root, depth - 1);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str());
    match kind {
        Some("string") => json!("Hello"),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([value(&schema["items"], root, depth - 1)]),
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            Value::Object(
                fields.map(|(name, of)| (name.clone(), value(of, root, depth - 1))).collect::<Map<_, _>>(),
            )
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_each_kind_matches_its_schema() {
        for kind in atode_jobs::registry().unwrap().kinds() {
            kind.check(&of_schema(&kind.schema)).unwrap();
        }
    }

    #[test]
    fn each_type_has_an_example() {
        let schema = json!({
            "type": "object",
            "properties": {
                "text": {"type": ["string", "null"]},
                "count": {"type": "integer", "minimum": 0},
                "flag": {"type": "boolean"},
                "many": {"type": "array", "items": {"$ref": "#/$defs/Color"}},
                "given": {"type": "string", "examples": ["a@example.com"]},
                "either": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                "itself": {"$ref": "#"},
            },
            "$defs": {"Color": {"enum": ["red", "green"]}},
        });
        let example: Value = serde_json::from_str(&of_schema(&schema)).unwrap();
        assert_eq!(example["text"], "Hello");
        assert_eq!((&example["count"], &example["flag"]), (&json!(0), &json!(true)));
        assert_eq!((&example["many"], &example["given"]), (&json!(["red"]), &json!("a@example.com")));
        assert_eq!((&example["either"], &example["itself"]["text"]), (&json!(1), &json!("Hello")));
    }
}
