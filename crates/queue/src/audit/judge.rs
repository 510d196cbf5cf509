//! What is wrong with a job, given all that is stored of it at one instant, and where it belongs.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use fred::types::Value;

use super::Wrong;
use crate::keys::Set;
use crate::model::id::JobId;
use crate::model::record::Record;
use crate::transitions::reap::Started;

/// All that is stored of one id at one instant.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) id: Bytes,
    record: Option<Bytes>,
    /// SHA-1 of the record, empty without one.
    digest: String,
    entry: Option<Bytes>,
    has_state: bool,
    /// For each kind that was asked for, [`Set::ALL`].
    sets: Vec<bool>,
}

#[derive(Debug)]
pub(super) enum Judgement {
    InOrder,
    /// Its own sets were not looked at.
    UnknownKind(Arc<str>),
    Wrong(Wrong, Mending),
}

/// How one job is put in order, if it still stands as it was judged.
#[derive(Debug, Clone)]
pub(super) struct Mending {
    pub(super) id: Bytes,
    pub(super) digest: String,
    pub(super) entry: Option<Bytes>,
    pub(super) has_state: bool,
    /// The sets that it was in, as places in `kinds` × [`Set::ALL`].
    pub(super) places: Vec<usize>,
    pub(super) kinds: Vec<Arc<str>>,
    pub(super) target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// It stays in this set.
    Stay(usize),
    /// Into this set, with the score that it has in the other.
    Move { from: usize, to: usize },
    /// Into this due set; due then (Unix ms), or now if that is over.
    Due { to: usize, at: i64 },
    /// Out of all; its record, if there is one, is set aside.
    Out,
}

impl Facts {
    /// record, digest, entry of active, 0|1, the sets as `0`s and `1`s
    pub(super) fn decode(id: &Bytes, reply: &[Value]) -> Option<Self> {
        let [record, digest, entry, has_state, sets] = reply else { return None };
        // Not a part of the reply's buffer, which would live as long as the finding.
        let bytes = |value: &Value| value.as_bytes().map(Bytes::copy_from_slice);
        Some(Facts {
            id: Bytes::copy_from_slice(id),
            record: bytes(record),
            digest: digest.as_string()?,
            entry: bytes(entry),
            has_state: has_state.as_i64()? == 1,
            sets: sets.as_bytes()?.iter().map(|set| *set == b'1').collect(),
        })
    }

    fn is_in(&self, kind: usize, set: Set) -> bool {
        self.sets.get(place(kind, set)).copied().unwrap_or_default()
    }

    fn is_held(&self) -> bool {
        let entry = self.entry.as_ref().and_then(|entry| std::str::from_utf8(entry).ok());
        entry.is_some_and(|entry| Started::decode(entry).is_some())
    }
}

/// `kinds`: those whose sets the facts tell of.
pub(super) fn judge(facts: Facts, kinds: &[Arc<str>]) -> Judgement {
    let places: Vec<usize> = (0..facts.sets.len()).filter(|place| facts.sets[*place]).collect();
    let judged = match facts.record.as_deref().map(Record::decode) {
        None if !places.is_empty() => Some((Wrong::NoRecord, Target::Out)),
        None if facts.entry.is_some() => Some((Wrong::NoLease, Target::Out)),
        None if facts.has_state => Some((Wrong::StateOnly, Target::Out)),
        None => None,
        Some(Err(_)) => Some((Wrong::UnreadableRecord, Target::Out)),
        Some(Ok(record)) => {
            let Some(own) = kinds.iter().position(|kind| **kind == *record.kind) else {
                return Judgement::UnknownKind((*record.kind).into());
            };
            wrong_with(&facts, &places, own)
                .map(|wrong| (wrong, where_it_belongs(&facts, &places, own, &record)))
        }
    };
    let Some((wrong, target)) = judged else { return Judgement::InOrder };
    let mending = Mending {
        id: facts.id,
        digest: facts.digest,
        entry: facts.entry,
        has_state: facts.has_state,
        places,
        kinds: kinds.to_vec(),
        target,
    };
    Judgement::Wrong(wrong, mending)
}

/// With a job that has a record of the kind `own`.
fn wrong_with(facts: &Facts, places: &[usize], own: usize) -> Option<Wrong> {
    match places {
        [] => Some(Wrong::NoSet),
        [one] if one / Set::ALL.len() != own => Some(Wrong::OtherKind),
        [_] if !facts.is_in(own, Set::Lease) => facts.entry.as_ref().map(|_| Wrong::NoLease),
        [_] if facts.entry.is_none() => Some(Wrong::NoHolder),
        [_] => (!facts.is_held()).then_some(Wrong::UnreadableHolder),
        _ => Some(Wrong::SeveralSets),
    }
}

/// The first that applies of: active with a holder, waiting, active without a holder (it waits
/// again), dead, cancelled, completed; so that nothing undone is dropped, and what somebody has to
/// look at stays to be seen. In whatever kind's set it is, it belongs into its own kind's.
fn where_it_belongs(facts: &Facts, places: &[usize], own: usize, record: &Record) -> Target {
    if facts.is_in(own, Set::Lease) && facts.is_held() {
        return Target::Stay(place(own, Set::Lease));
    }
    for set in [Set::Due, Set::Lease, Set::Dead, Set::Cancelled, Set::Done] {
        let to = place(own, set);
        let Some(from) = places.iter().copied().find(|place| set_of(*place) == set) else { continue };
        return match set {
            Set::Lease => Target::Due { to: place(own, Set::Due), at: 0 },
            _ if facts.is_in(own, set) => Target::Stay(to),
            _ => Target::Move { from, to },
        };
    }
    Target::Due { to: place(own, Set::Due), at: due(&facts.id, record).unwrap_or_default() }
}

/// When the request wanted it to run, if it said so: what was to run in a month does not run now
/// because its set was lost.
fn due(id: &Bytes, record: &Record) -> Option<i64> {
    record.run_at.or_else(|| {
        let id: JobId = std::str::from_utf8(id).ok()?.parse().ok()?;
        id.made_at()?.checked_add(i64::try_from(record.delay?).ok()?)
    })
}

fn place(kind: usize, set: Set) -> usize {
    kind * Set::ALL.len() + Set::ALL.iter().position(|known| *known == set).unwrap_or_default()
}

fn set_of(place: usize) -> Set {
    Set::ALL[place % Set::ALL.len()]
}

impl Mending {
    pub(super) fn kind(&self, place: usize) -> &str {
        &self.kinds[place / Set::ALL.len()]
    }

    /// Names of keys, without what those of a queue share.
    pub(super) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.places.iter().map(|place| self.set(*place)).collect();
        let drops_entry = self.entry.is_some() && !self.keeps_entry();
        if drops_entry {
            keys.push("active".to_owned());
        }
        if keys.is_empty() || (self.target == Target::Out && !self.digest.is_empty()) {
            keys.push(if self.digest.is_empty() { "state" } else { "jobs" }.to_owned());
        }
        keys
    }

    /// Only a job that stays active has a holder.
    pub(super) fn keeps_entry(&self) -> bool {
        matches!(self.target, Target::Stay(place) if set_of(place) == Set::Lease)
    }

    fn set(&self, place: usize) -> String {
        format!("{}:{}", self.kind(place), set_of(place).name())
    }
}

/// What it does.
impl fmt::Display for Mending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target {
            Target::Stay(place) if self.places.len() > 1 => write!(f, "keep it in {} only", self.set(place)),
            Target::Stay(_) => f.write_str("remove the holder"),
            Target::Move { to, .. } => write!(f, "move it to {}", self.set(to)),
            Target::Due { at, .. } if at > 0 => f.write_str("make it due when it was asked for, or now"),
            Target::Due { .. } => f.write_str("make it due now"),
            Target::Out if self.digest.is_empty() => f.write_str("remove it"),
            Target::Out => f.write_str("set its record aside"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDER: &str =
        r#"5 1 2 3 {"id":"00000000-0000-7000-8000-000000000000","host":"h","pid":1,"build":"b"}"#;

    fn facts(record: &str, entry: &str, has_state: bool, sets: &str) -> Facts {
        let bytes = |text: &str| (!text.is_empty()).then(|| Bytes::copy_from_slice(text.as_bytes()));
        Facts {
            // Made at 1,000 ms. A new one would be later than those of other tests.
            id: "00000000-03e8-7000-8000-000000000000".parse::<JobId>().unwrap().short().into(),
            record: bytes(record),
            digest: record.chars().take(1).collect(),
            entry: bytes(entry),
            has_state,
            sets: sets.bytes().filter(|byte| *byte != b' ').map(|byte| byte == b'1').collect(),
        }
    }

    fn judged(facts: Facts) -> Option<(Wrong, Target)> {
        match judge(facts, &["a".into(), "b".into()]) {
            Judgement::InOrder => None,
            Judgement::UnknownKind(kind) => panic!("{kind}"),
            Judgement::Wrong(wrong, mending) => Some((wrong, mending.target)),
        }
    }

    #[test]
    fn each_state_of_a_job_is_in_order_and_each_contradiction_is_not() {
        let b = r#"{"kind":"b","payload":{}}"#;
        let later = r#"{"kind":"b","payload":{},"delay":500}"#;
        let torn = "torn 1 2";
        let now = Target::Due { to: 5, at: 0 };
        // Sets: due, lease, done, cancelled, dead of the kinds a and b.
        for (record, entry, has_state, sets, expected) in [
            ("", "", false, "00000 00000", None),
            (b, "", false, "00000 10000", None),
            (b, HOLDER, true, "00000 01000", None),
            (b, "", true, "00000 00100", None),
            (b, "", true, "00000 00010", None),
            (b, "", true, "00000 00001", None),
            ("", "", true, "10000 00000", Some((Wrong::NoRecord, Target::Out))),
            ("", HOLDER, true, "00000 00000", Some((Wrong::NoLease, Target::Out))),
            ("", "", true, "00000 00000", Some((Wrong::StateOnly, Target::Out))),
            ("{", HOLDER, true, "00000 01000", Some((Wrong::UnreadableRecord, Target::Out))),
            (b, "", false, "00000 00000", Some((Wrong::NoSet, now))),
            (later, "", false, "00000 00000", Some((Wrong::NoSet, Target::Due { to: 5, at: 1_500 }))),
            (b, "", false, "00000 01000", Some((Wrong::NoHolder, now))),
            (b, torn, false, "00000 01000", Some((Wrong::UnreadableHolder, now))),
            (b, HOLDER, false, "00000 10000", Some((Wrong::NoLease, Target::Stay(5)))),
            (b, HOLDER, false, "00000 11000", Some((Wrong::SeveralSets, Target::Stay(6)))),
            (b, torn, false, "00000 11000", Some((Wrong::SeveralSets, Target::Stay(5)))),
            (b, "", false, "00000 01001", Some((Wrong::SeveralSets, now))),
            (b, "", false, "10000 00111", Some((Wrong::SeveralSets, Target::Move { from: 0, to: 5 }))),
            (b, "", false, "00000 00111", Some((Wrong::SeveralSets, Target::Stay(9)))),
            (b, "", false, "00000 00110", Some((Wrong::SeveralSets, Target::Stay(8)))),
            (b, "", false, "00001 00000", Some((Wrong::OtherKind, Target::Move { from: 4, to: 9 }))),
            (b, HOLDER, false, "01000 00000", Some((Wrong::OtherKind, now))),
        ] {
            assert_eq!(
                judged(facts(record, entry, has_state, sets)),
                expected,
                "{record} {entry} {has_state} {sets}"
            );
        }
    }

    #[test]
    fn a_job_of_a_kind_not_asked_for_is_asked_for_again() {
        let facts = facts(r#"{"kind":"c","payload":{}}"#, "", false, "00000 00000");
        assert!(
            matches!(judge(facts, &["a".into(), "b".into()]), Judgement::UnknownKind(kind) if &*kind == "c")
        );
    }
}
