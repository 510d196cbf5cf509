//! The command line of the queue. It talks to Redis itself, so it works while no gateway runs.
//!
//! A program with kinds of its own calls [`main`] with its own registry.

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

/// Looks at the queue and works on it.
///
/// Tables are as wide as the terminal (or `COLUMNS`); `--json` prints what the HTTP API answers.
///
/// Exits with 0, with 1 when something was refused or failed, with 2 when the command was wrong (of
/// `audit`, see there).
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Check that everything stored fits together, while it is in use.
    ///
    /// Looks at every record, set and key of every queue in small steps; what was only in motion is not
    /// reported. Exits with 0 when nothing is wrong or all of it was repaired, with 1 when something is
    /// wrong (or left wrong), with 2 when it could not look.
    Audit(audit::AuditArgs),
    /// Store a job.
    Enqueue(enqueue::EnqueueArgs),
    /// Look at one job.
    #[command(subcommand)]
    Job(JobAction),
    /// Count jobs by queue and state.
    Queues,
    /// List the live workers.
    Workers,
}

#[derive(Subcommand)]
enum JobAction {
    /// Its state, its attempts, and which worker ran it.
    Show {
        /// A UUID, or the 14 or 22 characters that stand in Redis (in single quotes).
        id: JobId,
    },
}

/// Connections to Redis, and a thread that resolves its name.
const NEEDS: process::Needs = process::Needs { files: 32, threads: 2 };

/// The whole `main` of a command line: the program's name and version, and the kinds that it can enqueue.
pub fn main(build: Build, registry: Result<Registry, DuplicateKind>) -> ExitCode {
    let command = Command::command().name(build.name).version(build.version);
    let command = Command::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    // An audit that could not look exits with another code than one that found something.
    let failure =
        if matches!(command.action, Action::Audit(_)) { ExitCode::from(2) } else { ExitCode::FAILURE };
    match start(command, registry) {
        Ok(code) => code,
        Err(error) => {
            print::error(&error);
            failure
        }
    }
}

fn start(command: Command, registry: Result<Registry, DuplicateKind>) -> anyhow::Result<ExitCode> {
    process::check_limits(NEEDS).map_err(anyhow::Error::msg)?;
    let registry = registry?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(run(command, registry));
    // A name that is still being resolved is not waited for.
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
