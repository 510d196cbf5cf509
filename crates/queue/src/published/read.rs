//! Reads the catalogue of kinds: what has changed, or the entries of some kinds.

use std::sync::Arc;

use fred::types::Value;

use crate::budget::MAX_BATCH;
use crate::error::Error;
use crate::published::kinds::{KindChanges, PublishedEntry, PublishedKinds};
use crate::scripts::{KIND_CHANGES, KINDS_NAMED};
use crate::wire;

/// Entries per reply.
const PAGE: usize = 200;
/// A reply ends behind the entry that exceeds this.
const PAGE_BYTES: usize = 1024 * 1024;

impl PublishedKinds<'_> {
    /// The kinds that changed after a generation (0: all kinds), in the order of their changes. A kind that was removed
    /// is not among them; the number of kinds reveals it.
    pub async fn changes(&self, after: u64) -> Result<KindChanges, Error> {
        let args = vec![Value::Integer(after as i64), wire::count(PAGE), wire::count(PAGE_BYTES)];
        let reply = self.core.call(&KIND_CHANGES, self.keys(), args).await?;
        let rows = reply.rows::<4>(3).iter().map(|[kind, generation, definition, held]| {
            entry(kind.as_string()?.into(), generation, definition, held)
        });
        let changed = rows.collect::<Option<Vec<_>>>().ok_or_else(|| reply.corrupt())?;
        Ok(KindChanges {
            now: reply.now,
            kinds: reply.number(0)? as usize,
            has_more: reply.number(1)? == 1,
            latest: reply.number(2)?,
            changed,
        })
    }

    /// The entries among these kinds whose generation is not the known one (0: not in the catalogue), and Redis' time.
    pub async fn changed_among(
        &self,
        known: &[(Arc<str>, u64)],
    ) -> Result<(Vec<PublishedEntry>, i64), Error> {
        let mut entries = Vec::new();
        let (mut rest, mut now) = (known, 0);
        while !rest.is_empty() {
            let call = &rest[..rest.len().min(MAX_BATCH)];
            let mut args = vec![wire::count(PAGE_BYTES), wire::count(call.len())];
            args.extend(call.iter().map(|(kind, _)| Value::from(&**kind)));
            args.extend(call.iter().map(|(_, generation)| Value::Integer(*generation as i64)));
            let reply = self.core.call(&KINDS_NAMED, self.keys(), args).await?;
            now = reply.now;
            for [place, generation, definition, held] in reply.rows::<4>(1) {
                let kind = place.as_usize().and_then(|place| call.get(place));
                let entry = kind.and_then(|(kind, _)| entry(kind.clone(), generation, definition, held));
                entries.push(entry.ok_or_else(|| reply.corrupt())?);
            }
            // At least one, so that this ends.
            rest = &rest[(reply.number(0)? as usize).clamp(1, call.len())..];
        }
        Ok((entries, now))
    }
}

fn entry(kind: Arc<str>, generation: &Value, definition: &Value, held: &Value) -> Option<PublishedEntry> {
    let bytes = |value: &Value| value.clone().into_bytes().filter(|bytes| !bytes.is_empty());
    Some(PublishedEntry {
        kind,
        generation: generation.as_u64()?,
        definition: bytes(definition),
        held: bytes(held),
    })
}
