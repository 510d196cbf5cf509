//! A job that a bulk operation is about to change, and the text that remembers a group of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys::Set;
use crate::model::id::JobId;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) queue: Arc<str>,
    pub(crate) kind: Arc<str>,
    pub(crate) set: Set,
    pub(crate) id: JobId,
    pub(crate) score: f64,
}

/// The targets of one set. The scores are text, because JSON would round them.
#[derive(Serialize, Deserialize)]
struct Part {
    queue: Arc<str>,
    kind: Arc<str>,
    set: String,
    jobs: Vec<(String, String)>,
}

/// The text for a group; nothing for none.
pub(crate) fn encode(targets: &[Target]) -> String {
    let is_alike = |a: &Target, b: &Target| (&a.queue, &a.kind, a.set) == (&b.queue, &b.kind, b.set);
    let parts: Vec<Part> = targets
        .chunk_by(is_alike)
        .map(|alike| Part {
            queue: alike[0].queue.clone(),
            kind: alike[0].kind.clone(),
            set: alike[0].set.name().to_owned(),
            jobs: alike.iter().map(|target| (target.id.short(), target.score.to_string())).collect(),
        })
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    serde_json::to_string(&parts).expect("texts always serialize")
}

pub(crate) fn decode(text: &str) -> Result<Vec<Target>, Error> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let corrupt = || Error::corrupt(format!("the jobs of a bulk operation: {text:.200}"));
    let parts: Vec<Part> = serde_json::from_str(text).map_err(|_| corrupt())?;
    let mut targets = Vec::new();
    for Part { queue, kind, set, jobs } in parts {
        let set = Set::ALL.into_iter().find(|known| known.name() == set).ok_or_else(corrupt)?;
        for (id, score) in jobs {
            let (id, score) = (id.parse().map_err(|_| corrupt())?, score.parse().map_err(|_| corrupt())?);
            targets.push(Target { queue: queue.clone(), kind: kind.clone(), set, id, score });
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_comes_back_from_its_text() {
        let target = |kind: &str, set, score| Target {
            queue: "default".into(),
            kind: kind.into(),
            set,
            id: JobId::new(1_795_478_771_840),
            score,
        };
        let group = [
            target("a:b", Set::Dead, 1_795_478_771_840.0),
            target("a:b", Set::Dead, 0.1 + 0.2),
            target("c:\"d", Set::Due, -1.0),
        ];
        assert_eq!(decode(&encode(&group)).unwrap(), group);
        assert_eq!((encode(&[]), decode("").unwrap()), (String::new(), vec![]));
        assert!(decode("[").is_err());
    }
}
