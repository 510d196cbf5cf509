//! The findings of an audit.

use std::collections::BTreeSet;
use std::fmt;

use atode_queue::{JobRepair, Miscount};
use serde::Serialize;

/// Maximum number of findings per audit. The next audit finds more, once these are repaired.
pub(crate) const MAX_FINDINGS: usize = 100_000;

/// The result of an audit.
#[derive(Debug, Default, Serialize)]
pub struct Audit {
    /// The checked queues, with all of their jobs unless a finding says otherwise.
    pub queues: BTreeSet<String>,
    /// Number of checked records.
    pub jobs: u64,
    /// Number of ids that looked wrong at first. Most of them were in motion, so they are no findings.
    pub suspected: u64,
    pub findings: Vec<Finding>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Unset if it concerns all queues.
    pub queue: Option<String>,
    pub wrong: Wrong,
    /// A job's id (or the member that is not an id, as stored), a key, a name that a catalogue lacks, or a fingerprint.
    pub subject: String,
    /// The keys that have it, without the prefix that they share.
    #[serde(rename = "where")]
    pub places: Vec<String>,
    /// The action of a repair.
    pub repair: String,
    #[serde(skip)]
    pub(crate) plan: Plan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// A key is of another type than its name requires. The jobs of its queue cannot be checked.
    WrongType,
    /// A queue has keys, but the catalogue of queues does not list it.
    UnlistedQueue,
    /// A kind has sets, but its queue does not list it: nobody reaps, trims or shows its jobs.
    UnlistedKind,
    /// A record cannot be read: nobody can run the job.
    UnreadableRecord,
    /// A job is in no set: nobody ever runs or removes it.
    NoSet,
    /// A set has an id without a job.
    NoRecord,
    /// A job is in more than one set.
    SeveralSets,
    /// A job is in a set of another kind than its own.
    OtherKind,
    /// A job is in a lease set and has no holder: nobody can settle it until its lease has run out.
    NoHolder,
    /// The holder of an active job cannot be read: nobody can settle it until its lease has run out.
    UnreadableHolder,
    /// A job that is not active has a holder.
    NoLease,
    /// A history has no job.
    StateOnly,
    /// A group of dead jobs counts more or fewer than there are.
    Miscount,
}

/// The repair of a finding.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    Repair(Box<JobRepair>),
    Recount { kind: String, miscount: Miscount },
    SetAside { key: String, key_type: &'static str },
    List { list: String, name: String, keys: Vec<String> },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wrong::WrongType => "a key of a wrong type",
            Wrong::UnlistedQueue => "a queue that is not listed",
            Wrong::UnlistedKind => "a kind that is not listed",
            Wrong::UnreadableRecord => "an unreadable record",
            Wrong::NoSet => "a job in no set",
            Wrong::NoRecord => "an id without a record",
            Wrong::SeveralSets => "a job in several sets",
            Wrong::OtherKind => "a job in a set of another kind",
            Wrong::NoHolder => "an active job without a holder",
            Wrong::UnreadableHolder => "an active job with an unreadable holder",
            Wrong::NoLease => "a holder of a job that is not active",
            Wrong::StateOnly => "a history without a job",
            Wrong::Miscount => "a group of dead jobs with a wrong count",
        })
    }
}
