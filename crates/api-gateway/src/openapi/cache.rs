//! The document as it is served, made once per change of the catalogue of kinds.

use std::sync::{Arc, Mutex, PoisonError};

use actix_web::web::Bytes;
use atode_jobs::{JobRules, KnownKind};
use serde_json::Value;

use crate::openapi::kinds;

/// The document without kinds.
pub(super) const DOCUMENT: &str = include_str!("document.json");

#[derive(Default)]
pub(crate) struct OpenApi {
    last: Mutex<Option<Made>>,
}

#[derive(Clone)]
struct Made {
    /// Each kind and its generation in the catalogue.
    kinds: Vec<(Arc<str>, u64)>,
    document: Arc<Value>,
    json: Bytes,
}

impl OpenApi {
    /// The JSON of the document with the kinds that may be enqueued now.
    pub(crate) fn json(&self, rules: &JobRules) -> Bytes {
        self.made(rules).json
    }

    /// The document with the kinds that may be enqueued now.
    pub(crate) fn document(&self, rules: &JobRules) -> Arc<Value> {
        self.made(rules).document
    }

    fn made(&self, rules: &JobRules) -> Made {
        let known = rules.kinds();
        let kinds = known.iter().map(|kind| (kind.name().clone(), generation(kind))).collect();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(made) if made.kinds == kinds => made.clone(),
            _ => last.insert(make(kinds, &known)).clone(),
        }
    }
}

fn make(kinds: Vec<(Arc<str>, u64)>, known: &[KnownKind<'_>]) -> Made {
    let mut document: Value = serde_json::from_str(DOCUMENT).expect("a test compares the document");
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    kinds::add(&mut document, known.iter().map(|kind| (&**kind.name(), kind.schema())));
    Made { kinds, json: document.to_string().into(), document: Arc::new(document) }
}

/// A kind that is compiled in never changes.
fn generation(kind: &KnownKind<'_>) -> u64 {
    match kind {
        KnownKind::Compiled(_) => 0,
        KnownKind::Published(kind) => kind.generation,
    }
}
