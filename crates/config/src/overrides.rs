//! Environment variables that override keys: `APP__SERVER__PORT` is `server.port`.

use std::ffi::{OsStr, OsString};

use figment::value::{Dict, Empty, Tag, Value};

use crate::error::{ConfigError, dotted};

pub(crate) const PREFIX: &str = "APP__";

pub(crate) struct Override {
    name: String,
    /// One or more, the section first.
    keys: Vec<String>,
    value: Value,
}

impl Override {
    /// The overrides among a process's variables, sorted by name, so that the order of the variables has no effect.
    pub(crate) fn among(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Vec<Self>, ConfigError> {
        let mut overrides = Vec::new();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            overrides.push(Self::new(name, &value)?);
        }
        overrides.sort_by(|a: &Self, b: &Self| a.name.cmp(&b.name));
        Ok(overrides)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the key belongs to this section of the top level.
    pub(crate) fn is_in(&self, section: &str) -> bool {
        self.keys.first().is_some_and(|key| key == section)
    }

    /// The key with its value, nested in its sections.
    pub(crate) fn dict(&self) -> Dict {
        let (mut dict, mut keys) = (Dict::new(), self.keys.iter().rev());
        if let Some(key) = keys.next() {
            dict.insert(key.clone(), self.value.clone());
        }
        keys.fold(dict, |inner, key| Dict::from([(key.clone(), Value::from(inner))]))
    }

    fn new(name: &str, value: &OsStr) -> Result<Self, ConfigError> {
        let keys: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        let Some(text) = value.to_str() else {
            let origin = format!("environment variable {name}");
            let problem = "expected UTF-8, found other bytes".to_owned();
            return Err(ConfigError::Key { origin, key: dotted(&keys), problem });
        };
        // Any other value stays a text, which its key parses.
        let is_password = keys.last().is_some_and(|key| key == "password");
        let list = || yaml_serde::from_str(text).ok().filter(|_| text.starts_with('[') && !is_password);
        let value = match text {
            "" => Value::Empty(Tag::Default, Empty::None),
            text => list().unwrap_or_else(|| Value::from(text)),
        };
        Ok(Self { name: name.to_owned(), keys, value })
    }
}
