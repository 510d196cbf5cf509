//! Errors of the configuration. Each is one line that names the place, the key and the expected value.

use std::{io, path::PathBuf};

/// The reason why there is no configuration. Its `Display` is one line, and no variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// One of the two files is absent or unreadable.
    #[error(
        "{}: {reason}; APP_CONFIG_DIR or --config-dir names the folder that holds the environments, \
         APP_ENV or --env the environment",
        path.display()
    )]
    File { path: PathBuf, reason: io::Error },

    /// A file is not YAML, or not a mapping of keys.
    #[error("{}: {problem}", path.display())]
    Syntax { path: PathBuf, problem: String },

    /// A key is unknown, or its value cannot be used.
    #[error("{origin}: {key}: {problem}")]
    Key {
        /// The file, or `environment variable NAME`.
        origin: String,
        /// As in `server.port` or `cache_server.redis.default.cluster.addrs[1]`.
        key: String,
        problem: String,
    },

    /// The configuration asks for TLS, which cannot be set up on this machine.
    #[error("cache_server.redis: tls: {0}")]
    Tls(String),
}

/// The name of a key as errors show it, such as `cluster.addrs[1]`.
pub(crate) fn dotted(path: &[String]) -> String {
    let mut key = String::new();
    for part in path {
        if !key.is_empty() && part.parse::<usize>().is_ok() {
            key.extend(["[", part, "]"]);
        } else {
            key.push_str(if key.is_empty() { "" } else { "." });
            key.push_str(if part.is_empty() { "\"\"" } else { part });
        }
    }
    key
}
