//! A Redis user with restricted rights
//! (<https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>).

use crate::redis::RedisServer;
use crate::redis_builder::RedisBuilder;

/// A user with a name, a password and rules. Without rules it may do nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclUser {
    name: String,
    rules: Vec<String>,
}

impl AclUser {
    pub const PASSWORD: &str = "of-a-restricted-user";

    /// `rules` have the syntax of `ACL SETUSER`, separated by spaces: `~atode:* &atode:* +@all -info`.
    pub fn new(name: &str, rules: &str) -> Self {
        Self { name: name.to_owned(), rules: rules.split_whitespace().map(str::to_owned).collect() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The words after the name in `ACL SETUSER` and in a `user` line of `redis.conf`.
    pub(crate) fn definition(&self) -> impl Iterator<Item = String> {
        let fixed = ["reset".to_owned(), "on".to_owned(), format!(">{}", Self::PASSWORD)];
        fixed.into_iter().chain(self.rules.iter().cloned())
    }
}

impl RedisServer {
    /// Creates this user, or replaces its rules. Existing connections of the user are affected at once. The user is gone
    /// after a restart, unlike one of [`RedisBuilder::user`].
    #[track_caller]
    pub fn set_user(&self, user: &AclUser) {
        let words = ["ACL".to_owned(), "SETUSER".to_owned(), user.name.clone()];
        self.command(&words.into_iter().chain(user.definition()).collect::<Vec<_>>());
    }
}

impl RedisBuilder {
    /// Creates a user at each start. The default user, which tests use, keeps all its rights.
    #[must_use]
    pub fn user(mut self, user: &AclUser) -> Self {
        let words = std::iter::once(user.name.clone()).chain(user.definition());
        self.0.words.push(("user".to_owned(), words.collect()));
        self
    }
}
