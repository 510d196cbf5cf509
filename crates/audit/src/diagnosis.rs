//! The diagnosis of a job from the facts at one instant, and its repair.

use std::sync::Arc;

use atode_queue::{Error, JobFacts, JobId, JobRepair, Place, Record, RecordKind, Set, Target, names_holder};
use bytes::Bytes;

use crate::finding::Wrong;

#[derive(Debug)]
pub(crate) enum Diagnosis {
    InOrder,
    /// The facts lack the sets of the job's own kind.
    UnknownKind(Arc<str>),
    /// The record names its kind by a tag, which is not enough to tell the kind. If nothing tells it, the record is
    /// unreadable, and this is its repair.
    UnknownTag(JobRepair),
    Wrong(Wrong, JobRepair),
}

/// `kinds` are those whose sets are in the facts.
pub(crate) fn diagnose(facts: JobFacts, kinds: &[Arc<str>]) -> Diagnosis {
    let repair = |facts, target| {
        let facts = JobFacts { record: None, ..facts };
        JobRepair { facts, kinds: kinds.to_vec(), target }
    };
    let record = facts.record.as_deref();
    let record = record.map(|record| Ok::<_, Error>((RecordKind::decode(record)?, Record::decode(record)?)));
    let found = match record {
        None if !facts.places.is_empty() => Some((Wrong::NoRecord, Target::Out)),
        None if facts.holder.is_some() => Some((Wrong::NoLease, Target::Out)),
        None if facts.has_history => Some((Wrong::StateOnly, Target::Out)),
        None => None,
        Some(Err(_)) => Some((Wrong::UnreadableRecord, Target::Out)),
        Some(Ok((kind, record))) => match (own_kind(&kind, &facts.places, kinds), kind) {
            (Some(own), _) => wrong_with(&facts, own).map(|wrong| (wrong, target(&facts, own, &record))),
            (None, RecordKind::Name(name)) => return Diagnosis::UnknownKind((*name).into()),
            (None, RecordKind::Tag(_)) => return Diagnosis::UnknownTag(repair(facts, Target::Out)),
        },
    };
    found.map_or(Diagnosis::InOrder, |(wrong, target)| Diagnosis::Wrong(wrong, repair(facts, target)))
}

/// The names of the keys that a repair changes, without the prefix that they share.
pub(crate) fn keys(repair: &JobRepair) -> Vec<String> {
    let mut keys: Vec<String> = repair.facts.places.iter().map(|place| set_name(repair, *place)).collect();
    if repair.facts.holder.is_some() && !repair.keeps_holder() {
        keys.push("active".to_owned());
    }
    if keys.is_empty() || repair.sets_record_aside() {
        keys.push(if repair.facts.has_record() { "jobs" } else { "state" }.to_owned());
    }
    keys
}

/// The action of a repair, for people.
pub(crate) fn action(repair: &JobRepair) -> String {
    match repair.target {
        Target::Stay(place) if repair.facts.places.len() > 1 => {
            format!("keep it in {} only", set_name(repair, place))
        }
        Target::Stay(_) => "remove the holder".to_owned(),
        Target::Move { to, .. } => format!("move it to {}", set_name(repair, to)),
        Target::Due { at, .. } if at > 0 => "make it due when it was asked for, or now".to_owned(),
        Target::Due { .. } => "make it due now".to_owned(),
        Target::Out if !repair.facts.has_record() => "remove it".to_owned(),
        Target::Out => "set its record aside".to_owned(),
    }
}

/// The kind of a record among `kinds`. If several have its tag, it is the one whose set has the job.
fn own_kind(kind: &RecordKind, places: &[Place], kinds: &[Arc<str>]) -> Option<usize> {
    let possible: Vec<usize> = (0..kinds.len()).filter(|own| kind.is(&kinds[*own])).collect();
    match possible[..] {
        [own] => Some(own),
        _ => possible.into_iter().find(|own| places.iter().any(|(kind, _)| kind == own)),
    }
}

/// The contradiction of a job that has a record of the kind at `own`.
fn wrong_with(facts: &JobFacts, own: usize) -> Option<Wrong> {
    match facts.places[..] {
        [] => Some(Wrong::NoSet),
        [(kind, _)] if kind != own => Some(Wrong::OtherKind),
        [(_, set)] if set != Set::Lease => facts.holder.as_ref().map(|_| Wrong::NoLease),
        [_] if facts.holder.is_none() => Some(Wrong::NoHolder),
        [_] => (!has_holder(facts)).then_some(Wrong::UnreadableHolder),
        _ => Some(Wrong::SeveralSets),
    }
}

/// The set of its own kind where a job belongs. The first state that applies wins: active with a holder, waiting,
/// active without a holder (it waits again), dead, cancelled, completed. So no unfinished job is lost, and dead jobs
/// stay visible.
fn target(facts: &JobFacts, own: usize, record: &Record) -> Target {
    let is_in = |place| facts.places.contains(&place);
    if is_in((own, Set::Lease)) && has_holder(facts) {
        return Target::Stay((own, Set::Lease));
    }
    for set in [Set::Due, Set::Lease, Set::Dead, Set::Cancelled, Set::Done] {
        let to = (own, set);
        let Some(from) = facts.places.iter().copied().find(|place| place.1 == set) else { continue };
        return match set {
            Set::Lease => Target::Due { to: (own, Set::Due), at: 0 },
            _ if is_in(to) => Target::Stay(to),
            _ => Target::Move { from, to },
        };
    }
    Target::Due { to: (own, Set::Due), at: due(&facts.id, record).unwrap_or_default() }
}

/// The due time of the request, if it set one: a job for next month must not run now because its set was lost.
fn due(id: &Bytes, record: &Record) -> Option<i64> {
    record.run_at.or_else(|| {
        let id: JobId = std::str::from_utf8(id).ok()?.parse().ok()?;
        id.made_at()?.checked_add(i64::try_from(record.delay?).ok()?)
    })
}

fn has_holder(facts: &JobFacts) -> bool {
    facts.holder.as_deref().is_some_and(names_holder)
}

fn set_name(repair: &JobRepair, (kind, set): Place) -> String {
    format!("{}:{}", repair.kinds[kind], set.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDER: &str =
        r#"5 1 2 3 {"id":"00000000-0000-7000-8000-000000000000","host":"h","pid":1,"build":"b"}"#;

    fn facts(record: &str, entry: &str, has_state: bool, sets: &str) -> JobFacts {
        let bytes = |text: &str| (!text.is_empty()).then(|| Bytes::copy_from_slice(text.as_bytes()));
        JobFacts {
            // An id with the time 1,000 ms.
            id: "00000000-03e8-7000-8000-000000000000".parse::<JobId>().unwrap().short().into(),
            record: bytes(record),
            digest: record.chars().take(1).collect(),
            holder: bytes(entry),
            has_history: has_state,
            places: sets
                .split(' ')
                .enumerate()
                .flat_map(|(kind, sets)| {
                    Set::ALL
                        .into_iter()
                        .zip(sets.bytes())
                        .filter(|(_, digit)| *digit == b'1')
                        .map(move |(set, _)| (kind, set))
                })
                .collect(),
        }
    }

    fn diagnosed(facts: JobFacts) -> Option<(Wrong, Target)> {
        match diagnose(facts, &["a".into(), "b".into()]) {
            Diagnosis::InOrder => None,
            Diagnosis::UnknownKind(kind) => panic!("{kind}"),
            Diagnosis::UnknownTag(_) => panic!("an unknown tag"),
            Diagnosis::Wrong(wrong, repair) => Some((wrong, repair.target)),
        }
    }

    #[test]
    fn each_state_of_a_job_is_in_order_and_each_contradiction_is_not() {
        let b = r#"{"kind":"b","payload":{}}"#;
        let later = r#"{"kind":"b","payload":{},"delay":500}"#;
        let torn = "torn 1 2";
        let now = Target::Due { to: (1, Set::Due), at: 0 };
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
            (
                later,
                "",
                false,
                "00000 00000",
                Some((Wrong::NoSet, Target::Due { to: (1, Set::Due), at: 1_500 })),
            ),
            (b, "", false, "00000 01000", Some((Wrong::NoHolder, now))),
            (b, torn, false, "00000 01000", Some((Wrong::UnreadableHolder, now))),
            (b, HOLDER, false, "00000 10000", Some((Wrong::NoLease, Target::Stay((1, Set::Due))))),
            (b, HOLDER, false, "00000 11000", Some((Wrong::SeveralSets, Target::Stay((1, Set::Lease))))),
            (b, torn, false, "00000 11000", Some((Wrong::SeveralSets, Target::Stay((1, Set::Due))))),
            (b, "", false, "00000 01001", Some((Wrong::SeveralSets, now))),
            (
                b,
                "",
                false,
                "10000 00111",
                Some((Wrong::SeveralSets, Target::Move { from: (0, Set::Due), to: (1, Set::Due) })),
            ),
            (b, "", false, "00000 00111", Some((Wrong::SeveralSets, Target::Stay((1, Set::Dead))))),
            (b, "", false, "00000 00110", Some((Wrong::SeveralSets, Target::Stay((1, Set::Cancelled))))),
            (
                b,
                "",
                false,
                "00001 00000",
                Some((Wrong::OtherKind, Target::Move { from: (0, Set::Dead), to: (1, Set::Dead) })),
            ),
            (b, HOLDER, false, "01000 00000", Some((Wrong::OtherKind, now))),
        ] {
            assert_eq!(
                diagnosed(facts(record, entry, has_state, sets)),
                expected,
                "{record} {entry} {has_state} {sets}"
            );
        }
    }

    #[test]
    fn a_job_of_an_unknown_kind_is_checked_again() {
        let facts = facts(r#"{"kind":"c","payload":{}}"#, "", false, "00000 00000");
        assert!(
            matches!(diagnose(facts, &["a".into(), "b".into()]), Diagnosis::UnknownKind(kind) if &*kind == "c")
        );
    }
}
