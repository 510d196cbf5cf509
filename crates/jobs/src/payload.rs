//! From a payload's JSON to the type of its kind, and where it does not fit.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

/// A payload that does not fit its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} (at {pointer:?} of the payload)")]
pub struct InvalidPayload {
    /// JSON pointer (RFC 6901) within the payload.
    pub pointer: String,
    pub detail: String,
}

pub(crate) const NO_OBJECT: &str = "a payload is a JSON object";

/// Accepts objects only, because an object can grow fields later. (Serde would also accept an array.)
pub(crate) fn parse<T: DeserializeOwned>(payload: &str) -> Result<T, InvalidPayload> {
    if !payload.trim_start().starts_with('{') {
        return Err(InvalidPayload { pointer: String::new(), detail: NO_OBJECT.to_owned() });
    }
    // Tracking the path costs time, and only an error needs it.
    serde_json::from_str(payload).or_else(|_| {
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(payload)).map_err(|error| {
            let pointer = json_pointer(error.path());
            InvalidPayload { pointer, detail: without_position(&error.into_inner()) }
        })
    })
}

/// The message without its line and column. They would count within the payload, which may be a part of something
/// larger, and the pointer says where the error is.
pub fn without_position(error: &serde_json::Error) -> String {
    let position = format!(" at line {} column {}", error.line(), error.column());
    let detail = error.to_string();
    detail.strip_suffix(&position).map_or_else(|| detail.clone(), str::to_owned)
}

/// The place where parsing a document failed, as a JSON pointer (RFC 6901).
pub fn json_pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("{pointer}/{variant}"),
        Segment::Unknown => pointer,
    })
}
