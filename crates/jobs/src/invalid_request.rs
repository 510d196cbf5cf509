//! Everything that is wrong in a request, field by field.

use std::fmt;

use atode_queue::Due;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::due::DueError;

/// A wrong field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the request; empty for the request itself.
    pub pointer: String,
    pub detail: String,
}

/// All wrong fields of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidRequest {
    pub errors: Vec<FieldError>,
}

/// Why a request makes no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// The kind is not compiled in, and the catalogue has not been read since the start.
    #[error(
        "the kind {0} is not known yet, because the catalogue of kinds has not been read since the start"
    )]
    CatalogueUnread(String),
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => f.write_str(&self.detail),
            pointer => write!(f, "{pointer}: {}", self.detail),
        }
    }
}

/// Collects the errors of one request.
#[derive(Default)]
pub(crate) struct Errors(Vec<FieldError>);

impl Errors {
    /// `field` may be a path, such as `payload/to/0`.
    pub(crate) fn add(&mut self, field: &str, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: format!("/{field}"), detail: detail.into() });
    }

    /// An error of the whole request.
    pub(crate) fn add_to_request(&mut self, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: String::new(), detail: detail.into() });
    }

    /// The value, or `None` and one more error.
    pub(crate) fn field<T>(&mut self, field: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|detail| self.add(field, detail)).ok()
    }

    /// The due time if there is a valid one, or `None` and one more error.
    pub(crate) fn due(&mut self, due: Result<Option<Due>, DueError>) -> Option<Due> {
        due.unwrap_or_else(|(field, detail)| {
            self.add(field, detail);
            None
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_result(self) -> Result<(), InvalidRequest> {
        if self.0.is_empty() { Ok(()) } else { Err(InvalidRequest { errors: self.0 }) }
    }
}
