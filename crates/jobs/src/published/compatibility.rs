//! Decides whether a later schema of a kind may replace an earlier one by itself (docs/decisions/0039).

use std::collections::BTreeSet;

use serde_json::Value;

/// Keywords that say nothing about which payloads fit.
const ANNOTATIONS: [&str; 9] = [
    "$schema",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// The first difference that is more than a new optional field, if there is one.
pub(crate) fn difference(old: &Value, new: &Value) -> Option<String> {
    compare(old, new, "")
}

fn compare(old: &Value, new: &Value, at: &str) -> Option<String> {
    let (Value::Object(old_fields), Value::Object(new_fields)) = (old, new) else {
        return (old != new).then(|| differs(at));
    };
    let keywords: BTreeSet<&String> = old_fields.keys().chain(new_fields.keys()).collect();
    let is_map = old_fields.get("additionalProperties").is_some_and(Value::is_object);
    keywords.into_iter().filter(|keyword| !ANNOTATIONS.contains(&keyword.as_str())).find_map(|keyword| {
        let at = format!("{at}/{keyword}");
        match (keyword.as_str(), old_fields.get(keyword), new_fields.get(keyword)) {
            // In a map, a new field takes a name away from the entries.
            ("properties", old, new) if !is_map => more(old, new, &at),
            ("$defs" | "definitions", old, new) => more(old, new, &at),
            ("required", Some(old), Some(new)) => {
                let names = |list: &Value| -> BTreeSet<String> {
                    list.as_array().into_iter().flatten().map(Value::to_string).collect()
                };
                (names(old) != names(new)).then(|| differs(&at))
            }
            ("items", Some(old), Some(new)) => compare(old, new, &at),
            ("anyOf" | "oneOf" | "allOf", Some(Value::Array(old)), Some(Value::Array(new)))
                if old.len() == new.len() =>
            {
                std::iter::zip(old, new)
                    .enumerate()
                    .find_map(|(n, (old, new))| compare(old, new, &format!("{at}/{n}")))
            }
            (_, old, new) => (old != new).then(|| differs(&at)),
        }
    })
}

/// Compares maps of schemas. The new one may have more; a new field is optional, because `required` has not changed.
fn more(old: Option<&Value>, new: Option<&Value>, at: &str) -> Option<String> {
    let Some(Value::Object(old)) = old else { return None };
    old.iter().find_map(|(name, old)| match new.and_then(|new| new.get(name)) {
        Some(new) => compare(old, new, &format!("{at}/{name}")),
        None => Some(format!("{at}/{name} is missing")),
    })
}

fn differs(at: &str) -> String {
    format!("{} differs", if at.is_empty() { "the whole schema" } else { at })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mail() -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Mail",
            "type": "object", "required": ["to"], "additionalProperties": false,
            "properties": {
                "to": {"type": "string"},
                "style": {"anyOf": [{"$ref": "#/$defs/Style"}, {"type": "null"}]},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "$defs": {"Style": {"type": "object", "properties": {"bold": {"type": "boolean"}}}},
        })
    }

    fn changed(pointer: &str, value: Value) -> Option<String> {
        let mut new = mail();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        new.pointer_mut(parent)
            .and_then(Value::as_object_mut)
            .expect("an object")
            .insert(name.to_owned(), value);
        difference(&mail(), &new)
    }

    #[test]
    fn only_new_optional_fields_and_annotations_are_compatible() {
        assert_eq!(difference(&mail(), &mail()), None);
        for (pointer, value) in [
            ("/properties/cc", json!({"type": ["string", "null"]})),
            ("/$defs/Style/properties/italic", json!({"type": "boolean"})),
            ("/$defs/Other", json!({"type": "boolean"})),
            ("/title", json!("E-mail")),
            ("/properties/to", json!({"type": "string", "description": "who gets it", "default": "me"})),
        ] {
            assert_eq!(changed(pointer, value), None, "{pointer}");
        }
        for (pointer, value) in [
            ("/required", json!(["to", "style"])),
            ("/required", json!([])),
            ("/properties/to", json!({"type": ["string", "null"]})),
            ("/properties/to", json!({"type": "string", "maxLength": 5})),
            ("/properties", json!({"to": {"type": "string"}})),
            ("/additionalProperties", json!(true)),
            ("/$defs/Style/required", json!(["bold"])),
            ("/properties/style/anyOf", json!([{"$ref": "#/$defs/Style"}])),
            ("/properties/labels/properties", json!({"color": {"type": "string"}})),
            ("/properties/labels/additionalProperties", json!({"type": "integer"})),
        ] {
            let difference = changed(pointer, value).unwrap_or_else(|| panic!("{pointer} is compatible"));
            assert!(difference.starts_with(pointer), "{difference}");
        }
        assert_eq!(difference(&json!(true), &json!({})).as_deref(), Some("the whole schema differs"));
    }

    #[test]
    fn a_new_required_field_is_not_compatible() {
        let mut new = mail();
        new["properties"]["cc"] = json!({"type": "string"});
        new["required"] = json!(["to", "cc"]);
        assert_eq!(difference(&mail(), &new).as_deref(), Some("/required differs"));
    }
}
