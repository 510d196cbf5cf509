//! The version of a waiting job, which HTTP calls its `ETag`.

use std::convert::Infallible;
use std::str::FromStr;

/// It has none of the quotes that HTTP puts around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version(String);

impl FromStr for Version {
    type Err = Infallible;

    /// Quotes may be there or not: a shell takes them off.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Version(text.trim().trim_matches('"').to_owned()))
    }
}

impl Version {
    pub(crate) fn new(text: &str) -> Self {
        Version(text.to_owned())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The value of `If-Match`.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}
