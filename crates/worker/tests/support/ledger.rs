//! A file in which handlers record their runs. All processes append to it, and it outlives them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use atode_jobs::JobContext;
use atode_queue::{JobId, WorkerId};
use serde::{Deserialize, Serialize};

const FILE: &str = "ledger";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Event {
    Start,
    End,
    /// The handler was dropped before it ended.
    Dropped,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) event: Event,
    pub(crate) id: JobId,
    pub(crate) attempt: u32,
    pub(crate) token: u64,
    pub(crate) worker: WorkerId,
    pub(crate) pid: u32,
    /// Unix ms.
    pub(crate) at: i64,
}

pub(crate) fn write(dir: &str, event: Event, ctx: &JobContext) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let entry = Entry {
        event,
        id: ctx.id,
        attempt: ctx.attempt,
        token: ctx.token.get(),
        worker: ctx.worker,
        pid: std::process::id(),
        at: since.as_millis() as i64,
    };
    let line = serde_json::to_string(&entry).expect("plain data") + "\n";
    let file = OpenOptions::new().create(true).append(true).open(Path::new(dir).join(FILE));
    // The test may have removed the folder before its last handler ended.
    if let Ok(mut file) = file {
        let _ = file.write_all(line.as_bytes());
    }
}

pub(crate) fn read(dir: &Path) -> Vec<Entry> {
    let text = fs::read_to_string(dir.join(FILE)).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect()
}
