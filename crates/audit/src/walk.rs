//! Walks through everything that one queue stores, in steps. A job that looks wrong here may just be
//! changing its state, so it is only a suspect. A script that sees everything at one instant confirms or clears it.

use std::collections::HashSet;
use std::sync::Arc;

use atode_queue::{
    Error, Inspection, JobHash, JobId, JobRepair, Placement, Record, RecordKind, Set, names_holder, step,
};
use bytes::Bytes;

use crate::diagnosis::{Diagnosis, action, diagnose, keys};
use crate::finding::{Audit, Finding, MAX_FINDINGS, Plan, Wrong};

/// Lookups of a script call: sets times ids.
const LOOKUPS: usize = 4_000;
/// Checks of one job at most. A job of a kind that was unknown so far is checked again, with the sets of that kind.
const MAX_ROUNDS: usize = 3;

struct Walk<'a> {
    inspection: Inspection<'a>,
    queue: &'a str,
    kinds: Vec<Arc<str>>,
    /// Ids that have a finding.
    found: HashSet<Bytes>,
    /// Mean bytes of a record.
    record_bytes: usize,
    audit: &'a mut Audit,
    progress: &'a (dyn Fn(u64) + Sync),
}

/// Walks through a queue that has these kinds. Calls `progress` with the number of checked jobs after each step.
pub(crate) async fn walk(
    inspection: Inspection<'_>,
    queue: &str,
    kinds: Vec<Arc<str>>,
    audit: &mut Audit,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(), Error> {
    let mut walk = Walk { inspection, queue, kinds, found: HashSet::new(), record_bytes: 0, audit, progress };
    walk.records().await?;
    for kind in walk.kinds.clone() {
        for set in Set::ALL {
            walk.set(&kind, set).await?;
        }
    }
    walk.entries(JobHash::Holders).await?;
    walk.entries(JobHash::Histories).await?;
    for kind in walk.kinds.clone() {
        walk.groups(&kind).await?;
    }
    Ok(())
}

impl Walk<'_> {
    /// Checks that each record is readable and its job in one set of its kind, with a holder if it is active.
    async fn records(&mut self) -> Result<(), Error> {
        let mut scan = self.inspection.scan_hash(self.queue, JobHash::Records);
        let (mut jobs, mut bytes) = (0, 0);
        while let Some(records) = scan.next().await? {
            jobs += records.len();
            self.audit.jobs += records.len() as u64;
            (self.progress)(self.audit.jobs);
            bytes += records.iter().map(|(_, record)| record.len()).sum::<usize>();
            let suspects = self.suspicious_records(&records).await?;
            self.check(suspects).await?;
            if self.is_full() {
                break;
            }
        }
        self.record_bytes = bytes / jobs.max(1);
        Ok(())
    }

    async fn suspicious_records(&self, records: &[(Bytes, Bytes)]) -> Result<Vec<Bytes>, Error> {
        let mut suspects = Vec::new();
        let mut by_kind: Vec<Vec<Bytes>> = vec![Vec::new(); self.kinds.len()];
        for (id, record) in records {
            let kind = Record::decode(record).and_then(|_| RecordKind::decode(record));
            let can_be = |place: &usize| kind.as_ref().is_ok_and(|kind| kind.is(&self.kinds[*place]));
            let mut possible = (0..self.kinds.len()).filter(can_be);
            match (possible.next(), possible.next()) {
                (Some(place), None) => by_kind[place].push(id.clone()),
                _ => suspects.push(id.clone()),
            }
        }
        for (kind, ids) in self.kinds.iter().zip(by_kind).filter(|(_, ids)| !ids.is_empty()) {
            let placements = self.inspection.placements(self.queue, kind, ids).await?;
            suspects.extend(placements.into_iter().filter(looks_wrong).map(|placement| placement.id));
        }
        Ok(suspects)
    }

    /// Checks that each id in a set has a record of that kind.
    async fn set(&mut self, kind: &str, set: Set) -> Result<(), Error> {
        let mut scan = self.inspection.scan_set(self.queue, kind, set);
        while let Some(members) = scan.next().await? {
            let ids: Vec<Bytes> = members.into_iter().map(|(id, _)| id).collect();
            for ids in ids.chunks(step(self.record_bytes)) {
                let records = self.inspection.records(self.queue, ids).await?;
                let is_suspect = |record: &Option<Bytes>| {
                    !record.as_deref().is_some_and(|record| {
                        Record::decode(record).is_ok()
                            && RecordKind::decode(record).is_ok_and(|own| own.is(kind))
                    })
                };
                let suspects = ids.iter().zip(&records).filter(|(_, record)| is_suspect(record));
                let suspects = suspects.map(|(id, _)| id.clone()).collect();
                self.check(suspects).await?;
            }
            if self.is_full() {
                break;
            }
        }
        Ok(())
    }

    /// Checks that each entry of a hash has a record. The walk over the records has checked everything else.
    async fn entries(&mut self, hash: JobHash) -> Result<(), Error> {
        let mut scan = self.inspection.scan_hash(self.queue, hash);
        while let Some(entries) = scan.next().await? {
            let ids = entries.into_iter().map(|(id, _)| id).collect();
            let suspects = self.inspection.without_record(self.queue, ids).await?;
            self.check(suspects).await?;
            if self.is_full() {
                break;
            }
        }
        Ok(())
    }

    /// Checks that each group of dead jobs counts those that there are. Jobs move between two steps, so only a count
    /// that is wrong twice is a finding.
    async fn groups(&mut self, kind: &str) -> Result<(), Error> {
        let first = self.inspection.miscounts(self.queue, kind).await?;
        if first.is_empty() || self.is_full() {
            return Ok(());
        }
        let second = self.inspection.miscounts(self.queue, kind).await?;
        for miscount in second.into_iter().filter(|miscount| first.contains(miscount)) {
            let stored = miscount.stored.map_or_else(|| "none".to_owned(), |stored| stored.to_string());
            self.audit.findings.push(Finding {
                queue: Some(self.queue.to_owned()),
                wrong: Wrong::Miscount,
                subject: miscount.fingerprint.clone(),
                places: vec![format!("{kind}:failures")],
                repair: format!("count {} instead of {stored}", miscount.counted),
                plan: Plan::Recount { kind: kind.to_owned(), miscount },
            });
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.audit.findings.len() >= MAX_FINDINGS
    }

    /// Checks each suspect at one instant.
    async fn check(&mut self, ids: Vec<Bytes>) -> Result<(), Error> {
        let mut left: Vec<Bytes> = ids.into_iter().filter(|id| !self.found.contains(id)).collect();
        self.audit.suspected += left.len() as u64;
        for round in 1..=MAX_ROUNDS {
            let (mut again, mut new_kinds) = (Vec::new(), Vec::new());
            let sets = Set::ALL.len() * self.kinds.len();
            let per_call = (LOOKUPS / sets.max(1)).clamp(1, step(self.record_bytes));
            for ids in left.chunks(per_call) {
                for facts in self.inspection.facts(self.queue, &self.kinds, ids).await? {
                    let id = facts.id.clone();
                    match diagnose(facts, &self.kinds) {
                        Diagnosis::InOrder => {}
                        Diagnosis::UnknownKind(kind) => {
                            new_kinds.push(kind);
                            again.push(id);
                        }
                        Diagnosis::UnknownTag(unreadable) if round == MAX_ROUNDS => {
                            self.report(id, Wrong::UnreadableRecord, unreadable);
                        }
                        Diagnosis::UnknownTag(_) => again.push(id),
                        Diagnosis::Wrong(wrong, repair) => self.report(id, wrong, repair),
                    }
                }
            }
            if !again.is_empty() {
                // A job of a new kind may have been enqueued since the kinds were read. The enqueue has listed its kind.
                new_kinds.extend(self.inspection.kinds_of(self.queue).await?);
            }
            for kind in new_kinds {
                if !self.kinds.contains(&kind) {
                    self.kinds.push(kind);
                }
            }
            left = again;
        }
        Ok(())
    }

    fn report(&mut self, id: Bytes, wrong: Wrong, repair: JobRepair) {
        self.audit.findings.push(Finding {
            queue: Some(self.queue.to_owned()),
            wrong,
            subject: display_id(&id),
            places: keys(&repair),
            repair: action(&repair),
            plan: Plan::Repair(Box::new(repair)),
        });
        self.found.insert(id);
    }
}

/// True for a job that is not in one set, or whose holder does not fit.
fn looks_wrong(placement: &Placement) -> bool {
    match (&placement.sets[..], &placement.holder) {
        ([Set::Lease], Some(entry)) => !names_holder(entry),
        ([Set::Lease], None) => true,
        ([_], holder) => holder.is_some(),
        _ => true,
    }
}

/// An id in its long form. A member that is not an id is returned as it is.
fn display_id(id: &Bytes) -> String {
    let text = String::from_utf8_lossy(id);
    text.parse::<JobId>().map_or_else(|_| text.into_owned(), |id| id.to_string())
}
