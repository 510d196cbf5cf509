//! The JSON Schema of a kind's payload: checks payloads of kinds that this program does not have compiled in.

use std::fmt;
use std::sync::OnceLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::payload::{InvalidPayload, NO_OBJECT, without_position};
use crate::published::integers::with_ranges;
use crate::published::recursion;

/// Bytes of a schema. One of a type with 30 fields and their comments has some 6 KiB.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;
/// Bytes that a compiled regular expression may take.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;
/// Wrong fields that are reported for one payload.
const MAX_ERRORS: usize = 16;
/// Characters of the text about one field: a schema may list thousands of allowed values.
const MAX_DETAIL: usize = 300;

/// A schema, compiled when the first payload needs it.
#[derive(Deserialize)]
#[serde(from = "Value")]
pub struct PayloadSchema {
    json: Value,
    compiled: OnceLock<Result<Compiled, String>>,
}

struct Compiled {
    validator: Validator,
    /// False if it would take too long to find out which fields are wrong.
    names_fields: bool,
}

impl From<Value> for PayloadSchema {
    fn from(json: Value) -> Self {
        PayloadSchema { json, compiled: OnceLock::new() }
    }
}

impl Serialize for PayloadSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl PartialEq for PayloadSchema {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl fmt::Debug for PayloadSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.json.fmt(f)
    }
}

impl PayloadSchema {
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// Why payloads cannot be checked by this schema, if so.
    pub fn obstacle(&self) -> Option<&str> {
        self.compiled().as_ref().err().map(String::as_str)
    }

    /// Checks a payload (JSON), and reports its wrong fields. A schema that cannot be used fits no payload.
    pub fn check(&self, payload: &str) -> Result<(), Vec<InvalidPayload>> {
        let invalid = |detail| Err(vec![InvalidPayload { pointer: String::new(), detail }]);
        if !payload.trim_start().starts_with('{') {
            return invalid(NO_OBJECT.to_owned());
        }
        let Compiled { validator, names_fields } = match self.compiled() {
            Ok(compiled) => compiled,
            Err(why) => return invalid(format!("the schema of this kind cannot be used: {why}")),
        };
        let payload: Value = match serde_json::from_str(payload) {
            Ok(payload) => payload,
            Err(error) => return invalid(without_position(&error)),
        };
        if validator.is_valid(&payload) {
            return Ok(());
        }
        if !names_fields {
            return invalid("the payload does not fit the schema of this kind".to_owned());
        }
        let mut errors: Vec<InvalidPayload> =
            validator.iter_errors(&payload).take(MAX_ERRORS).flat_map(|error| wrong_fields(&error)).collect();
        errors.truncate(MAX_ERRORS);
        Err(errors)
    }

    fn compiled(&self) -> &Result<Compiled, String> {
        self.compiled.get_or_init(|| compile(&self.json))
    }
}

/// References stay within the schema, and regular expressions take linear time. Formats are not checked, because types
/// are often more lenient; the ranges of integers are.
fn compile(schema: &Value) -> Result<Compiled, String> {
    let bytes = schema.to_string().len();
    if bytes > MAX_SCHEMA_BYTES {
        return Err(format!("it has {bytes} bytes, and may have {MAX_SCHEMA_BYTES}"));
    }
    if let Some(why) = recursion::obstacle(schema) {
        return Err(why);
    }
    let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .with_pattern_options(patterns)
        .should_validate_formats(false)
        .build(&with_ranges(schema))
        .map(|validator| Compiled { validator, names_fields: !recursion::is_ambiguous(schema) })
        .map_err(|error| shortened(error.to_string()))
}

/// The fields that an error is about, in the words of the check of a compiled-in kind.
fn wrong_fields(error: &ValidationError<'_>) -> Vec<InvalidPayload> {
    let error = innermost(error);
    let pointer = error.instance_path().as_str();
    let field = |pointer: String, detail: String| InvalidPayload { pointer, detail: shortened(detail) };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![field(pointer.to_owned(), format!("missing field `{name}`"))]
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let names = unexpected.iter().take(MAX_ERRORS);
            let unknown = |name: &String| {
                let escaped = name.replace('~', "~0").replace('/', "~1");
                field(format!("{pointer}/{escaped}"), format!("unknown field `{name}`"))
            };
            names.map(unknown).collect()
        }
        // The value may be large.
        _ => vec![field(pointer.to_owned(), error.masked_with("this value").to_string())],
    }
}

/// The error of the alternative that the value was probably meant to be: not one of another variant (whose tag
/// differs), and the one that fits furthest inward.
fn innermost<'e, 'i>(error: &'e ValidationError<'i>) -> &'e ValidationError<'i> {
    let (ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context }) =
        error.kind()
    else {
        return error;
    };
    let depth = |error: &ValidationError<'_>| error.instance_path().as_str().matches('/').count();
    let differs_in_tag = |branch: &&Vec<ValidationError<'static>>| {
        branch.iter().any(|error| {
            matches!(error.kind(), ValidationErrorKind::Constant { .. } | ValidationErrorKind::Enum { .. })
        })
    };
    let meant = context.iter().filter(|branch| !differs_in_tag(branch));
    let inward = meant.filter_map(|branch| branch.first()).map(innermost).max_by_key(|inner| depth(inner));
    inward.filter(|inner| depth(inner) > depth(error)).unwrap_or(error)
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_DETAIL) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;

    fn errors(schema: Value, payload: &Value) -> Vec<(String, String)> {
        let errors = PayloadSchema::from(schema).check(&payload.to_string()).err().unwrap_or_default();
        errors.into_iter().map(|error| (error.pointer, error.detail)).collect()
    }

    fn mail() -> Value {
        json!({
            "type": "object",
            "required": ["to"],
            "additionalProperties": false,
            "properties": {
                "to": {"type": "array", "items": {"type": "integer", "format": "uint32", "minimum": 0}},
                "style": {"anyOf": [{"$ref": "#/$defs/Style"}, {"type": "null"}]},
                "code": {"type": "string", "pattern": "^(a+)+$"},
            },
            "$defs": {"Style": {"oneOf": [
                {"type": "object", "required": ["type", "size"],
                 "properties": {"type": {"const": "plain"}, "size": {"type": "integer"}}},
                {"type": "object", "required": ["type"], "properties": {"type": {"const": "rich"}}},
            ]}},
        })
    }

    #[test]
    fn a_wrong_payload_says_where_in_the_words_of_the_typed_check() {
        assert_eq!(errors(mail(), &json!({"to": [1], "style": {"type": "plain", "size": 2}})), []);
        let error = |pointer: &str, detail: &str| vec![(pointer.to_owned(), detail.to_owned())];
        assert_eq!(errors(mail(), &json!({})), error("", "missing field `to`"));
        assert_eq!(errors(mail(), &json!({"to": [], "a/b": 1})), error("/a~1b", "unknown field `a/b`"));
        let wrong = errors(mail(), &json!({"to": [1, "x"]}));
        assert_eq!(wrong, error("/to/1", r#"this value is not of type "integer""#));
        let wrong = errors(mail(), &json!({"to": [], "style": {"type": "plain", "size": "big"}}));
        assert_eq!(wrong, error("/style/size", r#"this value is not of type "integer""#));
        for no_object in [json!(null), json!([[1]]), json!(7)] {
            assert_eq!(errors(mail(), &no_object), error("", NO_OBJECT));
        }
        let all = errors(mail(), &json!({"to": ["a", "b"], "x": 1}));
        assert_eq!(all.len(), 3, "{all:?}");
        let many = errors(mail(), &json!({"to": vec!["a"; 1_000]}));
        assert_eq!(many.len(), MAX_ERRORS);
    }

    #[test]
    fn an_integer_is_in_the_range_of_its_type() {
        assert_eq!(errors(mail(), &json!({"to": [u32::MAX]})), []);
        assert_eq!(errors(mail(), &json!({"to": [u64::from(u32::MAX) + 1]}))[0].0, "/to/0");
        assert_eq!(errors(mail(), &json!({"to": [-1]}))[0].0, "/to/0");
    }

    #[test]
    fn a_schema_that_is_too_large_or_refers_elsewhere_cannot_be_used() {
        let obstacle = |schema: Value| PayloadSchema::from(schema).obstacle().map(ToOwned::to_owned);
        assert_eq!(obstacle(mail()), None);
        let large = obstacle(json!({"description": "x".repeat(MAX_SCHEMA_BYTES)}));
        assert!(large.unwrap().contains("bytes"));
        for elsewhere in ["http://127.0.0.1:1/schema.json", "file:///etc/passwd", "#/$defs/Missing"] {
            assert!(obstacle(json!({"$ref": elsewhere})).is_some(), "{elsewhere}");
        }
        for pattern in ["(", "(?=a)b", "(a)\\1", "((a{100}){100}){100}"] {
            assert!(obstacle(json!({"pattern": pattern})).is_some(), "{pattern}");
        }
    }

    #[test]
    fn no_schema_makes_a_check_slow() {
        let start = Instant::now();
        let code = format!("{}!", "a".repeat(100_000));
        assert_eq!(errors(mail(), &json!({"to": [], "code": code}))[0].0, "/code");
        let mut deep = json!({});
        for _ in 0..100 {
            deep = json!({"a": deep});
        }
        let itself = json!({"$ref": "#"});
        // Alternatives that both lead inward, as in an enum that contains itself.
        let variant =
            |tag: &str| json!({"properties": {"a": itself, "b": {"const": tag}}, "required": ["b"]});
        for choice in ["anyOf", "oneOf"] {
            let schema =
                PayloadSchema::from(json!({choice: [variant("x"), variant("y"), {"maxProperties": 0}]}));
            assert_eq!(schema.obstacle(), None);
            assert!(schema.check(&deep.to_string()).is_err());
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}
