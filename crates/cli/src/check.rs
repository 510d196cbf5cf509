//! `atode check`: whether this build can read every job that is still to run. For a pipeline, before a deploy.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atode_queue::{Inspection, JobHash, JobId, Record, RecordKind, Set};
use bytes::Bytes;
use clap::Args;
use serde::Serialize;

use crate::print::{self, Form};
use crate::progress::Progress;
use crate::session::Session;
use crate::table::{whole, wraps};

/// Jobs that are shown one by one; all are counted.
const SHOWN: usize = 10;

/// Records and bytes read per second: 1,000,000 jobs take 40 s, and Redis spends a few percent of a core on them.
const RECORDS_PER_SECOND: f64 = 25_000.0;
const BYTES_PER_SECOND: f64 = 32e6;

#[derive(Args)]
pub(crate) struct CheckArgs {
    /// Check only this queue.
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
}

#[derive(Serialize)]
struct Report {
    /// True if this build can read each waiting and active job of its kinds.
    ok: bool,
    /// Records that were read, of jobs in any state.
    jobs: u64,
    /// Each kind of each queue with waiting or active jobs.
    kinds: Vec<KindReport>,
    /// The first jobs that this build cannot read.
    unreadable: Vec<Unreadable>,
    duration_ms: u64,
}

#[derive(Serialize)]
struct KindReport {
    queue: Arc<str>,
    kind: Arc<str>,
    /// False for a kind that this build does not have: its workers leave such jobs to others.
    known: bool,
    /// Waiting and active jobs.
    jobs: u64,
    unreadable: u64,
}

#[derive(Serialize)]
struct Unreadable {
    id: JobId,
    queue: Arc<str>,
    kind: Arc<str>,
    /// JSON pointer into the payload.
    pointer: String,
    error: String,
}

pub(crate) async fn run(session: &Session, form: Form, args: CheckArgs) -> anyhow::Result<ExitCode> {
    let queues: Vec<Arc<str>> = match args.queue {
        None => session.queues().await?,
        Some(queue) => {
            session.check_queue(&queue).await?;
            vec![queue.into()]
        }
    };
    let mut check = Check {
        session,
        progress: Progress::of("records read"),
        // If it is missing, the check itself says why.
        all: session.jobs(&queues).await.ok(),
        started: Instant::now(),
        jobs: 0,
        bytes: 0,
        found: BTreeMap::new(),
        shown: Vec::new(),
    };
    let mut kinds = Vec::new();
    for queue in &queues {
        check.queue(queue).await?;
        kinds.extend(check.kinds(queue).await?);
    }
    let report = Report {
        ok: kinds.iter().all(|kind| kind.unreadable == 0),
        jobs: check.jobs,
        kinds,
        unreadable: check.shown,
        duration_ms: check.started.elapsed().as_millis() as u64,
    };
    drop(check.progress);
    match form {
        Form::Json => print::json(&report)?,
        Form::Text => report.print()?,
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Check<'a> {
    session: &'a Session,
    progress: Progress,
    /// Jobs when the check began.
    all: Option<u64>,
    started: Instant,
    jobs: u64,
    bytes: usize,
    /// Number of unreadable jobs by queue and kind.
    found: BTreeMap<(Arc<str>, Arc<str>), u64>,
    shown: Vec<Unreadable>,
}

/// A job whose record does not fit one of the kinds that it can be of.
struct Suspect {
    id: Bytes,
    pointer: String,
    error: String,
}

impl Check<'_> {
    async fn queue(&mut self, queue: &Arc<str>) -> anyhow::Result<()> {
        let inspection = self.session.client.inspection();
        let mut scan = inspection.scan_hash(queue, JobHash::Records);
        let mut kinds = inspection.kinds_of(queue).await?;
        while let Some(records) = scan.next().await? {
            self.jobs += records.len() as u64;
            self.bytes += records.iter().map(|(_, record)| record.len()).sum::<usize>();
            self.progress.show(self.jobs, self.all);
            let is_new = |record: &[u8]| {
                RecordKind::decode(record).is_ok_and(|kind| !kinds.iter().any(|known| kind.is(known)))
            };
            if records.iter().any(|(_, record)| is_new(record)) {
                // The enqueue of a new kind has listed it.
                kinds = inspection.kinds_of(queue).await?;
            }
            for kind in &kinds {
                let suspects = records.iter().filter_map(|(id, record)| self.suspect(kind, id, record));
                self.confirm(inspection, queue, kind, suspects.collect()).await?;
            }
            self.pause().await;
        }
        Ok(())
    }

    /// The job, if it can be of this kind and does not fit it.
    fn suspect(&self, kind: &str, id: &Bytes, record: &[u8]) -> Option<Suspect> {
        let registered = self.session.registry.get(kind)?;
        if !RecordKind::decode(record).is_ok_and(|own| own.is(kind)) {
            return None;
        }
        let (pointer, error) = match Record::decode(record) {
            Err(error) => (String::new(), error.to_string()),
            Ok(record) => {
                let invalid = registered.check(record.payload.get()).err()?;
                (invalid.pointer, invalid.detail)
            }
        };
        Some(Suspect { id: id.clone(), pointer, error })
    }

    /// Counts the suspects that are still to run: waiting or active jobs of this kind.
    async fn confirm(
        &mut self,
        inspection: Inspection<'_>,
        queue: &Arc<str>,
        kind: &Arc<str>,
        suspects: Vec<Suspect>,
    ) -> anyhow::Result<()> {
        if suspects.is_empty() {
            return Ok(());
        }
        let ids = suspects.iter().map(|suspect| suspect.id.clone()).collect();
        let placements = inspection.placements(queue, kind, ids).await?;
        for (suspect, placement) in suspects.into_iter().zip(placements) {
            if !matches!(placement.sets[..], [Set::Due | Set::Lease]) {
                continue;
            }
            *self.found.entry((queue.clone(), kind.clone())).or_default() += 1;
            let id = std::str::from_utf8(&suspect.id).ok().and_then(|id| id.parse().ok());
            if let Some(id) = id.filter(|_| self.shown.len() < SHOWN) {
                let Suspect { pointer, error, .. } = suspect;
                self.shown.push(Unreadable { id, queue: queue.clone(), kind: kind.clone(), pointer, error });
            }
        }
        Ok(())
    }

    async fn kinds(&self, queue: &Arc<str>) -> anyhow::Result<Vec<KindReport>> {
        let view = self.session.client.queue(queue).await?;
        let kinds = view.kinds.into_iter().map(|kind| {
            let name: Arc<str> = kind.kind.into();
            let unreadable = self.found.get(&(queue.clone(), name.clone())).copied().unwrap_or_default();
            KindReport {
                queue: queue.clone(),
                known: self.session.registry.get(&name).is_some(),
                kind: name,
                jobs: kind.counts.scheduled + kind.counts.ready + kind.counts.active,
                unreadable,
            }
        });
        Ok(kinds.filter(|kind| kind.jobs + kind.unreadable > 0).collect())
    }

    /// Keeps to the rate: Redis has workers to serve.
    async fn pause(&self) {
        let due = (self.jobs as f64 / RECORDS_PER_SECOND).max(self.bytes as f64 / BYTES_PER_SECOND);
        let ahead = Duration::from_secs_f64(due).saturating_sub(self.started.elapsed());
        tokio::time::sleep(ahead).await;
    }
}

impl Report {
    fn print(&self) -> anyhow::Result<()> {
        if !self.kinds.is_empty() {
            let columns = [
                whole("queue", |kind: &KindReport| kind.queue.to_string()),
                whole("kind", |kind: &KindReport| kind.kind.to_string()),
                whole("jobs", |kind: &KindReport| kind.jobs.to_string()),
                whole("unreadable", |kind: &KindReport| {
                    if kind.known { kind.unreadable.to_string() } else { "not of this build".to_owned() }
                }),
            ];
            print::table(&columns, &self.kinds)?;
        }
        if !self.unreadable.is_empty() {
            print::line("")?;
            let columns = [
                whole("job", |job: &Unreadable| job.id.to_string()),
                whole("where", |job: &Unreadable| format!("payload{}", job.pointer)),
                wraps("error", |job: &Unreadable| job.error.clone()),
            ];
            print::table(&columns, &self.unreadable)?;
        }
        let unreadable: u64 = self.kinds.iter().map(|kind| kind.unreadable).sum();
        let took = Duration::from_millis(self.duration_ms).as_secs_f64();
        let outcome = match unreadable {
            0 => "this build can read every job of its kinds".to_owned(),
            1 => "this build cannot read 1 job; it would be buried".to_owned(),
            n => format!("this build cannot read {n} jobs; they would be buried"),
        };
        // Those of other kinds are counted, not checked.
        let known = self.kinds.iter().filter(|kind| kind.known);
        let checked = print::counted(known.map(|kind| kind.jobs).sum(), "waiting or active job");
        let read = print::counted(self.jobs, "record");
        print::line(&format!("{checked} checked ({read} read) in {took} s: {outcome}"))
    }
}
