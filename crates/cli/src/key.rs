//! The API key of a caller.

use std::fs;
use std::path::Path;

use anyhow::Context;
use ureq::http::header::HeaderValue;

/// An API key, never shown.
#[derive(Clone)]
pub(crate) struct Key(HeaderValue);

impl Key {
    pub(crate) fn new(text: &str) -> anyhow::Result<Self> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
            .map_err(|_| anyhow::anyhow!("a key has printable ASCII characters only"))?;
        value.set_sensitive(true);
        Ok(Key(value))
    }

    pub(crate) fn from_file(file: &Path) -> anyhow::Result<Self> {
        let name = || format!("--key-file {}", file.display());
        let text = fs::read_to_string(file).with_context(|| format!("{}: cannot read this file", name()))?;
        anyhow::ensure!(!text.trim().is_empty(), "{}: the file is empty", name());
        Key::new(&text).with_context(name)
    }

    /// The value of the header `Authorization`.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }
}
