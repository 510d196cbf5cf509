//! A user of Redis that may do only what a test grants (<https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>).

use crate::redis::RedisServer;
use crate::redis_builder::RedisBuilder;

/// A name with a password and rules. Without rules it may do nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclUser {
    name: String,
    rules: Vec<String>,
}

impl AclUser {
    pub const PASSWORD: &str = "of-a-restricted-user";

    /// `rules` as in `ACL SETUSER`, separated by spaces: `~atode:* &atode:* +@all -info`.
    pub fn new(name: &str, rules: &str) -> Self {
        Self { name: name.to_owned(), rules: rules.split_whitespace().map(str::to_owned).collect() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// All that follows the name in `ACL SETUSER`, and in a `user` line of `redis.conf`.
    pub(crate) fn definition(&self) -> impl Iterator<Item = String> {
        let fixed = ["reset".to_owned(), "on".to_owned(), format!(">{}", Self::PASSWORD)];
        fixed.into_iter().chain(self.rules.iter().cloned())
    }
}

impl RedisServer {
    /// Makes this user, or gives it these rules in place of those that it had. Connections that are
    /// authenticated as this user feel it at once. A restart forgets it: [`RedisBuilder::user`] does not.
    #[track_caller]
    pub fn set_user(&self, user: &AclUser) {
        let words = ["ACL".to_owned(), "SETUSER".to_owned(), user.name.clone()];
        self.command(&words.into_iter().chain(user.definition()).collect::<Vec<_>>());
    }
}

impl RedisBuilder {
    /// A user that is there at each start. The default user keeps all its rights: tests look with it.
    #[must_use]
    pub fn user(mut self, user: &AclUser) -> Self {
        let words = std::iter::once(user.name.clone()).chain(user.definition());
        self.settings.push(("user".to_owned(), words.collect()));
        self
    }
}
