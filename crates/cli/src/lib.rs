//! The command line of the queue: over HTTP through a gateway, or directly on Redis, in the same words.
//!
//! A program with its own kinds calls [`main`] with its own registry.

mod address;
mod answer;
mod audit;
mod backend;
mod bulk;
mod bulk_run;
mod call_error;
mod check;
mod demo;
mod due;
mod edit;
mod editor;
mod enqueue;
mod explain;
mod failures;
mod filter;
mod gateway;
mod generate;
mod job;
mod jobs;
mod key;
mod kinds;
mod operate;
mod pretty;
mod print;
mod problem;
mod progress;
mod queue;
mod queues;
mod session;
mod stats;
mod style;
mod table;
mod top;
mod trace;
mod version;
mod watch;
mod worker;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;

pub use atode_config::Build;
use atode_config::{ConfigArgs, process};
use atode_jobs::{DuplicateKind, Registry};
use atode_queue::{JobId, WorkerId, WorkerRequest};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgGroup, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::backend::{Backend, BackendArgs};
use crate::due::DueArgs;
use crate::operate::JobOperation;
use crate::queue::Purged;
use crate::watch::WatchArgs;

/// Shows and changes jobs, over HTTP through a gateway, or with --direct straight on Redis.
///
/// Tables are as wide as the terminal (or `COLUMNS`). `--json` prints the same JSON as the HTTP API.
///
/// Exits with 0 on success, with 1 if something was refused or failed, and with 2 if the command line is wrong.
/// `audit --help` and `check --help` list their own exit codes.
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    task: Task,
}

/// Options of every command.
#[derive(Args)]
#[command(next_help_heading = "Options of every command")]
struct Options {
    #[command(flatten)]
    backend: BackendArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one per process")]
enum Task {
    #[command(flatten)]
    Action(Action),
    /// Print completions for a shell: for bash, `source <(atode completions bash)`.
    Completions { shell: Shell },
    /// Write man pages to a folder.
    Man { dir: PathBuf },
}

#[derive(Subcommand)]
enum Action {
    /// Check that the stored data is consistent. Safe to run while the queues are in use.
    ///
    /// Always works directly on Redis, with the Redis of the configuration. Reads every record, set and key of every
    /// queue in small steps. A job that merely changes its state during the audit is not reported. Exits with 0 if
    /// nothing is wrong or everything was repaired, with 1 if something is wrong and was not repaired, and with 2 if
    /// the data could not be read.
    Audit(audit::AuditArgs),
    /// Change all jobs that a filter selects: redrive, cancel, run now, delete.
    ///
    /// Counts the jobs, shows the first ones, and asks. The filters are those of `atode jobs`. The operation is kept in
    /// Redis and goes on without this command. Jobs that die or are enqueued after its start are left alone.
    #[command(subcommand)]
    Bulk(bulk::BulkTask),
    /// Check that this build can read every job that is still to run. For a pipeline, before a deploy.
    ///
    /// Always works directly on Redis. Reads the payload of every waiting and active job as the worker of this build
    /// would, 25,000 per second, and runs nothing. Exits with 0 if all jobs of this build's kinds can be read, with 1
    /// if some cannot (a worker would bury them), and with 2 if the check itself failed. Jobs of kinds that this build
    /// does not have are counted, and do not matter to it.
    Check(check::CheckArgs),
    /// Fill a queue with a lively example, for first looks and screenshots, or remove it again.
    ///
    /// Stores jobs of the kinds `demo:mail` and `demo:report`, which do nothing but end as their payload says: some are
    /// scheduled, some run, some fail. They work with the workers that `./dev up` starts.
    Demo(demo::DemoArgs),
    /// Store a job.
    Enqueue(enqueue::EnqueueArgs),
    /// Group dead jobs by cause, or redrive those of one cause.
    Failures(failures::FailuresArgs),
    /// Show or change one job.
    #[command(subcommand)]
    Job(JobAction),
    /// List jobs by time.
    ///
    /// Waiting jobs are listed by their due time, active ones by their enqueue time (the earliest first), finished ones
    /// by the time of their end (the latest first). Lists of both begin with the latest time. Large payloads are left
    /// out; `atode job show` has them.
    Jobs(jobs::JobsArgs),
    /// Show the kinds that can be enqueued, or change the catalogue of kinds.
    #[command(args_conflicts_with_subcommands = true)]
    Kinds {
        #[command(subcommand)]
        action: Option<kinds::KindsAction>,
        /// Show the kinds behind this one. A list that is too long for one reply names it.
        #[arg(long, value_name = "KIND")]
        cursor: Option<String>,
    },
    /// Pause or resume a queue, or move its jobs.
    #[command(subcommand)]
    Queue(QueueAction),
    /// Count jobs by queue and state.
    Queues(WatchArgs),
    /// Show what happened in the last hours, by queue and kind: jobs, lateness, run times.
    ///
    /// Lateness is the time from the due time of a run to its start. Times are at most 10 % off. Processes write the
    /// history every few seconds. Jobs that a process counted in the seconds before it was killed are missing.
    Stats(stats::StatsArgs),
    /// Show queues, workers, next jobs and failures, live. Keys pause, quiet and run now.
    ///
    /// `?` shows the keys. It goes on while the gateway or Redis is away. Over HTTP, queues and workers are live, and
    /// the rest is read every 6 or 30 seconds, which the default rate limits allow.
    Top(top::TopArgs),
    /// Ask a worker to go quiet or to stop.
    #[command(subcommand)]
    Worker(WorkerAction),
    /// List the live workers.
    Workers(WatchArgs),
}

#[derive(Subcommand)]
enum JobAction {
    /// Say why a job is not running, and what to do about it.
    ///
    /// docs/explain.md lists all reasons.
    Explain {
        /// The job's UUID, or the form of 14 or 22 characters that Redis stores (put that form in single quotes).
        id: JobId,
        #[command(flatten)]
        watch: WatchArgs,
    },
    /// Show the state of a job, its attempts, and the worker that ran it.
    Show {
        /// The job's UUID, or the form of 14 or 22 characters that Redis stores (put that form in single quotes).
        id: JobId,
        #[command(flatten)]
        watch: WatchArgs,
    },
    /// Cancel a waiting job, or ask the worker of an active one to cancel it.
    Cancel { id: JobId },
    /// Make a waiting job due now.
    RunNow { id: JobId },
    /// Make a waiting job due at another time.
    #[command(group(ArgGroup::new("due").required(true).args(["delay", "run_at"])))]
    Reschedule {
        id: JobId,
        #[command(flatten)]
        due: DueArgs,
    },
    /// Change the payload, the due time or the retries of a waiting job.
    ///
    /// Without a change on the command line, and on a terminal, it opens `$EDITOR`. Then the job is changed only if
    /// nobody else has changed it meanwhile.
    Edit(edit::EditArgs),
    /// Put a dead job back, due now, with all its attempts again.
    Redrive { id: JobId },
    /// Delete a job that is not active.
    Rm { id: JobId },
}

#[derive(Subcommand)]
enum QueueAction {
    /// Stop handing out jobs. Running jobs are not affected.
    Pause { queue: String },
    /// Hand out jobs again.
    Resume { queue: String },
    /// Put all dead jobs back, due now, those that died first at the front.
    Redrive {
        queue: String,
        /// Only jobs of this kind.
        #[arg(long)]
        kind: Option<String>,
    },
    /// Remove all jobs in one state for good.
    Purge {
        queue: String,
        /// The state of the jobs to remove. Active jobs cannot be purged; cancel them first.
        #[arg(long)]
        state: Purged,
        /// Only jobs of this kind.
        #[arg(long)]
        kind: Option<String>,
    },
}

#[derive(Subcommand)]
enum WorkerAction {
    /// Claim no more jobs; running jobs finish. This cannot be undone.
    Quiet { id: WorkerId },
    /// Claim no more jobs, wait for the running ones, exit.
    Stop { id: WorkerId },
}

/// Files and threads that a command needs: connections, and threads that resolve names and wait for replies.
const NEEDS: process::Needs = process::Needs { files: 32, threads: 3 };

/// The whole `main` of a command line: the program's name and version, and the kinds that it can enqueue.
pub fn main(build: Build, registry: Result<Registry, DuplicateKind>) -> ExitCode {
    let interface = || Command::command().name(build.name).version(build.version);
    let matches = without_gateway_options(interface()).get_matches();
    let command = Command::from_arg_matches(&matches).and_then(|command| checked(command, &matches));
    let command = command.unwrap_or_else(|error| error.exit());
    // Exit code 1 of an audit or a check means that it found something.
    let failure = match command.task {
        Task::Action(Action::Audit(_) | Action::Check(_)) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    };
    let ended = match command.task {
        Task::Action(action) => start(action, &command.options, registry),
        Task::Completions { shell } => generate::completions(interface(), shell).map(|()| ExitCode::SUCCESS),
        Task::Man { dir } => {
            generate::man(interface(), without_gateway_options, &dir).map(|()| ExitCode::SUCCESS)
        }
    };
    ended.unwrap_or_else(|error| {
        print::error(&error);
        failure
    })
}

/// Builds the command. Those that always go to Redis do not list the options of a gateway.
fn without_gateway_options(mut command: clap::Command) -> clap::Command {
    // Gives each command its own copy of the options of every command.
    command.build();
    command.mut_subcommands(|task| {
        if !matches!(task.get_name(), "audit" | "check") {
            return task;
        }
        task.mut_args(|arg| match arg.get_id().as_str() {
            "url" | "key_file" => arg.hide(true),
            _ => arg,
        })
    })
}

/// Refuses a gateway for a command that goes to Redis. One from the environment is for the other commands.
fn checked(mut command: Command, matches: &ArgMatches) -> Result<Command, clap::Error> {
    let backend = &mut command.options.backend;
    if let Task::Action(Action::Top(args)) = &command.task {
        let json =
            command.options.json.then_some("top has no JSON; queues, workers, jobs, stats and failures have");
        if let Some(why) = json.or_else(|| args.obstacle()) {
            return Err(Command::command().error(ErrorKind::ArgumentConflict, why));
        }
    }
    if let Task::Action(Action::Job(JobAction::Edit(args))) = &command.task
        && let Some(why) = args.obstacle()
    {
        return Err(Command::command().error(ErrorKind::MissingRequiredArgument, why));
    }
    let why = match &command.task {
        Task::Action(Action::Audit(_)) => "an audit works directly on Redis",
        Task::Action(Action::Check(_)) => "a check works directly on Redis",
        _ if backend.direct => "--direct goes to Redis and not to a gateway",
        _ => return Ok(command),
    };
    backend.direct = true;
    if matches.value_source("url") == Some(ValueSource::CommandLine) {
        let error = format!("{why}: leave out --url\n");
        return Err(Command::command().error(ErrorKind::ArgumentConflict, error));
    }
    Ok(command)
}

fn start(
    action: Action,
    options: &Options,
    registry: Result<Registry, DuplicateKind>,
) -> anyhow::Result<ExitCode> {
    process::check_limits(NEEDS).map_err(anyhow::Error::msg)?;
    let registry = registry?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(run(action, options, registry));
    // Does not wait for a name that is still being resolved.
    runtime.shutdown_background();
    ended
}

async fn run(action: Action, options: &Options, registry: Registry) -> anyhow::Result<ExitCode> {
    let backend = &Backend::open(&options.backend, &options.config, registry).await?;
    let form = if options.json { print::Form::Json } else { print::Form::Text };
    let ended = match action {
        Action::Audit(args) => return audit::run(backend.direct()?, form, args).await,
        Action::Bulk(task) => bulk::run(backend, form, task).await,
        Action::Check(args) => return check::run(backend.direct()?, form, args).await,
        Action::Demo(args) => demo::run(backend, form, args, &options.config).await,
        Action::Enqueue(args) => enqueue::run(backend, form, args).await,
        Action::Failures(args) => failures::run(backend, form, args).await,
        Action::Job(action) => job_action(backend, form, action).await,
        Action::Jobs(args) => jobs::list(backend, form, args).await,
        Action::Kinds { action, cursor } => kinds::run(backend, form, action, cursor).await,
        Action::Queue(action) => queue_action(backend, form, action).await,
        Action::Queues(args) => watch::run(args, async || queues::list(backend, form).await).await,
        Action::Stats(args) => stats::show(backend, form, args).await,
        Action::Top(args) => Box::pin(top::run(backend, args)).await,
        Action::Worker(WorkerAction::Quiet { id }) => {
            worker::ask(backend, form, id, WorkerRequest::Quiet).await
        }
        Action::Worker(WorkerAction::Stop { id }) => {
            worker::ask(backend, form, id, WorkerRequest::Stop).await
        }
        Action::Workers(args) => watch::run(args, async || workers::list(backend, form).await).await,
    };
    backend.write_history().await;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn job_action(backend: &Backend, form: print::Form, action: JobAction) -> anyhow::Result<()> {
    let (id, operation) = match action {
        JobAction::Explain { id, watch } => {
            return watch::run(watch, async || explain::run(backend, form, id).await).await;
        }
        JobAction::Show { id, watch } => {
            return watch::run(watch, async || job::show(backend, form, id).await).await;
        }
        JobAction::Edit(args) => return edit::run(backend, form, args).await,
        JobAction::Cancel { id } => (id, JobOperation::Cancel),
        JobAction::RunNow { id } => (id, JobOperation::RunNow),
        JobAction::Reschedule { id, due } => (id, JobOperation::Reschedule(due)),
        JobAction::Redrive { id } => (id, JobOperation::Redrive),
        JobAction::Rm { id } => (id, JobOperation::Delete),
    };
    operate::run(backend, form, id, operation).await
}

async fn queue_action(backend: &Backend, form: print::Form, action: QueueAction) -> anyhow::Result<()> {
    match action {
        QueueAction::Pause { queue } => queue::pause(backend, form, &queue).await,
        QueueAction::Resume { queue } => queue::resume(backend, form, &queue).await,
        QueueAction::Redrive { queue, kind } => queue::redrive(backend, form, &queue, kind.as_deref()).await,
        QueueAction::Purge { queue, state, kind } => {
            queue::purge(backend, form, &queue, state, kind.as_deref()).await
        }
    }
}
