//! The command line of the queue. It talks to Redis itself, so it works while no gateway runs.
//!
//! A program with its own kinds calls [`main`] with its own registry.

mod audit;
mod enqueue;
mod job;
mod print;
mod queues;
mod session;
mod table;
mod workers;

use std::process::ExitCode;

pub use atode_config::Build;
use atode_config::{ConfigArgs, process};
use atode_jobs::{DuplicateKind, Registry};
use atode_queue::JobId;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::session::Session;

/// Shows and changes the jobs in Redis, with or without a running gateway.
///
/// Tables are as wide as the terminal (or `COLUMNS`). `--json` prints the same JSON as the HTTP API.
///
/// Exits with 0 on success, with 1 if something was refused or failed, and with 2 if the command line is wrong.
/// `audit --help` lists the exit codes of `audit`.
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Check that the stored data is consistent. Safe to run while the queues are in use.
    ///
    /// Reads every record, set and key of every queue in small steps. A job that merely changes its state during the
    /// audit is not reported. Exits with 0 if nothing is wrong or everything was repaired, with 1 if something is
    /// wrong and was not repaired, and with 2 if the data could not be read.
    Audit(audit::AuditArgs),
    /// Store a job.
    Enqueue(enqueue::EnqueueArgs),
    /// Show one job.
    #[command(subcommand)]
    Job(JobAction),
    /// Count jobs by queue and state.
    Queues,
    /// List the live workers.
    Workers,
}

#[derive(Subcommand)]
enum JobAction {
    /// Show the state of a job, its attempts, and the worker that ran it.
    Show {
        /// The job's UUID, or the form of 14 or 22 characters that Redis stores (put that form in single quotes).
        id: JobId,
    },
}

/// Files and threads that a command needs: connections to Redis, and a thread that resolves its name.
const NEEDS: process::Needs = process::Needs { files: 32, threads: 2 };

/// The whole `main` of a command line: the program's name and version, and the kinds that it can enqueue.
pub fn main(build: Build, registry: Result<Registry, DuplicateKind>) -> ExitCode {
    let command = Command::command().name(build.name).version(build.version);
    let command = Command::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    // Exit code 1 of an audit means that it found something.
    let failure =
        if matches!(command.action, Action::Audit(_)) { ExitCode::from(2) } else { ExitCode::FAILURE };
    start(command, registry).unwrap_or_else(|error| {
        print::error(&error);
        failure
    })
}

fn start(command: Command, registry: Result<Registry, DuplicateKind>) -> anyhow::Result<ExitCode> {
    process::check_limits(NEEDS).map_err(anyhow::Error::msg)?;
    let registry = registry?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(run(command, registry));
    // Does not wait for a name that is still being resolved.
    runtime.shutdown_background();
    ended
}

async fn run(command: Command, registry: Registry) -> anyhow::Result<ExitCode> {
    let session = Session::open(&command.config, registry).await?;
    let form = if command.json { print::Form::Json } else { print::Form::Text };
    match command.action {
        Action::Audit(args) => return audit::run(&session, form, args).await,
        Action::Enqueue(args) => enqueue::run(&session, form, args).await,
        Action::Job(JobAction::Show { id }) => job::show(&session, form, id).await,
        Action::Queues => queues::list(&session, form).await,
        Action::Workers => workers::list(&session, form).await,
    }?;
    Ok(ExitCode::SUCCESS)
}
