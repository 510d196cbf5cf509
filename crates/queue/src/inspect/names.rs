//! The names and types of all keys, and the catalogues that list queues and kinds.

use std::sync::Arc;

use fred::interfaces::{KeysInterface, SetsInterface};
use fred::types::Value;

use crate::error::Error;
use crate::inspect::inspection::Inspection;
use crate::inspect::scan;
use crate::keys::names::{self, KeyName};

/// Keys per step of a scan.
const KEYS: u32 = 300;

impl Inspection<'_> {
    /// One step of a scan of all keys with a hash tag, or of those of one queue: keys with their types, and the
    /// cursor of the next step. The first cursor is `0`, and so is the one after the last step.
    pub async fn scan_keys(
        &self,
        queue: Option<&str>,
        cursor: String,
    ) -> Result<(Vec<(String, String)>, String), Error> {
        let pattern = names::pattern(&self.core.keys, queue);
        let redis = self.core.connection.client()?;
        let page: Value = redis.scan_page(cursor, pattern, Some(KEYS), None).await?;
        let (next, keys) = scan::page(page)?;
        let keys: Vec<String> = keys.iter().filter_map(Value::as_string).collect();
        let keys: Vec<String> = keys.into_iter().filter(|key| self.parse(key).is_some()).collect();
        let types = self.types_of(&keys).await?;
        Ok((keys.into_iter().zip(types).collect(), next))
    }

    /// The meaning of a key; nothing for a key that is not one of the queue's.
    pub fn parse<'k>(&self, key: &'k str) -> Option<KeyName<'k>> {
        names::parse(&self.core.keys, key)
    }

    /// The name of a key without the prefix that all keys of its queue share.
    pub fn short_name(&self, queue: &str, key: &str) -> String {
        key.strip_prefix(self.keys(queue).base()).unwrap_or(key).to_owned()
    }

    /// The type of a key; nothing if it does not exist.
    pub async fn type_of(&self, key: &str) -> Result<Option<String>, Error> {
        let found = self.types_of(&[key.to_owned()]).await?.pop();
        Ok(found.filter(|found| found != "none"))
    }

    /// The key of the catalogue of queues.
    pub fn list_of_queues(&self) -> String {
        self.core.keys.queues()
    }

    /// The key of a queue's catalogue of kinds.
    pub fn list_of_kinds(&self, queue: &str) -> String {
        self.keys(queue).kinds()
    }

    /// The kinds in a queue's catalogue.
    pub async fn kinds_of(&self, queue: &str) -> Result<Vec<Arc<str>>, Error> {
        self.core.kinds_of(queue).await
    }

    /// True if one of these keys exists and a catalogue does not list their name.
    pub async fn is_unlisted(&self, list: &str, name: &str, keys: &[String]) -> Result<bool, Error> {
        // In this order: a script that makes a key has listed its name by then. Not in one script, because the
        // catalogue of queues and a queue are in different slots of a cluster.
        let redis = self.core.connection.client()?;
        let exist: i64 = redis.exists(keys.to_vec()).await?;
        let is_listed: bool = redis.sismember(list, name).await?;
        Ok(exist > 0 && !is_listed)
    }

    async fn types_of(&self, keys: &[String]) -> Result<Vec<String>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let redis = self.core.connection.client()?;
        let pipeline = redis.pipeline();
        for key in keys {
            let _: () = pipeline.r#type(key).await?;
        }
        Ok(pipeline.all().await?)
    }
}
