//! One YAML file, and the environment variables that override its keys. Figment remembers where each value comes from, so
//! an error can name the file or the variable.

use std::{fs, path::PathBuf};

use figment::{
    Error, Figment, Metadata, Profile, Provider,
    error::Kind,
    value::{Dict, Map, Value},
};
use serde::de::DeserializeOwned;

use crate::{
    error::{ConfigError, dotted},
    overrides::Override,
    values::describe,
};

pub(crate) struct Source {
    path: PathBuf,
    figment: Figment,
}

impl Source {
    /// Reads a file, which must exist. All of its keys are optional. `absent` is the YAML of the sections that apply if the
    /// file does not have them.
    pub(crate) fn read<'o>(
        path: PathBuf,
        absent: &str,
        overrides: impl Iterator<Item = &'o Override>,
    ) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(&path).map_err(|reason| ConfigError::File { path: path.clone(), reason })?;
        let parse = |yaml: &str| {
            parse_yaml(yaml).map_err(|problem| ConfigError::Syntax { path: path.clone(), problem })
        };
        let absent = parse(absent)?;
        let mut dict = absent.clone();
        // An empty section is absent. Other empty keys are kept, because a wrong name must be found.
        let is_absent =
            |key: &String, value: &Value| matches!(value, Value::Empty(..)) && absent.contains_key(key);
        dict.extend(parse(&text)?.into_iter().filter(|(key, value)| !is_absent(key, value)));
        let file = Layer { metadata: Metadata::from("file", path.as_path()), dict };
        let figment = overrides.fold(Figment::from(file), |figment, over| {
            let metadata = Metadata::from("environment variable", over.name());
            figment.merge(Layer { metadata, dict: over.dict() })
        });
        Ok(Self { path, figment })
    }

    pub(crate) fn extract<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        self.figment.extract().map_err(|error| self.one_line(error))
    }

    /// Whether the file or a variable sets this key, such as `server.port`.
    pub(crate) fn sets(&self, key: &str) -> bool {
        self.figment.contains(key)
    }

    /// The error for values that are wrong together. It blames the first of `keys` that is set.
    pub(crate) fn refuse(&self, keys: &[&str], problem: &str) -> ConfigError {
        let key = keys.iter().find(|key| self.sets(key)).or(keys.first()).copied().unwrap_or_default();
        let origin = self.origin(self.figment.find_metadata(key));
        ConfigError::Key { origin, key: key.to_owned(), problem: problem.to_owned() }
    }

    fn origin(&self, metadata: Option<&Metadata>) -> String {
        match metadata.and_then(|metadata| metadata.source.as_ref()).and_then(figment::Source::custom) {
            Some(variable) => format!("environment variable {variable}"),
            None => self.path.display().to_string(),
        }
    }

    /// The section that a key belongs to, or the file for a key of the top level.
    fn parent(&self, path: &[String]) -> String {
        match path {
            [section @ .., _] if !section.is_empty() => dotted(section),
            _ => self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    fn one_line(&self, mut error: Error) -> ConfigError {
        let origin = self.origin(error.metadata.as_ref());
        let problem = match &error.kind {
            Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
                format!("expected {}, found {}", in_words(expected), describe(found))
            }
            Kind::UnknownField(_, known) => {
                format!("unknown key, {} has {}", self.parent(&error.path), known.join(", "))
            }
            Kind::MissingField(key) => {
                error.path.push(key.clone().into_owned());
                "this key is missing".to_owned()
            }
            other => other.to_string(),
        };
        ConfigError::Key { origin, key: dotted(&error.path), problem }
    }
}

/// The values of one file or variable.
struct Layer {
    metadata: Metadata,
    dict: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

fn parse_yaml(text: &str) -> Result<Dict, String> {
    let not_yaml = |error: yaml_serde::Error| format!("not valid YAML: {error}").replace('\n', " ");
    // As a `yaml_serde::Value` first, because a `Dict` would accept two equal keys and use the last one.
    match yaml_serde::from_str(text).map_err(not_yaml)? {
        yaml_serde::Value::Mapping(_) => yaml_serde::from_str(text).map_err(not_yaml),
        yaml_serde::Value::Null => Ok(Dict::new()),
        _ => Err("expected keys with their values, as in `server: { port: 8080 }`".to_owned()),
    }
}

/// The words for an expectation of serde's own types.
fn in_words(expected: &str) -> &str {
    match expected {
        "a sequence" => r#"a list such as ["a", "b"]"#,
        "a map" => "a section of keys",
        other => other,
    }
}
