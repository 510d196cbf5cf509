//! Recursion within a schema. A check of a recursive schema may take time that is exponential in the depth of the
//! payload, or never end; such a schema is refused.

use std::collections::HashSet;

use serde_json::Value;

/// A part of a schema, by its address.
type Part<'a> = (&'a Value, Form);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Schema,
    /// A list or map of schemas.
    Schemas,
}

/// The values that a keyword applies its schemas to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The same value.
    Here,
    /// A part of the value.
    Inward,
    /// A value that another keyword may check by the same schema: each level of a recursion doubles the work.
    Again,
}

/// Why a check by this schema might not end in time, if so.
pub(crate) fn obstacle(schema: &Value) -> Option<String> {
    let (mut seen, mut rest) = (HashSet::new(), vec![(schema, Form::Schema)]);
    while let Some(part) = rest.pop() {
        if !seen.insert(key(part)) {
            continue;
        }
        for (keyword, target, step) in steps(schema, part) {
            if step == Step::Again && leads_to(schema, target, part, |_| true) {
                return Some(format!("it refers to itself through `{keyword}`"));
            }
            if step == Step::Here && leads_to(schema, target, part, |step| step == Step::Here) {
                return Some("it refers to itself without end".to_owned());
            }
            rest.push(target);
        }
    }
    None
}

/// True if several alternatives of one choice lead back to it, as in an enum whose variants contain the enum. A yes or
/// no about a payload is quick, but collecting its errors takes time that is exponential in its depth.
pub(crate) fn is_ambiguous(schema: &Value) -> bool {
    let (mut seen, mut rest) = (HashSet::new(), vec![(schema, Form::Schema)]);
    while let Some(part) = rest.pop() {
        if seen.insert(key(part)) {
            let steps = steps(schema, part);
            let is_choice = part.1 == Form::Schemas && steps.iter().all(|(_, _, step)| *step == Step::Here);
            let recursive = steps.iter().filter(|(_, target, _)| leads_to(schema, *target, part, |_| true));
            if is_choice && part.0.is_array() && recursive.count() > 1 {
                return true;
            }
            rest.extend(steps.into_iter().map(|(_, target, _)| target));
        }
    }
    false
}

fn leads_to<'a>(root: &'a Value, from: Part<'a>, to: Part<'a>, follows: impl Fn(Step) -> bool) -> bool {
    let (mut seen, mut rest) = (HashSet::new(), vec![from]);
    while let Some(part) = rest.pop() {
        if key(part) == key(to) {
            return true;
        }
        if seen.insert(key(part)) {
            let steps = steps(root, part);
            rest.extend(steps.into_iter().filter(|(_, _, step)| follows(*step)).map(|(_, target, _)| target));
        }
    }
    false
}

fn key((value, form): Part<'_>) -> (*const Value, Form) {
    (value, form)
}

fn steps<'a>(root: &'a Value, (value, form): Part<'a>) -> Vec<(&'a str, Part<'a>, Step)> {
    let schemas = |value: &'a Value| (value, Form::Schemas);
    let schema = |value: &'a Value| (value, Form::Schema);
    match (form, value) {
        (Form::Schemas, Value::Array(list)) => {
            list.iter().map(|value| ("", schema(value), Step::Here)).collect()
        }
        (Form::Schemas, Value::Object(map)) => {
            map.values().map(|value| ("", schema(value), Step::Here)).collect()
        }
        (Form::Schema, Value::Object(keywords)) => keywords
            .iter()
            .filter_map(|(keyword, value)| {
                let (part, step) = match keyword.as_str() {
                    "$ref" => {
                        let pointer = value.as_str()?.strip_prefix('#')?;
                        (schema(root.pointer(pointer)?), Step::Here)
                    }
                    "anyOf" | "oneOf" => (schemas(value), Step::Here),
                    "properties" | "prefixItems" => (schemas(value), Step::Inward),
                    "items" | "additionalProperties" => (schema(value), Step::Inward),
                    "allOf" | "dependentSchemas" | "patternProperties" => (schemas(value), Step::Again),
                    "not"
                    | "if"
                    | "then"
                    | "else"
                    | "contains"
                    | "propertyNames"
                    | "unevaluatedItems"
                    | "unevaluatedProperties" => (schema(value), Step::Again),
                    _ => return None,
                };
                Some((keyword.as_str(), part, step))
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_enum_that_contains_itself_is_ambiguous_and_an_optional_child_is_not() {
        let itself = || json!({"properties": {"a": {"$ref": "#"}}});
        assert!(is_ambiguous(&json!({"oneOf": [itself(), itself()]})));
        assert!(!is_ambiguous(&json!({"oneOf": [itself(), {"type": "null"}]})));
        assert!(!is_ambiguous(&json!({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}})));
    }

    #[test]
    fn a_recursive_type_is_no_obstacle_and_a_loop_is() {
        let itself = || json!({"$ref": "#"});
        let tree = json!({"properties": {"children": {"items": itself()}, "left": {"anyOf": [itself(), {"type": "null"}]}}});
        let named = json!({"properties": {"allOf": itself(), "not": itself()}});
        let shared = json!({"allOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}], "$defs": {"A": {"type": "object"}}});
        for fine in [tree, named, shared, json!(true), json!({"$ref": "#/$defs/Missing"})] {
            assert_eq!(obstacle(&fine), None, "{fine}");
        }
        for wrong in [
            itself(),
            json!({"anyOf": [itself(), {"type": "array"}]}),
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}),
            json!({"allOf": [{"properties": {"a": itself()}}]}),
            json!({"properties": {"a": {"not": itself()}}}),
            json!({"patternProperties": {"a": itself()}}),
        ] {
            assert!(obstacle(&wrong).is_some(), "{wrong}");
        }
    }
}
