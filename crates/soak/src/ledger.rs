//! The record of runs. It is a file, so that it survives the processes, and several processes can append to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use atode_jobs::JobContext;
use atode_queue::{JobId, WorkerId};
use serde::{Deserialize, Serialize};

const RUNS: &str = "runs";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Event {
    Start,
    /// Written at the end of a run.
    Success,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) event: Event,
    pub(crate) id: JobId,
    pub(crate) key: String,
    pub(crate) attempt: u32,
    pub(crate) token: u64,
    pub(crate) worker: WorkerId,
    /// The worker's clock, Unix ms.
    pub(crate) at: u64,
}

/// The current time, Unix ms.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Appends one line in a single write, so that a killed process never leaves a partial line.
pub(crate) fn write_run(dir: &str, event: Event, key: &str, ctx: &JobContext) {
    let run = Run {
        event,
        id: ctx.id,
        key: key.to_owned(),
        attempt: ctx.attempt,
        token: ctx.token.get(),
        worker: ctx.worker,
        at: now(),
    };
    let line = serde_json::to_string(&run).expect("strings and numbers always serialize") + "\n";
    let file = OpenOptions::new().create(true).append(true).open(Path::new(dir).join(RUNS));
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the ledger can be written");
}

pub(crate) fn runs(dir: &Path) -> Vec<Run> {
    let text = fs::read_to_string(dir.join(RUNS)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a whole line")).collect()
}

/// The runs of all jobs, summed up.
#[derive(Default)]
pub(crate) struct Outcomes {
    /// The times at which each job started, Unix ms.
    pub(crate) starts: BTreeMap<JobId, Vec<u64>>,
    /// Jobs that have run to their end.
    pub(crate) ended: BTreeSet<JobId>,
}

impl Outcomes {
    pub(crate) fn read(dir: &Path) -> Self {
        let mut outcomes = Outcomes::default();
        for run in runs(dir) {
            match run.event {
                Event::Start => outcomes.starts.entry(run.id).or_default().push(run.at),
                Event::Success => drop(outcomes.ended.insert(run.id)),
            }
        }
        outcomes
    }

    /// Jobs that started more than once.
    pub(crate) fn repeated(&self) -> usize {
        self.starts.values().filter(|starts| starts.len() > 1).count()
    }
}
