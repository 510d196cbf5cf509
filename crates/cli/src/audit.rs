//! `atode audit`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use atode_audit::{Audit, Finding, Repaired, audit_with_progress};
use atode_queue::Error;
use clap::Args;
use serde::Serialize;

use crate::print::{self, Form};
use crate::progress::Progress;
use crate::session::Session;
use crate::table::{whole, wraps};

/// Upper bound on rounds of audit and repair, in case something keeps breaking the data meanwhile.
const MAX_ROUNDS: usize = 20;

/// Rows of the table; JSON has all findings.
const ROWS: usize = 500;

#[derive(Serialize)]
struct Report {
    /// The checked queues.
    queues: Vec<String>,
    /// Number of checked jobs.
    jobs: u64,
    findings: Vec<Row>,
    /// Number of findings that were not repaired.
    left: usize,
    duration_ms: u64,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    finding: Finding,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Outcome {
    Found,
    Failed {
        error: String,
    },
    #[serde(untagged)]
    Repair(Repaired),
}

#[derive(Args)]
pub(crate) struct AuditArgs {
    /// Repair every finding. No job is lost: a job that may not have run becomes due again, and unreadable data is
    /// moved aside.
    #[arg(long)]
    repair: bool,
    /// Check only this queue.
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
}

pub(crate) async fn run(session: &Session, form: Form, args: AuditArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let mut audit = look(session, args.queue.as_deref()).await?;
    if let Some(queue) = &args.queue
        && !audit.queues.contains(queue)
        && !session.config.queues.contains_key(queue)
    {
        bail!("there is no queue {queue}");
    }
    let mut findings = Vec::new();
    // A repair may uncover more findings: a key of a wrong type hides all jobs of its queue.
    for _ in 0..MAX_ROUNDS {
        if !args.repair || audit.findings.is_empty() {
            break;
        }
        let rows = repair(session, std::mem::take(&mut audit.findings)).await;
        let has_repaired = rows.iter().any(|row| matches!(row.outcome, Outcome::Repair(_)));
        findings.extend(rows);
        audit = look(session, args.queue.as_deref()).await?;
        if !has_repaired {
            break;
        }
    }
    let left = audit.findings.len();
    if !args.repair {
        let found = |finding| Row { finding, outcome: Outcome::Found };
        findings.extend(audit.findings.into_iter().map(found));
    }
    let report = Report {
        queues: audit.queues.into_iter().collect(),
        jobs: audit.jobs,
        findings,
        left,
        duration_ms: started.elapsed().as_millis() as u64,
    };
    match form {
        Form::Json => print::json(&report)?,
        Form::Text => report.print(args.repair)?,
    }
    Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn look(session: &Session, queue: Option<&str>) -> Result<Audit, Error> {
    let progress = Progress::of("jobs looked at");
    let all = jobs(session, queue).await;
    audit_with_progress(&session.client, queue, &|jobs| progress.show(jobs, all)).await
}

/// The number of jobs, if no broken queue hides it.
async fn jobs(session: &Session, queue: Option<&str>) -> Option<u64> {
    let queues = match queue {
        Some(queue) => vec![queue.into()],
        None => session.queues().await.ok()?,
    };
    session.jobs(&queues).await.ok()
}

async fn repair(session: &Session, findings: Vec<Finding>) -> Vec<Row> {
    let mut rows = Vec::with_capacity(findings.len());
    let (progress, all) = (Progress::of("findings repaired"), findings.len() as u64);
    for finding in findings {
        progress.show(rows.len() as u64, Some(all));
        let outcome = match atode_audit::repair(&session.client, &finding).await {
            Ok(repaired) => Outcome::Repair(repaired),
            Err(error) => Outcome::Failed { error: error.to_string() },
        };
        rows.push(Row { finding, outcome });
    }
    rows
}

impl Row {
    /// The repair, and its outcome if it was tried.
    fn repair(&self) -> String {
        let repair = &self.finding.repair;
        match &self.outcome {
            Outcome::Found => repair.clone(),
            Outcome::Failed { error } => format!("failed: {error}"),
            Outcome::Repair(Repaired::Changed) => "nothing: it had changed".to_owned(),
            Outcome::Repair(Repaired::Done { set_aside: None }) => format!("done: {repair}"),
            Outcome::Repair(Repaired::Done { set_aside: Some(aside) }) => format!("done: {repair} → {aside}"),
        }
    }
}

impl Report {
    fn print(&self, has_repaired: bool) -> anyhow::Result<()> {
        if !self.findings.is_empty() {
            let last = if has_repaired { "what was done" } else { "what --repair does" };
            let columns = [
                whole("queue", |row: &Row| row.finding.queue.clone().unwrap_or_else(|| "–".to_owned())),
                wraps("wrong", |row| row.finding.wrong.to_string()),
                whole("job or key", |row| row.finding.subject.clone()),
                wraps("where", |row| row.finding.places.join(" ")),
                wraps(last, Row::repair),
            ];
            print::table(&columns, &self.findings[..self.findings.len().min(ROWS)])?;
            if let more @ 1.. = self.findings.len().saturating_sub(ROWS) {
                print::line(&format!("… and {more} more: --json shows all"))?;
            }
        }
        let outcome = match (self.findings.len(), self.left) {
            (0, 0) => "nothing is wrong".to_owned(),
            (found, 0) => format!("{found} found, all repaired"),
            (found, left) if has_repaired => format!("{found} found, {left} left"),
            (found, _) => format!("{found} found; --repair repairs them"),
        };
        let took = Duration::from_millis(self.duration_ms).as_secs_f64();
        let jobs = print::counted(self.jobs, "job");
        let queues = print::counted(self.queues.len() as u64, "queue");
        print::line(&format!("{jobs} in {queues} looked at in {took} s: {outcome}"))
    }
}
