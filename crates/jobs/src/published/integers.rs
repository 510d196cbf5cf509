//! The ranges of integer types. schemars names the type (`"format": "uint32"`) and leaves the range out.

use serde_json::{Map, Value};

/// The schema with a range for each integer whose format names its type.
pub(crate) fn with_ranges(schema: &Value) -> Value {
    match schema {
        Value::Array(schemas) => schemas.iter().map(with_ranges).collect(),
        Value::Object(schema) => {
            let mut bounded: Map<String, Value> =
                schema.iter().map(|(name, value)| (name.clone(), with_ranges(value))).collect();
            if let Some((least, most)) = schema.get("format").and_then(Value::as_str).and_then(range) {
                bounded.entry("minimum").or_insert(least);
                bounded.entry("maximum").or_insert(most);
            }
            bounded.into()
        }
        other => other.clone(),
    }
}

fn range(format: &str) -> Option<(Value, Value)> {
    Some(match format {
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "int64" | "int" => (i64::MIN.into(), i64::MAX.into()),
        "uint8" => (0.into(), u8::MAX.into()),
        "uint16" => (0.into(), u16::MAX.into()),
        "uint32" => (0.into(), u32::MAX.into()),
        "uint64" | "uint" => (0.into(), u64::MAX.into()),
        _ => return None,
    })
}
