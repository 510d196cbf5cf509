//! Errors of the API, `application/problem+json` (RFC 9457), as the command line tells them.

use std::fmt;

use atode_jobs::FieldError;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    r#type: String,
    detail: String,
    status: u16,
    #[serde(default)]
    errors: Vec<FieldError>,
    #[serde(default, rename = "violated-policies")]
    violated_policies: Vec<String>,
    request_id: Option<String>,
}

impl Problem {
    /// The problem in a reply, if the reply is one.
    pub(crate) fn parse(content_type: Option<&str>, body: &str) -> Option<Self> {
        content_type.filter(|value| value.starts_with("application/problem+json"))?;
        serde_json::from_str(body).ok()
    }

    /// True if the gateway does not know whether it has carried out the request, or has stored a job and cannot say that
    /// it is on disk.
    pub(crate) fn has_unknown_outcome(&self) -> bool {
        matches!(self.r#type.as_str(), "/problems/outcome-unknown" | "/problems/not-yet-on-disk")
    }

    /// The rate limit that was reached, such as `minute`.
    pub(crate) fn limit(&self) -> Option<&str> {
        self.violated_policies.first().map(String::as_str)
    }
}

/// Each wrong field with its pointer, or the detail. Failures of the service name the request, which its log explains.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.as_slice() {
            [] => f.write_str(&self.detail)?,
            errors => {
                f.write_str(&errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
            }
        }
        match &self.request_id {
            Some(id) if self.status >= 500 => write!(f, " (request {id} in the gateway's log)"),
            _ => Ok(()),
        }
    }
}
