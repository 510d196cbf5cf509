//! The progress of a bulk operation, as its runner writes it and the next runner reads it.

use std::collections::HashMap;

use fred::types::Value;

use crate::bulk::target::{self, Target};
use crate::bulk::view::{BulkExample, BulkOutcome};
use crate::error::Error;
use crate::list::cursor::Cursor;
use crate::list::query::ListQuery;
use crate::model::history::start_of;
use crate::model::state::State;

/// Examples that are kept.
const MAX_EXAMPLES: usize = 20;
/// Bytes of the reason of an example.
const MAX_REASON: usize = 300;

/// The fields of the hash of a bulk operation.
pub(crate) type Fields = HashMap<String, String>;

#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    pub(crate) phase: usize,
    /// The place within the phase from which the next page goes on. Unset at its start.
    pub(crate) cursor: Option<Cursor>,
    pub(crate) counts: Counts,
    /// The first jobs that were not changed.
    pub(crate) examples: Vec<BulkExample>,
    /// The jobs that the runner is changing. The next runner cannot tell which of them are changed already.
    pub(crate) doing: Vec<Target>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) done: u64,
    pub(crate) changed: u64,
    pub(crate) skipped: u64,
    pub(crate) failed: u64,
}

impl Progress {
    pub(crate) fn decode(fields: &Fields, phases: &[ListQuery]) -> Result<Self, Error> {
        let text = |name: &str| fields.get(name).map_or("", String::as_str);
        let phase = number(fields, "phase") as usize;
        let cursor = match (text("cursor"), phases.get(phase)) {
            ("", _) | (_, None) => None,
            (text, Some(query)) => Some(
                Cursor::decode(text, query)
                    .map_err(|_| Error::corrupt(format!("the cursor of a bulk operation: {text:.200}")))?,
            ),
        };
        Ok(Progress {
            phase,
            cursor,
            counts: Counts::decode(fields),
            examples: serde_json::from_str(text("examples")).unwrap_or_default(),
            doing: target::decode(text("doing"))?,
        })
    }

    /// Names and values of the fields. `query` is that of the phase.
    pub(crate) fn encode(&self, query: Option<&ListQuery>) -> Vec<Value> {
        let cursor = self.cursor.as_ref().zip(query).map(|(cursor, query)| cursor.encode(query));
        let Counts { done, changed, skipped, failed } = self.counts;
        let mut fields = vec![
            ("phase", self.phase.to_string()),
            ("cursor", cursor.unwrap_or_default()),
            ("doing", target::encode(&self.doing)),
            ("done", done.to_string()),
            ("changed", changed.to_string()),
            ("skipped", skipped.to_string()),
            ("failed", failed.to_string()),
        ];
        if !self.examples.is_empty() {
            let examples = serde_json::to_string(&self.examples).expect("texts always serialize");
            fields.push(("examples", examples));
        }
        fields.into_iter().flat_map(|(name, value)| [Value::from(name), Value::from(value)]).collect()
    }

    /// Counts a job that moved between the look and the operation.
    pub(crate) fn skip(&mut self, target: &Target, now: Option<State>) {
        self.counts.skipped += 1;
        let reason = match now {
            Some(state) => format!("it changed since it was found, and is {state}"),
            None => "it was removed meanwhile".to_owned(),
        };
        self.add_example(target, BulkOutcome::Skipped, &reason);
    }

    pub(crate) fn fail(&mut self, target: &Target, reason: &str) {
        self.counts.failed += 1;
        self.add_example(target, BulkOutcome::Failed, reason);
    }

    fn add_example(&mut self, target: &Target, outcome: BulkOutcome, reason: &str) {
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(BulkExample {
                id: target.id,
                queue: target.queue.to_string(),
                kind: target.kind.to_string(),
                outcome,
                reason: start_of(reason, MAX_REASON).to_owned(),
            });
        }
    }
}

impl Counts {
    pub(crate) fn decode(fields: &Fields) -> Self {
        Counts {
            done: number(fields, "done"),
            changed: number(fields, "changed"),
            skipped: number(fields, "skipped"),
            failed: number(fields, "failed"),
        }
    }

    pub(crate) fn matched(self) -> u64 {
        self.changed + self.skipped + self.failed
    }
}

/// A count, 0 if it was never written.
fn number(fields: &Fields, name: &str) -> u64 {
    fields.get(name).and_then(|text| text.parse().ok()).unwrap_or_default()
}
