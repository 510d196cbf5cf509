//! A kind that may be enqueued: compiled into this program, or published by a worker.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::invalid_request::Errors;
use crate::kind::Kind;
use crate::payload::InvalidPayload;
use crate::published::catalogue::CatalogueKind;
use crate::published::definition::Definition;

pub enum KnownKind<'a> {
    /// Its type checks payloads.
    Compiled(&'a Arc<Kind>),
    /// The schema that a worker published checks payloads. It has a definition in force.
    Published(Arc<CatalogueKind>),
}

impl KnownKind<'_> {
    pub fn name(&self) -> &Arc<str> {
        match self {
            KnownKind::Compiled(kind) => &kind.name,
            KnownKind::Published(kind) => &definition(kind).kind,
        }
    }

    pub fn queue(&self) -> &Arc<str> {
        match self {
            KnownKind::Compiled(kind) => &kind.queue,
            KnownKind::Published(kind) => &definition(kind).queue,
        }
    }

    pub fn delay(&self) -> Duration {
        match self {
            KnownKind::Compiled(kind) => kind.delay,
            KnownKind::Published(kind) => definition(kind).delay,
        }
    }

    pub fn max_retries(&self) -> u32 {
        match self {
            KnownKind::Compiled(kind) => kind.max_retries,
            KnownKind::Published(kind) => definition(kind).max_retries,
        }
    }

    pub fn retention(&self) -> Duration {
        match self {
            KnownKind::Compiled(kind) => kind.retention,
            KnownKind::Published(kind) => definition(kind).retention,
        }
    }

    pub fn schema(&self) -> &serde_json::Value {
        match self {
            KnownKind::Compiled(kind) => &kind.schema,
            KnownKind::Published(kind) => definition(kind).schema.json(),
        }
    }

    pub fn definition(&self) -> Cow<'_, Definition> {
        match self {
            KnownKind::Compiled(kind) => Cow::Owned(Definition::of(kind)),
            KnownKind::Published(kind) => Cow::Borrowed(definition(kind)),
        }
    }

    /// Adds what is wrong with a payload (JSON).
    pub(crate) fn check(&self, payload: &str, errors: &mut Errors) {
        let wrong: Vec<InvalidPayload> = match self {
            KnownKind::Compiled(kind) => kind.check(payload).err().into_iter().collect(),
            KnownKind::Published(kind) => definition(kind).schema.check(payload).err().unwrap_or_default(),
        };
        for InvalidPayload { pointer, detail } in wrong {
            errors.add(&format!("payload{pointer}"), detail);
        }
    }
}

fn definition(kind: &CatalogueKind) -> &Definition {
    let current = kind.current.as_ref();
    &current.expect("only kinds with a definition in force may be enqueued").definition
}
