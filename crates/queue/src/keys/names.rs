//! The meaning of a key, read from its name.

use crate::keys::{Keys, Set};
use crate::model::id::{BulkId, WorkerId};

/// The meaning of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyName<'a> {
    /// The set of registrations.
    Workers,
    /// A registration, or one of the keys beside it.
    Worker,
    /// A part of the catalogue of kinds.
    Kinds(KindsKey),
    /// A bulk operation, or a list of them.
    Bulks(BulksKey),
    /// A key of this queue.
    Queue(&'a str, QueueKey<'a>),
}

/// The parts of the catalogue of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KindsKey {
    Definitions,
    Changes,
    Held,
}

/// The keys of bulk operations. Their idempotency keys read like those of a queue named `bulks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulksKey {
    Bulk,
    Open,
    Ended,
}

/// The meaning of a key of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKey<'a> {
    Set { kind: &'a str, set: Set },
    Failures { kind: &'a str },
    Jobs,
    Active,
    State,
    Kinds,
    Paused,
    Fence,
    Stats,
    Idempotency,
}

impl KeyName<'_> {
    /// The type of the key, in the words of `TYPE`.
    pub fn key_type(self) -> &'static str {
        match self {
            KeyName::Workers
            | KeyName::Kinds(KindsKey::Changes)
            | KeyName::Bulks(BulksKey::Open | BulksKey::Ended)
            | KeyName::Queue(_, QueueKey::Set { .. }) => "zset",
            KeyName::Kinds(KindsKey::Definitions | KindsKey::Held)
            | KeyName::Bulks(BulksKey::Bulk)
            | KeyName::Queue(
                _,
                QueueKey::Jobs
                | QueueKey::Active
                | QueueKey::State
                | QueueKey::Stats
                | QueueKey::Failures { .. },
            ) => "hash",
            KeyName::Queue(_, QueueKey::Kinds) => "set",
            KeyName::Worker
            | KeyName::Queue(_, QueueKey::Fence | QueueKey::Paused | QueueKey::Idempotency) => "string",
        }
    }
}

/// Returns nothing for a key that is not one of the queue's.
pub(crate) fn parse<'a>(keys: &Keys, key: &'a str) -> Option<KeyName<'a>> {
    let (tag, rest) = key.strip_prefix(keys.prefix())?.strip_prefix('{')?.split_once('}')?;
    if tag == "workers" {
        let id = rest.strip_prefix(':').map(|rest| {
            rest.strip_suffix(":asked").or_else(|| rest.strip_suffix(":stopped")).unwrap_or(rest)
        });
        match id {
            None if rest.is_empty() => return Some(KeyName::Workers),
            Some(id) if id.parse::<WorkerId>().is_ok() => return Some(KeyName::Worker),
            _ => {} // a queue of that name
        }
    }
    let catalogue = [keys.kinds(), keys.kind_changes(), keys.held_kinds()];
    let parts = [KindsKey::Definitions, KindsKey::Changes, KindsKey::Held];
    if tag == "kinds"
        && let Some((_, part)) = std::iter::zip(catalogue, parts).find(|(name, _)| name == key)
    {
        return Some(KeyName::Kinds(part));
    }
    if tag == "bulks"
        && let Some(part) = rest.strip_prefix(':').and_then(BulksKey::parse)
    {
        return Some(KeyName::Bulks(part));
    }
    QueueKey::parse(rest.strip_prefix(':')?).map(|part| KeyName::Queue(tag, part))
}

/// The pattern of `SCAN` for the keys of one queue, or for all keys with a hash tag.
pub(crate) fn pattern(keys: &Keys, queue: Option<&str>) -> String {
    let escaped = |text: &str| {
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '^' | '\\') {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        escaped
    };
    match queue {
        Some(queue) => format!("{}{{{}}}:*", escaped(keys.prefix()), escaped(queue)),
        None => format!("{}{{*", escaped(keys.prefix())),
    }
}

impl BulksKey {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "open" => Some(BulksKey::Open),
            "ended" => Some(BulksKey::Ended),
            id => id.parse::<BulkId>().ok().map(|_| BulksKey::Bulk),
        }
    }
}

impl<'a> QueueKey<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        if let Some((kind, last)) = name.rsplit_once(':') {
            let set = Set::ALL.into_iter().find(|set| set.name() == last);
            return match set {
                Some(set) => Some(QueueKey::Set { kind, set }),
                None if last == "failures" => Some(QueueKey::Failures { kind }),
                None => (kind == "idem").then_some(QueueKey::Idempotency),
            };
        }
        Some(match name {
            "jobs" => QueueKey::Jobs,
            "active" => QueueKey::Active,
            "state" => QueueKey::State,
            "kinds" => QueueKey::Kinds,
            "paused" => QueueKey::Paused,
            "fence" => QueueKey::Fence,
            "stats" => QueueKey::Stats,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_meaning_of_its_key() {
        let keys = Keys::new("atode:");
        let of = |key: &str| {
            let Some(KeyName::Queue(queue, part)) = parse(&keys, key) else { return None };
            Some(format!("{queue} {part:?}"))
        };
        let queue = keys.queue("workers");
        for set in Set::ALL {
            assert_eq!(
                of(&queue.set("a:b", set)),
                Some(format!("workers {:?}", QueueKey::Set { kind: "a:b", set }))
            );
        }
        assert_eq!(
            of(&queue.failures("a:b")),
            Some(format!("workers {:?}", QueueKey::Failures { kind: "a:b" }))
        );
        assert_eq!(of(&queue.jobs()).as_deref(), Some("workers Jobs"));
        assert_eq!(of(&queue.idempotency("0123")).as_deref(), Some("workers Idempotency"));
        assert_eq!(parse(&keys, &keys.workers()), Some(KeyName::Workers));
        let worker = WorkerId::new(1);
        assert_eq!(parse(&keys, &keys.worker(worker)), Some(KeyName::Worker));
        assert_eq!(parse(&keys, &keys.asked_of(worker)), Some(KeyName::Worker));
        assert_eq!(parse(&keys, &keys.stopped(worker)), Some(KeyName::Worker));
        for key in [keys.kinds(), keys.kind_changes(), keys.held_kinds()] {
            assert!(matches!(parse(&keys, &key), Some(KeyName::Kinds(_))), "{key}");
        }
        assert_eq!(of("atode:{kinds}:jobs").as_deref(), Some("kinds Jobs"));
        for key in [keys.bulk(BulkId::new(1)), keys.open_bulks(), keys.ended_bulks()] {
            assert!(matches!(parse(&keys, &key), Some(KeyName::Bulks(_))), "{key}");
        }
        assert_eq!(of("atode:{bulks}:jobs").as_deref(), Some("bulks Jobs"));
        assert_eq!(of(&keys.bulk_of_key("0123")).as_deref(), Some("bulks Idempotency"));
        for other in [
            "atode:queues",
            "other:{q}:jobs",
            "atode:{q}:new:thing",
            "atode:history:{q}:kind:a:due",
            "atode:ratelimit:{x}:jobs",
            "atode:broken:{q}:a:b:due:7",
        ] {
            assert_eq!(parse(&keys, other), None, "{other}");
        }
    }

    #[test]
    fn a_pattern_takes_names_literally() {
        assert_eq!(pattern(&Keys::new("a*[b]:"), None), r"a\*\[b\]:{*");
        assert_eq!(pattern(&Keys::new("atode:"), Some("q?")), r"atode:{q\?}:*");
    }
}
