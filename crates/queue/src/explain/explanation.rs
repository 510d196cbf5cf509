//! The answer to "why is this job not running?": a reason of a closed list, and the checks of a claim.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::id::JobId;
use crate::model::instant;
use crate::model::state::State;

/// Why a job is not running, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Explanation {
    pub id: JobId,
    pub kind: String,
    pub queue: String,
    pub state: State,
    pub reason: Reason,
    /// The reason in plain English, with the figures of this job.
    pub sentence: String,
    pub what_to_do: String,
    /// The job does not run before this instant. Unset if it waits for an event, runs or has ended.
    #[serde(serialize_with = "instant::serialize_option")]
    pub runs_at_earliest: Option<Timestamp>,
    /// The checks that the job has to pass, in the order in which a claim makes them. Empty unless the job waits.
    pub checks: Vec<Check>,
}

/// One step on the way from a waiting job to a running one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    pub name: CheckName,
    pub result: CheckResult,
    /// The figure behind the result, such as `in 2 min 47 s`.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    Passed,
    Failed,
    /// It passes by itself at a known time.
    WaitsForTime,
}

/// Declares an enum whose variants have a name each, and the list of all of them.
macro_rules! names {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            pub const ALL: &[$name] = &[$($name::$variant,)+];

            /// The name in the API, such as `not_due`.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

names! {
    /// The reason why a job is not running. docs/explain.md has a row for each.
    Reason {
        // It waits.
        NotDue "not_due",
        BackingOff "backing_off",
        QueuePaused "queue_paused",
        NoWorkerKnowsKind "no_worker_knows_kind",
        WorkersQuiet "workers_quiet",
        SlotsFull "slots_full",
        /// Redis refuses to write, and so every claim.
        RedisFull "redis_full",
        /// A job that crashed twice or more waits for its turn.
        HeldAfterCrashes "held_after_crashes",
        /// Its payload is for a build that has no live worker.
        BuildTooOld "build_too_old",
        /// Every check has passed: the next claim takes it.
        DueNow "due_now",
        // It is active.
        CancelRequested "cancel_requested",
        /// Its worker is gone or lost the lease, and the job has not been recovered yet.
        Settling "settling",
        Running "running",
        /// Redis does not answer. No explanation has it; the error that takes its place does.
        RedisAway "redis_away",
        // It has ended.
        Completed "completed",
        RetriesSpent "retries_spent",
        Permanent "permanent",
        Crashed5Times "crashed_5_times",
        Cancelled "cancelled",
    }
}

names! {
    /// The checks, in the order in which a claim makes them.
    CheckName {
        /// The claim loop of a worker sleeps until the due time.
        Due "due",
        /// A paused queue gives out nothing and has no next due time.
        QueueGivesOutJobs "queue_gives_out_jobs",
        /// A claim names the kinds that its worker knows.
        WorkerKnowsKind "worker_knows_kind",
        /// A quiet or stopping worker claims nothing.
        WorkerClaims "worker_claims",
        /// A worker claims as many jobs as it has room for.
        SlotFree "slot_free",
        /// Redis takes the call.
        RedisTakesWrites "redis_takes_writes",
        /// The script puts a suspect off while its worker runs another one.
        TurnAfterCrashes "turn_after_crashes",
        /// A worker hands back a job whose payload it cannot read, if another build can.
        WorkerReadsPayload "worker_reads_payload",
    }
}
