//! Scans of the hashes and sorted sets of a queue, in steps that are bounded in bytes.

use bytes::Bytes;
use fred::interfaces::ClientLike;
use fred::types::{ClusterHash, CustomCommand, Value};

use crate::core::Core;
use crate::error::Error;
use crate::inspect::inspection::Inspection;
use crate::keys::Set;

const MAX_STEP: usize = 300;
const MIN_STEP: usize = 5;
/// Target size of a step's reply: jobs differ in size by a factor of a thousand.
const STEP_BYTES: usize = 512 * 1024;

/// A hash with one field per id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobHash {
    Records,
    Holders,
    Histories,
}

/// A scan of a hash or a sorted set.
pub struct Scan<'a> {
    core: &'a Core,
    command: &'static str,
    key: String,
    /// Unset at the end.
    cursor: Option<String>,
    step: usize,
}

impl<'a> Inspection<'a> {
    pub fn scan_hash(&self, queue: &str, hash: JobHash) -> Scan<'a> {
        let keys = self.keys(queue);
        let key = match hash {
            JobHash::Records => keys.jobs(),
            JobHash::Holders => keys.active(),
            JobHash::Histories => keys.state(),
        };
        Scan::new(self.core, "HSCAN", key)
    }

    pub fn scan_set(&self, queue: &str, kind: &str, set: Set) -> Scan<'a> {
        Scan::new(self.core, "ZSCAN", self.keys(queue).set(kind, set))
    }
}

impl<'a> Scan<'a> {
    fn new(core: &'a Core, command: &'static str, key: String) -> Self {
        Scan { core, command, key, cursor: Some("0".to_owned()), step: MIN_STEP }
    }

    /// Fields with their values, or members with their scores; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<(Bytes, Bytes)>>, Error> {
        let Some(cursor) = self.cursor.take() else { return Ok(None) };
        let command = CustomCommand::new_static(self.command, ClusterHash::FirstKey, false);
        let args: Vec<Value> =
            vec![(&*self.key).into(), cursor.into(), "COUNT".into(), (self.step as i64).into()];
        let reply: Value = self.core.connection.client()?.custom(command, args).await?;
        let (next, page) = page(reply)?;
        self.cursor = (next != "0").then_some(next);
        let bytes: usize = page.iter().filter_map(Value::as_bytes).map(<[u8]>::len).sum();
        // Grows slowly: the next entries may be larger.
        self.step = step(2 * bytes / page.len().max(1)).min(4 * self.step);
        Ok(Some(pairs(page)))
    }
}

/// The number of entries of `bytes` bytes each in a step.
pub fn step(bytes: usize) -> usize {
    (STEP_BYTES / bytes.max(1)).clamp(MIN_STEP, MAX_STEP)
}

/// The next cursor and the entries in a reply of SCAN, HSCAN or ZSCAN.
pub(crate) fn page(reply: Value) -> Result<(String, Vec<Value>), Error> {
    let Value::Array(mut reply) = reply else { return Err(Error::corrupt("the reply of SCAN")) };
    let found = reply.pop().map(Value::into_array).unwrap_or_default();
    let next = reply.pop().and_then(|cursor| cursor.as_string());
    next.map(|next| (next, found)).ok_or_else(|| Error::corrupt("the reply of SCAN"))
}

fn pairs(page: Vec<Value>) -> Vec<(Bytes, Bytes)> {
    let mut page = page.into_iter().map(|value| value.into_bytes().unwrap_or_default());
    std::iter::from_fn(|| Some((page.next()?, page.next()?))).collect()
}
