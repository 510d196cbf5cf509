//! What ends a start: always one line that names the place, the key and what was expected there.

use std::{io, path::PathBuf};

/// Why there is no configuration. Printed with `{}` it is one line; no variant ever holds a secret's value.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// One of the two files is absent or unreadable.
    #[error(
        "{}: {reason}; APP_CONFIG_DIR or --config-dir names the folder that holds the environments, \
         APP_ENV or --env the environment",
        path.display()
    )]
    File { path: PathBuf, reason: io::Error },

    /// A file is no YAML, or not a mapping of keys.
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

    /// Redis is to be reached through TLS, which cannot be set up on this machine.
    #[error("cache_server.redis: tls: {0}")]
    Tls(String),
}
