//! The settings of a `redis-server` under test.

use crate::redis::{RedisServer, Settings};

/// Settings of a [`RedisServer`]. A later setting overrides an earlier one with the same name.
#[derive(Debug, Clone)]
pub struct RedisBuilder(pub(crate) Settings);

impl RedisServer {
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn builder() -> RedisBuilder {
        RedisBuilder(Settings::default())
            .arg("bind", "127.0.0.1")
            .arg("daemonize", "no")
            .arg("save", "")
            .arg("appendonly", "yes")
            .appendfsync("everysec")
            .arg("maxmemory-policy", "noeviction")
    }

    /// A builder of a sentinel, which is a server with other commands. It starts with this configuration file.
    pub(crate) fn builder_of_a_sentinel(file: &str) -> RedisBuilder {
        RedisBuilder(Settings { sentinel: Some(file.to_owned()), ..Settings::default() })
    }
}

impl RedisBuilder {
    /// Adds a setting of `redis.conf`: `.arg("maxmemory", "2mb")`.
    #[must_use]
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        self.0.words.push((name.to_owned(), vec![value.to_owned()]));
        self
    }

    /// `always`, `everysec` or `no`.
    #[must_use]
    pub fn appendfsync(self, policy: &str) -> Self {
        self.arg("appendfsync", policy)
    }

    #[must_use]
    pub fn no_aof(self) -> Self {
        self.arg("appendonly", "no")
    }

    /// Requires a password from clients. [`RedisServer::command`] sends it.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.0.password = Some(password.to_owned());
        self.arg("requirepass", password)
    }

    /// Gives the server a clock that the test controls: [`RedisServer::clock`].
    #[must_use]
    pub fn with_clock(mut self) -> Self {
        self.0.clock = true;
        self
    }

    /// Creates a server that is down but has a port. [`RedisServer::restart`] starts it.
    pub fn prepare(self) -> RedisServer {
        RedisServer::prepare(self.0)
    }

    #[track_caller]
    pub fn start(self) -> RedisServer {
        // A program that ignores reservations may take the port before Redis does. Redis then exits.
        for _ in 0..4 {
            let server = self.clone().prepare();
            server.launch();
            if server.ready_or_exit().is_ok() {
                return server;
            }
        }
        let server = self.prepare();
        server.restart();
        server
    }
}
