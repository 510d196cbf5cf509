//! Changes the catalogue of kinds. Each change names the generation that its author has seen, so that nobody undoes a
//! change that they do not know.

use fred::types::Value;

use crate::error::Error;
use crate::published::kinds::{
    HeldDecision, MAX_PUBLISHED_KINDS, Publication, PublishedAs, PublishedKinds, Publishing,
};
use crate::scripts::{DECIDE_HELD, PUBLISH_KINDS, REMOVE_KIND};
use crate::wire;

/// Definitions per call, and their bytes.
const BATCH: usize = 200;
const BATCH_BYTES: usize = 1024 * 1024;

impl PublishedKinds<'_> {
    /// Publishes definitions, each on its own. Returns what became of them, in their order.
    pub async fn publish(&self, publications: &[Publication]) -> Result<Vec<Publishing>, Error> {
        let mut results = Vec::with_capacity(publications.len());
        while results.len() < publications.len() {
            let call = batch(&publications[results.len()..]);
            let mut args: Vec<Value> = vec![
                self.core.keys.kinds_channel().into(),
                wire::count(MAX_PUBLISHED_KINDS),
                wire::count(call.len()),
            ];
            args.extend(call.iter().map(|publication| Value::from(&*publication.kind)));
            args.extend(call.iter().map(|publication| Value::Integer(publication.seen as i64)));
            args.extend(call.iter().map(|publication| {
                Value::from(match publication.place {
                    PublishedAs::Current => "current",
                    PublishedAs::CurrentAndAccepted => "accepted",
                    PublishedAs::Held => "held",
                })
            }));
            args.extend(call.iter().map(|publication| Value::from(publication.definition.clone())));
            let reply = self.core.call(&PUBLISH_KINDS, self.keys(), args).await?;
            let first = results.len();
            results.resize(first + call.len(), Publishing::Done);
            for [place, verdict] in reply.rows::<2>(0) {
                let place = place.as_usize().and_then(|place| results.get_mut(first + place));
                let verdict = match verdict.as_i64() {
                    Some(0) => Some(Publishing::Changed),
                    Some(2) => Some(Publishing::Full),
                    _ => None,
                };
                let (Some(place), Some(verdict)) = (place, verdict) else { return Err(reply.corrupt()) };
                *place = verdict;
            }
        }
        Ok(results)
    }

    /// Brings the definition that is held into force, or drops it. Returns false if the entry has another generation, or
    /// nothing is held.
    pub async fn decide(&self, kind: &str, seen: u64, decision: HeldDecision) -> Result<bool, Error> {
        let word = match decision {
            HeldDecision::Accept => "accept",
            HeldDecision::Reject => "reject",
        };
        let channel = self.core.keys.kinds_channel();
        let args = vec![channel.into(), kind.into(), Value::Integer(seen as i64), word.into()];
        self.core.call(&DECIDE_HELD, self.keys(), args).await?.is_done()
    }

    /// Removes a kind. Returns false if its entry has another generation.
    pub async fn remove(&self, kind: &str, seen: u64) -> Result<bool, Error> {
        let channel = self.core.keys.kinds_channel();
        let args = vec![channel.into(), kind.into(), Value::Integer(seen as i64)];
        self.core.call(&REMOVE_KIND, self.keys(), args).await?.is_done()
    }
}

/// The first publications that fit into one call, at least one.
fn batch(publications: &[Publication]) -> &[Publication] {
    let mut bytes = 0;
    let fitting = publications.iter().take(BATCH).take_while(|publication| {
        bytes += publication.definition.len();
        bytes <= BATCH_BYTES
    });
    &publications[..fitting.count().max(1).min(publications.len())]
}
