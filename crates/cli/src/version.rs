//! The version of a waiting job, which HTTP calls its `ETag`.

use std::str::FromStr;

/// It has none of the quotes that HTTP puts around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version(String);

impl FromStr for Version {
    type Err = String;

    /// Quotes may be there or not: a shell takes them off.
    fn from_str(text: &str) -> Result<Self, String> {
        let version = text.trim().trim_matches('"');
        if version.is_empty() {
            Err("the ETag of `atode job show`, or *".to_owned())
        } else {
            Ok(Version(version.to_owned()))
        }
    }
}

impl Version {
    pub(crate) fn new(text: &str) -> Self {
        Version(text.to_owned())
    }

    /// Unset for `*`, which is any version.
    pub(crate) fn text(&self) -> Option<&str> {
        Some(&*self.0).filter(|version| *version != "*")
    }

    /// The value of `If-Match`.
    pub(crate) fn if_match(&self) -> String {
        self.text().map_or_else(|| "*".to_owned(), |version| format!("\"{version}\""))
    }
}
